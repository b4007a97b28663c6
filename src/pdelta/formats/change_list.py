"""The list of ``--changes-from``: which paths of a source changed, by the word of another program.

Called by the command line before anything is looked at. Looks at bytes alone; whether a path is there is the
scan's business, since one that was deleted is a change too.
"""

from typing import Final

from pdelta.errors import UsageError
from pdelta.model.names import fault_of_path, quoted

_ACCEPTED: Final = (
    "a path starts at SRC and has no empty, '.' or '..' part, as css/site.css; './' before it and '/' behind it are "
    "fine; each ends with a NUL character, as those of: git diff -z --name-only --relative"
)
_SHOWN_BYTES: Final = 80


def read_changes(data: bytes, name: str) -> tuple[bytes, ...]:
    """Give the paths of a list, relative to the source; ``b""`` is the source itself.

    Args:
        data: Paths, each with a NUL character behind it; the last one need not have it.
        name: Where they came from, for messages.

    Raises:
        UsageError: Paths are separated otherwise, or one is no plain path below a folder; it is named.
    """
    if b"\0" not in data and b"\n" in data:
        text = f"{name}: the paths of --changes-from are separated by NUL characters, not by line breaks"
        raise UsageError(f"{text}; nothing was looked at", hint=_ACCEPTED)
    paths = data.removesuffix(b"\0").split(b"\0") if data else []
    return tuple(_checked(path, name) for path in paths)


def _checked(path: bytes, name: str) -> bytes:
    if path in {b".", b"./"}:
        return b""
    plain = path.removeprefix(b"./").removesuffix(b"/")
    fault = fault_of_path(plain or path) or ("" if plain else "it is empty")
    if fault:
        shown = quoted(path if len(path) <= _SHOWN_BYTES else path[:_SHOWN_BYTES] + b"...")
        raise UsageError(f"{name}: {shown} is no path below SRC: {fault}; nothing was looked at", hint=_ACCEPTED)
    return plain
