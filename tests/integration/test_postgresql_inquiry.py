"""What a rehearsal asks: planned once where a connection is ours and left behind nowhere else, and rows of tables."""

from contextlib import closing

import pytest
from msgspec.structs import replace

from pdelta.databases.base import Session
from pdelta.databases.postgresql import inquiry
from pdelta.databases.postgresql.address import Address
from pdelta.databases.postgresql.connection import Connection
from pdelta.databases.postgresql.database import PostgresqlDatabase
from pdelta.databases.postgresql.session import PostgresqlSession
from pdelta.databases.rows import Rows, RowsAsked
from pdelta.errors import Cause, DatabaseError
from tests.fixtures.pg_fleet import adds, closed_from_now, make_schemas, plan, schemas, session_of
from tests.fixtures.pgbouncer import PgBouncer
from tests.fixtures.postgresql import PostgreSQL, free_port

PREPARED = (
    "SELECT name, (to_jsonb(p) ->> 'generic_plans')::int, (to_jsonb(p) ->> 'custom_plans')::int"
    " FROM pg_prepared_statements AS p"
)
"""Up to PostgreSQL 13 the server does not count plans."""
TENANTS = "t1", "t2", 't"3'


def own(session: Session) -> Connection:
    assert isinstance(session, PostgresqlSession)
    connection = session._connection
    assert connection is not None
    return connection


def planned_once(session: Session, *, asked: int) -> bool:
    """Say whether a session holds the question alone, which was asked so often and planned for nobody."""
    ((name, generic, custom),) = own(session).run(PREPARED)[0].rows
    return name == "pdelta_made" and (generic, custom) in {(asked, 0), (None, None)}


def rehearse(database: PostgresqlDatabase, session: Session, tenant: str, *statements: str) -> bool:
    """Ask before and after a delta; say whether both answers are what is there, and would be."""
    text, read = session.made_of([tenant])
    works = [plan(database, tenant), plan(database, tenant, adds("delta_a", *statements))]
    values = session.rehearse(works, [text, "SELECT current_schema()"], lock_timeout_ms=1000)
    (there, path), (changed, same_path) = values
    assert path == same_path == tenant
    assert read(there) == database.catalogues([tenant])
    return {item.name for item in read(changed)[tenant].items} == {"", "users", "users.id", "users.name", "users.more"}


MORE = "ALTER TABLE users ADD COLUMN more integer"


