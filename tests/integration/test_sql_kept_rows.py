"""Rows of MariaDB's that a delta changes and its reverse brings back: crashes at any step, and others at work."""

import random
import signal
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from tests.fixtures import sql_child
from tests.fixtures.cli import Cli
from tests.fixtures.depth import SOAKING
from tests.fixtures.mariadb import MariaDB
from tests.fixtures.tenants import MysqlFleet, Project

NAME: Final = "delta_20250401_rows"
DELTA: Final = "UPDATE t SET c = c * 10 WHERE id < 9;\nINSERT INTO t VALUES (7, 7);\n"
STEPS: Final = 32
"""More passes of the fail point than the delta has."""


class Desk:
    """One tenant with the table ``t``, and a delta that changes rows of it."""

    def __init__(self, fleet: MysqlFleet, cli: Cli) -> None:
        self.fleet = fleet
        (self.tenant,) = fleet.names
        Project(fleet.folder, fleet.section).write(NAME, DELTA)
        self.cli = cli
        self.sql("CREATE TABLE t (id int PRIMARY KEY, c int); INSERT INTO t VALUES (5, 1), (9, 0)")

    def __call__(self, *words: str, status: int = 0) -> str:
        result = self.cli("sql", *words, cwd=self.fleet.folder, status=status)
        return result.out + result.err

    def sql(self, text: str) -> list[tuple[str, ...]]:
        return self.fleet.sql(self.tenant, text)

    @property
    def rows(self) -> dict[int, int]:
        return {int(id): int(c) for id, c in self.sql("SELECT id, c FROM t ORDER BY id")}

    @property
    def ours(self) -> int:
        """How many tables of kept rows there are; triggers of ours must not have stayed."""
        assert self.sql("SELECT trigger_name FROM information_schema.triggers WHERE trigger_schema = database()") == []
        return len(self.kept)

    @property
    def kept(self) -> list[str]:
        found = self.sql("SELECT table_name FROM information_schema.tables WHERE table_schema = database()")
        return [name for (name,) in found if name.startswith("pdelta_kept_")]


@pytest.fixture
def desk(tmp_path: Path, mariadb: MariaDB, cli: Cli) -> Iterator[Desk]:
    fleet = MysqlFleet(tmp_path, ["one"], mariadb)
    yield Desk(fleet, cli)
    fleet.drop()


def test_apply_when_rows_were_there_before_then_forward_back_and_forward(desk: Desk) -> None:
    for _ in range(2):
        desk("apply")
        assert (desk.rows, desk.ours) == ({5: 10, 7: 7, 9: 0}, 4)
        assert "nothing to do" in desk("apply")
        desk("rollback")
        assert (desk.rows, desk.ours) == ({5: 1, 9: 0}, 0)


def test_rollback_when_a_row_was_changed_since_then_refused_and_nothing_is_taken_back(desk: Desk) -> None:
    desk("apply")
    desk.sql("UPDATE t SET c = 8 WHERE id = 7")
    told = desk("rollback", status=8)
    assert "1 row of t was changed since" in told
    assert desk.rows == {5: 10, 7: 8, 9: 0}
    desk.sql("UPDATE t SET c = 7 WHERE id = 7")
    desk("rollback")
    assert desk.rows == {5: 1, 9: 0}


def test_apply_when_killed_at_any_step_and_others_write_then_their_rows_stay_and_the_rest_is_done(desk: Desk) -> None:
    counts = sorted(random.Random(3).sample(range(1, STEPS), STEPS - 1 if SOAKING else 4))
    died = 0
    for written, (count, verb) in enumerate(((count, verb) for count in counts for verb in ("apply", "rollback")), 1):
        status, told = sql_child.die(desk.cli, desk.fleet.folder, f":{count}", verb)
        assert status in {-signal.SIGKILL, 0}, told
        desk.sql("UPDATE t SET c = c + 1 WHERE id = 9")
        died += bool(status)
        if status and (verb == "apply" or desk.sql("SELECT id FROM pdelta_applied")):
            desk(verb)
        wanted = {5: 10, 7: 7} if verb == "apply" else {5: 1}
        assert desk.rows == {**wanted, 9: written}, (count, verb)
        assert desk.ours == (4 if verb == "apply" else 0), (count, verb)
    assert died > 1


def test_apply_when_others_write_all_the_time_then_none_of_theirs_is_kept(desk: Desk, mariadb: MariaDB) -> None:
    ended = threading.Event()
    failed: list[Exception] = []

    def write() -> None:
        with closing(mariadb.connect(None)) as connection, connection.cursor() as cursor:
            connection.select_db(desk.tenant)
            count = 100
            while not ended.is_set():
                count += 1
                try:
                    cursor.execute("INSERT INTO t VALUES (%s, 0)", (count,))
                    cursor.execute("UPDATE t SET c = c + 1 WHERE id = 9")
                    connection.commit()
                except Exception as error:  # noqa: BLE001 - told by the test
                    failed.append(error)
                    return

    writer = threading.Thread(target=write)
    writer.start()
    try:
        desk("apply")
        asked = "; ".join(f"SELECT id FROM `{name}`" for name in desk.kept)  # noqa: S608 - names of ours
        assert sorted(desk.sql(asked)) == [("5",), ("5",), ("7",)]
        desk("rollback")
    finally:
        ended.set()
        writer.join()
    assert not failed
    rows = desk.rows
    assert rows.pop(5) == 1
    assert rows.pop(9) == len(rows)
    assert len(rows) == max(rows) - 100


def test_plan_when_a_statement_is_calculated_in_the_tenant_then_it_says_so(desk: Desk) -> None:
    told = desk("plan", status=4)
    assert "EXECUTE IMMEDIATE concat('CREATE TABLE `pdelta_kept_" in told
    assert "UPDATE t SET c = c * 10 WHERE id < 9" in told
