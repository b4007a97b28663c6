"""The fingerprint index of one scanned tree: what was there last time, so that nothing is read twice.

Called by the scan, by the committer (which records the folders that it
touched), and by the check for drift. It is a cache: losing it costs time only,
so a damaged index, or one of another version, is silently begun anew.

One row a folder. Its digest covers names, fingerprints, sub-folders' pages and
hard-link flags at once, so that an unchanged folder is recognised by one
comparison, and its page taken without loading the entries.
"""

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

import msgspec
from blake3 import blake3

from pdelta.errors import FilesystemError
from pdelta.filesystem.fingerprint import FINGERPRINT_BYTES, RACY, Fingerprint
from pdelta.filesystem.transaction import joined_transaction
from pdelta.model import UNDECODABLE
from pdelta.model.names import parent_of
from pdelta.model.snapshot import LINKED, Chunking, Entry, Kind, Selection

VERSION: Final = 1
_SCHEMA: Final = (
    "CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
    (
        "CREATE TABLE IF NOT EXISTS folders (path BLOB PRIMARY KEY, filesystem BLOB NOT NULL, inode INTEGER NOT NULL, "
        "digest BLOB NOT NULL, page BLOB NOT NULL, fields BLOB NOT NULL, totals BLOB NOT NULL, linked BLOB NOT NULL, "
        "rules BLOB NOT NULL) WITHOUT ROWID"
    ),
    # Apart from the rows, so that loading every row does not read every entry.
    "CREATE TABLE IF NOT EXISTS details (path BLOB PRIMARY KEY, digest BLOB NOT NULL, data BLOB NOT NULL)",
    "CREATE INDEX IF NOT EXISTS folders_by_inode ON folders (inode)",
)
_TABLES: Final = ("meta", "folders", "details")
_COLUMNS: Final = "path, filesystem, inode, digest, page, fields, totals, linked, rules"
_SIGNED: Final = 1 << 63


class Totals(msgspec.Struct, frozen=True, array_like=True):
    """What a folder holds directly; ``bytes`` is the length of its files."""

    files: int = 0
    symlinks: int = 0
    bytes: int = 0


class IndexRow(msgspec.Struct, frozen=True):
    """What the index says of one folder.

    Attributes:
        path: Raw path below the tree; ``b""`` is the tree itself.
        filesystem: Id of its file system: a UUID or statfs id, not ``st_dev``.
        inode: The folder's own.
        digest: Of its names (32 bytes), then of what lies below (32 bytes, or none where nothing does); empty when
            something in it must be looked at again.
        page: Id of its root page.
        fields: Which optional fields its entries carry (see ``fields_of``).
        totals: Of the folder itself, without what is in its sub-folders.
        linked: (name, inode, whether it carries the flag) of every name with more than one link.
        rules: Bytes of its ignore file, empty without one.
    """

    path: bytes
    filesystem: bytes
    inode: int
    digest: bytes
    page: bytes
    fields: bytes
    totals: Totals = Totals()
    linked: tuple[tuple[bytes, int, bool], ...] = ()
    rules: bytes = b""


Known = dict[bytes, tuple[bytes, Entry]]
"""Packed fingerprint and entry by name."""


def fields_of(selection: Selection) -> bytes:
    """Give what the optional fields of an entry depend on, in eight bytes; equal fields make entries reusable."""
    told = (selection.owner, selection.xattrs, selection.holes, selection.chmod)
    return blake3(msgspec.msgpack.encode(told)).digest(8)


def names_digest(fields: bytes, names: bytes, fingerprints: bytes) -> bytes:
    """Give the first half of a folder's digest.

    Args:
        fields: As ``fields_of`` gives them.
        names: All names, sorted, joined by slashes.
        fingerprints: Packed, in the same order; none of them ``RACY``.
    """
    return blake3(b"".join((fields, b"%d\n" % len(names), names, fingerprints))).digest()


def below_digest(children: Sequence[bytes], linked: Sequence[bytes]) -> bytes:
    """Give the second half of a folder's digest, empty where there is nothing to tell.

    Args:
        children: Page ids of its directories, in the order of their names.
        linked: Names that carry the hard-link flag, sorted.
    """
    if not children and not linked:
        return b""
    return blake3(b"".join((b"%d\n" % len(children), *children, b"/".join(linked)))).digest()


