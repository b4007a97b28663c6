"""What is special about MySQL and MariaDB: steps without a transaction, sessions, rights, servers that go away."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path
from typing import Any, Final

import msgspec
import pymysql
import pytest

from pdelta.databases.base import Glance, Move, Work
from pdelta.databases.mysql.address import Address
from pdelta.databases.mysql.database import MysqlDatabase
from pdelta.databases.mysql.listing import databases_of
from pdelta.databases.mysql.settings import Settings
from pdelta.errors import Cause, DatabaseError, FormatError, GuardError, StaleError, UsageError
from pdelta.sql.ledger import EMPTY_HEAD, Applied, State, Way, head_of
from pdelta.sql.naming import concerned
from pdelta.sql.piece import GUARD, Piece
from pdelta.sql.split import split
from pdelta.sql.token import Dialect, Mode
from pdelta.testing.bench import refusal
from tests.fixtures.mariadb import PASSWORD, MariaDB, numbers, quoted, running_mariadb

NUMBERS: Final = count(1)
ROW: Final = Applied("delta_20250101_a", "a" * 64)
BEGUN: Final = msgspec.structs.replace(ROW, state=State.APPLYING, steps=2)
AFTER: Final = head_of([(ROW.id, ROW.digest, ROW.state)])
UNSEEN: Final = Glance(managed=False, head=None)


def database(server: MariaDB, *patterns: str, **more: Any) -> MysqlDatabase:
    return MysqlDatabase(Settings("test", (Address(server.url()),), patterns=patterns, **more))


def apply(tenants: MysqlDatabase, name: str, *pieces: str | Piece, lock_timeout_ms: int = 1000) -> None:
    made = tuple(piece if isinstance(piece, Piece) else Piece(piece) for piece in pieces)
    work = Work(name, EMPTY_HEAD, AFTER, (Move(Way.APPLY, ROW, made),), UNSEEN)
    session = tenants.session(tenants.lane(name))
    try:
        session.commit([work], lock_timeout_ms=lock_timeout_ms)
    finally:
        session.close()


def rows_of(tenants: MysqlDatabase, name: str) -> list[Applied]:
    found = tenants.ledgers([name])[name]
    assert not isinstance(found, Exception), found
    return list(found)


@pytest.fixture
def tenant(mariadb: MariaDB) -> Iterator[str]:
    """A database with a table."""
    with mariadb.fresh_database() as name:
        mariadb.sql("CREATE TABLE notes (id INT PRIMARY KEY, body VARCHAR(80)) ENGINE=InnoDB", database=name)
        yield name


@contextlib.contextmanager
def as_user(server: MariaDB, rights: Sequence[str], *patterns: str, options: str = "") -> Iterator[MysqlDatabase]:
    """Look at these tenants as a user with these rights."""
    name = f"user_{next(NUMBERS)}"
    account = f"'{name}'@'127.0.0.1'"
    server.sql(f"CREATE USER {account} IDENTIFIED BY '{PASSWORD}' {options}")
    try:
        for right in rights:
            server.sql(f"GRANT {right} TO {account}")
        with MysqlDatabase(Settings("test", (Address(server.url(user=name)),), patterns=patterns)) as tenants:
            yield tenants
    finally:
        server.sql(f"DROP USER {account}")


def test_tenants_when_globs_names_and_exclusions_choose_then_those(mariadb: MariaDB) -> None:
    with mariadb.fresh_database("shop_1"), mariadb.fresh_database("shop_2"), mariadb.fresh_database("shop_test"):
        with database(mariadb, "shop_*", "mysql", "gone", exclude=("*_test",)) as tenants:
            names = [one.name for one in tenants.tenants()]
            assert names == ["gone", "mysql", "shop_1", "shop_2"], "a name is taken as it is"
            assert set(tenants.glance(names)) == {"mysql", "shop_1", "shop_2"}
        with database(mariadb, "*") as tenants:
            found = {one.name for one in tenants.tenants()}
            assert {"shop_1", "shop_2", "shop_test"} <= found
            assert not {"mysql", "sys", "information_schema", "performance_schema"} & found


def test_tenants_when_asked_for_sizes_then_given(mariadb: MariaDB, tenant: str) -> None:
    with database(mariadb, tenant, sizes=True) as tenants:
        assert [one.size > 0 for one in tenants.tenants()] == [True]
    with database(mariadb, tenant) as tenants:
        assert [one.size for one in tenants.tenants()] == [0]


def test_tenants_when_the_url_names_a_database_then_it_is_the_only_one(mariadb: MariaDB, tenant: str) -> None:
    with MysqlDatabase(Settings("test", (Address(mariadb.url(tenant)),))) as tenants:
        assert [one.name for one in tenants.tenants()] == [tenant]
        assert tenants.width(tenants.lane(tenant)) == 4
        assert tenants.width("elsewhere") == 0


def test_tenants_when_a_query_lists_them_then_with_all_that_it_says(mariadb: MariaDB, tenant: str) -> None:
    query = f"SELECT '{tenant}' AS name, 7 AS size, 'big, old' AS tags, 'eu' AS region UNION SELECT 'x', 1, NULL, 'us'"
    settings = Settings("test", (Address(mariadb.url(tenant)),), query=query, exclude=("x",))
    with MysqlDatabase(settings) as tenants:
        (found,) = tenants.tenants()
    assert (found.name, found.size, found.tags, dict(found.values)) == (tenant, 7, ("big", "old"), {"region": "eu"})


@pytest.mark.parametrize(
    ("query", "kind"),
    [
        ("SELECT 1", FormatError), ("SELECT 'a' UNION ALL SELECT 'a'", UsageError),
        ("SELECT 'a' FROM nowhere", DatabaseError),
        ("INSERT INTO notes VALUES (1, 'a') RETURNING 'x'", DatabaseError), ("DROP TABLE notes", DatabaseError),
    ],
)  # fmt: skip
def test_tenants_when_the_query_is_wrong_then_said_and_nothing_done(
    mariadb: MariaDB, tenant: str, query: str, kind: type[Exception]
) -> None:
    settings = Settings("test", (Address(mariadb.url(tenant)),), query=query)
    with MysqlDatabase(settings) as tenants, pytest.raises(kind):
        tenants.tenants()
    assert mariadb.sql("SELECT count(*) FROM notes", database=tenant) == [(0,)]


def test_commit_when_a_piece_commits_by_itself_then_refused_before_anything(mariadb: MariaDB, tenant: str) -> None:
    mariadb.sql("CREATE PROCEDURE p() BEGIN COMMIT; END", database=tenant)
    with database(mariadb, tenant) as tenants:
        for text in (
            "ALTER TABLE notes ADD c INT",
            "CALL p()",
            "SET STATEMENT max_statement_time = 9 FOR CALL p()",
            "COMMIT",
            "INSERT INTO notes VALUES (2, 'x'); COMMIT",
        ):
            error = refusal(apply, tenants, tenant, "INSERT INTO notes VALUES (1, 'a')", text)
            assert error.cause is Cause.REFUSED
        alone = Piece("INSERT INTO notes VALUES (1, 'a')", alone=True)
        assert "stands alone" in refusal(lambda: apply(tenants, tenant, alone)).message
        assert rows_of(tenants, tenant) == []
    assert mariadb.sql("SELECT count(*) FROM notes", database=tenant) == [(0,)]


def test_commit_when_a_table_knows_no_transactions_then_refused(mariadb: MariaDB, tenant: str) -> None:
    mariadb.sql("CREATE TABLE logs (id INT) ENGINE=MyISAM", database=tenant)
    with database(mariadb, tenant) as tenants:
        error = refusal(lambda: apply(tenants, tenant, "INSERT INTO `LOGS` VALUES (1)".lower()))
        assert "MyISAM" in error.message
        apply(tenants, tenant, "INSERT INTO notes VALUES (1, 'a')")
    assert mariadb.sql("SELECT count(*) FROM logs", database=tenant) == [(0,)]


def test_commit_when_the_delta_edits_the_ledger_then_refused(mariadb: MariaDB, tenant: str) -> None:
    with database(mariadb, tenant) as tenants:
        text = "INSERT INTO pdelta_applied VALUES ('x','x','applied',0,0,'','','','','','','','')"
        assert "changed the ledger itself" in refusal(lambda: apply(tenants, tenant, text)).message
        assert rows_of(tenants, tenant) == []


def test_commit_when_an_undo_gives_nothing_then_refused(mariadb: MariaDB, tenant: str) -> None:
    with database(mariadb, tenant) as tenants:
        piece = Piece("INSERT INTO notes VALUES (1, 'a')", undo="NULL")
        assert "NULL" in refusal(lambda: apply(tenants, tenant, piece)).message
    assert mariadb.sql("SELECT count(*) FROM notes", database=tenant) == [(0,)]


def test_commit_when_the_delta_sets_modes_then_the_ledger_is_written_all_the_same(
    mariadb: MariaDB, tenant: str
) -> None:
    """The worst for whoever quotes by rules: quotes and backslashes mean something else from here on."""
    hostile = "it's \\' a \\\\ \"trap\" 雪😀\n"
    row = msgspec.structs.replace(ROW, reverse=hostile, who=hostile)
    with database(mariadb, tenant) as tenants:
        for modes in ("ANSI_QUOTES,NO_BACKSLASH_ESCAPES", ""):
            setting = f"SET sql_mode = '{modes}', character_set_client = latin1, character_set_connection = latin1"
            row = msgspec.structs.replace(row, id=f"delta_{modes}")
            had = rows_of(tenants, tenant)
            told = [(one.id, one.digest, one.state) for one in had]
            after = head_of([*told, (row.id, row.digest, row.state)])
            pieces = (Piece(setting), Piece("INSERT INTO notes SELECT coalesce(max(id), 0) + 1, 'a' FROM notes"))
            session = tenants.session(tenants.lane(tenant))
            work = Work(tenant, head_of(told), after, (Move(Way.APPLY, row, pieces),), UNSEEN)
            session.commit([work], lock_timeout_ms=1000)
            session.close()
            assert row in rows_of(tenants, tenant)


def test_modes_when_the_server_has_them_then_known_once_it_was_asked(mariadb: MariaDB, tenant: str) -> None:
    (before,) = mariadb.sql("SELECT @@global.sql_mode")[0]
    mariadb.sql("SET GLOBAL sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'")
    try:
        with database(mariadb, tenant) as tenants:
            assert tenants.modes == frozenset()
            tenants.glance([tenant])
            assert tenants.modes == {Mode.ANSI_QUOTES, Mode.NO_BACKSLASH_ESCAPES}
            apply(tenants, tenant, "INSERT INTO \"notes\" VALUES (1, 'a\\')")
            assert len(rows_of(tenants, tenant)) == 1
    finally:
        mariadb.sql(f"SET GLOBAL sql_mode = '{before}'")
    assert mariadb.sql("SELECT body FROM notes", database=tenant) == [("a\\",)]


def test_session_when_a_delta_sets_and_locks_things_then_the_next_one_does_not_see_them(mariadb: MariaDB) -> None:
    with contextlib.ExitStack() as stack:
        first, second = (stack.enter_context(mariadb.fresh_database()) for _ in range(2))
        with database(mariadb, first, second) as tenants:
            session = tenants.session(tenants.lane(first))
            leaves = ("SET @left = 1, foreign_key_checks = 0", "SELECT GET_LOCK('left', 1)")
            work = Work(first, EMPTY_HEAD, AFTER, (Move(Way.APPLY, ROW, tuple(map(Piece, leaves))),), UNSEEN)
            session.commit([work], lock_timeout_ms=1000)
            session.alone(first, "CREATE TEMPORARY TABLE left_over (id INT)", lock_timeout_ms=1000)
            looks = "SELECT @left, @@foreign_key_checks, IS_USED_LOCK('left'), @@lock_wait_timeout < 3600, DATABASE()"
            assert session.query(second, looks) == [(None, 1, None, 1, second)]
            error = refusal(lambda: session.query(first, "SELECT * FROM left_over"))
            assert error.sqlstate == "1146"
            session.close()


def test_session_when_it_goes_through_many_databases_then_over_one_connection(mariadb: MariaDB) -> None:
    with contextlib.ExitStack() as stack:
        names = [stack.enter_context(mariadb.fresh_database()) for _ in range(6)]
        with database(mariadb, *names) as tenants:
            assert len(tenants.glance(names)) == 6
            (before,) = (int(value) for _, value in mariadb.sql("SHOW GLOBAL STATUS LIKE 'Connections'"))
            session = tenants.session(tenants.lane(names[0]))
            for name in names:
                session.record(name, BEGUN, former=None, glance=UNSEEN)
                session.alone(name, "CREATE TABLE made (id INT)", lock_timeout_ms=1000)
                session.record(name, ROW, former=BEGUN, glance=UNSEEN)
            session.close()
            seen = tenants.glance(names)
            (after,) = (int(value) for _, value in mariadb.sql("SHOW GLOBAL STATUS LIKE 'Connections'"))
        assert all(seen[name] == Glance(managed=True, head=AFTER) for name in names)
        assert after - before == 2, "the session's, and the one that counts"


def test_steps_when_one_session_is_at_work_then_others_are_kept_out_until_it_ends(
    mariadb: MariaDB, tenant: str
) -> None:
    with database(mariadb, tenant) as tenants:
        first, second = (tenants.session(tenants.lane(tenant)) for _ in range(2))
        first.record(tenant, BEGUN, former=None, glance=UNSEEN)
        assert tenants.glance([tenant])[tenant] == Glance(managed=True, head=None), "doubtful while it is under way"
        taken_over = msgspec.structs.replace(BEGUN, run="run:other")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("pdelta.databases.mysql.session.LOCK_TIMEOUT_MS", 1000)
            error = refusal(lambda: second.record(tenant, taken_over, former=BEGUN, glance=UNSEEN))
        assert error.cause is Cause.BUSY
        assert refusal(lambda: apply(tenants, tenant, "DELETE FROM notes")).cause is Cause.BUSY
        (told,) = tenants.blockers(tenant)
        assert "another run of pdelta" in told
        first.close()
        second.record(tenant, taken_over, former=BEGUN, glance=UNSEEN)
        second.record(tenant, ROW, former=taken_over, glance=UNSEEN)
        assert tenants.glance([tenant])[tenant] == Glance(managed=True, head=AFTER)
        assert tenants.blockers(tenant) == []
        second.close()


def test_steps_when_a_row_cannot_be_begun_then_the_tenant_is_let_go(mariadb: MariaDB, tenant: str) -> None:
    with database(mariadb, tenant) as tenants:
        first, second = (tenants.session(tenants.lane(tenant)) for _ in range(2))
        with pytest.raises(StaleError):
            first.record(tenant, BEGUN, former=ROW, glance=UNSEEN)
        second.record(tenant, BEGUN, former=None, glance=UNSEEN)
        first.close()
        second.close()


SCRIPT: Final = """
import sys
import msgspec
from pdelta.databases.base import Glance
from pdelta.databases.mysql.address import Address
from pdelta.databases.mysql.database import MysqlDatabase
from pdelta.databases.mysql.settings import Settings
from pdelta.sql.ledger import Applied, State

