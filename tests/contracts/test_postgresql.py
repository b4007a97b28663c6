"""The adapter of PostgreSQL keeps the contract of databases: for schemas, also behind PgBouncer, and for databases."""

from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest

from pdelta.databases.base import Database
from pdelta.databases.postgresql.address import Address
from pdelta.databases.postgresql.connection import Connection
from pdelta.databases.postgresql.database import PostgresqlDatabase
from pdelta.databases.postgresql.quoting import literal, name
from pdelta.databases.postgresql.settings import Kind, Settings
from pdelta.testing.bench import Bench
from pdelta.testing.database import DatabaseContract
from tests.fixtures.pgbouncer import PgBouncer
from tests.fixtures.postgresql import PostgreSQL

_NUMBERS: Final = count(1)
HOSTILE_NAME: Final = "Robert'); DROP TABLE notes; -- 100% \\ \" é {}"
SLEEPERS: Final = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    " WHERE wait_event = 'PgSleep' AND query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid()"
)


class SchemasBench:
    """Schemas of a database of their own.

    Args:
        server: Where.
        reached_at: The address of the database that the adapter is given.
        past: The address that leads past a pooler; empty for none.
    """

    slow = "SELECT pg_sleep(60)"

    def __init__(self, server: PostgreSQL, reached_at: str, past: str, database: str) -> None:
        number = next(_NUMBERS)
        self.server = server
        self.tenants: Sequence[str] = (f"one_{number}", f"two_{number}", HOSTILE_NAME.format(number))
        self._database = database
        self._settings = Settings(
            "test", (Address(reached_at),), (Address(past),) if past else (), Kind.SCHEMAS, names=tuple(self.tenants)
        )
        for tenant in self.tenants:
            self.ask(f"CREATE SCHEMA {name(tenant)}")

    def database(self) -> Database:
        return PostgresqlDatabase(self._settings)

    def connect(self, _tenant: str) -> Connection:
        return Connection(Address(self.server.url(self._database)), application_name="bench")

    def ask(self, text: str) -> list[tuple[Any, ...]]:
        with closing(self.connect("")) as connection:
            return connection.run(text)[-1].rows

    def entered(self, tenant: str) -> str:
        return f"SET search_path TO {name(tenant)}; "

    def run(self, tenant: str, text: str) -> None:
        self.rows(tenant, text)

    def rows(self, tenant: str, text: str) -> list[tuple[Any, ...]]:
        with closing(self.connect(tenant)) as connection:
            return connection.run(self.entered(tenant) + text)[-1].rows

    @contextmanager
    def held(self, tenant: str) -> Iterator[None]:
        """Somebody is in a transaction that has locked the table which deltas of the tests write."""
        with closing(self.connect(tenant)) as connection:
            connection.run(self.entered(tenant))
            connection.run("BEGIN; LOCK TABLE notes")
            yield

    def cut(self, tenant: str) -> bool:  # noqa: ARG002 - only one of them is asked slowly
        return bool(self.server.sql(SLEEPERS))

    def drop(self, tenant: str) -> None:
        self.ask(f"DROP SCHEMA {name(tenant)} CASCADE")

    def close(self) -> None:
        for tenant in self.tenants:
            self.ask(f"DROP SCHEMA IF EXISTS {name(tenant)} CASCADE")


class DatabasesBench(SchemasBench):
    """Databases of a server."""

    def __init__(self, server: PostgreSQL) -> None:
        number = next(_NUMBERS)
        self.server = server
        self.tenants: Sequence[str] = (f"one_{number}", f"two_{number}", HOSTILE_NAME.format(number))
        address = Address(server.url())
        self._settings = Settings("test", (address,), kind=Kind.DATABASES, names=tuple(self.tenants))
        for tenant in self.tenants:
            server.sql(f"CREATE DATABASE {name(tenant)}")

    def connect(self, tenant: str) -> Connection:
        return Connection(Address(self.server.url()), database=tenant, application_name="bench")

    def entered(self, tenant: str) -> str:
        return f"SELECT {literal(tenant)} = current_database(); "

    def drop(self, tenant: str) -> None:
        self.server.sql(f"DROP DATABASE {name(tenant)} WITH (FORCE)")

    def close(self) -> None:
        for tenant in self.tenants:
            self.server.sql(f"DROP DATABASE IF EXISTS {name(tenant)} WITH (FORCE)")


class TestSchemas(DatabaseContract):
    @pytest.fixture(autouse=True)
    def _server(self, postgresql: PostgreSQL, pg_database: str) -> None:
        self._postgresql, self._pg_database = postgresql, pg_database

    def bench(self, folder: Path) -> Bench:  # noqa: ARG002 - its data are the server's
        url = self._postgresql.url(self._pg_database)
        return SchemasBench(self._postgresql, url, "", self._pg_database)


class TestSchemasBehindPgBouncer(DatabaseContract):
    @pytest.fixture(autouse=True)
    def _server(self, postgresql: PostgreSQL, pgbouncer: PgBouncer, pg_database: str) -> None:
        self._postgresql, self._pgbouncer, self._pg_database = postgresql, pgbouncer, pg_database

    def bench(self, folder: Path) -> Bench:  # noqa: ARG002 - its data are the server's
        past = self._postgresql.url(self._pg_database)
        return SchemasBench(self._postgresql, self._pgbouncer.url(self._pg_database), past, self._pg_database)


class TestDatabases(DatabaseContract):
    @pytest.fixture(autouse=True)
    def _server(self, postgresql: PostgreSQL) -> None:
        self._postgresql = postgresql

    def bench(self, folder: Path) -> Bench:  # noqa: ARG002 - its data are the server's
        return DatabasesBench(self._postgresql)
