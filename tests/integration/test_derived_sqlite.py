"""Every case of the corpus for SQLite, really executed and taken back."""

from pathlib import Path

import pytest

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
