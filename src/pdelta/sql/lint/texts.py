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


_ARRAY: Final = "[]"
_BETWEEN_ELEMENTS: Final = frozenset({"[", "(", ","})
_ELEMENTS: Final = re.compile(r'"((?:[^"\\]|\\.)*+)"|[^{},\s][^{},]*+', re.DOTALL)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)


def in_strings(tokens: Sequence[Token]) -> Iterator[Name]:
    """Give what the strings of a statement name, on the lines on which they stand."""
    words = [_word(token) for token in tokens]
    kinds = _in_arrays(tokens, words)
    for place, token in enumerate(tokens):
        if token.kind is not Kind.STRING or not (kind := kinds.get(place) or _looked_up(words, place, place)):
            continue
        text = content(token.text) or ""
        texts = map(_element, _ELEMENTS.finditer(text)) if kind.endswith(_ARRAY) else [text]
        for name in (_said(one, is_schema=kind.startswith("REGNAMESPACE")) for one in texts):
            yield from (Name(one.parts, token.line) for one in filter(None, [name]))


def _in_arrays(tokens: Sequence[Token], words: Sequence[str]) -> dict[int, str]:
    """Give the places of the strings in ``ARRAY[…]``, each with the type that makes a name of it."""
    found: dict[int, str] = {}
    place = 0
    while place < len(words):
        start = place
        if list(words[place : place + 2]) == ["ARRAY", "["]:
            place = _closing(words, place + 1)
            kind = _looked_up(words, start, place)
            if kind.endswith(_ARRAY):
                strings = _plain_strings(tokens[start:place], words[start:place])
                found |= dict.fromkeys((start + at for at in strings), kind.removesuffix(_ARRAY))
        place += 1
    return found


def _closing(words: Sequence[str], place: int) -> int:
    """Give the place where the bracket closes that opens here; the last one where it does not."""
    depth = 0
    for at in range(place, len(words)):
        depth += (words[at] == "[") - (words[at] == "]")
        if not depth:
            return at
    return len(words) - 1


def _plain_strings(tokens: Sequence[Token], words: Sequence[str]) -> Iterator[int]:
    """Give the places of the strings that are elements of an array, and no part of what is calculated."""
    calls: list[bool] = []
    within = 0
    for at, token in enumerate(tokens):
        before = words[at - 1]
        if token.word == "(":
            calls.append(before not in _BETWEEN_ELEMENTS)
            within += calls[-1]
        elif token.word == ")" and calls:
            within -= calls.pop()
        elif token.kind is Kind.STRING and not within and before in _BETWEEN_ELEMENTS:
            yield from [at] if {"]", ")", ","}.issuperset(words[at + 1 : at + 2]) else []


def _element(found: re.Match[str]) -> str:
    """Give an element of the text of an array."""
    return found[0] if found[1] is None else _ESCAPED.sub(r"\1", found[1])


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


def _looked_up(words: Sequence[str], first: int, last: int) -> str:
    """Give the type or the function that takes the string here, or the ARRAY, for names; empty where it is ordinary.

    Args:
        words: Of the statement.
        first: Where it begins.
        last: Where it ends.
    """
    depth = 0
    while first and words[first - 1] == "(":
        first, depth = first - 1, depth + 1
    before = words[first - 1] if first else ""
    kind = before.removeprefix("TO_") if depth else before
    if _TYPES.fullmatch(kind) or (depth and before in _FUNCTIONS):
        return kind
    # The outermost bracket is a function's or CAST's own, unless nothing stands before it that takes one.
    return _cast(words, last + 1, depth - (before not in _BEFORE_BRACKETS), is_cast=before == "CAST")


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
        if _TYPES.fullmatch(kind.removesuffix(_ARRAY)):
            return kind
    kind, _ = _type(words, at + 1) if is_cast and words[at : at + 1] == ["AS"] else ("", at)
    return kind if _TYPES.fullmatch(kind.removesuffix(_ARRAY)) else ""


def _type(words: Sequence[str], at: int) -> tuple[str, int]:
    """Give the type that is named here, ``[]`` behind one of arrays, and the place behind it.

    The server's own schema is left out.
    """
    if list(words[at : at + 2]) == ["PG_CATALOG", "."]:
        at += 2
    kind = words[at] if at < len(words) else ""
    if list(words[at + 1 : at + 3]) == ["[", "]"]:
        return kind + _ARRAY, at + 3
    return kind, at + 1


def _said(text: str, *, is_schema: bool) -> Name | None:
    """Give the name that a text is; None where it is none."""
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
