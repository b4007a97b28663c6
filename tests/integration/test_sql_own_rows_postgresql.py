"""Content of tables and columns that a delta for PostgreSQL has made step by step: only that of others is a loss."""

from pathlib import Path
from typing import Final

import pytest

from tests.fixtures.cli import Cli
from tests.fixtures.lone_desk import LoneDesk
from tests.fixtures.postgresql import PostgreSQL
from tests.fixtures.tenants import SchemaFleet

NAME: Final = "delta_20250401_made"
STEPS: Final = "-- pdelta: transaction=none\n"
FAILS: Final = "ALTER TABLE nope ADD a int;\n"
MADE: Final = "CREATE TABLE w (id int PRIMARY KEY, x text);\nINSERT INTO w VALUES (1, 'a'), (2, NULL);\n"
FILLS: Final = (
    "ALTER TABLE t ADD COLUMN z int, ADD COLUMN v int NOT NULL DEFAULT 7;\n"
    "UPDATE t SET z = 1 WHERE id = 5;\n"
    "ALTER TABLE t RENAME COLUMN z TO y;\n"
    "UPDATE t SET y = coalesce(y, 0) + 1, v = 2;\n"
)
COLUMNS: Final = (
    "ALTER TABLE t ADD COLUMN z serial;\nUPDATE t SET z = z + 7;\n",
    """ALTER TABLE t ADD COLUMN z float8;
UPDATE t SET z = id;
ALTER TABLE t ALTER z TYPE numeric(9, 2);
UPDATE t SET z = z + 1;
UPDATE t SET z = z + 1;
ALTER TABLE t ALTER z SET NOT NULL;
""",
    """ALTER TABLE t ADD COLUMN z int;
UPDATE t SET z = 1;
DELETE FROM t WHERE id = 6;
UPDATE t SET z = 2;
INSERT INTO t VALUES (7, 7);
UPDATE t SET z = z + 1 WHERE id = 5;
""",
)
TABLES: Final = (
    "INSERT INTO w VALUES (3, 'c');\nUPDATE w SET x = 'z' WHERE id < 3;\nDELETE FROM w WHERE id = 2;\n",
    """ALTER TABLE w ADD COLUMN y int DEFAULT 4, ALTER x TYPE varchar(9);
UPDATE w SET y = 7 WHERE id = 1;
UPDATE w SET x = 'd';
ALTER TABLE w DROP COLUMN x;
INSERT INTO w VALUES (4, 5);
""",
    """ALTER TABLE w RENAME TO v;
INSERT INTO v VALUES (5, 'v');
ALTER TABLE v RENAME TO u;
UPDATE u SET x = 1;
""",
    """CREATE INDEX CONCURRENTLY i ON w (x);
WITH a AS (INSERT INTO w VALUES (7) RETURNING id) UPDATE w SET x = 'q';
""",
    "DROP TABLE w;\n",
)
OTHER_TABLES: Final = (
    "CREATE TABLE v AS SELECT 1 AS id;\nINSERT INTO v VALUES (3);\nTRUNCATE v;\nINSERT INTO v VALUES (4);\n",
    "CREATE TABLE w (id int);\nALTER TABLE w ADD y int;\nINSERT INTO w VALUES (1, 2);\nUPDATE w SET y = 3;\n",
)


class Desk(LoneDesk):
    """One tenant, and a delta without a written reverse that makes something and fills it."""

    def __init__(self, fleet: SchemaFleet, cli: Cli) -> None:
        super().__init__(fleet, cli)
        self.sql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (5), (6)")

    def write(self, forward: str, header: str = STEPS) -> None:
        self.project.write(NAME, header + forward)

    def reverse(self) -> str:
        ((found,),) = self.sql("SELECT replace(reverse, E'\\n', ' ') FROM pdelta_applied")
        return found

    def check_gone(self, *tables: str) -> None:
        assert [table for table in tables if self.fleet.columns(self.tenant, table)] == []
        assert self.sql("SELECT * FROM t ORDER BY 1") == [("5",), ("6",)]
        assert self.sql("SELECT id FROM pdelta_applied") == []


@pytest.fixture
def desk(tmp_path: Path, postgresql: PostgreSQL, pg_database: str, cli: Cli) -> Desk:
    return Desk(SchemaFleet(tmp_path, ["one"], postgresql, pg_database), cli)


