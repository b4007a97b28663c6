"""Whether a delta's reverse brings a tenant back: tried in the tenant itself, in a transaction that is rolled back.

What is compared is what the tenant is made of, before and after going forward and back; rows are not, so that a
reverse that depends on them is proved for its schema alone. The result stands in the ledger of every tenant that gets
the delta.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from pdelta.databases.base import Move, Session, Work
from pdelta.errors import PdeltaError
from pdelta.formats.sql_moves import PlannedMove
from pdelta.operations.sql.carry import Task
from pdelta.operations.sql.reckon import head_after
from pdelta.operations.sql.work import Workshop
from pdelta.sql.difference import difference
from pdelta.sql.ledger import Applied, Way, head_of

PROVED = "schema"
"""What the ledger says of a reverse that was proved so."""


_REVERSE: Final = "SELECT reverse FROM pdelta_applied WHERE id = '{}'"
"""An id is letters, digits and a few signs that need no quoting."""


class Proof(msgspec.Struct, frozen=True):
    """What trying showed.

    Attributes:
        deltas: The ids of those that were tried together.
        tenant: Where.
        differences: What did not come back, in words; empty where all did.
        reason: Why nothing could be tried; empty where it could.
    """

    deltas: tuple[str, ...]
    tenant: str
    differences: tuple[str, ...] = ()
    reason: str = ""

    @property
    def holds(self) -> bool:
        """Whether the reverse was proved."""
        return not self.differences and not self.reason


def prove(session: Session, workshop: Workshop, task: Task, rows: Sequence[Applied], lock_ms: int) -> Proof:
    """Try the deltas of a task forward and back in its tenant; nothing is changed there.

    Args:
        session: On the tenant's lane.
        workshop: Makes the moves.
        task: Forward, in a tenant that stands before it.
        rows: The tenant's ledger.
        lock_ms: How long a statement waits for a lock.
    """
    moves = [move for move in task.moves if move.way is Way.APPLY and not move.former]
    ids = tuple(move.id for move in moves)
    try:
        return _tried(session, workshop, task, moves, rows, lock_ms)
    except PdeltaError as error:
        return Proof(ids, task.tenant, reason=error.message)


def _tried(
    session: Session,
    workshop: Workshop,
    task: Task,
    moves: Sequence[PlannedMove],
    rows: Sequence[Applied],
    lock_ms: int,
) -> Proof:
    ids = tuple(move.id for move in moves)
    if len(moves) < len(task.moves) or any(move.alone or move.irreversible for move in moves):
        return Proof(ids, task.tenant, reason="not all of it can be tried in a transaction, or taken back")
    glance = task.glance
    assert glance is not None, "it was seen when it was calculated"  # noqa: S101 - the caller's choice
    text, read = session.made_of(task.tenant)
    before = head_of((row.id, row.digest, row.state.value) for row in rows)
    forward = tuple(workshop.applying(move) for move in moves)
    after = head_after(rows, moves)
    reverses = [move.reverse for move in moves]
    if any(move.derived for move in moves):
        asked = [_REVERSE.format(move.id) for move in moves]
        work = Work(task.tenant, before, after, forward, glance)
        (reverses,) = session.rehearse([work], asked, lock_timeout_ms=lock_ms)
    back: list[Move] = []
    for planned, move, reverse in zip(moves, forward, reverses, strict=True):
        row = msgspec.structs.replace(move.row, reverse=str(reverse))
        back.insert(0, workshop.reversing(msgspec.structs.replace(planned, accept_loss=True), row, task.tenant))
    still = Work(task.tenant, before, before, (), glance)
    whole = Work(task.tenant, before, before, (*forward, *back), glance)
    (held,), (returned,) = session.rehearse([still, whole], [text], lock_timeout_ms=lock_ms)
    if held == returned:
        return Proof(ids, task.tenant)
    told = difference(read(held), read(returned))
    return Proof(ids, task.tenant, tuple(one.words for one in told))
