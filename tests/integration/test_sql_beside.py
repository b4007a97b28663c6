"""A run that takes itself back, where another operator was at work meanwhile: what that one did stays."""

import shlex
import sys

import pytest

from tests.fixtures.cli import Cli
from tests.fixtures.sql_desk import NAME, Desk
from tests.fixtures.tenants import FORWARD, Fleet

SECOND = "delta_20250401_visits"


@pytest.fixture
def desk(fleet: Fleet, cli: Cli) -> Desk:
    return Desk(fleet, cli)


def beside(*words: str) -> str:
    """Give a gate that holds, and behind which another operator has done something, once."""
    command = shlex.join([sys.executable, "-m", "pdelta", "sql", *words])
    return f"cat > /dev/null; test -e asked || {{ touch asked; {command} >&2; }}"


def runs(desk: Desk, tenant: str) -> dict[str, str]:
    return {row[0]: row[1] for row in desk.fleet.sql(tenant, "SELECT id, run FROM pdelta_applied ORDER BY id")}


def test_apply_when_another_run_was_there_meanwhile_then_reversing_leaves_what_that_one_did(desk: Desk) -> None:
    other, bad = desk.fleet.names[3], desk.fleet.names[-1]
    desk.fleet.sql(bad, FORWARD)
    gate = beside("apply", "--only", other)
    told = desk.done("apply", "--waves", "1,rest", "--gate", gate, "--on-failure", "reverse", status=5)
    assert told["phase"] == "reversed"
    assert desk.having() == [other, bad]
    (run,) = runs(desk, other).values()
    assert run != told["run"]
    (result,) = (one for one in told["results"] if one["tenant"] == other)
    assert (result["standing"], result["error"]) == ("after", None)
    desk.fleet.sql(bad, "ALTER TABLE users DROP COLUMN last_login")
    desk.done("apply")
    assert desk.having() == desk.fleet.names


def test_apply_when_another_run_did_a_part_of_it_then_reversing_leaves_that_tenant_and_says_so(desk: Desk) -> None:
    other, bad = desk.fleet.names[3], desk.fleet.names[-1]
    desk.project.write(SECOND, "CREATE TABLE visits (id integer);\n-- Reversible delta\n-- DROP TABLE visits;\n")
    desk.fleet.sql(bad, "CREATE TABLE visits (id integer)")
    gate = beside("apply", "--to", NAME, "--only", other)
    result = desk("apply", "--waves", "1,rest", "--gate", gate, "--on-failure", "reverse", status=8)
    assert f"{other} has {NAME} from run:" in result.out + result.err
    assert desk.having() == [other]
    assert list(runs(desk, other)) == [NAME, SECOND]
    assert desk.had() == {NAME: 1, SECOND: 1}


def test_apply_when_a_tenant_was_changed_meanwhile_then_all_that_its_runs_did_is_told(desk: Desk) -> None:
    other = desk.fleet.names[3]
    desk.done("apply")
    desk.project.write(SECOND, "CREATE TABLE visits (id integer);\n-- Reversible delta\n-- DROP TABLE visits;\n")
    gate = beside("rollback", "--to", "0", "--only", other)
    told = desk.done("apply", "--waves", "1,rest", "--gate", gate)
    assert (told["phase"], told["settled"]) == ("done", 0)
    assert sorted(result["tenant"] for result in told["results"]) == sorted(desk.fleet.names)
    assert {result["standing"] for result in told["results"]} == {"after"}
    assert sum(wave["tenants"] for wave in told["waves"]) == len(desk.fleet.names)
    assert desk.had() == {NAME: 12, SECOND: 12}
    ran = {runs(desk, name)[SECOND] for name in desk.fleet.names}
    assert ran == {told["run"], *told["earlier_runs"]}
    assert len(ran) == 2
