"""The tenants that a command is about: a section of the project file, opened, listed, and chosen from."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

import msgspec

from pdelta.app.context import Context
from pdelta.app.sql.compose import open_database
from pdelta.app.sql.scripts import database_of
from pdelta.databases.base import Database, Tenant
from pdelta.errors import UsageError
from pdelta.formats.database import DatabaseSection
from pdelta.formats.tenants import matches
from pdelta.model.target import Target
from pdelta.operations.sql.operation import target_of

TAG = "tag:"


class Fleet(msgspec.Struct, frozen=True):
    """A database and those of its tenants that are meant.

    Attributes:
        section: What the project file says.
        database: Connected when first used.
        tenants: Sorted by name.
    """

    section: DatabaseSection
    database: Database
    tenants: tuple[Tenant, ...]

    @property
    def by_target(self) -> Mapping[Target, Tenant]:
        """The tenants by what plans call them."""
        return {target_of(self.section.name, tenant.name): tenant for tenant in self.tenants}


@contextmanager
def open_fleet(context: Context, name: str, only: Sequence[str], *, trust_stamps: bool = False) -> Iterator[Fleet]:
    """Give the tenants of a section.

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
    with open_database(section, context, trust_stamps=trust_stamps) as database:
        yield Fleet(section, database, chosen(database.tenants(), only))


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
            raise UsageError(f"{word!r} means none of the {len(tenants)} tenants", hint="list them: pdelta sql status")
        kept |= {tenant.name: tenant for tenant in found}
    return tuple(kept[name] for name in sorted(kept))


def _is_meant(tenant: Tenant, word: str) -> bool:
    if word.startswith(TAG):
        return word.removeprefix(TAG) in tenant.tags
    return matches(tenant.name, (word,))
