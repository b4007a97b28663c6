"""``--chmod``: clauses that change the permission bits of every entry, read once and applied to each mode.

Called by the scan. The clauses are those of ``rsync --chmod``: separated by
commas, each for all entries or for directories (``D``) or files (``F``) alone,
and either octal (``F644``) or symbolic (``Du=rwx,g-w,o=``), where ``X`` means
execution for directories and for files that somebody may execute already.
"""

import re
from collections.abc import Callable
from functools import cache
from typing import Final

import msgspec

from pdelta.errors import UsageError

_OCTAL: Final = re.compile(r"([DF]?)([0-7]{3,4})")
_SYMBOLIC: Final = re.compile(r"([DF]?)([ugoa]*)([-+=])([rwxXst]*)")
_SHIFTS: Final = {"u": 6, "g": 3, "o": 0}
_BITS: Final = {"r": 4, "w": 2, "x": 1}
_SPECIAL: Final = {"u": 0o4000, "g": 0o2000, "o": 0}
_STICKY: Final = 0o1000
_EXECUTABLE: Final = 0o111


class _Clause(msgspec.Struct, frozen=True):
    only: str
    who: str
    action: str
    letters: str
    octal: int = 0


def parse_chmod(text: str) -> Callable[[int, bool], int]:
    """Give the function that applies the clauses: (mode, whether a directory) -> mode.

    Args:
        text: Clauses separated by commas; empty changes nothing.

    Raises:
        UsageError: A clause cannot be read; the message names it.
    """
    clauses = [_clause(part) for part in text.split(",") if part]

    @cache
    def apply(mode: int, directory: bool) -> int:  # noqa: FBT001 - at most 8,192 answers
        for clause in clauses:
            if clause.only != ("F" if directory else "D"):
                mode = _applied(clause, mode, directory=directory)
        return mode

    return apply


def _clause(text: str) -> _Clause:
    if found := _OCTAL.fullmatch(text):
        return _Clause(found[1], "", "", "", int(found[2], 8))
    if found := _SYMBOLIC.fullmatch(text):
        return _Clause(found[1], "ugo" if "a" in found[2] or not found[2] else found[2], found[3], found[4])
    raise UsageError(
        f"--chmod: cannot read {text!r}; nothing was done",
        hint="clauses look like D755, F644, u=rwX, Dg+s or go-w, separated by commas",
    )


def _applied(clause: _Clause, mode: int, *, directory: bool) -> int:
    if not clause.action:
        return clause.octal
    executes = directory or bool(mode & _EXECUTABLE)
    change = scope = 0
    for who in clause.who:
        bits = sum(_BITS.get(letter, 0) for letter in set(clause.letters.replace("X", "x" if executes else "")))
        change |= bits << _SHIFTS[who] | (_SPECIAL[who] if "s" in clause.letters else 0)
        scope |= 7 << _SHIFTS[who] | (0 if directory else _SPECIAL[who])
    if "t" in clause.letters:
        change |= _STICKY
    match clause.action:
        case "+":
            return mode | change
        case "-":
            return mode & ~change
        case _:
            return mode & ~scope | change
