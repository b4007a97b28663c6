"""Turning ``OSError`` into what a person reads, once, where this package meets its callers."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from pdelta.errors import FilesystemError, PreflightError
from pdelta.model.names import quoted

ANOTHER_USER: Final = "give the user that runs pdelta access, or let another one run it (sudo here, --become on a host)"

_HINTS: Final = {
    errno.EACCES: ANOTHER_USER,
    errno.EPERM: "let its owner or root run pdelta (sudo here, --become on a host); look for immutable flags (lsattr)",
    errno.ENOSPC: "free some space (pdelta gc drops old undo data), then give the same command again",
    errno.EDQUOT: "the quota is used up: free some space, then give the same command again",
    errno.EROFS: "the file system is mounted read-only; remount it for writing",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
    errno.ENFILE: "this machine has no open files left; close something",
    errno.EIO: "the disk or its connection fails; look at the kernel's log before going on",
    errno.ESTALE: "the file server dropped the file; mount it again, then give the same command again",
}

_VANISHED: Final = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ESTALE})


class UnreadError(Exception):
    """A name that could not be read, or not twice alike.

    Attributes:
        kind: ``unreadable``, ``vanished`` or ``changing``.
    """

    def __init__(self, kind: str, message: str) -> None:
        """Keep why, for the report."""
        super().__init__(message)
        self.kind = kind


def unread(error: OSError) -> UnreadError:
    """Say why the system refused, as the kind of problem that it is."""
    kind = "vanished" if error.errno in _VANISHED else "changing" if error.errno == errno.ELOOP else "unreadable"
    return UnreadError(kind, error.strerror or str(error))


def describe(error: OSError, action: str) -> FilesystemError:
    """Give the error that says which action failed, on which path, and what may help.

    Args:
        error: As the system raised it, with ``filename`` where it is known.
        action: What was tried, to complete "cannot …".
    """
    place = ""
    for name in (error.filename, error.filename2):
        if name is not None and not isinstance(name, int):
            place += f"{' and' if place else ''} {os.fsdecode(name)!r}"
    reason = error.strerror or str(error)
    return FilesystemError(f"cannot {action}{place}: {reason}", hint=hint_for(error))


def hint_for(error: OSError) -> str:
    """Give what may help against an error of the system; empty where nothing general does."""
    return _HINTS.get(error.errno or 0, "")


def closed(error: OSError, place: bytes) -> PreflightError:
    """Give the error that says to whom a place is closed; it is found before anything is changed."""
    named = error.filename if isinstance(error.filename, bytes) else place
    text = f"{quoted(named)} is closed to user {os.geteuid()}: {error.strerror}; nothing was changed"
    return PreflightError(text, hint=hint_for(error))


@contextmanager
def looking(place: bytes) -> Iterator[None]:
    """Say what is wrong where a block that only looks at a tree cannot: missing rights refuse, all else has failed.

    Args:
        place: The tree.

    Raises:
        PreflightError: Something in it is closed to this user.
        FilesystemError: In place of any other ``OSError``.
    """
    try:
        yield
    except PermissionError as error:
        raise closed(error, place) from error
    except OSError as error:
        raise describe(error, "look at the tree") from error


@contextmanager
def translated(action: str) -> Iterator[None]:
    """Raise ``FilesystemError`` for every ``OSError`` of a block.

    Args:
        action: What the block does, to complete "cannot …".

    Raises:
        FilesystemError: In place of the ``OSError``, which becomes its cause.
    """
    try:
        yield
    except OSError as error:
        raise describe(error, action) from error
