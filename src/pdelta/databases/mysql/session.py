"""Deltas on one MySQL or MariaDB server, over one connection.

DDL commits by itself there, so that few deltas fit into a transaction:

- ``commit`` is for those of INSERT, UPDATE and DELETE alone, on tables of InnoDB. It refuses, before it does anything,
  every piece that would commit, or of which that is not known (a CALL), and tables without transactions.
- For all others the caller writes each step with ``record``, does it with ``alone``, and writes that it is done. From
  the first row that is not ``applied`` until the row is so, or is gone, the session holds the tenant: a lock of the
  server's (``GET_LOCK``) that ends with the connection. What a killed client has left running still holds it, so that
  nobody looks at a step before that has ended.

Between two deltas the connection forgets all that statements have set.
"""

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from pdelta.databases.base import Glance, Move, Work
from pdelta.databases.mysql import failure, ledger
from pdelta.databases.mysql.connection import Limit, MysqlConnection, kill
from pdelta.databases.mysql.quoting import literal
from pdelta.databases.mysql.server import Server
from pdelta.databases.mysql.statement import names_in, refused_alone, refused_as_query, refused_inside
from pdelta.databases.series import one_by_one
from pdelta.errors import Cause, DatabaseError, GuardError, PdeltaError, StaleError
from pdelta.model.amount import counted
from pdelta.model.failpoint import FailPoint
from pdelta.sql.catalogue import Catalogue
from pdelta.sql.ledger import Applied, Head, State, Way, way_out
from pdelta.sql.own_rows import put_before
from pdelta.sql.piece import AT_LENGTH, GUARD, LOSS_GUARD, Piece, hint_of, told
from pdelta.sql.sha import sha256_of
from pdelta.sql.token import Mode

if TYPE_CHECKING:
    from pdelta.databases.rows import RowsAsked

LOCK_TIMEOUT_MS: Final = 5_000
"""Where the caller names none: for the journal's rows and for questions."""

_GUARDS: Final = (GUARD, LOSS_GUARD)
_LOOK_AGAIN: Final = "look again, then calculate again"
_WITHOUT: Final = (
    "SELECT TABLE_NAME, ENGINE FROM information_schema.TABLES"
    " WHERE TABLE_SCHEMA = DATABASE() AND ENGINE IS NOT NULL AND ENGINE <> 'InnoDB'"
)
"""Tables that a rollback leaves as they are."""


Value = TypeVar("Value")