url, tenant, statement = sys.argv[1:]
with MysqlDatabase(Settings("test", (Address(url),), patterns=(tenant,))) as tenants:
    session = tenants.session(tenants.lane(tenant))
    row = Applied("delta_20250101_a", "a" * 64, state=State.APPLYING, steps=2)
    session.record(tenant, row, former=None, glance=Glance(managed=False, head=None))
    print("begun", flush=True)
    session.alone(tenant, statement, lock_timeout_ms=5000)
"""


def test_steps_when_the_client_is_killed_in_a_statement_then_held_until_that_ends(
    mariadb: MariaDB, tenant: str
) -> None:
    """The server finishes what nobody waits for; whoever goes on must not look before."""
    mariadb.sql(f"INSERT INTO notes SELECT seq, 'x' FROM {numbers(1, 30)}", database=tenant)  # noqa: S608
    lasting = "CREATE TABLE slow AS SELECT id, SLEEP(0.1) AS s FROM notes"
    command = [sys.executable, "-c", SCRIPT, mariadb.url(), tenant, lasting]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as client:
        assert client.stdout is not None
        assert client.stdout.readline() == b"begun\n"
        running = "SELECT count(*) FROM information_schema.PROCESSLIST WHERE INFO LIKE 'CREATE TABLE slow%'"
        while client.poll() is None and mariadb.sql(running) == [(0,)]:
            time.sleep(0.01)
        client.send_signal(signal.SIGKILL)
    with database(mariadb, tenant) as tenants:
        session = tenants.session(tenants.lane(tenant))
        assert rows_of(tenants, tenant) == [BEGUN]
        taken_over = msgspec.structs.replace(BEGUN, run="run:next")
        session.record(tenant, taken_over, former=BEGUN, glance=UNSEEN)
        assert mariadb.sql(running) == [(0,)], "it has ended, one way or the other"
        session.close()


def test_steps_when_the_server_is_killed_then_the_row_says_where_they_were(mariadb: MariaDB, tenant: str) -> None:
    with database(mariadb, tenant) as tenants:
        session = tenants.session(tenants.lane(tenant))
        session.record(tenant, BEGUN, former=None, glance=UNSEEN)
        done = msgspec.structs.replace(BEGUN, step=1)
        session.alone(tenant, "ALTER TABLE notes ADD COLUMN c INT", lock_timeout_ms=1000)
        session.record(tenant, done, former=BEGUN, glance=UNSEEN)
        mariadb.restart(signal.SIGKILL)
        error = refusal(lambda: session.alone(tenant, "ALTER TABLE notes ADD COLUMN d INT", lock_timeout_ms=1000))
        assert error.cause is Cause.LOST
        assert rows_of(tenants, tenant) == [done], "reading connects again by itself"
        session.record(tenant, ROW, former=done, glance=UNSEEN)
        assert tenants.glance([tenant])[tenant] == Glance(managed=True, head=AFTER)
        session.close()


def test_commit_when_the_server_is_killed_in_it_then_before_or_after(mariadb: MariaDB, tenant: str) -> None:
    for point, rows in (("mysql.executed", 0), ("mysql.committed", 1)):

        def end(passed: str, point: str = point) -> None:
            if passed == point:
                mariadb.restart(signal.SIGKILL)

        settings = Settings("test", (Address(mariadb.url()),), patterns=(tenant,))
        with MysqlDatabase(settings, failpoint=end) as tenants:
            if rows:
                apply(tenants, tenant, "INSERT INTO notes VALUES (1, 'a')")
            else:
                error = refusal(lambda: apply(tenants, tenant, "INSERT INTO notes VALUES (1, 'a')"))
                assert error.cause is Cause.LOST
            assert len(rows_of(tenants, tenant)) == rows
        assert mariadb.sql("SELECT count(*) FROM notes", database=tenant) == [(rows,)]


def test_session_when_the_server_closed_it_meanwhile_then_connected_again(mariadb: MariaDB, tenant: str) -> None:
    with database(mariadb, tenant) as tenants:
        session = tenants.session(tenants.lane(tenant))
        assert session.query(tenant, "SELECT 1") == [(1,)]
        tenants.glance([tenant])
        mariadb.end_sessions()
        assert session.query(tenant, "SELECT 1") == [(1,)]
        assert set(tenants.glance([tenant])) == {tenant}
        session.close()


def test_commit_when_a_deadlock_is_broken_then_busy_or_done(mariadb: MariaDB, tenant: str) -> None:
    mariadb.sql("INSERT INTO notes VALUES (1, 'a'), (2, 'b')", database=tenant)
    with (
        contextlib.closing(mariadb.connect(tenant)) as other,
        other.cursor() as cursor,
        database(mariadb, tenant) as tenants,
    ):
        cursor.execute("BEGIN")
        cursor.execute(
            f"INSERT INTO notes SELECT seq, 'x' FROM {numbers(10, 500)}"  # noqa: S608
        )  # the one with less to undo is the victim
        cursor.execute("UPDATE notes SET body = 'other' WHERE id = 2")
        failures: list[DatabaseError] = []

        def work() -> None:
            pieces = [f"UPDATE notes SET body = 'ours' WHERE id = {number}" for number in (1, 2)]  # noqa: S608 - ours
            try:
                apply(tenants, tenant, *pieces, lock_timeout_ms=10_000)
            except DatabaseError as error:
                failures.append(error)

        thread = threading.Thread(target=work)
        thread.start()
        waiting = "SELECT count(*) FROM information_schema.INNODB_TRX WHERE trx_state = 'LOCK WAIT'"
        while thread.is_alive() and mariadb.sql(waiting) == [(0,)]:
            # The server looks no sooner than 0.1 s after somebody asked.
            time.sleep(0.15)
        cursor.execute("UPDATE notes SET body = 'other' WHERE id = 1")
        thread.join()
        other.rollback()
        (error,) = failures
        assert error.cause is Cause.BUSY
        assert error.sqlstate == "1213"
        assert rows_of(tenants, tenant) == []
        apply(tenants, tenant, "UPDATE notes SET body = 'ours' WHERE id = 1")


def test_rights_when_only_reading_is_allowed_then_looking_works_and_writing_is_denied(
    mariadb: MariaDB, tenant: str
) -> None:
    with database(mariadb, tenant) as tenants:
        apply(tenants, tenant, "INSERT INTO notes VALUES (1, 'a')")
    with as_user(mariadb, [f"SELECT ON {quoted(tenant)}.*"], tenant) as tenants:
        assert tenants.glance([tenant])[tenant] == Glance(managed=True, head=AFTER)
        assert rows_of(tenants, tenant) == [ROW]
        session = tenants.session(tenants.lane(tenant))
        assert session.query(tenant, "SELECT body FROM notes") == [("a",)]
        work = Work(tenant, AFTER, EMPTY_HEAD, (Move(Way.REVERSE, ROW, ()),), Glance(managed=True, head=AFTER))
        error = refusal(lambda: session.commit([work], lock_timeout_ms=1000))
        assert error.cause is Cause.DENIED
        assert tenants.blockers(tenant) == []
        session.close()


def test_rights_when_the_server_only_reads_then_denied(mariadb: MariaDB, tenant: str) -> None:
    with as_user(mariadb, [f"ALL ON {quoted(tenant)}.*"], tenant) as tenants:
        mariadb.sql("SET GLOBAL read_only = 1")
        try:
            error = refusal(apply, tenants, tenant, "INSERT INTO notes VALUES (1, 'a')")
            assert error.cause is Cause.DENIED
            assert "only reads" in error.hint
        finally:
            mariadb.sql("SET GLOBAL read_only = 0")


def test_rights_when_one_tenant_is_closed_then_it_alone_fails(mariadb: MariaDB, tenant: str) -> None:
    with mariadb.fresh_database() as closed, database(mariadb, tenant, closed) as tenants:
        for name in (tenant, closed):
            apply(tenants, name, "SELECT 1")
        rights = [f"SELECT ON {quoted(tenant)}.*", f"SELECT ON {quoted(closed)}.pdelta_history"]
        rights += [f"UPDATE ON {quoted(closed)}.pdelta_{what}" for what in ("head", "applied")]
        with as_user(mariadb, rights, tenant, closed) as seen:
            for found in (seen.glance([tenant, closed]), seen.ledgers([tenant, closed])):
                assert not isinstance(found[tenant], Exception)
                error = found[closed]
                assert isinstance(error, DatabaseError)
                assert error.cause is Cause.DENIED


def test_connecting_when_it_fails_then_why_and_without_the_password(mariadb: MariaDB, tenant: str) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
        wrong = {
            f"mysql://root:geheim@127.0.0.1:{port}/": Cause.UNREACHABLE,
            mariadb.url(password="geheim"): Cause.DENIED,
            mariadb.url(user="nobody"): Cause.DENIED,
        }
        # MySQL makes itself a certificate, and so does MariaDB from 11.4 on.
        if mariadb.sql("SHOW VARIABLES LIKE 'have_ssl'") == [("have_ssl", "DISABLED")]:
            wrong[mariadb.url() + "?ssl_mode=REQUIRED"] = Cause.UNREACHABLE
        for url, cause in wrong.items():
            with MysqlDatabase(Settings("test", (Address(url),), patterns=(tenant,))) as tenants:
                found = tenants.glance([tenant, "other"])
                assert set(found) == {tenant, "other"}
                for error in found.values():
                    assert isinstance(error, DatabaseError)
                    assert error.cause is cause, url
                    assert "geheim" not in error.message + error.hint + error.reason
                with pytest.raises(DatabaseError):
                    tenants.tenants()


def test_connecting_when_the_user_may_have_no_more_then_unreachable(mariadb: MariaDB, tenant: str) -> None:
    rights = [f"ALL ON {quoted(tenant)}.*"]
    with as_user(mariadb, rights, tenant, options="WITH MAX_USER_CONNECTIONS 1") as tenants:
        tenants.glance([tenant])
        error = refusal(lambda: apply(tenants, tenant, "SELECT 1"))
        assert error.cause is Cause.UNREACHABLE


def test_alone_when_a_table_is_full_then_full(mariadb: MariaDB, tenant: str) -> None:
    with database(mariadb, tenant) as tenants:
        session = tenants.session(tenants.lane(tenant))
        session.alone(tenant, "CREATE TABLE tiny (body CHAR(250)) ENGINE=MEMORY MAX_ROWS=10", lock_timeout_ms=1000)
        session.alone(tenant, "SET max_heap_table_size = 16384", lock_timeout_ms=1000)
        session.close()
        session = tenants.session(tenants.lane(tenant))
        session.record(tenant, BEGUN, former=None, glance=UNSEEN)
        session.alone(tenant, "SET max_heap_table_size = 16384", lock_timeout_ms=1000)
        session.alone(tenant, "CREATE TABLE small (body CHAR(250)) ENGINE=MEMORY", lock_timeout_ms=1000)
        fill = f"INSERT INTO small SELECT 'x' FROM {numbers(1, 100)}, {numbers(2, 900)}"  # noqa: S608
        error = refusal(lambda: session.alone(tenant, fill, lock_timeout_ms=1000))
        assert error.cause is Cause.FULL
        session.close()


def test_guard_when_it_stands_anywhere_then_it_is_one(mariadb: MariaDB, tenant: str) -> None:
    with database(mariadb, tenant) as tenants:
        with pytest.raises(GuardError, match=r"^no$"):
            apply(tenants, tenant, "INSERT INTO notes VALUES (1, 'a')", f"{GUARD} SELECT 'no'")
        assert rows_of(tenants, tenant) == []


def test_ledger_when_its_head_table_is_gone_then_read_and_made_again(mariadb: MariaDB, tenant: str) -> None:
    with database(mariadb, tenant) as tenants:
        apply(tenants, tenant, "INSERT INTO notes VALUES (1, 'a')")
        seen = tenants.glance([tenant])[tenant]
        mariadb.sql("DROP TABLE pdelta_head", database=tenant)
        back = Work(
            tenant, AFTER, EMPTY_HEAD, (Move(Way.REVERSE, ROW, ()),), seen if isinstance(seen, Glance) else UNSEEN
        )
        session = tenants.session(tenants.lane(tenant))
        with pytest.raises(StaleError, match="is gone"):
            session.commit([back], lock_timeout_ms=1000)
        assert tenants.glance([tenant])[tenant] == UNSEEN
        assert rows_of(tenants, tenant) == [ROW]
        session.commit([msgspec.structs.replace(back, glance=UNSEEN)], lock_timeout_ms=1000)
        assert tenants.glance([tenant])[tenant] == Glance(managed=True, head=EMPTY_HEAD)
        session.close()


def test_ledger_when_it_holds_what_no_pdelta_writes_then_said_and_not_guessed(mariadb: MariaDB, tenant: str) -> None:
    with database(mariadb, tenant) as tenants:
        apply(tenants, tenant, "INSERT INTO notes VALUES (1, 'a')")
        mariadb.sql("UPDATE pdelta_applied SET state = 'elsewhere'", database=tenant)
        told = tenants.ledgers([tenant, "gone"])
        error, gone = told[tenant], told["gone"]
        assert isinstance(error, DatabaseError)
        assert "elsewhere" in error.message
        assert isinstance(gone, DatabaseError)
        assert gone.cause is Cause.MISSING


def test_ledger_when_dumped_and_restored_elsewhere_then_the_stamp_is_still_true(mariadb: MariaDB, tenant: str) -> None:
    dump = shutil.which("mariadb-dump") or shutil.which("mysqldump")
    assert dump, "mariadb-dump comes with the server"
    with mariadb.fresh_database() as copy, database(mariadb, tenant, copy) as tenants:
        apply(tenants, tenant, "INSERT INTO notes VALUES (1, 'it''s')")
        login = ["--no-defaults", "-h127.0.0.1", f"-P{mariadb.port}", "-uroot"]
        secret = {**os.environ, "MYSQL_PWD": PASSWORD}
        text = subprocess.run([dump, *login, tenant], env=secret, capture_output=True, check=True).stdout
        subprocess.run(["mariadb", *login, copy], env=secret, input=text, check=True)
        assert tenants.glance([copy])[copy] == Glance(managed=True, head=AFTER)
        assert rows_of(tenants, copy) == [ROW]


def test_servers_when_there_are_two_then_each_tenant_is_found_where_it_is(mariadb: MariaDB, tenant: str) -> None:
    """The other one speaks TLS, and proves who it is."""
    folder = Path(tempfile.mkdtemp(prefix="pd-my2-"))
    try:
        options = _certificates(folder)
        with (
            running_mariadb(folder, *options) as other,
            other.fresh_database("elsewhere"),
            other.fresh_database("both"),
        ):
            addresses = (Address(mariadb.url()), Address(other.url() + f"?ssl_ca={folder}/cert.pem"))
            with MysqlDatabase(Settings("test", addresses, patterns=(tenant, "else*"))) as tenants:
                assert [one.name for one in tenants.tenants()] == ["elsewhere", tenant]
                assert tenants.lane("elsewhere") != tenants.lane(tenant)
                apply(tenants, "elsewhere", "SELECT 1")
                session = tenants.session(tenants.lane("elsewhere"))
                ((_, cipher),) = session.query("elsewhere", "SHOW STATUS LIKE 'Ssl_cipher'")
                assert cipher
                session.close()
                seen = tenants.glance(["elsewhere", tenant, "nowhere"])
                assert set(seen) == {"elsewhere", tenant}
                assert seen["elsewhere"] == Glance(managed=True, head=AFTER)
                other.stop()
                seen = tenants.glance(["elsewhere", tenant])
                assert isinstance(seen["elsewhere"], DatabaseError)
                assert not isinstance(seen[tenant], Exception)
                other.start()
            with (
                mariadb.fresh_database("both"),
                MysqlDatabase(Settings("test", addresses, patterns=("both",))) as tenants,
                pytest.raises(UsageError, match="has both on"),
            ):
                tenants.tenants()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _certificates(folder: Path) -> list[str]:
    """Make a certificate of loopback's own, and give the server's options for it."""
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1",
            "-keyout", f"{folder}/key.pem", "-out", f"{folder}/cert.pem",
        ],
        check=True,
        capture_output=True,
    )  # fmt: skip
    for name in ("key.pem", "cert.pem"):
        (folder / name).chmod(0o644)
    return [f"--ssl-cert={folder}/cert.pem", f"--ssl-key={folder}/key.pem"]


def test_fixture_when_asked_then_a_server_of_our_own(mariadb: MariaDB) -> None:
    assert mariadb.sql("SELECT 1 + 1") == [(2,)]
    assert mariadb.sql("SELECT @@bind_address, @@port") == [("127.0.0.1", mariadb.port)]
    status = Path(f"/proc/{mariadb.pid}/status").read_text()
    uid = next(line.split()[1] for line in status.splitlines() if line.startswith("Uid:"))
    assert uid != "0"
    with pytest.raises(pymysql.MySQLError):
        pymysql.connect(host="127.0.0.1", port=mariadb.port, user="root", password="", ssl_disabled=True)


def test_databases_of_when_few_are_asked_about_then_no_others_are_looked_at(mariadb: MariaDB, tenant: str) -> None:
    with database(mariadb, tenant) as tenants:
        (server,) = tenants._servers.values()
        assert databases_of(server, [tenant, "x'`y"]) == {tenant}
        assert databases_of(server, [tenant], "pdelta_applied") == set()
        session = tenants.session(tenants.lane(tenant))
        session.record(tenant, BEGUN, former=None, glance=UNSEEN)
        session.close()
        assert databases_of(server, [tenant], "pdelta_applied") == {tenant}
        assert databases_of(server) >= {tenant, "mysql"}


SEEN = (
    "ALTER TABLE notes ADD COLUMN c INT", "ALTER TABLE notes COMMENT 'x'", "CREATE INDEX i ON notes (body)",
    "CREATE TRIGGER g BEFORE INSERT ON notes FOR EACH ROW SET NEW.body = 'x'", "CREATE SEQUENCE s",
    "CREATE PROCEDURE p(IN a INT) SELECT a", "CREATE FUNCTION f() RETURNS INT RETURN 1",
    "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO SELECT 1", "ALTER DATABASE CHARACTER SET utf8mb4",
    "ALTER SCHEMA COLLATE utf8mb4_bin", "ALTER EVENT often DISABLE", "DROP PROCEDURE IF EXISTS known",
    "RENAME TABLE others TO o1, notes TO o2", "ALTER TABLE others DROP INDEX others_at, ADD INDEX (at, id)",
    "DROP TRIGGER others_g", "CREATE TRIGGER notes BEFORE INSERT ON others FOR EACH ROW SET NEW.at = 1",
    "ALTER TABLE others ALTER COLUMN at SET DEFAULT 4", "CREATE TABLE copied LIKE others", "DROP TABLE others, notes",
    "CREATE VIEW v AS SELECT id FROM notes", "DROP TABLE notes", "CREATE TABLE IF NOT EXISTS `N``ew` (id INT)",
    "ALTER TABLE notes ADD CONSTRAINT k CHECK (id > 0)", "ALTER TABLE notes PARTITION BY HASH (id) PARTITIONS 2",
    "ALTER TABLE notes ADD UNIQUE (id, body)", "ALTER TABLE notes ADD CHECK (Body <> '')", "RENAME TABLE notes TO o",
    "ALTER TABLE notes ADD FOREIGN KEY (id) REFERENCES others (id)", "ALTER TABLE notes DROP PRIMARY KEY",
    "ALTER TABLE notes MODIFY body VARCHAR(100) FIRST", "DROP INDEX others_at ON others", "DROP VIEW others_v",
    "ALTER TABLE notes RENAME COLUMN body TO b2", "CREATE OR REPLACE VIEW others_v AS SELECT at FROM others",
    "CREATE OR REPLACE TABLE others (id INT PRIMARY KEY, at BIGINT)",
)  # fmt: skip
"""Statements that the server's catalogue tells of."""


