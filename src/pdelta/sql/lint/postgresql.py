"""Rules for PostgreSQL: what rewrites or scans a table under a lock, and types that are regretted later.

After the rules of squawk and strong_migrations and PostgreSQL's own documentation of ALTER TABLE (13 and later).
"""

from collections.abc import Iterator
from typing import Final

from pdelta.sql.lint.case import Case, Check
from pdelta.sql.lint.finding import Hit, Rule, Severity
from pdelta.sql.lint.reading import AlterTable, Column, CreateIndex, CreateTable, Drop, Name, Words
from pdelta.sql.lint.shape import columns_added, columns_defined
from pdelta.sql.script import Transaction
from pdelta.sql.token import Dialect, Kind

_ONLY: Final = (Dialect.POSTGRESQL,)
_LOCKED: Final = "nobody can read or write the table until that is done"
_STEADY: Final = frozenset(
    {"NOW", "CURRENT_TIMESTAMP", "CURRENT_DATE", "CURRENT_TIME", "LOCALTIME", "LOCALTIMESTAMP", "TRANSACTION_TIMESTAMP"}
    | {"STATEMENT_TIMESTAMP", "CURRENT_USER", "SESSION_USER", "CURRENT_SCHEMA", "CURRENT_SETTING", "CURRENT_DATABASE"}
    | {"LOWER", "UPPER", "COALESCE", "NULLIF", "CONCAT", "MD5", "DATE_TRUNC", "MAKE_DATE", "MAKE_INTERVAL", "TO_CHAR"}
    | {"JSONB_BUILD_OBJECT", "JSON_BUILD_OBJECT", "JSONB_BUILD_ARRAY", "ARRAY", "ROW", "CAST", "EXTRACT", "TIMEZONE"}
    | {"TO_TSVECTOR", "INT4RANGE", "TSTZRANGE", "DATERANGE", "NUMERIC", "VARCHAR", "CHAR", "INTERVAL", "TIMESTAMP"}
    | {"TIMESTAMPTZ", "BIT", "GREATEST", "LEAST", "ABS", "REPEAT", "LENGTH", "DECODE", "ENCODE", "TIME"}
)
"""Functions, and types with brackets, of which one value holds for the whole statement, so that no row is rewritten."""
_SERIAL: Final = frozenset({"SERIAL", "BIGSERIAL", "SMALLSERIAL", "SERIAL4", "SERIAL8", "SERIAL2"})
_SMALL_KEYS: Final = frozenset({"INT", "INTEGER", "INT4", "SMALLINT", "INT2", "SERIAL", "SERIAL4", "SMALLSERIAL"})
_WHOLE: Final = (("SET", "TABLESPACE"), ("SET", "LOGGED"), ("SET", "UNLOGGED"), ("SET", "ACCESS", "METHOD"))

RULES: Final = (
    Rule(
        "column-rewrites",
        Severity.ERROR,
        _ONLY,
        f"every row is written anew for a value that differs from row to row, and {_LOCKED}",
        "add the column without it, set the DEFAULT afterwards, and fill old rows in pieces",
    ),
    Rule(
        "change-type",
        Severity.ERROR,
        _ONLY,
        f"every row and every index on it may be written anew, and {_LOCKED}",
        "add a column of the new type, fill it in pieces, and switch the application over",
    ),
    Rule(
        "set-not-null",
        Severity.WARNING,
        _ONLY,
        f"every row is looked at, and {_LOCKED}",
        "ADD CONSTRAINT … CHECK (… IS NOT NULL) NOT VALID, VALIDATE CONSTRAINT in a later delta, then SET NOT NULL, "
        "which trusts the constraint",
    ),
    Rule(
        "index-not-concurrently",
        Severity.ERROR,
        _ONLY,
        "nobody can write to the table until the index is built",
        "CREATE INDEX CONCURRENTLY in a delta of its own with transaction=none",
    ),
    Rule(
        "drop-index-not-concurrently",
        Severity.WARNING,
        _ONLY,
        "it waits for every reader of the table, and all later ones wait behind it",
        "DROP INDEX CONCURRENTLY in a delta of its own with transaction=none",
    ),
    Rule(
        "reindex-not-concurrently",
        Severity.ERROR,
        _ONLY,
        "nobody can write to the table, or read by the index, until it is built",
        "REINDEX … CONCURRENTLY in a delta of its own with transaction=none",
    ),
    Rule(
        "constraint-validates",
        Severity.ERROR,
        _ONLY,
        "every row is looked at while nobody can write to the table, and to that which a foreign key points to",
        "add it NOT VALID, and VALIDATE CONSTRAINT in a later delta, which lets others write",
    ),
    Rule(
        "constraint-builds-index",
        Severity.ERROR,
        _ONLY,
        f"an index is built, and {_LOCKED}",
        "CREATE UNIQUE INDEX CONCURRENTLY, then ADD CONSTRAINT … UNIQUE (or PRIMARY KEY) USING INDEX",
    ),
    Rule(
        "whole-table-rewrite",
        Severity.ERROR,
        _ONLY,
        f"the whole table is written anew, and {_LOCKED}",
        "leave it to a time without users, or to a tool that copies beside the table",
    ),
    Rule(
        "refresh-not-concurrently",
        Severity.WARNING,
        _ONLY,
        "nobody can read the view until it is filled anew",
        "REFRESH MATERIALIZED VIEW CONCURRENTLY, which needs a unique index on the view",
    ),
    Rule(
        "attach-partition-scans",
        Severity.WARNING,
        _ONLY,
        "every row of the new partition is looked at while nobody can use it, unless a CHECK says the same already",
        "give the table a validated CHECK of the partition's bounds before, and drop it afterwards",
    ),
    Rule(
        "prefer-identity",
        Severity.HINT,
        _ONLY,
        "serial leaves a sequence with rights and an owner of its own behind",
        "GENERATED ALWAYS AS IDENTITY (or BY DEFAULT)",
    ),
    Rule(
        "small-key",
        Severity.HINT,
        _ONLY,
        "its numbers end at two thousand million, and changing the type later rewrites the table",
        "bigint",
    ),
    Rule(
        "limited-text",
        Severity.HINT,
        _ONLY,
        "it stores nothing smaller than text does, and a lower limit later rewrites or fails",
        "text, with a CHECK where a limit is meant",
    ),
    Rule(
        "timestamp-without-time-zone",
        Severity.HINT,
        _ONLY,
        "which moment it means depends on who reads it",
        "timestamptz",
    ),
    Rule(
        "json-not-jsonb",
        Severity.HINT,
        _ONLY,
        "json has no equality: DISTINCT and UNION of the table fail",
        "jsonb",
    ),
)