def digest_items(fields: bytes, items: Sequence[tuple[bytes, Entry]]) -> bytes:
    """Give the digest of a folder from its items, empty when one of them is racy.

    Args:
        fields: As ``fields_of`` gives them.
        items: Packed fingerprint and entry of every name, sorted by name.
    """
    fingerprints = [fingerprint for fingerprint, _ in items]
    if RACY in fingerprints:
        return b""
    names = b"/".join([entry.name for _, entry in items])
    children = [entry.content for _, entry in items if entry.kind == Kind.DIRECTORY]
    linked = [entry.name for _, entry in items if LINKED in entry.extra]
    return names_digest(fields, names, b"".join(fingerprints)) + below_digest(children, linked)


def totals_of(items: Iterable[tuple[bytes, Entry]]) -> Totals:
    """Give the totals of a folder from its items."""
    files = symlinks = length = 0
    for _, entry in items:
        if entry.kind == Kind.FILE:
            files += 1
            length += entry.size
        elif entry.kind == Kind.SYMLINK:
            symlinks += 1
    return Totals(files, symlinks, length)


class Index:
    """Rows and details of one tree, over a given connection.

    The caller owns the connection; rows are written inside its transaction where
    one is open, else in one of their own. A database error while reading empties
    the index instead of failing the scan.

    Args:
        connection: Open for writing.
        preload: Up to how many rows are kept in memory at once.
    """

    def __init__(self, connection: sqlite3.Connection, *, preload: int = 200_000) -> None:
        """Make or renew the tables."""
        self._connection = connection
        self._preload = preload
        self._rows: dict[bytes, IndexRow] | None = None
        self._by_inode: dict[tuple[bytes, int], IndexRow] | None = None
        self._large = False
        try:
            self._prepare()
        except sqlite3.DatabaseError:
            self._renew()

    def prepare(self, chunking: Chunking, selection: Selection) -> bool:
        """Forget everything unless it was cut by these parameters; say whether the selection is that of last time.

        Args:
            chunking: What the coming scan cuts by.
            selection: What the coming scan looks at, without the rules that it finds in the tree.
        """
        self._rows = self._by_inode = None
        self._large = False
        cut, selected = msgspec.msgpack.encode(chunking), msgspec.msgpack.encode(selection)
        if self._meta("chunking") != cut:
            self.clear()
        same = self._meta("selection") == selected
        if not same or self._meta("chunking") != cut:
            self._write("INSERT OR REPLACE INTO meta VALUES (?, ?)", [("chunking", cut), ("selection", selected)])
        return same

    def clear(self) -> None:
        """Forget every folder."""
        for table in ("folders", "details"):
            self._write(f"DELETE FROM {table} WHERE 1 = ?", [(1,)])  # noqa: S608 - a constant
        self._rows = self._by_inode = None

    def close(self) -> None:
        """Close the connection; for who opened it through ``open_index``."""
        self._connection.close()

    def rows(self) -> Iterator[IndexRow]:
        """Give every row, folders before what is below them."""
        yield from self._query("ORDER BY path")

    def load(self, path: bytes) -> IndexRow | None:
        """Give the row of a folder; 2,500 rows of 100,000 files were loaded at once in 0.01 s."""
        rows = self._loaded()
        if rows is not None:
            return rows.get(path)
        return next(iter(self._query("WHERE path = ?", (path,))), None)

    def find_inode(self, filesystem: bytes, inode: int) -> IndexRow | None:
        """Give a row of the folder with this inode, wherever it was: how a moved folder is known again."""
        rows = self._loaded()
        if rows is None:
            found = self._query("WHERE inode = ? AND filesystem = ?", (_signed(inode), filesystem))
            return next(iter(found), None)
        return self._inodes(rows).get((filesystem, inode))

    def below(self, path: bytes) -> list[IndexRow]:
        """Give the rows of a folder and of everything below it."""
        return self._query("WHERE path = ? OR path > ? AND path < ?", _range(path))

    def details(self, path: bytes, digest: bytes | None = None) -> Known:
        """Give fingerprint and entry of every name of a folder; nothing when the folder is not known.

        Args:
            path: Raw path below the tree.
            digest: Of the row that the details must belong to: another folder may have taken the path since.
        """
        try:
            row = self._connection.execute("SELECT digest, data FROM details WHERE path = ?", (path,)).fetchone()
            if row is None or (digest is not None and row[0] != digest):
                return {}
            packed, entries = _DETAILS.decode(row[1])
        except (sqlite3.DatabaseError, *UNDECODABLE):
            return {}
        starts = range(0, len(packed), FINGERPRINT_BYTES)
        return {e.name: (packed[n : n + FINGERPRINT_BYTES], e) for n, e in zip(starts, entries, strict=False)}

    def find(self, path: bytes) -> tuple[Fingerprint, Entry] | None:
        """Give what is recorded of one name; None when nothing is, or when it must be looked at again.

        Args:
            path: Raw path below the tree, not the tree itself.
        """
        parent = parent_of(path)
        known = self.details(parent).get(path[len(parent) + 1 :] if parent else path)
        return None if known is None or known[0] == RACY else (Fingerprint(known[0]), known[1])

    def store(self, rows: Iterable[tuple[IndexRow, Sequence[tuple[bytes, Entry]] | None]]) -> None:
        """Keep rows, each with the items of its folder, sorted by name; None leaves the items as they are.

        Raises:
            FilesystemError: The database cannot be written.
        """
        if self._rows:
            self._inodes(self._rows)  # must know where folders were, not where they are
        folders, details = [], []
        for row, items in rows:
            folders.append(_stored(row))
            if items is not None:
                packed = b"".join([fingerprint for fingerprint, _ in items])
                details.append((row.path, row.digest, _ENCODER.encode((packed, [entry for _, entry in items]))))
            self._remember(row)
        with joined_transaction(self._connection):
            self._write("INSERT OR REPLACE INTO folders VALUES (?,?,?,?,?,?,?,?,?)", folders)
            self._write("INSERT OR REPLACE INTO details VALUES (?,?,?)", details)

    def remove(self, paths: Iterable[bytes]) -> None:
        """Forget folders and everything below them.

        Raises:
            FilesystemError: The database cannot be written.
        """
        ranges = [_range(path) for path in paths]
        if not ranges:
            return
        for table in ("folders", "details"):
            self._write(f"DELETE FROM {table} WHERE path = ? OR path > ? AND path < ?", ranges)  # noqa: S608
        self._rows = self._by_inode = None

    def move(self, old: bytes, new: bytes) -> None:
        """Rename a folder and everything below it; what was recorded at the new place is forgotten.

        Raises:
            FilesystemError: The database cannot be written.
        """
        self.remove([new])
        # A concatenation of blobs is text in SQLite, hence the cast.
        change = "UPDATE {} SET path = CAST(? || substr(path, ?) AS BLOB) WHERE path = ? OR path > ? AND path < ?"
        for table in ("folders", "details"):
            self._write(change.format(table), [(new, len(old) + 1, *_range(old))])

    def forget(self, paths: Iterable[bytes]) -> None:
        """Let these folders be looked at name by name again by the next scan; their fingerprints stay."""
        self._write("UPDATE folders SET digest = x'' WHERE path = ?", [(path,) for path in paths])
        self._rows = self._by_inode = None

    def _loaded(self) -> dict[bytes, IndexRow] | None:
        if self._large:
            return None
        if self._rows is None:
            (count,) = self._connection.execute("SELECT count(*) FROM folders").fetchone()
            self._large = count > self._preload
            if self._large:
                return None
            self._rows = {row.path: row for row in self._query("")}
        return self._rows

    def _inodes(self, rows: dict[bytes, IndexRow]) -> dict[tuple[bytes, int], IndexRow]:
        if self._by_inode is None:
            self._by_inode = {(row.filesystem, row.inode): row for row in rows.values()}
        return self._by_inode

    def _remember(self, row: IndexRow) -> None:
        if self._rows is None:
            return
        self._rows[row.path] = row
        if len(self._rows) > self._preload:
            self._rows = self._by_inode = None
            self._large = True

    def _query(self, clause: str, values: tuple[Any, ...] = ()) -> list[IndexRow]:
        try:
            found = self._connection.execute(f"SELECT {_COLUMNS} FROM folders {clause}", values).fetchall()  # noqa: S608
            return [_row(*columns) for columns in found]
        except (sqlite3.DatabaseError, *UNDECODABLE):
            with suppress(sqlite3.DatabaseError):
                self._renew()
            return []

    def _write(self, statement: str, values: list[Any]) -> None:
        try:
            with joined_transaction(self._connection):
                self._connection.executemany(statement, values)
        except sqlite3.Error as error:
            raise FilesystemError(
                f"the index cannot be written: {error}; the tree is not touched by this",
                hint="look at the free space of the folder that holds it; the index may be deleted at any time",
            ) from error

    def _meta(self, key: str) -> bytes:
        row = self._connection.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return b"" if row is None else row[0] if isinstance(row[0], bytes) else b"?"

    def _prepare(self) -> None:
        with joined_transaction(self._connection):
            for statement in _SCHEMA:
                self._connection.execute(statement)
            version = self._meta("version")
            if version not in {b"", b"%d" % VERSION}:
                self._renew()
            elif not version:
                self._write("INSERT OR REPLACE INTO meta VALUES ('version', ?)", [(b"%d" % VERSION,)])

    def _renew(self) -> None:
        self._rows = self._by_inode = None
        with joined_transaction(self._connection):
            for table in _TABLES:
                self._connection.execute(f"DROP TABLE IF EXISTS {table}")
            for statement in _SCHEMA:
                self._connection.execute(statement)
            self._connection.execute("INSERT OR REPLACE INTO meta VALUES ('version', ?)", (b"%d" % VERSION,))


