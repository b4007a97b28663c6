"""The names that a statement has: of what it changes, and of what it reads or refers to.

Called by the rules about many tenants, which ask where the names lead. Told by tokens, and never complete: what a
routine's body names is not seen where that is a string.
"""

from collections.abc import Iterator
from typing import Final

from pdelta.sql.lint.case import Case
from pdelta.sql.lint.lists import in_lists
from pdelta.sql.lint.reading import (
    AlterTable,
    CreateIndex,
    CreateTable,
    Cursor,
    Drop,
    Name,
    Truncate,
    Write,
    outside,
    pieces,
)
from pdelta.sql.lint.shape import columns_added, columns_defined, writes_within
from pdelta.sql.lint.sources import sources
from pdelta.sql.lint.texts import in_strings
from pdelta.sql.token import Dialect, Kind, Token

OF_SERVER: Final = frozenset(
    {"ROLE", "USER", "GROUP", "DATABASE", "SCHEMA", "TABLESPACE", "EXTENSION", "LANGUAGE", "PUBLICATION"}
    | {"SUBSCRIPTION", "SERVER"}
)
"""Things that a server, or a database that tenants share, has once."""
_KINDS: Final = frozenset(
    {"VIEW", "FUNCTION", "PROCEDURE", "TYPE", "SEQUENCE", "DOMAIN", "AGGREGATE", "TABLE", "COLUMN", "EVENT", "INDEX"}
    | {
        "CLASS",
        "FAMILY",
        "ROUTINE",
        "STATISTICS",
        "COLLATION",
        "CONVERSION",
        "CONFIGURATION",
        "DICTIONARY",
        "PARSER",
        "TEMPLATE",
    }
)
_OF_TABLE: Final = frozenset({"TRIGGER", "POLICY", "RULE", "CONSTRAINT"})
"""What has no schema of its own: behind its name and ON (of a new rule: TO) stands its table."""
_TABLE: Final = frozenset({"TABLE", "TABLES", "LOCAL", "NO_WRITE_TO_BINLOG"})
_BEFORE_NAMES: Final = {
    "ANALYZE": _TABLE | {"VERBOSE", "ONLY"},
    "CHECK": _TABLE,
    "CLUSTER": frozenset({"VERBOSE"}),
    "COPY": frozenset[str](),
    "LOCK": frozenset({"TABLE", "TABLES"}),
    "OPTIMIZE": _TABLE,
    "REFRESH": frozenset({"MATERIALIZED", "VIEW", "CONCURRENTLY"}),
    "REINDEX": frozenset({"TABLE", "INDEX", "CONCURRENTLY"}),
    "RENAME": frozenset({"TABLE", "TABLES", "IF", "EXISTS"}),
    "REPAIR": _TABLE,
    "VACUUM": frozenset({"FULL", "FREEZE", "VERBOSE", "ANALYZE", "ONLY"}),
}
_BESIDE: Final = frozenset({"INHERIT", "PARTITION", "RENAME", "TABLE"})
"""Behind these an action of ALTER names another table, or the new name of its own."""
_BEFORE_TYPES: Final = frozenset({"::", "AS", "COLLATE", "DECLARE", "FAMILY", "OF", "RETURNS", "SETOF", "STORAGE"})
_GRANTED: Final = frozenset({"TABLE", "SEQUENCE", "FUNCTION", "PROCEDURE", "ROUTINE", "TYPE", "DOMAIN"})


def changed(case: Case) -> Iterator[Name]:
    """Give the names of what a statement changes."""
    for write in writes_within(case.tokens, case.dialect):
        yield write.table
    if case.begins("ALTER") or case.begins("CREATE", "SEQUENCE"):
        yield from _altered(case)
    if "OPERATOR" in case.words[1:3]:
        yield from _operator(case)
    match case.shape:
        case Write(table=table, verb="UPDATE" | "DELETE" as verb):
            yield table
            if case.dialect is Dialect.MYSQL:
                yield from _further(case, verb)
        case CreateIndex(table=table, name=name):
            # SQLite's index has the schema, and its table none.
            yield from filter(None, [table, name])
        case AlterTable(table=table) | CreateTable(table=table) | Write(table=table):
            yield table
        case Drop(names=names) if case.shape.kind not in OF_SERVER:
            yield from names
        case Truncate(tables=tables):
            yield from tables
        case _:
            yield from _plain(case)


def read(case: Case) -> Iterator[Name]:
    """Give the names of what a statement reads or refers to: tables, types, and functions with a schema."""
    yield from sources(case.tokens, case.dialect)
    if isinstance(case.shape, CreateTable):
        yield from _models(case.shape, case.dialect)
    if case.dialect is Dialect.POSTGRESQL:
        yield from _types(case)
        yield from in_lists(case.tokens)
        yield from in_strings(case.tokens)
    if case.dialect is not Dialect.SQLITE:
        yield from _called(case)