def _columns(case: Case) -> Iterator[Hit]:
    for table, action in case.alterations:
        size = case.size_of(table)
        for column in columns_added(action):
            yield from _types(column, action.line)
            if size is None:
                continue
            told = _rewrites(column)
            if told:
                yield Hit("column-rewrites", action.line, f"{table}.{column.name} {told}; {size}")
            if column.rest.has("UNIQUE") or column.rest.has("PRIMARY"):
                yield Hit("constraint-builds-index", action.line, f"{table}.{column.name} gets an index; {size}")
            if column.default and column.rest.has("REFERENCES"):
                yield Hit(
                    "constraint-validates", action.line, f"{table}.{column.name} REFERENCES with a DEFAULT; {size}"
                )
            # Rows are looked at for a CHECK even where all of them get NULL.
            if column.rest.has("CHECK"):
                yield Hit("constraint-validates", action.line, f"{table}.{column.name} has a CHECK; {size}")
    if isinstance(case.shape, CreateTable) and not case.shape.is_temporary:
        for column in columns_defined(case.shape):
            yield from _types(column, column.rest.line)


def _rewrites(column: Column) -> str:
    words = set(column.type_words)
    if words & _SERIAL:
        return "is serial"
    if column.rest.has("IDENTITY"):
        return "is an identity"
    if column.rest.has("STORED"):
        return "is generated and stored"
    for this, following in zip(column.default, column.default[1:], strict=False):
        if following.word == "(" and this.kind in {Kind.WORD, Kind.QUOTED} and this.word not in _STEADY:
            return f"has a DEFAULT of {this.text}(), which may differ from row to row"
    return ""


def _types(column: Column, line: int) -> Iterator[Hit]:
    words = column.type_words
    first = words[0] if words else ""
    if first in _SERIAL:
        yield Hit("prefer-identity", line, f"{column.name} is {first.lower()}")
    if first in _SMALL_KEYS and column.rest.has("PRIMARY", "KEY"):
        yield Hit("small-key", line, f"{column.name} is a key of {first.lower()}")
    limited = len(column.kind) > len(words)
    if (first in {"VARCHAR", "CHAR", "CHARACTER"} and limited) or words[:1] == ["CHAR"]:
        yield Hit("limited-text", line, f"{column.name} has a type with a length")
    if first == "TIMESTAMP" and words[1:3] != ["WITH", "TIME"]:
        yield Hit("timestamp-without-time-zone", line, f"{column.name} is a timestamp without time zone")
    if first == "JSON":
        yield Hit("json-not-jsonb", line, f"{column.name} is json")


def _alterations(case: Case) -> Iterator[Hit]:
    for table, action in case.alterations:
        size = case.size_of(table)
        if size is None:
            continue
        words = action.words
        if kind := _new_type(action):
            yield _type_change(table, action, kind, size)
        elif action.has("SET", "NOT", "NULL") and not _is_proved(case, table):
            yield Hit("set-not-null", action.line, f"SET NOT NULL in {table}; {size}")
        elif words[:1] == ["ADD"] and not action.has("NOT", "VALID"):
            yield from _constraints(table, action, size)
        elif words[:2] == ["VALIDATE", "CONSTRAINT"] and _is_just_added(case, table, action):
            told = f"VALIDATE CONSTRAINT in {table} in the transaction that adds it, whose lock is still held"
            yield Hit("constraint-validates", action.line, f"{told}; {size}")
        elif any(action.has(*form) for form in _WHOLE):
            yield Hit("whole-table-rewrite", action.line, f"{' '.join(words[:3])} of {table}; {size}")
        elif words[:2] == ["ATTACH", "PARTITION"] and not action.has("DEFAULT"):
            yield Hit("attach-partition-scans", action.line, f"ATTACH PARTITION to {table}")


