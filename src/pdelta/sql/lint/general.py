"""Rules that every dialect has: what is lost, what breaks a running application, and writes without a WHERE."""

from collections.abc import Iterator
from typing import Final

from pdelta.sql.lint.case import Case, Check
from pdelta.sql.lint.finding import Hit, Rule, Severity
from pdelta.sql.lint.reading import AlterTable, Drop, Truncate, Write
from pdelta.sql.lint.shape import columns_added, renamed, writes_within
from pdelta.sql.token import Dialect

EVERY: Final = tuple(Dialect)
_APPLICATION: Final = "an application that still runs in its old version reads it, and fails"
_DROPPED_WHOLE: Final = frozenset({"DATABASE", "SCHEMA"})
_DROPPED_PARTS: Final = frozenset({"CONSTRAINT", "PRIMARY", "INDEX", "KEY", "FOREIGN", "CHECK", "PARTITION"})

RULES: Final = (
    Rule(
        "drop-column",
        Severity.WARNING,
        EVERY,
        f"its data is gone, and {_APPLICATION}",
        "stop reading and writing it in one release of the application, and drop it in a later one",
    ),
    Rule(
        "drop-table",
        Severity.WARNING,
        EVERY,
        f"its data is gone, and {_APPLICATION}",
        "stop using it in one release of the application, and drop it in a later one",
    ),
    Rule(
        "drop-database",
        Severity.ERROR,
        EVERY,
        "everything in it is gone, and no reverse brings it back",
        "let a person drop it, after a backup that was tried",
    ),
    Rule(
        "drop-cascade",
        Severity.WARNING,
        (Dialect.POSTGRESQL,),
        "CASCADE drops whatever depends on it, which nobody has named, and no reverse can bring back",
        "drop what depends on it by name, before it",
    ),
    Rule(
        "rename",
        Severity.WARNING,
        EVERY,
        "an application that still runs in its old version asks for the old name, and fails",
        "add the new one beside it (for a table: a view of the old name), and drop the old one in a later release",
    ),
    Rule(
        "truncate",
        Severity.ERROR,
        (Dialect.POSTGRESQL, Dialect.MYSQL),
        "all rows are gone; it waits for every reader, and in MySQL no transaction takes it back",
        "delete the rows by a WHERE, or say why by allow",
    ),
    Rule(
        "write-without-where",
        Severity.ERROR,
        EVERY,
        "it changes every row, in one transaction that keeps them all locked",
        "say which rows by a WHERE (WHERE true where all are meant), and write large tables in pieces",
    ),
    Rule(
        "column-not-null-without-default",
        Severity.ERROR,
        EVERY,
        "the rows have no value for it: PostgreSQL and SQLite refuse, MySQL fills in a zero or an empty string",
        "add it with a DEFAULT, or nullable, fill it, and set NOT NULL afterwards",
    ),
)


def _drops(case: Case) -> Iterator[Hit]:
    if not case.is_forward:
        return
    if isinstance(case.shape, Drop):
        told = ", ".join(map(str, case.shape.names))
        if case.shape.kind in _DROPPED_WHOLE:
            yield Hit("drop-database", case.line, f"DROP {case.shape.kind} {told}")
        fresh = all(name.last in case.made for name in case.shape.names)
        if case.shape.kind == "TABLE" and not case.begins("DROP", "TEMPORARY") and not (fresh or _is_replaced(case)):
            yield Hit("drop-table", case.line, f"DROP TABLE {told}")
    for table, action in case.alterations:
        if _drops_column(action.words, case.dialect):
            yield Hit("drop-column", action.line, f"DROP COLUMN in {table}")


def _is_replaced(case: Case) -> bool:
    """Say whether a later statement gives another table the name of the one that is dropped here."""
    names = {name.last for name in case.shape.names} if isinstance(case.shape, Drop) else set()
    return any(
        isinstance(one, AlterTable) and one.actions and renamed(one.actions[0]) in names
        for one in case.mine[case.place + 1 :]
    )


def _drops_column(words: list[str], dialect: Dialect) -> bool:
    if words[:1] != ["DROP"]:
        return False
    # PostgreSQL drops nothing else of a table by DROP alone than a constraint, MySQL a good deal.
    others = {"CONSTRAINT"} if dialect is Dialect.POSTGRESQL else _DROPPED_PARTS
    return not others & set(words[1:2])


def _cascade(case: Case) -> Iterator[Hit]:
    if isinstance(case.shape, Drop) and case.shape.cascade:
        yield Hit("drop-cascade", case.line, f"DROP {case.shape.kind} … CASCADE")
    for table, action in case.alterations:
        if action.words[:1] == ["DROP"] and action.has("CASCADE"):
            yield Hit("drop-cascade", action.line, f"DROP … CASCADE in {table}")


def _renames(case: Case) -> Iterator[Hit]:
    if not case.is_forward:
        return
    if case.begins("RENAME", "TABLE"):
        yield Hit("rename", case.line, "RENAME TABLE")
    elif case.begins("ALTER", "VIEW") and "RENAME" in case.words:
        yield Hit("rename", case.line, "a view gets another name")
    for table, action in case.alterations:
        words = action.words
        inner = {"CONSTRAINT", "INDEX", "KEY"} & set(words[1:2])
        if words[:1] == ["RENAME"] and not inner and table.last not in case.made:
            yield Hit("rename", action.line, f"RENAME of {table}, or of a column of it")


def _truncates(case: Case) -> Iterator[Hit]:
    if isinstance(case.shape, Truncate):
        told = [str(table) for table in case.shape.tables if table.last not in case.made]
        if told:
            yield Hit("truncate", case.line, f"TRUNCATE {', '.join(told)}")


def _writes(case: Case) -> Iterator[Hit]:
    main = [(case.line, case.shape)] if isinstance(case.shape, Write) else []
    for line, write in (*main, *((one.table.line, one) for one in writes_within(case.tokens, case.dialect))):
        size = case.size_of(write.table)
        if size is not None and not write.chosen:
            yield Hit("write-without-where", line, f"{write.verb} of every row of {write.table}; {size}")


def _not_null(case: Case) -> Iterator[Hit]:
    for table, action in case.alterations:
        for column in columns_added(action):
            rest = column.rest
            default = column.default and [token.word for token in column.default] != ["NULL"]
            given = default or rest.has("GENERATED") or rest.has("AS") or rest.has("AUTO_INCREMENT")
            serial = set(column.type_words) & {"SERIAL", "BIGSERIAL", "SMALLSERIAL"}
            required = rest.has("NOT", "NULL") or (rest.has("PRIMARY") and case.dialect is not Dialect.SQLITE)
            if required and not given and not serial and not case.is_empty(table):
                severity = Severity.WARNING if case.dialect is Dialect.MYSQL else None
                yield Hit(
                    "column-not-null-without-default",
                    action.line,
                    f"{table}.{column.name} is NOT NULL and has no DEFAULT",
                    severity,
                )


CHECKS: Final[tuple[Check, ...]] = (_drops, _cascade, _renames, _truncates, _writes, _not_null)
