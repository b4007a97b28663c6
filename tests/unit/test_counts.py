"""What is counted in words: one thing in the singular, which ``counted`` sees to."""

import ast
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from pdelta.model.amount import counted
from pdelta.sql.derive.mysql import text as mysql
from pdelta.sql.derive.postgresql import text as postgresql
from pdelta.sql.derive.sqlite import text as sqlite

ROOT = Path(__file__).resolve().parents[2]
SOURCES = sorted((ROOT / "src/pdelta").rglob("*.py"))
PLURAL = re.compile(
    r" (?:(?:more|further|snapshot|ignored) )?(?:arguments|chunks|deltas|directories|entries|files|findings|folders"
    r"|groups|hashes|hosts|links|names|pages|paths|records|releases|reverses|rows|runs|servers|statements|steps|tables"
    r"|tenants|urls|versions|waves)\b"
)
LIMITS = {"limit", "status.st_nlink"}
"""Numbers that are never one."""


def slips(tree: ast.AST) -> Iterator[int]:
    """Give the lines on which a number stands before a noun in the plural, whatever the number."""
    for node in ast.walk(tree):
        parts = node.values if isinstance(node, ast.JoinedStr) else []
        for number, words in pairwise(parts):
            if not (isinstance(number, ast.FormattedValue) and isinstance(words, ast.Constant)):
                continue
            said = ast.unparse(number.value)
            is_number = number.format_spec is not None or not said.startswith(("shown", "shortened"))
            is_fixed = said in LIMITS or said.rpartition(".")[2].isupper()
            # "T names a schema" is a verb, and begins behind something that has a name itself.
            is_verb = str(words.value).startswith(" names") and "len(" not in said and "count" not in said
            if is_number and not is_fixed and not is_verb and PLURAL.match(str(words.value)):
                yield words.lineno


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT / "src/pdelta")))
def test_sources_when_they_count_then_one_thing_is_in_the_singular(path: Path) -> None:
    assert list(slips(ast.parse(path.read_text()))) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ('f"{len(rows)} rows of it"', [1]),
        ('f"{done} of {row.steps} steps"', [1]),
        ('f"and {rest:,} further runs"', [1]),
        ("f\"{counted(rest, 'run')} in it, {LIMIT} rows, {limit} rows, {tenant} names nothing\"", []),
    ],
)
def test_slips_when_searched_then_found(source: str, found: list[int]) -> None:
    assert list(slips(ast.parse(source))) == found


def test_counted_when_it_is_one_then_in_the_singular() -> None:
    assert [counted(number, "hash", "hashes") for number in (0, 1, 2000)] == ["0 hashes", "1 hash", "2,000 hashes"]


def test_amount_when_a_tenant_evaluates_it_then_one_row_is_told_as_one() -> None:
    for dialect, many in ((sqlite, "n || ' rows of t are'"), (postgresql, "n || ' rows of t are'")):
        assert dialect.amount("t", "is", "are", "n") == f"CASE n WHEN 1 THEN '1 row of t is' ELSE {many} END"
    assert mysql.amount("t", "is", "are").endswith("ELSE concat(count(*), ' rows of t are') END")
