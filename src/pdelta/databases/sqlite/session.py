"""Deltas in SQLite files: one file, one connection, one transaction at a time.

``BEGIN IMMEDIATE`` is the ledger's lock: there is one writer a file. Statements are executed one by one, and only those
that can't end the transaction. Foreign keys are not enforced while a delta runs, because the rebuild of a table needs
that, and because it can't be changed inside a transaction; instead no row may lose its parent, which is checked before
the commit. A delta whose first ``PRAGMA foreign_keys`` says ON has them enforced, cascades included.
"""

import json
import threading
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext, suppress
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from pdelta.databases.base import Glance, Move, Work
from pdelta.databases.series import one_by_one
from pdelta.databases.sqlite import ledger
from pdelta.databases.sqlite.connection import SqliteConnection
from pdelta.databases.sqlite.files import Facts, Files
from pdelta.databases.sqlite.heads import Heads
from pdelta.databases.sqlite.statement import (
    foreign_keys,
    kept_pragma,
    may_orphan,
    refused_alone,
    refused_as_query,
    refused_inside,
)
from pdelta.errors import DatabaseError, GuardError, PdeltaError
from pdelta.model.amount import counted
from pdelta.model.failpoint import FailPoint
from pdelta.sql.catalogue import Catalogue
from pdelta.sql.ledger import Applied, Head, Way, way_out
from pdelta.sql.naming import plain
from pdelta.sql.piece import GUARD, LOSS_GUARD, Piece, hint_of
from pdelta.sql.sha import sha256_of

if TYPE_CHECKING:
    from pdelta.databases.rows import RowsAsked

LOCK_TIMEOUT_MS: Final = 5_000
"""Where the caller names none: for the journal's rows and for reading."""

_GUARDS: Final = (GUARD, LOSS_GUARD)
_COUNTER: Final = 1 << 32
_ORPHANS: Final = 'SELECT "table", parent, count(*) FROM pragma_foreign_key_check GROUP BY 1, 2'
_SCHEMA: Final = "SELECT type, name, sql FROM sqlite_schema ORDER BY 1, 2"
_NO_ORPHANS: Final[Counter[tuple[str, str]]] = Counter()


