"""What tenants can be on PostgreSQL, and what their stamps say: schemas, databases of servers, a single database."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest

from pdelta.databases.base import Glance, Tenant
from pdelta.databases.postgresql import ledger
from pdelta.databases.postgresql.connection import Connection
from pdelta.databases.postgresql.database import PostgresqlDatabase
from pdelta.errors import Cause, DatabaseError, UsageError
from pdelta.sql.ledger import EMPTY_HEAD, State
from tests.fixtures.pg_fleet import (
    adds,
    apply,
    at_once,
    bring,
    commit,
    databases,
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
from tests.fixtures.postgresql import PASSWORD, PostgreSQL, running_postgresql

NASTY = (
    "Robert'); DROP TABLE users;--",
    'quo"ted',
    "ünïcode \U0001f600",
    "white space",
    "UPPER",
    "a\\b'c",
    "%s {} $1",
    "x" * 63,
)


@contextmanager
def tenant_databases(server: PostgreSQL, *names: str) -> Iterator[None]:
    with ExitStack() as stack:
        for name in names:
            stack.enter_context(server.fresh_database(name))
            server.sql("CREATE TABLE users (id int, name text)", name)
        yield


def names(database: PostgresqlDatabase) -> list[str]:
    return [tenant.name for tenant in database.tenants()]


def test_schemas_when_chosen_by_glob_list_or_query_then_tenants_are_sorted_and_no_system_schema_is_one(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    make_schemas(postgresql, pg_database, "tb", "ta", "shared", "other")
    url = postgresql.url(pg_database)
    with schemas(url, "*", search_path=("shared",)) as database:
        assert names(database) == ["other", "public", "ta", "tb"]
    with schemas(url, "t?", "o*") as database:
        assert names(database) == ["other", "ta", "tb"]
    with schemas(url, "t[a]", names=("other", "gone")) as database:
        assert names(database) == ["gone", "other", "ta"]
        assert list(database.glance(["gone", "ta"])) == ["ta"]
        gone = database.ledgers(["gone", "ta"])["gone"]
        assert isinstance(gone, DatabaseError)
        assert gone.cause is Cause.MISSING
    asked = """SELECT nspname AS tenant, 3 AS size, ' eu, large,' AS tags, 'x''y' AS color, NULL AS nothing, 7 AS shard
               FROM pg_namespace WHERE nspname LIKE 't_' ORDER BY 1 DESC -- all;"""
    with schemas(url, query=asked) as database:
        assert database.tenants() == [
            Tenant(name, ("eu", "large"), 3, {"color": "x'y", "shard": "7"}) for name in ("ta", "tb")
        ]


@pytest.mark.parametrize(
    ("query", "error", "words"),
    [
        ("SELECT NULL", UsageError, "without a name"),
        ("SELECT 1", UsageError, "without a name"),
        ("SELECT 'a' UNION ALL SELECT 'a'", UsageError, "twice"),
        ("SELECT 'a'; SELECT 'b'", DatabaseError, "2 statements"),
        ("SELECT nothing", DatabaseError, "does not exist"),
        ("DELETE FROM t1.users", DatabaseError, "read-only"),
        ("SELECT 'a'; COMMIT", DatabaseError, "COMMIT"),
    ],
)
def test_query_when_it_gives_no_names_then_it_is_refused_and_has_changed_nothing(
    postgresql: PostgreSQL, pg_database: str, query: str, error: type[Exception], words: str
) -> None:
    make_schemas(postgresql, pg_database, "t1")
    postgresql.sql("INSERT INTO t1.users VALUES (1)", pg_database)
    with schemas(postgresql.url(pg_database), query=query) as database:
        with pytest.raises(error, match=words):
            database.tenants()
        assert database.glance(["t1"])["t1"] == Glance(False, None, "0 0 t1")
    assert postgresql.sql("SELECT count(*) FROM t1.users", pg_database) == [["1"]]


def test_sizes_when_asked_for_then_a_full_schema_is_larger_than_an_empty_one(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    make_schemas(postgresql, pg_database, "t1", "t2")
    postgresql.sql("INSERT INTO t2.users SELECT g, repeat('x', 100) FROM generate_series(1, 1000) g", pg_database)
    postgresql.sql("VACUUM t2.users", pg_database)
    with schemas(postgresql.url(pg_database), sizes=True) as database:
        small, large = database.tenants()
        assert 0 <= small.size < 100_000 < large.size
    with single(postgresql.url(pg_database), sizes=True) as database:
        assert database.tenants()[0].size > 1_000_000


def test_names_when_they_need_quoting_then_schemas_go_forward_and_back(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    make_schemas(postgresql, pg_database, *NASTY)
    with schemas(
        postgresql.url(pg_database), query="SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_'"
    ) as database:
        assert set(NASTY) < set(names(database))
        moves = [adds("delta_a", "ALTER TABLE users ADD x int"), adds("delta_b", "INSERT INTO users VALUES (1)")]
        commit(database, *(plan(database, name, *moves) for name in NASTY))
        for name in NASTY:
            assert ids(database, name) == ["delta_a", "delta_b"]
            assert glance_of(database, name).head == head([move.row for move in moves])
            assert database.blockers(name) == []
            with session_of(database, name) as session:
                session.alone(name, "CREATE INDEX CONCURRENTLY i ON users (id)", lock_timeout_ms=1000)
                assert session.query(name, "SELECT current_schema(), count(*) FROM users") == [(name, 1)]
            apply(database, name, takes_back(moves[1].row, "DELETE FROM users"))
            assert ids(database, name) == ["delta_a"]


def test_names_when_they_need_quoting_then_databases_go_forward_and_back(postgresql: PostgreSQL) -> None:
    chosen = NASTY[:3]
    with tenant_databases(postgresql, *chosen), databases(postgresql.url(), names=chosen) as database:
        for name in chosen:
            move = adds("delta_a", "INSERT INTO users VALUES (1)")
            apply(database, name, move)
            assert ids(database, name) == ["delta_a"]
            apply(database, name, takes_back(move.row, "DELETE FROM users"))
            assert (ids(database, name), glance_of(database, name).head) == ([], EMPTY_HEAD)


def test_name_when_it_is_longer_than_the_server_keeps_then_it_is_missing_and_no_other_tenant_is_met(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    make_schemas(postgresql, pg_database, "x" * 63)
    for make in (schemas, databases):
        with make(postgresql.url(pg_database), names=("x" * 64, "a\0b")) as database:
            assert names(database) == ["a\0b", "x" * 64]
            assert database.glance(names(database)) == {}
            for seen in database.ledgers(names(database)).values():
                assert isinstance(seen, DatabaseError)
                assert seen.cause is Cause.MISSING
            with session_of(database, "x" * 64) as session, pytest.raises(DatabaseError, match="can be no name"):
                session.query("x" * 64, "SELECT 1")


def test_databases_when_on_two_servers_then_each_has_its_own_and_a_name_on_both_is_refused(
    postgresql: PostgreSQL, short_path: Path
) -> None:
    short_path.chmod(0o755)
    with running_postgresql(short_path) as second, tenant_databases(postgresql, "t_1"), tenant_databases(second, "t_2"):
        with databases(postgresql.url(), second.url()) as database:
            assert database.lane("t_2") == f"127.0.0.1:{second.port}"
            assert names(database) == ["t_1", "t_2"]
            assert [database.width(database.lane(name)) for name in ("t_1", "t_2")] == [4, 4]
            for name in ("t_1", "t_2"):
                apply(database, name, adds("delta_a", "ALTER TABLE users ADD x int"))
            seen = database.glance(["t_1", "t_2", "t_3"])
            assert {glance.head for glance in (seen["t_1"], seen["t_2"]) if isinstance(glance, Glance)} == {
                head([row("delta_a")])
            }
            assert "t_3" not in seen
            assert isinstance(database.ledgers(["t_3"])["t_3"], DatabaseError)
            second.stop()
            seen = database.glance(["t_1", "t_2"])
            assert isinstance(seen["t_1"], Glance)
            assert isinstance(seen["t_2"], DatabaseError)
            assert seen["t_2"].cause is Cause.UNREACHABLE
            second.start()
        both = databases(postgresql.url(), second.url())
        with tenant_databases(second, "t_1"), both, pytest.raises(UsageError, match=r"t_1 on 127\.0\.0\.1:\d+ and on"):
            both.tenants()


def test_databases_when_stamps_are_trusted_then_one_query_tells_and_no_database_is_connected_to(
    postgresql: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    connected: list[str] = []
    make = Connection.__init__

    def counting(self: Connection, address: object, *, database: str = "", application_name: str) -> None:
        connected.append(database)
        make(self, address, database=database, application_name=application_name)  # type: ignore[arg-type]

    with tenant_databases(postgresql, "t_1", "t_2", "t_3"), databases(postgresql.url(), trust_stamps=True) as database:
        for name in ("t_1", "t_2", "t_3"):
            apply(database, name, adds("delta_a", "SELECT 1"))
        postgresql.sql("COMMENT ON DATABASE t_3 IS 'what people wrote'")
        monkeypatch.setattr(Connection, "__init__", counting)
        seen = database.glance(["t_1", "t_2"])
        assert [glance.head for glance in seen.values() if isinstance(glance, Glance)] == [head([row("delta_a")])] * 2
        assert connected == []
        apply(database, "t_1", adds("delta_b", "SELECT 1"))
        assert glance_of(database, "t_1").head == head([row("delta_a"), row("delta_b")])
        connected.clear()
        assert glance_of(database, "t_3").head == head([row("delta_a")])
        assert connected == ["t_3"]
        apply(database, "t_3", adds("delta_b", "SELECT 1"))
        comment = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = 't_3'"
        assert postgresql.sql(comment) == [["what people wrote"]]


def test_database_when_its_comment_is_not_ours_to_make_then_the_commit_does_not_try(postgresql: PostgreSQL) -> None:
    with tenant_databases(postgresql, "t_1"), databases(postgresql.url(user="clerk"), names=("t_1",)) as database:
        postgresql.sql(f"CREATE ROLE clerk LOGIN PASSWORD '{PASSWORD}'")
        try:
            postgresql.sql("GRANT ALL ON SCHEMA public TO clerk", "t_1")
            apply(database, "t_1", adds("delta_a", "CREATE TABLE of_clerk ()"))
            assert ids(database, "t_1") == ["delta_a"]
            asked = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = 't_1'"
            assert postgresql.sql(asked) == [[""]]
        finally:
            postgresql.sql("DROP OWNED BY clerk CASCADE", "t_1")
            postgresql.sql("DROP ROLE clerk")


def test_databases_when_several_are_in_one_transaction_then_that_is_a_bug_of_the_caller(postgresql: PostgreSQL) -> None:
    with tenant_databases(postgresql, "t_1", "t_2"), databases(postgresql.url()) as database:
        assert database.batch_limit == 1
        works = [plan(database, name, adds("delta_a", "SELECT 1")) for name in ("t_1", "t_2")]
        with pytest.raises(ValueError, match="spans"):
            commit(database, *works)


def test_databases_when_two_runs_go_through_pgbouncer_then_each_delta_is_there_exactly_once(
    postgresql: PostgreSQL, pgbouncer: PgBouncer
) -> None:
    with (
        tenant_databases(postgresql, "t_1", "t_2"),
        databases(pgbouncer.url()) as one,
        databases(pgbouncer.url()) as other,
    ):
        move = adds("delta_a", "INSERT INTO users VALUES (1)")

        def runner(database: PostgresqlDatabase) -> None:
            for name in ("t_1", "t_2"):
                bring(database, name, move)

        assert at_once(lambda: runner(one), lambda: runner(other)) == [None, None]
        assert [postgresql.sql("SELECT count(*) FROM users", name) for name in ("t_1", "t_2")] == [[["1"]]] * 2


def test_single_when_its_path_has_several_schemas_then_the_ledger_is_in_the_first_and_stays_where_it_is(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    make_schemas(postgresql, pg_database, "app", "extra")
    url = postgresql.url(pg_database)
    with single(url, search_path=("app", "public")) as database:
        assert database.tenants() == [Tenant(pg_database)]
        assert database.batch_limit == 1
        apply(database, pg_database, adds("delta_a", "ALTER TABLE users ADD x int"))
    assert postgresql.sql("SELECT id FROM app.pdelta_applied", pg_database) == [["delta_a"]]
    with single(url, search_path=("extra", "app")) as database:
        apply(database, pg_database, adds("delta_b", "ALTER TABLE users ADD y int"))
        assert ids(database, pg_database) == ["delta_a", "delta_b"]
    assert postgresql.sql("SELECT x FROM app.users UNION ALL SELECT y FROM extra.users", pg_database) == []
    with single(url, search_path=("nowhere",)) as database:
        seen = database.glance([pg_database])[pg_database]
        assert isinstance(seen, DatabaseError)
        assert "no schema in its search path" in seen.message
        with (
            session_of(database, pg_database) as session,
            pytest.raises(DatabaseError, match="no schema in its search"),
        ):
            session.record(pg_database, row("delta_c"), former=None, glance=Glance(False, None))


def test_stamp_when_the_ledger_is_copied_then_it_does_not_count_there(postgresql: PostgreSQL, pg_database: str) -> None:
    make_schemas(postgresql, pg_database, "t1", "t2")
    with schemas(postgresql.url(pg_database)) as database:
        apply(database, "t1", adds("delta_a", "SELECT 1"))
        postgresql.sql("CREATE TABLE t2.pdelta_applied (LIKE t1.pdelta_applied INCLUDING ALL)", pg_database)
        stamp = postgresql.sql("SELECT obj_description('t1.pdelta_applied'::regclass)", pg_database)[0][0]
        assert stamp.startswith("pdelta 1 ")
        postgresql.sql(f"COMMENT ON TABLE t2.pdelta_applied IS '{stamp}'", pg_database)
        assert (glance_of(database, "t1").head, glance_of(database, "t2").head) == (head([row("delta_a")]), None)
        assert ledger_of(database, "t2") == []


def test_stamp_when_a_schema_is_dumped_and_restored_under_another_name_then_the_ledger_is_read(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    make_schemas(postgresql, pg_database, "t1")
    with schemas(postgresql.url(pg_database)) as database:
        apply(database, "t1", adds("delta_a", "INSERT INTO users VALUES (1)"))
        command = [str(postgresql.programs / "pg_dump"), "-n", "t1", "-d", postgresql.url(pg_database)]
        dump = subprocess.run(command, capture_output=True, check=True, text=True).stdout
        assert "COMMENT ON TABLE t1.pdelta_applied IS 'pdelta 1 " in dump
        postgresql.sql("ALTER SCHEMA t1 RENAME TO t2", pg_database)
        postgresql.sql(dump, pg_database)
        assert glance_of(database, "t2").head == head([row("delta_a")]), "renaming keeps the table"
        assert glance_of(database, "t1") == Glance(True, None, glance_of(database, "t1").mark)
        assert ids(database, "t1") == ["delta_a"]
        apply(database, "t1", adds("delta_b", "SELECT 1"))
        assert glance_of(database, "t1").head == head([row("delta_a"), row("delta_b")])


@pytest.mark.parametrize(
    "comment", ["", "pdelta", "pdelta 1 5 nonsense", "pdelta 1 99999999999 0:00", "what people write"]
)
def test_stamp_when_it_says_nothing_then_the_ledger_must_be_read(
    postgresql: PostgreSQL, pg_database: str, comment: str
) -> None:
    make_schemas(postgresql, pg_database, "t1")
    with schemas(postgresql.url(pg_database)) as database:
        apply(database, "t1", adds("delta_a", "SELECT 1"))
        postgresql.sql(f"COMMENT ON TABLE t1.pdelta_applied IS '{comment}'", pg_database)
        assert (glance_of(database, "t1").managed, glance_of(database, "t1").head) == (True, None)


def test_ledger_when_a_later_pdelta_wrote_it_then_it_is_refused(postgresql: PostgreSQL, pg_database: str) -> None:
    make_schemas(postgresql, pg_database, "t1", "t2")
    with schemas(postgresql.url(pg_database)) as database:
        for tenant in ("t1", "t2"):
            apply(database, tenant, adds("delta_a", "SELECT 1"))
        postgresql.sql("COMMENT ON TABLE t1.pdelta_applied IS 'pdelta 2 and what that may say'", pg_database)
        postgresql.sql("UPDATE t2.pdelta_applied SET state = 'dreaming'", pg_database)
        seen = database.glance(["t1", "t2"])["t1"]
        held = database.ledgers(["t2"])["t2"]
        assert isinstance(seen, DatabaseError)
        assert isinstance(held, DatabaseError)
        assert ("form 2" in seen.message, "can't be read" in held.message) == (True, True)


def test_glance_when_there_are_a_thousand_schemas_then_it_takes_one_query_and_two_strings_a_batch_of_fifty(
    postgresql: PostgreSQL, pg_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    many = [f"t{number:04}" for number in range(1000)]
    for start in range(0, 1000, 200):
        make_schemas(postgresql, pg_database, *many[start : start + 200])
    strings: list[str] = []
    run = Connection.run

    def counting(self: Connection, text: str, **more: Any) -> object:
        strings.append(text)
        return run(self, text, **more)

    with schemas(postgresql.url(pg_database)) as database:
        assert names(database) == many
        move = adds("delta_a", "ALTER TABLE users ADD last_login timestamp")
        first = database.glance(many)
        works = [plan(database, name, move) for name in many[:50]]
        assert all(isinstance(seen, Glance) and not seen.managed for seen in first.values())
        with session_of(database, "t0000") as session:
            session.commit(works, lock_timeout_ms=5000)
            again = [plan(database, name, adds("delta_b", "SELECT 1")) for name in many[:50]]
            monkeypatch.setattr(Connection, "run", counting)
            session.commit(again, lock_timeout_ms=5000)
            assert len(strings) == 2
            assert strings[1] == "COMMIT"
            strings.clear()
            seen = database.glance(many)
            assert len(strings) == 1
        wanted = head([row("delta_a"), row("delta_b")])
        assert [one.head for one in seen.values() if isinstance(one, Glance)] == [wanted] * 50 + [None] * 950
        strings.clear()
        held = database.ledgers(many)
        assert len(strings) == 2, "one to see who has a ledger, one for the fifty"
        assert [len(rows) for rows in held.values() if not isinstance(rows, Exception)] == [2] * 50 + [0] * 950


@pytest.mark.parametrize("encoding", ["UTF8", "EUC_JP"])
def test_head_when_the_server_calculates_it_then_it_is_the_vectors(postgresql: PostgreSQL, encoding: str) -> None:
    vectors = json.loads((Path(__file__).parents[1] / "vectors/sql-ledger/heads.json").read_text())
    postgresql.sql(f"CREATE DATABASE heads TEMPLATE template0 ENCODING {encoding} LOCALE 'C'")
    try:
        with single(postgresql.url("heads")) as database:
            apply(database, "heads")
            for vector in vectors:
                if encoding != "UTF8" and "ASCII" in vector["what"]:
                    continue
                postgresql.sql("TRUNCATE pdelta_applied", "heads")
                for id, digest, state in vector["rows"]:
                    held = row(id, digest=digest, state=State(state))
                    postgresql.sql(ledger.insert(ledger.Place("heads", schema="public"), (held,)), "heads")
                commit(database, plan(database, "heads"))
                assert str(glance_of(database, "heads").head) == vector["head"]
    finally:
        postgresql.sql("DROP DATABASE heads WITH (FORCE)")
