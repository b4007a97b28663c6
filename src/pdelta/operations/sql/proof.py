"""Whether a delta's reverse brings a tenant back: tried in the tenant itself, in a transaction that is rolled back.

What is compared is what the tenant is made of, before and after going forward and back, and what rows its tables hold.
Before an apply that is done once, in the first tenant that is to get a delta, and with rows only where the delta may
change some; a rehearsal does it in every tenant. The result of the first stands in the ledger: what a tenant is made of
is alike in all of them, what rows it holds is its own.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final

import msgspec

from pdelta.databases.base import Glance, Move, Session, Work
from pdelta.databases.rows import Rows, RowsAsked, RowsHeld
from pdelta.errors import Cause, DatabaseError, GuardError, PdeltaError, StaleError
from pdelta.formats.sql_moves import PlannedMove
from pdelta.model.amount import counted
from pdelta.operations.sql.reckon import head_after
from pdelta.operations.sql.task import Task
from pdelta.operations.sql.work import Limits, Workshop
from pdelta.sql.ledger import Applied, Head, Way, head_of_rows

LISTED: Final = 100_000
"""Rows that are told one by one where a table's differ; of more is only said that they do."""

_REVERSE: Final = "SELECT reverse FROM pdelta_applied WHERE id = '{}'"
"""An id is letters, digits and a few signs that need no quoting."""

_OF_ONE_TRANSACTION: Final = frozenset({"25001", "55006", "55P04"})
"""What PostgreSQL takes behind a COMMIT alone: statements that want no transaction, a table to be altered whose
deferred constraints wait to be looked at, a new value of an enumerated type."""


class Proof(msgspec.Struct, frozen=True):
    """What trying showed.

    Attributes:
        deltas: The ids of those that were tried together.
        tenant: Where.
        differences: What the tenant is made of that did not come back, in words; empty where all did.
        rows: The tables whose rows did not, likewise.
        compared: Whether the rows were compared of all tables that the deltas name.
        reason: Why nothing could be tried; empty where it could.
        fails: Why the reverse fails, or going forward does where that was not tried before; empty where neither does.
    """

    deltas: tuple[str, ...]
    tenant: str
    differences: tuple[str, ...] = ()
    rows: tuple[str, ...] = ()
    compared: bool = False
    reason: str = ""
    fails: str = ""

    @property
    def holds(self) -> bool:
        """Whether what the tenant is made of comes back."""
        return not (self.differences or self.reason or self.fails)

    @property
    def keeps_rows(self) -> bool:
        """Whether its rows do as well."""
        return self.holds and self.compared and not self.rows


class Trial(msgspec.Struct, frozen=True):
    """The deltas of one tenant, to be tried forward and back.

    Attributes:
        tenant: Its name.
        moves: All of them forward.
        forward: What makes them.
        before: The head of its ledger.
        after: The head that it has then.
        glance: What was seen of it.
        is_transactional: Whether DDL can be tried there, and so can have changed anything.
    """

    tenant: str
    moves: tuple[PlannedMove, ...]
    forward: tuple[Move, ...]
    before: Head
    after: Head
    glance: Glance
    is_transactional: bool = True

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of the deltas."""
        return tuple(move.id for move in self.moves)

    @property
    def work(self) -> Work:
        """What goes forward."""
        return Work(self.tenant, self.before, self.after, self.forward, self.glance)

    @property
    def asked(self) -> list[str]:
        """The SELECTs of what takes each delta back, asked behind ``work``; none where the deltas say it."""
        return [_REVERSE.format(move.id) for move in self.moves] if any(move.derived for move in self.moves) else []


_Part = tuple[Trial, Sequence[object], RowsAsked | None]
"""What is tried, what was given for its ``asked``, and of which tables the rows are compared; None for none."""


def untried(moves: Sequence[PlannedMove]) -> str:
    """Give why moves can't be tried forward and back; empty where they can."""
    for move in moves:
        if move.irreversible:
            return f"{move.id} can't be taken back: {move.irreversible}"
    if any(move.way is Way.REVERSE or move.former for move in moves):
        return "not all of it is a delta that the tenant gets for the first time"
    if any(not move.pieces for move in moves):
        return "some of it is only recorded"
    if len(moves) > 1 and any(move.apart for move in moves):
        return "some of it has a transaction of its own"
    return "some of it runs without a transaction" if any(move.alone for move in moves) else ""


