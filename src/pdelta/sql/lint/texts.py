"""The names that PostgreSQL finds in strings: ``nextval('t_1.s')``, ``'t_1.x'::regclass``.

Called by ``named``, and by ``block`` for what a string holds. A string is ordinary text unless what stands directly
around it makes a name of it; one that is calculated is not seen, nor is one in the body of a routine.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from pdelta.errors import ScriptError
from pdelta.sql.lint.reading import Cursor, Name
from pdelta.sql.token import Dialect, Kind, Token
from pdelta.sql.tokens import tokenize

_TYPES: Final = re.compile(
    r"REG(?:CLASS|TYPE|PROC|PROCEDURE|OPER|OPERATOR|CONFIG|DICTIONARY|COLLATION|NAMESPACE)", re.ASCII
)
"""A cast to one of these looks a name up; so does the function that is called like it, or ``to_`` and it."""
_FUNCTIONS: Final = frozenset({"NEXTVAL", "CURRVAL", "SETVAL", "PG_GET_SERIAL_SEQUENCE"})
"""Functions whose first argument is a name in a string."""
_BEFORE_BRACKETS: Final = frozenset({"(", ",", "=", "SELECT", "DEFAULT", "RETURN", "WHEN", "THEN", "ELSE", "AND", "OR"})
"""Behind these a bracket belongs to no function, and what is cast behind it is what it holds."""
_CONTENT: Final = re.compile(r"(?:E|N|U&)?'(.*)'|\$([^$]*)\$(.*)\$\2\$", re.DOTALL | re.IGNORECASE)
_QUALIFIED: Final = re.compile(r'\s*("(?:[^"]|"")+"|[^\s".()\[\],]+)\s*\.\s*(\S.*?)\s*', re.DOTALL)


def in_strings(tokens: Sequence[Token]) -> Iterator[Name]:
    """Give what the strings of a statement name, on the lines on which they stand."""
    words = [_word(token) for token in tokens]
    for place, token in enumerate(tokens):
        if token.kind is Kind.STRING and (kind := _looked_up(words, place)):
            name = _said(token.text, is_schema=kind == "REGNAMESPACE")
            yield from (Name(one.parts, token.line) for one in filter(None, [name]))


def content(string: str) -> str | None:
    """Give what a string holds, but for backslashes as it is written; None for bits."""
    found = _CONTENT.fullmatch(string)
    if found is None:
        return None
    return found[1].replace("''", "'") if found[1] is not None else found[3]


def _word(token: Token) -> str:
    """Give a word in capitals, also one that stands in quotes as it is kept without them."""
    if token.kind is Kind.QUOTED and token.text == token.text.lower():
        return token.text.strip('"').upper()
    return token.word


def _looked_up(words: Sequence[str], place: int) -> str:
    """Give the type or the function that takes the string here for a name; empty where it is ordinary text."""
    first = place
    while first and words[first - 1] == "(":
        first -= 1
    depth, before = place - first, words[first - 1] if first else ""
    kind = before.removeprefix("TO_") if depth else before
    if _TYPES.fullmatch(kind) or (depth and before in _FUNCTIONS):
        return kind
    # The outermost bracket is a function's or CAST's own, unless nothing stands before it that takes one.
    return _cast(words, place + 1, depth - (before not in _BEFORE_BRACKETS), is_cast=before == "CAST")


def _cast(words: Sequence[str], at: int, brackets: int, *, is_cast: bool) -> str:
    """Give the type that makes a name of the string before this place; empty where none does.

    Args:
        words: Of the statement.
        at: The place.
        brackets: How many around the string are nobody's.
        is_cast: Whether the one around these is that of CAST.
    """
    while words[at : at + 1] == ["::"] or (brackets > 0 and words[at : at + 1] == [")"]):
        if words[at] == ")":
            brackets, at = brackets - 1, at + 1
            continue
        kind, at = _type(words, at + 1)
        if _TYPES.fullmatch(kind):
            return kind
    kind, _ = _type(words, at + 1) if is_cast and words[at : at + 1] == ["AS"] else ("", at)
    return kind if _TYPES.fullmatch(kind) else ""


def _type(words: Sequence[str], at: int) -> tuple[str, int]:
    """Give the type that is named here, without the server's own schema, and the place behind it."""
    if list(words[at : at + 2]) == ["PG_CATALOG", "."]:
        at += 2
    return (words[at] if at < len(words) else ""), at + 1


def _said(string: str, *, is_schema: bool) -> Name | None:
    """Give the name that the content of a string is; None where it is none."""
    text = content(string)
    if text is None:
        return None
    if is_schema:
        schema = _name(text)
        return Name((schema.last, "*"), 0) if schema is not None else None
    name = _name(text)
    if name is not None and name.schema:
        return name
    # An operator, or a name with signs that SQL would not take without quotes.
    parts = _QUALIFIED.fullmatch(text)
    schema = _name(parts[1]) if parts else None
    return Name((schema.last, parts[2]), 0) if parts and schema is not None else name


def _name(text: str) -> Name | None:
    try:
        return Cursor(tuple(tokenize(text, Dialect.POSTGRESQL)), Dialect.POSTGRESQL).name()
    except ScriptError:
        return None
