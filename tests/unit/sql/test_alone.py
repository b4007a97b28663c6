"""Which statements no transaction takes; those of SQLite are given to SQLite itself."""

import sqlite3
from pathlib import Path

import pytest

from pdelta.sql.alone import alone, controls_transaction, enforces, needs_no_transaction
from pdelta.sql.split import Statement, split
from pdelta.sql.token import Dialect


def one(text: str, dialect: Dialect) -> Statement:
    (statement,) = split(text, dialect)
    return statement


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("CREATE INDEX CONCURRENTLY j ON t (a)", "CREATE INDEX CONCURRENTLY"),
        ("create unique index concurrently if not exists j on t (a)", "CREATE INDEX CONCURRENTLY"),
        ('CREATE INDEX "CONCURRENTLY" ON t (a)', ""),
        ("CREATE INDEX j ON t (a)", ""),
        ("DROP INDEX CONCURRENTLY IF EXISTS i", "DROP INDEX CONCURRENTLY"),
        ("REINDEX TABLE CONCURRENTLY t", "REINDEX CONCURRENTLY"),
        ("REINDEX (VERBOSE, CONCURRENTLY) TABLE t", "REINDEX CONCURRENTLY"),
        ("REINDEX (CONCURRENTLY false) TABLE t", ""),
        ("REINDEX INDEX concurrently_made", ""),
        ("REINDEX (VERBOSE) SCHEMA public", "REINDEX SCHEMA"),
        ("VACUUM (FULL) t", "VACUUM"),
        ("ANALYZE t", ""),
        ("CLUSTER", "CLUSTER of every table"),
        ("CLUSTER VERBOSE", "CLUSTER of every table"),
        ("CLUSTER t USING i", ""),
        ("CREATE DATABASE x", "CREATE DATABASE"),
        ("DROP TABLESPACE x", "DROP TABLESPACE"),
        ("ALTER DATABASE x SET TABLESPACE y", "ALTER DATABASE … SET TABLESPACE"),
        ("ALTER DATABASE x SET work_mem = '4MB'", ""),
        ("ALTER SYSTEM SET work_mem = '4MB'", "ALTER SYSTEM"),
        ("ALTER TABLE s.p DETACH PARTITION p1 CONCURRENTLY", "DETACH PARTITION … CONCURRENTLY"),
        ("ALTER TABLE p DETACH PARTITION p1", ""),
        ("CREATE SUBSCRIPTION s CONNECTION '' PUBLICATION p", "CREATE SUBSCRIPTION with a replication slot"),
        ("CREATE SUBSCRIPTION s CONNECTION '' PUBLICATION p WITH (enabled = false, create_slot = false)", ""),
        ("CREATE SUBSCRIPTION s CONNECTION '' PUBLICATION p WITH (connect = off)", ""),
        ("DROP SUBSCRIPTION s", "DROP SUBSCRIPTION"),
        ("ALTER SUBSCRIPTION s REFRESH PUBLICATION", "ALTER SUBSCRIPTION with a refresh"),
        ("ALTER SUBSCRIPTION s SET PUBLICATION p WITH (refresh = false)", ""),
        ("ALTER SUBSCRIPTION s ADD PUBLICATION p", "ALTER SUBSCRIPTION with a refresh"),
        ("ALTER SUBSCRIPTION s ENABLE", ""),
        ("DISCARD ALL", "DISCARD ALL"),
        ("COMMIT PREPARED 'a'", "COMMIT PREPARED"),
        ("ALTER TYPE e ADD VALUE 'b'", ""),
    ],
)
def test_postgresql_when_no_transaction_takes_it_then_its_form_is_given(text: str, why: str) -> None:
    assert needs_no_transaction(one(text, Dialect.POSTGRESQL), Dialect.POSTGRESQL) == why


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("ALTER TABLE t ADD a int", "ALTER TABLE"),
        ("/*!50003 CREATE INDEX i ON t (a) */", "CREATE INDEX"),
        ("TRUNCATE t", "TRUNCATE"),
        ("LOCK TABLES t WRITE", "LOCK TABLES"),
        ("SET PASSWORD = 'x'", "SET PASSWORD"),
        ("SET STATEMENT lock_wait_timeout = 1, max_statement_time = 9 FOR ALTER TABLE t ADD a int", "ALTER TABLE"),
        ("SET STATEMENT max_statement_time = 9 FOR UPDATE t SET a = 1", ""),
        ("SET @a = 1", ""),
        ("CREATE TEMPORARY TABLE t (a int)", ""),
        ("DROP TEMPORARY TABLE t", ""),
        ("LOAD DATA INFILE 'x' INTO TABLE t", ""),
        ("INSERT INTO t VALUES (1)", ""),
        ("UPDATE t SET a = 1", ""),
    ],
)
def test_mysql_when_it_commits_by_itself_then_its_form_is_given(text: str, why: str) -> None:
    assert needs_no_transaction(one(text, Dialect.MYSQL), Dialect.MYSQL) == why


