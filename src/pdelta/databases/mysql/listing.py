"""Which tenants a server has, as the settings choose them."""

from collections.abc import Iterator, Sequence
from typing import Final

from pdelta.databases.base import Tenant
from pdelta.databases.mysql.quoting import literal
from pdelta.databases.mysql.server import Server
from pdelta.databases.mysql.settings import Settings
from pdelta.errors import UsageError
from pdelta.formats.tenants import matches, read_row

LONGEST_NAME: Final = 64
"""Characters."""
FEW: Final = 20
"""So many databases are looked up sooner than all of a server are listed."""
_LAST_CHARACTER: Final = "\uffff"
"""Source: the server's manual, "Identifier Names"; supplementary characters are not permitted."""
_SYSTEM: Final = frozenset({"information_schema", "mysql", "performance_schema", "sys"})
_NAMES: Final = "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA"
_SIZES: Final = (
    "SELECT TABLE_SCHEMA, CAST(SUM(DATA_LENGTH + INDEX_LENGTH) AS SIGNED)"
    " FROM information_schema.TABLES GROUP BY TABLE_SCHEMA"
)


def list_tenants(server: Server, settings: Settings) -> list[Tenant]:
    """Give the tenants of this server.

    Raises:
        DatabaseError: It can't be reached, or does not take the query.
        UsageError: The query gives one name twice.
        FormatError: The query gives no names.
    """
    if settings.query:
        return list(_by_query(server, settings))
    sizes = {str(name): int(size or 0) for name, size in server.ask(_SIZES)} if settings.sizes else {}
    if not settings.patterns:
        database = server.address.database
        return [Tenant(database, size=sizes.get(database, 0))]
    there = [str(row[0]) for row in server.ask(_NAMES)]
    chosen = [name for name in there if name.lower() not in _SYSTEM and matches(name, settings.patterns)]
    if len(settings.servers) == 1:
        # Each of several servers has some of the databases that are named; one alone is to have all of them.
        chosen += [name for name in settings.patterns if not set("*?[") & set(name)]
    names = [name for name in dict.fromkeys(chosen) if not matches(name, settings.exclude)]
    return [Tenant(name, size=sizes.get(name, 0)) for name in names]


def covers(name: str, settings: Settings) -> bool:
    """Say whether the names and patterns of these settings mean a tenant of this name."""
    if not settings.patterns:
        return name == settings.servers[0].database
    if not name or "\0" in name or len(name) > LONGEST_NAME or name.endswith(" ") or max(name) > _LAST_CHARACTER:
        return False
    if name.lower() in _SYSTEM or matches(name, settings.exclude):
        return False
    return matches(name, settings.patterns)


def databases_of(server: Server, among: Sequence[str] = (), with_table: str = "") -> set[str]:
    """Give the databases of a server, or those of them that have a table of this name.

    Args:
        server: Which.
        among: Those that it is about, if they are few; of all others nothing need be said.
        with_table: The table; empty for none.

    Raises:
        DatabaseError: It can't be reached.
    """
    text, schema = _NAMES, "SCHEMA_NAME"
    conditions = []
    if with_table:
        text, schema = "SELECT TABLE_SCHEMA FROM information_schema.TABLES", "TABLE_SCHEMA"
        conditions.append(f"TABLE_NAME = {literal(with_table)}")
    each = [conditions]
    if 0 < len(among) <= FEW:
        each = [[*conditions, f"{schema} = {literal(name)}"] for name in among]
    asked = (f"{text} WHERE {' AND '.join(one)}" if one else text for one in each)
    return {str(row[0]) for row in server.ask(" UNION ALL ".join(asked))}


def _by_query(server: Server, settings: Settings) -> Iterator[Tenant]:
    about = f"the query for tenants of databases.{settings.name}"
    columns, rows = server.ask_for(settings.query, about=about)
    seen: set[str] = set()
    for row in rows:
        read = read_row(columns, row)
        if read.name in seen:
            raise UsageError(f"{about} gives {read.name} twice")
        seen.add(read.name)
        if not matches(read.name, settings.exclude):
            yield Tenant(read.name, tags=read.tags, size=read.size or 0, values=read.values)
