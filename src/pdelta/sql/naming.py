"""What a statement names and whether it changes rows, told by its tokens alone.

Called by whoever decides which rows of a tenant are worth comparing; what triggers and functions do is not seen.
"""

from collections.abc import Iterable
from typing import Final

from pdelta.sql.split import Statement
from pdelta.sql.token import Kind

_QUOTES: Final = '"`[]'
_CHANGES: Final = frozenset(
    {"CALL", "CHANGE", "COPY", "DELETE", "DO", "DROP", "EXECUTE", "INSERT", "INTO", "LOAD", "MERGE", "MODIFY"}
    | {"REPLACE", "TRUNCATE", "TYPE", "UPDATE"}
)
"""Words that are in every statement which changes rows, and in some others."""


def names_in(statements: Iterable[Statement]) -> frozenset[str]:
    """Give every word and quoted name of these statements, in small letters and without quotes."""
    return frozenset(
        token.text.strip(_QUOTES).replace('""', '"').replace("``", "`").lower()
        for statement in statements
        for token in statement.tokens
        if token.kind in {Kind.WORD, Kind.QUOTED}
    )


def may_change_rows(statement: Statement) -> bool:
    """Say whether a statement may change, or lose, rows that were there before; a false alarm costs a question."""
    return any(token.word in _CHANGES for token in statement.tokens)
