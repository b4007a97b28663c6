"""What a session does beside committing, what it never leaves behind, and how it says what it may not do."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from msgspec.structs import replace

from pdelta.databases.base import Glance, Session
from pdelta.databases.postgresql import session as session_module
from pdelta.databases.postgresql import statement
from pdelta.databases.postgresql.address import Address
from pdelta.databases.postgresql.connection import Connection
from pdelta.databases.postgresql.session import PostgresqlSession
from pdelta.errors import Cause, DatabaseError, GuardError, StaleError
from pdelta.sql.ledger import EMPTY_HEAD, State
from pdelta.sql.piece import GUARD, Piece
from tests.fixtures.pg_fleet import (
    adds,
    apply,
    commit,
    glance_of,
    head,
    ids,
    ledger_of,
    make_schemas,
    plan,
    row,
    schemas,
    session_of,
    single,
    takes_back,
)
from tests.fixtures.pgbouncer import PgBouncer
from tests.fixtures.postgresql import PASSWORD, PostgreSQL

ADD = "ALTER TABLE users ADD COLUMN last_login timestamp"


@contextmanager
def clerk(postgresql: PostgreSQL, database: str, *rights: str) -> Iterator[str]:
    """Give the address of a user with these rights alone."""
    postgresql.sql(f"CREATE ROLE clerk LOGIN PASSWORD '{PASSWORD}'; {'; '.join(rights)}", database)
    try:
        yield postgresql.url(database, user="clerk")
    finally:
        postgresql.sql("DROP OWNED BY clerk CASCADE; DROP ROLE clerk", database)


# --- rows without a delta's transaction ------------------------------------------------------------------------------


def test_record_when_a_delta_goes_step_by_step_then_head_stamp_and_history_follow(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    make_schemas(postgresql, pg_database, "t1")
    with schemas(postgresql.url(pg_database)) as database, session_of(database) as session:
        first = row("delta_a", state=State.APPLYING, steps=2)
        second = replace(first, step=1, captured='{"1": "it\'s"}')
        done = replace(first, state=State.APPLIED, step=2, reverse="DROP INDEX i;")
        former = None
        for now in (first, second, done):
            assert session.record("t1", now, former=former, glance=glance_of(database, "t1")) == head([now])
            assert ledger_of(database, "t1") == [now]
            assert glance_of(database, "t1").head == head([now])
            former = now
        assert postgresql.sql("SELECT * FROM t1.pdelta_history", pg_database) == []
        assert session.record("t1", None, former=done, glance=glance_of(database, "t1")) == EMPTY_HEAD
        kept = postgresql.sql("SELECT way, id, state, step, reverse FROM t1.pdelta_history", pg_database)
        assert kept == [["reverse", "delta_a", "applied", "2", "DROP INDEX i;"]]


def test_record_when_the_former_row_is_another_then_it_is_stale_and_nothing_is_written(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    make_schemas(postgresql, pg_database, "t1")
    held = row("delta_a", state=State.APPLYING, step=1, steps=3)
    with schemas(postgresql.url(pg_database)) as database, session_of(database) as session:
        glance = glance_of(database, "t1")
        with pytest.raises(StaleError, match=r"^t1: "):
            session.record("t1", None, former=held, glance=glance)
        session.record("t1", held, former=None, glance=glance)
        for other in (None, replace(held, step=2), replace(held, captured="{}")):
            with pytest.raises(StaleError, match=r"^t1: "):
                session.record("t1", replace(held, step=3), former=other, glance=glance)
        with pytest.raises(ValueError, match="one row"):
            session.record("t1", held, former=row("delta_b"), glance=glance)
        assert ledger_of(database, "t1") == [held]
        assert glance_of(database, "t1").head == head([held])


# --- statements that can't stand in a transaction --------------------------------------------------------------------


def test_alone_when_an_index_is_built_concurrently_then_it_is_the_tenants_and_no_setting_stays(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    make_schemas(postgresql, pg_database, "t1", "t2")
    with schemas(postgresql.url(pg_database)) as database, session_of(database) as session:
        for tenant in ("t1", "t2"):
            session.alone(tenant, "CREATE INDEX CONCURRENTLY i ON users (id); -- why", lock_timeout_ms=1234)
        assert session.query("t1", "SHOW lock_timeout") == [("10s",)]
        assert _own(session).run("SHOW lock_timeout; SHOW search_path")[0].rows == [("0",)]
        asked = "SELECT schemaname FROM pg_indexes WHERE indexname = 'i' ORDER BY 1"
        assert postgresql.sql(asked, pg_database) == [["t1"], ["t2"]]


def test_alone_when_building_an_index_fails_then_the_invalid_one_is_found_and_can_be_dropped(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    make_schemas(postgresql, pg_database, "T 1")
    postgresql.sql('INSERT INTO "T 1".users VALUES (1), (1)', pg_database)
    with schemas(postgresql.url(pg_database), "T*") as database, session_of(database, "T 1") as session:
        assert isinstance(session, PostgresqlSession)
        build = 'CREATE UNIQUE INDEX CONCURRENTLY "I x" ON users (id)'
        with pytest.raises(
            DatabaseError, match=r"^T 1: could not create unique index .*\(CREATE.*may be left"
        ) as caught:
            session.alone("T 1", build, lock_timeout_ms=1000)
        assert caught.value.sqlstate == "23505"
        assert session.invalid_indexes("T 1") == ['"T 1"."I x"']
        session.alone("T 1", 'DROP INDEX CONCURRENTLY "I x"', lock_timeout_ms=1000)
        postgresql.sql('DELETE FROM "T 1".users', pg_database)
        session.alone("T 1", build, lock_timeout_ms=1000)
        assert session.invalid_indexes("T 1") == []


def test_alone_when_a_pooler_stands_between_then_it_is_refused_unless_there_is_a_way_past_it(
    postgresql: PostgreSQL, pgbouncer: PgBouncer, pg_database: str
) -> None:
    make_schemas(postgresql, pg_database, "t1")
    build = "CREATE INDEX CONCURRENTLY i ON users (id)"
    with schemas(pgbouncer.url(pg_database)) as database, session_of(database) as session:
        with pytest.raises(DatabaseError, match="behind a pooler") as caught:
            session.alone("t1", build, lock_timeout_ms=1000)
        assert "direct_url" in caught.value.hint
    past = (Address(postgresql.url(pg_database)),)
    with schemas(pgbouncer.url(pg_database), direct=past) as database, session_of(database) as session:
        session.alone("t1", build, lock_timeout_ms=1000)
        session.commit([plan(database, "t1", adds("delta_a", ADD))], lock_timeout_ms=1000)
        session.alone("t1", "REINDEX INDEX CONCURRENTLY i", lock_timeout_ms=1000)
    assert postgresql.sql("SELECT schemaname FROM pg_indexes WHERE indexname = 'i'", pg_database) == [["t1"]]


def test_alone_when_the_way_past_the_pooler_leads_elsewhere_then_it_is_refused(
    postgresql: PostgreSQL, pgbouncer: PgBouncer, pg_database: str
) -> None:
    make_schemas(postgresql, pg_database, "t1")
    past = (Address(postgresql.url("postgres")),)
    with schemas(pgbouncer.url(pg_database), direct=past) as database, session_of(database) as session:
        with pytest.raises(DatabaseError, match="leads to another database than url; nothing was changed"):
            session.alone("t1", "CREATE TABLE stray (id integer)", lock_timeout_ms=1000)
        assert postgresql.sql("SELECT to_regclass('stray')") == [[""]]


@pytest.mark.parametrize("text", ["SELECT 1; SELECT 2", "", "COMMIT", "SELECT 'open"])
def test_alone_when_it_is_not_one_statement_then_it_is_not_sent(
    postgresql: PostgreSQL, pg_database: str, text: str
) -> None:
    make_schemas(postgresql, pg_database, "t1")
    with schemas(postgresql.url(pg_database)) as database, session_of(database) as session:
        for act in (session.alone, lambda tenant, text, **_more: session.query(tenant, text)):
            with pytest.raises(DatabaseError, match=r"^t1: ") as caught:
                act("t1", text, lock_timeout_ms=1000)
            assert caught.value.cause is Cause.REFUSED


# --- questions -------------------------------------------------------------------------------------------------------


def test_query_when_it_selects_then_values_are_typed_and_names_are_the_tenants(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    make_schemas(postgresql, pg_database, "t1", "t2")
    postgresql.sql("INSERT INTO t2.users VALUES (7, 'ü')", pg_database)
    with schemas(postgresql.url(pg_database)) as database, session_of(database) as session:
        assert session.query("t1", "SELECT * FROM users") == []
        asked = "SELECT id, name, true, NULL, ''::text, 1.50, 2.5::float8, '\\x00ff'::bytea, sum(id) FROM users"
        (values,) = session.query("t2", asked + " GROUP BY 1, 2 -- all;")
        assert values[:5] == (7, "ü", True, None, "")
        assert [str(values[5]), values[6], values[7], values[8]] == ["1.50", 2.5, b"\x00\xff", 7]


@pytest.mark.parametrize(
    "text", ["INSERT INTO users VALUES (1)", "SELECT nextval('s')", "CREATE TABLE x ()", "SELECT set_it()"]
)
def test_query_when_it_would_write_then_it_is_denied(postgresql: PostgreSQL, pg_database: str, text: str) -> None:
    make_schemas(postgresql, pg_database, "t1")
    writes = "CREATE FUNCTION t1.set_it() RETURNS void LANGUAGE sql AS 'INSERT INTO t1.users VALUES (1)'"
    postgresql.sql(f"CREATE SEQUENCE t1.s; {writes}", pg_database)
    with schemas(postgresql.url(pg_database)) as database, session_of(database) as session:
        with pytest.raises(DatabaseError, match="read-only transaction") as caught:
            session.query("t1", text)
        assert (caught.value.cause, caught.value.sqlstate) == (Cause.DENIED, "25006")
        assert session.query("t1", "SELECT count(*) FROM users") == [(0,)]


def test_query_when_it_takes_too_long_then_it_is_ended(postgresql: PostgreSQL, pg_database: str) -> None:
    make_schemas(postgresql, pg_database, "t1")
    with schemas(postgresql.url(pg_database)) as database, session_of(database) as session:
        with pytest.raises(DatabaseError, match="timeout"):
            session.query("t1", "SELECT pg_sleep(60)", statement_timeout_ms=50)
        assert session.query("t1", "SELECT 1") == [(1,)]


def test_rehearse_when_it_succeeds_then_texts_see_each_tenant_afterwards_and_nothing_stays(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    make_schemas(postgresql, pg_database, "t1", "t2")
    with schemas(postgresql.url(pg_database)) as database, session_of(database) as session:
        apply(database, "t2", adds("delta_a", "INSERT INTO users VALUES (1)"))
        add = adds("delta_b", "SET LOCAL search_path TO public", "INSERT INTO t1.users VALUES (5)")
        works = [plan(database, "t1", add), plan(database, "t2", takes_back(row("delta_a"), "DELETE FROM users"))]
        texts = ["SELECT count(*) FROM users", "SELECT current_schema()", "SELECT NULL WHERE false"]
        assert session.rehearse(works, texts, lock_timeout_ms=1000) == [[1, "t1", None], [0, "t2", None]]
        assert session.rehearse(works, [], lock_timeout_ms=1000) == [[], []]
        assert glance_of(database, "t1").managed is False
        assert ids(database, "t2") == ["delta_a"]
        assert session.query("t1", "SELECT count(*) FROM users") == [(0,)]


def test_rehearse_when_it_fails_then_it_says_so_as_a_commit_would(postgresql: PostgreSQL, pg_database: str) -> None:
    make_schemas(postgresql, pg_database, "t1")
    with schemas(postgresql.url(pg_database)) as database, session_of(database) as session:
        stale = plan(database, "t1", adds("delta_a", "SELECT 1"))
        apply(database, "t1", adds("delta_b", "SELECT 1"))
        with pytest.raises(StaleError, match="t1"):
            session.rehearse([stale], [], lock_timeout_ms=1000)
        guarded = plan(database, "t1", adds("delta_a", Piece("SELECT 1", before=(f"{GUARD} SELECT 'no'",))))
        with pytest.raises(GuardError, match="no"):
            session.rehearse([guarded], [], lock_timeout_ms=1000)
        with pytest.raises(DatabaseError, match="delta_a: division by zero"):
            session.rehearse([plan(database, "t1", adds("delta_a", "SELECT 1 / 0"))], [], lock_timeout_ms=1000)
        with pytest.raises(DatabaseError, match="2 statements"):
            session.rehearse([plan(database, "t1")], ["SELECT 1; SELECT 2"], lock_timeout_ms=1000)


def test_rehearse_when_a_deferred_constraint_would_fail_at_the_commit_then_it_fails_too(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    make_schemas(postgresql, pg_database, "t1", table="users (id int UNIQUE INITIALLY DEFERRED)")
    with schemas(postgresql.url(pg_database)) as database, session_of(database) as session:
        work = plan(database, "t1", adds("delta_a", "INSERT INTO users VALUES (1), (1)"))
        with pytest.raises(DatabaseError, match="t1: delta_a: duplicate key"):
            session.rehearse([work], [], lock_timeout_ms=1000)


# --- what a delta may not do, and what does not outlive its transaction ----------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "COMMIT", "END", "ABORT", "ROLLBACK", "BEGIN", "START TRANSACTION", "PREPARE TRANSACTION 'x'", "rollback work",
        "/* a */ commit /* b */ and chain", "SELECT 1; COMMIT; SELECT 2", "SELECT 'a;b'; commit", "COMMIT PREPARED 'x'",
        "END;", "SELECT $$;$$; Commit", "-- x\n-- y\ncommit",
    ],
)  # fmt: skip
def test_delta_when_it_ends_the_transaction_then_it_is_not_sent(
    postgresql: PostgreSQL, pg_database: str, text: str
) -> None:
    make_schemas(postgresql, pg_database, "t1")
    with schemas(postgresql.url(pg_database)) as database:
        for piece in (Piece(text), Piece("SELECT 1", before=(text,)), Piece("SELECT 1", after=(text,))):
            with pytest.raises(DatabaseError, match=r"^t1: delta_a: .* in a delta, which is one transaction"):
                apply(database, "t1", adds("delta_a", "CREATE TABLE x ()", piece))
        for piece in (
            Piece("SELECT 1", undo="''); COMMIT; SELECT (''"),
            Piece("SELECT 1", before=(f"{GUARD} {text}",)),
        ):
            with pytest.raises(DatabaseError, match=r"^t1: delta_a: "):
                apply(database, "t1", adds("delta_a", "CREATE TABLE x ()", piece))
        assert glance_of(database, "t1").managed is False


def test_delta_when_nobody_looks_for_the_end_of_the_transaction_then_a_half_lasts_and_the_mark_tells(
    postgresql: PostgreSQL, pg_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the look at the tokens is for, and what is behind it."""
    make_schemas(postgresql, pg_database, "t1")
    monkeypatch.setattr(statement, "_refuse_control", lambda _statement: None)
    statement._look_over_short.cache_clear()
    try:
        with schemas(postgresql.url(pg_database)) as database:
            with pytest.raises(DatabaseError, match="ended the transaction; what was done before that lasts"):
                apply(database, "t1", adds("delta_a", "CREATE TABLE x ()", "COMMIT", "CREATE TABLE y ()"))
            assert postgresql.sql("SELECT to_regclass('t1.x'), to_regclass('t1.y')", pg_database) == [["t1.x", ""]]
    finally:
        statement._look_over_short.cache_clear()


