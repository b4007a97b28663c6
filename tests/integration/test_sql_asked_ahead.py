"""What keeps a delta of MariaDB from being taken back: it is found before the first step, or nothing is refused."""

import random
import signal
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import pymysql
import pytest

from tests.fixtures import sql_child
from tests.fixtures.cli import Cli
from tests.fixtures.depth import by_depth
from tests.fixtures.lone_desk import LoneDesk
from tests.fixtures.mariadb import MariaDB
from tests.fixtures.tenants import MysqlFleet

NAME: Final = "delta_20250401_asked"
MADE: Final = "CREATE TABLE made (id int PRIMARY KEY, n int);\n"
UPDATED: Final = "UPDATE users SET n = n + 1 WHERE id > 1;\n"
COPIED: Final = "CREATE TABLE copied AS SELECT id FROM users;\nALTER TABLE users ADD COLUMN w int;\n"
TRIGGER: Final = "CREATE TRIGGER {} AFTER UPDATE ON users FOR EACH ROW SET @x = 1"
FILLED: Final = "INSERT INTO made VALUES (1, 1);\n"
ACCEPTED: Final = "pdelta sql rollback --accept-data-loss"
PARTS: Final = (
    ("UPDATE users SET n = n + 1 WHERE id > 1",),
    ("UPDATE users SET n = 9", "UPDATE users SET n = n + 1 WHERE id = 3"),
    ("DELETE FROM users WHERE id = 1",),
    ("INSERT INTO users (id, n) VALUES (7, 7)",),
    ("REPLACE INTO users (id, n) VALUES (2, 5), (8, 8)",),
    ("ALTER TABLE users ADD COLUMN w int",),
    ("ALTER TABLE users ADD COLUMN y int", "UPDATE users SET y = 4, n = n + 2 WHERE id = 2"),
    ("ALTER TABLE users ADD COLUMN v varchar(9) DEFAULT 'x'", "UPDATE users SET v = 'z' WHERE id < 3"),
    ("ALTER TABLE users DROP COLUMN z",),
    ("ALTER TABLE users MODIFY n bigint",),
    ("CREATE INDEX by_n ON users (n)",),
    ("CREATE TABLE made (id int PRIMARY KEY, n int)",),
    ("CREATE TABLE own (id int PRIMARY KEY, n int)", "INSERT INTO own VALUES (1, 1), (2, 2)", "UPDATE own SET n = 5"),
    ("CREATE TABLE copied AS SELECT id FROM users",),
    ("UPDATE others SET n = n * 2",),
    ("DELETE FROM others WHERE id = 2",),
    ("ALTER TABLE others ADD COLUMN w int",),
    ("UPDATE called SET n = n + 1", "RENAME TABLE called TO renamed", "DELETE FROM renamed WHERE id = 1"),
)
BY_HAND: Final = (
    "UPDATE users SET n = 77 WHERE id = 2",
    "UPDATE users SET n = 77 WHERE id = 3",
    "INSERT INTO users (id, n) VALUES (1, 77)",
    "DELETE FROM users WHERE id = 2",
    "DELETE FROM users WHERE id = 7",
    "UPDATE users SET w = 77",
    "UPDATE users SET y = 77 WHERE id = 3",
    "UPDATE users SET v = 'y' WHERE id = 3",
    "INSERT INTO made VALUES (77, 77)",
    "INSERT INTO own VALUES (77, 77)",
    "DELETE FROM own",
    "INSERT INTO copied VALUES (77)",
    "UPDATE others SET n = 77 WHERE id = 1",
    "INSERT INTO others (id, n) VALUES (2, 77)",
    "UPDATE others SET w = 77 WHERE id = 3",
    "UPDATE renamed SET n = 77 WHERE id = 2",
    "INSERT INTO renamed (id, n) VALUES (1, 77)",
)


def _some(chosen: random.Random) -> str:
    """Give a delta of some parts, among each other, but each of them in order."""
    parts = [list(part) for part in chosen.sample(PARTS, chosen.randint(2, 4))]
    turns = [part for part in parts for _ in part]
    chosen.shuffle(turns)
    return "".join(f"{part.pop(0)};\n" for part in turns)


