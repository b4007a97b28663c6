"""What is done in tenants by rows that were read elsewhere, while other lanes read them."""

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, cast

import pytest

from pdelta.databases.base import Database, Glance, Session, Work
from pdelta.errors import Cause, DatabaseError, PdeltaError
from pdelta.formats.sql_moves import PlannedMove
from pdelta.model.fleet import Arrival
from pdelta.model.run import Direction
from pdelta.operations.sql.carry import Carrier
from pdelta.operations.sql.lanes import Job
from pdelta.operations.sql.task import Task
from pdelta.operations.sql.work import Imprint, Workshop
from pdelta.sql.ledger import EMPTY_HEAD, Applied, Way, head_of_rows
from pdelta.sql.token import Dialect

if TYPE_CHECKING:
    from pdelta.model.plan import Step

OWN = Applied("d", "0" * 64, reverse="DROP TABLE x;")
OTHER = Applied("d", "0" * 64, reverse="DROP TABL x;")
HEAD = head_of_rows([OWN])


class Ledgers:
    """Tenants that all have the same row."""

    transactional = True

    def ledgers(self, names: Sequence[str], *, delta: str = "") -> Mapping[str, Sequence[Applied]]:  # noqa: ARG002 - all rows are of it
        return dict.fromkeys(names, (OWN,))


class Refusing:
    """A session that takes the tenants' own row, and no other; somebody reads ledgers while it finds out."""

    def __init__(self) -> None:
        self.carrier: Carrier | None = None
        self.done: list[str] = []

    def ledger(self, tenant: str, *, lock_timeout_ms: int) -> None:
        """Nothing of its own."""

    def commit(self, works: Sequence[Work], **_limits: int) -> None:
        error = self._tried(works[0])
        if error:
            raise error

    def commit_each(self, works: Sequence[Work], **_limits: int) -> list[PdeltaError | None]:
        if self.carrier is not None:
            self.carrier._read(self.carrier._tasks)
        return [self._tried(works[0])]

    def _tried(self, work: Work) -> PdeltaError | None:
        if work.moves[0].row != OWN:
            return DatabaseError(f"{work.tenant}: syntax error", cause=Cause.REFUSED)
        self.done.append(work.tenant)
        return None


@pytest.mark.parametrize("meanwhile", [False, True])
def test_handle_when_a_guess_is_refused_then_the_own_ledger_counts_whoever_has_read_it_meanwhile(
    meanwhile: bool,
) -> None:
    moves = (PlannedMove(way=Way.REVERSE, id="d", digest="0" * 64),)
    glance = Glance(managed=True, head=HEAD)
    step = cast("Step", None)
    tasks = [
        Task(step, f"t{number}", Direction.EXECUTE, moves, HEAD, EMPTY_HEAD, glance, likely=(OTHER,))
        for number in range(3)
    ]
    session = Refusing()
    workshop = Workshop(Dialect.POSTGRESQL, frozenset(), Imprint("run:1", "ada", "", ""))
    carrier = Carrier(cast("Database", Ledgers()), workshop, tasks, time.monotonic)
    if meanwhile:
        session.carrier = carrier
    first, *others = carrier.handle(cast("Session", session), [Job(number, f"t{number}") for number in range(3)], 100)
    assert isinstance(first, Arrival)
    assert first.error is None
    assert others == [None, None]
    assert session.done == ["t0"]