@pytest.mark.parametrize("text", ["DO $$ BEGIN COMMIT; END $$", "CALL ends()"])
def test_delta_when_a_procedure_ends_the_transaction_then_the_server_refuses_and_nothing_lasts(
    postgresql: PostgreSQL, pg_database: str, text: str
) -> None:
    make_schemas(postgresql, pg_database, "t1")
    postgresql.sql("CREATE PROCEDURE t1.ends() LANGUAGE plpgsql AS $$ BEGIN COMMIT; END $$", pg_database)
    with schemas(postgresql.url(pg_database)) as database:
        with pytest.raises(DatabaseError, match="invalid transaction termination"):
            apply(database, "t1", adds("delta_a", "CREATE TABLE x ()", text))
        assert postgresql.sql("SELECT to_regclass('t1.x')", pg_database) == [[""]]


def test_delta_when_it_takes_the_mark_of_the_transaction_away_then_that_counts_as_its_end(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    make_schemas(postgresql, pg_database, "t1")
    with schemas(postgresql.url(pg_database)) as database:
        with pytest.raises(DatabaseError, match="ended the transaction"):
            apply(database, "t1", adds("delta_a", "SET LOCAL pdelta.transaction = 'gone'"))
        assert glance_of(database, "t1").managed is False


def test_delta_when_it_has_savepoints_then_they_work(postgresql: PostgreSQL, pg_database: str) -> None:
    make_schemas(postgresql, pg_database, "t1")
    with schemas(postgresql.url(pg_database)) as database:
        insert = "INSERT INTO users VALUES ({})".format
        move = adds("delta_a", insert(1), "SAVEPOINT s", insert(2), "ROLLBACK TO SAVEPOINT s", "RELEASE s", insert(3))
        apply(database, "t1", move)
        assert postgresql.sql("SELECT id FROM t1.users ORDER BY 1", pg_database) == [["1"], ["3"]]


def test_delta_when_it_is_layed_out_in_any_way_then_it_does_what_it_says(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    make_schemas(postgresql, pg_database, "t1")
    body = "CREATE FUNCTION f() RETURNS int LANGUAGE plpgsql AS $f$ BEGIN RETURN 1; -- ;\nEND $f$"
    texts = (
        "INSERT INTO users VALUES (1, '%s %% $1') -- no line's end",
        "/* before */ INSERT INTO users VALUES (2, 'a;b\\c') /* after /* nested */ */;;\n;",
        "-- nothing but a comment",
        f"{body}; CREATE VIEW v AS SELECT f() -- ;",
        "COPY users TO STDOUT",
        "DO $$ BEGIN RAISE NOTICE 'hello'; RAISE WARNING 'hello'; END $$",
        "SELECT repeat('x', 100000) FROM generate_series(1, 50)",
        "CREATE TABLE bulk AS VALUES " + ", ".join(f"('{'y' * 1000}')" for _ in range(500)),
    )
    with schemas(postgresql.url(pg_database)) as database:
        apply(database, "t1", adds("delta_a", *texts))
        assert ids(database, "t1") == ["delta_a"]
    asked = "SELECT id, name FROM t1.users ORDER BY 1"
    assert postgresql.sql(asked, pg_database) == [["1", "%s %% $1"], ["2", "a;b\\c"]]
    assert postgresql.sql("SELECT f FROM t1.v; SELECT count(*) FROM t1.bulk", pg_database) == [["1"], ["500"]]


def test_delta_when_it_changes_the_search_path_then_the_ledger_stays_the_tenants_and_the_next_has_its_own(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    make_schemas(postgresql, pg_database, "t1", "t2", "elsewhere")
    with schemas(postgresql.url(pg_database)) as database:
        move = adds("delta_a", "SET search_path TO elsewhere", "INSERT INTO users VALUES (1)", undo_probe())
        commit(database, *(plan(database, tenant, move) for tenant in ("t1", "t2")))
        assert [ids(database, tenant) for tenant in ("t1", "t2")] == [["delta_a"]] * 2
        assert [one.reverse for one in ledger_of(database, "t2")] == ["-- elsewhere;"]
        assert postgresql.sql("SELECT count(*) FROM elsewhere.users", pg_database) == [["2"]]


SHADOWS = (
    "CREATE FUNCTION sha256(bytea) RETURNS bytea LANGUAGE sql IMMUTABLE AS $$ SELECT ''::bytea $$",
    "CREATE FUNCTION current_setting(text) RETURNS text LANGUAGE sql AS $$ SELECT 'shadow' $$",
    "CREATE FUNCTION never(bytea, bytea) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT false $$",
    "CREATE OPERATOR = (LEFTARG = bytea, RIGHTARG = bytea, FUNCTION = never)",
)


def test_delta_when_it_puts_its_own_functions_before_the_servers_then_the_ledger_asks_the_servers(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    make_schemas(postgresql, pg_database, "t1")
    first = "SET LOCAL search_path TO t1, pg_catalog"
    with schemas(postgresql.url(pg_database)) as database:
        apply(database, "t1", adds("delta_a", *SHADOWS, first))
        (held,) = ledger_of(database, "t1")
        apply(database, "t1", adds("delta_b", first, "INSERT INTO users VALUES (1)"))
        apply(database, "t1", takes_back(held, first))
        assert ids(database, "t1") == ["delta_b"]


def undo_probe() -> Piece:
    return Piece("SELECT 1", undo="'-- ' || current_schema() || ';'")


LEAVES = (
    "SET lock_timeout = '7s'",
    "SET SESSION work_mem = '7MB'",
    "SELECT set_config('search_path', '', false)",
    "DO $$ BEGIN PERFORM set_config('timezone', 'Asia/Tokyo', false); END $$",
    "DO $$ BEGIN SET datestyle = 'German'; END $$",
    "SELECT pg_advisory_lock(4711)",
    "PREPARE p AS SELECT 1",
    "LISTEN news",
    "DECLARE c CURSOR WITH HOLD FOR SELECT 1",
    "CREATE TEMPORARY TABLE scratch AS SELECT 1 AS one",
    "SELECT 1 AS one INTO TEMP scratch",
    "CREATE TABLE pg_temp.scratch (one int)",
    "DO $$ BEGIN CREATE TEMP TABLE scratch (one int); END $$",
    "SET ROLE pg_monitor",
    "SET SESSION AUTHORIZATION pg_monitor",
)
STATE = """
    SELECT (SELECT string_agg(name || '=' || setting, ',' ORDER BY name) FROM pg_settings WHERE source = 'session'
            AND name NOT IN ('client_encoding')),
           (SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'), (SELECT count(*) FROM pg_prepared_statements),
           (SELECT count(*) FROM pg_listening_channels()), (SELECT count(*) FROM pg_cursors WHERE is_holdable),
           to_regclass('pg_temp.scratch')::text, current_user, session_user, current_setting('client_encoding')
"""


def _own(session: Session) -> Connection:
    assert isinstance(session, PostgresqlSession)
    connection = session._connection
    assert connection is not None
    return connection


@pytest.mark.parametrize("text", LEAVES)
def test_delta_when_it_would_leave_something_in_the_session_then_the_next_tenant_and_session_do_not_meet_it(
    postgresql: PostgreSQL, pg_database: str, text: str
) -> None:
    make_schemas(postgresql, pg_database, "t1", "t2")
    with schemas(postgresql.url(pg_database)) as database, session_of(database) as session:
        session.query("t1", "SELECT 1")
        clean = _own(session).run(STATE)[0].rows
        assert clean == [(None, 0, 0, 0, 0, None, "postgres", "postgres", "UTF8")]
        move = adds("delta_a", text, "SELECT 1")
        works = [plan(database, tenant, move) for tenant in ("t1", "t2")]
        if "PREPARE" in text or "DECLARE" in text:
            works = works[:1]  # their names are the session's: a second one in a transaction is refused by the server
        session.commit(works, lock_timeout_ms=1000)
        assert _own(session).run(STATE)[0].rows == clean
        assert ids(database, "t1") == ["delta_a"]
        with pytest.raises(DatabaseError, match="division by zero"):
            session.commit([plan(database, "t1", adds("delta_b", text, "SELECT 1 / 0"))], lock_timeout_ms=1000)
        assert _own(session).run(STATE)[0].rows == clean


def test_delta_when_it_sets_things_behind_pgbouncer_then_other_clients_do_not_meet_them(
    postgresql: PostgreSQL, pgbouncer: PgBouncer, pg_database: str
) -> None:
    make_schemas(postgresql, pg_database, "t1")
    with schemas(pgbouncer.url(pg_database)) as database, schemas(pgbouncer.url(pg_database)) as other:
        move = adds("delta_a", "SET lock_timeout = '7s'", "SET search_path TO public", "CREATE TEMP TABLE scratch ()")
        apply(database, "t1", move)
        for _ in range(8):
            with session_of(other) as session:
                session.query("t1", "SELECT 1")
                assert _own(session).run("SHOW lock_timeout")[0].rows == [("0",)]
                assert _own(session).run("SELECT to_regclass('pg_temp.scratch')::text")[0].rows == [(None,)]
                assert _own(session).run("SELECT 'ü'")[0].rows == [("ü",)]


# --- rights, limits and other servers' settings ----------------------------------------------------------------------


def test_tenant_when_its_schema_is_dropped_in_the_meantime_then_it_is_missing(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    make_schemas(postgresql, pg_database, "t1", "t2", "t3")
    with schemas(postgresql.url(pg_database)) as database:
        apply(database, "t2", adds("delta_a", "SELECT 1"))
        move = adds("delta_b", ADD)
        works = {tenant: plan(database, tenant, move) for tenant in ("t1", "t2", "t3")}
        postgresql.sql("DROP SCHEMA t2 CASCADE; DROP SCHEMA t3 CASCADE", pg_database)
        for tenant in ("t2", "t3"):
            with pytest.raises(DatabaseError, match=f"^{tenant}: ") as caught:
                commit(database, works["t1"], works[tenant])
            assert (caught.value.cause, caught.value.sqlstate) == (Cause.MISSING, "3F000")
        assert ids(database, "t1") == []


def test_tenant_when_only_its_ledger_is_dropped_then_it_is_stale(postgresql: PostgreSQL, pg_database: str) -> None:
    make_schemas(postgresql, pg_database, "t1")
    with schemas(postgresql.url(pg_database)) as database:
        apply(database, "t1", adds("delta_a", "SELECT 1"))
        work = plan(database, "t1", adds("delta_b", "SELECT 1"))
        postgresql.sql("DROP TABLE t1.pdelta_applied", pg_database)
        with pytest.raises(StaleError, match="t1: its ledger is gone"):
            commit(database, work)


def test_tenant_when_its_database_is_dropped_then_it_is_missing(postgresql: PostgreSQL) -> None:
    with postgresql.fresh_database("gone") as name, single(postgresql.url(name)) as database:
        postgresql.sql("DROP DATABASE gone")
        seen = database.glance([name])[name]
        assert isinstance(seen, DatabaseError)
        assert (seen.cause, seen.sqlstate) == (Cause.MISSING, "3D000")


def test_user_when_rights_are_missing_then_that_is_the_cause(postgresql: PostgreSQL, pg_database: str) -> None:
    make_schemas(postgresql, pg_database, "t1", "t2", "t3")
    with schemas(postgresql.url(pg_database)) as owner:
        for tenant in ("t2", "t3"):
            apply(owner, tenant, adds("delta_a", "SELECT 1"))
    rights = ("GRANT USAGE ON SCHEMA t1, t2, t3 TO clerk", "GRANT SELECT ON ALL TABLES IN SCHEMA t3 TO clerk")
    with clerk(postgresql, pg_database, *rights) as url, schemas(url) as database:
        assert glance_of(database, "t2").head == head([row("delta_a")]), "stamps are for everybody"
        held = database.ledgers(["t1", "t2", "t3"])
        assert isinstance(held["t2"], DatabaseError)
        assert (held["t2"].cause, held["t1"], len(ledger_of(database, "t3"))) == (Cause.DENIED, (), 1)
        move = adds("delta_b", "SELECT 1")
        for tenant, rows in (("t1", []), ("t3", [row("delta_a")])):
            work = replace(plan(database, tenant, move), before=head(rows))
            with pytest.raises(DatabaseError, match=f"^{tenant}: .*permission denied") as caught:
                commit(database, work)
            assert caught.value.cause is Cause.DENIED


def test_user_when_the_password_is_wrong_then_access_is_denied_and_the_password_not_told(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    with schemas(postgresql.url(pg_database, password="pass/w:rd@1%")) as database:
        seen = database.glance(["t1"])["t1"]
        assert isinstance(seen, DatabaseError)
        assert (seen.cause, seen.sqlstate) == (Cause.DENIED, "28P01")
        assert "password authentication failed" in seen.message
        assert not re.search(r"pass/w|pass%2Fw", repr(seen) + seen.hint + repr(database._settings), re.IGNORECASE)


def test_server_when_it_only_reads_then_reading_works_and_writing_is_denied(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    make_schemas(postgresql, pg_database, "t1", "t2")
    with schemas(postgresql.url(pg_database)) as database:
        apply(database, "t1", adds("delta_a", "SELECT 1"))
    with postgresql.standby() as replica, schemas(replica.url(pg_database)) as database:
        assert [tenant.name for tenant in database.tenants()] == ["t1", "t2"]
        assert glance_of(database, "t1").head == head([row("delta_a")])
        assert ids(database, "t1") == ["delta_a"]
        with session_of(database) as session:
            assert session.query("t1", "SELECT count(*) FROM users") == [(0,)]
            for tenant in ("t1", "t2"):
                with pytest.raises(DatabaseError, match=f"^{tenant}: ") as caught:
                    session.commit([plan(database, tenant, adds("delta_b", "SELECT 1"))], lock_timeout_ms=1000)
                assert caught.value.cause is Cause.DENIED


def test_server_when_it_lets_nobody_in_any_more_then_that_is_a_limit(postgresql: PostgreSQL, pg_database: str) -> None:
    postgresql.sql(f"ALTER DATABASE {pg_database} CONNECTION LIMIT 0", pg_database)
    with clerk(postgresql, "postgres") as url, single(url.replace("/postgres", f"/{pg_database}")) as database:
        seen = database.glance([pg_database])[pg_database]
        assert isinstance(seen, DatabaseError)
        assert (seen.cause, seen.sqlstate) == (Cause.FULL, "53300")


def test_database_when_backslashes_mean_something_in_its_strings_then_deltas_and_ledger_are_as_written(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    make_schemas(postgresql, pg_database, "t1")
    postgresql.sql(f"ALTER DATABASE {pg_database} SET standard_conforming_strings = off", pg_database)
    with schemas(postgresql.url(pg_database)) as database, session_of(database) as session:
        move = adds("delta_a", r"INSERT INTO users VALUES (1, 'a\'), (2, '; COMMIT; --')", reverse="x\\'y", who="\\")
        apply(database, "t1", move)
        assert ledger_of(database, "t1") == [move.row]
        assert postgresql.sql("SELECT name FROM t1.users ORDER BY id", pg_database) == [["a\\"], ["; COMMIT; --"]]
        with pytest.raises(DatabaseError, match=r"t1: delta_b: relation .* \(statement 2, line 2: nowhere\)"):
            apply(database, "t1", adds("delta_b", "SELECT 1", "SELECT * FROM\nnowhere"))
        assert session.query("t1", r"SELECT '\'") == [("\\",)]
        assert session.rehearse([plan(database, "t1")], [r"SELECT '\n'"], lock_timeout_ms=1000) == [["\\n"]]
        session.alone("t1", r"CREATE INDEX CONCURRENTLY i ON users (id) WHERE name = '\'", lock_timeout_ms=1000)
        assert session.query("t1", "SELECT indexdef FROM pg_indexes WHERE indexname = 'i'")[0][0].endswith(
            r"'\'::text)"
        )


def test_database_when_it_is_not_in_utf8_then_heads_are_the_same(postgresql: PostgreSQL) -> None:
    postgresql.sql("CREATE DATABASE latin TEMPLATE template0 ENCODING LATIN1 LOCALE 'C'")
    try:
        make_schemas(postgresql, "latin", "tü")
        with schemas(postgresql.url("latin")) as database:
            moves = [
                adds(id, f"INSERT INTO users VALUES (1, '{id}')") for id in ("delta_ü", "delta_a", "delta_Z", "delta_é")
            ]
            apply(database, "tü", *moves)
            assert glance_of(database, "tü").head == head([move.row for move in moves])
            assert ids(database, "tü") == sorted(move.row.id for move in moves)
    finally:
        postgresql.sql("DROP DATABASE latin WITH (FORCE)")


def test_session_when_it_has_met_many_tenants_then_it_takes_another_connection(
    postgresql: PostgreSQL, pg_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_schemas(postgresql, pg_database, "t1")
    monkeypatch.setattr(session_module, "TENANTS_A_CONNECTION", 3)
    with schemas(postgresql.url(pg_database)) as database, session_of(database) as session:
        backends = [session.query("t1", "SELECT pg_backend_pid()")[0][0] for _ in range(7)]
    assert backends == [backends[0]] * 3 + [backends[3]] * 3 + [backends[6]]
    assert len(set(backends)) == 3


def test_session_when_nothing_is_known_of_a_tenant_then_it_looks(postgresql: PostgreSQL, pg_database: str) -> None:
    make_schemas(postgresql, pg_database, "t1")
    with schemas(postgresql.url(pg_database)) as database:
        apply(database, "t1", adds("delta_a", "SELECT 1"))
        work = plan(database, "t1", adds("delta_b", "SELECT 1"))
        commit(database, replace(work, glance=Glance(True, None)))
        assert glance_of(database, "t1").head == head([row("delta_a"), row("delta_b")])


def test_session_when_it_is_closed_then_its_connections_are_gone_and_cancelling_it_does_nothing(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    make_schemas(postgresql, pg_database, "t1")
    with schemas(postgresql.url(pg_database), application_name="closing") as database:
        session = database.session(database.lane("t1"))
        session.cancel()
        session.query("t1", "SELECT 1")
        asked = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'closing'"
        assert postgresql.sql(asked) == [["1"]]
        session.close()
        session.cancel()
        session.close()
        database.tenants()
    while postgresql.sql(asked) != [["0"]]:
        pass


def test_history_when_a_delta_comes_and_goes_often_then_later_rows_have_larger_numbers(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    make_schemas(postgresql, pg_database, "t1")
    with schemas(postgresql.url(pg_database)) as database:
        for number in range(5):
            move = adds("delta_a", ADD, reverse=f"-- {number}")
            apply(database, "t1", move)
            apply(database, "t1", takes_back(move.row, "ALTER TABLE users DROP COLUMN last_login"))
        left = postgresql.sql("SELECT reverse, number FROM t1.pdelta_history ORDER BY number", pg_database)
        assert [reverse for reverse, _ in left] == [f"-- {number}" for number in range(5)]
        assert len({number for _, number in left}) == len(left)


def test_database_when_used_after_its_end_then_it_connects_again(postgresql: PostgreSQL, pg_database: str) -> None:
    make_schemas(postgresql, pg_database, "t1")
    database = schemas(postgresql.url(pg_database))
    for _ in range(2):
        with database:
            assert [tenant.name for tenant in database.tenants()] == ["t1"]


def test_session_when_another_was_closed_then_its_connection_serves_again(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    make_schemas(postgresql, pg_database, "t1")
    backend = "SELECT pg_backend_pid()"
    with schemas(postgresql.url(pg_database)) as database:
        with session_of(database) as session:
            first = session.query("t1", backend)
        with session_of(database) as session, session_of(database) as beside:
            assert session.query("t1", backend) == first
            assert beside.query("t1", backend) != first
            session.cancel()
        with session_of(database) as session:
            # What was cancelled is not lent again: the server may be told late.
            assert session.query("t1", backend) != first
    left = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{pg_database}'"
    deadline = time.monotonic() + 10
    while postgresql.sql(left) != [["0"]]:
        assert time.monotonic() < deadline
