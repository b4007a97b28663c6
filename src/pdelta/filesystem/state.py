"""The folder in which a tree keeps its own state: ``DEST/.pdelta``.

Called by ``operations.tree``. Makes the folder, holds its lock, and writes small
files so that they are whole or not there. Never looks at the tree around it.
"""

import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

from pdelta.errors import FilesystemError, LockedError, PreflightError
from pdelta.filesystem import syscalls
from pdelta.filesystem.directories import DirectoryCache
from pdelta.filesystem.failure import translated
from pdelta.filesystem.safe import Directory
from pdelta.model.names import STATE_NAME, join_path, quoted

LEDGER: Final = b"ledger.sqlite"
LOCK: Final = b"lock"
INTENT: Final = b"intent"
BACKWARD: Final = b"intent-backward"
"""An intent under this name is being undone."""
STAGING: Final = b"staging"
UNDO: Final = b"undo"
RECORD: Final = b"record"
"""In the staging folder: what is being staged."""

OWN_STATE: Final = "let that user run pdelta (sudo -u here, --become on a host)"

_POLL_S: Final = 0.05
_BLOCK_BYTES: Final = 512
"""What ``st_blocks`` counts in, whatever the file system."""


class StateFolder:
    """An open state folder.

    Args:
        root: The tree.
        create: Whether to make the folder where there is none.
        name: What the folder is called.

    Raises:
        FileNotFoundError: There is none, and it was not to be made.
        PreflightError: It belongs to somebody else, or others may write to it.
    """

    def __init__(self, root: Directory, *, create: bool, name: bytes = STATE_NAME) -> None:
        """Open it, or make it."""
        self.root = root
        if create:
            make_unseen(root, name)
        self.folder = root.open_directory(name)
        found = os.fstat(self.folder.fd)
        if found.st_uid != os.geteuid() and os.geteuid() != 0:
            self.folder.close()
            text = f"the state folder {quoted(root.locate(name))} belongs to user {found.st_uid}; nothing was changed"
            raise PreflightError(text, hint=OWN_STATE)
        if stat.S_IMODE(found.st_mode) & 0o022:
            self.folder.close()
            text = f"others may write to the state folder {quoted(root.locate(name))}; nothing was changed"
            raise PreflightError(text, hint="chmod 700 it after making sure that nobody changed it")
        self._lock_fd = -1

    @property
    def ledger_path(self) -> bytes:
        """Path of the ledger, through the open folder, so that a rename of the tree cannot lead elsewhere."""
        through = b"/proc/self/fd/%d" % self.folder.fd
        return (through if os.path.exists(through) else self.folder.path) + b"/" + LEDGER

    def has_ledger(self) -> bool:
        """Whether anything was ever recorded."""
        return self.folder.lstat(LEDGER) is not None

    @property
    def unfinished(self) -> bool:
        """Whether a commit has begun, forward or backward, and not ended."""
        return self.read(INTENT) is not None or self.read(BACKWARD) is not None

    def lock(self, wait_s: float) -> None:
        """Hold the tree alone until ``close``; the kernel frees it when this process ends, however it ends.

        Args:
            wait_s: How long to wait for another run.

        Raises:
            LockedError: Another run holds it still.
        """
        if self._lock_fd >= 0:
            return
        with translated("lock the tree"):
            fd = os.open(LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=self.folder.fd)
        try:
            self._await_lock(fd, time.monotonic() + wait_s)
            os.ftruncate(fd, 0)
            os.pwrite(fd, b"process %d\n" % os.getpid(), 0)
        except BaseException:
            # Left open, it would keep out this process itself where that was stopped in here.
            os.close(fd)
            raise
        self._lock_fd = fd

    def _await_lock(self, fd: int, deadline: float) -> None:
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() >= deadline:
                    holder = os.pread(fd, 200, 0).decode(errors="replace").strip()
                    text = f"another run holds {os.fsdecode(self.root.path)!r}" + (f" ({holder})" if holder else "")
                    raise LockedError(
                        text + "; nothing was changed", hint="wait for it, or give --wait SECONDS"
                    ) from None
                time.sleep(_POLL_S)
            else:
                return

    def lock_at_once(self, name: str) -> None:
        """Hold the tree alone as ``lock`` does, without waiting, for work that no pre-flight precedes.

        Args:
            name: Of the tree, for messages.

        Raises:
            PreflightError: Nothing can be written there.
            LockedError: Another run holds it.
        """
        if os.fstatvfs(self.folder.fd).f_flag & os.ST_RDONLY:
            text = f"{name} is on a file system that is mounted read-only; nothing was changed"
            raise PreflightError(text, hint="remount it for writing")
        self.lock(0.0)

    @property
    def locked(self) -> bool:
        """Whether this object holds the lock."""
        return self._lock_fd >= 0

    def unlock(self) -> None:
        """Let others have the tree."""
        fd, self._lock_fd = self._lock_fd, -1
        if fd >= 0:
            os.close(fd)

    def close(self) -> None:
        """Unlock and close."""
        self.unlock()
        self.folder.close()

    def read(self, name: bytes) -> bytes | None:
        """Give a small file's bytes, or None where there is none."""
        try:
            fd = self.folder.open_file(name)
        except FileNotFoundError:
            return None
        with open(fd, "rb") as file:
            return file.read()

    def write(self, name: bytes, data: bytes, *, durable: bool) -> None:
        """Write a file so that it is there whole, or not at all."""
        temporary = name + b".new"
        self.discard(temporary)
        fd = self.folder.create_exclusive(temporary, 0o600, os.O_WRONLY)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(fd, view) :]
            if durable:
                os.fsync(fd)
        finally:
            os.close(fd)
        self.folder.replace(temporary, self.folder, name)
        if durable:
            self.folder.sync()

    def begin_staging(self, record: bytes, *, durable: bool) -> None:
        """Make the staging folder with the record of what will be staged in it, before anything is."""
        self.folder.mkdir(STAGING, 0o700)
        with self.folder.open_directory(STAGING) as folder:
            fd = folder.create_exclusive(RECORD, 0o600, os.O_WRONLY)
            try:
                os.write(fd, record)
                if durable:
                    os.fsync(fd)
            finally:
                os.close(fd)
            if durable:
                folder.sync()
        if durable:
            self.folder.sync()

    def discard(self, name: bytes) -> None:
        """Remove a file of the state folder; none is fine."""
        with suppress(FileNotFoundError):
            self.folder.unlink(name)

    def sync(self, fd: int, *, durable: bool) -> None:
        """Sync the file system that holds an open file, where that was asked for."""
        if durable:
            syscalls.sync_filesystem(fd)


