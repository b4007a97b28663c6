"""Several runs on the same tenants at once, lock timeouts, deadlocks, and servers that die under a transaction."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pdelta.databases.postgresql.database import PostgresqlDatabase
from pdelta.errors import Cause, DatabaseError, StaleError
from tests.fixtures.pg_fleet import (
    adds,
    apply,
    at_once,
    bring,
    commit,
    glance_of,
    head,
    ids,
    ledger_of,
    make_schemas,
    plan,
    schemas,
    session_of,
)
from tests.fixtures.pgbouncer import PgBouncer
from tests.fixtures.postgresql import PASSWORD, PostgreSQL

TENANTS = tuple(f"t{number}" for number in range(6))
MOVES = tuple(adds(f"delta_{letter}", f"INSERT INTO users VALUES (1, '{letter}')") for letter in "abcd")


@contextmanager
def psql(postgresql: PostgreSQL, database: str, text: str) -> Iterator[subprocess.Popen[str]]:
    """Execute SQL in a session that stays open, in its transaction, until the end; it has executed it all."""
    process = subprocess.Popen(
        [str(postgresql.programs / "psql"), "-XAtq", postgresql.url(database), "-v", "ON_ERROR_STOP=1"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, "PGAPPNAME": "a report", "PGPASSWORD": PASSWORD},
    )
    assert process.stdin
    assert process.stdout
    process.stdin.write(f"BEGIN; {text};\n\\echo ready\n")
    process.stdin.flush()
    while process.stdout.readline() != "ready\n":
        assert process.poll() is None
    try:
        yield process
    finally:
        process.stdin.close()
        process.wait(30)
        process.stdout.close()


def run_both(one: PostgresqlDatabase, other: PostgresqlDatabase) -> None:
    def runner(database: PostgresqlDatabase) -> None:
        for tenant in TENANTS:
            bring(database, tenant, *MOVES)

    assert at_once(lambda: runner(one), lambda: runner(other), lambda: runner(one)) == [None] * 3


def check_once(postgresql: PostgreSQL, pg_database: str, database: PostgresqlDatabase) -> None:
    for tenant in TENANTS:
        found = postgresql.sql(f"SELECT name FROM {tenant}.users ORDER BY name", pg_database)
        assert found == [["a"], ["b"], ["c"], ["d"]]
        assert glance_of(database, tenant).head == head(ledger_of(database, tenant))
        assert ids(database, tenant) == [move.row.id for move in MOVES]


def test_runners_when_they_meet_in_every_tenant_then_each_delta_is_there_exactly_once(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    make_schemas(postgresql, pg_database, *TENANTS)
    with schemas(postgresql.url(pg_database)) as one, schemas(postgresql.url(pg_database)) as other:
        run_both(one, other)
        check_once(postgresql, pg_database, one)


def test_runners_when_they_meet_behind_pgbouncer_then_each_delta_is_there_exactly_once(
    postgresql: PostgreSQL, pgbouncer: PgBouncer, pg_database: str
) -> None:
    make_schemas(postgresql, pg_database, *TENANTS)
    with schemas(pgbouncer.url(pg_database)) as one, schemas(pgbouncer.url(pg_database)) as other:
        run_both(one, other)
        check_once(postgresql, pg_database, one)


def test_runners_when_they_apply_different_deltas_then_the_second_waits_and_is_stale(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    make_schemas(postgresql, pg_database, "t1")
    with schemas(postgresql.url(pg_database)) as database:
        apply(database, "t1", adds("delta_a", "SELECT 1"))
        one, other = (plan(database, "t1", adds(id, "SELECT pg_sleep(0.3)")) for id in ("delta_b", "delta_c"))
        failures = at_once(lambda: commit(database, one), lambda: commit(database, other))
        assert [type(failure) for failure in failures if failure] == [StaleError]
        assert glance_of(database, "t1").head == head(ledger_of(database, "t1"))
        assert len(ids(database, "t1")) == 2


def test_first_use_when_two_runs_make_the_ledger_then_one_waits_and_is_stale(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    make_schemas(postgresql, pg_database, "t1")
    with schemas(postgresql.url(pg_database)) as database:
        slow = plan(database, "t1", adds("delta_a", "SELECT pg_sleep(0.3)"))
        failures = at_once(lambda: commit(database, slow), lambda: commit(database, slow))
        assert [type(failure) for failure in failures if failure] == [StaleError]
        assert ids(database, "t1") == ["delta_a"]


def test_commit_when_another_transaction_holds_the_ledger_then_it_is_busy_within_the_timeout_and_readers_go_on(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    make_schemas(postgresql, pg_database, "t1")
    with schemas(postgresql.url(pg_database)) as database:
        apply(database, "t1", adds("delta_a", "SELECT 1"))
        lock = "LOCK TABLE t1.pdelta_applied IN SHARE UPDATE EXCLUSIVE MODE"
        with psql(postgresql, pg_database, lock):
            start_s = time.monotonic()
            with pytest.raises(DatabaseError, match=r"^t1: .*lock timeout.*nothing was changed") as caught:
                commit(database, plan(database, "t1", adds("delta_b", "SELECT 1")), lock_timeout_ms=300)
            assert 0.25 < time.monotonic() - start_s < 10
            assert (caught.value.cause, caught.value.sqlstate) == (Cause.BUSY, "55P03")
            assert ids(database, "t1") == ["delta_a"]
        apply(database, "t1", adds("delta_b", "SELECT 1"))
        assert ids(database, "t1") == ["delta_a", "delta_b"]


def test_commit_when_a_table_is_in_use_then_the_tenant_is_busy_and_who_uses_it_is_named(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    make_schemas(postgresql, pg_database, "t1", "t2")
    with schemas(postgresql.url(pg_database)) as database:
        works = [plan(database, name, adds("delta_a", "ALTER TABLE users ADD x int")) for name in ("t1", "t2")]
        with psql(postgresql, pg_database, "SELECT * FROM t2.users") as reader:
            with pytest.raises(DatabaseError, match=r"^t2: delta_a") as caught:
                commit(database, *works, lock_timeout_ms=100)
            assert caught.value.cause is Cause.BUSY
            (blocker,) = database.blockers("t2")
            pid = postgresql.sql("SELECT pid FROM pg_stat_activity WHERE application_name = 'a report'")[0][0]
            assert f"process {pid} (a report, user postgres) holds AccessShareLock in a transaction of" in blocker
            assert "idle in transaction for" in blocker
            assert "SELECT * FROM t2.users" in blocker
            assert database.blockers("t1") == []
            assert reader.poll() is None
        commit(database, *works)


def test_readers_when_a_long_delta_holds_the_ledger_then_they_and_the_application_read_on(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    make_schemas(postgresql, pg_database, "t1")
    with schemas(postgresql.url(pg_database)) as database, session_of(database) as session:
        apply(database, "t1", adds("delta_a", "SELECT 1"))
        work = plan(database, "t1", adds("delta_b", "INSERT INTO users VALUES (1)", "SELECT pg_sleep(60)"))
        failure: list[BaseException] = []

        def run() -> None:
            try:
                session.commit([work], lock_timeout_ms=1000)
            except DatabaseError as error:
                failure.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        while not postgresql.sql(
            "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND wait_event = 'PgSleep'"
        ):
            assert thread.is_alive()
        assert ids(database, "t1") == ["delta_a"]
        assert glance_of(database, "t1").head is not None
        assert session_query(database) == [(0,)]
        session.cancel()
        thread.join(30)
        assert [getattr(error, "sqlstate", "") for error in failure] == ["57014"]
        commit(database, plan(database, "t1", adds("delta_b", "INSERT INTO users VALUES (2)")))
        assert postgresql.sql("SELECT id FROM t1.users", pg_database) == [["2"]]


def session_query(database: PostgresqlDatabase) -> list[tuple[object, ...]]:
    with session_of(database) as session:
        return session.query("t1", "SELECT count(*) FROM users")


def test_commit_when_it_is_the_victim_of_a_deadlock_then_it_is_busy(postgresql: PostgreSQL, pg_database: str) -> None:
    make_schemas(postgresql, pg_database, "t1")
    postgresql.sql("CREATE TABLE t1.other ()", pg_database)
    slow = "SELECT pg_sleep(0.4)"
    with schemas(postgresql.url(pg_database)) as database:
        apply(database, "t1", adds("delta_a", "SELECT 1"))
        work = plan(database, "t1", adds("delta_b", "LOCK TABLE users", slow, "LOCK TABLE other"))
        against = f"BEGIN; LOCK TABLE t1.other; {slow}; LOCK TABLE t1.users; COMMIT"
        failures = at_once(
            lambda: commit(database, work, lock_timeout_ms=20_000), lambda: postgresql.sql(against, pg_database)
        )
        (victim,) = [failure for failure in failures if failure]
        if isinstance(victim, DatabaseError):
            assert (victim.cause, victim.sqlstate) == (Cause.BUSY, "40P01")
            assert victim.message.startswith("t1: delta_b: deadlock detected")
            assert ids(database, "t1") == ["delta_a"]
        else:
            assert "deadlock" in str(victim)
            assert ids(database, "t1") == ["delta_a", "delta_b"]


@pytest.mark.parametrize("how", ["terminated", "killed", "stopped"])
def test_commit_when_the_server_dies_under_it_then_it_is_lost_and_the_ledger_tells(
    postgresql: PostgreSQL, pg_database: str, how: str
) -> None:
    make_schemas(postgresql, pg_database, "t1")
    with schemas(postgresql.url(pg_database)) as database, session_of(database) as session:
        apply(database, "t1", adds("delta_a", "SELECT 1"))
        work = plan(database, "t1", adds("delta_b", "INSERT INTO users VALUES (1)", "SELECT pg_sleep(60)"))

        def kill() -> None:
            asked = "SELECT pid FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)%' AND wait_event = 'PgSleep'"
            while not (found := postgresql.sql(asked)):
                time.sleep(0.01)
            match how:
                case "terminated":
                    postgresql.sql(f"SELECT pg_terminate_backend({found[0][0]})")
                case "killed":
                    postgresql.kill_backend(int(found[0][0]))
                case _:
                    postgresql.restart(signal.SIGQUIT)

        failures = at_once(lambda: session.commit([work], lock_timeout_ms=1000), kill)
        assert failures[1] is None
        assert isinstance(failures[0], DatabaseError)
        assert failures[0].cause is Cause.LOST
        assert failures[0].message.startswith("t1: the connection broke")
        assert failures[0].message.endswith("whether it was committed is not known")
        assert ids(database, "t1") == ["delta_a"]
        assert postgresql.sql("SELECT count(*) FROM t1.users", pg_database) == [["0"]]
        session.commit([plan(database, "t1", adds("delta_b", "INSERT INTO users VALUES (2)"))], lock_timeout_ms=1000)
        assert ids(database, "t1") == ["delta_a", "delta_b"]


def test_session_when_the_server_was_restarted_in_the_meantime_then_it_connects_again(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    make_schemas(postgresql, pg_database, "t1")
    with schemas(postgresql.url(pg_database)) as database, session_of(database) as session:
        for id in ("delta_a", "delta_b"):
            session.commit([plan(database, "t1", adds(id, "SELECT 1"))], lock_timeout_ms=1000)
            postgresql.restart()
        assert ids(database, "t1") == ["delta_a", "delta_b"]


def test_server_when_it_is_down_then_tenants_are_unreachable_and_no_password_is_told(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    make_schemas(postgresql, pg_database, "t1")
    with schemas(postgresql.url(pg_database)) as database, session_of(database) as session:
        work = plan(database, "t1", adds("delta_a", "SELECT 1"))
        postgresql.stop()
        try:
            seen, held = database.glance(["t1"])["t1"], database.ledgers(["t1"])["t1"]
            with pytest.raises(DatabaseError) as caught:
                session.commit([work], lock_timeout_ms=1000)
            for error in (seen, held, caught.value):
                assert isinstance(error, DatabaseError)
                assert error.cause is Cause.UNREACHABLE
                assert f"{pg_database} on 127.0.0.1:{postgresql.port}" in error.message
                assert PASSWORD not in error.message + repr(error) + error.reason + error.hint
            assert database.blockers("t1") == ()
        finally:
            postgresql.start()
