"""Deltas that no transaction holds: step by step, resumed at the next one, compensated where one fails."""

import signal
from pathlib import Path
from typing import Final

import pytest

from tests.fixtures import sql_child
from tests.fixtures.cli import Cli
from tests.fixtures.postgresql import PostgreSQL
from tests.fixtures.tenants import Project, SchemaFleet

DELTA: Final = """ALTER TABLE users ADD COLUMN age integer;
UPDATE users SET age = coalesce(age, 0) + 1;
CREATE UNIQUE INDEX CONCURRENTLY users_name ON users (name);
CREATE INDEX CONCURRENTLY users_age ON users (age);
-- Reversible delta
-- DROP INDEX CONCURRENTLY users_age;
-- DROP INDEX CONCURRENTLY users_name;
-- SELECT 1;
-- ALTER TABLE users DROP COLUMN age;
"""


class Desk:
    """Three tenants, and a delta whose indexes are built beside the application's work."""

    def __init__(self, folder: Path, server: PostgreSQL, database: str, cli: Cli) -> None:
        self.fleet = SchemaFleet(folder, ["one", "two", "three"], server, database)
        self.project = Project(folder, self.fleet.section)
        self.project.write("delta_20250401_indexes", DELTA)
        self.cli = cli

    def __call__(self, *words: str, status: int | None = 0) -> str:
        result = self.cli("sql", *words, cwd=self.fleet.folder, status=status)
        return result.out + result.err

    def killed(self, failpoint: str, *words: str) -> int:
        return sql_child.die(self.cli, self.fleet.folder, failpoint, *words)[0]

    def indexes(self, tenant: str) -> list[tuple[str, ...]]:
        return self.fleet.sql(
            tenant,
            "SELECT c.relname, i.indisvalid FROM pg_index AS i JOIN pg_class AS c ON c.oid = indexrelid "
            "JOIN pg_class AS t ON t.oid = indrelid "
            "WHERE c.relnamespace = current_schema()::regnamespace AND t.relname = 'users' ORDER BY 1",
        )

    def check(self, tenant: str, *, applied: bool, told: str = "") -> None:
        mine = [("users_age", "t"), ("users_name", "t")] if applied else []
        assert self.indexes(tenant) == sorted([*mine, ("users_pkey", "t")]), told
        assert ("age" in self.fleet.columns(tenant)) == applied, told
        if applied:
            assert self.fleet.sql(tenant, "SELECT DISTINCT age FROM users") == [("1",)], told
        count = "SELECT count(*) FROM pdelta_applied WHERE state = 'applied'"
        held = self.fleet.sql(tenant, count) if self.fleet.columns(tenant, "pdelta_applied") else [("0",)]
        assert held == [("1" if applied else "0",)], told


@pytest.fixture
def desk(tmp_path: Path, postgresql: PostgreSQL, pg_database: str, cli: Cli) -> Desk:
    return Desk(tmp_path, postgresql, pg_database, cli)


def test_apply_when_no_transaction_holds_it_then_forward_back_and_forward(desk: Desk) -> None:
    for _ in range(2):
        desk("apply")
        for name in desk.fleet.names:
            desk.check(name, applied=True)
        assert "nothing to do" in desk("apply")
        desk("rollback")
        for name in desk.fleet.names:
            desk.check(name, applied=False)


def test_apply_when_a_step_fails_then_the_tenant_is_brought_back_and_nothing_lies_broken(desk: Desk) -> None:
    desk.fleet.sql("two", "INSERT INTO users VALUES (9, 'ada')")
    # Broken by somebody else, and theirs to see to.
    desk.fleet.sql("two", "CREATE TABLE others (id integer); INSERT INTO others VALUES (1), (1)")
    with pytest.raises(RuntimeError, match="could not create unique"):
        desk.fleet.sql("two", "CREATE UNIQUE INDEX CONCURRENTLY others_id ON others (id)")
    told = desk("apply", "--on-failure", "continue", status=8)
    assert "could not create unique index" in told
    for name in ("one", "three"):
        desk.check(name, applied=True)
    desk.check("two", applied=False)
    invalid = "SELECT relname FROM pg_index JOIN pg_class ON oid = indexrelid WHERE NOT indisvalid"
    assert desk.fleet.sql("two", invalid) == [("others_id",)]
    desk.fleet.sql("two", "DELETE FROM users WHERE id = 9")
    desk("apply")
    desk.check("two", applied=True)


def test_apply_when_its_reverse_has_other_steps_then_a_person_is_told_and_the_next_run_goes_on(desk: Desk) -> None:
    desk.project.write("delta_20250401_indexes", DELTA.replace("-- SELECT 1;\n", ""))
    desk.fleet.sql("two", "INSERT INTO users VALUES (9, 'ada')")
    told = desk("apply", "--on-failure", "continue", status=6)
    assert "which of them take those steps back can't be told" in told
    assert "age" in desk.fleet.columns("two")
    desk.fleet.sql("two", "DELETE FROM users WHERE id = 9")
    desk("apply")
    desk.check("two", applied=True)


@pytest.mark.parametrize("verb", ["apply", "rollback"])
def test_step_when_killed_around_it_then_the_same_command_does_the_rest_once(desk: Desk, verb: str) -> None:
    for point in (
        "record.after:2",
        "alone.after:1",
        "commit.after:2",
        "alone.before:2",
        "alone.after:2",
        "record.after:4",
    ):
        if verb == "rollback":
            desk("apply", "--only", "one")
        died = desk.killed(point, verb, "--only", "one")
        assert died == -signal.SIGKILL, point
        desk(verb, "--only", "one")
        desk.check("one", applied=verb == "apply", told=point)
        if verb == "apply":
            desk("rollback", "--only", "one")
            desk.check("one", applied=False, told=point)