class MysqlSession:
    """One connection's worth of work on one server.

    Args:
        server: Which.
        failpoint: Passed before and after each commit.
    """

    def __init__(self, server: Server, failpoint: FailPoint) -> None:
        """Connect to nothing."""
        self._server = server
        self._failpoint = failpoint
        self._connection: MysqlConnection | None = None
        self._guard = threading.Lock()
        self._held = ""
        self._is_clean = True

    def ledger(self, tenant: str, *, lock_timeout_ms: int) -> None:
        """Give nothing: one round trip reads the ledgers of many tenants."""

    def commit(self, works: Sequence[Work], *, lock_timeout_ms: int, statement_timeout_ms: int = 0) -> None:
        """Do one work in a transaction.

        Raises:
            StaleError: The ledger is not as ``before`` says, or the row to reverse is not the one that is given.
            GuardError: A guard refused.
            DatabaseError: As its ``cause`` says; ``REFUSED`` for what would commit by itself.
            ValueError: There are several works; the database's ``batch_limit`` says so.
        """
        if not works:
            return
        (work,) = works
        with self._transaction(work.tenant, works, lock_timeout_ms) as connection:
            _Mover(self._server, connection, work, statement_timeout_ms).make()
            self._end(connection, work.tenant)

    def commit_each(
        self, works: Sequence[Work], *, lock_timeout_ms: int, statement_timeout_ms: int = 0
    ) -> Sequence[PdeltaError | None]:
        """Do these works one by one, until one fails; tenants share no connection that could be given several."""
        limits = {"lock_timeout_ms": lock_timeout_ms, "statement_timeout_ms": statement_timeout_ms}
        return one_by_one(self.commit, works, **limits)

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
        """Write, change or remove one row in a transaction of its own.

        A row that is not ``applied`` makes the session hold the tenant until it is so, or is gone.

        Raises:
            StaleError: The former row is not there, or is another.
            DatabaseError: As its ``cause`` says; ``BUSY`` where another session holds the tenant.
        """
        if row is None and former is None:
            raise ValueError("there is neither a row to write nor one to remove")
        held_before = self._held == tenant
        connection = self._enter(tenant, LOCK_TIMEOUT_MS)
        try:
            self._hold(connection, tenant, LOCK_TIMEOUT_MS)
            _make(connection, tenant, glance)
            head = self._record(connection, tenant, row, former, by=(run, who))
        except BaseException:
            if not held_before:
                self._let_go()
            raise
        if row is None or row.state is State.APPLIED:
            self._let_go()
        return head

    @contextmanager
    def hold(self, tenant: str, *, lock_timeout_ms: int) -> Iterator[None]:
        """Keep other runs out until a row is ``applied`` or gone, and what is set for the session until then, too.

        Raises:
            DatabaseError: As its ``cause`` says; ``BUSY`` where another session holds the tenant.
        """
        held_before = self._held == tenant
        self._hold(self._enter(tenant, lock_timeout_ms), tenant, lock_timeout_ms)
        try:
            yield
        finally:
            if not held_before:
                self._let_go()

    def alone(self, tenant: str, statement: str, *, lock_timeout_ms: int, statement_timeout_ms: int = 0) -> None:
        """Execute one statement without a transaction around it.

        What it sets for its session, the following ones of the delta see, as long as the session holds the tenant.

        Raises:
            DatabaseError: As its ``cause`` says. A statement of DDL that fails has changed nothing, if the server is
                MySQL 8 or MariaDB 10.6 or later.
        """
        connection = self._enter(tenant, lock_timeout_ms)
        if reason := refused_alone(statement, connection.modes):
            raise failure.refused(tenant, reason)
        self._is_clean = False
        state = "how far the statement got is not known"
        with Limit(connection, self._server.address, statement_timeout_ms):
            connection.run(statement, about=tenant, state=state)

    def query(self, tenant: str, text: str, *, statement_timeout_ms: int = 0) -> list[tuple[Any, ...]]:
        """Give the rows of one question, asked in a transaction that cannot write and is rolled back.

        Raises:
            DatabaseError: As its ``cause`` says.
        """
        connection = self._enter(tenant, LOCK_TIMEOUT_MS)
        if reason := refused_as_query(text, connection.modes):
            raise failure.refused(tenant, reason)
        self._is_clean = False
        connection.run("START TRANSACTION READ ONLY", about=tenant)
        try:
            with Limit(connection, self._server.address, statement_timeout_ms):
                return connection.rows(text, about=tenant)
        finally:
            _roll_back(connection)

    def rehearse(
        self,
        works: Sequence[Work],
        texts: "Sequence[str | RowsAsked]",
        *,
        lock_timeout_ms: int,
        statement_timeout_ms: int = 0,
    ) -> list[Any]:
        """Do these works in transactions that are rolled back, one for those of a tenant, and give what the texts say.

        The empty tables of the ledger, where there was none, stay.

        Raises:
            StaleError: As ``commit``.
            GuardError: As ``commit``.
            DatabaseError: As ``commit``.
        """
        values: list[list[Any]] = []
        for tenant, group in groupby(works, lambda work: work.tenant):
            held = list(group)
            with self._transaction(tenant, held, lock_timeout_ms) as connection:
                for text in (*texts, *(text for work in held for text in work.asks)):
                    if isinstance(text, str) and (reason := refused_as_query(text, connection.modes)):
                        raise failure.refused(tenant, reason)
                for work in held:
                    _Mover(self._server, connection, work, statement_timeout_ms).make()
                    values.append([_asked(connection, tenant, text) for text in (*texts, *work.asks)])
        return values

    def fingerprint(self, tenant: str, names: Collection[str]) -> str:
        """Give a hash of what the server says of the tenant's tables, views and stored programs of these names.

        Raises:
            DatabaseError: As its ``cause`` says.
        """
        from pdelta.databases.mysql import catalogue

        return catalogue.fingerprint(self._enter(tenant, LOCK_TIMEOUT_MS), tenant, names)

    def made_of(self, tenants: Sequence[str]) -> tuple[str, Callable[[Any], Mapping[str, Catalogue]]]:
        """Refuse: there is no transaction in which something could be tried.

        Raises:
            DatabaseError: Always.
        """
        reason = "nothing can be tried where each statement commits"
        raise DatabaseError(f"{', '.join(tenants)}: {reason}", reason=reason)

    def broken(self, tenant: str) -> Sequence[str]:  # noqa: ARG002 - of the port
        """Give nothing: what a statement of DDL leaves behind when it fails, the server itself takes away."""
        return ()

    def cancel(self) -> None:
        """End what another thread is executing on this session, if anything."""
        with self._guard:
            connection = self._connection
        if connection is not None:
            with suppress(DatabaseError):
                kill(self._server.address, connection.number)

    def close(self) -> None:
        """Let the connection go; the server rolls back what is open, and lets go of what is held."""
        with self._guard:
            connection, self._connection = self._connection, None
        self._held = ""
        if connection is not None:
            connection.close()

    def _record(
        self,
        connection: MysqlConnection,
        tenant: str,
        row: Applied | None,
        former: Applied | None,
        *,
        by: tuple[str, str],
    ) -> Head:
        id = next(one.id for one in (row, former) if one is not None)
        with self._begun(connection, tenant):
            _lock(connection, tenant)
            _expect(connection, tenant, id, former)
            if former is not None:
                if way := way_out(former, row):
                    connection.run(ledger.keep(tenant, id, way, run=by[0], who=by[1]), about=tenant)
                connection.run(ledger.delete(tenant, id), about=tenant)
            if row is not None:
                connection.run(ledger.insert(tenant, row), about=tenant)
            head, doubtful = _states(connection, tenant)
            connection.run(ledger.stamp(tenant, head, doubtful=doubtful), about=tenant)
            self._end(connection, tenant)
        return head

    @contextmanager
    def _transaction(self, tenant: str, works: Sequence[Work], lock_timeout_ms: int) -> Iterator[MysqlConnection]:
        """Hold the tenant of these works and its ledger inside; what is not committed there is rolled back."""
        connection = self._enter(tenant, lock_timeout_ms)
        for work in works:
            _check(connection, work)
        held_before = self._held == tenant
        self._hold(connection, tenant, lock_timeout_ms)
        try:
            _make(connection, tenant, works[0].glance)
            self._is_clean = False
            with self._begun(connection, tenant):
                _lock(connection, tenant)
                yield connection
        finally:
            if not held_before:
                self._let_go()

    @contextmanager
    def _begun(self, connection: MysqlConnection, tenant: str) -> Iterator[None]:
        """Begin, and roll back at the end what was not committed."""
        connection.run("START TRANSACTION", about=tenant)
        try:
            yield
        finally:
            _roll_back(connection)

    def _end(self, connection: MysqlConnection, tenant: str) -> None:
        self._failpoint("mysql.executed")
        try:
            connection.run("COMMIT", about=tenant, state=failure.UNKNOWN)
        except DatabaseError as error:
            # Of a deadlock between the servers of a cluster is known that nothing was committed; of all else it is not.
            if error.cause is not Cause.BUSY:
                error.cause = Cause.LOST
            raise
        self._failpoint("mysql.committed")

    def _enter(self, tenant: str, lock_timeout_ms: int) -> MysqlConnection:
        """Give the connection, in a tenant's database, and as if new unless it holds that tenant."""
        if self._held and self._held != tenant:
            self._let_go()
        connection = self._usable()
        connection.enter(tenant)
        connection.set_up(lock_timeout_ms)
        return connection

    def _usable(self) -> MysqlConnection:
        connection = self._connection
        if connection is not None and connection.is_open:
            if self._held or self._is_clean:
                return connection
            # The server may have closed it meanwhile, as servers do with idle ones.
            with suppress(DatabaseError):
                connection.reset()
                self._is_clean = True
                return connection
        self.close()
        connection = self._server.connect()
        with self._guard:
            self._connection = connection
        self._is_clean = True
        return connection

    def _hold(self, connection: MysqlConnection, tenant: str, lock_timeout_ms: int) -> None:
        """Keep every other session of pdelta's out of a tenant, until this lets go or its connection ends."""
        if self._held == tenant:
            return
        seconds = max(1, -(-lock_timeout_ms // 1000))
        if _value(connection.rows(f"SELECT GET_LOCK({claim(tenant)}, {seconds})", about=tenant)) != 1:
            raise DatabaseError(
                f"{tenant}: another run is at work there; {failure.UNCHANGED}",
                cause=Cause.BUSY,
                reason="another run is at work there",
                hint="try again when it is done; one that was killed is done when its last statement has ended",
            )
        self._held = tenant

    def _let_go(self) -> None:
        tenant, self._held = self._held, ""
        connection = self._connection
        if tenant and connection is not None and connection.is_open:
            with suppress(DatabaseError):
                connection.run(f"DO RELEASE_LOCK({claim(tenant)})", about=tenant)


class _Mover:
    """One work, while its moves are made; the caller holds a transaction and the ledger's lock."""

    def __init__(self, server: Server, connection: MysqlConnection, work: Work, timeout_ms: int) -> None:
        self._server = server
        self._connection = connection
        self._work = work
        self._timeout_ms = timeout_ms
        self._tenant = work.tenant

    def make(self) -> None:
        """Make all moves, from the head that must be found to the one that must be left."""
        connection, work, tenant = self._connection, self._work, self._tenant
        found, _ = _states(connection, tenant)
        if found != work.before:
            told = f"its ledger has {counted(found.count, 'delta')}, and others than were read"
            raise StaleError(f"{tenant}: {told}; {failure.UNCHANGED}", hint=_LOOK_AGAIN)
        for move in work.moves:
            self._move(move)
        found, doubtful = _states(connection, tenant)
        if found != work.after:
            raise failure.refused(
                tenant,
                "the delta has changed the ledger itself",
                hint="the tables that begin with pdelta_ are written by pdelta alone: leave them out of deltas",
            )
        connection.run(ledger.stamp(tenant, found, doubtful=doubtful), about=tenant)

    def _move(self, move: Move) -> None:
        connection, tenant, id = self._connection, self._tenant, move.row.id
        if move.way is Way.REVERSE:
            _expect(connection, tenant, id, move.row)
        reverse = move.row.reverse
        for piece in move.pieces:
            reverse = put_before(self._do(piece), reverse)
        if not connection.in_transaction:
            raise failure.refused(
                tenant,
                "a statement has committed by itself",
                state="what came before it stays done, and the ledger does not know of it",
                hint="a routine or a trigger that commits can't stand in a delta: look at what was done",
            )
        if move.keeps:
            connection.run(ledger.keep(tenant, id, move.leaving, run=move.run, who=move.who), about=tenant)
        if move.way is Way.REVERSE or move.replaces:
            connection.run(ledger.delete(tenant, id), about=tenant)
        if move.way is Way.APPLY:
            row = msgspec.structs.replace(move.row, reverse=reverse)
            connection.run(ledger.insert(tenant, row), about=tenant)

    def _do(self, piece: Piece) -> str:
        """Do a piece, and give what takes it back."""
        for text in piece.before:
            self._run(text)
        undo = self._text(piece.undo)
        self._run(piece.statement)
        late = self._text(piece.late_undo)
        for text in piece.after:
            self._run(text)
        return late + undo

    def _text(self, expression: str) -> str:
        if not expression:
            return ""
        value = _value(self._rows(f"SELECT {AT_LENGTH}({expression}\n)"))
        if value is None:
            raise failure.refused(self._tenant, "what takes a statement back can't be told: its text is NULL")
        return told(value.decode() if isinstance(value, bytes) else str(value), self._text)

    def _run(self, text: str) -> None:
        rows = self._rows(text)
        if text.startswith(_GUARDS) and (refusal := _value(rows)) not in {None, ""}:
            raise GuardError(str(refusal), hint=hint_of(text))

    def _rows(self, text: str) -> list[tuple[Any, ...]]:
        with Limit(self._connection, self._server.address, self._timeout_ms):
            return self._connection.rows(text, about=self._tenant)


def claim(tenant: str) -> str:
    """Give the name of the lock that a session holds a tenant by, as SQL; servers take at most 64 characters."""
    return literal(f"pdelta {sha256_of(tenant.encode())[:40]}")


def _check(connection: MysqlConnection, work: Work) -> None:
    """Refuse, before anything is done, what would not be taken back with its transaction.

    Raises:
        DatabaseError: There is something.
    """
    modes = connection.modes
    texts: list[str] = []
    for move in work.moves:
        for piece in move.pieces:
            if piece.alone:
                raise failure.refused(work.tenant, "a statement that stands alone can't share a transaction")
            texts += (*piece.before, piece.statement, *piece.after)
    for text in texts:
        if reason := refused_inside(text, modes):
            raise failure.refused(work.tenant, reason)
    _refuse_without(connection, work.tenant, texts, modes)


def _refuse_without(connection: MysqlConnection, tenant: str, texts: Sequence[str], modes: frozenset[Mode]) -> None:
    for table, engine in connection.rows(_WITHOUT, about=tenant):
        if any(str(table).lower() in names_in(text, modes) for text in texts):
            raise failure.refused(
                tenant,
                f"{table} is a table of {engine}, which knows no transactions",
                hint="bring the table to InnoDB first: a change of its rows that is cut off could not be taken back",
            )


def _make(connection: MysqlConnection, tenant: str, glance: Glance) -> None:
    """Make the ledger where none was seen."""
    if not glance.managed:
        for text in ledger.create(tenant):
            connection.run(text, about=tenant)


def _lock(connection: MysqlConnection, tenant: str) -> None:
    try:
        connection.run(ledger.lock(tenant), about=tenant)
    except DatabaseError as error:
        if error.sqlstate == str(failure.NO_TABLE):
            raise StaleError(f"{tenant}: its ledger is gone; {failure.UNCHANGED}", hint=_LOOK_AGAIN) from error
        raise


def _states(connection: MysqlConnection, tenant: str) -> tuple[Head, bool]:
    return _understood(tenant, lambda: ledger.head_and_doubt(connection.rows(ledger.read_states(tenant), about=tenant)))


def _expect(connection: MysqlConnection, tenant: str, id: str, former: Applied | None) -> None:
    """Compare the row of this id with what it should be; None for that there should be none.

    Raises:
        StaleError: It is another.
    """
    found = connection.rows(ledger.read_row(tenant, id), about=tenant)
    row = _understood(tenant, lambda: ledger.row_of(found[0])) if found else None
    if row != former:
        raise StaleError(
            f"{tenant}: the ledger's row of {id} is not the one that was read; {failure.UNCHANGED}", hint=_LOOK_AGAIN
        )


def _understood(tenant: str, read: Callable[[], Value]) -> Value:
    try:
        return read()
    except msgspec.ValidationError as error:
        raise failure.refused(tenant, f"its ledger holds what pdelta never writes: {error}") from error


def _roll_back(connection: MysqlConnection) -> None:
    # A connection that is broken, or breaks now, is rolled back by the server.
    if connection.is_open:
        with suppress(DatabaseError):
            connection.run("ROLLBACK", about=connection.database)


def _asked(connection: MysqlConnection, tenant: str, asked: "str | RowsAsked") -> Any:  # noqa: ANN401 - whatever it holds
    if isinstance(asked, str):
        return _value(connection.rows(asked, about=tenant))
    from pdelta.databases.mysql.rows import rows_held

    return rows_held(connection, tenant, asked)


def _value(rows: Sequence[Sequence[Any]]) -> Any:  # noqa: ANN401 - whatever the database holds
    return rows[0][0] if rows else None
