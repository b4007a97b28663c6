"""The tables that stand where a statement takes its rows from, or that it refers to.

Called by ``named``. One pass with a level for each bracket, so that a comma is known for what it is: the next table of
a FROM list, or the next argument, column or value. Nothing recurses.
"""

from collections.abc import Iterator
from enum import Enum, auto
from typing import Final

from pdelta.sql.lint.reading import NAMES, Cursor, Name
from pdelta.sql.token import Dialect, Token

_ENDS: Final = frozenset(
    {"SELECT", "WHERE", "GROUP", "HAVING", "WINDOW", "ORDER", "LIMIT", "OFFSET", "FETCH", "UNION", "INTERSECT"}
    | {"EXCEPT", "VALUES", "SET", "RETURNING", "WHEN", "DUPLICATE", ";"}
)
"""Behind these a comma brings no table."""
_ONE: Final = frozenset({"REFERENCES", "TABLE", "CALL"})
_PASSED: Final = frozenset(
    {"ONLY", "LATERAL", "TEMP", "TEMPORARY", "UNLOGGED", "LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "IGNORE", "OR"}
)
_BEFORE_STATEMENTS: Final = frozenset({"", ";", "(", ")", ":", "BEGIN", "ATOMIC", "THEN", "ELSE", "DO", "INSTEAD"})
_SEQUENCE_FUNCTIONS: Final = frozenset({"NEXTVAL", "LASTVAL", "SETVAL"})


class _Awaits(Enum):
    """What may come next."""

    NOTHING = auto()
    NAME = auto()
    SOURCE = auto()
    """A table, a function, or brackets with tables in them."""


class _Level:
    """What is known within the innermost brackets."""

    def __init__(self, awaits: _Awaits, *, lists: bool, query: bool) -> None:
        self.awaits = awaits
        self.lists = lists
        """Whether a comma brings the next table."""
        self.query = query
        """Whether a FROM names tables: that of ``extract(year FROM a.b)`` does not."""

    def begin(self, awaits: _Awaits, *, lists: bool | None = None) -> None:
        self.awaits = awaits
        self.lists = self.lists if lists is None else lists


def sources(tokens: tuple[Token, ...], dialect: Dialect) -> Iterator[Name]:
    """Give the names of the tables, sequences and procedures that a statement reads, joins, calls or refers to.

    A function that stands for a table is none of them. What is written is among them where the word before it says that
    it is a table: whoever wants it apart knows it from elsewhere.

    Args:
        tokens: Of one statement.
        dialect: Whose.
    """
    levels = [_Level(_Awaits.NOTHING, lists=False, query=True)]
    last, place = "", 0
    while place < len(tokens):
        token, level = tokens[place], levels[-1]
        ahead = tokens[place + 1].word if place + 1 < len(tokens) else ""
        if token.word == "(":
            is_source = level.awaits is _Awaits.SOURCE
            level.awaits = _Awaits.NOTHING
            of_sequence = last in _SEQUENCE_FUNCTIONS and dialect is Dialect.MYSQL
            awaits = _Awaits.SOURCE if is_source else _Awaits.NAME if of_sequence else _Awaits.NOTHING
            levels.append(_Level(awaits, lists=is_source, query=False))
        elif token.word == ")":
            del levels[max(1, len(levels) - 1) :]
        elif _is_keyword(token.word, last, ahead, level, dialect):
            pass
        elif level.awaits is not _Awaits.NOTHING and token.kind in NAMES:
            cursor = Cursor(tokens[place : place + 8], dialect)
            name = cursor.name()
            place += cursor.at - 1
            if name is not None and not (level.awaits is _Awaits.SOURCE and cursor.word() == "("):
                yield name
            level.awaits = _Awaits.NOTHING
        last, place = token.word, place + 1


def _is_keyword(word: str, last: str, ahead: str, level: _Level, dialect: Dialect) -> bool:
    """Read a word that says what comes next; False for any other one."""
    if word in _PASSED and ahead != ".":
        return True
    if word == ",":
        level.awaits = _Awaits.SOURCE if level.lists else _Awaits.NOTHING
    elif word in _ENDS:
        level.begin(_Awaits.NOTHING, lists=False)
        level.query |= word == "SELECT"
    elif word == "FROM":
        if level.query and last != "DISTINCT":
            level.begin(_Awaits.SOURCE, lists=True)
    elif word == "JOIN" or (word == "STRAIGHT_JOIN" and level.lists):
        level.begin(_Awaits.SOURCE)
    elif word in _ONE or (word, last) in {("COPY", ""), ("FOR", "VALUE")}:
        level.begin(_Awaits.NAME)
    else:
        return _is_verb(word, last, level, dialect)
    return True


def _is_verb(word: str, last: str, level: _Level, dialect: Dialect) -> bool:
    """Read a verb, or a word that belongs to one; False for any other one."""
    if word == "USING":
        # Elsewhere than in DELETE and MERGE an expression, a method or columns in brackets follow.
        level.begin(_Awaits.NAME if level.lists else _Awaits.NOTHING)
    elif word == "MERGE" and last in _BEFORE_STATEMENTS:
        level.begin(_Awaits.NOTHING, lists=True)
    elif word == "INTO":
        # Of MySQL's SELECT it names variables.
        is_write = dialect is not Dialect.MYSQL or last in _PASSED | {"INSERT", "REPLACE"}
        level.begin(_Awaits.NAME if is_write else _Awaits.NOTHING, lists=level.lists and is_write)
    elif word in {"UPDATE", "DELETE"}:
        level.query = True
        if word == "UPDATE" and last in _BEFORE_STATEMENTS:
            level.begin(_Awaits.SOURCE, lists=True)
    else:
        return False
    return True
