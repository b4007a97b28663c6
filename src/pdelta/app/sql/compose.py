"""The composition root of databases: the only module that names their adapters."""

import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import assert_never

import msgspec

from pdelta.app.context import Context
from pdelta.databases.base import Database, Tenant
from pdelta.errors import UsageError
from pdelta.formats.database import DatabaseSection, Of, Tenants
from pdelta.formats.database_url import Lookup, dialect_of, resolve
from pdelta.operations.sql.target import server_of
from pdelta.sql.token import Dialect

_CONNECTIONS = 4
"""A server, where the project file says nothing; measured, more gain nothing there."""
_GLOB = frozenset("*?[")


def open_database(
    section: DatabaseSection, context: Context, *, trust_stamps: bool = False, looks: bool = False
) -> Database:
    """Give the database of a section; it connects when it is first used.

    Args:
        section: What the project file says.
        context: The command's surroundings.
        trust_stamps: Whether what may be hearsay proves that there is nothing to do.
        looks: Whether all tenants that are listed will be looked at next.

    Raises:
        UsageError: Its engine's driver isn't installed, or a reference leads nowhere.
    """
    if section.tenants.of is Of.FILES:
        return _files(section, context)
    urls = [resolve(url, _lookup(context)) for url in section.urls]
    dialect = _dialect(section, urls)
    if section.direct_urls and dialect is not Dialect.POSTGRESQL:
        raise UsageError(f"databases.{section.name} has a direct_url, which only PostgreSQL needs", hint="leave it out")
    match dialect:
        case Dialect.POSTGRESQL:
            direct = [resolve(url, _lookup(context)) for url in section.direct_urls]
            return _postgresql(section, urls, direct, trust_stamps=trust_stamps, looks=looks)
        case Dialect.SQLITE:
            return _file(section, urls, context)
        case Dialect.MYSQL:
            return _mysql(section, urls)
        case _:
            assert_never(dialect)


def connect_ahead(section: DatabaseSection, lookup: Lookup, *, looks: bool) -> Callable[[], None] | None:
    """Begin to connect to the servers of a section, before what will open it is imported.

    Args:
        section: What the project file says.
        lookup: What references of URLs are looked up with, the first time of two.
        looks: Whether all tenants will be listed and looked at, so that this may be asked as well.

    Returns:
        What closes those connections that nobody has wanted; None where none was begun.

    Raises:
        UsageError: A reference leads nowhere, or can't be looked up twice.
    """
    urls = [resolve(url, lookup) for url in section.urls]
    # Where one of these asks a person, whoever opens the section waits for him, and what was asked grows old.
    for url in section.direct_urls:
        resolve(url, lookup)
    if not any(dialect_of(url) is Dialect.POSTGRESQL for url in urls):
        return None
    from pdelta.databases.postgresql import ahead
    from pdelta.databases.postgresql.catalogue import ledgers_of_schemas

    tenants = section.tenants
    question = ledgers_of_schemas() if looks and tenants.of is Of.SCHEMAS and not tenants.query else ""
    for url in urls:
        ahead.begin(url, question)
    return ahead.end


def open_servers(section: DatabaseSection, context: Context) -> list[Database]:
    """Give what stands for each server of a section: its URL's own database, which receives deltas once.

    Raises:
        UsageError: There is no server, or as ``open_database``.
    """
    if section.dialect is Dialect.SQLITE:
        raise UsageError(
            "a delta with scope=once is for a server, and SQLite has none", hint="take the scope out of its header"
        )
    return [
        open_database(
            msgspec.structs.replace(
                section,
                name=server_of(section.name, number),
                urls=(url,),
                direct_urls=section.direct_urls[number - 1 : number],
                tenants=Tenants(),
            ),
            context,
        )
        for number, url in enumerate(section.urls, start=1)
    ]


def _dialect(section: DatabaseSection, urls: list[str]) -> Dialect:
    """Give the engine that the URLs of a section lead to."""
    dialect = next(filter(None, map(dialect_of, urls)), None)
    if dialect is None:
        raise UsageError(f"the URL of databases.{section.name} leads to no engine that is known")
    return dialect


