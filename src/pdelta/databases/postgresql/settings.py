"""What a section of the project file says of a PostgreSQL database, with its references already resolved."""

from enum import StrEnum

import msgspec

from pdelta.databases.postgresql.address import APPLICATION, Address
from pdelta.errors import UsageError
from pdelta.model.amount import counted


class Kind(StrEnum):
    """What the tenants of a section are."""

    SCHEMAS = "schemas"
    DATABASES = "databases"
    SINGLE = "single"


class Settings(msgspec.Struct, frozen=True):
    """All that ``PostgresqlDatabase`` is made from; its ``repr`` shows no password.

    Attributes:
        name: The section's.
        servers: Where tenants are; several only where they are databases.
        direct: The same servers in the same order without a pooler in between, for statements that can't
            stand in a transaction; empty where ``servers`` says that already.
        kind: What tenants are.
        names: Tenants by name.
        patterns: Globs that their names match.
        query: A SELECT that gives them: the first column is the name; ``size`` and ``tags`` (words with commas between
            them) are what they say; every other column is a value for placeholders.
        connections: How many a server has at once.
        search_path: Schemas in which unqualified names are looked for: after the tenant's own schema; in databases,
            instead of the search path of the server's settings.
        application_name: What servers show of us.
        trust_stamps: Whether the comment on a database proves that there is nothing to do there.
        sizes: Whether tenants are to have sizes where no query says them; that costs some time on each server.
        looks: Whether all that are listed will be looked at next, so that of schemas one question does both.
    """

    name: str
    servers: tuple[Address, ...]
    direct: tuple[Address, ...] = ()
    kind: Kind = Kind.SINGLE
    names: tuple[str, ...] = ()
    patterns: tuple[str, ...] = ()
    query: str = ""
    connections: int = 4
    search_path: tuple[str, ...] = ()
    application_name: str = APPLICATION
    trust_stamps: bool = False
    sizes: bool = False
    looks: bool = False


def check(settings: Settings) -> None:
    """Refuse settings that contradict each other.

    Raises:
        UsageError: They do.
    """
    section = f"databases.{settings.name}"
    chosen = bool(settings.names or settings.patterns) + bool(settings.query)
    labels = [address.server for address in settings.servers]
    if not labels:
        raise UsageError(f"{section} names no server")
    if len(labels) > 1 and settings.kind is not Kind.DATABASES:
        raise UsageError(f"{section} has several servers, and only databases can be tenants on several")
    if len(set(labels)) < len(labels):
        raise UsageError(f"{section} names a server twice: {max(labels, key=labels.count)}")
    if settings.direct and len(settings.direct) != len(labels):
        raise UsageError(
            f"{section} has {counted(len(labels), 'server')} and {counted(len(settings.direct), 'direct URL')}"
        )
    if settings.kind is Kind.SINGLE and chosen:
        raise UsageError(f"{section} chooses among tenants, and does not say whether they are schemas or databases")
    if settings.kind is not Kind.SINGLE and chosen != 1:
        raise UsageError(
            f"{section} must say by names, patterns or a query which {settings.kind} are tenants",
            hint='for example tenants = { schemas = "tenant_*" }',
        )
    if settings.connections < 1:
        raise UsageError(f"{section} allows {settings.connections} connections, and at least one is needed")
