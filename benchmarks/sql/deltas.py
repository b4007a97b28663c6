"""What is rolled out: one list of deltas that every contestant gets in the form of its own files."""

from collections.abc import Iterable, Sequence
from hashlib import md5

import msgspec

TABLES = (
    "users",
    "accounts",
    "orders",
    "order_lines",
    "products",
    "invoices",
    "payments",
    "sessions",
    "events",
    "notes",
)
COLUMNS = ("id", "name", "created_at")
LEDGERS = ("pdelta_", "alembic_version", "pgmigrations")
"""What the names of the contestants' own tables begin with: they are no part of an end state."""


class Delta(msgspec.Struct, frozen=True):
    """One change, and what takes it back.

    Attributes:
        day: Puts it in order; a date, as all contestants can name their files by one.
        name: Of its file.
        forward: Statements without a semicolon.
        reverse: Likewise.
        adds: What the catalogue has more afterwards: ``table.column``, or ``index NAME``.
    """

    day: str
    name: str
    forward: tuple[str, ...]
    reverse: tuple[str, ...]
    adds: tuple[str, ...]


def base(tables: int) -> Delta:
    """Give what all tenants have before anything is measured: tables with three columns, an index each, five rows."""
    names = TABLES[:tables]
    forward: list[str] = []
    for name in names:
        forward += _table(name)
    into = f"INSERT INTO {names[0]} (id, name)"
    forward += [f"{into} VALUES ({row}, 'somebody {row}')" for row in range(5)]
    adds = [f"{name}.{column}" for name in names for column in COLUMNS] + [f"index {name}_name" for name in names]
    return Delta("20250101", "base", tuple(forward), tuple(f"DROP TABLE {name}" for name in names), tuple(adds))


LAST_LOGIN = Delta(
    "20250301",
    "last_login",
    ("ALTER TABLE users ADD COLUMN last_login timestamp",),
    ("ALTER TABLE users DROP COLUMN last_login",),
    ("users.last_login",),
)
"""The delta of the origin."""


def twenty() -> tuple[Delta, ...]:
    """Give 20 deltas: five tables, five indexes on them, ten columns."""
    found: list[Delta] = []
    for number in range(20):
        day, table, audit = f"202502{number + 1:02}", TABLES[number % 10], f"audit_{number // 4}"
        match number % 4:
            case 0:
                create, _ = _table(audit)
                adds = tuple(f"{audit}.{column}" for column in COLUMNS)
                found.append(Delta(day, audit, (create,), (f"DROP TABLE {audit}",), adds))
            case 1:
                index = f"{audit}_name"
                made = f"CREATE INDEX {index} ON {audit} (name)"
                found.append(Delta(day, index, (made,), (f"DROP INDEX {index}",), (f"index {index}",)))
            case _:
                column = f"more_{number}"
                added = f"ALTER TABLE {table} ADD COLUMN {column} integer"
                dropped = f"ALTER TABLE {table} DROP COLUMN {column}"
                found.append(Delta(day, f"{table}_{column}", (added,), (dropped,), (f"{table}.{column}",)))
    return tuple(found)


def state(deltas: Iterable[Delta]) -> str:
    """Give the digest that a tenant has which got these deltas and nothing else; ``digest`` says of what."""
    return digest([added for delta in deltas for added in delta.adds])


def digest(objects: Sequence[str]) -> str:
    """Give the digest of a catalogue: MD5 of its columns and indexes, sorted, a line each; any server can do that."""
    return md5("\n".join(sorted(objects)).encode(), usedforsecurity=False).hexdigest()


def _table(name: str) -> tuple[str, str]:
    # No primary key: it would bring an index of its own on one engine, and none on another.
    return (
        f"CREATE TABLE {name} (id integer NOT NULL, name varchar(80), created_at timestamp)",
        f"CREATE INDEX {name}_name ON {name} (name)",
    )
