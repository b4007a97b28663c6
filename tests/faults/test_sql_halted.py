"""A server that takes connections and does not answer any more: whoever asks pdelta to stop is not kept waiting."""

import contextlib
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from pdelta.databases.postgresql.address import Address
from pdelta.databases.postgresql.connection import BrokenError, Connection, StatementError
from tests.fixtures.cli import Cli
from tests.fixtures.mariadb import MariaDB
from tests.fixtures.postgresql import PostgreSQL
from tests.fixtures.tenants import ORIGIN, Fleet, MysqlFleet, Project, SchemaFleet

NAME = "delta_20250315_add_last_login"
NAMES = ("tenant_1", "tenant_2", "tenant_3")
SLEEPING = "SELECT pid FROM pg_stat_activity WHERE wait_event = 'PgSleep'"
ENDED_S = 30.0
"""Five are how long an answer is waited for; what hung would hang for ever."""


class Place(NamedTuple):
    """Tenants on a server, and what tells that somebody waits for a lock there."""

    server: MariaDB | PostgreSQL
    fleet: Fleet
    waiting: str


@pytest.fixture(params=["postgresql", "mysql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "postgresql":
        server: PostgreSQL = request.getfixturevalue("postgresql")
        fleet: Fleet = SchemaFleet(tmp_path, NAMES, server, request.getfixturevalue("pg_database"))
        yield Place(server, fleet, "SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        return
    maria: MariaDB = request.getfixturevalue("mariadb")
    databases = MysqlFleet(tmp_path, NAMES, maria)
    asked = "SELECT ID FROM information_schema.PROCESSLIST WHERE STATE LIKE 'Waiting for table metadata lock%'"
    yield Place(maria, databases, asked)
    databases.drop()


@contextlib.contextmanager
def started(cli: Cli, fleet: Fleet, *words: str) -> Iterator["subprocess.Popen[bytes]"]:
    """Start a command in a fleet's folder; it is killed where it goes on in the end."""
    command = subprocess.Popen(
        [*cli.command, *words], cwd=fleet.folder, env=cli.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        yield command
    finally:
        command.kill()
        command.communicate()


def stopped(command: "subprocess.Popen[bytes]") -> tuple[int, str]:
    """Ask a command once to stop; give how it ended and what it said."""
    command.send_signal(signal.SIGINT)
    _, said = command.communicate(timeout=ENDED_S)
    return command.returncode, said.decode()


def waited_for(server: MariaDB | PostgreSQL, asked: str, command: "subprocess.Popen[bytes]") -> None:
    """Return once the server says so of something that a command does."""
    while not server.sql(asked):
        assert command.poll() is None, command.communicate()
        time.sleep(0.02)


def test_apply_when_the_server_halts_under_a_statement_then_a_stop_ends_it_and_the_same_command_goes_on(
    place: Place, cli: Cli
) -> None:
    server, fleet = place.server, place.fleet
    Project(fleet.folder, fleet.section).write(NAME, ORIGIN)
    words = ("sql", "apply", "--no-prove", "--lock-timeout", "60min")
    with fleet.locked(fleet.names[0]), started(cli, fleet, *words) as command:
        waited_for(server, place.waiting, command)
        with server.halted():
            status, said = stopped(command)
    assert (status, said.count("error: stopped on request")) == (130, 1)
    assert "Traceback" not in said
    cli("sql", "apply", cwd=fleet.folder)
    assert fleet.having("last_login") == fleet.names


def test_apply_when_the_server_halts_under_the_proof_then_a_stop_ends_it(
    tmp_path: Path, postgresql: PostgreSQL, pg_database: str, cli: Cli
) -> None:
    fleet = SchemaFleet(tmp_path, NAMES, postgresql, pg_database)
    slow = "SELECT pg_sleep(3600);\n-- Reversible delta\n-- SELECT 1;\n"
    Project(fleet.folder, fleet.section).write(NAME, slow)
    with started(cli, fleet, "sql", "apply") as command:
        waited_for(postgresql, SLEEPING, command)
        with postgresql.halted():
            assert stopped(command)[0] == 130
    fleet.settle()


@pytest.mark.parametrize("command", ["apply", "drift", "status"])
def test_command_when_the_server_halts_before_it_begins_then_a_stop_ends_it(
    place: Place, cli: Cli, command: str
) -> None:
    Project(place.fleet.folder, place.fleet.section).write(NAME, ORIGIN)
    with place.server.halted(), started(cli, place.fleet, "sql", command) as process:
        time.sleep(1.0)
        status, said = stopped(process)
    assert (status, said.count("error: stopped on request")) == (130, 1)


def test_cancel_when_the_server_halts_then_who_cancels_goes_on(postgresql: PostgreSQL, pg_database: str) -> None:
    connection = Connection(Address(postgresql.url(pg_database)), application_name="halted")
    ended: list[Exception] = []

    def sleep() -> None:
        try:
            connection.run("SELECT pg_sleep(3600)")
        except (StatementError, BrokenError) as error:
            ended.append(error)

    thread = threading.Thread(target=sleep, daemon=True)
    thread.start()
    while not postgresql.sql(SLEEPING):
        time.sleep(0.01)
    with postgresql.halted():
        began_s = time.monotonic()
        connection.cancel()
        assert time.monotonic() - began_s < ENDED_S
        assert thread.is_alive()
    # What it was told, the server does once it goes on.
    thread.join(ENDED_S)
    assert isinstance(ended[0], StatementError)
    connection.close()
