"""What the text of a delta is looked over for before it is sent: what ends the transaction, and what outlives it.

A delta's statements stand in one string with the ledger's. A ``COMMIT`` among them would let a half of it
last, and a ``SET`` would meet whoever gets the session next behind a pooler. The tokens tell both.
"""

import functools
import re
from typing import TYPE_CHECKING, Final

import msgspec

from pdelta.errors import ScriptError
from pdelta.model.amount import counted
from pdelta.sql.token import Dialect, Kind

if TYPE_CHECKING:
    from pdelta.sql.split import Statement

_ENDS: Final = frozenset({"COMMIT", "END", "ABORT", "BEGIN", "START"})
_NOT_FOR_THE_SESSION: Final = frozenset({"LOCAL", "CONSTRAINTS", "TRANSACTION"})
_KEPT: Final = frozenset({"PREPARE", "LISTEN", "DECLARE", "LOAD", "RESET", "DISCARD"})
_TEMPORARY: Final = frozenset({"TEMP", "TEMPORARY"})
# Compiled with the first body that there is.
_IN_A_BODY: Final = r"(?i)\b(?:set|reset|prepare|listen|set_config|pg_(?:try_)?advisory_lock\w*)\b"
_TEMPORARY_IN_A_BODY: Final = r"(?i)\btemp(?:orary)?\b"
_SHORT: Final = 16_384
_CALLS: Final = re.compile(r"SET_CONFIG|PG_(?:TRY_)?ADVISORY_LOCK\w*")


class Text(msgspec.Struct, frozen=True):
    """What a text of a delta consists of.

    Attributes:
        statements: Each without what ends it, and without comments behind it.
        sets: Whether one may set something, be it for the transaction alone.
        leaves: Whether one may leave a setting, a lock or another thing in the session.
        temporary: Whether one may make a temporary table, which would be in the next tenant's way.
        role: Whether one changes who the session is.
    """

    statements: tuple[str, ...]
    sets: bool
    leaves: bool
    temporary: bool
    role: bool


def look_over(text: str) -> Text:
    """Give the statements of this text, and what they leave behind.

    Raises:
        ScriptError: It can't be read, or one of them begins or ends a transaction.
    """
    return _look_over_short(text) if len(text) <= _SHORT else _look_over(text)


def _look_over(text: str) -> Text:
    from pdelta.sql.split import split

    statements = tuple(split(text, Dialect.POSTGRESQL))
    for statement in statements:
        _refuse_control(statement)
    return Text(
        tuple(statement.text for statement in statements),
        sets=any(map(_sets, statements)),
        leaves=any(map(_leaves, statements)),
        temporary=any(map(_makes_temporary, statements)),
        role=any(map(_changes_role, statements)),
    )


_look_over_short = functools.lru_cache(maxsize=256)(_look_over)
"""A delta's texts are the same in most of the tenants that it goes to."""


def single(text: str) -> str:
    """Give the one statement of this text.

    Raises:
        ScriptError: There is none, or more, or it begins or ends a transaction.
    """
    statements = look_over(text).statements
    if len(statements) != 1:
        raise ScriptError(f"{counted(len(statements), 'statement')} where there must be one: {text.strip()[:60]}")
    return statements[0]


def behind_settings(text: str) -> tuple[str, ...]:
    """Give the one statement of this text, and before it those that set something for its session.

    Raises:
        ScriptError: As ``single``.
    """
    from pdelta.sql.leaving import is_setting
    from pdelta.sql.split import split

    statements = tuple(split(text, Dialect.POSTGRESQL))
    if len(statements) < 2 or not all(map(is_setting, statements[:-1])):
        return (single(text),)
    return (*(one.text for one in statements[:-1]), single(statements[-1].text))


def _words(statement: "Statement") -> list[str]:
    return [token.word for token in statement.tokens[:4]] + [""] * 4


def _refuse_control(statement: "Statement") -> None:
    first, second, third, *_ = _words(statement)
    is_partial = first == "ROLLBACK" and "TO" in {second, third}
    if first in _ENDS or (first == "ROLLBACK" and not is_partial) or (first, second) == ("PREPARE", "TRANSACTION"):
        raise ScriptError(
            f"{first} in a delta, which is one transaction with its ledger",
            line=statement.line,
            hint="leave BEGIN, COMMIT and ROLLBACK out of delta files",
        )


def _sets(statement: "Statement") -> bool:
    return _words(statement)[0] == "SET" or _leaves(statement)


def _leaves(statement: "Statement") -> bool:
    first, second, *_ = _words(statement)
    return (
        (first == "SET" and second not in _NOT_FOR_THE_SESSION)
        or first in _KEPT
        or any(_CALLS.fullmatch(token.word) for token in statement.tokens)
        or (first == "DO" and any(re.search(_IN_A_BODY, token.text) for token in statement.tokens))
    )


def _makes_temporary(statement: "Statement") -> bool:
    first, *_ = _words(statement)
    return any(token.word in _TEMPORARY or token.word.startswith("PG_TEMP") for token in statement.tokens) or (
        first == "DO"
        and any(token.kind is Kind.STRING and re.search(_TEMPORARY_IN_A_BODY, token.text) for token in statement.tokens)
    )


def _changes_role(statement: "Statement") -> bool:
    first, *rest = _words(statement)
    return first == "SET" and ("ROLE" in rest[:2] or "AUTHORIZATION" in rest[:3])
