"""Which statements a server does not take inside a transaction, and which would end one.

Called by whoever makes pieces of a script, and by the rules of ``pdelta sql lint``. Told by the words of a statement
alone: nothing is asked of a server. (What a procedure or a ``DO`` block does inside is not seen.)
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from pdelta.sql.split import Statement
from pdelta.sql.token import Dialect, Kind

_FALSE: Final = frozenset({"FALSE", "OFF", "0", "'FALSE'", "'OFF'"})
_REINDEXED_WHOLE: Final = frozenset({"SCHEMA", "DATABASE", "SYSTEM"})
_FORMS: Final = (
    ("VACUUM",),
    ("ALTER", "SYSTEM"),
    ("CREATE", "INDEX", "CONCURRENTLY"),
    ("DROP", "INDEX", "CONCURRENTLY"),
    ("DISCARD", "ALL"),
    ("COMMIT", "PREPARED"),
    ("ROLLBACK", "PREPARED"),
)
"""What PostgreSQL tells by its first words; the callers of ``PreventInTransactionBlock`` in its source."""
_DIFFERS_IN_A_TRANSACTION: Final = frozenset({"FOREIGN_KEYS", "SYNCHRONOUS", "JOURNAL_MODE", "WAL_CHECKPOINT"})
"""Pragmas that SQLite refuses there or passes over without a word."""

_LITERALS: Final = frozenset({Kind.NUMBER, Kind.STRING})

Words = Sequence[str]


def needs_no_transaction(statement: Statement, dialect: Dialect) -> str:
    """Give what about this statement can't stand in a transaction, in words for people; empty where it can.

    For PostgreSQL and SQLite: the server would refuse it, or pass it over. For MySQL: it commits whatever is open.
    """
    words = _words(statement)
    return _TESTS[dialect](words) if words else ""


def controls_transaction(statement: Statement, dialect: Dialect) -> str:
    """Give the word by which this statement begins or ends a transaction; empty where it does neither.

    A savepoint does neither, nor does rolling back to one.
    """
    words = _words(statement)
    first = words[0] if words else ""
    second = words[1] if len(words) > 1 else ""
    told = first
    match first, second:
        case "START", "TRANSACTION":
            told = "START TRANSACTION"
        case "PREPARE", "TRANSACTION":
            told = "PREPARE TRANSACTION"
        case "BEGIN", "NOT":
            told = ""  # ATOMIC: a block of MariaDB's
        case "BEGIN" | "COMMIT", _:
            pass
        case "ROLLBACK", _:
            told = "" if "TO" in words[1:4] else first
        case "END" | "ABORT", _:
            told = "" if dialect is Dialect.MYSQL else first
        case "SET", _ if dialect is Dialect.MYSQL and _sets_autocommit(words):
            told = "SET autocommit"
        case _:
            told = ""
    return told


def may_commit(statement: Statement) -> str:
    """Give the word by which a statement of MySQL begins where what it commits can't be told; empty where that can.

    So it is of a CALL and of MariaDB's blocks: neither can share the transaction of a delta, and of what they did
    nothing could be told afterwards.
    """
    words = _words(statement)
    first = "".join(words[behind_settings(words) :][:1])
    return "" if first in _COMMITS_NEVER or _mysql(words) else first or statement.tokens[0].text


def alone(statements: Sequence[Statement], dialect: Dialect) -> Mapping[int, str]:
    """Give the places, from 0, of those that can't share a transaction with the others, and why.

    Besides what ``needs_no_transaction`` knows, that is the new value of an enumerated type which a later statement of
    the same delta names: PostgreSQL lets nobody use it before it is committed. Whether foreign keys are enforced in a
    delta of SQLite is settled before its transaction begins (``enforces``), and so what says it can stay inside.
    """
    found = {
        place: why
        for place, one in enumerate(statements)
        if (why := needs_no_transaction(one, dialect)) and (dialect is not Dialect.SQLITE or _enforced(one) is None)
    }
    if dialect is Dialect.POSTGRESQL:
        for place, one in enumerate(statements):
            value = _new_value(one)
            if value and any(_names(later, value) for later in statements[place + 1 :]):
                found.setdefault(place, f"a later statement uses {value}, which ALTER TYPE … ADD VALUE adds here")
    return found


def behind_settings(words: Words) -> int:
    """Give the place of the statement behind MariaDB's ``SET STATEMENT … FOR``, which sets for it alone; else 0.

    Args:
        words: Of a statement, in capitals, without the edges of ``/*! … */``.
    """
    return words.index("FOR") + 1 if list(words[:2]) == ["SET", "STATEMENT"] and "FOR" in words else 0


def enforces(statements: Iterable[Statement]) -> bool:
    """Say whether the first pragma about it in a delta of SQLite asks for foreign keys to be enforced."""
    return next((said for one in statements if (said := _enforced(one)) is not None), False)


def enforced(words: Sequence[str]) -> bool | None:
    """Give what a ``PRAGMA foreign_keys`` sets, and None for anything else.

    Args:
        words: Of a statement of SQLite, in capitals, without quotes and without a pragma's schema.
    """
    match words:
        case ["PRAGMA", "FOREIGN_KEYS", "=" | "(", value, *_]:
            return value in {"ON", "YES", "TRUE", "1"}
        case _:
            return None


def _enforced(statement: Statement) -> bool | None:
    words = [token.text.strip("'\"`[]").upper() for token in statement.tokens]
    return enforced([words[0], *words[3:]] if words[2:3] == ["."] else words)


def _words(statement: Statement) -> list[str]:
    """Give words and literals in capitals and symbols; empty ones for names in quotes, none for ``/*! … */``."""
    words = [token.text.upper() if token.kind in _LITERALS else token.word for token in statement.tokens]
    return [word for word in words if not word.startswith("/*") and word != "*/"]


def _postgresql(words: Words) -> str:
    match words:
        case ["CREATE" | "DROP", "DATABASE" | "TABLESPACE" as thing, *_]:
            return f"{words[0]} {thing}"
        case [_, "SUBSCRIPTION", *_]:
            return _subscription(words)
        case ["REINDEX", *rest]:
            return _reindex(rest)
        case ["CLUSTER", *rest]:
            return "" if any(word not in {"VERBOSE", "(", ")"} for word in rest) else "CLUSTER of every table"
        case ["ALTER", "TABLE", *rest] if "DETACH" in rest and rest[-1] == "CONCURRENTLY":
            return "DETACH PARTITION … CONCURRENTLY"
        case ["ALTER", "DATABASE", _, "SET", "TABLESPACE", *_]:
            return "ALTER DATABASE … SET TABLESPACE"
        case ["CREATE", "UNIQUE", *rest]:
            return _beginning(["CREATE", *rest])
        case _:
            return _beginning(words)


def _beginning(words: Words) -> str:
    return next((" ".join(form) for form in _FORMS if list(words[: len(form)]) == list(form)), "")


def _reindex(rest: Words) -> str:
    options, rest = _bracketed(rest)
    if rest[:1] and rest[0] in _REINDEXED_WHOLE:
        return f"REINDEX {rest[0]}"
    asked = rest[1:2] == ["CONCURRENTLY"]
    for option in options:
        if option[:1] == ["CONCURRENTLY"]:
            asked = not (option[1:] and option[1] in _FALSE)
    return "REINDEX CONCURRENTLY" if asked else ""


def _subscription(words: Words) -> str:
    first = words[0]
    if first == "DROP":
        return "DROP SUBSCRIPTION"
    place = words.index("WITH") + 1 if "WITH" in words else len(words)
    options = {option[0]: option[-1] for option in _bracketed(words[place:])[0] if option}
    if first == "CREATE" and not _FALSE & {options.get("CREATE_SLOT", ""), options.get("CONNECT", "")}:
        return "CREATE SUBSCRIPTION with a replication slot"
    publishes = "PUBLICATION" in words[3:5] and options.get("REFRESH") not in _FALSE
    if first == "ALTER" and publishes:
        return "ALTER SUBSCRIPTION with a refresh"
    return ""


def _bracketed(words: Words) -> tuple[list[Words], Words]:
    """Give the options in the brackets that the words begin with, and the words after them."""
    if words[:1] != ["("]:
        return [], words
    end = words.index(")") if ")" in words else len(words)
    options: list[list[str]] = [[]]
    for word in words[1:end]:
        if word == ",":
            options.append([])
        else:
            options[-1].append(word)
    return list(options), words[end + 1 :]


def _sqlite(words: Words) -> str:
    if words[0] == "PRAGMA":
        rest = words[3:] if words[2:3] == ["."] else words[1:]
        if len(rest) > 1 or rest == ["WAL_CHECKPOINT"]:
            return f"PRAGMA {rest[0].lower()}" if rest[0] in _DIFFERS_IN_A_TRANSACTION else ""
    return words[0] if words[0] in {"VACUUM", "DETACH"} else ""


_COMMITS: Final = frozenset(
    {"ALTER", "ANALYZE", "CACHE", "CHANGE", "CHECK", "CREATE", "DROP", "FLUSH", "GRANT", "INSTALL", "LOAD", "OPTIMIZE"}
    | {"RENAME", "REPAIR", "RESET", "REVOKE", "START", "STOP", "UNINSTALL", "UNLOCK"}
)
"""First words of statements that commit whatever is open: "Statements That Cause an Implicit Commit" of MySQL."""

_COMMITS_NEVER: Final = frozenset(
    {"DELETE", "DO", "INSERT", "REPLACE", "SELECT", "SET", "TABLE", "UPDATE", "VALUES", "WITH", "("}
    | {"ANALYZE", "DESC", "DESCRIBE", "EXPLAIN", "SHOW"}
)
"""First words of others: neither they nor what they call can."""


def _mysql(words: Words) -> str:
    match words:
        case ["CREATE" | "DROP", "TEMPORARY", *_] | ["CREATE", "OR", "REPLACE", "TEMPORARY", *_]:
            return ""
        case ["LOAD", "DATA" | "XML", *_]:
            return ""
        case ["LOCK", "TABLE" | "TABLES" as thing, *_]:
            return f"LOCK {thing}"
        case ["SET", "PASSWORD", *_]:
            return "SET PASSWORD"
        case ["SET", "STATEMENT", *_] if place := behind_settings(words):
            return _mysql(words[place:])
        case ["TRUNCATE", *_]:
            return "TRUNCATE"
        case [first, *rest] if first in _COMMITS:
            return " ".join([first, *rest[:1]]).strip()
        case _:
            return ""


def _sets_autocommit(words: Words) -> bool:
    return "AUTOCOMMIT" in words[:6] and words[words.index("AUTOCOMMIT") + 1 :][:1] in (["="], [":="])


def _new_value(statement: Statement) -> str:
    """Give the literal of the value that an ``ALTER TYPE … ADD VALUE`` adds; empty for anything else."""
    words = [token.word for token in statement.tokens]
    if words[:2] != ["ALTER", "TYPE"] or "VALUE" not in words or words[words.index("VALUE") - 1] != "ADD":
        return ""
    texts = (token.text for token in statement.tokens[words.index("VALUE") :] if token.kind is Kind.STRING)
    return next(texts, "")


def _names(statement: Statement, literal: str) -> bool:
    """Say whether a literal of this text stands in a statement, be it inside a body in dollars."""
    return any(token.kind is Kind.STRING and literal in token.text for token in statement.tokens)


_TESTS: Final[Mapping[Dialect, Callable[[Words], str]]] = {
    Dialect.POSTGRESQL: _postgresql,
    Dialect.MYSQL: _mysql,
    Dialect.SQLITE: _sqlite,
}
