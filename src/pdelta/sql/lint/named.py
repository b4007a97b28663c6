"""The names that a statement has: of what it changes, and of what it reads or refers to.

Called by the rules about many tenants, which ask where the names lead. Told by tokens, and never complete: what a
routine's body names in a string is not seen.
"""

from collections.abc import Iterator
from typing import Final

from pdelta.sql.lint.case import Case
from pdelta.sql.lint.reading import (
    AlterTable,
    CreateIndex,
    CreateTable,
    Cursor,
    Drop,
    Name,
    Truncate,
    Write,
    pieces,
)
from pdelta.sql.lint.shape import writes_within
from pdelta.sql.token import Dialect, Kind

OF_SERVER: Final = frozenset(
    {"ROLE", "USER", "GROUP", "DATABASE", "SCHEMA", "TABLESPACE", "EXTENSION", "LANGUAGE", "PUBLICATION"}
    | {"SUBSCRIPTION", "SERVER"}
)
"""Things that a server, or a database that tenants share, has once."""
_BEFORE_TABLES: Final = frozenset({"FROM", "JOIN", "REFERENCES", "USING"})
_KINDS: Final = frozenset(
    {"VIEW", "FUNCTION", "PROCEDURE", "TYPE", "SEQUENCE", "DOMAIN", "AGGREGATE", "TABLE", "COLUMN", "EVENT", "INDEX"}
)
_OF_TABLE: Final = frozenset({"TRIGGER", "POLICY", "RULE", "CONSTRAINT"})
"""What has no schema of its own: behind its name and ON (of a new rule: TO) stands its table."""
_BEFORE_NAMES: Final = {
    "COPY": frozenset[str](),
    "LOCK": frozenset({"TABLE", "TABLES", "ONLY"}),
    "REFRESH": frozenset({"MATERIALIZED", "VIEW", "CONCURRENTLY"}),
    "RENAME": frozenset({"TABLE", "TABLES"}),
}
_GRANTED: Final = frozenset({"TABLE", "SEQUENCE", "FUNCTION", "PROCEDURE", "ROUTINE", "TYPE", "DOMAIN"})


def changed(case: Case) -> Iterator[Name]:
    """Give the names of what a statement changes."""
    for write in writes_within(case.tokens, case.dialect):
        yield write.table
    match case.shape:
        case Write(table=table, verb="UPDATE"):
            yield table
            yield from _updated(case)
        case AlterTable(table=table) | CreateTable(table=table) | CreateIndex(table=table) | Write(table=table):
            yield table
        case Drop(names=names) if case.shape.kind not in OF_SERVER:
            yield from names
        case Truncate(tables=tables):
            yield from tables
        case _:
            yield from _plain(case)


def read(case: Case) -> Iterator[Name]:
    """Give the names of tables that a statement reads or refers to, and of functions with a schema that it calls."""
    for place, token in enumerate(case.tokens):
        if token.word in _BEFORE_TABLES and not (token.word == "USING" and case.begins("ALTER")):
            cursor = Cursor(case.tokens[place + 1 :], case.dialect)
            cursor.skip("ONLY")
            cursor.skip("LATERAL")
            name = cursor.name()
            is_function = cursor.word() == "(" and token.word != "REFERENCES"
            if name is not None and not is_function and not (token.word == "FROM" and _is_value(case, place)):
                yield name
    if isinstance(case.shape, CreateTable):
        yield from _models(case.shape, case.dialect)
    if case.dialect is not Dialect.SQLITE:
        yield from _called(case)


def _plain(case: Case) -> Iterator[Name]:
    words = case.words
    cursor = Cursor(case.tokens, case.dialect)
    if words[:1] in (["GRANT"], ["REVOKE"]):
        yield from _granted(cursor)
    elif words[:3] == ["ALTER", "DEFAULT", "PRIVILEGES"]:
        yield from _schemas(cursor)
    elif words[:1] in (["CREATE"], ["ALTER"], ["COMMENT"]):
        if not OF_SERVER & set(words[1:4]):
            yield from _thing(case)
    elif words[0] in _BEFORE_NAMES:
        cursor.at = 1
        cursor.skip_any(_BEFORE_NAMES[words[0]])
        for piece in pieces(cursor.rest(), case.dialect):
            if words[0] == "COPY" and "TO" in piece.words:
                return
            inner = piece.cursor
            names = (inner.name(), inner.name() if inner.skip("TO") else None)
            yield from filter(None, names)


def _thing(case: Case) -> Iterator[Name]:
    """Give the name of a view, a function, a type or the like, or the table of a trigger: the first that there is."""
    cursor = Cursor(case.tokens, case.dialect)
    cursor.at = 2 if case.begins("COMMENT", "ON") else 1
    while cursor.rest() and cursor.at < 8:
        if cursor.word() in _OF_TABLE:
            is_new_rule = cursor.word() == "RULE" and case.begins("CREATE")
            while cursor.rest() and not cursor.skip("TO" if is_new_rule else "ON"):
                cursor.at += 1
            cursor.skip("DOMAIN")
            yield from filter(None, [cursor.name()])
            return
        if cursor.word() in _KINDS:
            cursor.at += 1
            cursor.skip("IF", "NOT", "EXISTS")
            cursor.skip("IF", "EXISTS")
            name = cursor.name()
            if name is not None:
                # The last part of a column's name is the column.
                yield Name(name.parts[:-1] or name.parts, name.line) if case.begins("COMMENT", "ON", "COLUMN") else name
            return
        cursor.at += 1


def _updated(case: Case) -> Iterator[Name]:
    """Give the further tables of MySQL's ``UPDATE a, b SET …``."""
    tokens = case.tokens
    end = next((place for place, token in enumerate(tokens) if token.word == "SET"), 0)
    if case.dialect is Dialect.MYSQL and tokens[0].word == "UPDATE":
        for piece in pieces(tokens[:end], case.dialect)[1:]:
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
        last = token.word


def _is_value(case: Case, place: int) -> bool:
    """Say whether a column may follow this FROM: behind DISTINCT, or in a function's brackets (EXTRACT)."""
    if case.tokens[place - 1].word == "DISTINCT":
        return True
    depth = 0
    for token in reversed(case.tokens[:place]):
        depth += (token.word == ")") - (token.word == "(")
        if depth < 0:
            return True
        if not depth and token.word in {"SELECT", "DELETE", "UPDATE", "MERGE", "JOIN"}:
            return False
    return False
