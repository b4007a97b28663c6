"""A statement -> its shape: which of the forms that rules know it is, and the columns that it adds or defines."""

from collections.abc import Iterator
from typing import Final

from pdelta.sql.lint.reading import (
    AlterTable,
    Column,
    CreateIndex,
    CreateTable,
    Cursor,
    Drop,
    Plain,
    Shape,
    Truncate,
    Words,
    Write,
    folded,
    outside,
    pieces,
)
from pdelta.sql.token import Dialect, Kind, Token

_TEMPORARY: Final = frozenset({"TEMP", "TEMPORARY", "UNLOGGED", "GLOBAL", "LOCAL"})
_INDEX_WORDS: Final = frozenset({"UNIQUE", "FULLTEXT", "SPATIAL"})
_DROP_QUALIFIERS: Final = frozenset({"MATERIALIZED", "FOREIGN", "EVENT", "TEMPORARY"})
_WRITE_MODIFIERS: Final = frozenset(
    {"LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "IGNORE", "QUICK", "OR", "ROLLBACK", "ABORT", "REPLACE", "FAIL"}
)
_CONSTRAINTS: Final = frozenset(
    {
        "CONSTRAINT",
        "PRIMARY",
        "UNIQUE",
        "FOREIGN",
        "CHECK",
        "EXCLUDE",
        "INDEX",
        "KEY",
        "FULLTEXT",
        "SPATIAL",
        "PARTITION",
    }
    | {"LIKE", "PERIOD"}
)
"""After ADD, or at the beginning of a definition, these begin something that is no column."""
_BEHIND_TYPE: Final = frozenset(
    {"CONSTRAINT", "NOT", "NULL", "DEFAULT", "PRIMARY", "UNIQUE", "REFERENCES", "CHECK", "GENERATED", "COLLATE", "AS"}
    | {"AUTO_INCREMENT", "COMMENT", "ON", "FIRST", "AFTER", "KEY", "VISIBLE", "INVISIBLE", "STORAGE", "COMPRESSION"}
    | {"USING", "VIRTUAL", "STORED", "AUTOINCREMENT"}
)
_COLUMN_VERBS: Final = frozenset({"MODIFY", "CHANGE"})


def shape_of(tokens: tuple[Token, ...], dialect: Dialect) -> Shape:
    """Give the shape of the statement that these tokens are."""
    cursor = Cursor(tokens, dialect)
    first = cursor.word()
    match first:
        case "ALTER":
            shape = _alter(cursor)
        case "CREATE":
            shape = _create(cursor)
        case "DROP":
            shape = _drop(cursor)
        case "TRUNCATE":
            cursor.skip("TRUNCATE")
            cursor.skip("TABLE")
            cursor.skip("ONLY")
            shape = Truncate(cursor.names())
        case "INSERT" | "REPLACE" | "UPDATE" | "DELETE" | "MERGE":
            shape = _write(cursor)
        case "WITH":
            shape = _with(cursor)
        case "EXPLAIN":
            shape = _explained(cursor)
        case _:
            shape = None
    return shape or Plain()


def writes_within(tokens: tuple[Token, ...], dialect: Dialect) -> Iterator[Write]:
    """Give the writes that stand in brackets behind the AS of a WITH."""
    for place, token in enumerate(tokens):
        if token.word == "(" and place and tokens[place - 1].word in {"AS", "MATERIALIZED"}:
            cursor = Cursor(tokens[place:], dialect)
            shape = shape_of(cursor.group() or (), dialect)
            if isinstance(shape, Write):
                yield shape


def columns_added(action: Words) -> Iterator[Column]:
    """Give the columns that one action of ALTER TABLE adds."""
    cursor = action.cursor
    if not cursor.skip("ADD"):
        return
    named = cursor.skip("COLUMN")
    cursor.skip("IF", "NOT", "EXISTS")
    if not named and cursor.word() in _CONSTRAINTS:
        return
    inner = cursor.group() if cursor.word() == "(" else None
    for piece in pieces(inner, action.dialect) if inner is not None else (Words(cursor.rest(), action.dialect),):
        if piece.tokens and not (inner is not None and piece.tokens[0].word in _CONSTRAINTS):
            yield _column(piece)


def columns_defined(table: CreateTable) -> Iterator[Column]:
    """Give the columns that stand in the brackets of CREATE TABLE."""
    for definition in table.definitions:
        if definition.tokens[0].word not in _CONSTRAINTS:
            yield _column(definition)


def column_changed(action: Words) -> tuple[str, Column] | None:
    """Give the column's old name and its new definition, of MODIFY and CHANGE; None for another action."""
    cursor = action.cursor
    verb = cursor.word()
    if verb not in _COLUMN_VERBS:
        return None
    cursor.at += 1
    cursor.skip("COLUMN")
    cursor.skip("IF", "EXISTS")
    if not cursor.rest():
        return None
    old = folded(cursor.rest()[0], action.dialect)
    cursor.at += verb == "CHANGE"
    return (old, _column(Words(cursor.rest(), action.dialect))) if cursor.rest() else None


def renamed(action: Words) -> str:
    """Give the name that an action of ALTER TABLE gives the table; empty for another action."""
    cursor = action.cursor
    name = cursor.name() if cursor.skip("RENAME", "TO") else None
    return name.last if name is not None else ""


def _column(words: Words) -> Column:
    name, *rest = words.tokens
    kind: list[Token] = []
    depth = 0
    for token in rest:
        if not depth and token.word in _BEHIND_TYPE:
            break
        depth += (token.word == "(") - (token.word == ")")
        kind.append(token)
    return Column(
        folded(name, words.dialect), tuple(kind), _default(rest), Words(tuple(rest) or (name,), words.dialect)
    )


def _default(tokens: list[Token]) -> tuple[Token, ...]:
    found: list[Token] = []
    depth, inside = 0, False
    for token in tokens:
        if inside and found and not depth and token.word in _BEHIND_TYPE:
            break
        if inside:
            found.append(token)
            depth += (token.word == "(") - (token.word == ")")
        else:
            depth += (token.word == "(") - (token.word == ")")
            inside = token.word == "DEFAULT" and not depth
    return tuple(found)


def _alter(cursor: Cursor) -> Shape | None:
    if not cursor.skip("ALTER", "TABLE"):
        return None
    cursor.skip("IF", "EXISTS")
    cursor.skip("ONLY")
    table = cursor.name()
    cursor.skip("*")
    return None if table is None else AlterTable(table, pieces(cursor.rest(), cursor.dialect))


def _create(cursor: Cursor) -> Shape | None:
    cursor.skip("CREATE")
    cursor.skip("OR", "REPLACE")
    temporary = cursor.skip_any(_TEMPORARY) & {"TEMP", "TEMPORARY"}
    if cursor.skip("TABLE"):
        cursor.skip("IF", "NOT", "EXISTS")
        table = cursor.name()
        inner = cursor.group() or ()
        if table is None:
            return None
        return CreateTable(table, pieces(inner, cursor.dialect), cursor.rest(), is_temporary=bool(temporary))
    cursor.skip_any(_INDEX_WORDS)
    if not cursor.skip("INDEX"):
        return None
    concurrently = cursor.skip("CONCURRENTLY")
    cursor.skip("IF", "NOT", "EXISTS")
    name = None if cursor.word() in {"ON", "USING"} else cursor.name()
    while cursor.word() != "ON" and cursor.rest():
        cursor.at += 1
    cursor.skip("ON")
    cursor.skip("ONLY")
    table = cursor.name()
    if cursor.skip("USING"):
        cursor.name()
    inner = cursor.group() or ()
    columns = frozenset(folded(token, cursor.dialect) for token in inner if token.kind in {Kind.WORD, Kind.QUOTED})
    return None if table is None else CreateIndex(table, concurrently, name, columns)


def _drop(cursor: Cursor) -> Shape | None:
    cursor.skip("DROP")
    cursor.skip_any(_DROP_QUALIFIERS)
    kind = cursor.word()
    cursor.at += 1
    if kind == "OPERATOR":
        cursor.skip_any(frozenset({"CLASS", "FAMILY"}))
    elif cursor.skip("SEARCH"):
        # Of text search: behind that stands of what.
        cursor.at += 1
    concurrently = cursor.skip("CONCURRENTLY")
    cursor.skip("IF", "EXISTS")
    names = cursor.names()
    on = cursor.skip("ON")
    table = cursor.name() if on else None
    cascade = "CASCADE" in [token.word for token in outside(cursor.rest())]
    return Drop(kind, names if table is None else (*names, table), concurrently, cascade)


def _write(cursor: Cursor) -> Shape | None:
    verb = cursor.word()
    cursor.at += 1
    cursor.skip_any(_WRITE_MODIFIERS)
    cursor.skip("FROM" if verb == "DELETE" else "INTO")
    cursor.skip("ONLY")
    table = cursor.name()
    if table is None:
        return None
    words = [token.word for token in outside(cursor.rest())]
    if verb in {"UPDATE", "DELETE"}:
        # One that runs over the rows of a cursor or a join chooses them too.
        return Write(verb, table, chosen=bool({"WHERE", "LIMIT"} & set(words)), many=True)
    every = [token.word for token in cursor.rest()]
    return Write(verb, table, chosen=True, many=verb == "MERGE" or bool({"SELECT", "TABLE"} & set(every)))


def _with(cursor: Cursor) -> Shape | None:
    """Give the shape of what a WITH stands before: its verb is the first one in no brackets."""
    depth = 0
    for place, token in enumerate(cursor.tokens):
        depth += (token.word == "(") - (token.word == ")")
        if not depth and token.kind is Kind.WORD and token.word in {"INSERT", "UPDATE", "DELETE", "MERGE"}:
            return _write(Cursor(cursor.tokens[place:], cursor.dialect))
    return None


def _explained(cursor: Cursor) -> Shape | None:
    """Give the shape of what EXPLAIN executes, which it does with ANALYZE alone."""
    cursor.skip("EXPLAIN")
    options = [token.word for token in cursor.group() or ()]
    options += cursor.skip_any(frozenset({"ANALYZE", "VERBOSE"}))
    executes = "ANALYZE" in options and not {"FALSE", "OFF"} & set(options[options.index("ANALYZE") + 1 :][:1])
    # One EXPLAIN takes no other: a text that piles them up is not followed.
    return shape_of(cursor.rest(), cursor.dialect) if executes and cursor.word() != "EXPLAIN" else None