class Desk(LoneDesk):
    """One tenant with rows that others change behind a delta of several statements."""

    def __init__(self, fleet: MysqlFleet, cli: Cli) -> None:
        super().__init__(fleet, cli)
        self.fill()

    def fill(self) -> None:
        """Make the tables anew, and forget what was applied."""
        for (name,) in self.sql("SELECT table_name FROM information_schema.tables WHERE table_schema = database()"):
            self.sql(f"DROP TABLE `{name}`")
        for table in ("users", "others", "called"):
            self.sql(f"CREATE TABLE {table} (id int PRIMARY KEY, n int, z int, s varchar(5) DEFAULT 'x')")
            self.sql(f"INSERT INTO {table} (id, n, z) VALUES (1, 1, 1), (2, 2, 2), (3, 3, 3)")  # noqa: S608 - a name of ours

    def write(self, forward: str) -> None:
        self.project.write(NAME, forward)

    @property
    def held(self) -> dict[str, list[tuple[str, ...]]]:
        """What the tables hold that are not pdelta's own."""
        found = self.sql("SELECT table_name FROM information_schema.tables WHERE table_schema = database()")
        names = sorted(name for (name,) in found if "pdelta_" not in name)
        return {name: sorted(self.sql(f"SELECT * FROM `{name}`")) for name in names}  # noqa: S608 - names it has

    @property
    def states(self) -> list[tuple[str, ...]]:
        return self.sql("SELECT state FROM pdelta_applied")


@pytest.fixture
def desk(tmp_path: Path, mariadb: MariaDB, cli: Cli) -> Iterator[Desk]:
    fleet = MysqlFleet(tmp_path, ["one"], mariadb)
    yield Desk(fleet, cli)
    fleet.drop()


@pytest.mark.parametrize(
    ("forward", "by_hand", "told"),
    [
        (MADE + UPDATED, "INSERT INTO made VALUES (7, 7)", "1 row of made would be lost"),
        (
            MADE + FILLED + UPDATED,
            "INSERT INTO made VALUES (7, 7)",
            "2 rows of made would be lost",
        ),
        (
            "ALTER TABLE users ADD COLUMN w int;\nDELETE FROM users WHERE id = 1;\n",
            "UPDATE users SET w = 9",
            "2 rows of users have a value in w that would be lost",
        ),
        (
            f"ALTER TABLE users ADD COLUMN w int;\n{UPDATED}",
            "UPDATE users SET w = 9 WHERE id = 1",
            "1 row of users has a value in w that would be lost",
        ),
        (
            f"{UPDATED}ALTER TABLE users ADD COLUMN w int;\n",
            "UPDATE users SET n = 9 WHERE id = 2",
            "1 row of users was changed since",
        ),
        (
            UPDATED + "ALTER TABLE users DROP COLUMN z;\n",
            "UPDATE users SET n = 9 WHERE id = 2",
            "1 row of users was changed since",
        ),
        (
            UPDATED + "ALTER TABLE users DROP COLUMN z;\nUPDATE others SET n = 8;\n",
            "UPDATE users SET n = 9 WHERE id = 2",
            "1 row of users was changed since",
        ),
        (
            UPDATED + "RENAME TABLE users TO people;\nALTER TABLE people RENAME TO persons;\n",
            "UPDATE persons SET n = 9 WHERE id = 2",
            "1 row of users was changed since",
        ),
        (
            "UPDATE users SET n = 5;\nALTER TABLE users MODIFY n bigint, MODIFY s varchar(50);\n",
            "UPDATE users SET n = 9 WHERE id = 2",
            "1 row of users was changed since",
        ),
        (
            "DELETE FROM users WHERE id = 1;\nUPDATE others SET n = 8;\n",
            "INSERT INTO users (id, n) VALUES (1, 1)",
            "1 row of users is there again",
        ),
        (
            COPIED + UPDATED,
            "INSERT INTO copied VALUES (7)",
            "4 rows of copied would be lost",
        ),
        (
            UPDATED + UPDATED.replace("> 1", "< 3"),
            "UPDATE users SET n = 9 WHERE id = 3",
            "1 row of users was changed since",
        ),
        (
            UPDATED + UPDATED.replace("users", "others"),
            TRIGGER.format("by_hand"),
            "users has triggers",
        ),
    ],
)
def test_rollback_when_a_later_step_would_be_refused_then_it_is_before_the_first(
    desk: Desk, forward: str, by_hand: str, told: str
) -> None:
    before = desk.held
    desk.write(forward)
    desk("apply")
    desk.sql(by_hand)
    changed = desk.held
    said = desk("rollback", status=8)
    assert told in said
    assert "as it was" in said
    assert (ACCEPTED in said) == ("would be lost" in told)
    assert (desk.held, desk.states) == (changed, [("applied",)])
    if "would be lost" in told:
        desk("rollback", "--accept-data-loss")
        assert desk.held == before