class SqliteSession:
    """One thread's work on files, one after the other.

    Args:
        files: Where they are.
        heads: What is told to the next glance.
        failpoint: Passed before and after each commit.
    """

    def __init__(self, files: Files, heads: Heads, failpoint: FailPoint) -> None:
        """Open nothing."""
        self._files = files
        self._heads = heads
        self._failpoint = failpoint
        self._current: SqliteConnection | None = None
        self._guard = threading.Lock()
        self._kept: _Kept | None = None

    def ledger(self, tenant: str, *, lock_timeout_ms: int) -> Sequence[Applied]:
        """Give the rows of a file's ledger; the file stays open, so that a commit there need not open it again.

        Raises:
            DatabaseError: As its ``cause`` says.
        """
        with ExitStack() as stack:
            learning = _Learning(self._files, self._heads, tenant)
            connection = stack.enter_context(self._connection(tenant, lock_timeout_ms))
            rows = ledger.rows(connection)
            self._kept = _Kept(tenant, lock_timeout_ms, connection, learning, stack.pop_all())
        return rows

    def commit(self, works: Sequence[Work], *, lock_timeout_ms: int, statement_timeout_ms: int = 0) -> None:
        """Do one work in a transaction; a transaction of SQLite's is one file's.

        Raises:
            StaleError: The ledger is not as ``before`` says.
            GuardError: A guard refused.
            DatabaseError: As its ``cause`` says.
            ValueError: There are several works; the database's ``batch_limit`` says so.
        """
        if not works:
            return
        (work,) = works
        try:
            self._commit(work, lock_timeout_ms, statement_timeout_ms, counted=False)
        except _OrphansError:
            self._commit(work, lock_timeout_ms, statement_timeout_ms, counted=True)

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
        glance: Glance,  # noqa: ARG002 - a file tells itself whether it has a ledger
        run: str = "",
        who: str = "",
    ) -> Head:
        """Write, change or remove one row in a transaction of its own.

        Raises:
            StaleError: The former row is not there, or is another.
            DatabaseError: As its ``cause`` says.
        """
        subject = row or former
        if subject is None:
            raise ValueError("there is neither a row to write nor one to remove")
        with self._transaction(tenant, LOCK_TIMEOUT_MS) as (connection, learning):
            ledger.make(connection)
            ledger.expect(connection, subject.id, former)
            if former is not None:
                if way := way_out(former, row):
                    ledger.keep(connection, former.id, way, run=run, who=who)
                ledger.remove(connection, former.id)
            if row is not None:
                ledger.add(connection, row)
            learning.head = ledger.head(connection)
            self._end(connection)
        return learning.head

    def hold(self, tenant: str, *, lock_timeout_ms: int) -> AbstractContextManager[None]:  # noqa: ARG002 - the port's
        """Keep nobody out: each step holds the file's lock, and the ledger's row with it."""
        return nullcontext()

    def alone(self, tenant: str, statement: str, *, lock_timeout_ms: int, statement_timeout_ms: int = 0) -> None:
        """Execute one statement without a transaction around it: VACUUM, a change of the journal's mode.

        Raises:
            DatabaseError: As its ``cause`` says.
        """
        with self._connection(tenant, lock_timeout_ms) as connection:
            if reason := refused_alone(statement):
                raise connection.refusal(reason)
            connection.limit(statement_timeout_ms)
            connection.run(statement)

    def query(self, tenant: str, text: str, *, statement_timeout_ms: int = 0) -> list[tuple[Any, ...]]:
        """Give the rows of one SELECT; it reads one state of the file, and can't write.

        Raises:
            DatabaseError: As its ``cause`` says.
        """
        with self._connection(tenant, LOCK_TIMEOUT_MS, to_write=False) as connection:
            return _query(connection, text, statement_timeout_ms)

    def rehearse(
        self,
        works: Sequence[Work],
        texts: "Sequence[str | RowsAsked]",
        *,
        lock_timeout_ms: int,
        statement_timeout_ms: int = 0,
    ) -> list[Any]:
        """Do these works in transactions that are rolled back, one for those of a file, and give what the texts say.

        Raises:
            StaleError: As ``commit``.
            GuardError: As ``commit``.
            DatabaseError: As ``commit``.
        """
        values: list[list[Any]] = []
        for tenant, group in groupby(works, lambda work: work.tenant):
            held = list(group)
            with self._transaction(tenant, lock_timeout_ms, enforced=any(map(_enforces, held))) as (connection, _):
                for work in held:
                    connection.run("PRAGMA query_only = OFF")
                    before = _orphans(connection) if _may_orphan(work) else _NO_ORPHANS
                    self._move(connection, work, statement_timeout_ms)
                    connection.limit(0)
                    if _may_orphan(work):
                        _refuse_orphans(connection, before, _orphans(connection))
                    connection.run("PRAGMA query_only = ON")
                    values.append([_asked(connection, text) for text in (*texts, *work.asks)])
                connection.roll_back()
        return values

    def fingerprint(self, tenant: str, names: Collection[str]) -> str:
        """Give a hash of what the file's schema says of tables, indexes, views and triggers of these names.

        Raises:
            DatabaseError: As its ``cause`` says.
        """
        rows = [row for row in self.query(tenant, _SCHEMA) if plain(row[1]) in names]
        return sha256_of(repr(rows).encode())

    def made_of(self, tenants: Sequence[str]) -> tuple[str, Callable[[Any], Mapping[str, Catalogue]]]:
        """Give a SELECT of the file's schema, and what reads it."""
        from pdelta.databases.catalogue import sqlite

        text = "SELECT json_group_array(json_array(type, name, tbl_name, sql)) FROM sqlite_schema"
        (tenant,) = tenants
        return text, lambda value: {tenant: sqlite.read(json.loads(value))}

    def broken(self, tenant: str) -> Sequence[str]:  # noqa: ARG002 - of the port
        """Give nothing: no statement of SQLite leaves half of itself."""
        return ()

    def cancel(self) -> None:
        """End what another thread is executing on this session; waiting for a lock ends when its time is over."""
        with self._guard:
            if self._current is not None:
                self._current.cancel()

    def close(self) -> None:
        """Close the file whose ledger was read last, if no transaction did."""
        self._let_go()

    def _commit(self, work: Work, lock_timeout_ms: int, statement_timeout_ms: int, *, counted: bool) -> None:
        """Commit one work, unless rows lose their parents by it.

        Args:
            work: What is done.
            lock_timeout_ms: How long to wait for the file.
            statement_timeout_ms: How long a statement may take; 0 for as long as it does.
            counted: Whether rows without a parent are counted beforehand. Nearly always there are none afterwards
                either, and counting reads every row, so that the first attempt goes without.
        """
        enforced = _enforces(work)
        with self._transaction(work.tenant, lock_timeout_ms, enforced=enforced) as (connection, learning):
            before = _orphans(connection) if counted else _NO_ORPHANS
            self._move(connection, work, statement_timeout_ms)
            if not enforced and _may_orphan(work):
                after = _orphans(connection)
                if after and not counted:
                    raise _OrphansError
                _refuse_orphans(connection, before, after)
            learning.head = work.after
            self._end(connection)

    def _move(self, connection: SqliteConnection, work: Work, statement_timeout_ms: int) -> None:
        """Make all moves of a work, from the head that it must find to the one that it must leave."""
        found = ledger.made_head(connection)
        if found != work.before:
            raise ledger.stale(connection, f"its ledger has {counted(found.count, 'delta')}, and others than were read")
        for move in work.moves:
            _Mover(connection, move, statement_timeout_ms).make()
            # The next delta, or the reverse where it is only tried, begins as it does by itself.
            for pragma in filter(None, {kept_pragma(piece.statement) for piece in move.pieces}):
                connection.run(f"PRAGMA {pragma} = OFF")
        if ledger.head(connection) != work.after:
            raise connection.refusal(
                "the delta has changed the ledger itself",
                hint="pdelta_applied and pdelta_history are written by pdelta alone: leave them out of deltas",
            )

    def _end(self, connection: SqliteConnection) -> None:
        connection.limit(0)
        self._failpoint("sqlite.executed")
        connection.commit()
        self._failpoint("sqlite.committed")

    @contextmanager
    def _transaction(
        self, tenant: str, lock_timeout_ms: int, *, enforced: bool = False
    ) -> Iterator[tuple[SqliteConnection, "_Learning"]]:
        """Open a file and begin; what is not committed inside is rolled back, what is becomes known to the cache."""
        with self._opened(tenant, lock_timeout_ms) as (connection, learning):
            connection.begin(enforced=enforced)
            try:
                yield connection, learning
            finally:
                connection.limit(0)
                connection.roll_back()
        learning.learn()

    @contextmanager
    def _opened(self, tenant: str, lock_timeout_ms: int) -> Iterator[tuple[SqliteConnection, "_Learning"]]:
        """Give a connection to write, the one that is open where it is to this file."""
        kept, self._kept = self._kept, None
        if kept is not None:
            with kept.stack:
                if kept.tenant == tenant and kept.lock_timeout_ms == lock_timeout_ms:
                    yield kept.connection, kept.learning
                    return
        learning = _Learning(self._files, self._heads, tenant)
        with self._connection(tenant, lock_timeout_ms) as connection:
            yield connection, learning

    def _let_go(self) -> None:
        kept, self._kept = self._kept, None
        if kept is not None:
            kept.stack.close()

    @contextmanager
    def _connection(self, tenant: str, lock_timeout_ms: int, *, to_write: bool = True) -> Iterator[SqliteConnection]:
        self._let_go()
        with SqliteConnection.opened(
            self._files, tenant, lock_timeout_ms=lock_timeout_ms, to_write=to_write
        ) as connection:
            with self._guard:
                self._current = connection
            try:
                yield connection
            finally:
                with self._guard:
                    self._current = None


