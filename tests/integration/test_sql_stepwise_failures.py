"""Deltas that no transaction holds and that fail half-way: where the tenant is said to stand, why, and what goes on."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.fixtures.cli import Cli
from tests.fixtures.mariadb import MariaDB
from tests.fixtures.tenants import Fleet, MysqlFleet, Project, SchemaFleet

NAME: Final = "delta_20250401_stepwise"
HEADERS: Final = {"mysql": "", "postgresql": "-- pdelta: transaction=none\n"}


class Desk:
    """One tenant with the table ``t``, and a delta that goes through it step by step."""

    def __init__(self, fleet: Fleet, cli: Cli) -> None:
        self.fleet = fleet
        (self.tenant,) = fleet.names
        self.project = Project(fleet.folder, fleet.section)
        self.cli = cli
        self.sql("CREATE TABLE t (id int PRIMARY KEY, c int); INSERT INTO t VALUES (5, 1), (9, 2)")

    def __call__(self, *words: str, status: int = 0) -> str:
        result = self.cli("sql", *words, cwd=self.fleet.folder, status=status)
        return result.out + result.err

    def write(self, forward: str, reverse: str = "") -> None:
        back = f"-- Reversible delta\n-- {reverse}\n" if reverse else ""
        self.project.write(NAME, f"{HEADERS[self.fleet.engine]}{forward}\n{back}")

    def sql(self, text: str) -> list[tuple[str, ...]]:
        return self.fleet.sql(self.tenant, text)

    def columns(self, table: str = "t") -> list[str]:
        return self.fleet.columns(self.tenant, table)

    @property
    def states(self) -> list[tuple[str, ...]]:
        return self.sql("SELECT state, step FROM pdelta_applied")


@pytest.fixture(params=["postgresql", "mysql"])
def desk(request: pytest.FixtureRequest, tmp_path: Path, cli: Cli) -> Iterator[Desk]:
    if request.param == "postgresql":
        database = request.getfixturevalue("pg_database")
        yield Desk(SchemaFleet(tmp_path, ["one"], request.getfixturevalue("postgresql"), database), cli)
        return
    fleet = MysqlFleet(tmp_path, ["one"], request.getfixturevalue("mariadb"))
    yield Desk(fleet, cli)
    fleet.drop()


@pytest.fixture
def mysql(tmp_path: Path, mariadb: MariaDB, cli: Cli) -> Iterator[Desk]:
    fleet = MysqlFleet(tmp_path, ["one"], mariadb)
    yield Desk(fleet, cli)
    fleet.drop()


def test_rollback_when_a_later_step_fails_then_it_is_in_between_and_the_same_command_goes_on(desk: Desk) -> None:
    desk.write("ALTER TABLE t ADD COLUMN z INT;", "ALTER TABLE t DROP COLUMN z; DROP TABLE lacking;")
    desk("apply")
    for _ in range(2):
        told = desk("rollback", status=6)
        assert "in between" in told
        assert "lacking" in told
        assert "was taken back by 1 of 2 steps" in told
        assert (desk.columns(), desk.states) == (["id", "c"], [("reversing", "1")])
    desk.sql("CREATE TABLE lacking (id int)")
    assert "1 delta reversed in 1 of 1 tenant" in desk("rollback")
    assert (desk.columns("lacking"), desk.states) == ([], [])
    # The runs that failed do nothing more.
    desk("rollback", status=2)
    assert (desk.columns(), desk.states) == (["id", "c"], [])
    desk("apply")
    assert "nothing to do" in desk("apply")
    assert (desk.columns(), len(desk.states)) == (["id", "c", "z"], 1)


def test_rollback_when_its_first_step_fails_then_it_is_as_it_was(desk: Desk) -> None:
    desk.write("ALTER TABLE t ADD COLUMN z INT;", "DROP TABLE lacking; ALTER TABLE t DROP COLUMN z;")
    desk("apply")
    told = desk("rollback", status=8)
    assert "as it was" in told
    assert "lacking" in told
    assert (desk.columns(), desk.states) == (["id", "c", "z"], [("applied", "2")])


def test_rollback_when_a_middle_step_of_many_fails_then_the_server_is_quoted(desk: Desk) -> None:
    desk.write(
        "CREATE TABLE a (i int); CREATE TABLE b (i int); CREATE TABLE c (i int);",
        "DROP TABLE c; DROP TABLE lacking; DROP TABLE b; DROP TABLE a;",
    )
    desk("apply")
    told = desk("rollback", status=6)
    assert "lacking" in told
    assert "already exists" not in told
    assert desk.states == [("reversing", "1")]


def test_rollback_when_a_later_step_would_lose_data_then_nothing_is_done_and_the_way_out_is_named(desk: Desk) -> None:
    desk.write("ALTER TABLE t ADD a INT; ALTER TABLE t ADD b INT;")
    desk("apply")
    desk.sql("UPDATE t SET a = 1")
    told = desk("rollback", status=8)
    assert "as it was" in told
    assert "have a value in a that would be lost" in told
    assert "--accept-data-loss" in told
    assert (desk.columns(), desk.states) == (["id", "c", "a", "b"], [("applied", "2")])
    assert "nothing to do" in desk("apply")
    desk("rollback", "--accept-data-loss")
    assert (desk.columns(), desk.states) == (["id", "c"], [])


def test_rollback_when_the_delta_filled_its_own_column_then_that_is_no_loss(desk: Desk) -> None:
    desk.write("ALTER TABLE t ADD a INT; UPDATE t SET a = 4; ALTER TABLE t ADD b INT;")
    desk("apply")
    desk("rollback")
    assert (desk.columns(), desk.states) == (["id", "c"], [])


@pytest.mark.parametrize("way", ["written", "irreversible"])
def test_apply_when_it_stops_half_way_for_good_then_it_is_in_between_with_the_cause(desk: Desk, way: str) -> None:
    desk.write("ALTER TABLE t DROP COLUMN c; ALTER TABLE lacking ADD q INT;", "ALTER TABLE t ADD COLUMN c INT;")
    if way == "irreversible":
        header = '-- pdelta: irreversible="meant"\n'
        text = "ALTER TABLE t DROP COLUMN c; ALTER TABLE lacking ADD q INT;\n"
        desk.project.write(NAME, HEADERS[desk.fleet.engine] + header + text)
    for _ in range(2):
        told = desk("apply", status=6)
        assert "in between" in told
        assert "lacking" in told
        assert "stopped after 1 of 2 steps" in told
        assert "apply it again: it goes on behind the last step" in told
        assert ("can't be reversed: meant" in told) == (way == "irreversible")
        assert "still applied" not in told
        assert (desk.columns(), desk.states) == (["id"], [("applying", "1")])
    desk.sql("CREATE TABLE lacking (i int)")
    assert "1 delta applied in 1 of 1 tenant" in desk("apply")
    assert (desk.columns("lacking"), desk.states) == (["i", "q"], [("applied", "2")])
    assert "nothing to do" in desk("apply")
