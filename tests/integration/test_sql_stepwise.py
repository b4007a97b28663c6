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


SET: Final = "delta_20250402_set"
NOW: Final = "SELECT current_setting('maintenance_work_mem') AS s"
KEEPS: Final = f"""-- pdelta: transaction=none
SET maintenance_work_mem = '33MB';
CREATE TABLE a AS {NOW};
CREATE INDEX CONCURRENTLY i ON users (memory(name));
RESET maintenance_work_mem;
CREATE TABLE b AS {NOW};
-- Reversible delta
-- DROP TABLE b;
-- DROP INDEX CONCURRENTLY i;
-- DROP TABLE a;
"""
MEMORY: Final = """CREATE FUNCTION memory(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS
$$ BEGIN IF current_setting('maintenance_work_mem') <> '33MB' THEN RAISE EXCEPTION 'not set'; END IF;
RETURN $1; END $$"""


@pytest.fixture
def setting(desk: Desk) -> Desk:
    (desk.project.deltas / "delta_20250401_indexes.sql").unlink()
    desk.project.write(SET, KEEPS)
    desk.fleet.each(desk.fleet.names, MEMORY)
    return desk


def test_apply_when_a_step_sets_something_then_it_holds_for_the_later_ones_and_no_other_delta(setting: Desk) -> None:
    setting.project.write("delta_20250403_later", f"CREATE TABLE c AS {NOW};")
    setting("apply")
    usual = setting.fleet.sql("one", NOW)
    assert usual != [("33MB",)]
    for name in setting.fleet.names:
        seen = [setting.fleet.sql(name, f"SELECT s FROM {table}") for table in "abc"]  # noqa: S608 - ours
        assert seen == [[("33MB",)], usual, usual]
    setting("rollback", "--to", "0")
    assert setting.fleet.columns("one", "a") == []


@pytest.mark.parametrize("point", ["commit.after:1", "alone.before:1", "alone.after:1"])
def test_apply_when_killed_behind_what_sets_something_then_it_holds_in_the_next_run(setting: Desk, point: str) -> None:
    assert setting.killed(point, "apply", "--only", "one") == -signal.SIGKILL
    setting("apply")
    for name in setting.fleet.names:
        assert setting.fleet.sql(name, "SELECT s FROM a") == [("33MB",)]


def test_apply_when_a_step_fails_behind_a_setting_then_nothing_need_be_taken_back(setting: Desk) -> None:
    text = "SET work_mem = '5MB';\nCREATE INDEX CONCURRENTLY i ON lacking (id);\n"
    for header, back in (
        ("", "-- Reversible delta\n-- DROP INDEX CONCURRENTLY i;\n"),
        ('-- pdelta: irreversible="meant"\n', ""),
    ):
        setting.project.write(SET, f"{header}{text}{back}")
        told = setting("apply", status=8)
        assert "lacking" in told
        assert "in between" not in told
        assert setting.fleet.sql("one", "SELECT count(*) FROM pdelta_applied") == [("0",)]


def test_apply_when_a_setting_would_end_with_its_step_then_no_tenant_is_touched(setting: Desk) -> None:
    setting.project.write(SET, KEEPS.replace("SET maint", "SET LOCAL maint"))
    told = setting("apply", status=3)
    assert f"{SET}.sql: line 2: SET LOCAL ends with its step" in told
    assert setting.fleet.columns("one", "a") == []
