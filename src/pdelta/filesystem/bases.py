"""Contents that were pushed before, kept by the sender so that the next push can be a patch against them.

A cache: losing it, or any part of it, costs bytes on the wire and never correctness, so nothing is synced and whoever
applies a patch proves the result by chunk ids. Small contents lie one after the other in a pack of their push, large
ones in files of their own, which share blocks with the source where the file system can.
"""

import os
import sqlite3
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

from blake3 import blake3

from pdelta.filesystem.copy import copy_range
from pdelta.filesystem.patching import read_range
from pdelta.filesystem.transaction import transaction

LARGE_BYTES: Final = 1 << 20
"""A content of at least this length is a file of its own."""

PACK_BYTES: Final = 64 << 20
"""A pack is closed beyond this; eviction is by pack."""

ORPHAN_S: Final = 24 * 3600
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS packs (number INTEGER PRIMARY KEY AUTOINCREMENT, bytes INTEGER, used REAL) STRICT;
CREATE TABLE IF NOT EXISTS contents (id BLOB PRIMARY KEY, pack INTEGER, start INTEGER, bytes INTEGER)
 STRICT, WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS contents_pack ON contents (pack);
CREATE TABLE IF NOT EXISTS snapshots (id BLOB PRIMARY KEY, used REAL) STRICT, WITHOUT ROWID;
"""
_SNAPSHOTS: Final = 200


class BaseCache:
    """One cache folder; several processes may use it at once.

    Args:
        folder: Made when something is first kept.
        limit_bytes: Budget.
        clock: Gives seconds since the epoch.
    """

    def __init__(self, folder: Path, limit_bytes: int, clock: Callable[[], float]) -> None:
        """Open nothing yet."""
        self._folder = folder
        self._limit = limit_bytes
        self._clock = clock
        self._connection: sqlite3.Connection | None = None
        self._pack: tuple[int, int] | None = None

    def close(self) -> None:
        """Close what is open."""
        if self._pack is not None:
            os.close(self._pack[1])
            self._pack = None
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def knows(self, snapshots: Iterable[bytes]) -> bool:
        """Whether the contents of one of these snapshots were kept; some may be gone by now."""
        with suppress(sqlite3.Error, OSError):
            connection = self._open()
            if connection is not None:
                query = "SELECT 1 FROM snapshots WHERE id = ?"
                return any(connection.execute(query, (id,)).fetchone() for id in snapshots)
        return False

    def read(self, content: bytes, offset: int, length: int) -> bytes | None:
        """Give a range of a content, or None when it is not there any more."""
        try:
            connection = self._open()
            if connection is None:
                return None
            query = "SELECT pack, start, bytes FROM contents WHERE id = ?"
            found = connection.execute(query, (_key(content),)).fetchone()
            if found is None:
                return None
            pack, start, size = found
            if offset < 0 or length < 0 or offset + length > size:
                return None
            if self._pack is None or self._pack[0] != pack:
                if self._pack is not None:
                    os.close(self._pack[1])
                    self._pack = None
                self._pack = (pack, os.open(self._file(pack), os.O_RDONLY | os.O_CLOEXEC))
            data = read_range(self._pack[1], start + offset, length)
        except (sqlite3.Error, OSError):
            return None
        return data if len(data) == length else None

    def keep(
        self, snapshot: bytes, files: Iterable[tuple[bytes, bytes, int]], open_file: Callable[[bytes], int]
    ) -> int:
        """Keep the contents of a snapshot that are not there yet, as far as the budget goes.

        Args:
            snapshot: Its id.
            files: (path, content, size) of its files.
            open_file: Gives a descriptor of a path, which is closed here.

        Returns:
            Bytes that were copied; 0 also where the cache can't be written.
        """
        try:
            self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            connection = self._open()
            if connection is None:
                return 0
            with transaction(connection):
                copied = self._keep(connection, files, open_file)
                now = self._clock()
                connection.execute("INSERT OR REPLACE INTO snapshots VALUES (?, ?)", (snapshot, now))
                query = "DELETE FROM snapshots WHERE id NOT IN (SELECT id FROM snapshots ORDER BY used DESC LIMIT ?)"
                connection.execute(query, (_SNAPSHOTS,))
                gone = self._evict(connection)
            for number in gone:
                self._file(number).unlink(missing_ok=True)
        except (sqlite3.Error, OSError):
            return 0
        return copied

    # -- parts --------------------------------------------------------------------------------------------------

    def _keep(
        self,
        connection: sqlite3.Connection,
        files: Iterable[tuple[bytes, bytes, int]],
        open_file: Callable[[bytes], int],
    ) -> int:
        known = dict(connection.execute("SELECT id, pack FROM contents"))
        used: set[int] = set()
        writer = _Writer(connection, self._file, self._clock())
        try:
            for path, content, size in files:
                key = _key(content)
                if key in known:
                    used.add(known[key])
                elif 0 < size <= self._limit - writer.copied:
                    fd = open_file(path)
                    try:
                        known[key] = writer.add(key, fd, size)
                    finally:
                        os.close(fd)
        finally:
            writer.close()
        now = self._clock()
        connection.executemany("UPDATE packs SET used = ? WHERE number = ?", [(now, number) for number in used])
        return writer.copied

    def _evict(self, connection: sqlite3.Connection) -> list[int]:
        """Forget the packs that were not used for the longest time; give their numbers, and those of orphans."""
        (total,) = connection.execute("SELECT coalesce(sum(bytes), 0) FROM packs").fetchone()
        gone: list[int] = []
        for number, size in connection.execute("SELECT number, bytes FROM packs ORDER BY used, number").fetchall():
            if total <= self._limit:
                break
            total -= size
            gone.append(number)
            connection.execute("DELETE FROM contents WHERE pack = ?", (number,))
            connection.execute("DELETE FROM packs WHERE number = ?", (number,))
        listed = {number for (number,) in connection.execute("SELECT number FROM packs")}
        for file in self._folder.glob("*.pack"):
            with suppress(ValueError, OSError):
                if int(file.stem) not in listed and file.stat().st_mtime < self._clock() - ORPHAN_S:
                    gone.append(int(file.stem))
        return gone

    def _file(self, number: int) -> Path:
        return self._folder / f"{number}.pack"

    def _open(self) -> sqlite3.Connection | None:
        if self._connection is None and self._folder.is_dir():
            connection = sqlite3.connect(
                self._folder / "bases.sqlite", isolation_level=None, check_same_thread=False, timeout=10
            )
            try:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=OFF")
                connection.executescript(_SCHEMA)
            except sqlite3.DatabaseError:
                connection.close()
                raise
            self._connection = connection
        return self._connection


class _Writer:
    """Adds contents to packs of one push."""

    def __init__(self, connection: sqlite3.Connection, place: Callable[[int], Path], now: float) -> None:
        self._connection = connection
        self._place = place
        self._now = now
        self._fd = -1
        self._number = self._length = 0
        self.copied = 0

    def add(self, key: bytes, source: int, size: int) -> int:
        """Copy a whole file; give the number of its pack."""
        own = size >= LARGE_BYTES
        if own or self._fd < 0 or self._length > PACK_BYTES:
            self.close()
            self._begin()
        start = self._length
        copied = copy_range(source, 0, self._fd, start, size)
        self._length += size
        number = self._number
        if copied == size:
            row = (key, number, start, size)
            self._connection.execute("INSERT OR REPLACE INTO contents VALUES (?, ?, ?, ?)", row)
        self.copied += size
        if own:
            self.close()
        return number

    def close(self) -> None:
        """End the pack."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            self._connection.execute("UPDATE packs SET bytes = ? WHERE number = ?", (self._length, self._number))

    def _begin(self) -> None:
        cursor = self._connection.execute("INSERT INTO packs (bytes, used) VALUES (0, ?)", (self._now,))
        self._number = int(cursor.lastrowid or 0)
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC
        self._fd = os.open(self._place(self._number), flags, 0o600)
        self._length = 0


def _key(content: bytes) -> bytes:
    return blake3(content).digest(16)