def prove(session: Session, workshop: Workshop, task: Task, rows: Sequence[Applied], limits: Limits) -> Proof:
    """Try the deltas of a task forward and back in its tenant; nothing is changed there.

    Args:
        session: On the tenant's lane.
        workshop: Makes the moves.
        task: Forward, in a tenant that stands before it.
        rows: The tenant's ledger.
        limits: How long a statement waits for a lock, and may take.
    """
    moves = task.moves
    ids = tuple(move.id for move in moves if move.way is Way.APPLY and not move.former)
    glance = task.glance
    assert glance is not None, "it was seen when it was calculated"  # noqa: S101 - the caller's choice
    if reason := untried(moves):
        return Proof(ids, task.tenant, reason=reason)
    try:
        # A table that is large is not worth reading before each apply: what a delta names is a rehearsal's to read.
        asked = RowsAsked() if any(workshop.may_change_rows(move) for move in moves) else None
        before = head_of_rows(rows)
        forward = tuple(workshop.applying(move) for move in moves)
        trial = Trial(task.tenant, moves, forward, before, head_after(rows, moves), glance)
        told = session.rehearse([trial.work], trial.asked, **limits._asdict())[0] if trial.asked else []
        proof = _tried(session, workshop, (trial, told, asked), limits)
        if proof.fails and not told:
            # It may be the delta that does, which whoever applies it is told.
            session.rehearse([trial.work], (), **limits._asdict())
    except PdeltaError as error:
        return Proof(ids, task.tenant, reason=error.message)
    return proof


def proved_before(task: Task, rows: Sequence[Applied], workshop: Workshop) -> Proof | None:
    """Give the proof that a tenant's ledger tells which has what this task's tenant is to get; None where it doesn't.

    That is one whose ledger has the head at which the task ends, and which got these deltas in one run without others:
    what was tried together says nothing of a part of it. Only what takes them back in the same words was proved there,
    and only what tenants are made of: where rows may change, or the reverse comes from the tenant, it is tried anew. So
    it is after another version of pdelta, which may compare less.

    Args:
        task: Forward.
        rows: That tenant's ledger; empty where there is none. The proof is told as one of the task's own tenant.
        workshop: Knows what deltas do.
    """
    held = {row.id: row for row in rows if row.proof and row.tool == workshop.tool}
    ids = {move.id for move in task.moves}
    runs = {row.run for row in rows if row.id in ids}
    if {row.id for row in rows if row.run in runs} != ids or len(runs) > 1 or untried(task.moves):
        return None
    for move in task.moves:
        row = held.get(move.id)
        if row is None or move.derived or row.reverse != move.reverse or workshop.may_change_rows(move):
            return None
    return Proof(tuple(move.id for move in task.moves), task.tenant)


def take_back(session: Session, workshop: Workshop, trial: Trial, told: Sequence[object], limits: Limits) -> Proof:
    """Try to go forward and back; compare all tables, large ones where the deltas name them.

    Args:
        session: On the tenant's lane.
        workshop: Makes the moves.
        trial: What is to be tried.
        told: What was given for ``trial.asked``.
        limits: How long a statement waits for a lock, and may take.

    Raises:
        StaleError: Somebody changed the tenant meanwhile.
        DatabaseError: ``BUSY`` or ``LOST``; any other failure the result tells.
    """
    if reason := untried(trial.moves):
        return Proof(trial.ids, trial.tenant, reason=reason)
    try:
        return _tried(session, workshop, (trial, told, RowsAsked(named=_names(workshop, trial))), limits)
    except StaleError:
        raise
    except PdeltaError as error:
        if isinstance(error, DatabaseError) and error.cause in {Cause.BUSY, Cause.LOST}:
            raise
        return Proof(trial.ids, trial.tenant, fails=error.reason)


def take_back_all(
    session: Session, workshop: Workshop, trials: Sequence[tuple[Trial, Sequence[object]]], limits: Limits
) -> list[Proof]:
    """Do the same for several tenants in one transaction; none of them is ``untried``.

    Raises:
        PdeltaError: Something fails in one of them.
    """
    parts = [(trial, told, RowsAsked(named=_names(workshop, trial))) for trial, told in trials]
    return _compared(session, workshop, parts, limits)


def _tried(session: Session, workshop: Workshop, part: _Part, limits: Limits) -> Proof:
    """Try one alone, and tell what its reverse fails of.

    Raises:
        StaleError: Somebody changed the tenant meanwhile.
        PdeltaError: What says nothing of the reverse.
    """
    trial, told, _ = part
    try:
        return _compared(session, workshop, [part], limits)[0]
    except GuardError as error:
        return Proof(trial.ids, trial.tenant, fails=error.reason)
    except DatabaseError as error:
        if error.cause is not Cause.REFUSED:
            raise
        back = (piece for move in _back(workshop, trial, told) for piece in move.pieces)
        if error.sqlstate in _OF_ONE_TRANSACTION or workshop.commits(back):
            return Proof(trial.ids, trial.tenant, reason=f"not in the delta's own transaction: {error.reason}")
        return Proof(trial.ids, trial.tenant, fails=error.reason)


