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


class RunReport(msgspec.Struct, frozen=True):
    """What became of a run that needs nobody.

    Attributes:
        run: Its id.
        phase: ``DONE``, ``STOPPED`` or ``REVERSED``.
        steps: In the plan's order; all of them.
        settled: Targets that were already there when the plan was calculated.
    """

    run: str
    phase: RunPhase
    steps: tuple[StepReport, ...] = ()
    settled: tuple[Target, ...] = ()

    @property
    def exit_status(self) -> int:
        """8 when it stopped on the way, else 0."""
        return 8 if self.phase is RunPhase.STOPPED else 0

    @property
    def failure(self) -> PdeltaError | None:
        """The error of the step that ended the run, if one did."""
        return next((step.error for step in self.steps if step.error is not None), None)
