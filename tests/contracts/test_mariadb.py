"""The adapter of MySQL and MariaDB keeps the contract of databases, on a real MariaDB."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from itertools import count
from pathlib import Path
from typing import Any, Final

import pymysql
import pytest

from pdelta.databases.base import Database
from pdelta.databases.mysql.address import Address
from pdelta.databases.mysql.database import MysqlDatabase
from pdelta.databases.mysql.settings import Settings
from pdelta.testing.bench import Bench
from pdelta.testing.database import DatabaseContract
from tests.fixtures.mariadb import MariaDB, numbers, quoted

_NUMBERS: Final = count(1)
HOSTILE_NAME: Final = "Robert'); DROP TABLE notes; -- 100% \\ \" ` é {}"


class MariadbBench:
    """Fresh databases on a server that all tests share."""

    def __init__(self, server: MariaDB) -> None:
        # Of MySQL a SLEEP that is ended gives 1, and does not fail.
        slow = f"SELECT count(*) FROM {', '.join(numbers(first, 900) for first in range(5))} /* SLEEP(60) */"  # noqa: S608
        self.slow = slow if server.is_mysql else "SELECT SLEEP(60)"
        number = next(_NUMBERS)
        self.server = server
        self.tenants: Sequence[str] = (f"one_{number}", f"two_{number}", HOSTILE_NAME.format(number))
        self.server.sql(*(f"CREATE DATABASE {quoted(name)}" for name in self.tenants))

    def database(self) -> Database:
        return MysqlDatabase(Settings("test", (Address(self.server.url()),), patterns=tuple(self.tenants)))

    def run(self, tenant: str, text: str) -> None:
        self.server.sql(text, database=tenant)

    def rows(self, tenant: str, text: str) -> list[tuple[Any, ...]]:
        return self.server.sql(text, database=tenant)

    @contextmanager
    def held(self, tenant: str) -> Iterator[None]:
        """Somebody has locked the table that deltas of the tests write."""
        with closing(self.server.connect(tenant)) as connection, connection.cursor() as cursor:
            cursor.execute("LOCK TABLES notes WRITE")
            yield

    def cut(self, tenant: str) -> bool:  # noqa: ARG002 - only one of them is asked slowly
        found = self.server.sql(
            "SELECT ID FROM information_schema.PROCESSLIST WHERE COMMAND = 'Query' AND INFO LIKE '%SLEEP(60)%'"
            " AND ID <> CONNECTION_ID()"
        )
        for (number,) in found:
            with suppress(pymysql.MySQLError):
                self.server.sql(f"KILL CONNECTION {number}")
        return bool(found)

    def drop(self, tenant: str) -> None:
        self.server.sql(f"DROP DATABASE {quoted(tenant)}")

    def close(self) -> None:
        for name in self.tenants:
            self.server.sql(f"DROP DATABASE IF EXISTS {quoted(name)}")
        assert threading.active_count() < 50


class TestMariadb(DatabaseContract):
    @pytest.fixture(autouse=True)
    def _server(self, mariadb: MariaDB) -> None:
        self._mariadb = mariadb

    def bench(self, folder: Path) -> Bench:  # noqa: ARG002 - its data are the server's
        return MariadbBench(self._mariadb)
