"""Roll-outs where there is too little: room on the disk, or a way out for two that wait for each other."""

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.fixtures.cli import Cli
from tests.fixtures.mariadb import MariaDB, numbers
from tests.fixtures.mounts import mounted_at
from tests.fixtures.postgresql import PostgreSQL
from tests.fixtures.sql_desk import Desk
from tests.fixtures.tenants import Fleet, MysqlFleet, SchemaFleet, SqliteFleet
from tests.fixtures.users import as_root

NAMES = ("one", "two", "three")
BULK = {
    "sqlite": "VALUES (randomblob(20000000))",
    "postgresql": "VALUES (repeat('x', 20000000))",
    "mysql": f"SELECT REPEAT('x', 1000) FROM {numbers(1, 20)}, {numbers(2, 1000)}",  # noqa: S608
}
"""Rows that a file system of 8 MB has no room for."""
FILL = "INSERT INTO notes {};\n-- Reversible delta\n-- DELETE FROM notes;\n"


@pytest.fixture
def room() -> Iterator[Path]:
    """A folder on a file system that is soon full; servers, too, may write there."""
    folder = Path(tempfile.mkdtemp(prefix="pd-small-"))
    folder.chmod(0o755)
    try:
        with mounted_at(folder / "small", mode=0o777) as place:
            yield place
    finally:
        (folder / "small").rmdir()
        folder.rmdir()


def check_full(fleet: Fleet, full: str, cli: Cli, make_room: Callable[[], object]) -> None:
    """One tenant finds no room: it is named and as it was, all others have the delta; with room it gets it, too."""
    desk = Desk(fleet, cli)
    desk.project.write("delta_20250316_bulk", FILL.format(BULK[fleet.engine]))
    result = desk("apply", "--waves", "all", "--on-failure", "continue", status=8)
    assert full in result.out
    assert "full" in result.out or "No space left on device" in result.out
    held = {name: fleet.sql(name, "SELECT count(*) FROM notes")[0][0] for name in fleet.names}
    assert held.pop(full) == "0"
    assert "0" not in held.values()
    assert full in desk("status", "--pending", status=4).out
    make_room()
    desk("apply")
    assert fleet.having("last_login") == fleet.names
    assert fleet.sql(full, "SELECT count(*) FROM notes") != [("0",)]


@as_root
def test_disk_when_it_is_full_for_a_file_then_only_that_tenant_fails_and_gets_the_delta_later(
    tmp_path: Path, room: Path, cli: Cli
) -> None:
    fleet = SqliteFleet(tmp_path, NAMES)
    full = fleet.names[1]
    for name in fleet.names:
        fleet.sql(name, "CREATE TABLE notes (body text)")
    there = room / "there.sqlite"
    (tmp_path / full).rename(tmp_path / "roomy")
    there.write_bytes((tmp_path / "roomy").read_bytes())
    (tmp_path / full).symlink_to(there)

    def make_room() -> None:
        (tmp_path / full).unlink()
        (tmp_path / full).write_bytes(there.read_bytes())

    check_full(fleet, full, cli, make_room)


@as_root
def test_disk_when_it_is_full_for_a_tablespace_then_only_that_tenant_fails_and_gets_the_delta_later(
    tmp_path: Path, room: Path, cli: Cli, postgresql: PostgreSQL, pg_database: str
) -> None:
    fleet = SchemaFleet(tmp_path, NAMES, postgresql, pg_database)
    for name in fleet.names:
        fleet.sql(name, "CREATE TABLE notes (body text); ALTER TABLE notes ALTER body SET STORAGE EXTERNAL")
    full = fleet.names[1]
    (room / "space").mkdir()
    owner = Path(postgresql.folder / "data").stat().st_uid
    os.chown(room / "space", owner, -1)
    postgresql.sql(f"CREATE TABLESPACE small LOCATION '{room}/space'")
    try:
        fleet.sql(full, "ALTER TABLE notes SET TABLESPACE small")
        check_full(fleet, full, cli, lambda: fleet.sql(full, "ALTER TABLE notes SET TABLESPACE pg_default"))
    finally:
        fleet.sql(full, "ALTER TABLE notes SET TABLESPACE pg_default")
        postgresql.sql("DROP TABLESPACE small")


