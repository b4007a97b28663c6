"""The port of databases: many tenants behind few connections, and a transaction that is the ledger's as well.

Each engine implements it in a module of its own; ``operations.sql`` is the only caller. An adapter translates what its
driver raises into ``DatabaseError``, once, and decides nothing about deltas: it executes the moves that it is given.

What an implementer must do:

- ``Database.glance`` costs one query a server, however many tenants there are.
- ``Session.commit`` is one transaction that either happens in every tenant it names or in none, and whose ledger rows,
  history rows and head stamps are part of it. It first takes the ledger's lock, then compares the ledger with
  ``before``; a mismatch is a ``StaleError`` that names the tenant, and nothing is changed.
- ``Session.commit_each`` may send several such transactions together, but tells of none before it is durable.
- A connection that breaks while it commits is ``Cause.LOST``: nobody knows what happened; a look at the ledger tells.
- Nothing outlives a transaction: no session setting, no lock, no prepared statement. (PgBouncer hands connections on.)
- Whatever is the caller's text goes into SQL by quoting; no name and no value is trusted.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Protocol, Self

import msgspec

from pdelta.errors import PdeltaError
from pdelta.sql.ledger import FORGOTTEN, Applied, Head, State, Way
from pdelta.sql.token import Dialect, Mode

if TYPE_CHECKING:
    from pdelta.databases.rows import RowsAsked
    from pdelta.sql.catalogue import Catalogue
    from pdelta.sql.lint.finding import TableSize
    from pdelta.sql.piece import Piece


_WORTH_A_SESSION: Final = 16
"""Tenants that one session does as fast as another connects."""


def worth_sessions(tenants: int) -> int:
    """Give on how many sessions so many tenants are worked on at once, where that is not limited."""
    return -(-tenants // _WORTH_A_SESSION)


class Tenant(msgspec.Struct, frozen=True):
    """One schema, one database or one file that receives deltas on its own.

    Attributes:
        name: What people call it: the schema, the database, or the file's path below the folder of the project.
        tags: Free words by which waves and commands choose.
        size: Sorts tenants, the smallest first; bytes unless the project file has a query for it.
        values: What the placeholders of deltas stand for.
    """

    name: str
    tags: tuple[str, ...] = ()
    size: int = 0
    values: Mapping[str, str] = {}


class Glance(msgspec.Struct, frozen=True):
    """What can be said of a tenant without reading its ledger.

    Attributes:
        managed: Whether it has a ledger at all.
        head: What its stamp says; None where that is missing or doubtful, and the ledger must be read.
        mark: What the adapter must be given back in a ``Work``; opaque to everybody else.
        advisory: Whether the head is hearsay: work may begin from it, for a transaction compares it with the ledger,
            but that there is nothing to do is only known once the ledger was read.
    """

    managed: bool
    head: Head | None
    mark: str = ""
    advisory: bool = False


class Move(msgspec.Struct, frozen=True):
    """One delta, one way, as one tenant is to make it.

    Attributes:
        way: ``APPLY`` adds the row, ``REVERSE`` removes it, after it was copied into the history.
        row: The row of the ledger, in the state that it has afterwards (``APPLY``), or has now (``REVERSE``).
            What the ``undo`` of pieces gives comes before ``row.reverse``, that of later pieces first.
        pieces: What is executed, with all placeholders replaced.
        replaces: Whether the tenant has a row of this id, which is to be replaced.
        run: The run that this is a move of, for the history; of a row that arrives the row says it.
        who: Who asked for that.
        is_tried: Whether it is only rehearsed, with the reverse of another time: the row may be any of its id.
    """

    way: Way
    row: Applied
    pieces: "tuple[Piece, ...]"
    replaces: bool = False
    run: str = ""
    who: str = ""
    is_tried: bool = False

    @property
    def keeps(self) -> bool:
        """Whether the tenant's row goes into the history: one that leaves, or that is replaced.

        A row that isn't applied is the journal of its delta, and replaces that of the step before without a trace.
        """
        leaves = self.way is Way.REVERSE or (self.replaces and self.row.state is State.APPLIED)
        return leaves and not self.is_tried

    @property
    def leaving(self) -> str:
        """What the history says of a row that leaves: the way, or that nothing was executed for it."""
        is_forgotten = self.way is Way.REVERSE and not self.pieces and self.row.state is State.APPLIED
        return FORGOTTEN if is_forgotten else self.way.value


class Work(msgspec.Struct, frozen=True):
    """What one transaction does in one tenant.

    Attributes:
        tenant: Its name.
        before: The head that its ledger must have under the lock.
        after: The head that it has at the end.
        moves: In order.
        glance: What was seen of it.
        asks: What a rehearsal asks behind it, after the texts that it asks behind every work.
    """

    tenant: str
    before: Head
    after: Head
    moves: tuple[Move, ...]
    glance: Glance
    asks: "tuple[str | RowsAsked, ...]" = ()


class Session(Protocol):
    """One connection's worth of work on one server, used by one thread at a time."""

    def ledger(self, tenant: str, *, lock_timeout_ms: int) -> Sequence[Applied] | None:
        """Give the rows of a tenant's ledger ahead of its ``commit``; None where ``Database.ledgers`` is no slower.

        For engines that must open a tenant to read it: the commit goes on with what was opened. No lock is held
        between the two.

        Raises:
            DatabaseError: As its ``cause`` says.
        """
        ...

    def commit(self, works: Sequence[Work], *, lock_timeout_ms: int, statement_timeout_ms: int = 0) -> None:
        """Do these works in one transaction, on tenants that this session's lane serves, in the order given.

        Raises:
            StaleError: A tenant's ledger is not as ``before`` says, or the row to reverse is not the one that is given.
            GuardError: A guard refused; the message is the guard's.
            DatabaseError: As its ``cause`` says; unless that is ``LOST``, nothing was changed.
            ValueError: There are more works than the database's ``batch_limit``.
        """
        ...

    def commit_each(
        self, works: Sequence[Work], *, lock_timeout_ms: int, statement_timeout_ms: int = 0
    ) -> Sequence[PdeltaError | None]:
        """Do some of these works, at least the first, each in a transaction of its own, until one fails.

        Sent together they cost less than one by one. When it returns, what was done is as durable as by ``commit``.

        Returns:
            For each work that was begun, in order: None where it was done, else what ``commit`` would raise. Where the
            connection breaks, that is so for all that were sent.
        """
        ...

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
        """Write, change or remove one row of the ledger durably, outside any delta's transaction; give the new head.

        For deltas without a transaction: the row is their journal. Under the ledger's lock the former row must be as
        given. A row whose place another takes, and not the same further on, is copied into the history too:
        an applied one whose delta is begun anew, and one that is taken back for the version before it.

        Args:
            tenant: Whose ledger.
            row: The row to be; None removes it, after it was copied into the history.
            former: The row that must be there; None where there must be none of that id.
            glance: What was seen of the tenant.
            run: In which run that happens, for the history.
            who: Who asked for it.

        Raises:
            StaleError: The former row is not there, or is another.
            DatabaseError: As its ``cause`` says.
        """
        ...

    def hold(self, tenant: str, *, lock_timeout_ms: int) -> AbstractContextManager[None]:
        """Keep other runs from going step by step through a tenant, until this is left or the process dies.

        For engines on which what a step does is seen before the ledger says so; what is done in transactions is not
        kept out, for it holds the ledger's lock.

        Raises:
            DatabaseError: ``BUSY`` where another run holds it, or as its ``cause`` says.
        """
        ...

    def alone(self, tenant: str, statement: str, *, lock_timeout_ms: int, statement_timeout_ms: int = 0) -> None:
        """Execute one statement without a transaction around it.

        Where nothing that a statement sets holds until the next one, as in PostgreSQL, what sets something for this one
        may stand before it.

        Raises:
            DatabaseError: As its ``cause`` says.
        """
        ...

    def query(self, tenant: str, text: str, *, statement_timeout_ms: int = 0) -> list[tuple[Any, ...]]:
        """Give the rows of one SELECT in a transaction that cannot write and is rolled back.

        Raises:
            DatabaseError: As its ``cause`` says.
        """
        ...

    def rehearse(
        self,
        works: Sequence[Work],
        texts: "Sequence[str | RowsAsked]",
        *,
        lock_timeout_ms: int,
        statement_timeout_ms: int = 0,
    ) -> list[Any]:
        """Do these works in transactions that are rolled back at the end whatever happens; a tenant's share one.

        After each work the texts (SELECTs of one value, or what asks for ``RowsHeld``) are evaluated in its tenant.
        The limits are those of the works; what is asked of pdelta's own takes as long as it does.
        Where rows are asked for, no row that others commit meanwhile is seen between two works of one tenant.

        Returns:
            The values, one list a work: those of the texts, then those that the work asks for.

        Raises:
            StaleError: As ``commit``.
            GuardError: As ``commit``.
            DatabaseError: As ``commit``; ``REFUSED`` where the engine has no transactions for what the works hold.
        """
        ...

    def fingerprint(self, tenant: str, names: Collection[str]) -> str:
        """Give a text that changes whenever the catalogue says something else of what bears these names.

        Args:
            tenant: Whose catalogue.
            names: Of tables, columns, indexes and all else, as ``naming.concerned`` gives them; a column or another
                part of a table counts where its table is named as well.

        Raises:
            DatabaseError: As its ``cause`` says.
        """
        ...

    def made_of(self, tenants: Sequence[str]) -> "tuple[str, Callable[[Any], Mapping[str, Catalogue]]]":
        """Give a SELECT of one value for ``rehearse``, and what reads the catalogues of these tenants from that value.

        There are several only where one transaction can hold works of them.

        Raises:
            DatabaseError: As its ``cause`` says; ``REFUSED`` where the engine can't be asked so.
        """
        ...

    def broken(self, tenant: str) -> Sequence[str]:
        """Give the statements that would clear away what lies broken in a tenant.

        They drop indexes that were never finished; a partition that was half detached they detach, which is what was
        wanted of it, so that the step counts as done.

        Raises:
            DatabaseError: As its ``cause`` says.
        """
        ...

    def cancel(self) -> None:
        """End what another thread is executing on this session, if anything; that thread gets a ``DatabaseError``."""
        ...

    def close(self) -> None:
        """Let the connection go; an open transaction is rolled back."""
        ...


