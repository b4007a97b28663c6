"""The tenants of one section of the project file, on PostgreSQL servers: a ``Database``.

``app.compose`` makes it from settings; ``operations.sql`` uses it through the port.
"""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import cached_property
from types import TracebackType
from typing import TYPE_CHECKING, Final, Self, TypeVar

from pdelta.databases.base import Glance, Tenant, worth_sessions
from pdelta.databases.postgresql import catalogue
from pdelta.databases.postgresql.ahead import FRESH_S
from pdelta.databases.postgresql.layout import Layout
from pdelta.databases.postgresql.listing import covers, list_tenants
from pdelta.databases.postgresql.quoting import is_name
from pdelta.databases.postgresql.quoting import name as quoted
from pdelta.databases.postgresql.reading import GoneError, Reader
from pdelta.databases.postgresql.server import Server
from pdelta.databases.postgresql.settings import Kind, Settings, check
from pdelta.errors import DatabaseError, UsageError
from pdelta.sql.ledger import Applied, Head
from pdelta.sql.token import Dialect, Mode

if TYPE_CHECKING:
    from pdelta.databases.postgresql.catalogue import Seen
    from pdelta.databases.postgresql.pattern import Patterns
    from pdelta.databases.postgresql.session import PostgresqlSession
    from pdelta.sql.catalogue import Catalogue
    from pdelta.sql.lint.finding import TableSize

Value = TypeVar("Value")

_HEARD_S: Final = 1.0
"""How long what was asked ahead may take to end by itself, and once it is cancelled; then it is left behind."""


