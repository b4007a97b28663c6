"""Whether a text is a SQL statement or prose, told by its first words.

For comments only: a reverse that somebody wrote under a heading of another tool must not be lost without
a word. Never decides what is executed.
"""

from collections.abc import Mapping
from contextlib import suppress
from itertools import islice
from typing import Final

from pdelta.errors import ScriptError
from pdelta.sql.token import Dialect, Kind, Token
from pdelta.sql.tokens import tokenize

_THINGS: Final = frozenset(
    {
        "AGGREGATE",
        "CAST",
        "COLLATION",
        "DATABASE",
        "DOMAIN",
        "EVENT",
        "EXTENSION",
        "FUNCTION",
        "INDEX",
        "MATERIALIZED",
        "OPERATOR",
        "POLICY",
        "PROCEDURE",
        "PUBLICATION",
        "ROLE",
        "RULE",
        "SCHEMA",
        "SEQUENCE",
        "SERVER",
        "STATISTICS",
        "SUBSCRIPTION",
        "TABLE",
        "TRIGGER",
        "TYPE",
        "USER",
        "VIEW",
    }
)
_ADJECTIVES: Final = frozenset(
    {"FULLTEXT", "OR", "RECURSIVE", "REPLACE", "SPATIAL", "TEMP", "TEMPORARY", "UNIQUE", "UNLOGGED", "VIRTUAL"}
)
_SECOND: Final[Mapping[str, frozenset[str]]] = {
    "ALTER": _THINGS,
    "COMMENT": frozenset({"ON"}),
    "CREATE": _THINGS | _ADJECTIVES,
    "DELETE": frozenset({"FROM"}),
    "DROP": _THINGS,
    "INSERT": frozenset({"INTO"}),
    "MERGE": frozenset({"INTO"}),
    "RENAME": frozenset({"TABLE"}),
    "REPLACE": frozenset({"INTO"}),
    "TRUNCATE": frozenset({"TABLE"}),
}
_OTHERS: Final = frozenset(
    {"CALL", "DO", "GRANT", "REFRESH", "REINDEX", "REVOKE", "SELECT", "SET", "UPDATE", "VACUUM", "WITH"}
)
_LOOKED_AT: Final = 200


def looks_like_sql(text: str, dialect: Dialect) -> bool:
    """Say whether this text begins as a statement does.

    True where the first two words can only be SQL and something follows them, or where a verb of SQL begins what a
    semicolon ends; of prose that is rarely true.
    """
    words = [token.word or "name" for token in _beginning(text, dialect)]
    if len(words) < 3:
        return False
    known = _SECOND.get(words[0])
    if known is not None and words[1] in known:
        return True
    if words[0] == "UPDATE" and "SET" in words[2:]:
        return True
    return (known is not None or words[0] in _OTHERS) and ";" in words


def _beginning(text: str, dialect: Dialect) -> list[Token]:
    held: list[Token] = []
    # An apostrophe of prose: what comes before it decides.
    with suppress(ScriptError):
        held.extend(token for token in islice(tokenize(text, dialect), _LOOKED_AT) if token.kind is not Kind.COMMENT)
    return held
