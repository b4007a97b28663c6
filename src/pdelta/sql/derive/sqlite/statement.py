"""One statement of SQLite -> the piece that it is executed as."""

from typing import Final

from pdelta.sql.derive.result import RefusedError
from pdelta.sql.derive.sqlite.alter import alter
from pdelta.sql.derive.sqlite.draft import Change, Delta
from pdelta.sql.derive.sqlite.rows import VERBS, change_rows, verb_of
from pdelta.sql.derive.sqlite.schema import create, drop
from pdelta.sql.derive.sqlite.text import SqliteReader, said
from pdelta.sql.split import Statement

_READS: Final = frozenset({"SELECT", "VALUES", "EXPLAIN", "ANALYZE", "REINDEX", "VACUUM"})
"""Statements after which the file holds what it held before; what ANALYZE counts is no part of that."""
_CHECKS: Final = frozenset({"FOREIGN_KEY_CHECK", "INTEGRITY_CHECK", "QUICK_CHECK", "OPTIMIZE", "DEFER_FOREIGN_KEYS"})
_NUMBERS: Final = frozenset({"USER_VERSION", "APPLICATION_ID"})


def add_statement(delta: Delta, statement: Statement, *, alone: bool) -> None:
    """Append the piece of one statement to its delta.

    Args:
        delta: What is known so far.
        statement: Of SQLite.
        alone: Whether it can't stand in a transaction.

    Raises:
        RefusedError: Its reverse can't be derived.
    """
    if _sets_enforcement(delta, statement):
        # A delta is executed without enforcement; a pragma in its transaction would be passed over anyhow.
        return
    delta.add(_change(delta, statement), statement.text, alone=alone)


def _sets_enforcement(delta: Delta, statement: Statement) -> bool:
    """Say whether a statement only says that foreign keys are not enforced, or that they are again.

    Raises:
        RefusedError: It says first of all that they are: then cascades reach rows that are not kept.
    """
    words = [token.text.upper() for token in statement.tokens if token.word != "."]
    if words[0] != "PRAGMA" or "FOREIGN_KEYS" not in words[1:3] or len(words) < 4:
        return False
    if not delta.is_enforcement_told and words[-1 if words[-1] != ")" else -2] not in {"OFF", "0", "NO", "FALSE"}:
        raise RefusedError("with foreign keys enforced, cascades reach rows that are not kept")
    delta.is_enforcement_told = True
    return True


def _change(delta: Delta, statement: Statement) -> Change:
    match statement.tokens[0].word:
        case "CREATE":
            return create(delta, statement)
        case "DROP":
            return drop(delta, statement)
        case "ALTER":
            return alter(delta, statement)
        case "PRAGMA":
            return _pragma(statement)
        case word if word in VERBS or (word == "WITH" and verb_of(statement) >= 0):
            return change_rows(delta, statement)
        case word if word in _READS or word == "WITH":
            return Change()
        case word:
            raise RefusedError(f"{word or statement.tokens[0].text} is not derived")


def _pragma(statement: Statement) -> Change:
    """Set the number that it was; what is asked changes nothing.

    Raises:
        RefusedError: It changes how later statements are executed.
    """
    reader = SqliteReader(statement)
    reader.take("PRAGMA")
    name = reader.name().name.upper()
    if name in _NUMBERS:
        if reader.is_over:
            return Change()
        lower = name.lower()
        return Change(undo=said(f"PRAGMA {lower} = ", (f"(SELECT {lower} FROM pragma_{lower})",), ";"))
    if name in _CHECKS:
        return Change()
    raise RefusedError(f"PRAGMA {name.lower()} changes what later statements do")
