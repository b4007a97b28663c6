"""The files of one section: where each is, what can be said of it without SQLite, and which are open in this process.

A file's state is told by its inode, length, times and change counter together. SQLite raises the counter (bytes 24 to
27 of the file) with every commit that goes through a rollback journal. It is read although the times of the inode
would nearly always do, for three reasons: two commits within one tick of the kernel's clock (4 ms on common
kernels, 2 s on some file systems) leave equal times; the counter of after our own commit must be the one of before
plus one, which proves that nobody else wrote between the commit and the look at the times; and it is cheap (measured:
2.4 ms for 1,000 files, against 1.2 ms for the times alone and 57 ms for opening them with SQLite). With a write-ahead
log a commit need not move it, so nothing is said about those files, which are read through SQLite each time.

Closing any descriptor of a file drops the locks that the process holds on it through SQLite. So no file is looked at
while this module has a connection to it; connections that other code of the process holds it cannot know.
"""

import errno
import os
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, NamedTuple

from pdelta.errors import Cause, DatabaseError

COMPANIONS: Final = ("-journal", "-wal")
"""Beside a file these say that it may not be the whole truth."""

_MAGIC: Final = b"SQLite format 3\0"
_HEADER_BYTES: Final = 28
_ROLLBACK_JOURNAL: Final = b"\1\1"
_FLAGS: Final = os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK


class Facts(NamedTuple):
    """What a file's state is told by; equal facts are an equal state.

    Attributes:
        inode: Its number.
        size: Length in bytes.
        mtime_ns: When its content was changed.
        ctime_ns: When anything about it was changed; no program can set it back.
        counter: The change counter; 0 for an empty file.
    """

    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int
    counter: int


class Files:
    """The files below one folder.

    Args:
        folder: Where the names of tenants begin; absolute.
    """

    def __init__(self, folder: str) -> None:
        """Open nothing."""
        self.folder = folder
        self._open: dict[tuple[int, int], int] = {}
        self._guard = threading.Lock()

    def path(self, name: str) -> str:
        """Give where a tenant's file is."""
        # As os.path.join, of which the simple case here takes a fifth.
        return f"{self.folder}/{name}" if name and name[0] != "/" else os.path.join(self.folder, name)

    def facts(self, path: str) -> Facts | None:
        """Give the facts of a file, or None where they prove nothing.

        That is: it is open in this process, has a log or a second name, is a link or no database.

        Raises:
            OSError: It is gone, or can't be read.
        """
        with self._guard:
            if self._open and _identity(os.stat(path)) in self._open:
                return None
            try:
                descriptor = os.open(path, _FLAGS)
            except OSError:
                if os.path.islink(path):
                    return None
                raise
            try:
                status = os.fstat(descriptor)
                if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1:
                    return None
                header = os.pread(descriptor, _HEADER_BYTES, 0)
            finally:
                os.close(descriptor)
        if header and not (header.startswith(_MAGIC) and header[18:20] == _ROLLBACK_JOURNAL):
            return None
        counter = int.from_bytes(header[24:28])
        return Facts(status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns, counter)

    @contextmanager
    def kept_open(self, name: str, *, to_write: bool) -> Iterator[str]:
        """Give the path of a tenant's file, no link's, to who opens it with SQLite and closes it again inside.

        Raises:
            DatabaseError: It is gone, no file, or can't be reached; or it has several names and is to be written.
        """
        path = self.path(name)
        with self._guard:
            try:
                status = os.lstat(path)
                if stat.S_ISLNK(status.st_mode):
                    path = os.path.realpath(path)
                    status = os.stat(path)
            except OSError as error:
                raise unreachable(name, error) from error
            if not stat.S_ISREG(status.st_mode):
                raise DatabaseError(f"{name} is no file", reason="no file")
            if to_write and status.st_nlink > 1:
                raise DatabaseError(
                    f"{name} has {status.st_nlink} hard links; nothing was changed there",
                    reason="hard links",
                    hint="the journal of a write that was cut off is only found beside one of the names, so the file"
                    " would break: copy it, or use a symbolic link",
                )
            identity = _identity(status)
            self._open[identity] = self._open.get(identity, 0) + 1
        try:
            yield path
        finally:
            with self._guard:
                self._open[identity] -= 1
                if not self._open[identity]:
                    del self._open[identity]


def create_file(path: str) -> bool:
    """Make an empty file, which is an empty database, and the folders above it; say whether there was none.

    Raises:
        OSError: It can't be made; ``FileExistsError`` where something else than a file is there.
    """
    folder = os.path.dirname(path)
    folders = [folder]
    while not os.path.isdir(folders[-1]):
        folders.append(os.path.dirname(folders[-1]))
    os.makedirs(folder, exist_ok=True)
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except FileExistsError:
        if not os.path.isfile(path):
            raise
        return False
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    # Those that were made are entries of others.
    for changed in folders:
        descriptor = os.open(changed, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    return True


def has_companion(path: str) -> bool:
    """Say whether a journal or a log lies beside a file."""
    return any(os.path.lexists(path + suffix) for suffix in COMPANIONS)


def unreachable(name: str, error: OSError) -> DatabaseError:
    """Give the error of a tenant whose file the system does not let us have."""
    reason = error.strerror or str(error)
    if isinstance(error, FileNotFoundError | NotADirectoryError):
        return DatabaseError(f"{name}: the file is gone", cause=Cause.MISSING, reason="the file is gone")
    if isinstance(error, PermissionError):
        hint = "the folder must be searchable, and the file readable"
        return DatabaseError(f"{name}: {reason}", cause=Cause.DENIED, reason=reason, hint=hint)
    return DatabaseError(f"{name}: {reason}", reason=reason)


def uncreatable(name: str, error: OSError) -> DatabaseError:
    """Give the error of a tenant whose file the system does not let us make."""
    if isinstance(error, FileExistsError | NotADirectoryError):
        reason = "something else than a file, or than a folder above it, is there"
        return DatabaseError(f"{name} was not made: {reason}", reason=reason, hint="move that, or take another name")
    reason = error.strerror or str(error)
    if isinstance(error, PermissionError) or error.errno == errno.EROFS:
        hint = "the folder must be writable"
        return DatabaseError(f"{name} was not made: {reason}", cause=Cause.DENIED, reason=reason, hint=hint)
    cause = Cause.FULL if error.errno in {errno.ENOSPC, errno.EDQUOT} else Cause.REFUSED
    return DatabaseError(f"{name} was not made: {reason}", cause=cause, reason=reason)


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
