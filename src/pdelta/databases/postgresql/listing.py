"""Which tenants a server has, as the settings choose them."""

from collections.abc import Iterator
from fnmatch import translate
from re import compile as compile_pattern

from pdelta.databases.base import Tenant
from pdelta.databases.postgresql import catalogue, failure, script
from pdelta.databases.postgresql.catalogue import Seen
from pdelta.databases.postgresql.connection import Result
from pdelta.databases.postgresql.ledger import Place
from pdelta.databases.postgresql.script import Role
from pdelta.databases.postgresql.server import Server
from pdelta.databases.postgresql.settings import Kind, Settings
from pdelta.errors import ScriptError, UsageError


def list_tenants(server: Server, settings: Settings) -> tuple[list[Tenant], dict[str, Seen] | None]:
    """Give the tenants of this server, and what is known of the ledgers of its schemas where ``looks`` asks for it.

    Raises:
        DatabaseError: It can't be reached, or does not take the query.
        UsageError: The query gives no names, or one twice.
    """
    if settings.query:
        return list(_by_query(server, settings)), None
    if settings.kind is Kind.SINGLE:
        size = "pg_database_size(current_database())" if settings.sizes else "0"
        rows = server.ask(f"SELECT current_database(), {size}")[0].rows
        return [Tenant(row[0], size=row[1]) for row in rows], None
    seen = None
    if settings.looks and settings.kind is Kind.SCHEMAS and not settings.sizes:
        seen = catalogue.read_seen(server.ask(catalogue.ledgers_of_schemas())[0])
        sizes = {name: 0 for name in seen if not _is_of_the_system(name)}
    else:
        question = catalogue.schemas if settings.kind is Kind.SCHEMAS else catalogue.databases
        sizes = catalogue.read_names(server.ask(question(sizes=settings.sizes))[0])
    shared = set(settings.search_path) if settings.kind is Kind.SCHEMAS else set()
    matches = [compile_pattern(translate(pattern)).match for pattern in settings.patterns]
    chosen = [name for name in sizes if name not in shared and any(match(name) for match in matches)]
    # Each of several servers has some of the databases that are named; one alone is to have all of them.
    named = [name for name in settings.names if name in sizes or len(settings.servers) == 1]
    return [Tenant(name, size=sizes.get(name, 0)) for name in dict.fromkeys([*chosen, *named])], seen


def covers(name: str, settings: Settings) -> bool:
    """Say whether the names and patterns of these settings mean a tenant of this name."""
    if name in settings.names:
        return True
    if settings.kind is Kind.SCHEMAS:
        is_other = _is_of_the_system(name) or name in settings.search_path
    else:
        is_other = name == "postgres"
    return not is_other and any(compile_pattern(translate(pattern)).match(name) for pattern in settings.patterns)


def _is_of_the_system(schema: str) -> bool:
    return schema.startswith("pg_") or schema == "information_schema"


def _by_query(server: Server, settings: Settings) -> Iterator[Tenant]:
    place = Place(server.name, schema="")
    try:
        asked = script.read_only(place, settings.query)
    except ScriptError as error:
        raise failure.unfit(error, f"the query for tenants of databases.{settings.name}") from error
    results = server.ask(asked.text, about=f"the query for tenants of databases.{settings.name}")
    (result,) = (result for line, result in zip(asked.lines, results, strict=True) if line.role is Role.VALUE)
    seen: set[str] = set()
    for tenant in _read(result, settings.name):
        if tenant.name in seen:
            raise UsageError(f"the query for tenants of databases.{settings.name} gives {tenant.name} twice")
        seen.add(tenant.name)
        yield tenant


def _read(result: Result, section: str) -> Iterator[Tenant]:
    for row in result.rows:
        said = dict(zip(result.columns[1:], row[1:], strict=True))
        if not row or not isinstance(row[0], str) or not row[0]:
            raise UsageError(
                f"the query for tenants of databases.{section} gives a row without a name",
                hint="its first column must be the tenant's name",
            )
        size, tags = said.pop("size", None), said.pop("tags", None)
        yield Tenant(
            row[0],
            size=int(size or 0),
            tags=tuple(tag.strip() for tag in str(tags or "").split(",") if tag.strip()),
            values={column: str(value) for column, value in said.items() if value is not None},
        )
