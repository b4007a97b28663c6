"""Commands that connect before they are imported: the server is asked once, and never more often than they say."""

import signal
import stat
import subprocess
import time
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from pdelta.databases.postgresql import ahead
from pdelta.databases.postgresql.address import Address
from pdelta.databases.postgresql.ahead import Begun
from pdelta.databases.postgresql.connection import ConnectError
from pdelta.databases.postgresql.server import Server
from pdelta.errors import Cause, DatabaseError
from tests.fixtures.cli import Cli
from tests.fixtures.pg_fleet import closed_from_now
from tests.fixtures.postgresql import PostgreSQL
from tests.fixtures.tenants import ORIGIN, Project, SchemaFleet

NAME = "delta_20250315_add_last_login"
SLEEPING = "SELECT pid FROM pg_stat_activity WHERE datname = '{}' AND wait_event = 'PgSleep'"
NAMES = ("tenant_1", "tenant_2", "tenant_3")


class Listener:
    """What a server is told in one database, from here on."""

    def __init__(self, server: PostgreSQL, database: str) -> None:
        server.sql(f"ALTER DATABASE {database} SET log_statement = 'all'")
        self._server = server
        self._begin = server.log.stat().st_size

    def told(self, words: str) -> int:
        """Give in how many lines these words stand."""
        with self._server.log.open("rb") as log:
            log.seek(self._begin)
            return log.read().count(words.encode())

    def asked(self) -> int:
        """Give how many strings of statements came."""
        return self.told("LOG:  statement: ")


@pytest.fixture
def schemas(tmp_path: Path, postgresql: PostgreSQL, pg_database: str) -> SchemaFleet:
    return SchemaFleet(tmp_path, NAMES, postgresql, pg_database)


@pytest.fixture
def folder(tmp_path: Path, schemas: SchemaFleet, cli: Cli) -> Path:
    """That of a project whose tenants have its only delta."""
    Project(tmp_path, schemas.section).write(NAME, ORIGIN)
    cli("sql", "apply", cwd=tmp_path)
    # What was learnt of the run that ended is looked at once more.
    cli("sql", "apply", cwd=tmp_path)
    return tmp_path


def test_apply_when_nothing_is_to_do_then_the_server_is_asked_once(
    folder: Path, postgresql: PostgreSQL, pg_database: str, cli: Cli
) -> None:
    listener = Listener(postgresql, pg_database)
    assert "nothing to do in 3 tenants" in cli("sql", "apply", cwd=folder).out
    assert listener.asked() == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--database", "app"), "nothing to do in 3 tenants"),
        (("--database=app", "--only", "tenant_2"), "nothing to do in 1 tenant"),
        (("--config", "pdelta.toml", "--database", "app"), "nothing to do in 3 tenants"),
    ],
)
def test_apply_when_options_choose_then_that_is_where_it_connects(
    folder: Path, cli: Cli, words: tuple[str, ...], said: str
) -> None:
    with (folder / "pdelta.toml").open("a") as project:
        project.write('[databases.other]\nurl = "postgresql://nobody@127.0.0.1:9/none"\n')
    assert said in cli("sql", "apply", *words, cwd=folder).out


def test_apply_when_the_password_is_wrong_then_it_is_tried_once(
    folder: Path, postgresql: PostgreSQL, pg_database: str, cli: Cli
) -> None:
    (folder / "url").write_text(postgresql.url(pg_database, password="wrong"))
    listener = Listener(postgresql, pg_database)
    refused = cli("sql", "apply", cwd=folder, status=69)
    assert "password authentication failed" in refused.err
    assert listener.told("FATAL:  password authentication failed") == 1


