"""Tenants: made empty, and looked at in the catalogue after each run, without any contestant's word for it.

Each kind makes its tenants, tells how many of them have which catalogue (by its digest; the contestants' own tables
are left out), and removes them.
"""

import shutil
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path

from benchmarks.sql.deltas import LEDGERS, digest
from tests.fixtures.postgresql import PostgreSQL

_MADE_AT_ONCE = 200
"""Each schema takes a lock that is held until its transaction ends."""
_FOREIGN = " AND ".join(f"NOT starts_with(c.relname, '{begins}')" for begins in LEDGERS)
_OBJECTS = f"""
    SELECT n.nspname AS tenant, c.relname || '.' || a.attname AS what
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relkind = 'r' AND {_FOREIGN}
    UNION ALL
    SELECT n.nspname, 'index ' || c.relname
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'i' AND {_FOREIGN}"""  # noqa: S608 - no name comes from outside
_STATES = f"""
    SELECT tenant, md5(string_agg(what, E'\\n' ORDER BY what COLLATE "C")) FROM ({_OBJECTS}) AS o
    WHERE tenant LIKE '{{tenants}}' GROUP BY tenant"""  # noqa: S608
_FILE_OBJECTS = """
    SELECT m.name || '.' || p.name FROM sqlite_master m, pragma_table_info(m.name) p WHERE m.type = 'table'
    UNION ALL SELECT 'index ' || name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL"""


class SchemaFleet:
    """Schemas of one database.

    Args:
        server: Where.
        database: Its name; made and removed with the tenants.
        count: How many tenants.
    """

    def __init__(self, server: PostgreSQL, database: str, count: int) -> None:
        self.names = [f"tenant_{number:05}" for number in range(count)]
        self.address = server.url(database)
        self.database = database
        self._server = server

    def make(self) -> None:
        """Make the database and its schemas."""
        self._server.sql(f"CREATE DATABASE {self.database}")
        for at in range(0, len(self.names), _MADE_AT_ONCE):
            made = "".join(f"CREATE SCHEMA {name};\n" for name in self.names[at : at + _MADE_AT_ONCE])
            self._server.sql(f"BEGIN;\n{made}COMMIT;", self.database)

    def states(self) -> Counter[str]:
        """Ask the catalogue once for all."""
        rows = self._server.sql(_STATES.format(tenants="tenant\\_%"), self.database)
        return Counter(found for _, found in rows)

    def remove(self) -> None:
        """Drop the database."""
        self._server.sql(f"DROP DATABASE {self.database} WITH (FORCE)")


class DatabaseFleet:
    """Databases of one server.

    Args:
        server: Where.
        prefix: What their names begin with.
        count: How many.
    """

    def __init__(self, server: PostgreSQL, prefix: str, count: int) -> None:
        self.prefix = f"{prefix}_"
        self.names = [f"{self.prefix}{number:05}" for number in range(count)]
        self.address = server.url()
        self._server = server

    def make(self) -> None:
        """Make them."""
        self._server.sql("".join(f"CREATE DATABASE {name};\n" for name in self.names))

    def states(self) -> Counter[str]:
        """Ask each catalogue; an empty one has no answer."""
        asked = _STATES.format(tenants="public")
        # One psql for all: starting it takes longer than asking.
        rows = self._server.sql("".join(f"\\connect {name}\n{asked};\n" for name in self.names))
        return Counter(found for _, found in rows)

    def remove(self) -> None:
        """Drop them."""
        self._server.sql("".join(f"DROP DATABASE {name} WITH (FORCE);\n" for name in self.names))


class FileFleet:
    """SQLite files below one folder.

    Args:
        folder: That of the contestant's project; they are in the folder ``tenants`` there.
        count: How many.
    """

    def __init__(self, folder: Path, count: int) -> None:
        self.names = [f"tenants/tenant_{number:05}.sqlite" for number in range(count)]
        self.address = str(folder)
        self._folder = folder

    def make(self) -> None:
        """Make empty files: to SQLite they are databases."""
        (self._folder / "tenants").mkdir(parents=True)
        for name in self.names:
            (self._folder / name).touch()

    def states(self) -> Counter[str]:
        """Ask each catalogue."""
        return Counter(self._state(name) for name in self.names)

    def remove(self) -> None:
        """Delete them."""
        shutil.rmtree(self._folder / "tenants")

    def _state(self, name: str) -> str:
        with closing(sqlite3.connect(self._folder / name)) as connection:
            objects = [what for (what,) in connection.execute(_FILE_OBJECTS)]
        return digest([what for what in objects if not what.removeprefix("index ").startswith(LEDGERS)])


Fleet = SchemaFleet | DatabaseFleet | FileFleet
"""The tenants of one contestant: ``names`` are theirs, ``address`` is where its program finds them."""