@as_root
def test_disk_when_it_is_full_for_a_table_of_mariadb_then_only_that_tenant_fails_and_gets_the_delta_later(
    tmp_path: Path, room: Path, cli: Cli, mariadb: MariaDB
) -> None:
    if mariadb.is_mysql:
        pytest.skip("MySQL is told when it starts where else it may put tables")
    fleet = MysqlFleet(tmp_path, NAMES, mariadb)
    try:
        full = fleet.names[1]
        for name in fleet.names:
            where = f" DATA DIRECTORY='{room}'" if name == full else ""
            fleet.sql(name, f"CREATE TABLE notes (body longtext){where}")

        def make_room() -> None:
            fleet.sql(full, "DROP TABLE notes; CREATE TABLE notes (body longtext)")

        check_full(fleet, full, cli, make_room)
    finally:
        fleet.drop()


CROSSED = """UPDATE users SET name = 'from pdelta' WHERE id = 1;
SELECT pg_sleep(0.5);
UPDATE orders SET total = 2 WHERE id = 1;
-- Reversible delta
-- UPDATE users SET name = 'ada' WHERE id = 1;
-- UPDATE orders SET total = 1 WHERE id = 1;
"""
"""Takes one row, waits, and takes another."""


class Rival:
    """Somebody else, who takes the same rows in the other order, and looks for deadlocks much later than others."""

    def __init__(self, server: PostgreSQL, database: str, tenant: str) -> None:
        self._server = server
        self._database = database
        self._tenant = tenant
        self._psql = subprocess.Popen(
            [str(server.programs / "psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", server.url(database)],
            stdin=subprocess.PIPE,
            text=True,
        )

    def begin(self) -> None:
        """Take the second row."""
        self._say(f"SET deadlock_timeout = '1h'; SET search_path TO {self._tenant};")
        self._say("BEGIN; UPDATE orders SET total = 7 WHERE id = 1;")

    def meets(self) -> bool:
        """Say whether pdelta waits between its rows."""
        asked = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = '{}'"
        return self._server.sql(asked.format(self._database)) == [["1"]]

    def cross(self) -> None:
        """Ask for the first row, and end when it is there."""
        self._say("UPDATE users SET name = 'rival' WHERE id = 1; COMMIT;")
        assert self._psql.stdin is not None
        self._psql.stdin.close()
        assert self._psql.wait(60) == 0

    def deadlocks(self) -> int:
        """Say how many the server has broken so far."""
        asked = "SELECT deadlocks FROM pg_stat_database WHERE datname = '{}'"
        return int(self._server.sql(asked.format(self._database))[0][0])

    def _say(self, text: str) -> None:
        assert self._psql.stdin is not None
        self._psql.stdin.write(text + "\n")
        self._psql.stdin.flush()


def test_deadlock_when_the_server_ends_the_delta_then_it_is_tried_again_and_the_rival_loses_nothing(
    tmp_path: Path, postgresql: PostgreSQL, pg_database: str, cli: Cli
) -> None:
    postgresql.sql(f"ALTER DATABASE {pg_database} SET deadlock_timeout = '1ms'")
    fleet = SchemaFleet(tmp_path, NAMES, postgresql, pg_database)
    rival = Rival(postgresql, pg_database, fleet.names[1])
    for name in fleet.names:
        fleet.sql(name, "INSERT INTO orders VALUES (1, 1, 1)")
    desk = Desk(fleet, cli)
    desk("apply")
    desk.project.write("delta_20250316_crossed", CROSSED)
    before = rival.deadlocks()
    rival.begin()
    run = subprocess.Popen(
        [*cli.command, "sql", "apply", "--only", fleet.names[1], "--no-prove"],
        cwd=fleet.folder,
        env=cli.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with run:
        while run.poll() is None and not rival.meets():
            time.sleep(0.01)
        rival.cross()
        told = run.communicate(timeout=60)
    assert run.returncode == 0, told
    assert rival.deadlocks() == before + 1
    assert fleet.sql(fleet.names[1], "SELECT name FROM users WHERE id = 1") == [("from pdelta",)]
    assert fleet.sql(fleet.names[1], "SELECT total FROM orders WHERE id = 1") == [("2",)]
    assert len(fleet.sql(fleet.names[1], "SELECT id FROM pdelta_applied")) == 2