class Database(Protocol):
    """The tenants that one section of the project file names, on one or several servers.

    Attributes:
        name: The section's.
        dialect: How its SQL is read.
        modes: What the server changes about that; known once anything was read.
        transactional: Whether DDL and the ledger can share a transaction.
        batch_limit: How many works one ``commit`` can take; None for as many as its caller dares.
    """

    name: str
    dialect: Dialect
    modes: frozenset[Mode]
    transactional: bool
    batch_limit: int | None

    def __enter__(self) -> Self:
        """Use it; connections are made when first needed."""
        ...

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None, /
    ) -> None:
        """Close every connection."""
        ...

    def tenants(self) -> Sequence[Tenant]:
        """Give all tenants, sorted by name; system schemas and databases are none.

        Raises:
            DatabaseError: A server can't be reached, or the query fails.
        """
        ...

    def glance(self, names: Sequence[str]) -> Mapping[str, Glance | Exception]:
        """Give what the stamps of these tenants say, with one query a server; a tenant that is gone is missing.

        A tenant whose server can't be reached has the ``DatabaseError`` that says so.
        """
        ...

    def hearsay(self, names: Sequence[str]) -> Mapping[str, Glance]:
        """Give what one query a server says of these tenants, where ``glance`` costs more than that; advisory.

        Nothing of a tenant about which nothing is said. Work may begin from it, as from a glance that has become old.
        """
        ...

    def stamps(self, names: Sequence[str]) -> Mapping[str, Head]:
        """Give the heads that are written beside these tenants' ledgers, which a person who edits one leaves behind.

        Nothing of a tenant whose stamp is missing or does not count, which can't be read, or is gone.
        """
        ...

    def ledgers(self, names: Sequence[str], *, delta: str = "") -> Mapping[str, Sequence[Applied] | Exception]:
        """Give the rows of these tenants' ledgers, many tenants a round trip; none for a tenant without one.

        A tenant that can't be read has the ``DatabaseError`` that says so.

        Args:
            names: Of the tenants.
            delta: The only one whose row is wanted; empty for all.
        """
        ...

    def fingerprints(self, names: Sequence[str]) -> Mapping[str, str | Exception]:
        """Give the fingerprints of these tenants' catalogues, as ``sql.catalogue.fingerprint`` does.

        What pdelta made is left out. A tenant that can't be read, or is gone, has the error that says so.
        """
        ...

    def catalogues(self, names: Sequence[str]) -> "Mapping[str, Catalogue | Exception]":
        """Give what these tenants are made of, likewise."""
        ...

    def table_sizes(self, names: Sequence[str]) -> "Mapping[str, TableSize]":
        """Give how large the tables of these tenants are, by their names: each as where it is largest.

        At least as large as they are, as far as the engine's statistics know; read without reading rows, with one
        query for all tenants that share a connection. pdelta's own tables are left out, and those of which nothing
        can be said; a tenant that is gone has none.

        Raises:
            DatabaseError: One of the tenants can't be asked.
        """
        ...

    def lane(self, name: str) -> str:
        """Give what tenants share that should not be worked on by many connections at once: the server."""
        ...

    def width(self, lane: str) -> int:
        """Give how many sessions a lane may have at once."""
        ...

    def prepare(self, tenants: int, *, proving: bool = False) -> None:
        """Be told that so many tenants will be worked on soon: what sessions need may be made ready meanwhile.

        Args:
            tenants: How many.
            proving: Whether the first session will be asked what a tenant is made of.
        """
        ...

    def session(self, lane: str) -> Session:
        """Open a session on a lane; nothing is connected before it is used."""
        ...

    def covers(self, name: str) -> bool:
        """Say whether a tenant of this name would be among ``tenants`` once it is there.

        Raises:
            DatabaseError: Only a query tells, and it fails.
        """
        ...

    def create(self, name: str, *, lane: str = "") -> bool:
        """Make an empty tenant where there is none of this name; say whether there was none.

        Args:
            name: One that is covered.
            lane: On which server; may be empty where there is only one, or the list of tenants says it.

        Raises:
            UsageError: Nothing says on which server, or it is none, or another has the tenant.
            DatabaseError: As its ``cause`` says.
        """
        ...

    def blockers(self, name: str) -> Sequence[str]:
        """Give, in words for people, who holds locks on this tenant's tables now; empty where that can't be known."""
        ...
