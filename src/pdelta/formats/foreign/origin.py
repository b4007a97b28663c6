"""What the readers of other tools' files share: text, ids, and keys that sort versions as those tools do."""

import re
from collections.abc import Iterable
from typing import Final

from pdelta.errors import FormatError, ScriptError
from pdelta.sql.order import SUFFIX
from pdelta.sql.script import Part, Section
from pdelta.sql.split import split
from pdelta.sql.token import Dialect, Mode

LIMIT_BYTES: Final = 64 << 20
"""As for our own files."""

_UNFIT: Final = re.compile(r"[^A-Za-z0-9_.-]+")
_DIGITS: Final = 20
"""More than any version of 64 bits has."""


def decode(data: bytes, name: str) -> str:
    """Give a file's text; CR LF is read as LF.

    Raises:
        FormatError: It is no UTF-8, or too large.
    """
    file = name + SUFFIX
    if len(data) > LIMIT_BYTES:
        raise FormatError(f"{file} has {len(data)} bytes; more than {LIMIT_BYTES} are refused")
    try:
        return data.removeprefix(b"\xef\xbb\xbf").decode().replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        raise FormatError(f"{file} is not UTF-8: byte {error.start} can't be decoded") from error


def id_of(stem: str) -> str:
    """Give what the ledger knows a file by: its name, with every character that no id has as ``_``."""
    return _UNFIT.sub("_", stem)[:200]


def version_key(numbers: Iterable[str]) -> str:
    """Give a text that sorts as these numbers do, one after the other; zeros at the end do not count."""
    digits = [number.lstrip("0") for number in numbers]
    while digits and not digits[-1]:
        digits.pop()
    return ".".join(number.rjust(_DIGITS, "0") for number in digits) or "0"


def section_of(
    part: Part, text: str, line: int, *, name: str, dialect: Dialect, modes: frozenset[Mode], needed: bool = False
) -> tuple[Section, ...]:
    """Give the section that a text is, or none where it holds no statement.

    Raises:
        ScriptError: It can't be cut into statements, or there must be one and is none.
    """
    try:
        found = any(split(text, dialect, modes=modes, line=line))
    except ScriptError as error:
        raise ScriptError(error.problem, line=error.line, file=name + SUFFIX, hint=error.hint) from error
    if needed and not found:
        raise ScriptError("the file holds no statement to apply", line=line, file=name + SUFFIX)
    return (Section(part, None, text, line),) if found else ()