def test_apply_when_a_command_gives_the_url_then_it_is_executed_once(folder: Path, cli: Cli) -> None:
    script = folder / "secret.sh"
    script.write_text("#!/bin/sh\necho asked >> asked\ncat url\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    project = folder / "pdelta.toml"
    project.write_text(project.read_text().replace("file:url", "cmd:./secret.sh"))
    cli("sql", "apply", cwd=folder)
    assert (folder / "asked").read_text() == "asked\n"


def test_apply_when_it_is_refused_before_it_asks_then_that_is_what_is_told(
    folder: Path, schemas: SchemaFleet, cli: Cli
) -> None:
    refused = cli("sql", "apply", "--gate", "", cwd=folder, status=2)
    assert "--gate says nothing" in refused.err
    # The process took its connection with it.
    schemas.settle()


def test_begin_when_a_server_takes_it_over_then_the_answer_is_told_once(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    url, question = postgresql.url(pg_database), "SELECT clock_timestamp()::text"
    ahead.begin(url, question)
    with Server(ahead.address_of(url), application_name="pdelta") as server:
        first, second, third = (server.ask(question)[0].rows for _ in range(3))
    assert first < second < third
    assert ahead.take(ahead.address_of(url)) is None


def test_begin_when_the_question_fails_then_the_server_connects_itself(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    url, question = postgresql.url(pg_database), "SELECT 1 / 0"
    ahead.begin(url, question)
    with Server(ahead.address_of(url), application_name="pdelta") as server:
        assert server.ask("SELECT 1")[0].rows == [(1,)]
        with pytest.raises(DatabaseError, match="division by zero"):
            server.ask(question)


def test_begin_when_the_server_has_closed_it_then_another_is_made(postgresql: PostgreSQL, pg_database: str) -> None:
    url = postgresql.url(pg_database)
    ahead.begin(url, "SELECT 1")
    here = f"datname = '{pg_database}' AND state = 'idle' AND query = 'SELECT 1'"
    while not postgresql.sql(f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {here}"):  # noqa: S608
        pass
    with Server(ahead.address_of(url), application_name="pdelta") as server:
        assert server.ask("SELECT 2")[0].rows == [(2,)]


def test_begin_when_no_connection_can_be_made_then_who_takes_it_is_told(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    url = postgresql.url(pg_database, user="nobody at all")
    ahead.begin(url, "")
    begun = ahead.take(ahead.address_of(url))
    assert begun is not None
    with pytest.raises(ConnectError):
        begun.take()
    ahead.begin(url, "")
    with Server(ahead.address_of(url), application_name="pdelta") as server, pytest.raises(DatabaseError) as caught:
        server.ask("SELECT 1")
    assert caught.value.cause is Cause.DENIED


def test_end_when_nobody_has_taken_it_then_it_is_closed(
    postgresql: PostgreSQL, pg_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = closed_from_now(monkeypatch)
    url = postgresql.url(pg_database)
    for wait_s in (0.0, 0.001, 0.01, 0.1):
        # When it is hardly begun, and when it is there.
        begun = Begun(Address(url), "SELECT 1")
        time.sleep(wait_s)
        begun.give_up()
        begun.wait()
    assert [connection.is_open for connection in closed] == [False] * 4


def test_end_when_the_server_is_at_work_on_the_question_then_it_is_cancelled(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    begun = Begun(Address(postgresql.url(pg_database)), "SELECT pg_sleep(3600)")
    while not postgresql.sql(SLEEPING.format(pg_database)):
        time.sleep(0.01)
    begun.give_up()
    begun.wait()
    assert not postgresql.sql(SLEEPING.format(pg_database))


def test_apply_when_stopped_while_the_server_is_at_work_on_the_question_then_that_ends(
    folder: Path, postgresql: PostgreSQL, pg_database: str, cli: Cli
) -> None:
    lock = "BEGIN; LOCK TABLE pg_description IN ACCESS EXCLUSIVE MODE;"
    waiting = SLEEPING.format(pg_database).replace("wait_event = 'PgSleep'", "wait_event_type = 'Lock'")
    with closing(psycopg2.connect(postgresql.url(pg_database))) as other, other.cursor() as cursor:
        cursor.execute(lock)
        command = subprocess.Popen(
            [*cli.command, "sql", "apply"], cwd=folder, env=cli.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        while not postgresql.sql(waiting):
            time.sleep(0.01)
        command.send_signal(signal.SIGINT)
        _, said = command.communicate(timeout=30)
        assert (command.returncode, said.count(b"error: stopped on request")) == (130, 1)
        assert not postgresql.sql(waiting)


def test_take_when_the_answer_is_old_then_it_is_not_told(postgresql: PostgreSQL, pg_database: str) -> None:
    url, question = postgresql.url(pg_database), "SELECT clock_timestamp()"
    begun = Begun(Address(url), question)
    begun.wait()
    time.sleep(1.1)
    connection, answer = begun.take()
    assert connection is not None
    assert answer is None
    connection.close()
