"""What a section of the project file says of a MySQL or MariaDB database, with its references already resolved."""

import msgspec

from pdelta.databases.mysql.address import Address
from pdelta.errors import UsageError


class Settings(msgspec.Struct, frozen=True):
    """All that ``MysqlDatabase`` is made from; its ``repr`` shows no password.

    Attributes:
        name: The section's.
        servers: Where tenants are.
        patterns: Names and globs of the databases that are tenants; with neither these nor a query, the database of
            the URL is the only one.
        query: A SELECT that gives them: the first column is the name, ``size`` and ``tags`` say what they are, every
            other column is a value for placeholders.
        exclude: Names and globs of those that are none.
        connections: How many a server has at once; more than four gain nothing (measured: DDL waits for the redo log).
        sizes: Whether tenants are to have sizes where no query says them; that costs some time on each server.
    """

    name: str
    servers: tuple[Address, ...]
    patterns: tuple[str, ...] = ()
    query: str = ""
    exclude: tuple[str, ...] = ()
    connections: int = 4
    sizes: bool = False


def check(settings: Settings) -> None:
    """Refuse settings that contradict each other.

    Raises:
        UsageError: They do.
    """
    section = f"databases.{settings.name}"
    labels = [address.server for address in settings.servers]
    is_single = not settings.patterns and not settings.query
    if not labels:
        raise UsageError(f"{section} names no server")
    if len(set(labels)) < len(labels):
        raise UsageError(f"{section} names a server twice: {max(labels, key=labels.count)}")
    if settings.patterns and settings.query:
        raise UsageError(f"{section} chooses its tenants by names and by a query", hint="leave one of them out")
    if is_single and len(labels) > 1:
        raise UsageError(
            f"{section} has several servers and does not say which databases are tenants",
            hint='for example tenants = { databases = "tenant_*" }',
        )
    if is_single and not settings.servers[0].database:
        raise UsageError(
            f"{section} names a server and no database",
            hint='write mysql://…/database, or choose tenants, for example tenants = { databases = "tenant_*" }',
        )
    if settings.connections < 1:
        raise UsageError(f"{section} allows {settings.connections} connections, and at least one is needed")
