"""Ledgers that a person edited: who lost a row there keeps what the delta made, and is told so."""

import pytest

from tests.fixtures.cli import Cli
from tests.fixtures.sql_desk import NAME, Desk
from tests.fixtures.tenants import Fleet

REMOVED = "DELETE FROM pdelta_applied"
UNSTAMPED = {"postgresql": "COMMENT ON TABLE pdelta_applied IS NULL", "mysql": "DELETE FROM pdelta_head"}


@pytest.fixture
def desk(fleet: Fleet, cli: Cli) -> Desk:
    desk = Desk(fleet, cli)
    desk.done("apply")
    return desk


def told_of(desk: Desk, tenant: str, *words: str, status: int) -> str:
    result = desk("rollback", *words, status=status)
    told = result.out + result.err
    assert f"its ledger has no row of {NAME}" in told
    assert "somebody changed it by hand" in told
    assert f"pdelta sql adopt --up-to {NAME} --only {tenant}" in told
    return told


def test_rollback_when_the_row_of_one_was_removed_then_it_is_named_and_comes_back_once_it_is_recorded(
    desk: Desk,
) -> None:
    if desk.fleet.engine == "sqlite":
        pytest.skip("a file has no stamp: its ledger is all that is known")
    bad = desk.fleet.names[5]
    desk.fleet.sql(bad, REMOVED)
    assert bad in told_of(desk, bad, "--on-failure", "continue", status=6)
    assert desk.having() == [bad]
    desk("adopt", "--up-to", NAME, "--only", bad)
    desk("rollback")
    assert desk.having() == []


@pytest.mark.parametrize("words", [(), ("--to", "0")])
def test_rollback_when_the_row_of_the_first_was_removed_then_refused_before_anything(
    desk: Desk, words: tuple[str, ...]
) -> None:
    if desk.fleet.engine == "sqlite":
        pytest.skip("a file has no stamp: its ledger is all that is known")
    bad = desk.fleet.names[0]
    desk.fleet.sql(bad, REMOVED)
    told_of(desk, bad, *words, status=3)
    assert desk.having() == desk.fleet.names
    # Who says that it is right so is believed.
    desk.fleet.sql(bad, UNSTAMPED[desk.fleet.engine])
    desk("rollback", *words)
    assert desk.having() == [bad]


def test_rollback_when_a_file_has_no_row_then_it_is_none_of_those_that_it_is_about(desk: Desk) -> None:
    if desk.fleet.engine != "sqlite":
        pytest.skip("others have a stamp")
    bad = desk.fleet.names[5]
    desk.fleet.sql(bad, REMOVED)
    told = desk.done("rollback")
    assert bad not in {result["tenant"] for result in told["results"]}
    assert desk.having() == [bad]
