"""Names that stand in lists of PostgreSQL's without a word before them: operator classes, types of arguments and such.

Called by ``named``. There are brackets in which no column has its table before it: what has a dot in it there, and
stands in no further brackets, leads elsewhere.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from pdelta.sql.lint.reading import NAMES, Cursor, Name
from pdelta.sql.token import Dialect, Token

_ROUTINES: Final = frozenset({"AGGREGATE", "FUNCTION", "PROCEDURE", "ROUTINE"})
_DIVIDED: Final = frozenset({"HASH", "LIST", "RANGE"})
_DEFINED: Final = frozenset({"AGGREGATE", "COLLATION", "OPERATOR", "TEXT", "TYPE"})
"""What is created by pairs of a word and a value."""


def in_lists(tokens: Sequence[Token]) -> Iterator[Name]:
    """Give the names that stand so in a statement."""
    words = [token.word for token in tokens]
    kind = "".join(words[3:4] if words[1:3] == ["OR", "REPLACE"] else words[1:2])
    is_defined = words[0] == "CREATE" and kind in _DEFINED
    is_index = words[0] == "CREATE" and "INDEX" in words[1:3]
    cursor = Cursor(tokens, Dialect.POSTGRESQL)
    while cursor.at < len(tokens):
        if cursor.word() == "(" and (is_index or _holds_names(tokens, words, cursor.at)):
            # Of an index the first ones alone: no column stands before them.
            is_index = False
            yield from _dotted(cursor.group() or ())
        elif is_defined and words[cursor.at - 1] == "=" and (name := cursor.name()) is not None:
            yield from [name] if name.schema else []
        else:
            cursor.at += 1


def _dotted(tokens: Sequence[Token]) -> Iterator[Name]:
    """Give the names with a dot that stand here in no brackets, of ``t.c%TYPE`` that of the table."""
    cursor = Cursor(tokens, Dialect.POSTGRESQL)
    while cursor.at < len(tokens):
        name = cursor.name()
        if name is None:
            if cursor.group() is None:
                cursor.at += 1
        elif cursor.skip("%", "TYPE"):
            yield Name(name.parts[:-1] or name.parts, name.line)
        elif name.schema and cursor.word() != "(":
            yield name


def _holds_names(tokens: Sequence[Token], words: Sequence[str], place: int) -> bool:
    """Say whether the brackets that open here are of the kind in which only names have dots."""
    start = place - 1
    while start > 1 and tokens[start].kind in NAMES and words[start - 1] == ".":
        start -= 2
    before = list(words[max(0, start - 2) : start])
    last = list(words[max(0, place - 2) : place])
    return (
        # Arguments: of the routine that is named, or of a further one that is dropped with it.
        not _ROUTINES.isdisjoint((*before[-1:], *(words[1:2] if words[0] == "DROP" else ())))
        or last in (["CREATE", "CAST"], ["DROP", "CAST"], ["ON", "CONFLICT"], ["RETURNS", "TABLE"])
        or last[-1:] == ["EXCLUDE"]
        or before == ["EXCLUDE", "USING"]
        or ("TABLE" in words[1:4] and before == ["PARTITION", "BY"] and last[-1] in _DIVIDED)
    )
