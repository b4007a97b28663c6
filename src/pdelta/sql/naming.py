"""What a statement names and whether it changes rows, told by its tokens alone.

Called by whoever decides which rows of a tenant are worth comparing; what triggers and functions do is not seen.
"""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from pdelta.sql.split import Statement
from pdelta.sql.token import Dialect, Kind, Token

_QUOTES: Final = '"`[]'
_CHANGES: Final = frozenset(
    {"CALL", "CHANGE", "COPY", "DELETE", "DO", "DROP", "EXECUTE", "INSERT", "INTO", "LOAD", "MERGE", "MODIFY"}
    | {"REPLACE", "TRUNCATE", "TYPE", "UPDATE"}
)
"""Words that are in every statement which changes rows, and in some others."""

_NAMES: Final = frozenset({Kind.WORD, Kind.QUOTED})
_THINGS: Final = frozenset(
    {"DATABASE", "EVENT", "FUNCTION", "INDEX", "PACKAGE", "PROCEDURE", "SCHEMA", "SEQUENCE", "TABLE", "TRIGGER", "TYPE"}
    | {"VIEW"}
)
_BEFORE_A_NAME: Final = frozenset({"CONCURRENTLY", "IF", "NOT", "EXISTS"})


def names_in(statements: Iterable[Statement]) -> frozenset[str]:
    """Give every word and quoted name of these statements, in small letters and without quotes."""
    return frozenset(plain(token.text) for one in statements for token in one.tokens if token.kind in _NAMES)


def plain(name: str) -> str:
    """Give a name as it compares: in small letters and without quotes."""
    return name.strip(_QUOTES).replace('""', '"').replace("``", "`").lower()


def concerned(statement: Statement, dialect: Dialect) -> frozenset[str]:
    """Give the names by which one can see whether a statement has happened: as ``plain`` gives them, or PostgreSQL.

    Those are of what it makes and of the kind of that, else all words and names of it: OR REPLACE may find what it
    makes there, and change parts of it. MySQL's indexes have their names within their tables. RENAME is among them
    where tables swap theirs, for then the same names are there before and after.
    """
    tokens, words = statement.tokens, [token.word for token in statement.tokens]
    place = next((place for place, word in enumerate(words) if word in _THINGS), len(words))
    # A package may be called BODY.
    is_body = words[place : place + 2] == ["PACKAGE", "BODY"] and words[place + 2 : place + 3] not in (["AS"], ["IS"])
    made = _past(words, place + 1 + is_body)
    if words[0] != "CREATE" or words[1:3] == ["OR", "REPLACE"] or words[made : made + 1] in ([], ["ON"]):
        named = [token for token in tokens if _may_name(token)]
    else:
        named = [tokens[place], tokens[made]]
        if dialect is Dialect.MYSQL and words[place] == "INDEX" and "ON" in words:
            named.append(tokens[_past(words, words.index("ON") + 1)])
    if dialect is Dialect.POSTGRESQL:
        escapes = {
            name: said.text[1:2]
            for name, word, said in zip(tokens, tokens[1:], tokens[2:], strict=False)
            if word.word == "UESCAPE" and said.kind is Kind.STRING
        }
        return frozenset(name for token in named for name in _exact(token, escapes.get(token, "\\")))
    names = frozenset(plain(token.text) for token in named)
    return names - {"rename"} if words[0] == "RENAME" and not _swaps(tokens) else names


def _swaps(tokens: Sequence[Token]) -> bool:
    """Say whether the tables of a RENAME TABLE have the same names behind it, each another one's."""
    now: dict[str, str] = {}
    old = new = ""
    for place, token in enumerate(tokens):
        if _may_name(token) and token.word not in {"TO", "WAIT", "NOWAIT"}:
            new = plain(token.text)
        if token.word == "TO":
            old = new
        if place + 1 == len(tokens) or token.word == ",":
            now[new] = now.pop(old, old)
    return set(now) == set(now.values())


def _may_name(token: Token) -> bool:
    """Say whether it is a name, or stands in double quotes: those are names where a delta sets ``ANSI_QUOTES``."""
    return token.kind in _NAMES or token.text.startswith('"')


def _exact(token: Token, escape: str) -> tuple[str, ...]:
    """Give the name that PostgreSQL knows by a token; of a word it folds letters outside ASCII in some encodings.

    Args:
        token: A name.
        escape: What begins an escape in ``U&"…"``.
    """
    if token.kind is not Kind.QUOTED:
        return (token.text.encode().lower().decode(), token.text.lower())
    opening, _, rest = token.text.partition('"')
    name = rest[:-1].replace('""', '"')
    if not opening:
        return (name,)
    one = re.escape(escape)
    # Two of UTF-16 make one letter.
    found = re.sub(rf"{one}(?:([0-9A-Fa-f]{{4}})|\+([0-9A-Fa-f]{{6}})|({one}))", _letter, name)
    return (found.encode("utf-16", "surrogatepass").decode("utf-16", "replace"),)


def _letter(escaped: re.Match[str]) -> str:
    return escaped[3] or chr(min(int(escaped[1] or escaped[2], 16), 0x10FFFF))


def _past(words: Sequence[str], place: int) -> int:
    """Give the place of the last part of the name that comes from here on; behind the end where none does."""
    while words[place : place + 1] and words[place] in _BEFORE_A_NAME:
        place += 1
    while words[place + 1 : place + 2] == ["."]:
        place += 2
    return place


def may_change_rows(statement: Statement) -> bool:
    """Say whether a statement may change, or lose, rows that were there before; a false alarm costs a question."""
    return any(token.word in _CHANGES for token in statement.tokens)
