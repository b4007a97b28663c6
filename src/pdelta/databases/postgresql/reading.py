"""Stamps and ledgers of many tenants of one server, with few round trips; what can't be read is told per tenant."""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

import msgspec

from pdelta.databases.base import Glance
from pdelta.databases.postgresql import catalogue, failure, ledger
from pdelta.databases.postgresql.catalogue import Seen
from pdelta.databases.postgresql.connection import BrokenError, Connection, StatementError
from pdelta.databases.postgresql.layout import Layout, glance, head_in, look_up
from pdelta.databases.postgresql.ledger import read_stamp
from pdelta.databases.postgresql.quoting import is_name
from pdelta.databases.postgresql.script import Line, Role
from pdelta.databases.postgresql.server import Server
from pdelta.databases.spread import spread
from pdelta.errors import Cause, DatabaseError, FormatError, PdeltaError
from pdelta.sql.ledger import Applied

if TYPE_CHECKING:
    from pdelta.sql.catalogue import Catalogue
    from pdelta.sql.lint.finding import TableSize

LEDGERS_A_STRING: Final = 250
FEW: Final = 200
"""Up to so many schemas are asked for by name; of more, all are."""

Value = TypeVar("Value")
MANY: Final = 200
"""Schemas whose fingerprints are worth a second connection."""

_UNCHANGED: Final = "nothing was changed"
_GONE: Final = "there is no such tenant"


class GoneError(DatabaseError):
    """A tenant that is not there.

    Args:
        name: Of the tenant.
    """

    def __init__(self, name: str) -> None:
        super().__init__(f"{name}: {_GONE}", cause=Cause.MISSING, reason=_GONE)