def _new_type(action: Words) -> list[str]:
    """Give the words of the type that a column gets, and what follows them; none for another action."""
    cursor = action.cursor
    if not cursor.skip("ALTER"):
        return []
    cursor.skip("COLUMN")
    cursor.name()
    cursor.skip("SET", "DATA")
    return [token.word or token.text for token in cursor.rest()] if cursor.skip("TYPE") else []


def _type_change(table: Name, action: Words, kind: list[str], size: str) -> Hit:
    if kind in (["TEXT"], ["VARCHAR"], ["CHARACTER", "VARYING"]):
        # From another text without a USING only the catalogue changes.
        told = f"a column of {table} becomes {' '.join(kind).lower()}: harmless where it is a text already"
        return Hit("change-type", action.line, f"{told}; {size}", Severity.WARNING)
    return Hit("change-type", action.line, f"a column of {table} gets another type; {size}")


def _is_proved(case: Case, table: Name) -> bool:
    """Say whether this part validates a constraint of the table before."""
    for statement in case.others[: case.place]:
        words = [token.word for token in statement.tokens]
        named = [token.text.strip('"').lower() for token in statement.tokens]
        if words[:2] == ["ALTER", "TABLE"] and "VALIDATE" in words and table.last.lower() in named:
            return True
    return False


def _is_just_added(case: Case, table: Name, action: Words) -> bool:
    """Say whether this delta's one transaction adds the constraint NOT VALID before it validates it."""
    name = _constraint(action, "VALIDATE")
    return case.script.transaction is not Transaction.NONE and any(
        other.has("NOT", "VALID") and _constraint(other, "ADD") == name
        for one in case.mine[: case.place + 1]
        if isinstance(one, AlterTable) and one.table.last == table.last
        for other in one.actions
    )


def _constraint(action: Words, verb: str) -> str:
    cursor = action.cursor
    name = cursor.name() if cursor.skip(verb, "CONSTRAINT") else None
    return name.last if name is not None else ""


def _constraints(table: Name, action: Words, size: str) -> Iterator[Hit]:
    cursor = action.cursor
    cursor.skip("ADD")
    if cursor.skip("CONSTRAINT"):
        cursor.name()
    match cursor.word():
        case "CHECK" | "FOREIGN" as kind:
            yield Hit("constraint-validates", action.line, f"ADD {kind} to {table} without NOT VALID; {size}")
        case "UNIQUE" | "PRIMARY" | "EXCLUDE" as kind if not action.has("USING", "INDEX"):
            yield Hit("constraint-builds-index", action.line, f"ADD {kind} to {table}; {size}")
        case _:
            pass


def _indexes(case: Case) -> Iterator[Hit]:
    shape = case.shape
    if isinstance(shape, CreateIndex) and not shape.concurrently:
        size = case.size_of(shape.table)
        if size is not None:
            yield Hit("index-not-concurrently", case.line, f"CREATE INDEX on {shape.table}; {size}")
    if isinstance(shape, Drop) and shape.kind == "INDEX" and not shape.concurrently and not _is_harmless(case, shape):
        yield Hit("drop-index-not-concurrently", case.line, f"DROP INDEX {', '.join(map(str, shape.names))}")
    if case.begins("REINDEX") and "CONCURRENTLY" not in case.words:
        yield Hit("reindex-not-concurrently", case.line, "REINDEX")


def _is_harmless(case: Case, drop: Drop) -> bool:
    """Say whether the delta's other part tells of all these indexes that their tables are small, or dropped as well."""
    tables = {one.name.last: one.table for one in case.opposite if isinstance(one, CreateIndex) and one.name}
    dropped = {name.last for one in case.mine if isinstance(one, Drop) and one.kind == "TABLE" for name in one.names}
    return all(
        (table := tables.get(name.last)) is not None and (table.last in dropped or case.size_of(table) is None)
        for name in drop.names
    )


def _maintenance(case: Case) -> Iterator[Hit]:
    words = case.words
    if words[:1] == ["CLUSTER"] or (words[:1] == ["VACUUM"] and "FULL" in words):
        yield Hit("whole-table-rewrite", case.line, "VACUUM FULL" if words[0] == "VACUUM" else "CLUSTER")
    if words[:3] == ["REFRESH", "MATERIALIZED", "VIEW"] and words[3:4] != ["CONCURRENTLY"]:
        yield Hit("refresh-not-concurrently", case.line, "REFRESH MATERIALIZED VIEW")


CHECKS: Final[tuple[Check, ...]] = (_columns, _alterations, _indexes, _maintenance)