def open_index(file: bytes, connect: Callable[[str], sqlite3.Connection] | None = None) -> Index:
    """Open the index in a file of its own; a file that is no database is replaced by an empty one.

    Args:
        file: Path of the database; its folder is there.
        connect: Opens it, for a caller with settings of its own; the default does not wait for the disk, since
            losing the index costs time only.

    Raises:
        FilesystemError: The file can be neither opened nor replaced.
    """
    path = os.fsdecode(file)
    connect = connect or _connect
    try:
        try:
            return Index(connect(path))
        except (sqlite3.DatabaseError, FilesystemError):
            for ending in ("", "-wal", "-shm", "-journal"):
                with suppress(FileNotFoundError):
                    os.unlink(path + ending)
            return Index(connect(path))
    except (OSError, sqlite3.Error) as error:
        raise FilesystemError(
            f"the index {path} cannot be opened: {error}; nothing was changed",
            hint="look at the rights and the free space of its folder; the file may be deleted at any time",
        ) from error


def _connect(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, timeout=10)
    connection.execute("PRAGMA synchronous = OFF")
    return connection


_ENCODER: Final = msgspec.msgpack.Encoder()
_DETAILS: Final = msgspec.msgpack.Decoder(tuple[bytes, list[Entry]])
_TOTALS: Final = msgspec.msgpack.Decoder(Totals)
_LINKED: Final = msgspec.msgpack.Decoder(tuple[tuple[bytes, int, bool], ...])


def _stored(row: IndexRow) -> tuple[object, ...]:
    totals = _ENCODER.encode(row.totals)
    linked = _ENCODER.encode(row.linked) if row.linked else b""
    inode = _signed(row.inode)
    return row.path, row.filesystem, inode, row.digest, row.page, row.fields, totals, linked, row.rules


def _row(*columns: Any) -> IndexRow:  # noqa: ANN401 - whatever a damaged table holds
    path, filesystem, inode, digest, page, fields, totals, linked, rules = columns
    return IndexRow(
        path,
        filesystem,
        inode % (2 * _SIGNED),
        digest,
        page,
        fields,
        _TOTALS.decode(totals),
        _LINKED.decode(linked) if linked else (),
        rules,
    )


def _signed(inode: int) -> int:
    return inode if inode < _SIGNED else inode - 2 * _SIGNED


def _range(path: bytes) -> tuple[bytes, bytes, bytes]:
    """Give the path, and the bounds between which everything below it sorts."""
    return path, path + b"/" if path else b"", path + b"0" if path else b"\xff" * 8