def make_unseen(folder: Directory, name: bytes) -> None:
    """Make a private folder of pdelta's own durably, without a trace in the time of the folder that it is in.

    One that is there already is fine.
    """
    before = os.fstat(folder.fd)
    with suppress(FileExistsError):
        folder.mkdir(name, 0o700)
        os.utime(folder.fd, ns=(before.st_atime_ns, before.st_mtime_ns))
        folder.sync()


def remove(root: Directory, path: bytes) -> None:
    """Remove whatever is at a path of pdelta's own, never following a link; nothing there is fine.

    Folders without write permission are opened up first: they are pdelta's own copies.

    Raises:
        FilesystemError: Something is mounted in a folder; nothing below that was removed.
        OSError: Something cannot be removed.
    """
    with DirectoryCache(root) as folders:
        try:
            folder, name = folders.parent(path)
        except FileNotFoundError:
            return
        if _unlinked(folder, name):
            return
        # Children before their folder, and no recursion: a path has up to 2,048 folders.
        device = _opened(folders, path).device
        stack = [(path, _names_in(folders, path, device))]
        while stack:
            path, names = stack[-1]
            folder = folders.directory(path)
            below = next((name for name in names if not _unlinked(folder, name)), None)
            if below is not None:
                path = join_path(path, below)
                stack.append((path, _names_in(folders, path, device)))
                continue
            stack.pop()
            folders.forget(path)
            folder, name = folders.parent(path)
            folder.rmdir(name)


def allocated_bytes(root: Directory, path: bytes) -> int:
    """Give what the files below one of pdelta's own folders take of the disk; 0 where there is none."""
    total = 0
    with DirectoryCache(root) as folders:
        waiting = [path]
        while waiting:
            path = waiting.pop()
            try:
                folder = _opened(folders, path)
                for name in folder.names():
                    found = folder.lstat(name)
                    if found is not None and stat.S_ISDIR(found.st_mode):
                        waiting.append(join_path(path, name))
                    elif found is not None:
                        total += found.st_blocks * _BLOCK_BYTES
            except FileNotFoundError:
                continue
    return total


def _unlinked(folder: Directory, name: bytes) -> bool:
    """Remove a name unless it is a folder's; say whether it is gone."""
    try:
        folder.unlink(name)
    except FileNotFoundError:
        return True
    except OSError as error:
        if error.errno not in {errno.EISDIR, errno.EPERM}:
            raise
        return False
    return True


def _opened(folders: DirectoryCache, path: bytes) -> Directory:
    """Open a folder of pdelta's own, also one that its owner may not read."""
    try:
        return folders.directory(path)
    except PermissionError:
        parent, name = folders.parent(path)
        os.chmod(name, 0o700, dir_fd=parent.fd)
        return folders.directory(path)


def _names_in(folders: DirectoryCache, path: bytes, device: int) -> Iterator[bytes]:
    """List a folder of pdelta's own that is about to be emptied, and let its owner do so."""
    folder = _opened(folders, path)
    if folder.device != device:
        text = f"another file system is mounted at {quoted(folder.path)}; nothing in it was removed"
        raise FilesystemError(text, hint="unmount it, then run the command again")
    names = folder.names()
    if names and os.geteuid() != 0 and os.fstat(folder.fd).st_mode & 0o300 != 0o300:
        os.fchmod(folder.fd, 0o700)
    return iter(names)