class Reader:
    """What reads on one server.

    Args:
        server: The server.
        layout: What tenants are.
        width: How many connections may read databases at once.
        trust_stamps: Whether the comment on a database is enough.
    """

    def __init__(self, server: Server, layout: Layout, *, width: int, trust_stamps: bool) -> None:
        self._server = server
        self._layout = layout
        self._width = width
        self._trust_stamps = trust_stamps

    def glance(self, names: Sequence[str], listed: Mapping[str, Seen] | None = None) -> dict[str, Glance | Exception]:
        """Give what stamps say: of schemas with one query, of databases with a connection each.

        Args:
            names: Of the tenants.
            listed: What was seen of schemas when they were listed a moment ago.

        Raises:
            DatabaseError: The server can't be reached.
        """
        if self._layout.by_schema:
            seen = listed if listed and all(name in listed for name in names) else self._seen(names)
            return {name: _glance(name, seen[name]) if name in seen else GoneError(name) for name in names}
        if self._trust_stamps:
            said = self._trusted(names)
            return {**said, **self._in_databases((name for name in names if name not in said), self._look)}
        # A pooler may call databases otherwise than their server does: that one is not there, only a connection tells.
        told = {} if self._layout.is_single else self._trusted(names)
        unfit = {
            name: one for name, one in told.items() if isinstance(one, DatabaseError) and not isinstance(one, GoneError)
        }

        def look(connection: Connection, name: str) -> Glance:
            said = told.get(name)
            if isinstance(said, Glance):
                # Where the comment on the database is another, that on the ledger tells whether somebody edited that.
                with suppress(StatementError):
                    if head_in(connection, self._layout, name) == said.head:
                        return said
            return self._look(connection, name)

        return {**unfit, **self._in_databases((name for name in names if name not in unfit), look)}

    def stamped(self, names: Sequence[str]) -> dict[str, Glance | Exception]:
        """Give what the comments on ledgers say, even where a look at a database reads its rows instead.

        Raises:
            DatabaseError: The server can't be reached.
        """
        return self.glance(names) if self._layout.by_schema else self._in_databases(names, self._look)

    def hearsay(self, names: Sequence[str]) -> dict[str, Glance | Exception]:
        """Give what the comments on databases say of those that have one.

        Raises:
            DatabaseError: The server can't be reached.
        """
        return {
            name: msgspec.structs.replace(said, advisory=True)
            for name, said in self._trusted(names).items()
            if isinstance(said, Glance)
        }

    def ledgers(self, names: Sequence[str], delta: str = "") -> dict[str, Sequence[Applied] | Exception]:
        """Give all rows of ledgers: of schemas many a round trip, of databases with a connection each.

        Args:
            names: Of the tenants.
            delta: The only one whose row is wanted; empty for all.

        Raises:
            DatabaseError: The server can't be reached.
        """
        if not self._layout.by_schema:
            return self._in_databases(names, lambda connection, name: self._read(connection, name, delta))
        seen = self._seen(names)
        found: dict[str, Sequence[Applied] | Exception] = {name: GoneError(name) for name in names if name not in seen}
        found.update((name, ()) for name in names if name in seen and not seen[name].oid)
        managed = [name for name in names if name not in found]
        for start in range(0, len(managed), LEDGERS_A_STRING):
            found.update(self._read_schemas(managed[start : start + LEDGERS_A_STRING], delta))
        return found

    def fingerprints(self, names: Sequence[str]) -> dict[str, str | Exception]:
        """Give the fingerprints of catalogues: of schemas with one query, of databases with a connection each.

        Raises:
            DatabaseError: The server can't be reached, or the login may not look.
        """
        from pdelta.sql.catalogue import fingerprint

        if self._layout.by_schema:
            found = self._fingerprints(names)
            return {name: found.get(name) or GoneError(name) for name in names}
        return {
            name: one if isinstance(one, Exception) else fingerprint(one)
            for name, one in self.catalogues(names).items()
        }

    def catalogues(self, names: Sequence[str]) -> "dict[str, Catalogue | Exception]":
        """Give the catalogues, likewise.

        Raises:
            DatabaseError: As ``fingerprints``.
        """
        from pdelta.databases.catalogue import postgresql

        if self._layout.by_schema:
            found = _of_open(partial(postgresql.catalogues, self._query), names)
            return {name: found.get(name) or GoneError(name) for name in names}

        def read(connection: Connection, _name: str) -> "Catalogue":
            return postgresql.database_catalogue(
                lambda text: connection.run(f"{postgresql.SETTINGS_BEFORE};{text}")[-1].rows
            )

        return self._in_databases(names, read)

    def table_sizes(self, names: Sequence[str]) -> "dict[str, Mapping[str, TableSize] | Exception]":
        """Give how large tables are: of schemas with one question and one answer for all, of databases each its own.

        Raises:
            DatabaseError: The server can't be reached.
        """
        from pdelta.databases.postgresql import sizes

        def read(connection: Connection, name: str) -> "Mapping[str, TableSize]":
            return sizes.read(connection.run(sizes.question(self._layout.path(name) or None)))

        if not self._layout.by_schema:
            return self._in_databases(names, read)
        found = sizes.read(self._server.ask(sizes.question(names)))
        return dict.fromkeys(names, found)

    def _fingerprints(self, names: Sequence[str]) -> dict[str, str | Exception]:
        """Give the fingerprints of schemas; those of many on two connections, which takes three fifths of the time."""
        if len(names) < MANY or self._width < 2:
            return self._fingerprints_here(names)
        half = len(names) // 2
        asking = (partial(self._fingerprints_apart, names[half:]), partial(self._fingerprints_here, names[:half]))
        apart, here = spread(lambda ask: ask(), asking, len(asking))
        return here | apart

    def _fingerprints_here(self, names: Sequence[str]) -> dict[str, str | Exception]:
        """Give fingerprints on the connection that is kept."""
        from pdelta.databases.catalogue import postgresql

        return _of_open(partial(postgresql.fingerprints, self._query), names)

    def _fingerprints_apart(self, names: Sequence[str]) -> dict[str, str | Exception]:
        """Give fingerprints on a connection of its own, which is made while the other thread imports what asks."""
        server = self._server
        connection = server.connect()
        try:
            from pdelta.databases.catalogue import postgresql

            before = postgresql.SETTINGS_BEFORE

            def query(text: str) -> Sequence[Sequence[object]]:
                return connection.run(f"{before};{text}")[-1].rows

            return _of_open(partial(postgresql.fingerprints, query), names)
        except StatementError as error:
            raise failure.statement(error, Line("", Role.VALUE, server.name), 0) from error
        except BrokenError as error:
            raise failure.lost(error, [server.name], state=_UNCHANGED) from error
        finally:
            connection.close()

    def _query(self, text: str) -> Sequence[Sequence[object]]:
        from pdelta.databases.catalogue import postgresql

        return self._server.ask(f"{postgresql.SETTINGS_BEFORE};{text}")[-1].rows

    def _seen(self, names: Sequence[str]) -> dict[str, Seen]:
        possible = [name for name in names if is_name(name)]
        if not possible:
            return {}
        question = catalogue.ledgers_of_schemas(possible if len(possible) <= FEW else ())
        return catalogue.read_seen(self._server.ask(question)[0])

    def _read_schemas(self, names: Sequence[str], delta: str) -> dict[str, Sequence[Applied] | Exception]:
        """Read these ledgers in one string, and after one that can't be read the others in another."""
        found: dict[str, Sequence[Applied] | Exception] = {}
        left = list(names)
        while left:
            try:
                results = self._server.ask_plainly(";".join(ledger.read(name, delta) for name in left))
            except StatementError as error:
                results = list(error.results)
                name = left[len(results)]
                line = Line(ledger.read(name), Role.LEDGER, name)
                found[name] = failure.statement(error, line, 0)
                done = len(results) + 1
            except BrokenError as error:
                raise failure.lost(error, left, state=_UNCHANGED) from error
            else:
                done = len(left)
            for name, result in zip(left, results, strict=False):
                found[name] = _rows(name, result.rows[0][0])
            left = left[done:]
        return found

    def _trusted(self, names: Iterable[str]) -> dict[str, Glance | Exception]:
        """Give the heads that comments on databases say, and nothing for those that say none."""
        seen = catalogue.read_stamps(self._server.ask(catalogue.stamps_of_databases())[0])
        found: dict[str, Glance | Exception] = {}
        for name in names:
            if name not in seen:
                found[name] = GoneError(name)
                continue
            told, oid, comment = seen[name]
            try:
                head = read_stamp(comment, oid)
            except FormatError as error:
                found[name] = _later(name, error)
                continue
            if head is not None:
                # Where in it the ledger is, a session will look.
                found[name] = Glance(managed=True, head=head, mark=told.mark)
        return found

    def _in_databases(
        self, names: Iterable[str], work: Callable[[Connection, str], Value]
    ) -> dict[str, Value | Exception]:
        """Do this in each database, on some connections at once."""

        def visit(name: str) -> Value | Exception:
            try:
                return self._visit(name, work)
            except DatabaseError as error:
                # Of a server that answers, and of which another database is asked.
                is_gone = error.cause is Cause.MISSING and not self._layout.is_single
                return GoneError(name) if is_gone else error
            except PdeltaError as error:
                return error

        wanted = list(names)
        if len(wanted) < 2 or self._width < 2:
            return {name: visit(name) for name in wanted}
        return dict(zip(wanted, spread(visit, wanted, self._width), strict=True))

    def _visit(self, name: str, work: Callable[[Connection, str], Value]) -> Value:
        if not is_name(name):
            raise GoneError(name)
        try:
            with self._server.connected(self._layout.database(name)) as connection:
                return work(connection, name)
        except StatementError as error:
            raise failure.statement(error, Line("", Role.LEDGER, name), 0) from error
        except BrokenError as error:
            raise failure.lost(error, [name], state=_UNCHANGED) from error

    def _look(self, connection: Connection, name: str) -> Glance:
        said = _glance(name, look_up(connection, self._layout, name))
        if isinstance(said, Exception):
            raise said
        return said

    def _read(self, connection: Connection, name: str, delta: str) -> Sequence[Applied]:
        seen = look_up(connection, self._layout, name)
        if not seen.oid:
            return ()
        return rows_of(name, connection.run(ledger.read(seen.schema, delta))[0].rows[0][0])


