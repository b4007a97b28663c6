"""Which files a glob would give, told without looking at any file: for tenants that are yet to be made."""

import fnmatch
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

MAGIC: Final = frozenset("*?[")
_ANY_FOLDERS: Final = "**"


def covers(pattern: str, path: str) -> bool:
    """Say whether ``glob`` would find this path by this pattern, if it were there.

    Args:
        pattern: Normal, and ``..`` only in front; ``**`` reaches into folders.
        path: Likewise, of a file, from the same folder.
    """
    return pattern == path or _match(pattern.split("/"), path.split("/"))


def _match(patterns: Sequence[str], parts: Sequence[str]) -> bool:
    if not patterns or not parts:
        return not patterns and not parts
    first, *rest = patterns
    if first == _ANY_FOLDERS:
        # As many folders as there are before the first hidden one; at the end, the file itself as well.
        shown = next((place for place, part in enumerate(parts) if part.startswith(".")), len(parts))
        if not rest:
            return shown == len(parts)
        return any(_match(rest, parts[place:]) for place in range(min(shown, len(parts) - 1) + 1))
    return _matches(first, parts[0]) and _match(rest, parts[1:])


def _matches(pattern: str, part: str) -> bool:
    if not MAGIC & set(pattern):
        return pattern == part
    if part == ".." or (part.startswith(".") and not pattern.startswith(".")):
        return False
    return _expression(pattern).match(part) is not None


@lru_cache(maxsize=64)
def _expression(pattern: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(pattern))
