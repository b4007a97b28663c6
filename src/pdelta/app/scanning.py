"""The source of a push: scanned with what the cache remembers, and ready to be read by the other end."""

import errno
import fcntl
import os
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import msgspec
from blake3 import blake3

from pdelta.app.context import Context
from pdelta.app.options import SourceOptions
from pdelta.app.outcome import SPECIAL
from pdelta.app.source import LocalSource
from pdelta.errors import FilesystemError, PreflightError, UsageError
from pdelta.filesystem.failure import hint_for
from pdelta.filesystem.index import Index, open_index
from pdelta.filesystem.pages import SqlitePages
from pdelta.filesystem.safe import Directory
from pdelta.filesystem.scan import RACY_NS, Problem, Scan, ScanOptions, scan
from pdelta.formats.page import encode_root
from pdelta.model.snapshot import Chunking

SHOWN_LENGTH: Final = 100
"""How much of a path that is too long a message repeats."""

CACHE_LIMIT_BYTES: Final = 1 << 30
"""A cache that has grown beyond this is begun anew: a million files take about 200 MB of it."""


class ScannedSource:
    """A folder, its cache, and what the last scan of it found.

    Args:
        options: What to look at.
        context: The command's surroundings.

    Attributes:
        path: Real path of the folder.
        result: What the last scan found.

    Raises:
        UsageError: There is no such folder.
        PreflightError: This user may not read it.
        FilesystemError: It can't be opened.
    """

    result: Scan

    def __init__(self, options: SourceOptions, context: Context) -> None:
        """Open the folder; nothing is scanned yet."""
        self.options = options
        self.path = os.path.realpath(os.fsencode(options.path))
        self._context = context
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._index: Index | None = None
        self._pages: SqlitePages | None = None
        self._cached = Path()
        self._readers: list[LocalSource] = []
        self._root = _open_folder(self.path, options.path)

    def scan(self, chunking: Chunking) -> LocalSource:
        """Look at the folder, and give it as the other end will read it.

        Args:
            chunking: How contents are cut.

        Raises:
            FilesystemError: The folder can't be listed, or the cache can't be written.
            PreflightError: Something can't be read, and the options say to stop.
        """
        folder = self._cache_folder(chunking)
        with _exclusive(folder):
            index, pages = self._open_cache(folder)
            now_ns, racy_ns = self._probe(folder)
            options = ScanOptions(
                now_ns=now_ns,
                racy_ns=racy_ns,
                chunking=chunking,
                selection=self.options.selection,
                checksum=self.options.checksum,
                changed=None if self.options.changes is None else frozenset(self.options.changes),
                jobs=os.cpu_count() or 1,
            )
            self.result = scan(self._root, options, pages, index, self._context.observer)
        if self.options.stop_on_error and self.errors:
            findings = tuple(
                f"{problem.kind}: {os.fsdecode(problem.path)}: {problem.message}" for problem in self.errors
            )
            raise PreflightError(
                "the source can't be read completely; nothing was changed",
                findings=findings,
                hint="mend what is listed, leave it out with --ignore, or push the rest with --on-error continue",
            )
        snapshot, record = encode_root(self.result.root)
        reader = LocalSource(self._root, index, pages, self._lock, record=(snapshot, record))
        self._readers.append(reader)
        return reader

    @property
    def errors(self) -> tuple[Problem, ...]:
        """What could not be read; deletions at and below these paths are suspended."""
        return tuple(problem for problem in self.result.problems if problem.kind != SPECIAL)

    @property
    def sent_bytes(self) -> int:
        """How many bytes of files were read for the other end."""
        return sum(reader.read_bytes for reader in self._readers)

    @property
    def device(self) -> str:
        """The file system that the folder is on, in a form that survives a reboot."""
        row = None if self._index is None else self._index.load(b"")
        return "" if row is None else row.filesystem.hex()

    @property
    def empty(self) -> bool:
        """Whether there is nothing in it that could be pushed."""
        return not (self.result.files or self.result.symlinks or self.result.directories > 1)

    def close(self) -> None:
        """Close folder and cache."""
        if self._connection is not None:
            self._connection.close()
        for reader in self._readers:
            reader.close()
        self._root.close()

    def _cache_folder(self, chunking: Chunking) -> Path:
        told = msgspec.msgpack.encode((self.path, self.options.selection, chunking))
        return self._context.cache / "trees" / blake3(told).hexdigest(16)

    def _open_cache(self, folder: Path) -> tuple[Index, SqlitePages]:
        if self._index is not None and self._pages is not None and folder == self._cached:
            return self._index, self._pages
        if self._connection is not None:
            self._connection.close()
        file = folder / "index.sqlite"
        with suppress(FileNotFoundError):
            if file.stat().st_size > CACHE_LIMIT_BYTES:
                file.unlink()
        self._index = open_index(os.fsencode(file), self._open_database)
        assert self._connection is not None, "open_index connects"  # noqa: S101
        self._pages = SqlitePages(self._connection)
        self._cached = folder
        return self._index, self._pages

    def _open_database(self, file: str) -> sqlite3.Connection:
        # Read by the thread that serves the other end, under the lock. What is lost with the power is only time.
        connection = sqlite3.connect(file, isolation_level=None, check_same_thread=False, timeout=60)
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("PRAGMA journal_mode=WAL")
        self._connection = connection
        return connection

    def _probe(self, folder: Path) -> tuple[int, int]:
        """Give the file system's own idea of now, where the cache shares it; else the clock and a wide margin."""
        with suppress(OSError):
            descriptor = os.open(folder, os.O_TMPFILE | os.O_WRONLY, 0o600)
            try:
                status = os.fstat(descriptor)
            finally:
                os.close(descriptor)
            if status.st_dev == self._root.device:
                return status.st_ctime_ns, 0
        return self._context.clock(), RACY_NS


def _open_folder(path: bytes, typed: str) -> Directory:
    try:
        return Directory.open_root(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        what = "is no folder" if isinstance(error, NotADirectoryError) else "does not exist"
        raise UsageError(f"the source {typed!r} {what}", hint="SRC is a folder; its contents are pushed") from error
    except OSError as error:
        shown = typed if len(typed) <= SHOWN_LENGTH else f"{typed[:SHOWN_LENGTH]}..."
        text = f"the source {shown!r} can't be opened: {error.strerror}; nothing was changed"
        if error.errno in {errno.ENAMETOOLONG, errno.ELOOP}:
            raise UsageError(text) from error
        if isinstance(error, PermissionError):
            raise PreflightError(text, hint=hint_for(error)) from error
        raise FilesystemError(text) from error


@contextmanager
def _exclusive(folder: Path) -> Iterator[None]:
    """Let one process at a time renew a cache; the kernel ends the claim with the process."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise FilesystemError(
            f"the cache {str(folder)!r} can't be written: {error.strerror}; nothing was changed",
            hint="name another folder in XDG_CACHE_HOME",
        ) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
