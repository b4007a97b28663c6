"""SQLite's own table of the numbers that AUTOINCREMENT has given, which takes no trigger that would keep its rows.

A table that the delta has made takes its number along when the reverse drops it; the number of any other stays out of
reach: that table counts on from it.
"""

from itertools import pairwise
from typing import Final

from pdelta.sql.derive.reader import unquoted
from pdelta.sql.derive.result import RefusedError
from pdelta.sql.derive.sqlite.draft import Change, Delta
from pdelta.sql.derive.sqlite.text import Name, SqliteReader, folded
from pdelta.sql.token import Kind, Token

_TABLE: Final = "sqlite_sequence"
_SEVERAL: Final = frozenset({"UNION", "EXCEPT", "INTERSECT", "RETURNING", "UPSERT", "CONFLICT"})


def is_counters(table: Name) -> bool:
    """Say whether a table is that of the numbers."""
    return folded(table.name) == _TABLE


def change_counter(delta: Delta, verb: str, reader: SqliteReader) -> Change:
    """Take nothing back where it is the number of a table that the delta has made.

    Args:
        delta: What is known so far.
        verb: What is done; REPLACE is an INSERT there.
        reader: Behind the table's name.

    Raises:
        RefusedError: It is the number of another one, or may be that of several.
    """
    rest = reader.tokens[reader.at :]
    name = _inserted(reader) if verb in {"INSERT", "REPLACE"} else _chosen(verb, rest)
    if name is None:
        raise RefusedError("whose number that is can't be told", f"name one table, as in WHERE name = 'x' of {_TABLE}")
    if name not in delta.tables:
        raise RefusedError(f"{name.name} counts on from its number, and others may have taken some since")
    return Change()


def _chosen(verb: str, tokens: tuple[Token, ...]) -> Name | None:
    """Give the table that UPDATE and DELETE say by ``WHERE name = 'x'``, and by no other condition."""
    words = [token.text.upper() if token.kind is Kind.QUOTED else token.word for token in tokens]
    if words[-4:-1] != ["WHERE", "NAME", "="] or tokens[-1].kind is not Kind.STRING:
        return None
    head = words[:-4]
    if verb == "UPDATE" and (head[:3] != ["SET", "SEQ", "="] or "," in head):
        return None
    return Name(unquoted(tokens[-1]), tokens[-1].text) if verb == "UPDATE" or not head else None


def _inserted(reader: SqliteReader) -> Name | None:
    """Give the table that an INSERT of rows with one name is about: ``VALUES ('x', …)`` or ``SELECT 'x', …``."""
    words = [token.word for token in reader.tokens[reader.at :]]
    if words[:5] == ["(", "NAME", ",", "SEQ", ")"]:
        reader.at += 5
    if reader.take("VALUES", "("):
        is_one = words.count("VALUES") == 1 and words[-1] == ")" and (")", ",") not in pairwise(words)
    else:
        is_one = reader.take("SELECT")
    if not is_one or _SEVERAL & set(words) or reader.is_over:
        return None
    token = reader.tokens[reader.at]
    is_whole = [one.word for one in reader.tokens[reader.at + 1 : reader.at + 2]] == [","]
    return Name(unquoted(token), token.text) if token.kind is Kind.STRING and is_whole else None