def _plain(case: Case) -> Iterator[Name]:
    words = case.words
    cursor = Cursor(case.tokens, case.dialect)
    if words[:1] in (["GRANT"], ["REVOKE"]):
        yield from _granted(cursor)
    elif words[:3] == ["ALTER", "DEFAULT", "PRIVILEGES"]:
        yield from _schemas(cursor)
    elif words[:1] in (["CREATE"], ["ALTER"], ["COMMENT"], ["SECURITY"]):
        if not OF_SERVER & set(words[1:4]):
            yield from _thing(case)
    elif words[0] in _BEFORE_NAMES:
        yield from _listed(cursor, words[0])
    elif words[:3] == ["IMPORT", "FOREIGN", "SCHEMA"]:
        place = words.index("INTO") if "INTO" in words else len(words)
        into = Cursor(case.tokens[place + 1 :], case.dialect).name()
        yield from (Name((name.last, "*"), name.line) for name in filter(None, [into]))
    elif words[0] == "LOAD" or (words[0] == "SELECT" and case.dialect is Dialect.POSTGRESQL):
        yield from _filled(case)


def _listed(cursor: Cursor, verb: str) -> Iterator[Name]:
    """Give the names that stand behind a verb and its options."""
    cursor.at = 1
    cursor.group()
    cursor.skip_any(_BEFORE_NAMES[verb])
    if cursor.word() == "SCHEMA":
        yield from _schemas(cursor)
        return
    for piece in pieces(cursor.rest(), cursor.dialect):
        if verb == "COPY" and "TO" in piece.words:
            return
        inner = piece.cursor
        inner.skip("ONLY")
        names = (inner.name(), inner.name() if inner.skip("TO") else None)
        yield from filter(None, names)


def _filled(case: Case) -> Iterator[Name]:
    """Give the table that MySQL's LOAD DATA fills, or that PostgreSQL's SELECT INTO makes."""
    tokens = tuple(outside(case.tokens))
    for place, token in enumerate(tokens):
        if token.word == "INTO":
            cursor = Cursor(tokens[place + 1 :], case.dialect)
            cursor.skip_any(frozenset({"TEMP", "TEMPORARY", "UNLOGGED", "TABLE"}))
            yield from filter(None, [cursor.name()])
            return


def _altered(case: Case) -> Iterator[Name]:
    """Give what is named beside what a statement is about: a partition, a parent, its new name, a schema, its owner."""
    tokens = tuple(outside(case.tokens))
    for place, token in enumerate(tokens):
        cursor = Cursor(tokens[place + 1 : place + 12], case.dialect)
        if token.word in _BESIDE:
            cursor.skip_any(frozenset({"TO", "AS", "="}))
            yield from filter(None, [cursor.name()])
        elif token.word == "OWNED" and cursor.skip("BY"):
            yield from map(_table_of, filter(None, [cursor.name()]))
        elif token.word == "SET" and cursor.skip("SCHEMA"):
            yield from (Name((name.last, "*"), name.line) for name in filter(None, [cursor.name()]))


def _thing(case: Case) -> Iterator[Name]:
    """Give the name of a view, a function, a type or the like, or the table of a trigger: the first that there is."""
    cursor = Cursor(case.tokens, case.dialect)
    cursor.at = 3 if case.begins("SECURITY") else 2 if case.begins("COMMENT", "ON") else 1
    # MySQL's ALGORITHM, DEFINER and SQL SECURITY stand before the kind.
    while cursor.at < min(len(case.tokens), 16) and not cursor.group():
        kind = cursor.word()
        cursor.at += 1
        if kind in _OF_TABLE:
            cursor.skip("IF", "NOT", "EXISTS")
            yield from filter(None, [cursor.name()])
            before = "TO" if kind == "RULE" and case.begins("CREATE") else "ON"
            while cursor.at < len(case.tokens) and not cursor.skip(before):
                cursor.at += 1
            cursor.skip("DOMAIN")
            yield from filter(None, [cursor.name()])
            return
        if kind in _KINDS:
            cursor.skip("IF", "NOT", "EXISTS")
            cursor.skip("IF", "EXISTS")
            name = cursor.name()
            if name is not None:
                yield _table_of(name) if case.begins("COMMENT", "ON", "COLUMN") else name
            return


def _operator(case: Case) -> Iterator[Name]:
    """Give the operator that is made, altered, dropped or commented on, whose name is no word."""
    cursor = Cursor(case.tokens, case.dialect)
    cursor.at = case.words.index("OPERATOR") + 1
    cursor.skip("IF", "EXISTS")
    at, schema = cursor.at, cursor.name()
    if schema is not None and cursor.at == at + 2 and cursor.rest():
        yield Name((schema.last, cursor.rest()[0].text), schema.line)


