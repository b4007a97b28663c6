"""Connections that are begun before anybody wants them."""

import threading
import time

import pytest

from pdelta.databases.postgresql import server
from pdelta.databases.postgresql.address import Address
from pdelta.databases.postgresql.connection import Connection
from pdelta.databases.postgresql.server import Server, end
from pdelta.errors import Cause, DatabaseError
from tests.fixtures.pg_fleet import closed_from_now
from tests.fixtures.postgresql import PostgreSQL

SELF = "SELECT pg_backend_pid()"


def begun(postgresql: PostgreSQL, name: str) -> list[int]:
    """Give the backends of connections to a database that were not made by the tests themselves, oldest first."""
    asked = f"SELECT pid FROM pg_stat_activity WHERE application_name = '{name}' ORDER BY backend_start"
    return [int(pid) for (pid,) in postgresql.sql(asked)]


def test_lend_when_connections_are_on_their_way_then_these_are_lent_and_only_then_another_is_made(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    with Server(Address(postgresql.url(pg_database)), application_name="prepared") as server:
        server.prepare(2)
        lent = [server.lend("") for _ in range(2)]
        pids = [connection.run(SELF)[0].rows[0][0] for connection in lent]
        assert sorted(begun(postgresql, "prepared")) == sorted(pids)
        other = server.lend("")
        assert other.run(SELF)[0].rows[0][0] not in pids
        for connection in (*lent, other):
            connection.close()


def test_server_when_nobody_wanted_what_was_begun_then_it_is_closed_with_it(
    postgresql: PostgreSQL, pg_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = closed_from_now(monkeypatch)
    with Server(Address(postgresql.url(pg_database)), application_name="prepared") as server:
        server.prepare(3)
    assert len(closed) == 3
    assert not any(connection.is_open for connection in closed)


def test_lend_when_what_was_begun_can_not_be_made_then_whoever_wants_one_is_told(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    with Server(Address(postgresql.url(pg_database)), application_name="prepared") as server:
        postgresql.stop()
        try:
            server.prepare(2)
            with pytest.raises(DatabaseError) as caught:
                server.lend("")
        finally:
            postgresql.start()
        assert caught.value.cause is Cause.UNREACHABLE
        server.lend("").close()


def test_prepare_when_no_thread_can_be_had_then_whoever_needs_a_connection_makes_it(
    postgresql: PostgreSQL, pg_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with Server(Address(postgresql.url(pg_database)), application_name="prepared") as server:
        with monkeypatch.context() as without:
            without.setattr(threading.Thread, "start", refuse)
            server.prepare(1)
        server.lend("").close()


def test_lend_when_no_pooler_is_in_between_then_what_is_idle_is_direct(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    address = Address(postgresql.url(pg_database))
    with Server(address, application_name="prepared") as server:
        server.prepare(1)
        connection = server.lend("", directly=True)
        assert [connection.backend] == begun(postgresql, "prepared")
        connection.close()
    with Server(address, direct=address, application_name="direct") as server:
        server.prepare(1)
        lent = [server.lend(""), server.lend("", directly=True)]
        server.give_back(lent.pop(0), "")
        lent.append(server.lend("", directly=True))
        assert len(begun(postgresql, "direct")) == 3
        for connection in lent:
            connection.close()


def test_prepare_when_it_is_interrupted_then_nobody_waits_for_what_was_not_counted(
    postgresql: PostgreSQL, pg_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start

    def interrupted(self: threading.Thread) -> None:
        start(self)
        if self.name.startswith("connecting"):
            raise KeyboardInterrupt

    with Server(Address(postgresql.url(pg_database)), application_name="prepared") as server:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", interrupted)
            with pytest.raises(KeyboardInterrupt):
                server.prepare(2)
        deadline_s = time.monotonic() + 30
        while not server._idle and time.monotonic() < deadline_s:
            time.sleep(0.01)
        server.lend("").close()
        assert server._coming == -1


def test_lend_when_others_wait_for_what_is_coming_then_they_are_not_waited_for(
    postgresql: PostgreSQL, pg_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    going = threading.Event()
    connect = Server.connect

    def slowly(self: Server, database: str = "", *, directly: bool = False) -> Connection:
        if threading.current_thread().name.startswith("connecting"):
            assert going.wait(30)
        return connect(self, database, directly=directly)

    monkeypatch.setattr(Server, "connect", slowly)
    with Server(Address(postgresql.url(pg_database)), application_name="prepared") as server:
        server.prepare(1)
        first: list[Connection] = []
        waiting = threading.Thread(target=lambda: first.append(server.lend("")))
        waiting.start()
        while not server._awaited:
            pass
        other = server.lend("")
        assert first == []
        going.set()
        waiting.join(30)
        for connection in (*first, other):
            connection.close()
        assert len(first) == 1


def test_ask_when_its_connection_is_lent_then_the_next_question_takes_one_that_was_begun(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    with Server(Address(postgresql.url(pg_database)), application_name="prepared") as server:
        first = server.ask(SELF)[0].rows[0][0]
        lent = server.lend_asker()
        server.prepare(1)
        second = server.ask(SELF)[0].rows[0][0]
        assert (lent.backend, second) == (first, server.ask(SELF)[0].rows[0][0])
        assert sorted(begun(postgresql, "prepared")) == sorted([first, second])
        server.give_back(lent, "")
        assert server.lend("") is lent
        lent.close()
        server.lend_asker().close()
        another = server.lend_asker()
        assert another.backend not in {first, second}, "who finds none makes one"
        another.close()


def test_end_when_a_cancellation_comes_late_then_the_connection_is_closed_and_all_is_rolled_back(
    postgresql: PostgreSQL, pg_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = Connection(Address(postgresql.url(pg_database)), application_name="ended")
    connection.run("BEGIN; CREATE TABLE begun ()")
    monkeypatch.setattr(server, "roll_back", lambda: ("SELECT pg_sleep(60)", "ROLLBACK"))
    ending = threading.Thread(target=end, args=(connection,))
    ending.start()
    while ending.is_alive():
        connection.cancel()
        ending.join(0.05)
    assert not connection.is_open
    while begun(postgresql, "ended"):
        time.sleep(0.01)
    assert postgresql.sql("SELECT FROM pg_class WHERE relname = 'begun'", pg_database) == []
