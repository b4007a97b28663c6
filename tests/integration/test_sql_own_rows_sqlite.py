"""Content of tables and columns that a delta for SQLite has made step by step: that of others is a loss."""

from pathlib import Path
from typing import Final

import pytest

from tests.fixtures.cli import Cli
from tests.fixtures.lone_desk import LoneDesk
from tests.fixtures.tenants import SqliteFleet

NAME: Final = "delta_20250401_made"
STEPS: Final = "-- pdelta: transaction=none\n"
FAILS: Final = "ALTER TABLE nope ADD COLUMN a int;\n"
MADE: Final = "CREATE TABLE w (id INTEGER PRIMARY KEY, x text);\nINSERT INTO w VALUES (1, 'a'), (2, NULL);\n"
FILLS: Final = """ALTER TABLE t ADD COLUMN z int;
ALTER TABLE t ADD COLUMN v int NOT NULL DEFAULT 7;
UPDATE t SET z = 1 WHERE id = 5;
ALTER TABLE t RENAME COLUMN z TO y;
UPDATE t SET y = coalesce(y, 0) + 1, v = 2;
"""
MOVES: Final = """ALTER TABLE t ADD COLUMN z int;
UPDATE t SET z = 1;
DELETE FROM t WHERE id = 6;
UPDATE t SET z = 2;
"""
GROWS: Final = """ALTER TABLE w ADD COLUMN y int DEFAULT 4;
UPDATE w SET y = 7 WHERE id = 1;
ALTER TABLE w RENAME TO u;
INSERT INTO u VALUES (4, 'd', 5);
UPDATE u SET y = 8;
"""


class Desk(LoneDesk):
    """One tenant, and a delta without a written reverse that makes something and fills it."""

    def __init__(self, fleet: SqliteFleet, cli: Cli) -> None:
        super().__init__(fleet, cli)
        self.sql("CREATE TABLE t (id INTEGER PRIMARY KEY)")
        self.sql("INSERT INTO t VALUES (5), (6)")

    def write(self, forward: str) -> None:
        self.project.write(NAME, STEPS + forward)

    def check_gone(self) -> None:
        assert self.sql("SELECT name FROM sqlite_schema WHERE name IN ('u', 'w')") == []
        assert self.sql("SELECT * FROM t ORDER BY 1") == [("5",), ("6",)]
        assert self.sql("SELECT name FROM sqlite_schema WHERE name LIKE 'pdelta_kept%'") == []
        assert self.sql("SELECT id FROM pdelta_applied") == []


@pytest.fixture
def desk(tmp_path: Path, cli: Cli) -> Desk:
    return Desk(SqliteFleet(tmp_path, ["one"]), cli)


@pytest.mark.parametrize("verb", ["apply", "rollback"])
@pytest.mark.parametrize(
    ("point", "others"),
    [
        ("commit.before:3", "UPDATE t SET z = 77 WHERE id = 6"),
        ("commit.after:3", "UPDATE t SET z = 77 WHERE id = 6"),
        ("commit.before:5", "UPDATE t SET y = 77 WHERE id = 6"),
        ("commit.before:5", "UPDATE t SET v = 77 WHERE id = 6"),
        ("commit.after:5", "UPDATE t SET y = 77 WHERE id = 6"),
    ],
)
def test_when_others_have_filled_a_column_of_its_own_meanwhile_then_that_keeps_it_from_coming_back(
    desk: Desk, point: str, others: str, verb: str
) -> None:
    desk.write(FILLS + FAILS)
    desk.killed(point, "apply")
    desk.sql(others)
    told = desk(verb, status=6)
    assert "that would be lost" in told or "that the delta did not give" in told
    # The delta's own UPDATE may have come to it since.
    assert {"77", "78", "2"} & set(desk.sql("SELECT * FROM t WHERE id = 6")[0])


@pytest.mark.parametrize("point", ["commit.before:2", "commit.after:2", "commit.after:3", "commit.after:4"])
def test_when_others_have_put_rows_into_a_table_of_its_own_meanwhile_then_that_keeps_it_from_coming_back(
    desk: Desk, point: str
) -> None:
    desk.write(f"{MADE}ALTER TABLE w ADD COLUMN y int;\nUPDATE w SET y = 7;\n{FAILS}")
    desk.killed(point, "apply")
    desk.sql("INSERT INTO w (id) VALUES (9)")
    desk("apply", status=6)
    assert ("9",) in desk.sql("SELECT id FROM w")


@pytest.mark.parametrize("forward", [FILLS, MOVES, MADE, MADE + GROWS, f"{MADE}DROP TABLE w;\n"])
def test_apply_when_a_later_step_fails_then_the_deltas_own_content_goes_with_what_it_made(
    desk: Desk, forward: str
) -> None:
    desk.write(forward + FAILS)
    assert "as it was" in desk("apply", status=8)
    desk.check_gone()
    desk.write(forward)
    desk("apply")
    desk("rollback")
    desk.check_gone()