def _compared(session: Session, workshop: Workshop, parts: Sequence[_Part], limits: Limits) -> list[Proof]:
    """Compare what is found before any of the tenants goes forward with what is found when all of them came back."""
    there, back = [], []
    for trial, told, asked in parts:
        returning = _back(workshop, trial, told)
        if not trial.is_transactional and workshop.commits(piece for move in returning for piece in move.pieces):
            return [Proof(trial.ids, trial.tenant, reason="the reverse runs without a transaction")]
        asks = () if asked is None else (asked,)
        there.append(Work(trial.tenant, trial.before, trial.before, (), trial.glance, asks))
        moves = (*trial.forward, *returning)
        back.append(Work(trial.tenant, trial.before, trial.before, moves, trial.glance, asks))
    works, differences = [*there, *back], {}
    if parts[0][0].is_transactional:
        text, read = session.made_of([trial.tenant for trial, _, _ in parts])
        for place in (0, -1):
            works[place] = msgspec.structs.replace(works[place], asks=(*works[place].asks, text))
        values = session.rehearse(works, (), **limits._asdict())
        if values[0][-1] != values[-1][-1]:
            from pdelta.sql.catalogue import Catalogue  # few reverses leave one
            from pdelta.sql.difference import difference

            nothing = Catalogue.parse(())
            held, returned = read(values[0][-1]), read(values[-1][-1])
            differences = {
                tenant: tuple(one.words for one in difference(found, returned.get(tenant, nothing)))
                for tenant, found in held.items()
            }
    else:
        values = session.rehearse(works, (), **limits._asdict())
    proofs = []
    for place, (trial, _, asked) in enumerate(parts):
        proof = Proof(trial.ids, trial.tenant, differences.get(trial.tenant, ()))
        if asked is not None:
            before, after = values[place][0], values[len(parts) + place][0]
            names = _names(workshop, trial)
            proof = msgspec.structs.replace(
                proof,
                rows=_lost_rows(session, [there[place], back[place]], before, after, limits),
                compared=all(rows is not None or not _is_named(table, names) for table, rows in before.items()),
            )
        proofs.append(proof)
    return proofs


def _back(workshop: Workshop, trial: Trial, told: Sequence[object]) -> list[Move]:
    reverses = told or [move.reverse for move in trial.moves]
    back: list[Move] = []
    for planned, move, reverse in zip(trial.moves, trial.forward, reverses, strict=True):
        row = msgspec.structs.replace(move.row, reverse=str(reverse))
        reversing = workshop.reversing(msgspec.structs.replace(planned, accept_loss=True), row, trial.tenant)
        # Where its reverse was asked for, the row may be another this time: it goes whatever it holds.
        back.insert(0, msgspec.structs.replace(reversing, is_tried=bool(told)))
    return back


def _names(workshop: Workshop, trial: Trial) -> frozenset[str]:
    return frozenset[str]().union(*map(workshop.names, trial.moves))


def _is_named(table: str, names: frozenset[str]) -> bool:
    return not names.isdisjoint({table.lower(), table.rpartition(".")[2].lower()})


def _lost_rows(
    session: Session, works: Sequence[Work], before: RowsHeld, after: RowsHeld, limits: Limits
) -> tuple[str, ...]:
    """Say of which tables rows differ, and how many; that is asked for anew, for those tables alone."""
    pairs = {table: (rows, after.get(table)) for table, rows in before.items()}
    # A table that is gone is told with what the tenant is made of; one may have grown beyond what is read.
    other = {table: (one, two) for table, (one, two) in pairs.items() if one and two and one != two}
    if not other:
        return ()
    listed = frozenset(table for table, pair in other.items() if all(rows.count <= LISTED for rows in pair))
    asked = RowsAsked(below_bytes=-1, named=frozenset(other), listed=listed)
    again = [msgspec.structs.replace(work, asks=(asked,)) for work in works]
    (held,), (returned,) = session.rehearse(again, (), **limits._asdict())
    return tuple(
        f"table {table}: {_words(held.get(table), returned.get(table)) or 'its rows differ'} after the reverse"
        for table in sorted(other)
    )


def _words(before: Rows | None, after: Rows | None) -> str:
    """Say how many rows differ; nothing where that is not known."""
    if not before or not after or not (before.hashes or not before.count) or not (after.hashes or not after.count):
        return ""
    gone, new = Counter(before.hashes), Counter(after.hashes)
    lost, more = (gone - new).total(), (new - gone).total()
    both, rest = min(lost, more), abs(lost - more)
    parts = [
        f"{_count(both)} {'differs' if both == 1 else 'differ'}" if both else "",
        f"{_count(rest)} {'is' if rest == 1 else 'are'} {'missing' if lost > more else 'too many'}" if rest else "",
    ]
    return " and ".join(filter(None, parts))


def _count(number: int) -> str:
    return counted(number, "row")
