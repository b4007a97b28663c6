"""Every case of the corpus for SQLite, really executed and taken back."""

from pathlib import Path

import msgspec
import pytest

from pdelta.errors import PdeltaError
from pdelta.sql.token import Dialect
from tests.fixtures.corpus import Case, base, cases, states
from tests.fixtures.derived import check, check_refused, derived
from tests.fixtures.derived_sqlite import SqliteBench

CASES = cases("sqlite")
STATES = states("sqlite")
BASE = base("sqlite")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_delta_when_executed_and_reversed_then_the_file_is_what_it_was(case: Case, tmp_path: Path) -> None:
    result = derived(case, Dialect.SQLITE)
    if case.outcome == "refused":
        check_refused(case, result)
        return
    check(case, result, SqliteBench(tmp_path / "tenant.sqlite", BASE, STATES[case.state], case.setup))


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("schema-index-drop-rows", {"undo": ""}),
        (
            "schema-column-drop-rows",
            {"undo": "'DROP TABLE ' || (SELECT name FROM sqlite_master WHERE name LIKE 'pdelta_kept%')"},
        ),
        ("schema-table-rename-rows", {"undo": "'ALTER TABLE \"All People\" RENAME TO persons;'"}),
        ("rows-update-rows", {"late_undo": ""}),
        ("rows-update-rows", {"statement": "UPDATE users SET note = NULL"}),
        ("schema-column-add-then-filled-rows", {"late_undo": ""}),
    ],
)
def test_check_when_a_reverse_is_wrong_then_it_finds_out(name: str, broken: dict[str, str], tmp_path: Path) -> None:
    case = next(case for case in CASES if case.id == name)
    result = derived(case, Dialect.SQLITE)
    pieces = (*result.pieces[:-1], msgspec.structs.replace(result.pieces[-1], **broken))
    wrong = msgspec.structs.replace(result, pieces=pieces)
    with pytest.raises((AssertionError, pytest.fail.Exception, PdeltaError)):
        check(case, wrong, SqliteBench(tmp_path / "tenant.sqlite", BASE, STATES[case.state], case.setup))
