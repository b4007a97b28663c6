"""The ledger in a tenant's file: its two tables, and what is done to their rows.

``docs/formats/sql-ledger.md`` describes them. Every function works on an open connection, and those that write inside
a transaction that the caller holds.
"""

from typing import Final

import msgspec

from pdelta.databases.sqlite.connection import UNCHANGED, SqliteConnection
from pdelta.errors import Cause, DatabaseError, StaleError
from pdelta.sql.ledger import EMPTY_HEAD, Applied, Head, head_of

_COLUMNS: Final = ", ".join(Applied.__struct_fields__)
_COUNTS: Final = frozenset({"step", "steps"})
_DEFINED: Final = ", ".join(
    f"{name} {'INTEGER' if name in _COUNTS else 'TEXT'} NOT NULL" for name in Applied.__struct_fields__
)
_APPLIED: Final = f"CREATE TABLE main.pdelta_applied ({_DEFINED}, PRIMARY KEY (id))"
_HISTORY: Final = (
    "CREATE TABLE main.pdelta_history "
    "(number INTEGER PRIMARY KEY NOT NULL, way TEXT NOT NULL, left_at TEXT NOT NULL, left_run TEXT NOT NULL, "
    f"left_who TEXT NOT NULL, {_DEFINED})"
)
_INSERT: Final = (
    f"INSERT INTO main.pdelta_applied ({_COLUMNS}) VALUES ({', '.join('?' * len(Applied.__struct_fields__))})"
)
# The clock is the database's: an entry of the history is a fact of the tenant, whoever wrote it.
_KEEP: Final = (
    f"INSERT INTO main.pdelta_history (way, left_at, left_run, left_who, {_COLUMNS}) "
    f"SELECT ?, strftime('%Y-%m-%dT%H:%M:%SZ', 'now'), ?, ?, {_COLUMNS} FROM main.pdelta_applied WHERE id = ?"
)
_SELECT: Final = f"SELECT {_COLUMNS} FROM main.pdelta_applied"


def is_there(connection: SqliteConnection) -> bool:
    """Say whether the tenant has a ledger."""
    found = connection.rows("SELECT 1 FROM main.sqlite_master WHERE type = 'table' AND name = 'pdelta_applied'")
    return bool(found)


def make(connection: SqliteConnection) -> None:
    """Make the ledger where there is none."""
    if not is_there(connection):
        connection.run(_APPLIED)
        connection.run(_HISTORY)


def made_head(connection: SqliteConnection) -> Head:
    """Give the head of a ledger, which is made where there is none."""
    # Nearly always it is there, and its head the only question.
    try:
        return head(connection)
    except DatabaseError as error:
        if error.cause is Cause.BUSY or is_there(connection):
            raise
    make(connection)
    return EMPTY_HEAD


def head(connection: SqliteConnection) -> Head:
    """Give the head of a ledger that is there."""
    found = connection.rows("SELECT id, digest, state FROM main.pdelta_applied")
    try:
        return head_of(msgspec.convert(found, list[tuple[str, str, str]]))
    except msgspec.ValidationError as error:
        raise connection.refusal(f"its ledger holds what pdelta never writes: {error}") from error


def managed_head(connection: SqliteConnection) -> tuple[bool, Head]:
    """Give whether the tenant has a ledger, and its head."""
    return (True, head(connection)) if is_there(connection) else (False, EMPTY_HEAD)


def rows(connection: SqliteConnection, delta: str = "") -> list[Applied]:
    """Give all rows, sorted by id, or that of one delta; none where there is no ledger."""
    try:
        if delta:
            found = connection.rows(f"{_SELECT} WHERE id = ?", (delta,))
        else:
            found = connection.rows(f"{_SELECT} ORDER BY id")
    except DatabaseError as error:
        # One that is locked is not waited for twice.
        if error.cause is Cause.BUSY or is_there(connection):
            raise
        return []
    return _read(connection, found)


def row(connection: SqliteConnection, id: str) -> Applied | None:
    """Give the row of a delta, or None."""
    found = _read(connection, connection.rows(f"{_SELECT} WHERE id = ?", (id,)))
    return found[0] if found else None


def add(connection: SqliteConnection, applied: Applied) -> None:
    """Write a row that is not there."""
    connection.run(_INSERT, msgspec.structs.astuple(applied))


def remove(connection: SqliteConnection, id: str) -> None:
    """Remove the row of a delta."""
    connection.run("DELETE FROM main.pdelta_applied WHERE id = ?", (id,))


def keep(connection: SqliteConnection, id: str, way: str, *, run: str = "", who: str = "") -> None:
    """Copy the row of a delta, which is about to go, into the history.

    Args:
        connection: Where.
        id: The delta; it has a row.
        way: Which way the delta goes, that the row ends; or ``FORGOTTEN``.
        run: The run in which that happens.
        who: Who asked for it.
    """
    connection.run(_KEEP, (way, run, who, id))


def expect(connection: SqliteConnection, id: str, former: Applied | None) -> None:
    """Compare the row of this id with what it should be; None for that there should be none.

    Raises:
        StaleError: It is another.
    """
    if row(connection, id) != former:
        raise stale(connection, f"the ledger's row of {id} is not the one that was read")


def stale(connection: SqliteConnection, what: str) -> StaleError:
    """Give the error that says that somebody else was quicker."""
    return StaleError(f"{connection.tenant}: {what}; {UNCHANGED}", hint="look again, then calculate again")


def prepend_reverse(connection: SqliteConnection, id: str, expression: str) -> None:
    """Put the value of an expression before the reverse of a row."""
    connection.run(
        f"UPDATE main.pdelta_applied SET reverse = ({expression}\n) || reverse WHERE id = ?",
        (id,),
    )


def _read(connection: SqliteConnection, found: list[tuple[object, ...]]) -> list[Applied]:
    try:
        return [msgspec.convert(dict(zip(Applied.__struct_fields__, one, strict=True)), Applied) for one in found]
    except msgspec.ValidationError as error:
        raise connection.refusal(f"its ledger holds what pdelta never writes: {error}") from error
