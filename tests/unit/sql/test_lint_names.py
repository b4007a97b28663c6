"""Lint: where a name leads out of the tenant, form by form, and where what has a dot in it is no such name."""

import json
from pathlib import Path
from typing import Final, Literal

import pglast
import pytest

from pdelta.formats.sql_delta import parse_delta
from pdelta.sql.lint.finding import Fleet
from pdelta.sql.lint.script import lint_script
from pdelta.sql.token import Dialect

NAMES = json.loads((Path(__file__).parents[2] / "golden/sql-lint/names.json").read_text())
FANS: Final[dict[str, Literal["schemas", "databases", "files"]]] = {
    "postgresql": "schemas",
    "mysql": "databases",
    "sqlite": "files",
}


def forms(kind: str) -> list[tuple[str, str]]:
    return [(dialect, text) for dialect, texts in NAMES[kind].items() for text in texts]


def found(dialect: str, text: str) -> dict[str, str]:
    script = parse_delta(f"{text};".encode(), name="delta_20250315_a", dialect=Dialect(dialect))
    findings = lint_script(script, Dialect(dialect), fleet=Fleet(fan=FANS[dialect]))
    return {one.what: one.rule for one in findings if one.rule.startswith("qualified")}


@pytest.mark.parametrize(("dialect", "text"), forms("changed"))
def test_name_when_the_statement_changes_what_it_names_then_it_is_an_error(dialect: str, text: str) -> None:
    assert "qualified-name" in found(dialect, text).values()


@pytest.mark.parametrize(("dialect", "text"), forms("read"))
def test_name_when_the_statement_reads_what_it_names_then_it_is_a_warning(dialect: str, text: str) -> None:
    assert list(found(dialect, text).values()) == ["qualified-read"]


@pytest.mark.parametrize(("dialect", "text"), forms("own"))
def test_name_when_it_leads_nowhere_else_then_nothing_is_found(dialect: str, text: str) -> None:
    assert found(dialect, text) == {}


@pytest.mark.parametrize("text", [text for kind in NAMES.values() for text in kind["postgresql"]])
def test_form_when_postgresql_parses_it_then_it_is_sql(text: str) -> None:
    assert pglast.parse_sql(text)


def test_comma_when_brackets_are_deep_then_it_still_brings_a_table() -> None:
    text = "SELECT 1 FROM " + "(" * 20_000 + "a, t_1.b" + ")" * 20_000
    assert found("postgresql", text) == {"t_1.b names a schema": "qualified-read"}