class PostgresqlDatabase:
    """A ``Database`` of PostgreSQL.

    Args:
        settings: Of its section.

    Raises:
        UsageError: The settings contradict each other.
    """

    dialect: Dialect = Dialect.POSTGRESQL
    transactional: bool = True

    def __init__(self, settings: Settings) -> None:
        check(settings)
        self.name: str = settings.name
        self.modes: frozenset[Mode] = frozenset()
        self._settings = settings
        self._layout = Layout(
            by_schema=settings.kind is Kind.SCHEMAS,
            is_single=settings.kind is Kind.SINGLE,
            search_path=settings.search_path,
            stamps_databases=settings.kind is Kind.DATABASES,
        )
        direct = settings.direct or (None,) * len(settings.servers)
        self._servers = {
            address.server: Server(address, direct=past, application_name=settings.application_name)
            for address, past in zip(settings.servers, direct, strict=True)
        }
        self._homes: dict[str, Server] = {}
        self._listed_seen: dict[str, Seen] | None = None
        self._listed_s = 0.0
        self._stack = ExitStack()
        self._asked_ahead: list[tuple[PostgresqlSession, threading.Thread]] = []
        self.batch_limit: int | None = None if self._layout.by_schema else 1

    def __enter__(self) -> Self:
        """Use it; connections are made when first needed."""
        for server in self._servers.values():
            self._stack.enter_context(server)
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None, /
    ) -> None:
        """Close every connection but those of sessions."""
        for session, thread in self._asked_ahead:
            thread.join(_HEARD_S)
            if thread.is_alive():
                session.cancel()
                thread.join(_HEARD_S)
            if not thread.is_alive():
                session.close()
        self._stack.close()

    def tenants(self) -> Sequence[Tenant]:
        """Give all tenants, sorted by name.

        Raises:
            DatabaseError: A server can't be reached, or the query fails.
            UsageError: The query gives no names, or two servers have a database of one name.
        """
        homes: dict[str, Server] = {}
        found: list[Tenant] = []
        for server in self._servers.values():
            listed, self._listed_seen = list_tenants(server, self._settings)
            self._listed_s = time.monotonic()
            for tenant in listed:
                if tenant.name in homes:
                    raise UsageError(
                        f"databases.{self.name} has {tenant.name} on {homes[tenant.name].name} and on {server.name}",
                        hint="one name must be one tenant: make two sections of them",
                    )
                homes[tenant.name] = server
                found.append(tenant)
        self._homes = homes
        return sorted(found, key=lambda tenant: tenant.name)

    def glance(self, names: Sequence[str]) -> Mapping[str, Glance | Exception]:
        """Give what the stamps of these tenants say, and nothing of those that are gone.

        Schemas cost one query. Databases cost a connection each, unless ``trust_stamps`` says that one query for the
        comments of all is enough; whatever those do not say is read there all the same. Right after the tenants were
        listed, schemas cost none.
        """
        listed, self._listed_seen = self._listed_seen, None
        listed = listed if time.monotonic() - self._listed_s < FRESH_S else None
        seen = self._on_each_server(names, lambda reader, group: reader.glance(group, listed))
        return {name: said for name, said in seen.items() if not isinstance(said, GoneError)}

    def hearsay(self, names: Sequence[str]) -> Mapping[str, Glance]:
        """Give what the comments on databases say; nothing of schemas, nor where comments are trusted anyway."""
        if self._layout.by_schema or self._settings.trust_stamps:
            return {}
        said = self._on_each_server(names, Reader.hearsay)
        return {name: one for name, one in said.items() if isinstance(one, Glance)}

    def stamps(self, names: Sequence[str]) -> Mapping[str, Head]:
        """Give what the comments on ledgers say; databases cost a connection each."""
        glances = self._on_each_server(names, Reader.stamped).items()
        return {name: seen.head for name, seen in glances if isinstance(seen, Glance) and seen.head is not None}

    def ledgers(self, names: Sequence[str], *, delta: str = "") -> Mapping[str, Sequence[Applied] | Exception]:
        """Give the rows of these tenants' ledgers, or those of one delta, in no order; of schemas 250 a round trip."""
        return self._on_each_server(names, lambda reader, group: reader.ledgers(group, delta))

    def fingerprints(self, names: Sequence[str]) -> Mapping[str, str | Exception]:
        """Give the fingerprints of these tenants' catalogues: one query for all schemas of a database."""
        return self._on_each_server(names, Reader.fingerprints)

    def catalogues(self, names: Sequence[str]) -> "Mapping[str, Catalogue | Exception]":
        """Give what these tenants are made of."""
        return self._on_each_server(names, Reader.catalogues)

    def table_sizes(self, names: Sequence[str]) -> "Mapping[str, TableSize]":
        """Give how large tables are: of all schemas with one question, of databases with a connection each.

        Raises:
            DatabaseError: A server or a database can't be reached.
        """
        from pdelta.sql.lint.finding import largest

        asked = self._on_each_server(names, Reader.table_sizes)
        found: dict[str, TableSize] = {}
        for sizes in {id(one): one for one in asked.values()}.values():
            if isinstance(sizes, GoneError):
                continue
            if isinstance(sizes, Exception):
                raise sizes
            found = largest(found, sizes)
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
        """Begin to connect, where the tenants share a database, and to have planned what one is asked about itself."""
        sessions = min(self._settings.connections, worth_sessions(tenants))
        if self._layout.by_schema or self._layout.is_single:
            for server in self._servers.values():
                server.prepare(sessions)
        if proving and self._layout.by_schema and len(self._servers) == 1:
            session = self.session(*self._servers)
            # Where no thread can be had, whoever asks waits longer.
            with suppress(RuntimeError):
                thread = threading.Thread(target=session.prepare, name="asking ahead", daemon=True)
                thread.start()
                self._asked_ahead.append((session, thread))

    def session(self, lane: str) -> "PostgresqlSession":
        """Open a session on a server, or give the one that was prepared; another connects when it is used."""
        # Whoever only looks has no use for it, nor for the tokens of SQL behind it.
        from pdelta.databases.postgresql.session import PostgresqlSession

        return self._prepared() or PostgresqlSession(self._servers[lane], self._layout, self._patterns)

    def _prepared(self) -> "PostgresqlSession | None":
        """Give the session that was prepared, once it is ready, to the first who asks."""
        with suppress(IndexError):
            session, thread = self._asked_ahead.pop()
            thread.join()
            return session
        return None

    @cached_property
    def _patterns(self) -> "Patterns":
        from pdelta.databases.postgresql.pattern import Patterns

        return Patterns()

    def covers(self, name: str) -> bool:
        """Say whether a schema or database of this name would be among the tenants.

        Raises:
            DatabaseError: Only a query tells, and it fails.
        """
        if self._settings.query or self._settings.kind is Kind.SINGLE:
            return any(tenant.name == name for tenant in self.tenants())
        return is_name(name) and covers(name, self._settings)

    def create(self, name: str, *, lane: str = "") -> bool:
        """Make a schema or a database where there is none of this name; say whether there was none.

        Raises:
            UsageError: Nothing says on which server, or it is none, or another has the tenant.
            DatabaseError: As its ``cause`` says.
        """
        from pdelta.databases.placing import birthplace

        server = birthplace(self.name, name, lane, self._servers, self._listed)
        self._homes[name] = server
        what = "SCHEMA" if self._layout.by_schema else "DATABASE"
        return server.create(f"CREATE {what} {quoted(name)}", about=name)

    def blockers(self, name: str) -> Sequence[str]:
        """Give, in words, who holds locks on this tenant's tables now; the oldest transaction first."""
        schema = name if self._layout.by_schema else ""
        text = catalogue.blockers(schema=schema, database=self._layout.database(name))
        try:
            return [catalogue.in_words(row) for row in self._home(name).ask(text, about=name)[0].rows]
        except DatabaseError:
            return ()

    def _listed(self) -> dict[str, str]:
        """Give the servers of all tenants that there are."""
        self.tenants()
        return {name: server.name for name, server in self._homes.items()}

    def _home(self, name: str) -> Server:
        if len(self._servers) == 1 and self._settings.kind is not Kind.SINGLE:
            return next(iter(self._servers.values()))
        if name not in self._homes:
            self.tenants()
        if name not in self._homes:
            raise GoneError(name)
        return self._homes[name]

    def _on_each_server(
        self, names: Sequence[str], ask: Callable[[Reader, Sequence[str]], Mapping[str, Value | Exception]]
    ) -> dict[str, Value | Exception]:
        """Ask each server for the tenants that it has; one that can't be reached fails those alone."""
        found: dict[str, Value | Exception] = {}
        groups: dict[str, list[str]] = {}
        for name in names:
            try:
                groups.setdefault(self.lane(name), []).append(name)
            except DatabaseError as error:
                found[name] = error
        settings = self._settings
        for lane, group in groups.items():
            reader = Reader(
                self._servers[lane], self._layout, width=settings.connections, trust_stamps=settings.trust_stamps
            )
            try:
                found.update(ask(reader, group))
            except DatabaseError as error:
                found.update(dict.fromkeys(group, error))
        return {name: found[name] for name in names if name in found}
