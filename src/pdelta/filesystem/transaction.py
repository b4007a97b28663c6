"""Transactions of the databases beside a tree."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress


@contextmanager
def transaction(connection: sqlite3.Connection, begin: str = "BEGIN IMMEDIATE") -> Iterator[None]:
    """Commit what this block writes; undo it when the block fails, or is stopped at any moment.

    Args:
        connection: In no transaction; the one that it is in stays as it is.
        begin: The statement that begins one.
    """
    is_inner = connection.in_transaction
    try:
        connection.execute(begin)
        yield
        connection.execute("COMMIT")
    except BaseException:
        # Closed meanwhile is undone as well.
        with suppress(sqlite3.ProgrammingError):
            if connection.in_transaction and not is_inner:
                connection.execute("ROLLBACK")
        raise


@contextmanager
def joined_transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Write inside the caller's transaction, or commit one of this block's own; undo that one when the block fails."""
    if connection.in_transaction:
        yield
        return
    with transaction(connection, "BEGIN"):
        yield
