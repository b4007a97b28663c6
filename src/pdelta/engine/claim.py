"""Which process carries a run on: byte locks that end with their process.

One file beside the journal, one byte a run, so that nothing is left to tidy up.
"""

import errno
import fcntl
import os

from blake3 import blake3

from pdelta.errors import FilesystemError, LockedError


class Claims:
    """The runs that this process carries on.

    Args:
        path: The lock file; made when the first run is claimed.
    """

    def __init__(self, path: str) -> None:
        """Hold nothing yet."""
        self._path = path
        self._descriptor = -1
        self._held: set[str] = set()

    def claim(self, run: str) -> None:
        """Take a run, or refuse at once.

        Raises:
            LockedError: It is being carried on already.
            FilesystemError: The lock file cannot be used.
        """
        if run in self._held:
            raise self._taken(run)
        try:
            if self._descriptor < 0:
                self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            fcntl.lockf(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _offset(run))
        except OSError as error:
            if error.errno in {errno.EAGAIN, errno.EACCES}:
                raise self._taken(run) from error
            text = f"{self._path}: the run {run} cannot be claimed: {error.strerror}"
            raise FilesystemError(text) from error
        self._held.add(run)

    def release(self, run: str) -> None:
        """Let a run go; one that is not held is left alone."""
        if run in self._held:
            self._held.discard(run)
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN, 1, _offset(run))

    def close(self) -> None:
        """Let everything go."""
        self._held.clear()
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    @staticmethod
    def _taken(run: str) -> LockedError:
        text = f"{run} is being carried on by another process"
        return LockedError(text, hint="wait for it to end; if it was killed, its claim ended with it")


def _offset(run: str) -> int:
    """Spread runs over 2**48 bytes, so that two of them never meet in practice."""
    return int.from_bytes(blake3(run.encode()).digest(length=6), "big")
