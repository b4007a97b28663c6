"""Digests of the rows of a file's tables, read one by one: SQLite can hash nothing itself."""

from collections.abc import Iterator
from hashlib import blake2b
from typing import Final

from pdelta.databases.catalogue.ours import is_ours
from pdelta.databases.rows import Rows, RowsAsked, RowsHeld
from pdelta.databases.sqlite.connection import SqliteConnection

_TABLES: Final = (
    "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'virtual')"
    " AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
)
_SIZE: Final = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"
_HASH_BYTES: Final = 16
_ALL: Final = 1 << 8 * _HASH_BYTES


def rows_held(connection: SqliteConnection, asked: RowsAsked) -> RowsHeld:
    """Give the rows of the tables; how large one is SQLite does not say, so that the file's size counts for each.

    Raises:
        DatabaseError: A table can't be read.
    """
    ((size,),) = connection.rows(_SIZE)
    tables = [table for (table,) in connection.rows(_TABLES) if not is_ours(table, parked=False)]
    return {
        table: _rows(connection, table, listed=table in asked.listed) if asked.reads(table, size) else None
        for table in tables
    }


def _rows(connection: SqliteConnection, table: str, *, listed: bool) -> Rows:
    count = total = 0
    hashes: list[str] = []
    for count, value in enumerate(_hashes(connection, table), 1):  # noqa: B007 - the last one is how many there are
        total = (total + value) % _ALL
        if listed:
            hashes.append(f"{value:x}")
    return Rows(count, f"{total:x}", tuple(hashes))


def _hashes(connection: SqliteConnection, table: str) -> Iterator[int]:
    quoted = table.replace('"', '""')
    for row in connection.each(f'SELECT * FROM "{quoted}"'):
        written = repr(row).encode(errors="surrogateescape")
        yield int.from_bytes(blake2b(written, digest_size=_HASH_BYTES).digest(), "big")