def test_fingerprint_when_nobody_may_show_a_view_then_that_it_is_there_counts(mariadb: MariaDB, tenant: str) -> None:
    user = f"{tenant}_u"
    mariadb.sql(
        f"CREATE USER {user} IDENTIFIED BY '{PASSWORD}'", f"GRANT SELECT, CREATE VIEW, DROP ON `{tenant}`.* TO {user}"
    )
    try:
        with MysqlDatabase(Settings("test", (Address(mariadb.url(tenant, user=user)),))) as tenants:
            session = tenants.session(tenants.lane(tenant))
            before = session.fingerprint(tenant, ["view", "v"])
            session.alone(tenant, "CREATE VIEW v AS SELECT id FROM notes", lock_timeout_ms=1000)
            assert session.fingerprint(tenant, ["view", "v"]) != before
            session.alone(tenant, "DROP VIEW v", lock_timeout_ms=1000)
            assert session.fingerprint(tenant, ["view", "v"]) == before
            session.close()
    finally:
        mariadb.sql(f"DROP USER {user}")


@pytest.mark.parametrize("statement", SEEN)
def test_fingerprint_when_a_statement_happens_then_another_and_not_by_what_others_do(
    mariadb: MariaDB, tenant: str, statement: str
) -> None:
    mariadb.sql("CREATE TABLE others (id INT PRIMARY KEY, at INT, KEY others_at (at))", database=tenant)
    for text in (
        "CREATE VIEW others_v AS SELECT id FROM others", "CREATE PROCEDURE known() SELECT 2",
        "CREATE EVENT often ON SCHEDULE EVERY 1 DAY DO SELECT 1",
        "CREATE TRIGGER others_g BEFORE INSERT ON others FOR EACH ROW SET NEW.at = 2",
    ):  # fmt: skip
        mariadb.sql(text, database=tenant)
    if mariadb.is_mysql and ("SEQUENCE" in statement or "OR REPLACE TABLE" in statement):
        pytest.skip("MySQL has no such statement")
    (split_,) = split(statement, Dialect.MYSQL)
    names = concerned(split_, Dialect.MYSQL)
    with database(mariadb, tenant) as tenants:
        session = tenants.session(tenants.lane(tenant))
        before = session.fingerprint(tenant, names)
        for text in OF_OTHERS:
            mariadb.sql(text, database=tenant)
            assert session.fingerprint(tenant, names) == before, text
        session.alone(tenant, statement, lock_timeout_ms=1000)
        assert session.fingerprint(tenant, names) != before
        session.close()


