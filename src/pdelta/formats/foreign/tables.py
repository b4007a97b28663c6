"""The tables in which other tools keep what a database has: which columns they have, and what their rows say.

Source: the tools' own documentation, and the statements with which each of them makes its table. Rows in, names of
versions out; ``app.sql.foreign`` reads the rows.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from pdelta.formats.foreign.origin import version_key
from pdelta.sql.script import Tool

Row = Sequence[Any]


class ForeignTable(msgspec.Struct, frozen=True):
    """A tool's table.

    Attributes:
        name: As the tool calls it, unless it is told otherwise.
        columns: Those that are read, in this order.
        order: The one of them by which rows are sorted.
        unlike: Columns that it does not have: with one of these the table is another tool's.
    """

    name: str
    columns: tuple[str, ...]
    order: str
    unlike: tuple[str, ...] = ()


class Entry(msgspec.Struct, frozen=True):
    """One thing that a tool says a database has.

    Attributes:
        names: What a delta may call it, the fullest first.
    """

    names: tuple[str, ...]


class Chronicle(msgspec.Struct, frozen=True):
    """What a tool says of one database.

    Attributes:
        entries: What it has, the oldest first; of a tool that keeps only where it stands, that.
        up_to: A version, as ``canonical`` gives it: all that are not greater count as had; empty for none.
        problems: Why nothing can be said of it, in words.
    """

    entries: tuple[Entry, ...] = ()
    up_to: str = ""
    problems: tuple[str, ...] = ()


TABLES: Final[Mapping[Tool, ForeignTable]] = {
    Tool.ALEMBIC: ForeignTable("alembic_version", ("version_num",), "version_num"),
    Tool.DBMATE: ForeignTable("schema_migrations", ("version",), "version", unlike=("dirty",)),
    Tool.DJANGO: ForeignTable("django_migrations", ("id", "app", "name"), "id"),
    Tool.FLYWAY: ForeignTable(
        "flyway_schema_history", ("installed_rank", "version", "description", "type", "success"), "installed_rank"
    ),
    Tool.GOLANG_MIGRATE: ForeignTable("schema_migrations", ("version", "dirty"), "version"),
    Tool.GOOSE: ForeignTable("goose_db_version", ("id", "version_id", "is_applied"), "id"),
    Tool.LIQUIBASE: ForeignTable(
        "databasechangelog", ("orderexecuted", "id", "author", "filename", "exectype"), "orderexecuted"
    ),
}
NAMES: Final = frozenset({table.name for table in TABLES.values()} | {"databasechangeloglock"})
"""In lower case; what no tenant of pdelta's own needs to have."""

_NOT_EXECUTED: Final = frozenset({"FAILED", "SKIPPED"})
_FLYWAYS_OWN: Final = frozenset({"SCHEMA", "DELETE"})


def canonical(tool: Tool, version: str) -> str:
    """Give a text that is equal for all ways to write one version, and sorts as the tool sorts them."""
    if tool is Tool.FLYWAY and not version.startswith("R "):
        return version_key(version.replace("_", ".").split("."))
    if tool in {Tool.GOOSE, Tool.GOLANG_MIGRATE} and version.isdecimal():
        return version_key([version])
    return version


def read_rows(tool: Tool, rows: Iterable[Row]) -> Chronicle:
    """Give what the rows of a tool's table say; each has the columns of its ``ForeignTable``, sorted as that says."""
    return _READERS[tool](rows)


def _plain(rows: Iterable[Row]) -> Chronicle:
    return Chronicle(tuple(Entry((str(version),)) for (version,) in rows))


def _django(rows: Iterable[Row]) -> Chronicle:
    return Chronicle(tuple(Entry((f"{app}.{name}",)) for _, app, name in rows))


def _goose(rows: Iterable[Row]) -> Chronicle:
    """The newest row of a version says whether it is applied; version 0 is the table's own beginning."""
    applied: dict[str, bool] = {}
    for _, version, is_applied in rows:
        applied.pop(str(version), None)
        applied[str(version)] = bool(is_applied)
    return Chronicle(tuple(Entry((version,)) for version, is_ in applied.items() if is_ and version != "0"))


def _golang_migrate(rows: Iterable[Row]) -> Chronicle:
    found = list(rows)
    dirty = [str(version) for version, is_dirty in found if is_dirty]
    if dirty:
        return Chronicle(problems=(f"its version {', '.join(dirty)} is dirty: it stopped half-way",))
    versions = [str(version) for version, _ in found]
    newest = canonical(Tool.GOLANG_MIGRATE, versions[-1]) if versions else ""
    return Chronicle(tuple(Entry((version,)) for version in versions), newest)


def _liquibase(rows: Iterable[Row]) -> Chronicle:
    """A change set may be named without its file, or by its id alone, where that means one."""
    names: dict[str, tuple[str, str]] = {}
    for _, id, author, file, kind in rows:
        if str(kind).upper() not in _NOT_EXECUTED:
            names[f"{file}::{id}::{author}"] = (f"{id}::{author}", str(id))
    meant = Counter(name for shorter in names.values() for name in shorter)
    return Chronicle(
        tuple(Entry((full, *(name for name in shorter if meant[name] == 1))) for full, shorter in names.items())
    )


def _flyway(rows: Iterable[Row]) -> Chronicle:
    """Rows are only ever added: what was undone or deleted since is said by a later one."""
    had: dict[str, Entry] = {}
    up_to = ""
    problems: list[str] = []
    for _, version, description, kind, success in rows:
        words = str(kind).upper()
        name = f"R {description}" if version is None or version == "" else str(version)
        key = canonical(Tool.FLYWAY, name)
        if not success:
            problems.append(f"its version {name} failed")
        elif words == "DELETE" or words.startswith("UNDO"):
            had.pop(key, None)
        elif words.endswith("BASELINE"):
            up_to = max(up_to, key)
        elif words not in _FLYWAYS_OWN:
            had[key] = Entry((name,))
    return Chronicle(tuple(had.values()), up_to, tuple(problems))


_READERS: Final[Mapping[Tool, Callable[[Iterable[Row]], Chronicle]]] = {
    Tool.ALEMBIC: _plain,
    Tool.DBMATE: _plain,
    Tool.DJANGO: _django,
    Tool.FLYWAY: _flyway,
    Tool.GOLANG_MIGRATE: _golang_migrate,
    Tool.GOOSE: _goose,
    Tool.LIQUIBASE: _liquibase,
}
