"""Deltas of SQLite that say whether foreign keys are enforced: those that rebuild tables, and those that cascade."""

from pathlib import Path

import pytest

from tests.fixtures.cli import Cli
from tests.fixtures.sql_desk import NAME, Desk
from tests.fixtures.tenants import SqliteFleet

REBUILD = """PRAGMA foreign_keys = OFF;
CREATE TABLE anew (id integer PRIMARY KEY, name varchar(80) NOT NULL);
INSERT INTO anew SELECT id, name FROM users;
DROP TABLE users;
ALTER TABLE anew RENAME TO users;
PRAGMA foreign_keys = ON;
-- Reversible delta
-- SELECT 1;
"""
CASCADE = """PRAGMA foreign_keys = ON;
DELETE FROM teams WHERE id = 1;
-- Reversible delta
-- INSERT INTO teams VALUES (1);
-- INSERT INTO members VALUES (1, 1);
"""


@pytest.fixture
def desk(tmp_path: Path, cli: Cli) -> Desk:
    fleet = SqliteFleet(tmp_path, ["one", "two"])
    for name in fleet.names:
        fleet.sql(
            name,
            "CREATE TABLE teams (id integer PRIMARY KEY); INSERT INTO teams VALUES (1), (2); CREATE TABLE members"
            " (id integer PRIMARY KEY, team integer REFERENCES teams ON DELETE CASCADE); INSERT INTO members"
            " VALUES (1, 1), (2, 2)",
        )
    return Desk(fleet, cli)


def test_apply_when_a_table_is_rebuilt_then_in_one_transaction_with_all_others(desk: Desk) -> None:
    desk.project.write("delta_20250301_rebuild", REBUILD)
    plan = desk.done("plan", status=4)
    assert "step" not in desk("plan", status=4).out, plan
    desk("apply")
    for name in desk.fleet.names:
        assert desk.fleet.sql(name, "SELECT count(*) FROM users") == [("2",)]
        assert desk.fleet.sql(name, "SELECT count(*) FROM members") == [("2",)]
    assert desk.having() == desk.fleet.names


def test_apply_when_foreign_keys_are_asked_for_then_that_delta_alone_has_them(desk: Desk) -> None:
    desk.project.write(
        "delta_20250310_loses",
        "DELETE FROM members WHERE id = 2;\n-- Reversible delta\n-- INSERT INTO members VALUES (2, 2);\n",
    )
    desk.project.write("delta_20250320_cascade", CASCADE)
    desk.project.write("delta_20250321_more", "CREATE TABLE more (id integer);\n")
    desk("apply")
    for name in desk.fleet.names:
        assert desk.fleet.sql(name, "SELECT id FROM teams") == [("2",)]
        assert desk.fleet.sql(name, "SELECT id FROM members") == []
    assert desk.fleet.having("id", "more") == desk.fleet.names
    desk("rollback", "--to", NAME)
    for name in desk.fleet.names:
        assert desk.fleet.sql(name, "SELECT count(*) FROM members") == [("1",)]
        assert desk.fleet.having("id", "more") == []
    assert desk("apply").status == 0


def test_apply_when_a_delta_without_them_loses_parents_then_refused_and_told_what_would_cascade(desk: Desk) -> None:
    desk.project.write("delta_20250320_orphans", "DELETE FROM teams WHERE id = 1;\n-- Reversible delta\n-- SELECT 1;\n")
    told = desk("apply", status=8)
    assert "PRAGMA foreign_keys = ON" in told.out + told.err
    assert desk.fleet.sql(desk.fleet.names[0], "SELECT count(*) FROM teams") == [("2",)]
