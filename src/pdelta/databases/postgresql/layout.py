"""What a tenant is: a schema of one database, or a database of its own; and where its ledger is then looked for."""

from typing import Any

import msgspec

from pdelta.databases.base import Glance
from pdelta.databases.postgresql import catalogue
from pdelta.databases.postgresql.catalogue import Seen
from pdelta.databases.postgresql.connection import Connection, StatementError
from pdelta.databases.postgresql.ledger import Place, read_stamp
from pdelta.databases.postgresql.quoting import name
from pdelta.errors import DatabaseError
from pdelta.sql.ledger import Head, head_of


class Layout(msgspec.Struct, frozen=True):
    """How tenants are laid out on servers.

    Attributes:
        by_schema: Whether they are schemas; else databases.
        is_single: Whether the only one is the database of the address.
        search_path: Schemas in which unqualified names are looked for: after the tenant's own, or, for databases,
            instead of what the server's settings say.
        stamps_databases: Whether a comment on each database is to say its head.
    """

    by_schema: bool
    is_single: bool = False
    search_path: tuple[str, ...] = ()
    stamps_databases: bool = False

    def database(self, tenant: str) -> str:
        """Give the database that holds a tenant; empty for the one of the address."""
        return "" if self.by_schema or self.is_single else tenant

    def path(self, tenant: str) -> tuple[str, ...]:
        """Give the search path of a tenant; empty for that of the server's settings."""
        return (tenant, *self.search_path) if self.by_schema else self.search_path

    def place(self, tenant: str, seen: Seen) -> Place:
        """Give where a tenant's ledger is."""
        return Place(
            tenant,
            schema=seen.schema,
            path=self.path(tenant),
            managed=bool(seen.oid),
            oid=seen.oid,
            database=seen.database if self.stamps_databases else 0,
        )

    def known(self, tenant: str, glance: Glance) -> Place | None:
        """Give the same from what was seen before; None where somebody must look."""
        if glance.mark and (seen := Seen.of(glance.mark)).schema:
            return self.place(tenant, seen)
        if self.by_schema:
            return Place(tenant, schema=tenant, path=self.path(tenant), managed=glance.managed)
        return None


def glance(seen: Seen) -> Glance:
    """Give what a catalogue entry tells.

    Raises:
        FormatError: A later pdelta wrote the stamp.
    """
    return Glance(bool(seen.oid), read_stamp(seen.comment, seen.oid) if seen.oid else None, seen.mark)


def look_up(connection: Connection, layout: Layout, tenant: str, mark: str = "") -> Seen:
    """Give what the catalogue of a tenant's own database knows of its ledger.

    Args:
        connection: To the database.
        layout: What tenants are.
        tenant: Its name.
        mark: What was seen of the database from outside; empty for nothing.

    Raises:
        DatabaseError: There is no schema in its search path.
        BrokenError: The connection broke.
    """
    database = Seen.of(mark).database if mark else 0
    if database:
        ((oid, schema),) = _ask(connection, layout, tenant, catalogue.ledger_in_first_schema())
        if oid:
            return Seen(oid, None, schema, database)
    rows = _ask(connection, layout, tenant, catalogue.ledger_of_database())
    if not rows:
        raise DatabaseError(
            f"{tenant}: there is no schema in its search path for the ledger",
            hint="create one, or name another in search_path",
        )
    oid, comment, schema, database = rows[0]
    return Seen(oid, comment, schema, database)


def head_in(connection: Connection, layout: Layout, tenant: str) -> Head:
    """Give the head of the ledger in a tenant's own database, from its rows.

    Raises:
        StatementError: There is none, or it can't be read.
        BrokenError: The connection broke.
    """
    return head_of((id, digest, state) for id, digest, state in _ask(connection, layout, tenant, catalogue.head_rows()))


def _ask(connection: Connection, layout: Layout, tenant: str, question: str) -> list[tuple[Any, ...]]:
    path = layout.path(tenant)
    if not path:
        return connection.run(question)[0].rows
    entry = f"BEGIN READ ONLY;SET LOCAL search_path TO {', '.join(map(name, path))}"
    try:
        return connection.run(f"{entry};{question};COMMIT")[-2].rows
    except StatementError:
        # Whoever asks again does so on this connection.
        connection.run("ROLLBACK")
        raise
