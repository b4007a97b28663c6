"""Rows of tables that a delta for MariaDB has made itself: its own are no loss, and those of others are."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.fixtures.cli import Cli
from tests.fixtures.lone_desk import LoneDesk
from tests.fixtures.mariadb import MariaDB
from tests.fixtures.tenants import MysqlFleet

NAME: Final = "delta_20250401_made"
MADE: Final = "CREATE TABLE w (id int PRIMARY KEY, x varchar(20));\nINSERT INTO w VALUES (1, 'a'), (2, NULL);\n"
FAILS: Final = "CREATE INDEX i ON nope (a);\n"
FOLLOWS: Final = """INSERT INTO t VALUES (7);
CREATE TABLE v (id int, CONSTRAINT a FOREIGN KEY (id) REFERENCES t (id) ON DELETE CASCADE);
INSERT INTO v VALUES (7);
"""
FILLS: Final = """INSERT INTO t VALUES (7);
ALTER TABLE w ADD COLUMN n int, ADD CONSTRAINT b FOREIGN KEY (n) REFERENCES t (id);
UPDATE w SET n = 7;
"""
LEADS: Final = """ALTER TABLE t ADD COLUMN n int, ADD CONSTRAINT c FOREIGN KEY (n) REFERENCES w (id) ON DELETE CASCADE;
INSERT INTO w VALUES (3, 'c');
UPDATE t SET n = 3;
"""


class Desk(LoneDesk):
    """One tenant, and a delta without a written reverse that makes tables and fills them."""

    def write(self, forward: str) -> None:
        self.project.write(NAME, forward)

    def check_gone(self, *tables: str) -> None:
        assert [table for table in tables if self.fleet.columns(self.tenant, table)] == []
        assert self.sql("SELECT id FROM pdelta_applied") == []


@pytest.fixture
def desk(tmp_path: Path, mariadb: MariaDB, cli: Cli) -> Iterator[Desk]:
    fleet = MysqlFleet(tmp_path, ["one"], mariadb)
    desk = Desk(fleet, cli)
    desk.sql("CREATE TABLE t (id int PRIMARY KEY); INSERT INTO t VALUES (5)")
    yield desk
    fleet.drop()


@pytest.mark.parametrize(
    "more",
    [
        "",
        "INSERT INTO w VALUES (3, 'c');\nUPDATE w SET x = 'z' WHERE id < 3;\nDELETE FROM w WHERE id = 2;\n",
        "ALTER TABLE w ADD COLUMN y int DEFAULT 4, MODIFY x varchar(50);\nUPDATE w SET y = 7 WHERE id = 1;\n",
        "RENAME TABLE w TO v;\nINSERT INTO v VALUES (5, 'v');\nALTER TABLE v RENAME TO u;\nUPDATE u SET x = 1;\n",
        "CREATE TABLE v AS SELECT * FROM w;\nINSERT INTO v VALUES (3, 'v');\nINSERT INTO w VALUES (3, 'w');\n",
        "REPLACE INTO w VALUES (1, 'b');\nINSERT INTO w VALUES (2, 'c') ON DUPLICATE KEY UPDATE x = 'd';\n",
        "CREATE TABLE v LIKE w;\nINSERT INTO v SELECT * FROM w;\nDROP TABLE v;\n",
        # Each leads to the one before, whose rows can't go first.
        FOLLOWS,
        FILLS,
        # The tenant's own rows must stay.
        LEADS,
    ],
)
def test_apply_when_a_later_step_fails_then_the_deltas_own_rows_go_with_its_tables(desk: Desk, more: str) -> None:
    desk.write(MADE + more + FAILS)
    assert "as it was" in desk("apply", status=8)
    desk.check_gone("u", "v", "w")
    assert desk.sql("SELECT * FROM t") == [("5",)]


def test_rollback_when_nobody_has_changed_its_rows_then_nothing_need_be_accepted(desk: Desk) -> None:
    desk.write(MADE)
    desk("apply")
    desk.sql("UPDATE w SET x = 'of others' WHERE id = 2")
    told = desk("rollback", status=8)
    assert "2 rows of w would be lost, not all of them as the delta left them" in told
    desk.sql("UPDATE w SET x = NULL WHERE id = 2")
    desk("rollback")
    desk.check_gone("w")


def test_rollback_when_others_have_put_rows_into_the_first_of_its_tables_then_nothing_is_begun(desk: Desk) -> None:
    desk.write(f"{MADE}CREATE TABLE v (id int);\nINSERT INTO v VALUES (1);\nALTER TABLE t ADD COLUMN n int;")
    desk("apply")
    desk.sql("INSERT INTO w VALUES (9, 'of others')")
    assert "3 rows of w would be lost, not all of them as" in (told := desk("rollback", status=8))
    assert "as it was" in told
    assert desk.sql("SELECT * FROM v") == [("1",)]
    desk("rollback", "--accept-data-loss")
    desk.check_gone("v", "w")


@pytest.mark.parametrize("point", ["alone.before:2", "commit.after:1", "alone.after:3", "commit.before:2"])
def test_apply_when_others_have_put_rows_there_meanwhile_then_these_keep_it_from_coming_back(
    desk: Desk, point: str
) -> None:
    desk.write(f"{MADE}ALTER TABLE w ADD COLUMN y int;\nUPDATE w SET y = 7;\n{FAILS}")
    desk.killed(point, "apply")
    desk.sql("INSERT INTO w (id) VALUES (9)")
    told = desk("apply", status=6)
    assert "would be lost" in told
    assert ("9",) in desk.sql("SELECT id FROM w"), point


def test_apply_when_killed_before_its_rows_and_others_come_first_then_these_are_not_taken_for_its_own(
    desk: Desk,
) -> None:
    desk.write(MADE + FAILS)
    desk.killed("commit.before:1", "apply")
    desk.sql("INSERT INTO w VALUES (9, 'of others')")
    assert "3 rows of w would be lost" in desk("apply", status=6)
    assert desk.sql("SELECT count(*) FROM w") == [("3",)]


@pytest.mark.parametrize(
    ("point", "others"),
    [
        ("alone.before:2", "UPDATE t SET z = 77 WHERE id = 6"),
        ("commit.after:1", "UPDATE t SET z = 77 WHERE id = 6"),
        ("alone.before:3", "UPDATE t SET z = 77 WHERE id = 6"),
        ("commit.before:2", "UPDATE t SET y = 77 WHERE id = 6"),
    ],
)
def test_apply_when_others_have_filled_a_column_of_its_own_meanwhile_then_that_keeps_it_from_coming_back(
    desk: Desk, point: str, others: str
) -> None:
    desk.sql("INSERT INTO t VALUES (6)")
    fills = "UPDATE t SET z = 1 WHERE id = 5;\nALTER TABLE t RENAME COLUMN z TO y;\nUPDATE t SET y = y + 1, v = 2;\n"
    desk.write(f"ALTER TABLE t ADD COLUMN z int, ADD COLUMN v int;\nDROP VIEW IF EXISTS s;\n{fills}{FAILS}")
    desk.killed(point, "apply")
    desk.sql(others)
    assert "that would be lost" in desk("apply", status=6)
    # The delta's own UPDATE may have come to it since.
    assert {"77", "78"} & set(desk.sql("SELECT * FROM t WHERE id = 6")[0])


def test_apply_when_a_step_behind_those_that_fill_columns_of_its_own_fails_then_it_comes_back(desk: Desk) -> None:
    fills = (
        "UPDATE t SET z = 1;\nALTER TABLE t RENAME COLUMN z TO y;\nUPDATE t SET y = 2, v = 3;\nUPDATE t SET v = 4;\n"
    )
    desk.write(f"ALTER TABLE t ADD COLUMN z int, ADD COLUMN v int NOT NULL DEFAULT 7;\n{fills}{FAILS}")
    assert "as it was" in desk("apply", status=8)
    assert desk.sql("SELECT * FROM t") == [("5",)]


def test_rollback_when_another_step_parts_the_guard_from_the_drop_then_values_are_counted_again(desk: Desk) -> None:
    desk.sql("INSERT INTO t VALUES (6)")
    desk.write("ALTER TABLE t ADD COLUMN z int;\nCREATE INDEX i ON t (z);\nUPDATE t SET z = 1 WHERE id = 5;\n")
    desk("apply")
    desk.killed("alone.after:1", "rollback")
    desk.sql("UPDATE t SET z = 77 WHERE id = 6")
    assert "1 row of t has a value in z that would be lost" in desk("rollback", status=6)
    assert desk.sql("SELECT z FROM t WHERE id = 6") == [("77",)]
    desk("rollback", "--accept-data-loss")
    assert desk.sql("SELECT * FROM t") == [("5",), ("6",)]


def test_apply_when_killed_behind_a_table_made_of_a_query_then_what_is_in_it_by_then_counts(desk: Desk) -> None:
    desk.write(f"CREATE TABLE w AS SELECT 1 AS id;\n{FAILS}")
    desk.killed("alone.after:2", "apply")
    desk.sql("INSERT INTO w VALUES (9)")
    assert "2 rows of w would be lost" in desk("apply", status=6)
    assert desk.sql("SELECT count(*) FROM w") == [("2",)]


def test_apply_when_rows_of_others_could_come_while_it_fills_its_table_then_all_of_them_count(
    desk: Desk, mariadb: MariaDB
) -> None:
    variable = "transaction_isolation" if mariadb.is_mysql else "tx_isolation"
    desk.write(MADE + FAILS)
    desk.sql(f"SET GLOBAL {variable} = 'READ-COMMITTED'")
    try:
        assert "2 rows of w would be lost" in desk("apply", status=6)
    finally:
        desk.sql(f"SET GLOBAL {variable} = DEFAULT")
