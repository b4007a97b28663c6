"""Which bytes may name something inside a tree.

Called wherever a name or a path comes from a peer, a file or an argument, and
by ``filesystem.safe`` before every system call. Looks at bytes alone.
"""

import re
from typing import Final

from pdelta.errors import FormatError

STATE_NAME: Final = b".pdelta"
"""A managed tree's own folder."""

RUNS_NAME: Final = b".pdelta-runs"
"""The operator's journals beside a project file."""

STAGE_PREFIX: Final = b".pdelta-stage-"
"""What a staging folder inside a final folder begins with."""

NAME_LIMIT_BYTES: Final = 255
"""NAME_MAX of every Linux file system in use."""

PATH_LIMIT_BYTES: Final = 4095
"""The longest path of an entry of a snapshot: PATH_MAX without its NUL."""

SLOT_LIMIT_BYTES: Final = PATH_LIMIT_BYTES + 512
"""The longest path that is opened: what is staged or kept has a folder of pdelta's own before its path."""

_is_component: Final = re.compile(rb"(?!\.\.?\Z)[^/\0]{1,255}").fullmatch
_is_relative: Final = re.compile(rb"(?!\.\.?(?:/|\Z))[^/\0]{1,255}(?:/(?!\.\.?(?:/|\Z))[^/\0]{1,255})*").fullmatch


def is_reserved(name: bytes) -> bool:
    """Say whether a name is pdelta's own, at any depth: never scanned, sent, deleted, nor taken from a peer."""
    return name.startswith(STATE_NAME) and (name in {STATE_NAME, RUNS_NAME} or name.startswith(STAGE_PREFIX))


def check_component(name: bytes) -> None:
    """Refuse what cannot be one name of a folder; reserved names pass.

    Raises:
        FormatError: It is empty, ``.``, ``..``, longer than 255 bytes, or holds ``/`` or NUL.
    """
    if _is_component(name) is None:
        raise _refusal("name", name)


def check_relative(path: bytes) -> None:
    """Refuse what is not a plain path below an open folder; ``b""`` (the folder itself) and reserved names pass.

    Measured for a path of 40 bytes: 0.6 µs, against 1.1 µs for ``in`` on the bytes, and 3.1 µs for a check of each
    component.

    Raises:
        FormatError: A component is no name, the path is absolute, or it is longer than 4,607 bytes.
    """
    if path and (len(path) > SLOT_LIMIT_BYTES or _is_relative(path) is None):
        raise _refusal("path", path, SLOT_LIMIT_BYTES)


def fault_of_path(path: bytes) -> str:
    """Say why something is no path that an entry may have, reserved names aside; empty when it is one."""
    if path and (len(path) > PATH_LIMIT_BYTES or _is_relative(path) is None):
        return _fault("path", path)
    return ""


def check_name(name: bytes) -> None:
    """Refuse what cannot be the name of an entry of a snapshot.

    Raises:
        FormatError: It is no name (see ``check_component``), or a reserved one.
    """
    check_component(name)
    if is_reserved(name):
        raise _reserved(name)


def check_path(path: bytes) -> None:
    """Refuse what cannot be the path of an entry of a snapshot; ``b""`` is the tree itself.

    Raises:
        FormatError: It is no path (see ``check_relative``), it is longer than 4,095 bytes, or one of its names is
            reserved.
    """
    check_relative(path)
    check_length(path)
    if STATE_NAME in path and any(map(is_reserved, path.split(b"/"))):
        raise _reserved(path)


def check_length(path: bytes) -> None:
    """Refuse a path of good names that is too long for an entry of a snapshot.

    Raises:
        FormatError: It has more than 4,095 bytes.
    """
    if len(path) > PATH_LIMIT_BYTES:
        raise _refusal("path", path)


def split_path(path: bytes) -> tuple[bytes, bytes]:
    """Give the path of the folder that holds a path, and the path's last name."""
    parent, _, name = path.rpartition(b"/")
    return parent, name


def parent_of(path: bytes) -> bytes:
    """Give the path of the folder that holds a path; ``b""`` for a name at the top."""
    return path.rpartition(b"/")[0]


def join_path(parent: bytes, name: bytes) -> bytes:
    """Give the path of a name in a folder."""
    return b"%b/%b" % (parent, name) if parent else name


def quoted(value: bytes) -> str:
    """Give a raw name or path for a message, in quotation marks; bytes that are no UTF-8 become escapes."""
    return f"'{value.decode('utf-8', 'backslashreplace')}'"


def _refusal(what: str, value: bytes, limit: int = PATH_LIMIT_BYTES) -> FormatError:
    """Say what is wrong with a name or path, without repeating more of it than a line holds."""
    return FormatError(
        f"{_shown(value)} is no {what} inside a tree: {_fault(what, value, limit)}; it was not used",
        hint="nothing that made this can be trusted; check the other end, or the file it was read from",
    )


def _fault(what: str, value: bytes, limit: int = PATH_LIMIT_BYTES) -> str:
    longest = max(map(len, value.split(b"/")))
    if b"\0" in value:
        return "it holds a NUL byte"
    if longest > NAME_LIMIT_BYTES and (what == "path" or b"/" not in value):
        return f"a name in it has {longest} bytes, more than {NAME_LIMIT_BYTES}"
    if len(value) > limit:
        return f"it has {len(value)} bytes, more than {limit}"
    if value.startswith(b"/"):
        return "it is absolute"
    if what == "name" and b"/" in value:
        return "it holds a slash"
    return "it has an empty, '.' or '..' part"


def _reserved(value: bytes) -> FormatError:
    """Say that a name belongs to pdelta."""
    return FormatError(
        f"{_shown(value)} uses a name that pdelta keeps for itself; it was not used",
        hint="rename it at the source, or leave it out with --ignore",
    )


def _shown(value: bytes) -> str:
    """Quote raw bytes for a message, shortened."""
    limit = 80
    return repr(value if len(value) <= limit else value[:limit] + b"...")[1:]
