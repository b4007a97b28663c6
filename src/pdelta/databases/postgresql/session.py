"""The work on one server, one transaction after the other, each as one string, or two where several tenants share it.

Behind a pooler that hands sessions on after each transaction nothing goes wrong, because nothing is kept in one; what
``inquiry`` keeps is kept only where there is none.
"""

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from pdelta.databases.base import Glance, Work
from pdelta.databases.postgresql import catalogue, failure, ledger
from pdelta.databases.postgresql.connection import BrokenError, Connection, Result, StatementError
from pdelta.databases.postgresql.inquiry import MEET, NOT_THERE, Inquiry
from pdelta.databases.postgresql.layout import Layout, look_up
from pdelta.databases.postgresql.ledger import Place
from pdelta.databases.postgresql.pattern import Patterns
from pdelta.databases.postgresql.quoting import is_name, name
from pdelta.databases.postgresql.reading import rows_of
from pdelta.databases.postgresql.script import UNCOMPILED, WAIT_MS, Line, Role, Script, enter, read_only
from pdelta.databases.postgresql.server import Server, end
from pdelta.databases.postgresql.statement import behind_settings, single
from pdelta.databases.postgresql.transaction import Limits, Transaction, record_lines
from pdelta.databases.postgresql.writing import Series, Together, stamp_lines, whole, write
from pdelta.databases.series import one_by_one
from pdelta.errors import Cause, DatabaseError, PdeltaError, ScriptError, StaleError
from pdelta.sql.ledger import Applied, Head

if TYPE_CHECKING:
    from pdelta.databases.rows import RowsAsked
    from pdelta.sql.catalogue import Catalogue

TENANTS_A_CONNECTION: Final = 1000
"""A backend remembers every table that it has met: measured, 21 MB after 1,000 tenants. Then it is let go."""

_WORTH_A_STRING: Final = 2
"""Works that gain by being sent together."""
_ASK_AGAIN_S: Final = 0.02
_REST_S: Final = 0.05
"""How long a connection may rest before it is asked whether the server has closed it."""

_WHERE: Final = (
    "SELECT pg_backend_pid(), (extract(epoch FROM pg_postmaster_start_time()) * 1000000)::bigint, oid"
    " FROM pg_database WHERE datname = current_database()"
)
"""Who answers, and of which server and database: names may differ, for a pooler may have its own."""
_UNCHANGED: Final = "nothing was changed"
_NO_TRANSACTION: Final = "there was no transaction, so that a part of it may be left"