def test_made_of_when_the_connection_is_ours_then_the_server_plans_the_question_once(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    make_schemas(postgresql, pg_database, *TENANTS)
    with schemas(postgresql.url(pg_database)) as database, session_of(database) as session:
        for turn, tenant in enumerate(TENANTS, 1):
            assert rehearse(database, session, tenant, MORE)
            assert planned_once(session, asked=2 * turn)


def test_made_of_when_what_was_prepared_is_gone_then_it_is_prepared_again(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    make_schemas(postgresql, pg_database, *TENANTS)
    with schemas(postgresql.url(pg_database)) as database, session_of(database) as session:
        assert rehearse(database, session, "t1", MORE)
        own(session).run("DEALLOCATE ALL")
        assert rehearse(database, session, "t2", MORE)
        session.query("t1", "SELECT 1")
        assert rehearse(database, session, "t1", MORE)
        own(session).close()
        assert rehearse(database, session, "t2", MORE)
        assert planned_once(session, asked=2)


def test_made_of_when_a_delta_prepares_something_then_the_next_tenant_does_not_meet_it(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    make_schemas(postgresql, pg_database, *TENANTS)
    hidden = "DO $$ BEGIN EXECUTE 'PRE' || 'PARE p AS SELECT 1'; END $$"
    with schemas(postgresql.url(pg_database)) as database, session_of(database) as session:
        for tenant in TENANTS:
            assert rehearse(database, session, tenant, MORE, hidden)
            assert own(session).run(PREPARED)[0].rows == []


def test_made_of_when_a_pooler_hands_connections_on_then_nothing_stays_behind(
    postgresql: PostgreSQL, pgbouncer: PgBouncer, pg_database: str
) -> None:
    make_schemas(postgresql, pg_database, *TENANTS)
    with schemas(pgbouncer.url(pg_database)) as database, session_of(database) as session:
        for tenant in TENANTS:
            assert rehearse(database, session, tenant, MORE)
            for _ in range(4):
                assert own(session).run(PREPARED)[0].rows == []


def test_prepare_when_something_will_be_proved_then_the_first_session_has_the_question_planned(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    make_schemas(postgresql, pg_database, *TENANTS)
    with schemas(postgresql.url(pg_database)) as database:
        database.prepare(len(TENANTS), proving=True)
        with session_of(database) as session, session_of(database) as other:
            assert planned_once(session, asked=1)
            assert rehearse(database, session, "t1", MORE)
            assert planned_once(session, asked=3)
            assert rehearse(database, other, "t2", MORE)
            assert planned_once(other, asked=2)


def test_prepare_when_the_server_limits_how_long_statements_take_then_it_is_planned_all_the_same(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    make_schemas(postgresql, pg_database, *TENANTS)
    postgresql.sql(f"ALTER DATABASE {pg_database} SET statement_timeout = '20ms'")
    with schemas(postgresql.url(pg_database)) as database:
        database.prepare(len(TENANTS), proving=True)
        with session_of(database) as session:
            assert planned_once(session, asked=1)


def test_prepare_when_the_server_does_not_take_it_then_the_session_works_without(
    postgresql: PostgreSQL, pg_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_schemas(postgresql, pg_database, *TENANTS)
    with schemas(postgresql.url(pg_database)) as database:
        with monkeypatch.context() as patch:
            patch.setattr(inquiry, "UNCOMPILED", "SET LOCAL jit = perhaps")
            database.prepare(len(TENANTS), proving=True)
            session = database.session(database.lane("t1"))
        with closing(session):
            assert rehearse(database, session, "t1", MORE)


def test_prepare_when_somebody_holds_the_catalogue_then_whoever_asks_waits_and_nobody_else(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    make_schemas(postgresql, pg_database, *TENANTS)
    with schemas(postgresql.url(pg_database)) as database:
        holder = Connection(Address(postgresql.url(pg_database)), application_name="vacuum")
        holder.run("BEGIN; LOCK TABLE pg_catalog.pg_policy IN ACCESS EXCLUSIVE MODE")
        database.prepare(len(TENANTS), proving=True)
        session = database.session(database.lane("t1"))
        holder.run("ROLLBACK")
        holder.close()
        with closing(session):
            assert rehearse(database, session, "t1", MORE)


def test_prepare_when_a_pooler_hands_connections_on_then_nothing_is_planned_ahead(
    postgresql: PostgreSQL, pgbouncer: PgBouncer, pg_database: str
) -> None:
    make_schemas(postgresql, pg_database, *TENANTS)
    with schemas(pgbouncer.url(pg_database)) as database:
        database.prepare(len(TENANTS), proving=True)
        with session_of(database) as session:
            assert own(session).run(PREPARED)[0].rows == []
            assert rehearse(database, session, "t1", MORE)


def test_prepare_when_nobody_wants_the_session_then_it_goes_with_the_database(
    postgresql: PostgreSQL, pg_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed = closed_from_now(monkeypatch)
    with schemas(postgresql.url(pg_database)) as database:
        database.prepare(1, proving=True)
    assert len(closed) == 1
    assert not closed[0].is_open


def test_prepare_when_the_server_can_not_be_reached_then_whoever_asks_is_told(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    with schemas(postgresql.url(pg_database).replace(f":{postgresql.port}/", f":{free_port()}/")) as database:
        database.prepare(1, proving=True)
        with session_of(database) as session, pytest.raises(DatabaseError) as caught:
            session.made_of(["t1"])
        assert caught.value.cause is Cause.UNREACHABLE


def test_rehearse_when_a_table_has_no_page_then_it_has_no_rows_as_one_has_whose_rows_are_gone(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    make_schemas(postgresql, pg_database, *TENANTS)
    asked = RowsAsked(below_bytes=-1, named=frozenset({"users"}), listed=frozenset({"users"}))
    with schemas(postgresql.url(pg_database)) as database, session_of(database) as session:
        works = [
            plan(database, "t1"),
            plan(database, "t1", adds("delta_a", "INSERT INTO users VALUES (1)", "DELETE FROM users")),
        ]
        (found, *_), (gone, *_) = session.rehearse(works, [asked, RowsAsked()], lock_timeout_ms=1000)
        assert found == gone == {"users": Rows(0, "0 0", ())}
        (work,) = works[1:]
        filled = adds("delta_a", "INSERT INTO users VALUES (1)")
        ((now, same),) = session.rehearse([replace(work, moves=(filled,))], [asked, RowsAsked()], lock_timeout_ms=1000)
        assert now["users"].count == same["users"].count == len(now["users"].hashes) == 1
