"""The file of a SQL delta: both spellings, the header, the sections, and every refusal with its line."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pdelta.errors import FormatError, ScriptError
from pdelta.formats.sql_delta import LIMIT_BYTES, parse_delta
from pdelta.sql.script import Part, Script
from pdelta.sql.token import Dialect

VECTORS = json.loads((Path(__file__).parents[2] / "vectors/sql-delta/scripts.json").read_text())
LATER: dict[str, Any] = {
    "repeatable": False, "phase": None, "allows": [], "key": "", "baseline": False, "replaces": [],
}  # fmt: skip
"""What vectors of the first form do not name."""
NAME = "delta_20250315_add_last_login"


def parse(text: str | bytes, dialect: Dialect = Dialect.POSTGRESQL) -> Script:
    return parse_delta(text.encode() if isinstance(text, str) else text, name=NAME, dialect=dialect)


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: f"{vector['dialect']}: {vector['text'][-60:]!r}")
def test_script_when_it_is_a_vector_then_it_says_the_same(vector: dict[str, Any]) -> None:
    if "error" in vector:
        with pytest.raises(ScriptError) as caught:
            parse(vector["text"], Dialect(vector["dialect"]))
        error = caught.value
        assert {"line": error.line, "problem": error.problem} == vector["error"]
        assert error.message == f"{NAME}.sql: line {error.line}: {error.problem}"
    else:
        script = parse(vector["text"], Dialect(vector["dialect"]))
        assert json.loads(msgspec.json.encode(script)) == {**LATER, **vector["script"]}


@pytest.mark.parametrize(
    "marker", ["-- Reversible delta", "--Reversible delta", "-- REVERSIBLE\tDELTA --", "  ---  reversible delta :  "]
)
def test_marker_when_it_is_spelt_otherwise_then_it_is_the_marker(marker: str) -> None:
    script = parse(f"CREATE TABLE a (b int);\n{marker}\n-- DROP TABLE a;\n")
    (reverse,) = script.statements(Part.REVERSE, Dialect.POSTGRESQL)
    assert (reverse.text, reverse.line) == ("DROP TABLE a", 3)


@pytest.mark.parametrize(
    "comment",
    [
        "-- this is a reversible delta",
        "-- Reversible deltas are kept for a year",
        "-- rollback is not possible here",
        "-- Undo the column by hand",
        "-- down the road, drop the column",
        "-- +1 for this one",
        "/* Rollback: ask the owner; nothing can be dropped */",
        "-- downtime: none. DROP TABLE x; is for later",
        "-- down\n-- rename it; then drop",
        "-- undo: drop it; see ticket 5",
        "-- Rollback: update of the docs follows; see wiki",
        "-- undo\n-- by hand\n-- DROP TABLE b; is not needed",
        "-- pdelta 0.3 wrote this; id=x is its name",
        "-- pdelta sql apply --lock-timeout=2s",
        "-- + reverse index on users",
        "SELECT 2 -- + check\n UNION",
    ],
)
def test_comment_when_it_is_prose_then_it_is_none_of_our_business(comment: str) -> None:
    script = parse(f"CREATE TABLE a (b int);\n{comment}\nSELECT 1;")
    assert len(script.statements(Part.FORWARD, Dialect.POSTGRESQL)) == 2


@pytest.mark.parametrize(
    "comment",
    [
        "-- REVERSE: DROP TABLE a",
        "# undo - DROP TABLE a",
        "/* Rollback script:\n   DROP TABLE a; */",
        "/* Reversible delta */\n-- DROP TABLE a;",
        "-- Reversible delta.\n-- DROP TABLE a;",
        "-- Reversible delta (by hand);\n\n-- DROP TABLE a;",
        "/* undo:\n\n   TRUNCATE a; */",
    ],
)
def test_comment_when_it_hides_a_reverse_then_it_is_refused(comment: str) -> None:
    with pytest.raises(ScriptError, match="looks like a reverse") as caught:
        parse(f"CREATE TABLE a (b int);\n{comment}\n", Dialect.MYSQL)
    assert "-- Reversible delta" in caught.value.hint


def test_reverse_when_prose_in_it_has_an_apostrophe_then_the_hint_says_that_it_is_read_as_sql() -> None:
    with pytest.raises(ScriptError, match="does not end") as caught:
        parse("CREATE TABLE a (b int);\n-- Reversible delta\n-- it's gone then\n-- DROP TABLE a;\n")
    assert (caught.value.line, "read as SQL" in caught.value.hint) == (3, True)


def test_file_when_it_has_a_byte_order_mark_then_that_is_passed_over() -> None:
    assert parse(b"\xef\xbb\xbfSELECT 1;") == parse("SELECT 1;")


@pytest.mark.parametrize(
    ("data", "named"), [(b"SELECT '\xff'", "UTF-8"), (bytes(LIMIT_BYTES + 1), "bytes"), (b"SELECT '\0'", "NUL")]
)
def test_file_when_it_is_no_text_then_it_is_refused_by_name(data: bytes, named: str) -> None:
    with pytest.raises(FormatError, match=rf"{NAME}\.sql.*{named}"):
        parse(data)


def test_file_when_its_name_is_no_deltas_then_it_is_refused() -> None:
    with pytest.raises(FormatError, match="'notes'"):
        parse_delta(b"SELECT 1", name="notes", dialect=Dialect.SQLITE)
