"""The tenants of one section of the project file, on MySQL and MariaDB servers: a ``Database``.

``app.compose`` makes it from settings; ``operations.sql`` uses it through the port. The driver is imported with the
first connection.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from pdelta.databases.base import Glance, Session, Tenant
from pdelta.databases.mysql import reading
from pdelta.databases.mysql.listing import covers, databases_of, list_tenants
from pdelta.databases.mysql.server import Server, missing
from pdelta.databases.mysql.settings import Settings, check
from pdelta.errors import Cause, DatabaseError, UsageError
from pdelta.model.failpoint import FailPoint, never
from pdelta.sql.ledger import Applied, Head
from pdelta.sql.token import Dialect, Mode

if TYPE_CHECKING:
    from pdelta.sql.catalogue import Catalogue
    from pdelta.sql.lint.finding import TableSize

Value = TypeVar("Value")


class MysqlDatabase:
    """A ``Database`` of MySQL or MariaDB.

    Args:
        settings: Of its section.
        failpoint: Passed before and after each commit.

    Raises:
        UsageError: The settings contradict each other.
    """

    dialect = Dialect.MYSQL
    transactional = False
    batch_limit: int | None = 1

    def __init__(self, settings: Settings, *, failpoint: FailPoint = never) -> None:
        """Connect to nothing."""
        check(settings)
        self.name = settings.name
        self.modes: frozenset[Mode] = frozenset()
        self._settings = settings
        self._failpoint = failpoint
        self._servers = {address.server: Server(address) for address in settings.servers}
        self._homes: dict[str, Server] = {}

    def __enter__(self) -> Self:
        """Use it; connections are made when first needed."""
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None, /
    ) -> None:
        """Close every connection but those of sessions."""
        for server in self._servers.values():
            server.close()

    def tenants(self) -> Sequence[Tenant]:
        """Give all tenants, sorted by name.

        Raises:
            DatabaseError: A server can't be reached, or does not take the query.
            UsageError: Two servers have a database of one name.
            FormatError: The query gives no names.
        """
        homes: dict[str, Server] = {}
        found: list[Tenant] = []
        for server in self._servers.values():
            for tenant in list_tenants(server, self._settings):
                if tenant.name in homes:
                    raise UsageError(
                        f"databases.{self.name} has {tenant.name} on {homes[tenant.name].name} and on {server.name}",
                        hint="one name must be one tenant: make two sections of them",
                    )
                homes[tenant.name] = server
                found.append(tenant)
        self._homes = homes
        self._learn_modes()
        return sorted(found, key=lambda tenant: tenant.name)

    def glance(self, names: Sequence[str]) -> Mapping[str, Glance | Exception]:
        """Give what the stamps of these tenants say; one that is gone is missing.

        Two questions a server find out which tenants have a ledger; a third one, for 250 at a time, reads the stamps.
        """
        found = self._on_each_server(names, reading.glance)
        return {name: seen for name, seen in found.items() if not _is_missing(seen)}

    def hearsay(self, names: Sequence[str]) -> Mapping[str, Glance]:  # noqa: ARG002 - the port's signature
        """Give nothing: a glance is one query a server."""
        return {}

    def stamps(self, names: Sequence[str]) -> Mapping[str, Head]:
        """Give what a glance sees."""
        glances = self.glance(names).items()
        return {name: seen.head for name, seen in glances if isinstance(seen, Glance) and seen.head is not None}

    def ledgers(self, names: Sequence[str], *, delta: str = "") -> Mapping[str, Sequence[Applied] | Exception]:
        """Give the rows of these tenants' ledgers, or those of one delta, many tenants a round trip."""
        return self._on_each_server(names, lambda server, group: reading.ledgers(server, group, delta))

    def fingerprints(self, names: Sequence[str]) -> Mapping[str, str | Exception]:
        """Give the fingerprints of these tenants' catalogues."""
        from pdelta.sql.catalogue import fingerprint

        found = self.catalogues(names)
        return {name: one if isinstance(one, Exception) else fingerprint(one) for name, one in found.items()}

    def catalogues(self, names: Sequence[str]) -> "Mapping[str, Catalogue | Exception]":
        """Give what these tenants are made of, with two questions each."""
        return self._on_each_server(names, self._catalogues)

    def _catalogues(self, server: Server, names: Sequence[str]) -> "dict[str, Catalogue | Exception]":
        from pdelta.databases.catalogue import mysql

        session = self.session(server.name)
        found: dict[str, Catalogue | Exception] = {}
        try:
            for name in names:
                try:
                    found[name] = mysql.catalogue(partial(session.query, name))
                except DatabaseError as error:
                    found[name] = error
        finally:
            session.close()
        return found

    def table_sizes(self, names: Sequence[str]) -> "Mapping[str, TableSize]":
        """Give how large tables are, with one question a server.

        Raises:
            DatabaseError: A server can't be reached.
        """
        from pdelta.databases.mysql import sizes
        from pdelta.sql.lint.finding import largest

        found: dict[str, TableSize] = {}
        # A name is a tenant's on the one server that has it, and of no other server anything is told.
        for server in self._servers.values() if names else ():
            found = largest(found, sizes.read(server, names))
        return found

    def lane(self, name: str) -> str:
        """Give the server of a tenant.

        Raises:
            DatabaseError: No server has it.
        """
        return self._home(name).name

    def width(self, lane: str) -> int:
        """Give how many sessions a server may have at once."""
        return self._settings.connections if lane in self._servers else 0

    def prepare(self, tenants: int, *, proving: bool = False) -> None:
        """Do nothing: each tenant is connected to when it is its turn."""

    def session(self, lane: str) -> Session:
        """Open a session on a server; nothing is connected before it is used."""
        from pdelta.databases.mysql.session import MysqlSession

        return MysqlSession(self._servers[lane], self._failpoint)

    def covers(self, name: str) -> bool:
        """Say whether a database of this name would be among the tenants.

        Raises:
            DatabaseError: Only a query tells, and it fails.
        """
        if self._settings.query:
            return any(tenant.name == name for tenant in self.tenants())
        return covers(name, self._settings)

    def create(self, name: str, *, lane: str = "") -> bool:
        """Make a database where there is none of this name; say whether there was none.

        Raises:
            UsageError: Nothing says on which server, or it is none, or another has the tenant.
            DatabaseError: As its ``cause`` says.
        """
        from pdelta.databases.placing import birthplace

        server = birthplace(self.name, name, lane, self._servers, self._listed)
        self._homes[name] = server
        return server.create(name)

    def blockers(self, name: str) -> Sequence[str]:
        """Give which sessions hold a tenant or have a transaction open in it; the oldest first."""
        from pdelta.databases.mysql.session import claim

        return reading.blockers(self._home(name), name, claim(name))

    def _listed(self) -> dict[str, str]:
        """Give the servers of all tenants that there are."""
        self.tenants()
        return {name: server.name for name, server in self._homes.items()}

    def _home(self, name: str) -> Server:
        if len(self._servers) == 1:
            return next(iter(self._servers.values()))
        if name not in self._homes:
            self._homes = {found: server for server in self._servers.values() for found in databases_of(server)}
        if name not in self._homes:
            raise missing(name)
        return self._homes[name]

    def _on_each_server(
        self, names: Sequence[str], ask: Callable[[Server, Sequence[str]], Mapping[str, Value | Exception]]
    ) -> dict[str, Value | Exception]:
        """Ask each server for the tenants that it has; one that can't be reached fails those alone."""
        found: dict[str, Value | Exception] = {}
        groups: dict[str, list[str]] = {}
        for name in names:
            try:
                groups.setdefault(self.lane(name), []).append(name)
            except DatabaseError as error:
                found[name] = error
        for lane, group in groups.items():
            try:
                found.update(ask(self._servers[lane], group))
            except DatabaseError as error:
                found.update(dict.fromkeys(group, error))
        self._learn_modes()
        return found

    def _learn_modes(self) -> None:
        # Of several servers that differ the union: what any of them reads otherwise is read with care.
        self.modes = frozenset().union(*(server.modes for server in self._servers.values()))


def _is_missing(seen: object) -> bool:
    return isinstance(seen, DatabaseError) and seen.cause is Cause.MISSING
