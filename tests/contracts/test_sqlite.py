"""The adapter of SQLite keeps the contract of databases."""

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from pdelta.databases.base import Database
from pdelta.databases.sqlite.database import SqliteDatabase
from pdelta.testing.bench import Bench
from pdelta.testing.database import DatabaseContract

HOSTILE_FILE = "Robert'); DROP TABLE notes; -- 100% \"`?mode=ro#x&\\ é.sqlite"
COUNTING = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT {}) SELECT count(*) FROM n"


class SqliteBench:
    """Files in a folder, one of them with every character that a URI or an SQL string could trip over."""

    tenants: Sequence[str] = ("one.sqlite", "deep/two.sqlite", HOSTILE_FILE)
    slow = COUNTING.format(10**10)

    def __init__(self, folder: Path, journal: str = "delete") -> None:
        self.folder = folder
        for name in self.tenants:
            (folder / name).parent.mkdir(exist_ok=True)
            (folder / name).touch()
            if journal != "delete":
                self.run(name, f"PRAGMA journal_mode = {journal}")

    def database(self) -> Database:
        return SqliteDatabase("test", self.folder, ("*.sqlite", "deep/*.sqlite"), cache=self.folder / "cache")

    def run(self, tenant: str, text: str) -> None:
        with closing(sqlite3.connect(self.folder / tenant, isolation_level=None)) as connection:
            connection.execute(text)

    def rows(self, tenant: str, text: str) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.folder / tenant, isolation_level=None)) as connection:
            return connection.execute(text).fetchall()

    @contextmanager
    def held(self, tenant: str) -> Iterator[None]:
        with closing(sqlite3.connect(self.folder / tenant, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            yield

    def cut(self, tenant: str) -> bool:  # noqa: ARG002 - there is no connection that could break
        return False

    def drop(self, tenant: str) -> None:
        for suffix in ("", "-wal", "-shm", "-journal"):
            (self.folder / (tenant + suffix)).unlink(missing_ok=True)

    def close(self) -> None:
        return


class TestSqlite(DatabaseContract):
    def bench(self, folder: Path) -> Bench:
        return SqliteBench(folder)


class TestSqliteWithWriteAheadLog(DatabaseContract):
    def bench(self, folder: Path) -> Bench:
        return SqliteBench(folder, "wal")


class TestSqliteWithPersistentJournal(DatabaseContract):
    def bench(self, folder: Path) -> Bench:
        return SqliteBench(folder, "persist")
