"""Reads the catalogue of a SQLite file: the structure of tables and indexes, and the words of views and triggers.

SQLite keeps its schema as the text of statements, and changes that text when something is renamed or added. So the text
is read and not compared: a column that ALTER TABLE added and one that stood there from the beginning are equal.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

from pdelta.databases.catalogue.ours import is_ours
from pdelta.errors import ScriptError
from pdelta.sql.catalogue import YES, Catalogue, Item
from pdelta.sql.derive.kept import PARKED
from pdelta.sql.plain import name_of, plain, quoted, tokens_of
from pdelta.sql.sqlite_table import parse_table

STATEMENT: Final = "SELECT type, name, tbl_name, sql FROM main.sqlite_master WHERE sql IS NOT NULL ORDER BY 1, 2"
"""What is asked; the indexes that constraints make have no text of their own."""

_VIRTUAL: Final = re.compile(r"CREATE\s+VIRTUAL\s+TABLE\b.*?\bUSING\s+(\w+)", re.IGNORECASE | re.DOTALL)
_MODULES: Final[Mapping[str, tuple[str, ...]]] = {
    **dict.fromkeys(("fts3", "fts4"), ("content", "segments", "segdir", "docsize", "stat")),
    "fts5": ("data", "idx", "content", "docsize", "config"),
    **dict.fromkeys(("rtree", "rtree_i32", "geopoly"), ("node", "rowid", "parent")),
}
"""The modules that come with SQLite, and their tables."""

_REMEMBERED: Final = 256
"""Different schemas; a fleet has few, and a thousand files with one schema are read once."""


def catalogue(query: Callable[[str], Sequence[Sequence[Any]]], *, parked: bool = False) -> Catalogue:
    """Give the catalogue of a file.

    Args:
        query: Executes one SELECT on a connection to it.
        parked: Whether what pdelta parked or kept counts as the tenant's.
    """
    return read(query(STATEMENT), parked=parked)


def read(rows: Iterable[Sequence[Any]], *, parked: bool = False) -> Catalogue:
    """Give the catalogue that the rows of ``STATEMENT`` say.

    Args:
        rows: Kind, name, table and text of each object.
        parked: Whether what pdelta parked or kept counts as the tenant's.
    """
    return _read(tuple(tuple(map(str, row)) for row in rows), parked=parked)


@lru_cache(maxsize=_REMEMBERED)
def _read(rows: tuple[tuple[str, ...], ...], *, parked: bool) -> Catalogue:
    shadows = {f"{name}_{part}" for _kind, name, _table_, text in rows for part in _shadows(text)}
    return Catalogue.of(item for row in rows if row[1] not in shadows for item in _items(*row, parked=parked))


def _shadows(text: str) -> tuple[str, ...]:
    """Give the ends of the names of the tables in which a virtual table keeps what it holds."""
    found = _VIRTUAL.match(text)
    return _MODULES.get(found[1].lower(), ()) if found else ()


def _items(kind: str, name: str, table: str, text: str, *, parked: bool) -> Iterator[Item]:
    if name.lower().startswith("sqlite_") or is_ours(table, parked=parked) or is_ours(name, parked=parked):
        return
    if kind == "table":
        yield from _table(name, text, parked=parked)
        return
    written = _written(text)
    if not parked and PARKED in written:
        return
    if kind == "view":
        yield Item(kind, quoted(name), (("definition", written),), text)
    elif kind == "trigger":
        yield Item(kind, f"{quoted(table)}.{quoted(name)}", (("definition", written),), text)
    else:
        yield Item(kind, quoted(name), (("on", quoted(table)), ("definition", written)), text)


def _table(name: str, text: str, *, parked: bool) -> Iterator[Item]:
    called = quoted(name)
    try:
        table = parse_table(text)
    except (ValueError, ScriptError):
        # A virtual one has what its module makes of its words.
        yield Item("table", called, (("definition", _written(text)),), text)
        return
    yield Item("table", called, tuple((option.lower(), YES) for option in table.options), text)
    for column in table.columns:
        if parked or not column.name.startswith(PARKED):
            yield Item("column", f"{called}.{quoted(column.name)}", column.facts)
    seen: Counter[str] = Counter()
    for constraint in table.constraints:
        label = f"{called}.{quoted(constraint.name)}" if constraint.name else f"{constraint.definition} on {called}"
        seen[label] += 1
        if seen[label] > 1:
            label += f" ({seen[label]})"
        if parked or PARKED not in constraint.definition:
            yield Item("constraint", label, (("on", called), ("definition", constraint.definition)))


def _written(text: str) -> str:
    """Give what a statement says in one spelling, without ``IF NOT EXISTS`` and without a schema before the name."""
    try:
        tokens = tokens_of(text)
    except ScriptError:
        return text
    words = [token.word for token in tokens]
    for at in range(len(words) - 2):
        if words[at : at + 3] == ["IF", "NOT", "EXISTS"]:
            del tokens[at : at + 3]
            break
        if words[at] in {"(", "AS", "ON"}:
            break
    name = 1 + next(
        (at for at, token in enumerate(tokens) if token.word in {"TABLE", "INDEX", "VIEW", "TRIGGER"}), len(tokens)
    )
    if name + 1 < len(tokens) and tokens[name + 1].text == "." and name_of(tokens[name]).lower() in {"main", "temp"}:
        del tokens[name : name + 2]
    return plain(tokens)
