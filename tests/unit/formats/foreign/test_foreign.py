"""Files of dbmate, goose and Flyway: the golden cases, each with the script that it is or the reason why it is none."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pdelta.errors import FormatError
from pdelta.formats.foreign.dbmate import parse_dbmate, version_of
from pdelta.formats.foreign.flyway import FlywayName, parse_flyway, parse_flyway_name
from pdelta.formats.foreign.goose import parse_goose
from pdelta.formats.foreign.goose import version_of as goose_version_of
from pdelta.formats.foreign.origin import LIMIT_BYTES, version_key
from pdelta.sql.script import Script
from pdelta.sql.token import Dialect

GOLDEN = Path(__file__).parents[3] / "golden/sql-foreign"
DBMATE, GOOSE, FLYWAY = (json.loads((GOLDEN / f"{tool}.json").read_text()) for tool in ("dbmate", "goose", "flyway"))


def result_of(parse: Callable[[], Script]) -> dict[str, Any]:
    try:
        return {"script": json.loads(msgspec.json.encode(parse()))}
    except FormatError as error:
        return {"error": error.message}


@pytest.mark.parametrize(
    ("parse", "case"),
    [*((parse_dbmate, case) for case in DBMATE), *((parse_goose, case) for case in GOOSE)],
    ids=lambda value: repr(value["text"][:50]) if isinstance(value, dict) else None,
)
def test_file_when_it_is_a_golden_case_then_it_says_the_same(
    parse: Callable[..., Script], case: dict[str, Any]
) -> None:
    found = result_of(lambda: parse(case["text"].encode(), name=case["name"], dialect=Dialect.POSTGRESQL))
    assert found == {key: case[key] for key in ("script", "error") if key in case}


@pytest.mark.parametrize("case", FLYWAY, ids=lambda case: ", ".join(case["files"]))
def test_folder_when_it_is_a_golden_case_of_flyway_then_it_says_the_same(case: dict[str, Any]) -> None:
    found = parse_flyway(
        {name: text.encode() for name, text in case["files"].items()},
        dialect=Dialect.POSTGRESQL,
        configurations={name: text.encode() for name, text in case["configurations"].items()},
    )
    results = [
        {"error": one.message} if isinstance(one, FormatError) else {"script": json.loads(msgspec.json.encode(one))}
        for one in found
    ]
    assert results == case["results"]


@pytest.mark.parametrize("parse", [parse_dbmate, parse_goose])
@pytest.mark.parametrize(("data", "named"), [(b"\xff", "UTF-8"), (bytes(LIMIT_BYTES + 1), "refused")])
def test_file_when_it_is_no_text_then_it_is_refused_by_name(
    parse: Callable[..., Script], data: bytes, named: str
) -> None:
    with pytest.raises(FormatError, match=rf"1_a\.sql.*{named}"):
        parse(data, name="1_a", dialect=Dialect.SQLITE)


def test_versions_when_they_are_compared_then_it_is_number_by_number() -> None:
    versions = ["0.9", "1", "1.0.1", "1.9", "1.10", "1.10.1", "2", "10", "20250315120000"]
    keys = [version_key(version.split(".")) for version in versions]
    assert keys == sorted(keys)
    assert len(set(keys)) == len(keys)
    assert version_key(["1", "0", "00"]) == version_key(["01"])


def test_versions_when_a_name_is_read_then_they_are_what_the_tools_ledger_has() -> None:
    assert version_of("0007_x") == "0007"
    assert goose_version_of("0007_x") == "7"
    assert parse_flyway_name("V1_2__add_it now") == FlywayName("V", "1.2", "add it now")
    assert parse_flyway_name("R__all__views") == FlywayName("R", "", "all  views")
