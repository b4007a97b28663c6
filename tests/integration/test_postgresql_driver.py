"""The client library, wherever it comes from, and one connection through it."""

import subprocess
import sys
import threading
import time
from collections.abc import Iterator

import pytest

from pdelta.databases.postgresql import libpq
from pdelta.databases.postgresql.address import Address
from pdelta.databases.postgresql.connection import BrokenError, ConnectError, Connection, StatementError
from pdelta.databases.postgresql.login import Keys
from pdelta.errors import UsageError
from tests.fixtures.pgbouncer import PgBouncer
from tests.fixtures.postgresql import PostgreSQL, free_port


@pytest.fixture
def connection(postgresql: PostgreSQL) -> Connection:
    return connect(postgresql.url())


def connect(url: str, database: str = "") -> Connection:
    return Connection(Address(url), database=database, application_name="pdelta")


def test_library_when_a_package_brought_it_then_it_does_all_that_the_systems_does(
    postgresql: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = libpq.load(next(libpq.bundled()))
    monkeypatch.setattr(libpq, "find_library", lambda **_: library)
    connection = connect(postgresql.url())
    assert connection.run("SELECT 1, 'ü'; SELECT 2")[0].rows == [(1, "ü")]
    with pytest.raises(StatementError, match="division by zero"):
        connection.run("SELECT 1 / 0")
    connection.close()
    with pytest.raises(ConnectError) as caught:
        connect(postgresql.url(password="wrong"))
    assert caught.value.sqlstate == "28P01"


def test_library_when_there_is_none_then_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libpq, "_SYSTEM", "libpq-that-nobody-has.so")
    monkeypatch.setattr(libpq, "_WHEELS", ("no-such-folder",))
    libpq.find_library.cache_clear()
    try:
        with pytest.raises(UsageError, match="libpq") as caught:
            connect("postgresql://127.0.0.1/app")
        assert "pdelta[postgresql]" in caught.value.hint
    finally:
        libpq.find_library.cache_clear()