class _Kept(NamedTuple):
    """A file that is open since its ledger was read; the stack closes it."""

    tenant: str
    lock_timeout_ms: int
    connection: SqliteConnection
    learning: "_Learning"
    stack: ExitStack


class _Learning:
    """What the next glance may know of a file after a commit of ours."""

    def __init__(self, files: Files, heads: Heads, tenant: str) -> None:
        self._files = files
        self._heads = heads
        self._tenant = tenant
        self._before = self._facts()
        self.head: Head | None = None

    def learn(self) -> None:
        """Keep the new head, where the file is in the state that our commit left."""
        if self.head is None or self._before is None:
            return
        after = self._facts()
        if after is not None and after.counter == (self._before.counter + 1) % _COUNTER:
            self._heads.learn(self._tenant, after, self.head, managed=True)

    def _facts(self) -> Facts | None:
        with suppress(OSError):
            return self._files.facts(self._files.path(self._tenant))
        return None


class _Mover:
    """One move, while its pieces are executed."""

    def __init__(self, connection: SqliteConnection, move: Move, statement_timeout_ms: int) -> None:
        self._connection = connection
        self._move = move
        self._timeout_ms = statement_timeout_ms

    def make(self) -> None:
        """Change the ledger, then do the pieces."""
        connection, move = self._connection, self._move
        id = move.row.id
        if move.way is Way.REVERSE:
            ledger.expect(connection, id, move.row)
        if move.keeps:
            ledger.keep(connection, id, move.leaving, run=move.run, who=move.who)
        if move.way is Way.REVERSE or move.replaces:
            ledger.remove(connection, id)
        if move.way is Way.APPLY:
            ledger.add(connection, move.row)
        for place, piece in enumerate(move.pieces, start=1):
            try:
                self._do(piece)
            except DatabaseError as error:
                error.place = f"{id}, statement {piece.number or place}"
                raise

    def _do(self, piece: Piece) -> None:
        if piece.alone:
            raise self._connection.refusal("a statement that stands alone can't share a transaction")
        for text in piece.before:
            self._run(text)
        self._keep(piece.undo)
        self._run(piece.statement)
        self._keep(piece.late_undo)
        for text in piece.after:
            self._run(text)

    def _keep(self, undo: str) -> None:
        if undo and self._move.way is Way.APPLY:
            self._connection.limit(self._timeout_ms)
            ledger.prepend_reverse(self._connection, self._move.row.id, undo)

    def _run(self, text: str) -> None:
        if reason := refused_inside(text):
            raise self._connection.refusal(reason)
        self._connection.limit(self._timeout_ms)
        if not text.startswith(_GUARDS):
            self._connection.run(text)
        elif (refusal := _value(self._connection, text)) not in {None, ""}:
            raise GuardError(str(refusal), hint=hint_of(text))