OF_OTHERS = (
    "ALTER TABLE notes ADD COLUMN of_others INT", "CREATE INDEX of_others ON notes (of_others)",
    "CREATE TABLE of_others (id INT PRIMARY KEY)", "ALTER TABLE others ADD COLUMN of_others INT UNIQUE",
    "CREATE VIEW of_others_v AS SELECT id FROM notes", "ALTER TABLE others MODIFY of_others BIGINT FIRST",
    "CREATE PROCEDURE of_others() SELECT 1",
)  # fmt: skip


def test_fingerprint_when_only_rows_and_settings_change_then_the_same(mariadb: MariaDB, tenant: str) -> None:
    mariadb.sql(
        "CREATE TABLE counted (id INT AUTO_INCREMENT PRIMARY KEY, `a``b` INT CHECK (`a``b` > 0))", database=tenant
    )
    mariadb.sql("CREATE VIEW v AS SELECT 'x' AS y, id FROM counted", database=tenant)
    with database(mariadb, tenant) as tenants:
        session = tenants.session(tenants.lane(tenant))
        names = ["counted", "a`b", "v", "y"]
        before = session.fingerprint(tenant, names)
        session.record(tenant, BEGUN, former=None, glance=UNSEEN)
        session.alone(tenant, "INSERT INTO counted (`a``b`) VALUES (1), (2)", lock_timeout_ms=1000)
        settings = "SET sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES', sql_quote_show_create = 0"
        session.alone(tenant, settings, lock_timeout_ms=1000)
        assert session.fingerprint(tenant, names) == before
        asked = "SELECT @@sql_mode, @@sql_quote_show_create"
        assert session.query(tenant, asked) == [("ANSI_QUOTES,NO_BACKSLASH_ESCAPES", 0)], "what was set is still set"
        session.close()
        again = tenants.session(tenants.lane(tenant))
        assert again.fingerprint(tenant, names) == before
        again.close()
