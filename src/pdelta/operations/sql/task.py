"""What is to happen in one tenant: one step of a plan, as whoever carries it out or tries it needs it."""

from collections.abc import Sequence
from typing import Final

import msgspec

from pdelta.databases.base import Glance
from pdelta.formats.sql_moves import PlannedMove
from pdelta.model.operation import Standing
from pdelta.model.plan import Step
from pdelta.model.run import Direction
from pdelta.sql.ledger import Applied, Head, Way

_FLIPPED: Final = {Standing.BEFORE: Standing.AFTER, Standing.AFTER: Standing.BEFORE}


class Task(msgspec.Struct):
    """What is to happen in one tenant.

    Attributes:
        step: Of the plan.
        tenant: Its name.
        direction: Which way the step goes.
        moves: What takes it there, in order.
        start: The head that it should have now.
        goal: The head that it has at the end.
        glance: What was seen of it; None where nothing was.
        rows: Its ledger, where the moves need it and it was read.
        likely: What a ledger with the head of ``start`` holds that was read, of this tenant or of another.
        proved: The deltas whose rows were proved to come back in this tenant.
    """

    step: Step
    tenant: str
    direction: Direction
    moves: tuple[PlannedMove, ...]
    start: Head
    goal: Head
    glance: Glance | None
    rows: Sequence[Applied] | None = None
    likely: Sequence[Applied] = ()
    proved: frozenset[str] = frozenset()

    @property
    def needs_rows(self) -> bool:
        """Whether only the tenant's own ledger says what is to be done."""
        return any(move.way is Way.REVERSE or move.former for move in self.moves)

    def told(self, where: Standing) -> Standing:
        """Give, relative to the step's delta, what is said relative to the moves."""
        return where if self.direction is Direction.EXECUTE else _FLIPPED.get(where, where)
