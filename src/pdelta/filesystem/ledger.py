"""The ledger of a tree: its history, the pages of its snapshots, and the list of its undo data.

One SQLite database in ``DEST/.pdelta``; the fingerprint index of the tree is
in it too, so that an entry and the fingerprints it left behind become durable
together. Written last, after the data. Called by ``operations.tree``; knows
nothing of files outside the state folder. Tables: ``docs/formats/ledger.md``.
"""

import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Final, Self

import msgspec

from pdelta.errors import FilesystemError, FormatError, IntegrityError
from pdelta.filesystem.index import Index
from pdelta.filesystem.pages import SqlitePages
from pdelta.filesystem.transaction import transaction
from pdelta.formats.history import HistoryEntry, UndoState, decode_history_entry, encode_history_entry
from pdelta.model.snapshot import Entry

VERSION: Final = 2
_WITHOUT_RANGES: Final = 1
"""The version whose list of undo data has no ranges: everything in it is kept whole."""

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS entries (number INTEGER PRIMARY KEY, data BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS kept (
    number INTEGER NOT NULL, slot BLOB NOT NULL, path BLOB NOT NULL, entry BLOB NOT NULL, ranges BLOB NOT NULL,
    PRIMARY KEY (slot)
) WITHOUT ROWID;
"""
_ADD_RANGES: Final = "ALTER TABLE kept ADD COLUMN ranges BLOB NOT NULL DEFAULT x'90'"
"""An empty array."""


class Kept(msgspec.Struct, frozen=True):
    """One displaced inode in undo data, or what a patch displaced of one.

    Attributes:
        number: Ledger entry that displaced it.
        slot: Where it is, as a path below the tree.
        path: Where it was.
        entry: What it was.
        ranges: The (offset, length) ranges of it that are there, at their own offsets, one of no length for none;
            empty for all of it.
    """

    number: int
    slot: bytes
    path: bytes
    entry: Entry
    ranges: tuple[tuple[int, int], ...] = ()


class Ledger:
    """An open ledger; close it, or use it as a context.

    Args:
        path: The database file.
        create: Whether to make it; otherwise a missing file is an error.
        durable: Whether a transaction is on disk when it ends.

    Raises:
        FilesystemError: The file cannot be opened.
        FormatError: A newer pdelta wrote it.
        IntegrityError: It is no database, or a damaged one.
    """

    def __init__(self, path: bytes, *, create: bool, durable: bool = True) -> None:
        """Open or make the database."""
        uri = "file:" + _quote(path) + ("?mode=rwc" if create else "?mode=rw")
        try:
            self._connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=10, cached_statements=64)
        except sqlite3.Error as error:
            raise self._translated(error) from error
        try:
            with self._translating():
                self._bring_up(durable)
        except BaseException:
            # A traceback would keep it, and a transaction that was stopped in here would keep out this process itself.
            self._connection.close()
            raise

    def _bring_up(self, durable: bool) -> None:  # noqa: FBT001 - the caller's own word
        """Make the tables, or bring those of an older version up to this one."""
        connection = self._connection
        connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'OFF'}")
        # Ends a transaction by a synced write; the default would remove a file and leave that to the next sync.
        connection.execute("PRAGMA journal_mode=TRUNCATE")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:  # new, or one whose making was cut off
            with transaction(connection):
                for statement in _SCHEMA.split(";"):
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version={VERSION}")
                self._open_parts()
            return
        if version == _WITHOUT_RANGES:
            with transaction(connection):
                # Another process may have been here first.
                if connection.execute("PRAGMA user_version").fetchone()[0] == _WITHOUT_RANGES:
                    connection.execute(_ADD_RANGES)
                    connection.execute(f"PRAGMA user_version={VERSION}")
            version = VERSION
        if version != VERSION:
            text = f"the ledger of this tree has version {version}; this pdelta reads versions 1 to {VERSION}"
            raise FormatError(text, hint="use the pdelta that wrote it, or a newer one")
        self._open_parts()

    def _open_parts(self) -> None:
        self.pages = SqlitePages(self._connection)
        self.index = Index(self._connection)

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """Close the database; safe to call twice."""
        self._connection.close()

    def set_durable(self, durable: bool) -> None:  # noqa: FBT001 - the word says it
        """Say whether transactions are on disk when they end, from now on."""
        with self._translating():
            self._connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'OFF'}")

    def stamp(self) -> int:
        """Give a number that is another one as soon as anybody else wrote to the database."""
        with self._translating():
            found: int = self._connection.execute("PRAGMA data_version").fetchone()[0]
        return found

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Make everything written inside durable at once, or not at all."""
        with self._translating(), transaction(self._connection):
            yield

    def newest(self) -> HistoryEntry | None:
        """Give the newest entry, or None where nothing has happened yet."""
        with self._translating():
            row = self._connection.execute("SELECT data FROM entries ORDER BY number DESC LIMIT 1").fetchone()
        return None if row is None else decode_history_entry(row[0])

    def entries(self) -> list[HistoryEntry]:
        """Give the whole history, oldest first."""
        with self._translating():
            rows = self._connection.execute("SELECT data FROM entries ORDER BY number").fetchall()
        return [decode_history_entry(row[0]) for row in rows]

    def entry(self, number: int) -> HistoryEntry | None:
        """Give one entry, or None where there is none of that number."""
        with self._translating():
            row = self._connection.execute("SELECT data FROM entries WHERE number=?", (number,)).fetchone()
        return None if row is None else decode_history_entry(row[0])

    def write_entry(self, entry: HistoryEntry) -> None:
        """Add an entry, or replace the one of the same number; inside ``transaction``."""
        self._connection.execute(
            "INSERT OR REPLACE INTO entries VALUES (?, ?)", (entry.number, encode_history_entry(entry))
        )

    def write_kept(self, kept: Iterable[Kept]) -> None:
        """Add undo data to the list; inside ``transaction``."""
        encode = msgspec.msgpack.encode
        self._connection.executemany(
            "INSERT OR REPLACE INTO kept VALUES (?, ?, ?, ?, ?)",
            ((item.number, item.slot, item.path, encode(item.entry), encode(item.ranges)) for item in kept),
        )

    def kept(self, number: int | None = None) -> Iterator[Kept]:
        """Give the undo data of one entry, or of all, newest first."""
        decode = msgspec.msgpack.Decoder(Entry).decode
        decode_ranges = msgspec.msgpack.Decoder(tuple[tuple[int, int], ...]).decode
        query = "SELECT number, slot, path, entry, ranges FROM kept"
        with self._translating():
            if number is None:
                rows = self._connection.execute(query + " ORDER BY number DESC, slot")
            else:
                rows = self._connection.execute(query + " WHERE number=? ORDER BY slot", (number,))
            for found, slot, path, data, ranges in rows:
                yield Kept(found, slot, path, decode(data), decode_ranges(ranges))

    def forget_slots(self, slots: Iterable[bytes]) -> None:
        """Take slots off the list because their inodes are back in the tree; inside ``transaction``."""
        self._connection.executemany("DELETE FROM kept WHERE slot=?", ((slot,) for slot in slots))

    def forget_undo(self, entry: HistoryEntry) -> None:
        """Record that the undo data of an entry was collected; inside ``transaction``."""
        self._connection.execute("DELETE FROM kept WHERE number=?", (entry.number,))
        if entry.undo == UndoState.KEPT:
            self.write_entry(msgspec.structs.replace(entry, undo=UndoState.COLLECTED, undo_bytes=0))

    @contextmanager
    def _translating(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise self._translated(error) from error

    def _translated(self, error: sqlite3.Error) -> Exception:
        if isinstance(error, sqlite3.OperationalError):
            text = f"the ledger of this tree could not be used: {error}; the tree is as it was"
            return FilesystemError(text, hint="check free space, rights and the disk, then run the command again")
        text = f"the ledger of this tree is damaged: {error}"
        return IntegrityError(text, hint="the tree itself is untouched; restore the .pdelta folder from a backup")


def _quote(path: bytes) -> str:
    """Give a path as the part of a SQLite URI, byte for byte."""
    safe = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-"
    return "".join(chr(byte) if byte in safe else f"%{byte:02X}" for byte in path)
