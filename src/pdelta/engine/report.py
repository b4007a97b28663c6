"""What a run came to, step by step."""

from typing import Any

import msgspec

from pdelta.errors import PdeltaError
from pdelta.model.operation import Standing
from pdelta.model.plan import Step
from pdelta.model.run import RunPhase
from pdelta.model.target import Target


class StepReport(msgspec.Struct, frozen=True):
    """What became of one step.

    Attributes:
        step: Which.
        standing: Where its target was last seen; None when it could not be seen, or was not looked at.
        touched: Whether this run started it.
        facts: What the operation said of its work.
        error: Why it is not where it should be.
    """

    step: Step
    standing: Standing | None
    touched: bool = False
    facts: dict[str, Any] = {}
    error: PdeltaError | None = None


_SETTLED = frozenset({Standing.BEFORE, Standing.AFTER})


class RunReport(msgspec.Struct, frozen=True):
    """What became of a run that needs nobody.

    Attributes:
        run: Its id.
        phase: ``DONE``, ``STOPPED`` or ``REVERSED``.
        steps: In the plan's order; all of them.
        settled: Targets that were already there when the plan was calculated.
        reason: Why a roll-out begins nothing more; empty where it came to its end.
    """

    run: str
    phase: RunPhase
    steps: tuple[StepReport, ...] = ()
    settled: tuple[Target, ...] = ()
    reason: str = ""

    @property
    def exit_status(self) -> int:
        """6 where a person must see to a target, 8 when it stopped on the way, 5 when it took itself back, else 0."""
        if any(step.touched and step.standing not in _SETTLED for step in self.steps) or self.foreign:
            return 6
        if self.phase is RunPhase.REVERSED and (self.reason or self.failure is not None):
            return 5
        return 8 if self.phase is RunPhase.STOPPED else 0

    @property
    def foreign(self) -> tuple[StepReport, ...]:
        """The steps whose targets are neither before nor after."""
        return tuple(step for step in self.steps if step.standing is Standing.FOREIGN)

    @property
    def failures(self) -> tuple[StepReport, ...]:
        """The steps that did not get where they should."""
        return tuple(step for step in self.steps if step.error is not None)

    @property
    def failure(self) -> PdeltaError | None:
        """The error of the step that ended the run, if one did."""
        return next((step.error for step in self.steps if step.error is not None), None)