def test_rollback_when_what_would_be_lost_goes_with_rows_that_the_delta_takes_back_then_it_is_no_loss(
    desk: Desk,
) -> None:
    before = desk.held
    desk.write(
        "ALTER TABLE users ADD COLUMN w int;\nINSERT INTO users (id, n, w) VALUES (7, 7, 7);\n"
        "UPDATE users SET n = 8, w = 8 WHERE id = 2;\nUPDATE users SET n = 9 WHERE id = 2;\n"
    )
    desk("apply")
    desk("rollback")
    assert desk.held == before


def test_rollback_when_a_trigger_of_the_delta_goes_first_then_it_does_not_keep_rows_from_coming_back(
    desk: Desk,
) -> None:
    before = desk.held
    desk.write(f"{UPDATED}{TRIGGER.format('own')};\n")
    desk("apply")
    desk("rollback")
    assert desk.held == before


@pytest.mark.parametrize("more", ["", UPDATED])
def test_rollback_when_killed_behind_a_table_made_of_a_query_then_what_is_in_it_is_asked_for_first(
    desk: Desk, more: str
) -> None:
    before = desk.held
    desk.write(more + COPIED + UPDATED + "CREATE INDEX i ON nope (a);\n")
    for number in range(1, 20):
        # Before the ledger says what was in the table at first.
        status, told = sql_child.die(desk.cli, desk.fleet.folder, f"alone.after:{number}", "apply")
        assert status == -signal.SIGKILL, told
        if "copied" in desk.held:
            break
        desk("rollback", "--only", desk.tenant, status=None)
    for verb in ("apply", "rollback"):
        told = desk(verb, "--only", desk.tenant, status=6)
        assert "3 rows of copied would be lost" in told
        assert ACCEPTED in told
        assert ("copied" in desk.held, desk.states) == (True, [("applying",)])
        assert desk.sql("SELECT n, w FROM users WHERE id = 1") == [("1", "")]
    desk("rollback", "--only", desk.tenant, "--accept-data-loss")
    assert (desk.held, desk.states) == (before, [])


def test_rollback_when_rows_were_changed_by_hand_behind_several_statements_then_all_comes_back_or_nothing(
    desk: Desk,
) -> None:
    for seed in range(by_depth(brief=4, full=8, soak=200)):
        chosen = random.Random(seed)
        desk.fill()
        before = desk.held
        desk.write(_some(chosen))
        told = desk("apply", status=None)
        if (after := desk.held) == before:
            continue
        assert desk.states == [("applied",)], (seed, told)
        by_hand = chosen.sample(BY_HAND, 5)
        for one in by_hand:
            # There may be no such table or column.
            with suppress(pymysql.Error):
                desk.sql(one)
            if desk.held != after:
                break
        changed = desk.held
        told = desk("rollback", status=None)
        if desk.states:
            assert (desk.held, desk.states) == (changed, [("applied",)]), (seed, by_hand, told)
            assert "as it was" in told, (seed, by_hand, told)
