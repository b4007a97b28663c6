"""Which statements can stand in no delta, told by their words alone, so that it is known before a tenant is touched.

Called by the pre-flight, and by the adapters, which look again at what they are given.
"""

from collections.abc import Mapping
from typing import Final

from pdelta.sql.alone import controls_transaction, may_commit
from pdelta.sql.split import Statement
from pdelta.sql.token import Dialect

OWN: Final = "the delta and its row of the ledger share a transaction, which pdelta begins and ends"
_FILES: Final = "each file is a tenant of its own"
_LOCKS: Final = "pdelta holds the locks that a delta needs"
ELSEWHERE: Final[Mapping[Dialect, Mapping[str, str]]] = {
    Dialect.MYSQL: {
        "USE": "each database is a tenant of its own",
        "ROLLBACK": "it names a savepoint, and there is none",
        "LOCK": _LOCKS,
        "UNLOCK": _LOCKS,
        "XA": OWN,
    },
    Dialect.SQLITE: {
        **dict.fromkeys(("BEGIN", "COMMIT", "END", "ROLLBACK", "SAVEPOINT", "RELEASE"), OWN),
        **dict.fromkeys(("ATTACH", "DETACH"), _FILES),
    },
    Dialect.POSTGRESQL: {},
}
"""First words of statements that are no delta's to execute, and why."""


def misfit(statement: Statement, dialect: Dialect) -> str:
    """Give why a statement can stand in no delta, with a transaction or without; empty where it can."""
    why = refused(statement, dialect)
    if not why and dialect is Dialect.MYSQL and (first := may_commit(statement)):
        why = f"{first} may commit by itself, and what it did can't be told afterwards"
    return why


def refused(statement: Statement, dialect: Dialect) -> str:
    """Give why a statement can't be executed in a delta at all, wherever it stands; empty where it can."""
    if word := controls_transaction(statement, dialect):
        return f"{word} can't stand in a delta: pdelta begins and ends transactions"
    words = (token.word for token in statement.tokens if not token.word.startswith("/*"))
    first = next(words, "")
    return f"{first} can't stand in a delta: {ELSEWHERE[dialect][first]}" if first in ELSEWHERE[dialect] else ""
