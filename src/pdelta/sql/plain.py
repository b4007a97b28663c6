"""SQL text in one spelling: what SQLite rewrites when something is renamed, and what people lay out in their own ways.

Called by the readers of catalogues. White space, comments and the case of SQL's own words go; a name loses quotes that
it does not need. Names, strings and numbers stay as they are, and the text means what it meant.
"""

import re
from collections.abc import Iterable
from typing import Final

from pdelta.sql.token import Dialect, Kind, Token
from pdelta.sql.tokens import tokenize

_PLAIN_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_TIGHT_AFTER: Final = frozenset({"(", "."})
_TIGHT_BEFORE: Final = frozenset({")", ",", ".", ";"})

_RESERVED: Final = re.compile(
    r"ADD|ALL|ALTER|AND|AS|AUTOINCREMENT|BETWEEN|CASE|CHECK|COLLATE|COMMIT|CONSTRAINT|CREATE|"
    r"CROSS|CURRENT_DATE|CURRENT_TIME|CURRENT_TIMESTAMP|DEFAULT|DEFERRABLE|DELETE|DISTINCT|DROP|ELSE|"
    r"ESCAPE|EXCEPT|EXISTS|FALSE|FILTER|FOREIGN|FROM|FULL|GROUP|HAVING|IN|INDEX|INDEXED|INNER|"
    r"INSERT|INTERSECT|INTO|IS|ISNULL|JOIN|LEFT|LIMIT|NATURAL|NOT|NOTHING|NOTNULL|NULL|ON|OR|"
    r"ORDER|OUTER|OVER|PRIMARY|REFERENCES|RETURNING|RIGHT|SELECT|SET|TABLE|THEN|TO|TRANSACTION|"
    r"TRUE|UNION|UNIQUE|UPDATE|USING|VALUES|WHEN|WHERE|WINDOW|WITH",
    re.IGNORECASE,
)
"""Words of SQLite that are no names without quotes, or would mean something else as one."""

_WORDS: Final = re.compile(
    r"ABORT|ACTION|AFTER|ALWAYS|ASC|BEFORE|BEGIN|BY|CASCADE|CAST|CONFLICT|CURRENT|DEFERRED|DESC|"
    r"DO|EACH|END|FAIL|FOLLOWING|FOR|GENERATED|GLOB|IGNORE|IMMEDIATE|INITIALLY|INSTEAD|KEY|LIKE|"
    r"MATCH|NO|NULLS|OF|OFFSET|PARTITION|PRECEDING|RAISE|RANGE|RECURSIVE|REGEXP|REPLACE|RESTRICT|"
    r"ROLLBACK|ROW|ROWID|ROWS|STORED|STRICT|TEMP|TEMPORARY|TRIGGER|UNBOUNDED|VIEW|VIRTUAL|WITHOUT",
    re.IGNORECASE,
)
"""Other words of SQLite's grammar; what is called like one needs no quotes."""


def tokens_of(text: str) -> list[Token]:
    """Give the tokens of SQLite's SQL without comments.

    Raises:
        ScriptError: Something in it does not end.
    """
    return [token for token in tokenize(text, Dialect.SQLITE) if token.kind is not Kind.COMMENT]


def spelling(token: Token) -> str:
    """Give a token in its one spelling."""
    if token.kind is Kind.QUOTED:
        return spelt(name_of(token))
    if token.kind is Kind.WORD:
        return token.text.upper() if _RESERVED.fullmatch(token.text) else spelt(token.text)
    if token.kind is Kind.NUMBER:
        return token.text.lower()
    return {"!=": "<>", "==": "="}.get(token.text, token.text)


def spelt(name: str) -> str:
    """Give a name in its one spelling within a statement, which is that of the word of the grammar that it may be."""
    return name.upper() if _WORDS.fullmatch(name) else quoted(name)


def name_of(token: Token) -> str:
    """Give the name that a word, or a text in any of SQLite's quotes, is."""
    if token.kind not in {Kind.QUOTED, Kind.STRING}:
        return token.text
    quote = token.text[0]
    return token.text[1:-1] if quote == "[" else token.text[1:-1].replace(quote * 2, quote)


def quoted(name: str) -> str:
    """Give a name as it must be written: in quotes where it needs them."""
    if _PLAIN_NAME.fullmatch(name) and not _RESERVED.fullmatch(name):
        return name
    return '"' + name.replace('"', '""') + '"'


def plain(tokens: Iterable[Token]) -> str:
    """Give these tokens as one line."""
    parts: list[str] = []
    last, was_number = "(", False
    for token in tokens:
        text, is_number = spelling(token), token.kind is Kind.NUMBER
        is_tight = last in _TIGHT_AFTER or text in _TIGHT_BEFORE
        # A full stop beside a number would be read as a part of it.
        if not is_tight or (was_number and text == ".") or (last == "." and is_number):
            parts.append(" ")
        parts.append(text)
        last, was_number = text, is_number
    return "".join(parts)
