"""One statement of MySQL or MariaDB -> the pieces that it is executed as."""

from typing import Final

from pdelta.sql.derive.mysql.alter import alter
from pdelta.sql.derive.mysql.draft import Change, Delta
from pdelta.sql.derive.mysql.rows import change_rows
from pdelta.sql.derive.mysql.schema import create, drop, rename
from pdelta.sql.derive.result import RefusedError
from pdelta.sql.split import Statement

_NOTHING: Final = frozenset({"ANALYZE", "OPTIMIZE", "CHECK"})


def add_statement(delta: Delta, statement: Statement, *, alone: bool) -> None:
    """Append the pieces of one statement to its delta.

    Args:
        delta: What is known so far.
        statement: Of MySQL or MariaDB.
        alone: Whether it commits by itself.

    Raises:
        RefusedError: Its reverse can't be derived.
    """
    if any(token.text.startswith(("/*!", "/*M!")) for token in statement.tokens):
        raise RefusedError("what stands in a comment for some servers alone is not derived")
    for change in _changes(delta, statement):
        delta.add(change, statement.text, alone=alone)


def _changes(delta: Delta, statement: Statement) -> list[Change]:
    match statement.tokens[0].word:
        case "CREATE":
            return [create(delta, statement)]
        case "DROP":
            return drop(delta, statement)
        case "ALTER" if statement.tokens[1].word in {"TABLE", "ONLINE", "OFFLINE", "IGNORE"}:
            return [alter(delta, statement)]
        case "RENAME":
            return [rename(delta, statement)]
        case "INSERT" | "REPLACE" | "UPDATE" | "DELETE":
            return [change_rows(delta, statement)]
        case word if word in _NOTHING:
            return [Change()]
        case word:
            shown = " ".join(token.text for token in statement.tokens[:2])
            raise RefusedError(f"{shown if word else statement.tokens[0].text} is not derived")
