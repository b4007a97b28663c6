"""The five verbs over many targets at once, for kinds whose targets are cheap together and dear one by one."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol, runtime_checkable

import msgspec

from pdelta.errors import PdeltaError
from pdelta.model.delta import Delta
from pdelta.model.finding import Finding
from pdelta.model.operation import Operation, Standing
from pdelta.model.plan import Step
from pdelta.model.run import Direction
from pdelta.model.target import Target


class Arrival(msgspec.Struct, frozen=True):
    """Where one step's target was seen after the operation had its turn.

    Attributes:
        step: Which.
        standing: What was seen on the target; None where it could not be seen.
        touched: Whether anything was done there; False where it stood there already, or the work was halted before.
        facts: What the operation says of its work.
        error: Why it is not where it should be; None where it is, and where the work was halted before.
    """

    step: Step
    standing: Standing | None
    touched: bool = True
    facts: dict[str, Any] = {}
    error: PdeltaError | None = None


@runtime_checkable
class FleetOperation(Operation, Protocol):
    """What a kind offers whose roll-outs are carried out a wave at a time.

    The promises are those of ``Operation``, for each target on its own: one that fails costs no other anything.
    """

    def calculate_all(self, wishes: Sequence[tuple[Target, bytes]]) -> Sequence[Delta | PdeltaError]:
        """Calculate each wish; equal deltas are one object. A target that can't be read has its error."""
        ...

    def preflight_all(self, steps: Sequence[Step]) -> Sequence[Finding]:
        """Report all problems of all steps; change nothing."""
        ...

    def verify_all(self, steps: Sequence[Step]) -> Sequence[Standing | PdeltaError]:
        """Say where each target stands, in the order of the steps, or why that can't be seen."""
        ...

    def carry_all(self, steps: Sequence[Step], direction: Direction, halted: Callable[[], bool]) -> Iterator[Arrival]:
        """Bring each target to the end that the direction names; give exactly one arrival a step, in any order.

        A target is looked at before anything is done to it: one that is there already is left alone, and a foreign one
        is not touched. One that is busy is tried again after the others. Once ``halted`` says so, nothing more is
        begun, and what was not begun arrives as it stands, untouched and without an error. Closing the iterator ends
        what is under way as a crash would.
        """
        ...