@pytest.mark.parametrize(
    "text",
    [
        "VACUUM",
        "DETACH o",
        "PRAGMA foreign_keys = ON",
        "PRAGMA foreign_keys(1)",
        "PRAGMA main.synchronous = OFF",
        "PRAGMA journal_mode = WAL",
        "PRAGMA wal_checkpoint",
        "PRAGMA main.wal_checkpoint(TRUNCATE)",
        "PRAGMA foreign_keys",
        "PRAGMA synchronous",
        "PRAGMA journal_mode",
        "PRAGMA user_version = 3",
        "PRAGMA legacy_alter_table = ON",
        "ATTACH ':memory:' AS p",
        "REINDEX",
        "ANALYZE",
    ],
)
def test_sqlite_when_it_differs_in_a_transaction_then_that_is_known(text: str, tmp_path: Path) -> None:
    states = [observed(text, tmp_path / str(inside), inside=inside) for inside in (False, True)]
    assert bool(needs_no_transaction(one(text, Dialect.SQLITE), Dialect.SQLITE)) == (states[0] != states[1])


def observed(text: str, file: Path, *, inside: bool) -> tuple[object, ...]:
    """Give what can be seen of a connection after a statement, outside or inside of a transaction that wrote."""
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("CREATE TABLE t (a)")
    connection.execute("ATTACH ':memory:' AS o")
    if inside:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("INSERT INTO t VALUES (1)")
    try:
        connection.execute(text).fetchall()
    except sqlite3.OperationalError as error:
        return (str(error),)
    names = ("foreign_keys", "synchronous", "journal_mode", "user_version", "legacy_alter_table")
    state = tuple(connection.execute(f"PRAGMA {name}").fetchone()[0] for name in names)
    connection.close()
    return state


@pytest.mark.parametrize(
    ("text", "dialect", "word"),
    [
        ("BEGIN", Dialect.POSTGRESQL, "BEGIN"),
        ("start transaction", Dialect.MYSQL, "START TRANSACTION"),
        ("START SLAVE", Dialect.MYSQL, ""),
        ("BEGIN NOT ATOMIC SELECT 1; END", Dialect.MYSQL, ""),
        ("COMMIT", Dialect.SQLITE, "COMMIT"),
        ("END", Dialect.SQLITE, "END"),
        ("ABORT", Dialect.POSTGRESQL, "ABORT"),
        ("ROLLBACK", Dialect.POSTGRESQL, "ROLLBACK"),
        ("ROLLBACK TO SAVEPOINT a", Dialect.POSTGRESQL, ""),
        ("ROLLBACK TRANSACTION TO a", Dialect.SQLITE, ""),
        ("SAVEPOINT a", Dialect.SQLITE, ""),
        ("RELEASE a", Dialect.SQLITE, ""),
        ("PREPARE TRANSACTION 'a'", Dialect.POSTGRESQL, "PREPARE TRANSACTION"),
        ("PREPARE a AS SELECT 1", Dialect.POSTGRESQL, ""),
        ("SET autocommit = 0", Dialect.MYSQL, "SET autocommit"),
        ("SET @@session.autocommit = 0", Dialect.MYSQL, "SET autocommit"),
        ("SELECT 1", Dialect.MYSQL, ""),
    ],
)
def test_control_when_a_statement_begins_or_ends_a_transaction_then_its_word_is_given(
    text: str, dialect: Dialect, word: str
) -> None:
    assert controls_transaction(one(text, dialect), dialect) == word


def test_alone_when_a_new_value_is_used_later_then_the_type_is_altered_alone() -> None:
    text = (
        "ALTER TYPE mood ADD VALUE IF NOT EXISTS 'so so' AFTER 'ok'; ALTER TABLE t ADD m mood DEFAULT 'so so'; SELECT 1"
    )
    found = alone(tuple(split(text, Dialect.POSTGRESQL)), Dialect.POSTGRESQL)
    assert list(found) == [0]
    assert "'so so'" in found[0]


@pytest.mark.parametrize(
    "text",
    ["ALTER TYPE m ADD VALUE 'b'; SELECT 'c'", "SELECT 'b'; ALTER TYPE m ADD VALUE 'b'", "ALTER TYPE m ADD VALUE 'b'"],
)
def test_alone_when_a_new_value_is_not_used_later_then_all_share_a_transaction(text: str) -> None:
    assert alone(tuple(split(text, Dialect.POSTGRESQL)), Dialect.POSTGRESQL) == {}


def test_alone_when_some_need_no_transaction_then_their_places_are_given() -> None:
    text = "CREATE TABLE t (a int); CREATE INDEX CONCURRENTLY i ON t (a); VACUUM t"
    found = alone(tuple(split(text, Dialect.POSTGRESQL)), Dialect.POSTGRESQL)
    assert found == {1: "CREATE INDEX CONCURRENTLY", 2: "VACUUM"}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("DELETE FROM t; PRAGMA foreign_keys = ON", True),
        ("PRAGMA main.foreign_keys('yes'); DELETE FROM t", True),
        ("PRAGMA foreign_keys = OFF; DROP TABLE t; PRAGMA foreign_keys = ON", False),
        ("PRAGMA foreign_keys; DELETE FROM t", False),
        ("PRAGMA user_version = 1", False),
    ],
)
def test_enforces_when_the_first_pragma_says_on_then_true_and_no_statement_stands_alone(
    text: str, expected: bool
) -> None:
    statements = tuple(split(text, Dialect.SQLITE))
    assert enforces(statements) is expected
    assert alone(statements, Dialect.SQLITE) == {}
