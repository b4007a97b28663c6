"""Which statements of a delta SQLite may be given, and where."""

import sqlite3
from contextlib import closing, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdelta.databases.sqlite.statement import (
    foreign_keys,
    may_orphan,
    refused_alone,
    refused_as_query,
    refused_inside,
)

BEFORE = ["", " \n\t\f", "-- a comment\n", "/* ; */", ";", " ; /* x */ ; -- y\n", "\ufeff"]


@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize(
    "text",
    [
        "BEGIN", "begin immediate", "COMMIT", "End Transaction", "ROLLBACK", "ROLLBACK TO x", "SAVEPOINT x",
        "RELEASE x", "ATTACH 'other.sqlite' AS o", "detach o", "VACUUM", "VACUUM INTO 'x'", "PRAGMA journal_mode = OFF",
        "PRAGMA main.journal_mode(OFF)", 'PRAGMA "journal_mode" = OFF', "pragma [writable_schema] = 1",
        "PRAGMA locking_mode = EXCLUSIVE", "PRAGMA query_only = 0", "PRAGMA something_new = 1",
    ],
)  # fmt: skip
def test_inside_when_it_could_end_or_weaken_the_transaction_then_refused(before: str, text: str) -> None:
    assert refused_inside(before + text)


@pytest.mark.parametrize(
    "text",
    [
        "CREATE TABLE t (commit_at TEXT)", "INSERT INTO t VALUES ('COMMIT')", "SELECT 1 -- COMMIT", "EXPLAIN COMMIT",
        "CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT 1; END", "PRAGMA user_version = 7", "REINDEX", "ANALYZE",
        "PRAGMA foreign_keys = OFF", "PRAGMA main.user_version", "WITH x AS (SELECT 1) DELETE FROM t", "'not closed",
    ],
)  # fmt: skip
def test_inside_when_it_belongs_to_the_transaction_then_taken(text: str) -> None:
    assert not refused_inside(text)


@given(st.text(" \t\n;-/*BEGINCOMMITx'\"", max_size=24))
def test_inside_when_anything_is_taken_then_sqlite_stays_in_the_transaction(text: str) -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute("BEGIN")
        if not refused_inside(text):
            with suppress(sqlite3.Error, sqlite3.Warning):
                connection.execute(text)
        assert connection.in_transaction


def test_alone_when_it_needs_no_transaction_then_taken_and_control_is_not() -> None:
    assert not refused_alone("VACUUM")
    assert not refused_alone("PRAGMA journal_mode = WAL")
    assert refused_alone("BEGIN")
    assert refused_alone("ATTACH 'x' AS x")


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("SELECT 1", True), ("with x as (select 1) select * from x", True), ("VALUES (1)", True),
        ("EXPLAIN QUERY PLAN SELECT 1", True), ("DELETE FROM t", False), ("PRAGMA user_version", False), ("", False),
        ("ATTACH 'x' AS x", False), ("-- nothing", False),
    ],
)  # fmt: skip
def test_query_when_it_only_asks_then_taken(text: str, taken: bool) -> None:
    assert (refused_as_query(text) == "") is taken


@pytest.mark.parametrize(
    ("text", "may"),
    [
        ("DELETE FROM t", True), ("REPLACE INTO t VALUES (1)", True), ("DROP TABLE t", True),
        ("insert into t values (1)", True),
        ("ALTER TABLE t RENAME TO u", True), ("ALTER TABLE main.t DROP COLUMN c", True),
        ('ALTER TABLE "add" RENAME TO u', True), ("ALTER TABLE t ADD COLUMN c", False),
        ("ALTER TABLE main.t ADD c", False),
        ("CREATE TABLE t (x)", False), ("CREATE INDEX i ON t (x)", False), ("SELECT 1", False), ("", False),
    ],
)  # fmt: skip
def test_orphans_when_rows_may_lose_their_parents_then_said(text: str, may: bool) -> None:
    assert may_orphan(text) is may


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("PRAGMA foreign_keys = ON", True), ("pragma main.foreign_keys=yes", True), ("PRAGMA foreign_keys(1)", True),
        ("PRAGMA foreign_keys = 'on'", True), ("PRAGMA foreign_keys = OFF", False), ("PRAGMA foreign_keys = 0", False),
        ("PRAGMA foreign_keys", None), ("PRAGMA foreign_key_check", None), ("SELECT 1", None),
    ],
)  # fmt: skip
def test_foreign_keys_when_a_pragma_sets_them_then_to_what(text: str, said: bool | None) -> None:
    assert foreign_keys(text) is said
