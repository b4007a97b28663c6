"""Whether a text is a SQL statement or prose, told by its first words.

For comments only: a reverse that somebody wrote under a heading of another tool must not be lost without
a word. Never decides what is executed.
"""

from collections.abc import Mapping
from contextlib import suppress
from itertools import islice, pairwise
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
_RARE: Final = frozenset(
    {"ACCESS", "ALGORITHM", "CONSTRAINT", "CONVERSION", "DEFAULT", "DEFINER", "FOREIGN", "GLOBAL", "GROUP", "INSTANCE"}
    | {"LANGUAGE", "LARGE", "LOCAL", "LOGFILE", "ONLINE", "OWNED", "PACKAGE", "PREPARE", "PROCEDURAL", "RESOURCE"}
    | {"SPECIFIC", "SQL", "SYSTEM", "TABLESPACE", "TEMPORARY", "TEXT", "TRANSFORM", "TRUSTED", "UNDO"}
)
"""Behind ALTER, CREATE and DROP as well, though prose has them there too."""
_VALUES: Final = frozenset({"DEFAULT", "SELECT", "SET", "TABLE", "VALUE", "VALUES", "("})
_NEEDS: Final[Mapping[str, frozenset[str]]] = {
    "CALL": frozenset({"(", ";", "."}),
    "DELETE": frozenset({"FROM"}),
    "DO": frozenset({"name", "(", "LANGUAGE"}),
    "GRANT": frozenset({"TO"}),
    "INSERT": _VALUES,
    "MERGE": frozenset({"USING"}),
    "REFRESH": frozenset({"VIEW"}),
    "REINDEX": frozenset({";", ".", "(", "CONCURRENTLY", "DATABASE", "INDEX", "SCHEMA", "SYSTEM", "TABLE"}),
    "REPLACE": _VALUES,
    "REVOKE": frozenset({"FROM"}),
    "SELECT": frozenset(),
    "SET": frozenset({"=", ":=", "TO", "ROLE", "CONSTRAINTS", "TRANSACTION", "NAMES", "CHARACTER", "AUTHORIZATION"}),
    "TRUNCATE": frozenset({";", ",", ".", "*", "CASCADE", "CONTINUE", "RESTART", "RESTRICT"}),
    "UPDATE": frozenset({"="}),
    "VACUUM": frozenset(),
    "WITH": frozenset({"AS"}),
}
"""What one of these verbs must have further on in its statement; nothing where any word may follow."""
_NEXT: Final = frozenset({"TRUNCATE", "REINDEX", "CALL", "DO"})
"""Of these it is the next word, or the one behind that."""
_VERBS: Final = frozenset(
    {*_SECOND, *_NEEDS}
    | {"ANALYZE", "BEGIN", "CLUSTER", "COMMIT", "END", "EXECUTE", "IF", "LOCK", "NOTIFY", "OPTIMIZE", "PRAGMA"}
    | {"PERFORM", "REASSIGN", "ROLLBACK", "START", "UNLOCK", "VALUES"}
)
"""What a statement behind a semicolon begins with."""
_LOOKED_AT: Final = 200


def looks_like_sql(text: str, dialect: Dialect) -> bool:
    """Say whether this text begins as a statement does.

    True where the first two words can only be SQL and something follows them; or where a semicolon ends what a verb
    of SQL begins, the words are there that the verb needs, and no prose goes on behind the semicolon.
    """
    words = [token.word or "name" for token in _beginning(text, dialect)]
    if len(words) < 3:
        return False
    first, second = words[:2]
    if second in _SECOND.get(first, ()):
        return True
    if first == "UPDATE" and "SET" in words[2:] and "=" in words:
        return True
    return ";" in words and _is_whole(words) and not _goes_on_as_prose(words)


def _is_whole(words: list[str]) -> bool:
    """Say whether the first statement of these words has what its verb needs."""
    first, second = words[:2]
    if first in {"ALTER", "CREATE", "DROP"}:
        return second in _RARE
    if first == "RENAME":
        return second in {"TABLES", "USER"}
    needed = _NEEDS.get(first)
    statement = [word for word in words[1 : words.index(";") + 1] if word != "ONLY"]
    return needed is not None and (not needed or bool(needed & set(statement[:2] if first in _NEXT else statement)))


def _goes_on_as_prose(words: list[str]) -> bool:
    return any(one == ";" and two not in {";", *_VERBS} for one, two in pairwise(words))


def _beginning(text: str, dialect: Dialect) -> list[Token]:
    held: list[Token] = []
    # An apostrophe of prose: what comes before it decides.
    with suppress(ScriptError):
        held.extend(token for token in islice(tokenize(text, dialect), _LOOKED_AT) if token.kind is not Kind.COMMENT)
    return held
