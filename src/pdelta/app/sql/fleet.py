"""The tenants that a command is about: a section of the project file, opened, listed, and chosen from."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import cached_property
from typing import Final

import msgspec

from pdelta.app.context import Context
from pdelta.app.sql.compose import open_database, open_servers
from pdelta.app.sql.scripts import database_of
from pdelta.databases.base import Database, Glance, Tenant
from pdelta.errors import UsageError
from pdelta.formats.database import DatabaseSection
from pdelta.formats.tenants import is_excluded, matches, tags_of, values_of
from pdelta.model.event import Event
from pdelta.model.target import Target
from pdelta.operations.sql.target import target_of
from pdelta.sql.scope import Scope

TAG = "tag:"
CARRYING: Final = (
    "pdelta.model.run",
    "pdelta.sql.split",
    "pdelta.app.sql.deltas",
    "pdelta.operations.sql.lanes",
    "pdelta.operations.sql.operation",
    "pdelta.engine.rollout",
    "pdelta.app.sql.rollout",
    "pdelta.formats.sql_delta",
    "pdelta.engine.journal",
)
"""What carries deltas out, to be imported while a server is at work: parts that take some milliseconds each."""
ASKING: Final = (
    "pdelta.sql.split",
    "pdelta.databases.postgresql.transaction",
    "pdelta.databases.postgresql.pattern",
    "pdelta.databases.postgresql.session",
    "pdelta.sql.script",
    "pdelta.sql.derive",
    "pdelta.databases.catalogue.postgresql_text",
    "pdelta.databases.catalogue.postgresql_tables",
    "pdelta.databases.catalogue.postgresql",
)
"""What asks PostgreSQL, which alone is waited for so, what a tenant is made of. It comes before all else where one
is to be proved to come back, as the server plans the answer for 60 ms."""


class Member(msgspec.Struct, frozen=True):
    """One of those that receive deltas.

    Attributes:
        tenant: What is known of it.
        scope: Which deltas are for it: ``ONCE`` for what stands for a whole server.
    """

    tenant: Tenant
    scope: Scope = Scope.TENANT


class Fleet:
    """A database and those of its tenants that are meant.

    Args:
        section: What the project file says.
        database: Connected when first used.
        tenants: Sorted by name.

    Attributes:
        section: What the project file says.
        database: Of the tenants.
        databases: By the names that targets begin with: that one, and those of servers.
        tenants: As they were listed.
    """

    def __init__(self, section: DatabaseSection, database: Database, tenants: Iterable[Tenant]) -> None:
        """Hold the tenants alone."""
        self.section = section
        self.database = database
        self.databases: dict[str, Database] = {section.name: database}
        self.tenants = tuple(tenants)
        self._glances: Mapping[str, Glance | Exception] = {}

    @cached_property
    def members(self) -> dict[Target, Member]:
        """The tenants, each with what the project file says of it, by what plans call them.

        Made when first asked for: whoever finds that there is nothing to do does not.
        """
        name = self.section.name
        return {target_of(name, tenant.name): Member(_described(self.section, tenant)) for tenant in self.tenants}

    def look(self, believing: Mapping[str, Glance] | None = None) -> Mapping[str, Glance | Exception]:
        """Look at every tenant, and give what is seen; ``seen`` tells it again.

        Args:
            believing: What is taken for seen of some.
        """
        believed = believing or {}
        names = [tenant.name for tenant in self.tenants if tenant.name not in believed]
        self._glances = {**believed, **(self.database.glance(names) if names else {})}
        return self._glances

    @property
    def seen(self) -> dict[Target, Glance]:
        """What the last look saw, so that the next need not look again: of databases each look is a connection."""
        name = self.section.name
        return {target_of(name, tenant): one for tenant, one in self._glances.items() if isinstance(one, Glance)}

    def forget(self) -> None:
        """Whatever was seen is no longer so."""
        self._glances = {}

    def add_server(self, database: Database) -> None:
        """Take in what stands for a server, which receives deltas once."""
        self.databases[database.name] = database
        for tenant in database.tenants():
            self.members[target_of(database.name, tenant.name)] = Member(tenant, Scope.ONCE)

    def database_of(self, target: Target) -> Database:
        """Give the database of a target."""
        return self.databases[target.address.partition("/")[0]]


@contextmanager
def open_fleet(context: Context, name: str, only: Sequence[str], *, trust_stamps: bool = False) -> Iterator[Fleet]:
    """Give the tenants of a section; whoever hears warnings is told where there are none.

    Args:
        context: The command's surroundings.
        name: The section's; may be empty where there is only one.
        only: Names and globs of tenants, and ``tag:NAME``; empty for all.
        trust_stamps: Whether what may be hearsay proves that there is nothing to do.

    Raises:
        UsageError: There is no such section, or one of ``only`` means no tenant.
        DatabaseError: The tenants can't be listed.
    """
    section = section_of(context, name)
    # Whoever means a few of thousands does not want to hear of all.
    with open_database(section, context, trust_stamps=trust_stamps, looks=not only) as database:
        tenants = [tenant for tenant in database.tenants() if not is_excluded(section, tenant.name)]
        if only:
            tenants = list(chosen([_described(section, tenant) for tenant in tenants], only))
        if not tenants:
            context.observer(Event("list", message=_finds_nothing(section), level="warning"))
        yield Fleet(section, database, tenants)


def _finds_nothing(section: DatabaseSection) -> str:
    found = section.tenants
    by = f"{found.of} = {', '.join(found.patterns)}" if found.patterns else "its query"
    return f"databases.{section.name} has no tenants: {by} finds none" + (" that is not excluded" * bool(found.exclude))


@contextmanager
def with_servers(fleet: Fleet, context: Context, only: Sequence[str]) -> Iterator[None]:
    """Let a fleet hold its servers as well, where all of it is meant.

    Raises:
        UsageError: The engine has no servers.
        DatabaseError: A server can't be reached.
    """
    with ExitStack() as stack:
        if not only:
            for database in open_servers(fleet.section, context):
                fleet.add_server(stack.enter_context(database))
        yield


def section_of(context: Context, name: str) -> DatabaseSection:
    """Give the section of this name, or the only one.

    Raises:
        UsageError: There is none, or several and none is named.
    """
    section = database_of(context, name)
    if section is None:
        raise UsageError(
            "the project file names no database",
            hint='write one into pdelta.toml: [databases.app] with url = "sqlite:///app.db" and deltas = "deltas"',
        )
    return section


def chosen(tenants: Sequence[Tenant], only: Sequence[str]) -> tuple[Tenant, ...]:
    """Give the tenants that these names, globs and tags mean; all where nothing is said.

    Raises:
        UsageError: One of them means no tenant.
    """
    if not only:
        return tuple(tenants)
    kept: dict[str, Tenant] = {}
    for word in only:
        found = [tenant for tenant in tenants if _is_meant(tenant, word)]
        if not found:
            text = f"{word!r} means no tenant of {len(tenants):,}"
            raise UsageError(text, hint="list them: pdelta sql status")
        kept |= {tenant.name: tenant for tenant in found}
    return tuple(kept[name] for name in sorted(kept))


def _described(section: DatabaseSection, tenant: Tenant) -> Tenant:
    """Give a tenant with what the project file says of it."""
    return msgspec.structs.replace(
        tenant,
        tags=tags_of(section, tenant.name, tenant.tags),
        values=values_of(section, tenant.name, tenant.values),
    )


def _is_meant(tenant: Tenant, word: str) -> bool:
    if word.startswith(TAG):
        return word.removeprefix(TAG) in tenant.tags
    return matches(tenant.name, (word,))
