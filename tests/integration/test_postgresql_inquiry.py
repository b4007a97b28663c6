"""What a rehearsal asks: planned once where a connection is ours and left behind nowhere else, and rows of tables."""

from msgspec.structs import replace

from pdelta.databases.base import Session
from pdelta.databases.postgresql.connection import Connection
from pdelta.databases.postgresql.database import PostgresqlDatabase
from pdelta.databases.postgresql.session import PostgresqlSession
from pdelta.databases.rows import Rows, RowsAsked
from tests.fixtures.pg_fleet import adds, make_schemas, plan, schemas, session_of
from tests.fixtures.pgbouncer import PgBouncer
from tests.fixtures.postgresql import PostgreSQL

PREPARED = "SELECT name, generic_plans::int, custom_plans::int FROM pg_prepared_statements"
TENANTS = "t1", "t2", 't"3'


def own(session: Session) -> Connection:
    assert isinstance(session, PostgresqlSession)
    connection = session._connection
    assert connection is not None
    return connection


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
            assert own(session).run(PREPARED)[0].rows == [("pdelta_made", 2 * turn, 0)]


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
        assert own(session).run(PREPARED)[0].rows == [("pdelta_made", 2, 0)]


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