class _OrphansError(Exception):
    """Rows have no parent after a first attempt; whether they had one before is to be seen."""


def _may_orphan(work: Work) -> bool:
    return any(
        may_orphan(text)
        for move in work.moves
        for piece in move.pieces
        for text in (*piece.before, piece.statement, *piece.after)
    )


def _enforces(work: Work) -> bool:
    """Say whether the first pragma about it in a work asks for foreign keys to be enforced."""
    said = (foreign_keys(piece.statement) for move in work.moves for piece in move.pieces)
    return next((one for one in said if one is not None), False)


def _orphans(connection: SqliteConnection) -> Counter[tuple[str, str]]:
    """Count the rows whose parent is not there, by table and parent."""
    try:
        # Nearly always there is none, and counting none takes eight times as long (measured: 45 against 5 µs).
        if not connection.gives("PRAGMA foreign_key_check"):
            return _NO_ORPHANS
        return Counter({(table, parent): count for table, parent, count in connection.rows(_ORPHANS)})
    except DatabaseError as error:
        # A key that fits no parent at all, which SQLite lets be until it is used.
        return Counter({(error.reason, ""): 1})


def _refuse_orphans(
    connection: SqliteConnection, before: Counter[tuple[str, str]], after: Counter[tuple[str, str]]
) -> None:
    new = after - before
    if new:
        told = (
            f"{count} of {table}, whose parent is {parent}" if parent else table
            for (table, parent), count in new.items()
        )
        raise connection.refusal(
            f"rows would be left without their parent: {'; '.join(told)}",
            hint="delete or change those rows in the delta too, or let SQLite cascade:"
            " PRAGMA foreign_keys = ON as the first statement",
        )


def _query(connection: SqliteConnection, text: str, statement_timeout_ms: int) -> list[tuple[Any, ...]]:
    if reason := refused_as_query(text):
        raise connection.refusal(reason)
    connection.run("PRAGMA query_only = ON")
    connection.run("BEGIN")
    connection.limit(statement_timeout_ms)
    try:
        return connection.rows(text)
    finally:
        connection.limit(0)
        connection.roll_back()


def _asked(connection: SqliteConnection, asked: "str | RowsAsked") -> Any:  # noqa: ANN401 - whatever the database holds
    if isinstance(asked, str):
        return _value(connection, asked)
    from pdelta.databases.sqlite.rows import rows_held

    return rows_held(connection, asked)


def _value(connection: SqliteConnection, text: str) -> Any:  # noqa: ANN401 - whatever the database holds
    if reason := refused_as_query(text):
        raise connection.refusal(reason)
    found = connection.rows(text)
    return found[0][0] if found else None
