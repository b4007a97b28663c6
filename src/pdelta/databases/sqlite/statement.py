"""Where a statement may stand in a delta for SQLite: told by its first words, as SQLite itself tells them.

Called by the session before it executes anything of a delta's. A delta and its row of the ledger share a transaction,
so that no statement may end it, or take a part of the connection for its own.
"""

from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from pdelta.errors import ScriptError
from pdelta.sql.alone import enforced
from pdelta.sql.misfit import ELSEWHERE
from pdelta.sql.token import Dialect, Kind
from pdelta.sql.tokens import tokenize

_READS: Final = frozenset({"SELECT", "WITH", "VALUES", "EXPLAIN"})
_ROWS: Final = frozenset({"INSERT", "UPDATE", "DELETE", "REPLACE", "WITH", "DROP"})
_PRAGMAS: Final = frozenset(
    {"APPLICATION_ID", "CASE_SENSITIVE_LIKE", "DEFER_FOREIGN_KEYS", "FOREIGN_KEYS", "FOREIGN_KEY_CHECK"}
    | {"IGNORE_CHECK_CONSTRAINTS", "INTEGRITY_CHECK", "LEGACY_ALTER_TABLE", "OPTIMIZE", "QUICK_CHECK"}
    | {"RECURSIVE_TRIGGERS", "REVERSE_UNORDERED_SELECTS", "USER_VERSION"}
)
"""What they set is either part of the transaction or gone with the connection, and none of them can end or weaken it.
(``journal_mode`` and ``writable_schema`` could: with OFF the first, a rollback leaves a broken file.)"""
_KEPT: Final = frozenset(
    {"CASE_SENSITIVE_LIKE", "IGNORE_CHECK_CONSTRAINTS", "LEGACY_ALTER_TABLE", "RECURSIVE_TRIGGERS"}
    | {"REVERSE_UNORDERED_SELECTS"}
)
"""What a connection keeps behind the statement, and has off before."""


@lru_cache(maxsize=1024)
def refused_inside(text: str) -> str:
    """Give why a statement can't stand in the transaction of a delta; empty where it can."""
    first, pragma, *_ = [*words(text), "", ""]
    if why := refused_alone(text):
        return why
    if first == "VACUUM":
        return "VACUUM can't stand in a transaction"
    if first == "PRAGMA" and pragma not in _PRAGMAS:
        return f"PRAGMA {pragma.lower()} can't stand in a transaction"
    return ""


@lru_cache(maxsize=1024)
def kept_pragma(text: str) -> str:
    """Give the pragma that a statement sets for all that its connection does later; empty for none."""
    first, pragma, *_ = [*words(text), "", ""]
    return pragma.lower() if first == "PRAGMA" and pragma in _KEPT else ""


@lru_cache(maxsize=1024)
def refused_alone(text: str) -> str:
    """Give why a statement can't be executed without a transaction either; empty where it can."""
    first = next(words(text), "")
    why = ELSEWHERE[Dialect.SQLITE].get(first)
    return f"{first} can't stand in a delta: {why}" if why else ""


@lru_cache(maxsize=1024)
def refused_as_query(text: str) -> str:
    """Give why this is no query; empty where it is one, which may still want to write."""
    first = next(words(text), "")
    return "" if first in _READS else f"{first or 'an empty text'} is no query"


@lru_cache(maxsize=1024)
def may_orphan(text: str) -> bool:
    """Say whether a statement may leave rows whose parent is not there, if nobody checks foreign keys."""
    first, _, *rest = [*words(text), "", ""]
    if first == "ALTER":
        named = rest[2:] if rest[1:2] == ["."] else rest
        return named[1:2] != ["ADD"]
    return first in _ROWS


@lru_cache(maxsize=1024)
def foreign_keys(text: str) -> bool | None:
    """Give what a ``PRAGMA foreign_keys`` sets, and None for anything else."""
    return enforced([*words(text)])


def words(text: str) -> Iterator[str]:
    """Give the first words, numbers and symbols of a statement in capitals; a pragma's without its schema."""
    found: list[str] = []
    try:
        for token in tokenize(text, Dialect.SQLITE):
            if token.kind is Kind.COMMENT or (token.word == ";" and not found):
                continue
            found.append(token.text.strip("'\"`[]").upper())
            if len(found) == 8:
                break
    except ScriptError:
        # What does not end is SQLite's to refuse; what came before it counts.
        pass
    if found[:1] == ["PRAGMA"] and found[2:3] == ["."]:
        del found[1:3]
    yield from found
