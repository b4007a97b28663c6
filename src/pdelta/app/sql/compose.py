"""The composition root of databases: the only module that names their adapters."""

from pdelta.app.context import Context
from pdelta.databases.base import Database
from pdelta.errors import UsageError
from pdelta.formats.database import DatabaseSection, Of


def open_database(section: DatabaseSection, context: Context, *, trust_stamps: bool = False) -> Database:
    """Give the database of a section; it connects when it is first used.

    Raises:
        UsageError: Its engine's driver isn't installed.
    """
    if section.tenants.of is Of.FILES:
        from pdelta.databases.sqlite.database import SqliteDatabase

        return SqliteDatabase(
            section.name,
            context.folder or ".",
            section.tenants.patterns,
            exclude=section.tenants.exclude,
            cache=context.cache / "sqlite",
        )
    del trust_stamps
    raise UsageError("not yet")
