"""Rules for SQLite: what its ALTER TABLE can't do, and what is lost when a table is rebuilt by hand.

After "ALTER TABLE" of SQLite's documentation.
"""

from collections.abc import Iterator
from typing import Final

from pdelta.sql.lint.case import Case, Check
from pdelta.sql.lint.finding import Hit, Rule, Severity
from pdelta.sql.lint.reading import AlterTable, Column, CreateTable, Drop
from pdelta.sql.lint.shape import columns_added, columns_defined, renamed
from pdelta.sql.token import Dialect, Kind, Token

_ONLY: Final = (Dialect.SQLITE,)
_MOVING: Final = frozenset({"CURRENT_TIME", "CURRENT_DATE", "CURRENT_TIMESTAMP"})
_LITERALS: Final = frozenset({Kind.STRING, Kind.NUMBER})

RULES: Final = (
    Rule(
        "alter-not-known",
        Severity.ERROR,
        _ONLY,
        "SQLite knows RENAME, ADD COLUMN and DROP COLUMN alone, one of them a statement",
        "a new table with the wanted form, filled from the old one, which it then replaces",
    ),
    Rule(
        "column-default-moves",
        Severity.ERROR,
        _ONLY,
        "SQLite adds no column whose DEFAULT is not constant to a table with rows",
        "add it without a DEFAULT and fill it by an UPDATE, or rebuild the table",
    ),
    Rule(
        "column-refers",
        Severity.ERROR,
        _ONLY,
        "where foreign_keys are on, SQLite adds no column that REFERENCES a table and has a DEFAULT",
        "add it without a DEFAULT and fill it by an UPDATE, or rebuild the table",
    ),
    Rule(
        "column-is-key",
        Severity.ERROR,
        _ONLY,
        "SQLite adds no column that is UNIQUE or a PRIMARY KEY",
        "add it plain, and CREATE UNIQUE INDEX on it",
    ),
    Rule(
        "column-stored",
        Severity.ERROR,
        _ONLY,
        "SQLite adds no generated column that is STORED",
        "VIRTUAL, or rebuild the table",
    ),
    Rule(
        "table-rebuilt",
        Severity.WARNING,
        _ONLY,
        "DROP TABLE takes indexes and triggers along and, where foreign_keys are on, does to rows of other tables what "
        "their ON DELETE says",
        "make indexes and triggers anew in the same delta, and see that nothing refers to the table with ON DELETE",
    ),
    Rule(
        "autoincrement",
        Severity.HINT,
        _ONLY,
        "each INSERT writes the table sqlite_sequence too, and ids are unique without it",
        "INTEGER PRIMARY KEY alone",
    ),
)


def _alterations(case: Case) -> Iterator[Hit]:
    shape = case.shape
    if not isinstance(shape, AlterTable):
        return
    first = shape.actions[0].words[:1] if shape.actions else []
    adds = first == ["ADD"] and shape.actions[0].tokens[1:2] and shape.actions[0].tokens[1].word != "("
    known = first in (["RENAME"], ["DROP"]) or (adds and any(columns_added(shape.actions[0])))
    other = first == ["DROP"] and shape.actions[0].words[1:2] in (["CONSTRAINT"], ["PRIMARY"], ["INDEX"], ["FOREIGN"])
    if len(shape.actions) != 1 or not known or other:
        told = shape.actions[0].tokens[0].text if shape.actions else "nothing"
        yield Hit("alter-not-known", case.line, f"ALTER TABLE {shape.table} {told} …")
        return
    for added in columns_added(shape.actions[0]):
        where = f"{shape.table}.{added.name}"
        if _moves(added) and not case.is_empty(shape.table):
            yield Hit("column-default-moves", case.line, f"the DEFAULT of {where} is not constant")
        if added.rest.has("UNIQUE") or added.rest.has("PRIMARY"):
            yield Hit("column-is-key", case.line, f"{where} is a key")
        if added.rest.has("REFERENCES") and [token.word for token in added.default] not in ([], ["NULL"]):
            yield Hit("column-refers", case.line, f"{where} REFERENCES a table and has a DEFAULT")
        if added.rest.has("STORED"):
            yield Hit("column-stored", case.line, f"{where} is generated and stored")


def _moves(column: Column) -> bool:
    """Say whether SQLite takes a default for one that changes: a moment, or in brackets anything but one literal.

    A CAST of a literal is one, as its type is no value.
    """
    values = [token for token in _without_casts(column.default) if token.word not in {"(", ")", "+", "-"}]
    bracketed = any(token.word == "(" for token in column.default)
    literal = all(token.kind in _LITERALS or token.word in {"NULL", "TRUE", "FALSE"} for token in values)
    return any(token.word in _MOVING for token in values) or (bracketed and (len(values) != 1 or not literal))


def _without_casts(tokens: tuple[Token, ...]) -> Iterator[Token]:
    """Give the tokens without ``CAST``, and without what stands from its AS up to the bracket that closes it."""
    depth, casts = 0, list[int]()
    skips = False
    for place, token in enumerate(tokens):
        if token.word == "CAST" and [one.word for one in tokens[place + 1 : place + 2]] == ["("]:
            casts.append(depth + 1)
            continue
        skips = skips or (token.word == "AS" and casts[-1:] == [depth])
        depth += (token.word == "(") - (token.word == ")")
        if casts and depth < casts[-1] and token.word == ")":
            casts.pop()
            skips = False
        if not skips:
            yield token


def _rebuilds(case: Case) -> Iterator[Hit]:
    shape = case.shape
    if not (isinstance(shape, Drop) and shape.kind == "TABLE"):
        return
    for one in case.mine[case.place + 1 :]:
        if isinstance(one, AlterTable) and one.actions and renamed(one.actions[0]) == shape.names[0].last:
            yield Hit("table-rebuilt", case.line, f"{shape.names[0]} is dropped, and {one.table} takes its name")


def _definitions(case: Case) -> Iterator[Hit]:
    if isinstance(case.shape, CreateTable):
        for column in columns_defined(case.shape):
            if column.rest.has("AUTOINCREMENT"):
                yield Hit("autoincrement", column.rest.line, f"{column.name} is AUTOINCREMENT")


CHECKS: Final[tuple[Check, ...]] = (_alterations, _rebuilds, _definitions)