class PostgresqlSession:
    """A ``Session`` on one server.

    Args:
        server: Where.
        layout: What tenants are.
        patterns: Of the database.
    """

    def __init__(self, server: Server, layout: Layout, patterns: Patterns) -> None:
        self._server = server
        self._layout = layout
        self._connection: Connection | None = None
        self._database = ""
        self._is_cancelled = False
        self._used_s = 0.0
        self._direct: Connection | None = None
        self._inquiry = Inquiry(layout)
        self._patterns = patterns

    def ledger(self, tenant: str, *, lock_timeout_ms: int) -> Sequence[Applied] | None:  # noqa: ARG002 - nothing waits
        """Give the rows of the ledger in a tenant's own database; of schemas one round trip reads many.

        Raises:
            DatabaseError: As its ``cause`` says.
        """
        if self._layout.by_schema:
            return None
        try:
            ((text,),) = self.query(tenant, ledger.WHOLE)
        except DatabaseError as error:
            if error.sqlstate == failure.UNDEFINED_TABLE:
                return ()
            raise
        return rows_of(tenant, text)

    def commit(self, works: Sequence[Work], *, lock_timeout_ms: int, statement_timeout_ms: int = 0) -> None:
        """Do these works in one transaction; several only where tenants are schemas.

        Raises:
            StaleError: A tenant's ledger is not as ``before`` says.
            GuardError: A guard refused.
            DatabaseError: As its ``cause`` says; unless that is ``LOST``, nothing was changed.
        """
        if not works:
            return
        limits = Limits(lock_timeout_ms, statement_timeout_ms)
        tenants, places = [work.tenant for work in works], self._places(works)
        before = _before(works, places)
        if len(works) == 1 and places[0].oid:
            filled = self._patterns.fill(works, places, limits)
            text = filled and ";\n".join((filled.text, *filled.ending))
            self._execute(text, lambda: whole(works, places, limits), tenants, before, asks=False)
            return
        together = Together.of(works, places, self._patterns, limits)
        results = self._execute(together.text, together.script, tenants, before, told=together.told)
        try:
            last = together.last(results)
        except StaleError:
            end(self._connected())
            raise
        self._send(last, tenants)

    def commit_each(
        self, works: Sequence[Work], *, lock_timeout_ms: int, statement_timeout_ms: int = 0
    ) -> Sequence[PdeltaError | None]:
        """Do some of these works, at least the first, each in a transaction of its own, until one fails.

        Those of tenants that have a ledger go out as one string. Each transaction but the last commits without waiting
        for the disk, for the last one waits for all that was written before it; where it does not come to that, a
        message in the log is waited for, or a row that is locked.
        """
        limits = Limits(lock_timeout_ms, statement_timeout_ms)
        series = Series.of(works, self._layout, self._patterns, limits) if self._layout.by_schema else None
        if series is None or len(series.works) < _WORTH_A_STRING or not self._takes(series):
            return one_by_one(self.commit, works[:1], **limits._asdict())
        tenants, before = [work.tenant for work in series.works], _before(series.works, series.places)
        try:
            self._execute(series.text, series.script, tenants, before, asks=False)
        except PdeltaError as error:
            cause = error.__cause__
            if not isinstance(cause, StatementError):
                # How far it came nobody knows, and whoever looks is to see nothing that might vanish again.
                self._make_durable(series.places[0])
                return [error] * len(tenants)
            place = series.place_of(cause)
            if place and not cause.results:
                # The string could not be read, so that those before the bad one have not happened either.
                return self.commit_each(works[:place], **limits._asdict())
            if place:
                self._make_durable(series.places[0])
            return [*[None] * place, error]
        return [None] * len(tenants)

    def _takes(self, series: Series) -> bool:
        """Say whether there is a connection on which a string of transactions can be sent."""
        try:
            connection = self._reach(series.works[0].tenant)
        except DatabaseError:
            # The first one's own commit tells.
            return False
        connection.met += len(series.works) - 1
        # What says how it is read would come too late.
        return connection.parameter("standard_conforming_strings") != "off"

    def _make_durable(self, place: Place) -> None:
        """Wait for the disk in the place of a COMMIT that never came.

        Where the server is out of reach that can't be, and need not: its own writer comes round within a second, and
        of a server that died only what is durable will be seen.

        Args:
            place: Of a ledger on the server.
        """
        # Who may not write a message may lock a row of a ledger, of which there is one, or was.
        rows = (f"SELECT FROM {table} LIMIT 1 FOR KEY SHARE" for table in (place.applied, place.history))
        for text in ("SELECT pg_logical_emit_message(true, 'pdelta', '')", "; ".join(rows)):
            try:
                connection = self._reach(place.tenant)
                connection.run(f"BEGIN; SET LOCAL lock_timeout = {WAIT_MS}; {text}; COMMIT")
            except StatementError:
                end(connection)
            except (BrokenError, DatabaseError):
                return
            else:
                return

    def record(
        self,
        tenant: str,
        row: Applied | None,
        *,
        former: Applied | None,
        glance: Glance,
        run: str = "",
        who: str = "",
    ) -> Head:
        """Write, change or remove one row of the ledger, outside any delta's transaction; give the new head.

        Raises:
            StaleError: The former row is not there, or is another.
            DatabaseError: As its ``cause`` says.
        """
        place = self._place(tenant, glance)
        writing = Transaction(Limits(WAIT_MS))
        writing.script.lines += record_lines(place, row, former, run, who)
        results = self._send(writing.script, [tenant])
        head, oid = Head.parse(results[-2].rows[0][0]), results[-1].rows[0][0]
        self._send(Script([*stamp_lines(ledger.numbered(place, oid), head), *writing.commit()]), [tenant])
        return head

    @contextmanager
    def hold(self, tenant: str, *, lock_timeout_ms: int) -> Iterator[None]:
        """Keep other runs from going step by step through a tenant, by a lock that goes with a connection of its own.

        It is asked for again and again: who waits in the server is a transaction, and a CREATE INDEX CONCURRENTLY of
        the other run would wait for that in turn.

        Raises:
            DatabaseError: As its ``cause`` says; ``BUSY`` where another run holds it.
        """
        connection = self._server.lend(self._layout.database(tenant), directly=True)
        deadline_s = time.monotonic() + lock_timeout_ms / 1000
        try:
            if connection.run("SELECT pg_backend_pid()")[0].rows[0][0] != connection.backend:
                raise _pooled(tenant)
            while not connection.run(ledger.HOLD.format(ledger.number_of(tenant)))[-1].rows[0][0]:
                if time.monotonic() >= deadline_s:
                    reason = "another run is at work there, or a statement of one that was killed"
                    raise DatabaseError(f"{tenant}: {reason}; {_UNCHANGED}", cause=Cause.BUSY, reason=reason)
                time.sleep(_ASK_AGAIN_S)
            yield
        except BrokenError as error:
            raise failure.lost(error, [tenant], state=_UNCHANGED) from error
        finally:
            connection.close()

    def alone(self, tenant: str, statement: str, *, lock_timeout_ms: int, statement_timeout_ms: int = 0) -> None:
        """Execute one statement without a transaction around it; ``hold`` waits for it, even if the client is gone.

        Before it may stand what is to be set for it, and it alone. What it needs of settings is then the session's, and
        so the session must be ours: behind a pooler another client would meet them. ``Server.direct`` leads past it.

        Raises:
            DatabaseError: As its ``cause`` says; ``REFUSED`` where there is a pooler and no way past it.
        """
        try:
            texts = behind_settings(statement)
        except ScriptError as error:
            raise failure.unfit(error, tenant) from error
        connection = self._own(tenant)
        text = ""
        path = self._layout.path(tenant)
        settings = [f"SET lock_timeout = {lock_timeout_ms}", f"SET statement_timeout = {statement_timeout_ms}"]
        settings += [f"SET search_path TO {', '.join(map(name, path))}"] if path else []
        try:
            step = ledger.STEP.format(ledger.number_of(tenant))
            connection.run(";".join((step, *settings, "SET standard_conforming_strings = on")))
            for text in texts:
                connection.run(text)
        except StatementError as error:
            line = Line(text, Role.STEP, tenant)
            raise failure.statement(error, line, error.position, state=_NO_TRANSACTION) from error
        except BrokenError as error:
            raise failure.lost(error, [tenant], state=_NO_TRANSACTION) from error
        finally:
            end(connection, "DISCARD ALL")

    def query(self, tenant: str, text: str, *, statement_timeout_ms: int = 0) -> list[tuple[Any, ...]]:
        """Give the rows of one SELECT in a transaction that cannot write and is rolled back.

        Raises:
            DatabaseError: As its ``cause`` says.
        """
        self._reach(tenant)
        self._inquiry.forget()
        place = Place(tenant, schema="", path=self._layout.path(tenant))
        try:
            script = read_only(place, text, statement_timeout_ms)
        except ScriptError as error:
            raise failure.unfit(error, tenant) from error
        (result,) = _asked(script, self._send(script, [tenant]))
        return result.rows

    def rehearse(
        self,
        works: Sequence[Work],
        texts: "Sequence[str | RowsAsked]",
        *,
        lock_timeout_ms: int,
        statement_timeout_ms: int = 0,
    ) -> list[Any]:
        """Do these works in one transaction that is rolled back; give what the texts say after each.

        Raises:
            PdeltaError: As ``commit``.
        """
        asked = [(*texts, *work.asks) for work in works]
        about_rows = [not isinstance(text, str) for held in asked for text in held]
        limits = Limits(lock_timeout_ms, statement_timeout_ms)
        writing = Transaction(limits, is_steady=any(about_rows), comes_to_nothing=True)
        unlimited, limited = (f"SET LOCAL statement_timeout = {one}" for one in (0, statement_timeout_ms))
        is_counted_on = self._inquiry.begin(self._connection)

        def look(work: Work, place: Place) -> list[Line]:
            lines = (line for text in (*texts, *work.asks) for line in self._question(text, place))
            before = (Line(text, Role.FRAME, place.tenant) for text in (unlimited, UNCOMPILED))
            return [*enter(place), *before, *lines, Line(limited, Role.FRAME, place.tenant)]

        places = self._places(works)
        write(works, places, writing, look)
        writing.script.add(*self._inquiry.end(self._connection))
        try:
            results = self._send(writing.script, [work.tenant for work in works], _before(works, places))
        except DatabaseError as error:
            if is_counted_on and error.sqlstate == NOT_THERE:
                # A delta has forgotten it, or whoever used the connection in between; it is not counted on twice.
                return self.rehearse(works, texts, **limits._asdict())
            raise
        if self._inquiry.ended(self._connection, results[-1]) and self._connection:
            end(self._connection, "DEALLOCATE ALL")
        values = [result.rows[0][0] if result.rows else None for result in _asked(writing.script, results)]
        if any(about_rows):
            from pdelta.databases.postgresql.rows import answer

            values = [answer(str(value)) if told else value for value, told in zip(values, about_rows, strict=True)]
        given = iter(values)
        return [list(islice(given, len(held))) for held in asked]

    def _question(self, text: "str | RowsAsked", place: Place) -> Iterator[Line]:
        """Give the statements that ask for one value in a tenant."""
        if not isinstance(text, str):
            from pdelta.databases.postgresql import rows

            asked = rows.question(text, place.tenant if self._layout.by_schema else "")
            yield from (Line(frame, Role.FRAME, place.tenant) for frame in rows.BEFORE)
            yield Line(asked, Role.VALUE, place.tenant)
            yield from (Line(frame, Role.FRAME, place.tenant) for frame in rows.AFTER)
        elif self._inquiry.is_(text):
            # It is one SELECT, and so long that to find that out would take 0.1 s.
            yield from self._inquiry.lines(place)
        else:
            yield Line(single(text), Role.VALUE, place.tenant)

    def invalid_indexes(self, tenant: str) -> list[str]:
        """Give the quoted names of a tenant's indexes that a failed ``CREATE INDEX CONCURRENTLY`` has left invalid.

        Raises:
            DatabaseError: As its ``cause`` says.
        """
        text = catalogue.invalid_indexes(tenant if self._layout.by_schema else "")
        return [row[0] for row in self.query(tenant, text)]

    def fingerprint(self, tenant: str, names: Collection[str]) -> str:
        """Give a hash over the versions of the catalogue's rows about what bears these names in a tenant.

        Raises:
            DatabaseError: As its ``cause`` says.
        """
        ((text,),) = self.query(tenant, catalogue.versions(tenant if self._layout.by_schema else "", names))
        return str(text)

    def made_of(self, tenants: Sequence[str]) -> "tuple[str, Callable[[Any], Mapping[str, Catalogue]]]":
        """Give a SELECT of all that schemas, or a database, hold, and what reads it.

        Raises:
            DatabaseError: As its ``cause`` says.
        """
        connection = self._reach(tenants[0])
        if not self._inquiry.knows(connection):
            (result,) = self._send(Script([Line(MEET, Role.VALUE, tenants[0])]), tenants)
            self._inquiry.meet(connection, *result.rows[0])
        return self._inquiry.about(tenants)

    def prepare(self) -> None:
        """Connect, and have the server plan what ``made_of`` gives, before anybody asks it.

        What fails here fails again where it is asked, and is told there. Called before any other, by a thread of its
        own; only where tenants are schemas.
        """
        with suppress(PdeltaError):
            connection = self._connection = self._server.lend_asker()
            try:
                (met,) = connection.run(MEET)
                self._inquiry.meet(connection, *met.rows[0])
                self._inquiry.prepare()
            except (StatementError, BrokenError):
                connection.close()

    def broken(self, tenant: str) -> Sequence[str]:
        """Give what drops the indexes that were never finished, and what ends the detachment of partitions.

        Raises:
            DatabaseError: As its ``cause`` says.
        """
        return [row[0] for row in self.query(tenant, catalogue.remedies(tenant if self._layout.by_schema else ""))]

    def cancel(self) -> None:
        """End what another thread is executing on this session, if anything."""
        self._is_cancelled = True
        for connection in (self._connection, self._direct):
            if connection is not None:
                connection.cancel()

    def close(self) -> None:
        """Let the connections go; an open transaction is rolled back."""
        if self._direct is not None:
            self._direct.close()
        # Whoever cancels from here on finds nothing, and whoever did before is seen below.
        connection, self._connection, self._direct = self._connection, None, None
        if connection is None:
            return
        if self._inquiry.is_kept:
            end(connection, "DEALLOCATE ALL")
        if self._is_cancelled or connection.met >= TENANTS_A_CONNECTION:
            # Of a cancellation the server may yet be told, and would end what somebody else does.
            connection.close()
        self._server.give_back(connection, self._database)

    def _places(self, works: Sequence[Work]) -> list[Place]:
        """Reach the tenants of these works, and give where their ledgers are."""
        if len({work.tenant for work in works}) > 1 and not self._layout.by_schema:
            raise ValueError("no transaction spans databases")
        return [self._place(work.tenant, work.glance) for work in works]

    def _place(self, tenant: str, glance: Glance) -> Place:
        """Reach a tenant, and give where its ledger is."""
        connection = self._reach(tenant)
        place = self._layout.known(tenant, glance)
        if place is None:
            try:
                place = self._layout.place(tenant, look_up(connection, self._layout, tenant, glance.mark))
            except BrokenError as error:
                raise failure.lost(error, [tenant], state=_UNCHANGED) from error
        return place

    def _reach(self, tenant: str) -> Connection:
        """Give a connection to a tenant's database."""
        if not is_name(tenant):
            raise DatabaseError(f"{tenant!r} can be no name in PostgreSQL", cause=Cause.MISSING)
        database = self._layout.database(tenant)
        connection, now_s = self._connection, time.monotonic()
        here = (
            connection and connection.is_open and database == self._database and connection.met < TENANTS_A_CONNECTION
        )
        # One that has just answered is not asked whether it would: if it breaks now, it breaks as under any string.
        if not (connection and here and (now_s - self._used_s < _REST_S or connection.is_usable())):
            if connection:
                connection.close()
            connection = self._connection = self._server.lend(database)
            self._database = database
        connection.met, self._used_s = connection.met + 1, now_s
        return connection

    def _own(self, tenant: str) -> Connection:
        """Give a connection to a tenant's database that no pooler shares with others."""
        usual = connection = self._reach(tenant)
        if self._server.direct is not None:
            if self._direct:
                self._direct.close()
            connection = self._direct = self._server.connect(self._layout.database(tenant), directly=True)
        try:
            answering, *where = connection.run(_WHERE)[0].rows[0]
            if usual is not connection and usual.run(_WHERE)[0].rows[0][1:] != tuple(where):
                reason = "direct_url leads to another database than url"
                raise DatabaseError(f"{tenant}: {reason}; {_UNCHANGED}", reason=reason)
        except BrokenError as error:
            raise failure.lost(error, [tenant], state=_UNCHANGED) from error
        if answering != connection.backend:
            raise _pooled(tenant)
        return connection

    def _send(
        self, script: Script, tenants: Sequence[str], before: Mapping[str, tuple[Place, Head]] | None = None
    ) -> list[Result]:
        """Execute statements, and roll back what they leave undone; arguments as for ``_execute``."""
        return self._execute(script.text, lambda: script, tenants, before)

    def _execute(
        self,
        text: str | None,
        write: Callable[[], Script],
        tenants: Sequence[str],
        before: Mapping[str, tuple[Place, Head]] | None,
        *,
        told: Collection[int] = (),
        asks: bool = True,
    ) -> list[Result]:
        """Execute a string, and roll back what it leaves undone.

        Args:
            text: The string; None for that of the statements.
            write: Gives its statements, to tell which failed.
            tenants: Whom an error names that is about all of them.
            before: The heads that ledgers must have; a failure may be one of a ledger that has another.
            told: The places of statements that tell what ledgers have.
            asks: Whether rows of queries are wanted.
        """
        connection = self._connected()
        text = text or write().text
        begun: list[Result] = []
        try:
            if connection.parameter("standard_conforming_strings") == "off" and text.startswith("BEGIN"):
                # The whole string is read before any of it is executed: what it says of reading comes too late.
                begin, _, text = text.partition(";\n")
                begun = connection.run(f"{begin}; SET LOCAL standard_conforming_strings = on")[:1]
            results = [*begun, *connection.run(text, copied=[place - len(begun) for place in told], asks=asks)]
        except StatementError as error:
            script = Script(write().lines[len(begun) :])
            refusal = failure.refused(error, script)
            tenant = script.lines[failure.index_of(error, script)].tenant
            end(connection)
            known = (before or {}).get(tenant)
            if known and failure.may_hide(refusal) and self._is_stale(connection, *known):
                refusal = failure.stale(tenant)
            raise refusal from error
        except BrokenError as error:
            if len(begun) + len(error.results) == len(write().lines):
                return [*begun, *error.results]
            state = "whether it was committed is not known" if _commits(text) else _UNCHANGED
            raise failure.lost(error, tenants, state=state) from error
        if _commits(text) and results[-1].tag != "COMMIT":
            raise DatabaseError(f"{tenants[0]}: the server rolled the transaction back; {_UNCHANGED}")
        return results

    def _connected(self) -> Connection:
        if self._connection is None:
            raise ValueError("a tenant is reached before anything is sent")
        return self._connection

    def _is_stale(self, connection: Connection, place: Place, head: Head) -> bool:
        """Say whether a ledger has another head now."""
        try:
            asked = f"SET LOCAL lock_timeout = {WAIT_MS}; {ledger.look(place)}"
            results = connection.run(f"BEGIN READ ONLY; {asked}; COMMIT")
        except StatementError:
            end(connection)
            return False
        except BrokenError:
            return False
        return bool(results[2].rows[0][0] != str(head))


def _commits(text: str) -> bool:
    """Say whether a string ends with the end of its transaction."""
    return text.rpartition("\n")[2] == "COMMIT"


def _pooled(tenant: str) -> DatabaseError:
    reason = "a statement without a transaction can't be executed behind a pooler"
    return DatabaseError(
        f"{tenant}: {reason}; {_UNCHANGED}",
        reason=reason,
        hint="give the URL that leads to the server itself as direct_url",
    )


def _before(works: Sequence[Work], places: Sequence[Place]) -> dict[str, tuple[Place, Head]]:
    return {work.tenant: (place, work.before) for work, place in zip(works, places, strict=True)}


def _asked(script: Script, results: Sequence[Result]) -> list[Result]:
    """Give the results that the caller asked for; that of the first statement may be missing among all."""
    lines = script.lines[-len(results) :]
    return [result for line, result in zip(lines, results, strict=True) if line.role is Role.VALUE]
