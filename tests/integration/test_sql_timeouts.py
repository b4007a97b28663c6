"""Statements that take longer than the project file lets them: a failure of that tenant, which is left as it was."""

from typing import Final

import pytest

from tests.fixtures.cli import Cli
from tests.fixtures.postgresql import PostgreSQL
from tests.fixtures.sql_desk import NAME, Desk
from tests.fixtures.tenants import Fleet, SchemaFleet

COUNTING: Final = (
    "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10000000000) SELECT max(i) FROM n"
)
SLOW: Final = {"sqlite": f"({COUNTING})", "postgresql": "(SELECT length(pg_sleep(60)::text))", "mysql": "SLEEP(60)"}
UPDATE: Final = "UPDATE users SET age = CASE WHEN (SELECT count(*) FROM orders) > 0 THEN {} ELSE 7 END"
SLOWLY: Final = "delta_20250401_age"


def written(fleet: Fleet) -> str:
    add, drop = "ALTER TABLE users ADD COLUMN age integer", "ALTER TABLE users DROP COLUMN age"
    return f"{add};\n{UPDATE.format(SLOW[fleet.engine])};\n-- Reversible delta\n-- SELECT 1;\n-- {drop};\n"


def limited(fleet: Fleet, cli: Cli) -> Desk:
    fleet.section += 'statement_timeout = "700ms"\n'
    return Desk(fleet, cli)


@pytest.mark.parametrize("batch", ["1", "6"])
def test_apply_when_a_statement_takes_too_long_then_that_tenant_fails_and_is_as_before(
    fleet: Fleet, cli: Cli, batch: str
) -> None:
    desk = limited(fleet, cli)
    desk.done("apply")
    slow = fleet.names[4]
    fleet.sql(slow, "INSERT INTO orders VALUES (1, 1, 5)")
    before = fleet.columns(slow)
    desk.project.write(SLOWLY, written(fleet))
    told = desk.done("apply", "--batch", batch, "--on-failure", "continue", "--no-prove", status=8)
    failed = [result for result in told["results"] if result["error"]]
    assert [(result["tenant"], result["standing"]) for result in failed] == [(slow, "before")]
    assert "longer than it may" in failed[0]["error"]["hint"]
    assert fleet.columns(slow) == before
    assert fleet.sql(slow, "SELECT id FROM pdelta_applied") == [(NAME,)]
    assert desk.having("age") == [name for name in fleet.names if name != slow]
    fleet.sql(slow, "DELETE FROM orders")
    desk.done("apply")
    assert desk.having("age") == fleet.names


def test_rehearse_when_a_statement_takes_too_long_then_it_is_named_and_nothing_changed(fleet: Fleet, cli: Cli) -> None:
    if fleet.engine == "mysql":
        pytest.skip("without transactions around DDL nothing is rehearsed")
    desk = limited(fleet, cli)
    slow = fleet.names[0]
    fleet.sql(slow, "INSERT INTO orders VALUES (1, 1, 5)")
    desk.project.write(SLOWLY, written(fleet))
    told = desk.done("apply", "--rehearse", "--no-prove", status=3)
    assert [result["tenant"] for result in told["results"] if result["error"]] == [slow]
    assert desk.having("age") == []


def test_rollback_when_a_statement_takes_too_long_then_that_tenant_keeps_its_delta(fleet: Fleet, cli: Cli) -> None:
    desk = limited(fleet, cli)
    slow = fleet.names[2]
    desk.project.write(SLOWLY, written(fleet).replace("-- SELECT 1;", f"-- {UPDATE.format(SLOW[fleet.engine])};"))
    desk.done("apply")
    fleet.sql(slow, "INSERT INTO orders VALUES (1, 1, 5)")
    told = desk.done("rollback", "--only", slow, "--to", NAME, status=None)
    assert told["results"][0]["error"]
    assert told["exit_status"] in {6, 8}
    assert desk.having("age") == fleet.names
    fleet.sql(slow, "DELETE FROM orders")
    desk.done("rollback", "--to", NAME)
    assert desk.having("age") == []


def test_apply_when_an_index_takes_too_long_then_nothing_of_it_stays(
    tmp_path_factory: pytest.TempPathFactory, postgresql: PostgreSQL, pg_database: str, cli: Cli
) -> None:
    fleet = SchemaFleet(tmp_path_factory.mktemp("slow"), ["one", "two"], postgresql, pg_database)
    desk = limited(fleet, cli)
    desk.done("apply")
    slowly = "CREATE FUNCTION slowly(integer) RETURNS integer IMMUTABLE LANGUAGE plpgsql AS {}"
    fleet.sql("one", slowly.format("$$BEGIN RETURN $1; END$$"))
    fleet.sql("two", slowly.format("$$BEGIN PERFORM pg_sleep(30); RETURN $1; END$$"))
    index = "CREATE INDEX CONCURRENTLY users_slowly ON users (slowly(id))"
    desk.project.write("delta_20250402_index", f"{index};\n-- Reversible delta\n-- DROP INDEX users_slowly;\n")
    told = desk.done("apply", "--on-failure", "continue", status=8)
    assert [(one["tenant"], one["standing"]) for one in told["results"] if one["error"]] == [("two", "before")]
    indexes = (
        "SELECT relname FROM pg_class WHERE relname = 'users_slowly' AND relnamespace = current_schema()::regnamespace"
    )
    assert (len(fleet.sql("one", indexes)), fleet.sql("two", indexes)) == (1, [])