def _lookup(context: Context) -> Lookup:
    if context.lookup is None:
        raise UsageError("references of URLs can't be looked up here")
    return context.lookup


def _files(section: DatabaseSection, context: Context) -> Database:
    from pdelta.databases.sqlite.database import SqliteDatabase

    return SqliteDatabase(
        section.name,
        context.folder or ".",
        section.tenants.patterns,
        exclude=section.tenants.exclude,
        listing=partial(_listed_files, section, context) if section.tenants.query else None,
        cache=context.cache / "sqlite",
    )


def _listed_files(section: DatabaseSection, context: Context) -> Sequence[Tenant]:
    """Give the files that a section's query lists, asked of whatever engine its URL leads to."""
    urls = [resolve(url, _lookup(context)) for url in section.urls]
    # Listing is all that it is asked for, and nobody looks whether such databases are there.
    asked = msgspec.structs.replace(section, tenants=Tenants(Of.DATABASES, query=section.tenants.query))
    database: Database
    match _dialect(section, urls):
        case Dialect.SQLITE:
            from pdelta.databases.sqlite.listing import list_by_query

            folder = os.path.abspath(context.folder or ".")
            paths = [url.removeprefix("sqlite:///") for url in urls]
            return [one for path in paths for one in list_by_query(folder, path, section.tenants.query)]
        case Dialect.POSTGRESQL:
            database = _postgresql(asked, urls)
        case Dialect.MYSQL:
            database = _mysql(asked, urls)
        case _ as never:
            assert_never(never)
    with database:
        return database.tenants()


def _file(section: DatabaseSection, urls: list[str], context: Context) -> Database:
    from pdelta.databases.sqlite.database import SqliteDatabase

    paths = [url.removeprefix("sqlite:///") for url in urls]
    return SqliteDatabase(section.name, context.folder or ".", paths, cache=context.cache / "sqlite")


def _postgresql(
    section: DatabaseSection,
    urls: Sequence[str],
    direct: Sequence[str] = (),
    *,
    trust_stamps: bool = False,
    looks: bool = False,
) -> Database:
    from pdelta.databases.postgresql.ahead import address_of
    from pdelta.databases.postgresql.database import PostgresqlDatabase
    from pdelta.databases.postgresql.settings import Kind, Settings

    kinds = {Of.SCHEMAS: Kind.SCHEMAS, Of.DATABASES: Kind.DATABASES, None: Kind.SINGLE}
    tenants = section.tenants
    servers = tuple(map(address_of, urls))
    connections = _CONNECTIONS
    if tenants.of is Of.SCHEMAS and all(server.is_here for server in servers):
        # In one database a server does nothing but calculate. Measured with two processors: two sessions take a tenth
        # less than four, and a third less than one.
        connections = min(_CONNECTIONS, max(2, os.cpu_count() or 1))
    return PostgresqlDatabase(
        Settings(
            section.name,
            servers,
            direct=tuple(map(address_of, direct)),
            kind=kinds[tenants.of],
            names=tuple(name for name in tenants.patterns if _GLOB.isdisjoint(name)),
            patterns=tuple(name for name in tenants.patterns if not _GLOB.isdisjoint(name)),
            query=tenants.query,
            connections=section.connections or connections,
            search_path=section.search_path,
            trust_stamps=trust_stamps,
            looks=looks,
        )
    )


def _mysql(section: DatabaseSection, urls: list[str]) -> Database:
    from pdelta.databases.mysql.address import Address
    from pdelta.databases.mysql.database import MysqlDatabase
    from pdelta.databases.mysql.settings import Settings

    tenants = section.tenants
    return MysqlDatabase(
        Settings(
            section.name,
            tuple(map(Address, urls)),
            patterns=tenants.patterns,
            query=tenants.query,
            exclude=tenants.exclude,
            connections=section.connections or _CONNECTIONS,
        )
    )