def _of_open(ask: Callable[[Sequence[str]], dict[str, Value]], names: Sequence[str]) -> dict[str, Value | Exception]:
    """Ask about these schemas; of those that the login may not use, none of which can stand in the question, say so."""
    from pdelta.databases.catalogue.postgresql import ClosedError

    try:
        return {**ask(names)}
    except ClosedError as error:
        closed = error.each()
    return {**ask([name for name in names if name not in closed]), **closed}


def _glance(name: str, seen: Seen) -> Glance | DatabaseError:
    try:
        return glance(seen)
    except FormatError as error:
        return _later(name, error)


def _later(name: str, error: FormatError) -> DatabaseError:
    return DatabaseError(f"{name}: {error.message}", reason=error.message, hint=error.hint)


def rows_of(name: str, text: str | None) -> tuple[Applied, ...]:
    """Give the rows of a tenant's ledger from what ``ledger.read`` gave.

    Raises:
        DatabaseError: A row is none that this version knows.
    """
    try:
        return _decoded(text) if text else ()
    except msgspec.ValidationError as error:
        raise DatabaseError(
            f"{name}: a row of its ledger can't be read: {error}",
            reason="a row of the ledger can't be read",
            hint="a later pdelta, or a person, wrote it",
        ) from error


def _rows(name: str, text: str | None) -> tuple[Applied, ...] | DatabaseError:
    try:
        return rows_of(name, text)
    except DatabaseError as error:
        return error


@functools.lru_cache(maxsize=8)
def _decoded(text: str) -> tuple[Applied, ...]:
    """Give the rows that a text says: of tenants that got the same in the same run they are the very same ones."""
    return msgspec.json.decode(text, type=tuple[Applied, ...])
