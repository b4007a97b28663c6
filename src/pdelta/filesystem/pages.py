"""Pages kept in SQLite: the ledger of a destination, the cache of a source.

The connection belongs to the caller. Pages are written inside the caller's
transaction where one is open, else in one of their own. A page is stored as its canonical bytes, or as a
zstd frame of them where that saves space; the two are told apart by their first
byte. What is read is checked against its id.
"""

import sqlite3
from collections.abc import Collection, Iterable, Iterator
from itertools import islice
from typing import Any, Final

from blake3 import blake3

from pdelta.errors import FilesystemError, IntegrityError
from pdelta.filesystem.transaction import joined_transaction
from pdelta.filesystem.zstd import ZstdCompressor, ZstdError, decompress, get_frame_info

_CREATE: Final = "CREATE TABLE IF NOT EXISTS pages (id BLOB PRIMARY KEY, data BLOB NOT NULL) WITHOUT ROWID"
_BATCH: Final = 500  # below SQLite's oldest limit of 999 variables a statement
_MARKS: Final = ",".join("?" * _BATCH)
_FRAME: Final = 0x28  # first byte of a zstd frame; a page is a msgpack array of three and begins with 0x93
_LIMIT_BYTES: Final = 1 << 20  # four times the largest page: what a damaged frame may ask for
_WORTH_BYTES: Final = 256  # smaller pages are mostly ids, which do not compress
_LEVEL: Final = 1  # level 3 saved 2 % more at half the speed on pages of a source tree


class SqlitePages:
    """A page store over one table of a given connection.

    Args:
        connection: Open for writing; the table is made if it is not there.

    Raises:
        FilesystemError: The database cannot be used.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Make the table if it is not there."""
        self._connection = connection
        self._compressor = ZstdCompressor(level=_LEVEL)
        try:
            connection.execute(_CREATE)
        except sqlite3.Error as error:
            raise _unusable(error) from error

    def read_pages(self, ids: Iterable[bytes]) -> dict[bytes, bytes]:
        """Give the canonical bytes of each page by its id.

        Raises:
            IntegrityError: A page is missing or damaged; the message names it.
            FilesystemError: The database cannot be read.
        """
        found: dict[bytes, bytes] = {}
        for batch in _batches(ids):
            rows: dict[bytes, bytes] = dict(self._select("id, data", batch))
            for id in batch:
                stored = rows.get(id)
                if stored is None:
                    raise IntegrityError(f"page {id.hex()} is missing; nothing was changed", hint=_HINT)
                found[id] = _restored(id, stored)
        return found

    def write_pages(self, pages: Iterable[tuple[bytes, bytes]]) -> None:
        """Keep (id, canonical bytes) pairs; a page that is there already is left alone.

        Raises:
            FilesystemError: The database cannot be written.
        """
        rows = ((id, self._packed(data)) for id, data in pages)
        try:
            with joined_transaction(self._connection):
                self._connection.executemany("INSERT OR IGNORE INTO pages VALUES (?, ?)", rows)
        except sqlite3.Error as error:
            raise _unusable(error) from error

    def missing_pages(self, ids: Iterable[bytes]) -> list[bytes]:
        """Say which of these ids are not here, in the order given.

        Raises:
            FilesystemError: The database cannot be read.
        """
        missing: list[bytes] = []
        for batch in _batches(ids):
            here = {id for (id,) in self._select("id", batch)}
            missing.extend(id for id in batch if id not in here)
        return missing

    def keep_only(self, ids: Collection[bytes]) -> int:
        """Remove every page that is not among these; give how many were removed.

        Raises:
            FilesystemError: The database cannot be written.
        """
        try:
            known = [row[0] for row in self._connection.execute("SELECT id FROM pages")]
            doomed = [(id,) for id in known if id not in ids]
            self._connection.executemany("DELETE FROM pages WHERE id = ?", doomed)
        except sqlite3.Error as error:
            raise _unusable(error) from error
        return len(doomed)

    def _select(self, columns: str, batch: list[bytes]) -> list[Any]:
        marks = _MARKS if len(batch) == _BATCH else ",".join("?" * len(batch))
        try:
            return self._connection.execute(
                f"SELECT {columns} FROM pages WHERE id IN ({marks})",  # noqa: S608 - constants and marks
                batch,
            ).fetchall()
        except sqlite3.Error as error:
            raise _unusable(error) from error

    def _packed(self, data: bytes) -> bytes:
        if len(data) < _WORTH_BYTES:
            return data
        frame = self._compressor.compress(data, ZstdCompressor.FLUSH_FRAME)
        return frame if len(frame) < len(data) - len(data) // 16 else data


_HINT: Final = "'pdelta doctor' says what is damaged; a push from the source brings the page again"


def _batches(ids: Iterable[bytes]) -> Iterator[list[bytes]]:
    stream = iter(ids)
    while batch := list(islice(stream, _BATCH)):
        yield batch


def _restored(id: bytes, stored: bytes) -> bytes:
    data = stored
    try:
        if stored[:1] == bytes((_FRAME,)):
            size = get_frame_info(stored).decompressed_size or 0  # None where the frame does not say
            data = decompress(stored) if 0 < size <= _LIMIT_BYTES else b""
    except ZstdError:
        data = b""
    if blake3(data).digest() != id:
        raise IntegrityError(f"page {id.hex()} is damaged; nothing was changed", hint=_HINT)
    return data


def _unusable(error: sqlite3.Error) -> FilesystemError:
    return FilesystemError(
        f"the database of pages cannot be used: {error}; what was committed before is unchanged",
        hint="look at the free space and at the rights of the folder that holds it",
    )
