"""Rules for MySQL and MariaDB: what copies a table, what blocks its writers, and what leaves a delta half done.

After the tables of online DDL in the manuals of MySQL 8.0 ("Online DDL Operations") and MariaDB ("InnoDB Online DDL").
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

import msgspec

from pdelta.sql.lint.case import Case, Check
from pdelta.sql.lint.finding import Hit, Rule, Severity
from pdelta.sql.lint.reading import AlterTable, CreateTable, Words
from pdelta.sql.lint.shape import column_changed, columns_added, columns_defined
from pdelta.sql.token import Dialect, Kind, Token

_ONLY: Final = (Dialect.MYSQL,)
_COPIED: Final = "the whole table is copied, and nobody can write to it until that is done"
_ENGINES: Final = frozenset({"MYISAM", "MEMORY", "ARIA", "CSV", "ARCHIVE", "MERGE", "BLACKHOLE", "HEAP"})
_OLD_CHARSETS: Final = frozenset({"UTF8", "UTF8MB3"})

RULES: Final = (
    Rule(
        "algorithm-not-said",
        Severity.WARNING,
        _ONLY,
        "where the change can't be made at once, the server copies the table without a word, and blocks its writers",
        "ALGORITHM=INSTANT, or ALGORITHM=INPLACE, LOCK=NONE: the server then refuses instead of copying",
    ),
    Rule(
        "copies-table",
        Severity.ERROR,
        _ONLY,
        _COPIED,
        "a tool that copies beside the table (gh-ost, pt-online-schema-change), or a new column instead of the old one",
    ),
    Rule(
        "change-column",
        Severity.ERROR,
        _ONLY,
        f"MODIFY and CHANGE state the whole column anew: with another type {_COPIED}, and what is not repeated "
        "(NOT NULL, DEFAULT, COMMENT) is lost",
        "RENAME COLUMN, or ALTER COLUMN … SET DEFAULT; for another type a new column that replaces the old one",
    ),
    Rule(
        "charset-change",
        Severity.ERROR,
        _ONLY,
        f"{_COPIED}; what does not fit the new character set is lost",
        "a new column or table with the new character set, filled in pieces",
    ),
    Rule(
        "foreign-key-copies",
        Severity.WARNING,
        _ONLY,
        "with foreign_key_checks on the table is copied, and nobody can write to it until that is done",
        "leave it to the application, or add it to a table that is still small",
    ),
    Rule(
        "merge-alterations",
        Severity.HINT,
        _ONLY,
        "each ALTER TABLE may copy the table once, and is a step of its own that a failure can stop behind",
        "one ALTER TABLE with all changes",
    ),
    Rule(
        "engine-without-transactions",
        Severity.WARNING,
        _ONLY,
        "its rows are not part of any transaction: a delta that fails leaves half of its writes",
        "ENGINE=InnoDB",
    ),
    Rule(
        "old-charset",
        Severity.HINT,
        _ONLY,
        "utf8 is utf8mb3 there, which has no room for many characters, emoji among them",
        "utf8mb4",
    ),
    Rule(
        "timestamp-ends",
        Severity.HINT,
        _ONLY,
        "TIMESTAMP ends in January 2038",
        "DATETIME",
    ),
    Rule(
        "lock-tables",
        Severity.ERROR,
        _ONLY,
        "it outlives the delta on its connection, and commits what is open",
        "leave locks to the server; pdelta lets one run at a time into a tenant",
    ),
)


def _alterations(case: Case) -> Iterator[Hit]:
    shape = case.shape
    if not isinstance(shape, AlterTable):
        return
    size = case.size_of(shape.table)
    if size is None:
        return
    algorithm = _algorithm(shape)
    replaces_key = any(action.words[:1] == ["ADD"] and action.has("PRIMARY", "KEY") for action in shape.actions)
    told = f"{shape.table}; {size}"
    # Where the delta says how, the server refuses what it can't do so.
    weight = Severity.WARNING if algorithm not in {"", "COPY", "DEFAULT"} else None
    hits = [
        msgspec.structs.replace(hit, severity=weight)
        for action in shape.actions
        for hit in _action(action, told, replaces_key=replaces_key)
    ]
    yield from hits
    if algorithm == "COPY":
        yield Hit("copies-table", case.line, f"ALGORITHM=COPY of {shape.table}; {size}")
    if not algorithm and not hits:
        yield Hit("algorithm-not-said", case.line, f"ALTER TABLE {shape.table} without ALGORITHM; {size}")


def _algorithm(shape: AlterTable) -> str:
    for action in shape.actions:
        words = [word for word in action.words if word != "="]
        if words[:1] == ["ALGORITHM"] and len(words) > 1:
            return words[1]
    return ""


def _action(action: Words, told: str, *, replaces_key: bool) -> Iterator[Hit]:
    words = [word for word in action.words if word != "="]
    match words:
        case ["CONVERT", "TO", *_]:
            yield Hit("charset-change", action.line, f"CONVERT TO CHARACTER SET of {told}")
        case ["ENGINE", engine, *_] if engine != "INNODB":
            yield Hit("copies-table", action.line, f"another ENGINE of {told}")
        case ["ORDER", "BY", *_]:
            yield Hit("copies-table", action.line, f"ORDER BY of {told}")
        case ["DROP", "PRIMARY", "KEY", *_] if not replaces_key:
            yield Hit("copies-table", action.line, f"DROP PRIMARY KEY of {told}")
        case ["ADD", *_] if action.has("FOREIGN", "KEY"):
            yield Hit("foreign-key-copies", action.line, f"ADD FOREIGN KEY to {told}")
        case ["PARTITION", "BY", *_] | ["REMOVE", "PARTITIONING", *_] | ["REORGANIZE", "PARTITION", *_]:
            yield Hit("copies-table", action.line, f"{words[0]} {words[1]} of {told}")
        case _:
            yield from _column_action(action, told)


def _column_action(action: Words, told: str) -> Iterator[Hit]:
    changed = column_changed(action)
    if changed is not None:
        name, column = changed
        rule = (
            "charset-change" if column.rest.has("CHARACTER", "SET") or column.rest.has("CHARSET") else "change-column"
        )
        yield Hit(rule, action.line, f"{action.words[0]} of {name} in {told}")
    for added in columns_added(action):
        if added.rest.has("STORED") or added.rest.has("PERSISTENT"):
            yield Hit("copies-table", action.line, f"{added.name} is generated and stored in {told}")
        if added.rest.has("AUTO_INCREMENT"):
            yield Hit("copies-table", action.line, f"{added.name} is AUTO_INCREMENT in {told}")


def _neighbours(case: Case) -> Iterator[Hit]:
    before = case.mine[case.place - 1] if case.place else None
    shape = case.shape
    if isinstance(shape, AlterTable) and isinstance(before, AlterTable) and shape.table.parts == before.table.parts:
        yield Hit("merge-alterations", case.line, f"a second ALTER TABLE {shape.table} right behind the first")


def _definitions(case: Case) -> Iterator[Hit]:
    if case.begins("LOCK", "TABLES") or case.begins("LOCK", "TABLE"):
        yield Hit("lock-tables", case.line, "LOCK TABLES")
    if isinstance(case.shape, CreateTable):
        columns = list(columns_defined(case.shape))
        options: tuple[Token, ...] = case.shape.options
    elif isinstance(case.shape, AlterTable):
        columns = [column for _, action in case.alterations for column in columns_added(action)]
        options = tuple(token for action in case.shape.actions for token in action.tokens)
    else:
        return
    for column in columns:
        if column.type_words[:1] == ["TIMESTAMP"]:
            yield Hit("timestamp-ends", column.rest.line, f"{column.name} is a TIMESTAMP")
        yield from _charsets(column.rest.tokens)
    yield from _charsets(options)
    for option, value in _settings(options):
        if option.word in {"ENGINE", "TYPE"} and value.word in _ENGINES:
            yield Hit("engine-without-transactions", option.line, f"ENGINE={value.text}")


def _charsets(tokens: tuple[Token, ...]) -> Iterator[Hit]:
    for option, value in _settings(tokens):
        if option.word in {"CHARSET", "SET"} and value.text.strip("'\"").upper() in _OLD_CHARSETS:
            yield Hit("old-charset", value.line, f"the character set {value.text}")


def _settings(tokens: tuple[Token, ...]) -> Iterator[tuple[Token, Token]]:
    """Give each word with what is set behind it, an equals sign between them or none."""
    plain = [token for token in tokens if token.word != "="]
    return ((one, other) for one, other in pairwise(plain) if one.kind is Kind.WORD)


CHECKS: Final[tuple[Check, ...]] = (_alterations, _neighbours, _definitions)
