"""A fleet of any kind's targets, one after the other: how roll-outs are tested without a database.

What a kind would keep on its targets to reverse them with is kept in memory here, and outlives a crash that is only
played.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from pdelta.errors import CancelledError, PdeltaError
from pdelta.model.delta import Delta
from pdelta.model.finding import Finding
from pdelta.model.fleet import Arrival
from pdelta.model.operation import Notes, Operation, Outcome, Standing
from pdelta.model.plan import Step
from pdelta.model.run import Direction
from pdelta.model.target import Target


class OneByOne:
    """Answers the verbs of ``FleetOperation`` with those of one operation.

    Args:
        operation: Does the work.
        trouble: Called before each target is touched, with its address and the direction; raises what is to go wrong.
    """

    def __init__(
        self, operation: Operation, trouble: Callable[[str, Direction], None] = lambda _address, _direction: None
    ) -> None:
        """Take over the operation's kind."""
        self.kind = operation.kind
        self.calculate = operation.calculate
        self.preflight = operation.preflight
        self.verify = operation.verify
        self.execute = operation.execute
        self.reverse = operation.reverse
        self._operation = operation
        self._trouble = trouble
        self._notes: dict[Target, _Kept] = {}

    def calculate_all(self, wishes: Sequence[tuple[Target, bytes]]) -> Sequence[Delta | PdeltaError]:
        """Calculate one after the other."""
        return [self._operation.calculate(target, desired) for target, desired in wishes]

    def preflight_all(self, steps: Sequence[Step]) -> Sequence[Finding]:
        """Ask one after the other."""
        return [found for step in steps for found in self._operation.preflight(step.delta, step.target)]

    def verify_all(self, steps: Sequence[Step]) -> Sequence[Standing | PdeltaError]:
        """Look at one after the other."""
        return [self._look(step) for step in steps]

    def carry_all(self, steps: Sequence[Step], direction: Direction, halted: Callable[[], bool]) -> Iterator[Arrival]:
        """Carry one after the other."""
        for step in steps:
            standing = self._look(step)
            if halted():
                yield Arrival(step, _seen(standing), touched=False)
            elif standing is _GOALS[direction]:
                yield Arrival(step, standing, touched=False)
            elif standing is Standing.FOREIGN or isinstance(standing, PdeltaError):
                error = standing if isinstance(standing, PdeltaError) else PdeltaError("somebody was here")
                yield Arrival(step, _seen(standing), touched=False, error=error)
            else:
                yield self._carry(step, direction)

    def _carry(self, step: Step, direction: Direction) -> Arrival:
        act = self._operation.execute if direction is Direction.EXECUTE else self._operation.reverse
        outcome, error = Outcome(), None
        try:
            self._trouble(step.target.address, direction)
            outcome = act(step.delta, step.target, self._notes.setdefault(step.target, _Kept()))
        except CancelledError:
            raise
        except PdeltaError as raised:
            error = raised
        standing = _seen(self._look(step))
        return Arrival(step, standing, facts=outcome.facts, error=None if standing is _GOALS[direction] else error)

    def _look(self, step: Step) -> Standing | PdeltaError:
        try:
            return self._operation.verify(step.delta, step.target)
        except PdeltaError as error:
            return error


_GOALS: Mapping[Direction, Any] = {Direction.EXECUTE: Standing.AFTER, Direction.REVERSE: Standing.BEFORE}


class _Kept(Notes):
    """Notes in memory."""

    def __init__(self) -> None:
        self._notes: list[bytes] = []

    def record(self, note: bytes) -> None:
        """Keep it."""
        self._notes.append(note)

    def read(self) -> Sequence[bytes]:
        """Give all."""
        return self._notes


def _seen(standing: Standing | PdeltaError) -> Standing | None:
    return standing if isinstance(standing, Standing) else None