@pytest.mark.parametrize(
    ("point", "others"),
    [
        ("commit.before:2", "UPDATE t SET z = 77 WHERE id = 6"),
        ("commit.after:2", "UPDATE t SET z = 77 WHERE id = 6"),
        ("commit.before:3", "UPDATE t SET z = 77 WHERE id = 6"),
        ("commit.after:3", "UPDATE t SET y = 77 WHERE id = 6"),
        ("commit.after:3", "UPDATE t SET v = 77 WHERE id = 6"),
        ("commit.before:4", "UPDATE t SET y = 77 WHERE id = 6"),
        ("commit.after:4", "UPDATE t SET y = 77 WHERE id = 6"),
    ],
)
@pytest.mark.parametrize("verb", ["apply", "rollback"])
def test_when_others_have_filled_a_column_of_its_own_meanwhile_then_that_keeps_it_from_coming_back(
    desk: Desk, point: str, others: str, verb: str
) -> None:
    desk.write(FILLS + FAILS)
    desk.killed(point, "apply")
    desk.sql(others)
    assert "that would be lost" in desk(verb, status=6)
    # The delta's own UPDATE may have come to it since.
    assert {"77", "78", "2"} & set(desk.sql("SELECT * FROM t WHERE id = 6")[0])
    assert len(desk.sql("SELECT * FROM t")[0]) == 3


@pytest.mark.parametrize("point", ["commit.before:2", "commit.after:2", "commit.after:3", "commit.after:4"])
def test_when_others_have_put_rows_into_a_table_of_its_own_meanwhile_then_that_keeps_it_from_coming_back(
    desk: Desk, point: str
) -> None:
    desk.write(f"{MADE}ALTER TABLE w ADD COLUMN y int;\nUPDATE w SET y = 7;\n{FAILS}")
    desk.killed(point, "apply")
    desk.sql("INSERT INTO w (id) VALUES (9)")
    assert "would be lost" in desk("apply", status=6)
    assert ("9",) in desk.sql("SELECT id FROM w")


def test_rollback_when_others_have_put_rows_into_a_table_that_the_delta_drops_then_they_are_counted(desk: Desk) -> None:
    desk.write(f"{MADE}DROP TABLE w;\n{FAILS}")
    desk.killed("commit.after:2", "apply")
    desk.sql("INSERT INTO w (id) VALUES (9)")
    assert "3 rows of w would be lost" in desk("apply", status=6)


@pytest.mark.parametrize("forward", [FILLS, *COLUMNS, MADE, *(MADE + more for more in TABLES), *OTHER_TABLES])
def test_apply_when_a_later_step_fails_then_the_deltas_own_content_goes_with_what_it_made(
    desk: Desk, forward: str
) -> None:
    desk.write(forward + FAILS)
    assert "as it was" in desk("apply", status=8)
    desk.check_gone("u", "v", "w")
    desk.write(forward)
    desk("apply")
    assert "pdelta found" not in desk.reverse()
    desk("rollback")
    desk.check_gone("u", "v", "w")


@pytest.mark.parametrize("header", [STEPS, ""])
def test_rollback_when_others_have_changed_its_content_since_then_that_is_counted(desk: Desk, header: str) -> None:
    desk.write(FILLS, header)
    desk("apply")
    assert ("pdelta left" in desk.reverse()) == bool(header)
    desk.sql("UPDATE t SET y = 77 WHERE id = 6")
    told = desk("rollback", status=8)
    assert "2 rows of t have a value in " in told
    assert "not all of them as the delta left them" in told
    desk.sql("UPDATE t SET y = 1 WHERE id = 6")
    desk("rollback")
    desk.check_gone()


@pytest.mark.parametrize(
    ("forward", "others"),
    [
        (
            "ALTER TABLE t ADD z int;\nCREATE INDEX CONCURRENTLY i ON t (z);\nUPDATE t SET z = 1 WHERE id = 5;\n",
            "UPDATE t SET z = 77 WHERE id = 6",
        ),
        (
            f"{MADE}CREATE INDEX CONCURRENTLY i ON w (x);\nINSERT INTO w VALUES (3, 'c');\n",
            "INSERT INTO w VALUES (9, 'of others')",
        ),
    ],
)
def test_rollback_when_a_step_alone_parts_the_guard_from_the_drop_then_it_is_counted_again(
    desk: Desk, forward: str, others: str
) -> None:
    desk.write(forward)
    desk("apply")
    desk.killed("alone.after:1", "rollback")
    desk.sql(others)
    assert "1 row of " in (told := desk("rollback", status=6))
    assert "would be lost" in told
    desk("rollback", "--accept-data-loss")
    desk.check_gone("w")


def test_rollback_when_killed_behind_the_guard_then_nothing_is_dropped_that_it_has_not_seen(desk: Desk) -> None:
    desk.write(MADE)
    desk("apply")
    desk.killed("commit.after:1", "rollback")
    # The lock, the guard and the DROP were one step.
    assert desk.fleet.columns(desk.tenant, "w") == []
    desk("rollback")
    desk.check_gone("w")