def test_library_when_the_adapter_is_imported_then_neither_it_nor_a_driver_comes_with_it() -> None:
    code = (
        "import sys; import pdelta.databases.postgresql.database;"
        "print(sorted({'ssl', 'psycopg', 'psycopg2', 'asyncio', 'concurrent.futures'} & set(sys.modules)),"
        " 'libpq' in open('/proc/self/maps').read())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "[] False\n", done.stderr


def test_run_when_a_statement_fails_then_those_before_it_have_results_and_the_connection_goes_on(
    connection: Connection,
) -> None:
    with pytest.raises(StatementError) as caught:
        connection.run("SELECT 1; SELECT 'ü', nowhere; SELECT 3")
    error = caught.value
    assert (error.sqlstate, error.position, [result.rows for result in error.results]) == ("42703", 23, [[(1,)]])
    assert [result.tag for result in connection.run("CREATE TEMP TABLE x (a int); INSERT INTO x VALUES (1), (2)")] == [
        "CREATE TABLE",
        "INSERT 0 2",
    ]
    assert connection.run("") == []
    connection.close()


def test_run_when_rows_of_a_copy_are_wanted_then_it_has_them_and_no_other_has(connection: Connection) -> None:
    text = "SELECT 7; COPY (VALUES (1, 'ü'), (2, NULL)) TO STDOUT; COPY (VALUES (3)) TO STDOUT; SELECT 4"
    results = connection.run(text, copied=[0, 1])
    assert [result.rows for result in results] == [[(7,)], [("1\tü",), ("2\t\\N",)], [], [(4,)]]
    assert connection.run("COPY (SELECT 1 LIMIT 0) TO STDOUT", copied=[0])[0].rows == []
    with pytest.raises(StatementError):
        connection.run("COPY (SELECT 1 / (2 - g) FROM generate_series(1, 2) g) TO STDOUT", copied=[0])
    assert connection.run("DO 'BEGIN END'")[0].rows == []
    connection.close()


def test_run_when_rows_are_copied_to_or_from_the_client_then_it_does_not_hang(connection: Connection) -> None:
    results = connection.run("COPY (SELECT g FROM generate_series(1, 10000) g) TO STDOUT; SELECT 1")
    assert [result.tag for result in results] == ["COPY 10000", "SELECT 1"]
    with pytest.raises(StatementError, match="there is no data"):
        connection.run("CREATE TEMP TABLE x (a int); COPY x FROM STDIN; SELECT 1")
    assert connection.run("SELECT 1")[0].rows == [(1,)]
    with pytest.raises(ValueError, match="NUL"):
        connection.run("SELECT 'a\0b'")
    connection.close()


def test_run_when_the_server_speaks_of_more_than_results_then_nothing_is_printed(
    postgresql: PostgreSQL, capfd: pytest.CaptureFixture[str]
) -> None:
    connection = connect(postgresql.url())
    connection.run("DROP TABLE IF EXISTS nothing; DO $$ BEGIN RAISE WARNING 'hello'; END $$")
    connection.close()
    assert capfd.readouterr() == ("", "")


def test_run_when_it_waits_then_other_threads_go_on(connection: Connection) -> None:
    ended = threading.Event()

    def wait() -> None:
        connection.run("SELECT pg_sleep(0.5)")
        ended.set()

    thread = threading.Thread(target=wait)
    thread.start()
    count = 0
    while not ended.is_set():
        count += 1
        time.sleep(0.001)
    thread.join()
    assert count > 50
    connection.close()


def test_run_when_the_connection_is_closed_then_it_says_so_and_stays_closed(connection: Connection) -> None:
    assert connection.is_usable()
    with pytest.raises(BrokenError) as caught:
        connection.run("SELECT 1; SELECT pg_terminate_backend(pg_backend_pid())")
    assert "terminating connection" in caught.value.message
    assert not connection.is_usable()
    with pytest.raises(BrokenError, match="closed"):
        connection.run("SELECT 1")


def test_backend_when_a_pooler_answers_then_its_number_is_another(postgresql: PostgreSQL, pgbouncer: PgBouncer) -> None:
    for url, is_own in ((postgresql.url(), True), (pgbouncer.url(), False)):
        connection = connect(url)
        assert (connection.run("SELECT pg_backend_pid()")[0].rows == [(connection.backend,)]) is is_own
        assert connection.run("SHOW application_name; SHOW client_encoding")[1].rows == [("UTF8",)]
        connection.close()


def test_connect_when_nobody_answers_then_it_gives_up_in_time(postgresql: PostgreSQL) -> None:
    import socket

    with socket.socket() as deaf:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen()
        start_s = time.monotonic()
        with pytest.raises(ConnectError, match="no answer in time"):
            connect(f"postgresql://me:secret@127.0.0.1:{deaf.getsockname()[1]}/app?connect_timeout=0.3")
        assert 0.2 < time.monotonic() - start_s < 10
    with pytest.raises(ConnectError, match="refused Is the server running") as refused:
        connect(f"postgresql://127.0.0.1:{free_port()}/app")
    # The library breaks lines, and begins them with a tab.
    assert refused.value.message.isprintable()
    many = f"postgresql://postgres:wrong@127.0.0.1:{free_port()},127.0.0.1:{postgresql.port}/app"
    with pytest.raises(ConnectError) as caught:
        connect(many)
    assert caught.value.sqlstate == "28P01"


def test_connect_when_the_database_is_another_then_that_one_is_connected_to(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    connection = connect(postgresql.url("nowhere"), pg_database)
    assert connection.run("SELECT current_database()")[0].rows == [(pg_database,)]
    connection.close()
    with pytest.raises(ConnectError) as caught:
        connect(postgresql.url(), "nowhere=1 host=elsewhere")
    assert caught.value.sqlstate == "3D000"


@pytest.fixture
def rather(postgresql: PostgreSQL) -> Iterator[str]:
    """Give the URL of a role with a password of its own."""
    postgresql.sql("DROP ROLE IF EXISTS rather; CREATE ROLE rather LOGIN PASSWORD 'one and the same'")
    yield postgresql.url(user="rather", password="one and the same")
    postgresql.sql("DROP ROLE rather")


def failures(postgresql: PostgreSQL) -> int:
    return postgresql.log.read_text(errors="replace").count('password authentication failed for user "rather"')


def test_connect_when_it_is_done_often_then_keys_stand_for_the_password(
    rather: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = Address(rather)
    seen: list[Keys] = []
    told = address.login.parameters

    def listen() -> Keys:
        seen.append(told())
        return seen[-1]

    monkeypatch.setattr(address.login, "parameters", listen)
    for _time in range(7):
        connection = Connection(address, application_name="pdelta")
        assert connection.run("SELECT current_user")[0].rows == [("rather",)]
        connection.close()
    assert [len(keys) for keys in seen] == [0, 0, 0, 0, 2, 2, 2]
    assert libpq.takes_keys(libpq.find_library(keyed=True))


def test_connect_when_the_keys_are_those_of_another_password_then_the_password_is_taken(
    postgresql: PostgreSQL, rather: str
) -> None:
    address = Address(rather)
    for _time in range(5):
        Connection(address, application_name="pdelta").close()
    assert address.login.parameters()
    postgresql.sql("ALTER ROLE rather PASSWORD 'one and the same'")  # another salt
    before = failures(postgresql)
    for _time in range(3):
        Connection(address, application_name="pdelta").close()
    assert (address.login.parameters(), failures(postgresql)) == ((), before + 1)
    postgresql.sql("ALTER ROLE rather PASSWORD 'another'")
    with pytest.raises(ConnectError) as caught:
        Connection(address, application_name="pdelta")
    assert caught.value.sqlstate == "28P01"
    assert failures(postgresql) == before + 2


def test_connect_when_the_library_takes_no_keys_then_it_has_the_password_each_time(
    rather: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(libpq, "takes_keys", lambda _library: False)
    address = Address(rather)
    for _time in range(6):
        Connection(address, application_name="pdelta").close()
    assert address.login.parameters() == ()


def test_connect_when_keys_were_refused_then_the_library_stays_and_the_wait_is_one(
    postgresql: PostgreSQL, rather: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # An option of libpq 16 and later: another library would not take it.
    address = Address(f"{rather}?require_auth=scram-sha-256&connect_timeout=30")
    for _time in range(5):
        Connection(address, application_name="pdelta").close()
    postgresql.sql("ALTER ROLE rather PASSWORD 'one and the same'")
    deadlines: list[float] = []
    come_to_terms = Connection._come_to_terms

    def listen(self: Connection, deadline_s: float) -> bool:
        deadlines.append(deadline_s)
        return come_to_terms(self, deadline_s)

    monkeypatch.setattr(Connection, "_come_to_terms", listen)
    for _time in range(2):
        Connection(address, application_name="pdelta").close()
    assert deadlines[0] == deadlines[1] < deadlines[2]


def test_connect_when_something_else_is_wrong_then_the_keys_stay_and_it_is_tried_once(
    postgresql: PostgreSQL, rather: str
) -> None:
    address = Address(rather)
    for _time in range(5):
        Connection(address, application_name="pdelta").close()
    before = postgresql.log.read_text(errors="replace").count("FATAL")
    with pytest.raises(ConnectError) as caught:
        Connection(address, database="nowhere", application_name="pdelta")
    assert caught.value.sqlstate == "3D000"
    assert postgresql.log.read_text(errors="replace").count("FATAL") == before + 1
    assert address.login.parameters()


def test_connect_when_a_server_has_not_proved_itself_then_nothing_is_learnt_of_it(postgresql: PostgreSQL) -> None:
    address = Address(postgresql.url(password="wrong"))
    for _time in range(6):
        with pytest.raises(ConnectError):
            Connection(address, application_name="pdelta")
    assert (address.login.parameters(), address.login.listens) == ((), True)


def test_connect_when_a_pooler_answers_then_nobody_is_ever_refused(
    postgresql: PostgreSQL, pgbouncer: PgBouncer
) -> None:
    address = Address(pgbouncer.url())
    for _time in range(8):
        connection = Connection(address, application_name="pdelta")
        assert connection.run("SELECT 1")[0].rows == [(1,)]
        connection.close()
    assert address.login.is_repeatable
    assert "password authentication failed" not in pgbouncer.log.read_text()


def test_library_when_a_url_has_a_password_then_one_that_takes_keys_comes_before_the_systems(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    newest = next(path for path in libpq.bundled() if path.endswith(".so.5.18"))
    loaded: list[str] = []
    monkeypatch.setattr(libpq, "load", loaded.append)
    libpq.find_library.__wrapped__(keyed=True)
    libpq.find_library.__wrapped__()
    monkeypatch.setattr(libpq, "bundled", lambda: iter(["/x/libpq-0815.so.5.17", "/x/libpq-4711.so.5"]))
    libpq.find_library.__wrapped__(keyed=True)
    assert loaded == [newest, "libpq.so.5", "libpq.so.5"]


def test_login_when_the_systems_certificates_count_then_it_is_the_systems_librarys_business(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert Address("postgresql://me:secret@db/app").login.is_repeatable
    assert not Address("postgresql://me:secret@db/app?sslrootcert=system").login.is_repeatable
    assert not Address("postgresql://me@db/app").login.is_repeatable
    assert not Address("postgresql://me:secret@db/app?service=there").login.has_password
    monkeypatch.setenv("PGSERVICE", "there")
    assert not Address("postgresql://me:secret@db/app").login.has_password
    monkeypatch.delenv("PGSERVICE")
    assert Address("postgresql://me:pässword@db/app").login.has_password
    monkeypatch.setenv("PGSSLROOTCERT", "system")
    assert not Address("postgresql://me:secret@db/app").login.is_repeatable
