"""How large tables are, as each engine's statistics say it, where the contract does not reach."""

import sqlite3
from contextlib import closing
from pathlib import Path

from pdelta.databases.base import Database
from pdelta.databases.postgresql.address import Address
from pdelta.databases.postgresql.connection import Connection
from pdelta.databases.postgresql.database import PostgresqlDatabase
from pdelta.databases.postgresql.settings import Kind, Settings
from pdelta.databases.sqlite.database import SqliteDatabase
from pdelta.sql.lint.finding import TableSize
from pdelta.testing.bench import refusal
from tests.fixtures.postgresql import PostgreSQL


def sizes_in(database: Database) -> dict[str, TableSize]:
    with database:
        return dict(database.table_sizes([tenant.name for tenant in database.tenants()]))


def schemas(server: PostgreSQL, database: str) -> PostgresqlDatabase:
    return PostgresqlDatabase(Settings("a", (Address(server.url(database)),), kind=Kind.SCHEMAS, patterns=("t*",)))


def test_sizes_when_a_table_was_analysed_then_its_rows_and_else_as_many_as_could_be(
    postgresql: PostgreSQL, pg_database: str
) -> None:
    for schema in ("t1", "t2", "other"):
        postgresql.sql(
            f"CREATE SCHEMA {schema}; CREATE TABLE {schema}.a (id bigint); CREATE TABLE {schema}.b (id bigint)",
            pg_database,
        )
    fill = "INSERT INTO {0} SELECT generate_series(1, {1}); ANALYZE {0}"
    postgresql.sql(fill.format("t1.a", 20_000), pg_database)
    postgresql.sql(fill.format("t2.a", 100), pg_database)
    postgresql.sql(fill.format("other.a", 90_000), pg_database)
    postgresql.sql("INSERT INTO t2.b SELECT generate_series(1, 50000)", pg_database)
    found = sizes_in(schemas(postgresql, pg_database))
    assert found["a"].rows == 20_000
    assert 500_000 < found["a"].bytes < 1_500_000
    assert 50_000 <= found["b"].rows < 150_000


def test_sizes_when_a_table_has_partitions_then_they_count_for_it(postgresql: PostgreSQL, pg_database: str) -> None:
    postgresql.sql(
        "CREATE SCHEMA t1; SET search_path TO t1; CREATE TABLE p (id int) PARTITION BY RANGE (id);"
        "CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (6000);"
        "CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (6000) TO (20000);"
        "INSERT INTO p SELECT generate_series(1, 19000); ANALYZE p",
        pg_database,
    )
    found = sizes_in(schemas(postgresql, pg_database))
    assert found["p"].rows == 19_000
    assert found["p1"].rows == 5_999


def test_sizes_when_somebody_alters_a_table_then_waiting_ends(postgresql: PostgreSQL, pg_database: str) -> None:
    postgresql.sql("CREATE SCHEMA t1; CREATE TABLE t1.a (id int)", pg_database)
    database = schemas(postgresql, pg_database)
    with closing(Connection(Address(postgresql.url(pg_database)), application_name="holder")) as holder:
        holder.run("BEGIN; LOCK TABLE t1.a")
        with database:
            error = refusal(database.table_sizes, ["t1"]).message
    assert "lock timeout" in error
    assert sizes_in(database)["a"] == TableSize(0, 0)


def test_sizes_when_files_differ_then_the_largest_counts_and_what_has_no_rowid_is_left_out(tmp_path: Path) -> None:
    for number, rows in enumerate((10, 12_000)):
        with closing(sqlite3.connect(tmp_path / f"t{number}.db")) as raw, raw:
            raw.execute('CREATE TABLE "a ""b""" (id INTEGER PRIMARY KEY, body TEXT)')
            raw.execute("CREATE TABLE keyed (id TEXT PRIMARY KEY) WITHOUT ROWID")
            raw.execute("CREATE TABLE sparse (id INTEGER PRIMARY KEY)")
            raw.execute("CREATE TABLE empty (id INTEGER PRIMARY KEY)")
            raw.execute("INSERT INTO sparse VALUES (-5), (?)", (rows,))
            raw.executemany('INSERT INTO "a ""b""" (body) VALUES (?)', [("x" * 100,)] * rows)
    found = sizes_in(SqliteDatabase("a", tmp_path, ("*.db",)))
    assert set(found) == {'a "b"', "sparse", "empty"}
    assert found['a "b"'].rows == 12_000
    assert found['a "b"'].bytes >= 1_200_000
    assert found["sparse"].rows == 12_006
    assert found["empty"] == TableSize(0, 0)
    small = sizes_in(SqliteDatabase("a", tmp_path, ("t0.db",)))
    assert small['a "b"'] == TableSize(10, 4096)
