"""The address of a tree: where it leads, and what is wrong with it when it cannot be opened.

Called by the agent and by ``app.compose`` before there is an operation, and by ``operations.tree`` around whatever
opens a tree's own folder. What nobody can grant is a ``UsageError``, what rights or space stand against is a
``PreflightError``; a failing disk stays a ``FilesystemError``.
"""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from pdelta.errors import PdeltaError, PreflightError, UsageError
from pdelta.filesystem.failure import closed, describe, hint_for
from pdelta.filesystem.release import is_release
from pdelta.model.names import NAME_LIMIT_BYTES, PATH_LIMIT_BYTES, quoted

_SHOWN_BYTES: Final = 100
_UNCHANGED: Final = "; nothing was changed"


def follow_links(path: bytes) -> bytes:
    """Give where a path leads, but for the link that leads from a destination to its current release."""
    parent, name = os.path.split(os.path.abspath(path))
    found = os.path.join(os.path.realpath(parent), name)
    return found if is_release(found) else os.path.realpath(path)


def check_address(path: bytes) -> None:
    """Refuse a link that leads nowhere: what it meant, an unmounted disk perhaps, must not be made.

    A path where nothing is at all is fine.

    Raises:
        UsageError: It is such a link.
    """
    link = path.rstrip(b"/")
    if os.path.islink(link) and not os.path.lexists(follow_links(link)):
        text = f"{_shown(path)} is a link to {_shown(os.readlink(link))}, where nothing is{_UNCHANGED}"
        raise UsageError(text, hint="make the folder that it leads to, mount what should be there, or remove the link")


@contextmanager
def addressed(path: bytes) -> Iterator[None]:
    """Say what is wrong with a tree's address, where a block that opens it cannot.

    Args:
        path: The address.

    Raises:
        UsageError: No folder is or can be there.
        PreflightError: This user may not, or there is no room.
        FilesystemError: A call failed otherwise.
    """
    try:
        yield
    except OSError as error:
        raise _fault(error, path) from error


def _fault(error: OSError, path: bytes) -> PdeltaError:
    match error.errno:
        case errno.ENOTDIR:
            return UsageError(_no_folder(path) + _UNCHANGED, hint="name a folder, or one that is not there yet")
        case errno.ELOOP if os.path.realpath(os.path.dirname(path)) != os.path.dirname(path) or os.path.isdir(path):
            text = f"{_shown(path)} leads through a link that was not there before{_UNCHANGED}"
            return UsageError(text, hint="if the link is meant, run the command again")
        case errno.ELOOP:
            return UsageError(f"{_shown(path)} leads through links that lead back to themselves{_UNCHANGED}")
        case errno.ENAMETOOLONG:
            longest = max(map(len, path.split(b"/")))
            told = f"a name in {_shown(path)} has {longest} bytes, more than {NAME_LIMIT_BYTES}"
            if longest <= NAME_LIMIT_BYTES:
                told = f"{_shown(path)} has {len(path)} bytes, more than {PATH_LIMIT_BYTES}"
            return UsageError(told + _UNCHANGED)
        case errno.ENOENT:
            return UsageError(f"no folder can be made at {_shown(path)}: {error.strerror}{_UNCHANGED}")
        case errno.EACCES | errno.EPERM:
            return closed(error, path)
        case errno.EROFS | errno.ENOSPC | errno.EDQUOT:
            text = f"no folder can be made at {_shown(path)}: {error.strerror}{_UNCHANGED}"
            return PreflightError(text, hint=hint_for(error))
        case _:
            return describe(error, "open the tree")


def _no_folder(path: bytes) -> str:
    """Say which part of a path is something else than a folder."""
    whole = os.path.abspath(path)
    if os.path.lexists(whole) and not os.path.isdir(whole):
        return f"{_shown(path)} is no folder"
    above = os.path.dirname(whole)
    while not os.path.lexists(above):
        above = os.path.dirname(above)
    return f"{_shown(above)}, on the way to {_shown(path)}, is no folder"


def _shown(path: bytes) -> str:
    return quoted(path if len(path) <= _SHOWN_BYTES else path[:_SHOWN_BYTES] + b"...")
