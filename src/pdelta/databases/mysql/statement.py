"""Where a statement may stand in a delta for MySQL or MariaDB, told by its words.

Called by the session before it executes anything of a delta's. A statement that commits by itself would tear the delta
from its row of the ledger, so in a transaction only those are taken of which that is known.
"""

from functools import lru_cache
from typing import Final

from pdelta.errors import ScriptError
from pdelta.model.amount import counted
from pdelta.sql import naming
from pdelta.sql.alone import needs_no_transaction
from pdelta.sql.misfit import misfit, refused
from pdelta.sql.split import Statement, split
from pdelta.sql.token import Dialect, Mode

_QUESTIONS: Final = frozenset({"(", "DESC", "DESCRIBE", "EXPLAIN", "SELECT", "SHOW", "TABLE", "VALUES", "WITH"})


@lru_cache(maxsize=1024)
def refused_inside(text: str, modes: frozenset[Mode]) -> str:
    """Give why a statement can't stand in the transaction of a delta; empty where it can."""
    if reason := refused_alone(text, modes):
        return reason
    (statement,) = _statements(text, modes)
    if why := needs_no_transaction(statement, Dialect.MYSQL):
        return f"{why} commits whatever is open, so it can't stand in a transaction"
    return misfit(statement, Dialect.MYSQL)


@lru_cache(maxsize=1024)
def refused_alone(text: str, modes: frozenset[Mode]) -> str:
    """Give why a statement can't be executed without a transaction either; empty where it can."""
    try:
        found = _statements(text, modes)
    except ScriptError as error:
        return error.problem
    if len(found) != 1:
        return f"there are {counted(len(found), 'statement')} where one must be" if found else "there is no statement"
    return refused(found[0], Dialect.MYSQL)


@lru_cache(maxsize=1024)
def refused_as_query(text: str, modes: frozenset[Mode]) -> str:
    """Give why this is no query; empty where it is one, which may still want to write."""
    if reason := refused_alone(text, modes):
        return reason
    words = _words(_statements(text, modes)[0])
    if words[0] not in _QUESTIONS:
        return f"{words[0]} is no query"
    places = [place for place, word in enumerate(words) if word == "INTO"]
    if any(words[place + 1 : place + 2] in (["OUTFILE"], ["DUMPFILE"]) for place in places):
        return "a query that writes a file is none"
    return ""


@lru_cache(maxsize=1024)
def names_in(text: str, modes: frozenset[Mode]) -> frozenset[str]:
    """Give every word and quoted name of a statement, in small letters and without quotes."""
    return naming.names_in(_statements(text, modes))


def _statements(text: str, modes: frozenset[Mode]) -> tuple[Statement, ...]:
    return tuple(split(text, Dialect.MYSQL, modes=modes))


def _words(statement: Statement) -> list[str]:
    """Give words in capitals and symbols, without the edges of ``/*! … */``; at least one, be it empty."""
    words = [token.word for token in statement.tokens]
    return [word for word in words if not word.startswith("/*") and word != "*/"] or [""]
