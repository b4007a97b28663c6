"""One SQLite transaction around a batch of writes, unless the caller has one open already."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def joined_transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Write inside the caller's transaction, or commit one of this block's own; undo that one when the block fails."""
    if connection.in_transaction:
        yield
        return
    connection.execute("BEGIN")
    try:
        yield
    except BaseException:
        connection.execute("ROLLBACK")
        raise
    connection.execute("COMMIT")