def _table_of(column: Name) -> Name:
    """Give the table of a column that is named behind it, or behind its schema and it."""
    return Name(column.parts[:-1] or column.parts, column.line)


def _further(case: Case, verb: str) -> Iterator[Name]:
    """Give the tables of MySQL's ``UPDATE a, b SET …``, ``DELETE a, b FROM …`` and ``DELETE FROM a, b USING …``."""
    tokens = tuple(outside(case.tokens))
    words = [token.word for token in tokens]
    start = words.index(verb) + 1 if verb in words else len(words)
    while words[start : start + 1] and words[start] in {"LOW_PRIORITY", "QUICK", "IGNORE"}:
        start += 1
    if verb == "UPDATE":
        ends = ["SET"]
    else:
        ends = ["USING"] if words[start : start + 1] == ["FROM"] else ["FROM"]
        start += words[start : start + 1] == ["FROM"]
    end = next((place for place in range(start, len(words)) if words[place] in ends), start)
    for piece in pieces(tokens[start:end], case.dialect):
        yield from filter(None, [piece.cursor.name()])


def _granted(cursor: Cursor) -> Iterator[Name]:
    """Give what rights are given on: of a whole schema (``s.*`` in MySQL) with a star for the name."""
    while cursor.rest() and not cursor.skip("ON"):
        cursor.group()
        cursor.at += cursor.word() != "ON"
    if cursor.word() in {"ALL", "SCHEMA"}:
        yield from _schemas(cursor)
        return
    cursor.skip_any(_GRANTED)
    start = cursor.rest()
    if cursor.skip("*", ".", "*"):
        yield Name(("*", "*"), start[0].line)
        return
    for piece in pieces(start, cursor.dialect):
        inner = piece.cursor
        name = inner.name()
        if name is None:
            return
        yield Name((*name.parts, "*"), name.line) if inner.skip("*") else name
        if {"TO", "FROM"} & set(piece.words):
            return


def _schemas(cursor: Cursor) -> Iterator[Name]:
    """Give the schemas that are named behind the first SCHEMA, each as the name of everything in it."""
    while cursor.rest() and not cursor.skip("SCHEMA"):
        if cursor.word() in {"TO", "FROM", "GRANT", "REVOKE"}:
            return
        cursor.at += 1
    for name in cursor.names():
        yield Name((name.last, "*"), name.line)


def _models(table: CreateTable, dialect: Dialect) -> Iterator[Name]:
    """Give the tables whose form a new one takes, or whose child or partition it becomes."""
    for definition in table.definitions:
        cursor = definition.cursor
        if cursor.skip("LIKE"):
            yield from filter(None, [cursor.name()])
    cursor = Cursor(table.options, dialect)
    if cursor.skip("LIKE") or cursor.skip("PARTITION", "OF"):
        yield from filter(None, [cursor.name()])
    elif cursor.skip("INHERITS"):
        yield from Cursor(cursor.group() or (), dialect).names()


def _called(case: Case) -> Iterator[Name]:
    last = ""
    for place, token in enumerate(case.tokens):
        if token.kind in {Kind.WORD, Kind.QUOTED} and last != ".":
            cursor = Cursor(case.tokens[place : place + 8], case.dialect)
            name = cursor.name()
            if name is not None and name.schema and cursor.word() == "(":
                yield name
        elif last == "OPERATOR" and [one.word for one in case.tokens[place + 2 : place + 3]] == ["."]:
            schema = Cursor(case.tokens[place + 1 : place + 2], case.dialect).name()
            yield from (Name((one.last, case.tokens[place + 3].text), one.line) for one in filter(None, [schema]))
        last = token.word


def _types(case: Case) -> Iterator[Name]:
    """Give the types and collations of columns, casts and variables, and of what functions return."""
    kinds: list[tuple[Token, ...]] = []
    if isinstance(case.shape, CreateTable):
        kinds += [column.kind for column in columns_defined(case.shape)]
    for _, action in case.alterations:
        kinds += [column.kind for column in columns_added(action)]
    before = _BEFORE_TYPES | ({"TYPE"} if case.begins("ALTER") or case.begins("CREATE", "OPERATOR") else set())
    before |= {"WITH"} if case.begins("ALTER", "TEXT") else set()
    kinds += [case.tokens[place + 1 : place + 8] for place, token in enumerate(case.tokens) if token.word in before]
    for kind in kinds:
        cursor = Cursor(kind, case.dialect)
        name = cursor.name()
        if name is not None:
            # ``t.c%TYPE`` is the type of a column, ``t%ROWTYPE`` that of a table's rows.
            yield _table_of(name) if cursor.skip("%", "TYPE") else name
