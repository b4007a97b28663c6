"""The PostgreSQL that other tests stand on is theirs alone, and comes back from whatever they do to it."""

import signal
import subprocess
from pathlib import Path

import pytest

from tests.fixtures.pgbouncer import PgBouncer
from tests.fixtures.postgresql import PostgreSQL


def psql(postgresql: PostgreSQL, url: str, text: str) -> subprocess.CompletedProcess[str]:
    command = [str(postgresql.programs / "psql"), "-XAtq", url, "-c", text]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_server_when_asked_then_it_is_recent_and_listens_on_loopback_alone(postgresql: PostgreSQL) -> None:
    asked = "SELECT current_setting('server_version_num')::int >= 130000, current_setting('unix_socket_directories')"
    assert postgresql.sql(f"{asked}, current_setting('listen_addresses')") == [["t", "", "127.0.0.1"]]
    assert Path(f"/proc/{postgresql.pid}").stat().st_uid != 0


def test_sql_when_values_hold_line_ends_and_nothing_then_rows_come_as_they_are(postgresql: PostgreSQL) -> None:
    assert postgresql.sql("SELECT E'a\\nb', NULL; SELECT 'ü'; SELECT ''") == [["a\nb", ""], ["ü"], [""]]
    assert postgresql.sql("SELECT WHERE false") == []
    with pytest.raises(RuntimeError, match="nowhere"):
        postgresql.sql("SELECT * FROM nowhere")


def test_url_when_the_password_is_wrong_then_nobody_is_let_in(postgresql: PostgreSQL, pg_database: str) -> None:
    assert psql(postgresql, postgresql.url(pg_database), "SELECT current_database()").stdout == f"{pg_database}\n"
    refused = psql(postgresql, postgresql.url(pg_database, password="wrong"), "SELECT 1")
    assert "authentication failed" in refused.stderr


def test_fresh_database_when_its_name_needs_quoting_then_it_is_made_and_dropped(postgresql: PostgreSQL) -> None:
    name = """Robert'); DROP TABLE "ü"""
    with postgresql.fresh_database(name) as made:
        assert psql(postgresql, postgresql.url(made), "SELECT current_database()").stdout == f"{name}\n"
    assert [name] not in postgresql.sql("SELECT datname FROM pg_database")


def test_kill_backend_when_a_session_dies_then_the_server_is_back(postgresql: PostgreSQL, pg_database: str) -> None:
    postgresql.sql("CREATE TABLE kept AS SELECT 1 AS one", pg_database)
    sleeper = subprocess.Popen(
        [str(postgresql.programs / "psql"), "-XAtq", postgresql.url(pg_database), "-c", "SELECT pg_sleep(60)"],
        stderr=subprocess.DEVNULL,
    )
    asked = "SELECT pid FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)'"
    while not (found := postgresql.sql(asked)):
        assert sleeper.poll() is None
    postgresql.kill_backend(int(found[0][0]))
    assert sleeper.wait(30) != 0
    assert postgresql.sql("SELECT one FROM kept", pg_database) == [["1"]]


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
def test_restart_when_stopped_either_way_then_what_was_committed_is_there(
    postgresql: PostgreSQL, pg_database: str, how: signal.Signals
) -> None:
    port = postgresql.port
    postgresql.sql("CREATE TABLE kept AS SELECT 1 AS one", pg_database)
    postgresql.restart(how)
    assert postgresql.sql("SELECT one FROM kept", pg_database) == [["1"]]
    assert postgresql.port == port


def test_standby_when_written_to_then_it_refuses(postgresql: PostgreSQL, pg_database: str) -> None:
    postgresql.sql("CREATE TABLE kept AS SELECT 1 AS one", pg_database)
    with postgresql.standby() as replica:
        assert replica.sql("SELECT one FROM kept", pg_database) == [["1"]]
        with pytest.raises(RuntimeError, match="read-only"):
            replica.sql("CREATE TABLE other ()", pg_database)


def test_pgbouncer_when_transactions_follow_each_other_then_settings_of_one_are_met_by_the_next(
    postgresql: PostgreSQL, pgbouncer: PgBouncer, pg_database: str
) -> None:
    """What a session sets leaks to others: the reason why pdelta sets nothing for longer than a transaction."""
    url = pgbouncer.url(pg_database)
    assert psql(postgresql, url, "SELECT current_database()").stdout == f"{pg_database}\n"
    psql(postgresql, url, "SET lock_timeout = '7s'")
    assert psql(postgresql, url, "SHOW lock_timeout").stdout == "7s\n"
