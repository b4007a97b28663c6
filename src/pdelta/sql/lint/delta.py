"""Rules about a delta as a whole: its reverse, its placeholders, and what its header promises."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from pdelta.sql.lint.finding import Hit, Rule, Severity
from pdelta.sql.lint.reading import (
    AlterTable,
    CreateIndex,
    CreateTable,
    Drop,
    Plain,
    Shape,
    Truncate,
    Write,
    folded,
    significant,
)
from pdelta.sql.lint.shape import columns_added, shape_of
from pdelta.sql.script import Part, Script
from pdelta.sql.split import Statement
from pdelta.sql.token import Dialect, Kind

_EVERY: Final = tuple(Dialect)
_NAMES: Final = frozenset({Kind.WORD, Kind.QUOTED})
_WORDS: Final = re.compile(r"[\w$]+")

RULES: Final = (
    Rule(
        "no-reverse",
        Severity.HINT,
        _EVERY,
        "what takes it back is derived in each tenant, and what can't be derived is refused there",
        'write the reverse, or say irreversible="why"',
    ),
    Rule(
        "reverse-misses",
        Severity.WARNING,
        _EVERY,
        "after the reverse the tenant is not as it was before",
        "take back every statement, the last one first",
    ),
    Rule(
        "placeholder-in-quotes",
        Severity.WARNING,
        _EVERY,
        "in quotes, and in bodies in dollars, it is text like any other: no value is put in its place",
        "${name} without quotes, which becomes a string; ${name:name} for a name",
    ),
    Rule(
        "repeatable-fails-again",
        Severity.WARNING,
        _EVERY,
        "the delta is applied again when it changes, and this statement then fails on what it made before",
        "CREATE OR REPLACE, IF NOT EXISTS, or DROP … IF EXISTS before it",
    ),
    Rule(
        "allow-unknown",
        Severity.WARNING,
        _EVERY,
        "no rule has this name, so the header allows nothing",
        "a rule's name as findings have it",
    ),
    Rule(
        "allow-unused",
        Severity.HINT,
        _EVERY,
        "nothing in the delta breaks this rule, and what breaks it later would pass unseen",
        "take it out of the header",
    ),
)


def check_delta(
    script: Script, statements: Mapping[Part, Sequence[Statement]], dialect: Dialect
) -> Iterator[tuple[Part, Hit]]:
    """Give what is wrong with a delta as a whole, each with the part that it stands in."""
    forward, reverse = statements[Part.FORWARD], statements.get(Part.REVERSE, ())
    line = forward[0].line if forward else 1
    if not reverse and not script.irreversible and not script.repeatable:
        yield Part.FORWARD, Hit("no-reverse", line, "there is no reverse, and no word that none is meant")
    if reverse:
        for hit in _missed(forward, reverse, dialect):
            yield Part.REVERSE, hit
    for part, held in statements.items():
        for statement in held:
            for hit in _in_quotes(statement):
                yield part, hit
    if script.repeatable:
        for hit in _fails_again(forward, dialect):
            yield Part.FORWARD, hit


def _missed(forward: Sequence[Statement], reverse: Sequence[Statement], dialect: Dialect) -> Iterator[Hit]:
    """Give what forward touches by name and no word of the reverse names."""
    said: set[str] = set()
    for statement in reverse:
        for token in statement.tokens:
            if token.kind in _NAMES:
                said.add(folded(token, dialect).lower())
            elif token.kind is Kind.STRING:
                # A name may well stand in a body, or in what EXECUTE is given.
                said.update(_WORDS.findall(token.text.lower()))
    shapes = [shape_of(significant(statement), dialect) for statement in reverse]
    dropped = {name.last for one in shapes if isinstance(one, Drop) and one.kind == "TABLE" for name in one.names}
    told: set[str] = set()
    for statement in forward:
        shape = shape_of(significant(statement), dialect)
        if isinstance(shape, CreateIndex) and (
            shape.table.last in dropped or said & set(map(str.lower, shape.columns))
        ):
            # It goes with its table, or with a column of it.
            continue
        for name in _touched(shape):
            if name.lower() not in said and name not in told:
                told.add(name)
                yield Hit(
                    "reverse-misses",
                    reverse[0].line,
                    f"forward touches {name} in line {statement.line}, and no word of the reverse names it",
                )
    forwards = [shape_of(significant(statement), dialect) for statement in forward]
    for column in _columns_left(forwards, shapes, said):
        what = f"forward adds the column {column}, and no word of the reverse names it"
        yield Hit("reverse-misses", reverse[0].line, what)


def _columns_left(forward: Sequence[Shape], reverse: Sequence[Shape], said: set[str]) -> Iterator[str]:
    """Give the columns that forward adds, and keeps, and that no word of the reverse names; with their tables."""
    drops = [one for one in reverse if isinstance(one, Drop)]
    if any(isinstance(one, Plain) for one in reverse) or any(one.cascade for one in drops):
        # A block, a call or a dropped type may take columns along without their names.
        return
    gone = {name.last for one in drops for name in one.names}
    alterations = [(one.table, action) for one in forward if isinstance(one, AlterTable) for action in one.actions]
    moved = {
        folded(token, action.dialect)
        for _, action in alterations
        if action.words[:1] in (["DROP"], ["RENAME"], ["CHANGE"])
        for token in action.tokens
    }
    for table, action in alterations:
        for column in columns_added(action):
            if table.last not in gone and column.name not in moved and column.name.lower() not in said:
                yield f"{table.last}.{column.name}"


def _touched(shape: Shape) -> tuple[str, ...]:
    """Give the names of what a statement changes; of an index its own name, or its table where it has none."""
    match shape:
        case CreateIndex(name=None, table=table):
            return (table.last,)
        case CreateIndex(name=name):
            assert name is not None  # noqa: S101 - the case before
            return (name.last,)
        case AlterTable(table=table) | CreateTable(table=table) | Write(table=table):
            return (table.last,)
        case Drop(names=names) if shape.kind != "INDEX":
            return tuple(name.last for name in names)
        case Truncate(tables=tables):
            return tuple(table.last for table in tables)
        case _:
            return ()


def _in_quotes(statement: Statement) -> Iterator[Hit]:
    for token in statement.tokens:
        if token.kind in {Kind.STRING, Kind.QUOTED} and "${" in token.text:
            start = token.text.index("${")
            end = token.text.find("}", start) + 1
            if end and token.text[start + 2 : end - 1].partition(":")[0].isidentifier():
                line = token.line + token.text.count("\n", 0, start)
                yield Hit("placeholder-in-quotes", line, f"{token.text[start:end]} in {token.text[:1]}…")


def _fails_again(statements: Iterable[Statement], dialect: Dialect) -> Iterator[Hit]:
    dropped: set[str] = set()
    for statement in statements:
        words = [token.word for token in significant(statement)]
        shape = shape_of(significant(statement), dialect)
        if isinstance(shape, Drop) and "EXISTS" in words:
            dropped |= {name.last for name in shape.names}
        names = {folded(token, dialect) for token in statement.tokens[:12] if token.kind in _NAMES}
        safe = words[1:3] == ["OR", "REPLACE"] or "EXISTS" in words[:8] or bool(dropped & names)
        if words[:1] in (["CREATE"], ["DROP"], ["ALTER"]) and not safe and words[:2] != ["ALTER", "DEFAULT"]:
            told = " ".join(filter(None, words[:2]))
            yield Hit("repeatable-fails-again", statement.line, told)
