"""Transactions that are sent together: each stands by itself, none is told before it is durable, and few strings do."""

import shutil
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pdelta.databases.base import Glance, Work
from pdelta.databases.postgresql import session as session_module
from pdelta.databases.postgresql.connection import Connection, Result
from pdelta.databases.postgresql.database import PostgresqlDatabase
from pdelta.databases.postgresql.server import Server
from pdelta.errors import Cause, DatabaseError, StaleError
from pdelta.sql.ledger import EMPTY_HEAD
from pdelta.testing.bench import each
from tests.fixtures.cli import Cli
from tests.fixtures.pg_fleet import (
    adds,
    apply,
    at_once,
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
from tests.fixtures.postgresql import PASSWORD, SUPERUSER, PostgreSQL, running_postgresql
from tests.fixtures.tenants import ORIGIN, Project, SchemaFleet

TENANTS = tuple(f"t{number}" for number in range(8))
ONE, TWO = adds("delta_a", "SELECT 1"), adds("delta_b", "INSERT INTO users VALUES (1)")
WAIT_MS = 500
BUSY_TENANTS = ("t05", "t23")
NAME = "delta_20250315_add_last_login"


@pytest.fixture
def lazy_postgresql(postgresql: PostgreSQL) -> Iterator[PostgreSQL]:
    """Give a server of its own that may be killed, whose writer sleeps ten seconds: what a crash leaves was waited for.

    The shared one is asked for only because it says where there is none.
    """
    folder = Path(tempfile.mkdtemp(prefix="pd-pg-", dir=postgresql.folder.parent))
    try:
        with running_postgresql(folder, wal_writer_delay="10s", autovacuum="off") as server:
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def managed(server: PostgreSQL, pg_database: str, url: str = "") -> PostgresqlDatabase:
    """Give schemas that have a ledger each."""
    make_schemas(server, pg_database, *TENANTS)
    database = schemas(url or server.url(pg_database))
    for tenant in TENANTS:
        apply(database, tenant, ONE)
    return database


def firsts(names: Sequence[str]) -> list[Work]:
    """Give the works that make the ledgers of tenants."""
    unmanaged = Glance(managed=False, head=EMPTY_HEAD)
    return [Work(name, EMPTY_HEAD, head([ONE.row]), (ONE,), unmanaged) for name in names]


def works_of(database: PostgresqlDatabase) -> list[Work]:
    return [plan(database, tenant, TWO) for tenant in TENANTS]


def visited(fleet: SchemaFleet, cli: Cli) -> tuple[SchemaFleet, Project]:
    """Bring a first delta to a fleet, so that each tenant has a ledger; give its project too."""
    project = Project(fleet.folder, fleet.section)
    project.write(
        "delta_20250301_visits", "CREATE TABLE visits (id int);\n-- Reversible delta\n-- DROP TABLE visits;\n"
    )
    cli("sql", "apply", cwd=fleet.folder)
    return fleet, project


def check(server: PostgreSQL, pg_database: str, database: PostgresqlDatabase, having: tuple[str, ...]) -> None:
    for tenant in TENANTS:
        there = tenant in having
        assert ids(database, tenant) == (["delta_a", "delta_b"] if there else ["delta_a"]), tenant
        assert server.sql(f"SELECT count(*) FROM {tenant}.users", pg_database) == [["1" if there else "0"]], tenant
        assert glance_of(database, tenant).head == head(ledger_of(database, tenant))


def test_series_when_tenants_are_alike_then_one_string_does_all_and_each_has_its_own_transaction(
    postgresql: PostgreSQL, pg_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[str] = []
    run = Connection.run

    def listen(self: Connection, text: str, **more: Any) -> list[Result]:
        sent.append(text)
        return run(self, text, **more)

    with managed(postgresql, pg_database) as database, session_of(database) as session:
        works = works_of(database)
        monkeypatch.setattr(Connection, "run", listen)
        assert session.commit_each(works, lock_timeout_ms=WAIT_MS) == [None] * 8
        assert [text.count("\nCOMMIT") for text in sent] == [8]
        # The last one waits for the disk, and so for what was written before it.
        assert sent[0].count("synchronous_commit = off") == 7
        monkeypatch.undo()
        check(postgresql, pg_database, database, TENANTS)
        made = {postgresql.sql(f"SELECT xmin FROM {tenant}.users", pg_database)[0][0] for tenant in TENANTS}
        assert len(made) == len(TENANTS)


def test_series_when_one_fails_then_it_is_named_and_those_before_it_stay(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    with managed(postgresql, pg_database) as database, session_of(database) as session:
        works = works_of(database)
        postgresql.sql("ALTER TABLE t5.users ADD CHECK (id > 1)", pg_database)
        *done, error = session.commit_each(works, lock_timeout_ms=WAIT_MS)
        assert done == [None] * 5
        assert isinstance(error, DatabaseError)
        assert (error.cause, error.sqlstate) == (Cause.REFUSED, "23514")
        assert error.message.startswith("t5: delta_b: new row for relation")
        assert "(statement 1: INSERT INTO users VALUES (1))" in error.message
        check(postgresql, pg_database, database, TENANTS[:5])
        assert each(session, works[6:]) == [None, None]


def test_series_when_a_tenant_is_in_use_then_it_is_busy_and_those_before_it_stay(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    with managed(postgresql, pg_database) as database, session_of(database) as session:
        works = works_of(database)
        holder = Connection(database._servers[database.lane("t1")].address, application_name="a reader")
        holder.run("BEGIN; LOCK TABLE t4.users")
        *done, error = session.commit_each(works, lock_timeout_ms=WAIT_MS)
        holder.close()
        assert done == [None] * 4
        assert isinstance(error, DatabaseError)
        assert (error.cause, error.message.startswith("t4: delta_b")) == (Cause.BUSY, True)
        check(postgresql, pg_database, database, TENANTS[:4])


def test_series_when_a_ledger_is_another_by_now_then_stale_and_those_before_it_stay(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    with managed(postgresql, pg_database) as database, session_of(database) as session:
        works = works_of(database)
        apply(database, "t3", TWO)
        *done, error = session.commit_each(works, lock_timeout_ms=WAIT_MS)
        assert done == [None] * 3
        assert isinstance(error, StaleError)
        assert error.message.startswith("t3: its ledger is not as it was")
        check(postgresql, pg_database, database, TENANTS[:4])


def test_series_when_two_runs_meet_in_it_then_each_delta_is_there_exactly_once(
    postgresql: PostgreSQL, pgbouncer: PgBouncer, pg_database: str
) -> None:
    with managed(postgresql, pg_database, pgbouncer.url(pg_database)) as database:
        works = works_of(database)

        def runner() -> None:
            with session_of(database) as session:
                left = works
                while left:
                    outcomes = session.commit_each(left, lock_timeout_ms=5000)
                    assert all(one is None or isinstance(one, StaleError) for one in outcomes), outcomes
                    left = left[len(outcomes) :]

        assert at_once(runner, runner, runner) == [None] * 3
        check(postgresql, pg_database, database, TENANTS)


def paused(server: PostgreSQL, name: str, database: PostgresqlDatabase, where: str) -> list[Work]:
    """Give works that sleep in one tenant."""
    move = adds("delta_b", "INSERT INTO users VALUES (1)", "SELECT pg_sleep(x) FROM pause")
    for tenant in TENANTS:
        server.sql(f"CREATE TABLE {tenant}.pause AS SELECT {60 if tenant == where else 0} AS x", name)
    return [plan(database, tenant, move) for tenant in TENANTS]


def give_to(server: PostgreSQL, name: str, role: str, tenants: Sequence[str]) -> None:
    """Make somebody who can log in, and give the tenants to them."""
    owned = "".join(
        f"ALTER SCHEMA {tenant} OWNER TO {role}; ALTER TABLE {tenant}.users OWNER TO {role};"
        f"ALTER TABLE {tenant}.pdelta_applied OWNER TO {role}; ALTER TABLE {tenant}.pdelta_history OWNER TO {role};"
        f"GRANT SELECT ON ALL TABLES IN SCHEMA {tenant} TO {role};"
        for tenant in tenants
    )
    server.sql(f"CREATE ROLE {role} LOGIN PASSWORD '{PASSWORD}'; {owned}", name)


def give_to_ada(server: PostgreSQL, name: str) -> None:
    """Give the tenants to somebody who may write no message into the log."""
    found = server.sql("SELECT oid::regprocedure FROM pg_proc WHERE proname = 'pg_logical_emit_message'", name)
    server.sql("".join(f"REVOKE EXECUTE ON FUNCTION {function} FROM PUBLIC;" for (function,) in found), name)
    give_to(server, name, "ada", TENANTS)


@contextmanager
def broken_in_its_sleep(server: PostgreSQL) -> Iterator[None]:
    """Have the connection ended that sleeps meanwhile."""

    def end() -> None:
        asked = "SELECT pid FROM pg_stat_activity WHERE query LIKE '%delta_b%' AND wait_event = 'PgSleep'"
        while not (found := server.sql(asked)):
            time.sleep(0.02)
        server.sql(f"SELECT pg_terminate_backend({found[0][0]})")

    ending = threading.Thread(target=end)
    ending.start()
    yield
    ending.join(30)


def test_series_when_the_connection_breaks_in_it_then_all_of_it_is_in_doubt_and_the_ledgers_tell(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    with managed(postgresql, pg_database) as database, session_of(database) as session:
        works = paused(postgresql, pg_database, database, "t4")
        with broken_in_its_sleep(postgresql):
            outcomes = session.commit_each(works, lock_timeout_ms=WAIT_MS)
        assert [isinstance(one, DatabaseError) and one.cause for one in outcomes] == [Cause.LOST] * 8
        check(postgresql, pg_database, database, TENANTS[:4])


def test_series_when_the_server_is_gone_then_the_first_is_told_so_and_nothing_is_raised(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    with managed(postgresql, pg_database) as database, session_of(database) as session:
        works = works_of(database)
        postgresql.stop()
        try:
            (error,) = session.commit_each(works, lock_timeout_ms=WAIT_MS)
        finally:
            postgresql.start()
        assert isinstance(error, DatabaseError)
        assert (error.cause, error.message.startswith(pg_database)) == (Cause.UNREACHABLE, True)
        check(postgresql, pg_database, database, ())


def test_series_when_a_string_reads_backslashes_then_each_is_sent_alone(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    postgresql.sql(f'ALTER DATABASE "{pg_database}" SET standard_conforming_strings = off')
    with managed(postgresql, pg_database) as database, session_of(database) as session:
        works = works_of(database)
        assert session.commit_each(works, lock_timeout_ms=WAIT_MS) == [None]
        assert each(session, works[1:]) == [None] * 7
        check(postgresql, pg_database, database, TENANTS)


def test_series_when_the_server_dies_after_it_was_told_then_nothing_that_was_told_is_lost(
    lazy_postgresql: PostgreSQL,
) -> None:
    server = lazy_postgresql
    with server.fresh_database() as name, managed(server, name) as database, session_of(database) as session:
        works = works_of(database)
        server.sql("ALTER TABLE t5.users ADD CHECK (id > 1)", name)
        *done, error = session.commit_each(works, lock_timeout_ms=WAIT_MS)
        server.kill()
        server.start()
        assert (done, type(error)) == ([None] * 5, DatabaseError)
        check(server, name, database, TENANTS[:5])
        server.sql("ALTER TABLE t5.users DROP CONSTRAINT users_id_check", name)
        assert session.commit_each(works[5:], lock_timeout_ms=WAIT_MS) == [None] * 3
        server.kill()
        server.start()
        check(server, name, database, TENANTS)


def test_apply_when_some_fail_and_some_are_locked_in_a_fleet_then_only_these_are_left_and_named(
    tmp_path: Path, postgresql: PostgreSQL, pg_database: str, cli: Cli
) -> None:
    names = [f"t{number:02d}" for number in range(40)]
    fleet, project = visited(SchemaFleet(tmp_path, names, postgresql, pg_database), cli)
    project.write(NAME, ORIGIN)
    fleet.sql("t11", "ALTER TABLE users ADD last_login int")
    database = schemas(postgresql.url(pg_database))
    holder = Connection(database._servers[database.lane("t1")].address, application_name="a report")
    holder.run("BEGIN;" + ";".join(f"SELECT 1 FROM {name}.users" for name in BUSY_TENANTS))
    done = cli("sql", "apply", "--on-failure", "continue", "--lock-timeout", "150ms", status=8, cwd=tmp_path)
    assert fleet.having("last_login") == [name for name in names if name not in BUSY_TENANTS]
    assert 'column "last_login" of relation "users" already exists\n    t11: as it was' in done.out
    for name in BUSY_TENANTS:
        assert f"{name}: as it was" in done.out
    holder.close()
    fleet.sql("t11", "ALTER TABLE users DROP last_login")
    cli("sql", "apply", cwd=tmp_path)
    assert fleet.having("last_login") == names
    for name in names:
        assert fleet.sql(name, "SELECT count(*) FROM pdelta_applied WHERE state = 'applied'") == [("2",)]
    cli("sql", "rollback", "--to", "delta_20250301_visits", cwd=tmp_path)
    assert fleet.having("last_login") == []


def test_series_when_one_can_not_be_read_then_it_is_named_and_those_before_it_are_done(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    with managed(postgresql, pg_database) as database, session_of(database) as session:
        bad = adds("delta_b", "SELEC 1")
        works = [plan(database, tenant, bad if tenant == "t3" else TWO) for tenant in TENANTS]
        *done, error = each(session, works)
        assert done == [None] * 3
        assert isinstance(error, DatabaseError)
        assert error.message.startswith('t3: delta_b: syntax error at or near "SELEC" (statement 1: SELEC 1)')
        check(postgresql, pg_database, database, TENANTS[:3])
        assert each(session, works[4:]) == [None] * 4


@pytest.mark.parametrize(
    ("encoding", "good", "bad"),
    [
        # The server does not say where what it can't convert stands.
        ("LATIN1", "INSERT INTO users VALUES (1)", "SELECT '€'"),
        # The server counts bytes there.
        ("SQL_ASCII", f"INSERT INTO users VALUES (1, '{'€' * 3000}')", "SELEC 1"),
    ],
)
def test_series_when_the_server_does_not_say_where_it_could_not_be_read_then_only_the_bad_one_fails(
    postgresql: PostgreSQL, encoding: str, good: str, bad: str
) -> None:
    name = f"encoded_{encoding.lower()}"
    postgresql.sql(f"CREATE DATABASE {name} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
    try:
        with managed(postgresql, name) as database, session_of(database) as session:
            moves = {tenant: adds("delta_b", bad if tenant == "t3" else good) for tenant in TENANTS}
            works = [plan(database, tenant, move) for tenant, move in moves.items()]
            *done, error = each(session, works)
            assert done == [None] * 3
            assert isinstance(error, DatabaseError)
            assert (error.cause, error.message[:4]) == (Cause.REFUSED, "t3: ")
            assert each(session, works[4:]) == [None] * 4
    finally:
        postgresql.sql(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.mark.parametrize("way", ["SET LOCAL", "SET"])
def test_series_when_the_last_delta_would_not_wait_for_the_disk_then_it_waits_all_the_same(
    lazy_postgresql: PostgreSQL, way: str
) -> None:
    server = lazy_postgresql
    with server.fresh_database() as name, managed(server, name) as database, session_of(database) as session:
        quick = adds("delta_b", f"{way} synchronous_commit = off", "INSERT INTO users VALUES (1)")
        works = [plan(database, tenant, quick if tenant == TENANTS[-1] else TWO) for tenant in TENANTS]
        assert session.commit_each(works, lock_timeout_ms=WAIT_MS) == [None] * 8
        server.kill()
        server.start()
        check(server, name, database, TENANTS)


def test_series_when_each_has_a_text_of_its_own_then_all_that_is_told_is_done(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    names = [f"t{number}" for number in range(200)]
    make_schemas(postgresql, pg_database, *names)
    with schemas(postgresql.url(pg_database)) as database:
        commit(database, *firsts(names))
        glances = database.glance(names)
        rows = head([ONE.row, TWO.row])
        works = []
        for name in names:
            glance = glances[name]
            assert isinstance(glance, Glance)
            own = adds("delta_b", "INSERT INTO users VALUES (1)", *(["SELECT '\x01'"] if name == "t66" else []))
            works.append(Work(name, head([ONE.row]), rows, (own,), glance))
        left = [works[at : at + 5] for at in range(0, len(works), 5)]

        def runner() -> None:
            with session_of(database) as session:
                while left:
                    mine = left.pop()
                    while mine:
                        outcomes = session.commit_each(mine, lock_timeout_ms=5000)
                        assert not any(outcomes)
                        mine = mine[len(outcomes) :]

        assert at_once(runner, runner, runner) == [None] * 3
        assert all(len(found) == 2 for found in database.ledgers(names).values() if not isinstance(found, Exception))


@pytest.mark.parametrize("allowed", [True, False])
def test_series_when_the_connection_broke_in_it_then_what_is_seen_afterwards_is_durable(
    lazy_postgresql: PostgreSQL, allowed: bool
) -> None:
    server = lazy_postgresql
    with server.fresh_database() as name, managed(server, name) as database:
        works = paused(server, name, database, "t6")
        if not allowed:
            give_to_ada(server, name)
        with (
            schemas(server.url(name, user="postgres" if allowed else "ada")) as mine,
            session_of(mine) as session,
            broken_in_its_sleep(server),
        ):
            outcomes = session.commit_each(works, lock_timeout_ms=WAIT_MS)
        assert {isinstance(one, DatabaseError) and one.cause for one in outcomes} == {Cause.LOST}
        seen = [tenant for tenant in TENANTS if "delta_b" in ids(database, tenant)]
        server.kill()
        server.start()
        assert seen == list(TENANTS[:6])
        check(server, name, database, TENANTS[:6])


def test_series_when_nobody_may_write_a_message_then_what_is_told_is_durable_and_the_session_goes_on(
    lazy_postgresql: PostgreSQL,
) -> None:
    server = lazy_postgresql
    with server.fresh_database() as name, managed(server, name):
        give_to_ada(server, name)
        with schemas(server.url(name, user="ada")) as database, session_of(database) as session:
            works = works_of(database)
            server.sql("ALTER TABLE t5.users ADD CHECK (id > 1)", name)
            *done, error = session.commit_each(works, lock_timeout_ms=WAIT_MS)
            server.kill()
            server.start()
            assert (done, type(error)) == ([None] * 5, DatabaseError)
            check(server, name, database, TENANTS[:5])
            server.sql("ALTER TABLE t7.users ADD CHECK (id > 1)", name)
            *done, error = session.commit_each(works[6:], lock_timeout_ms=WAIT_MS)
            assert (done, type(error)) == ([None], DatabaseError)
            server.sql("ALTER TABLE t5.users DROP CONSTRAINT users_id_check", name)
            assert session.commit_each(works[5:6], lock_timeout_ms=WAIT_MS) == [None]


def test_series_when_tenants_have_no_ledger_yet_then_a_connection_is_kept_for_a_thousand_of_them(
    postgresql: PostgreSQL, pg_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"t{number}" for number in range(80)]
    make_schemas(postgresql, pg_database, *names)
    made: list[str] = []
    connect = Server.connect

    def listen(self: Server, database: str = "", *, directly: bool = False) -> Connection:
        made.append(database)
        return connect(self, database, directly=directly)

    monkeypatch.setattr(Server, "connect", listen)
    monkeypatch.setattr(session_module, "TENANTS_A_CONNECTION", 100)
    with schemas(postgresql.url(pg_database)) as database, session_of(database) as session:
        left = firsts(names)
        while left:
            left = left[len(session.commit_each(left[:16], lock_timeout_ms=WAIT_MS)) :]
        assert made == [""]


@pytest.mark.parametrize("batch", [1, 5])
def test_rollback_when_tenants_have_other_rows_under_the_same_head_then_each_goes_back_by_its_own(
    tmp_path: Path, postgresql: PostgreSQL, pg_database: str, cli: Cli, batch: int
) -> None:
    names = [f"t{number:02d}" for number in range(24)]
    fleet = SchemaFleet(tmp_path, names, postgresql, pg_database)
    Project(tmp_path, fleet.section).write(
        "delta_20250301_default", "ALTER TABLE users ALTER name SET DEFAULT 'new';\n"
    )
    for number, name in enumerate(names):
        if number % 3:
            fleet.sql(name, f"ALTER TABLE users ALTER name SET DEFAULT 'old {number % 3}'")
    cli("sql", "apply", "--only", "t0*", cwd=tmp_path)
    cli("sql", "apply", cwd=tmp_path)
    held = {name: fleet.sql(name, "SELECT run, reverse FROM pdelta_applied") for name in names}
    assert len({str(rows) for rows in held.values()}) == 6
    cli("sql", "rollback", "--to", "0", "--batch", str(batch), cwd=tmp_path)
    asked = (
        "SELECT coalesce((SELECT column_default FROM information_schema.columns"
        " WHERE table_schema = current_schema() AND table_name = 'users' AND column_name = 'name'), '')"
    )
    for number, name in enumerate(names):
        assert fleet.sql(name, "SELECT run, reverse FROM pdelta_history") == held[name], name
        assert fleet.sql(name, "SELECT * FROM pdelta_applied") == [], name
        was = f"'old {number % 3}'::character varying" if number % 3 else ""
        assert fleet.sql(name, asked) == [(was,)], name


@pytest.mark.parametrize("batch", [1, 5])
@pytest.mark.parametrize("bad", ["DROP TABL visits;", "DROP TABLE visits; COMMIT;", "DROP TABLE nothing;"])
def test_rollback_when_the_first_tenant_has_a_reverse_that_fails_then_the_others_go_back_all_the_same(
    tmp_path: Path, postgresql: PostgreSQL, pg_database: str, cli: Cli, batch: int, bad: str
) -> None:
    names = [f"t{number:02d}" for number in range(24)]
    fleet, _ = visited(SchemaFleet(tmp_path, names, postgresql, pg_database), cli)
    fleet.sql("t00", f"UPDATE pdelta_applied SET reverse = '{bad}'")
    words = ("--to", "0", "--on-failure", "continue", "--batch", str(batch))
    cli("sql", "rollback", *words, cwd=tmp_path, status=8)
    assert fleet.having("id", "visits") == ["t00"]


def test_apply_when_the_server_lets_few_in_then_those_that_it_does_are_done_and_the_others_named(
    tmp_path: Path, postgresql: PostgreSQL, pg_database: str, cli: Cli
) -> None:
    names = [f"t{number:02d}" for number in range(60)]
    fleet, project = visited(SchemaFleet(tmp_path, names, postgresql, pg_database), cli)
    give_to(postgresql, pg_database, "few", names)
    postgresql.sql("ALTER ROLE few CONNECTION LIMIT 3", pg_database)
    try:
        (tmp_path / "url").write_text(postgresql.url(pg_database, user="few"))
        project.write(NAME, ORIGIN)
        told = cli("sql", "apply", "--on-failure", "continue", cwd=tmp_path, status=None)
        assert told.status in {0, 8}, told
        assert len(fleet.having("last_login")) >= 50
        cli("sql", "apply", cwd=tmp_path)
        assert fleet.having("last_login") == names
    finally:
        postgresql.sql(f"REASSIGN OWNED BY few TO {SUPERUSER}; DROP OWNED BY few; DROP ROLE few", pg_database)
