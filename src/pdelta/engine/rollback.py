"""The way back: steps that this run, or an earlier one, carried out, newest first."""

from typing import TYPE_CHECKING

from pdelta.engine.report import RunReport, StepReport
from pdelta.engine.runlog import RunLog
from pdelta.engine.step import Operations, carry, needs_operator, stuck, summary
from pdelta.errors import CancelledError, UsageError
from pdelta.formats.plan import freeze
from pdelta.model.operation import Standing
from pdelta.model.plan import Plan, Step
from pdelta.model.run import Direction, Opened, RunPhase, RunState, StepPhase

if TYPE_CHECKING:
    from pdelta.engine.journal import Journal


def rollback(
    of: str, operations: Operations, journal: "Journal", *, run: str, who: str = "", note: str = ""
) -> RunReport:
    """Take an earlier run back: every step that it carried out, newest first, to that step's ``before``.

    It is a run of its own. A step that stands there already is left alone.

    Args:
        of: The run to take back; it must have ended.
        operations: One for each kind.
        journal: Where both are recorded.
        run: Id of the new run.
        who: Who asked for it.
        note: What they said about it.

    Raises:
        UsageError: There is no such run, it is still open, or it left nothing to take back.
        NeedsOperatorError: A target did not come back; it and its standing are named.
        PdeltaError: The first step failed and nothing was changed; its own error.
    """
    plan, state, _ = journal.read(of)
    plan = _carried_out(of, plan, state)
    with journal.open_run(run, plan, direction=Direction.REVERSE, of=of, who=who, note=note) as log:
        return take_back(log, operations)


def take_back(log: RunLog, operations: Operations) -> RunReport:
    """Reverse what a reversing run still has to reverse, and close it.

    It stops at the first step that does not come back, because earlier steps
    may be what it stands on.

    Raises:
        NeedsOperatorError: A target did not come back; the run stays open.
        LockedError: Another run holds a target; the run stays open unless it changed nothing.
        CancelledError: A person asked to stop; the run stays open.
    """
    reports: dict[str, StepReport] = {}
    try:
        for step in _outstanding(log):
            report = reports[step.id] = carry(step, operations, log, Direction.REVERSE)
            if report.standing is not Standing.BEFORE:
                _give_up(log, report)
    except CancelledError:
        if log.touched:
            log.flush()
        raise
    log.closed(RunPhase.REVERSED)
    return summary(log, reports)


def _outstanding(log: RunLog) -> list[Step]:
    states = log.state.steps
    own = _turned(log)
    return [
        step
        for step in reversed(log.plan.steps)
        if states[step.id].phase is not StepPhase.UNDONE and (states[step.id].touched or not own)
    ]


def _turned(log: RunLog) -> bool:
    opened = log.state.opened
    return isinstance(opened, Opened) and opened.direction is Direction.EXECUTE


def _give_up(log: RunLog, report: StepReport) -> None:
    """Raise what fits; a run of its own that changed nothing is closed, or forgotten if it touched nothing."""
    error = report.error
    if error is None or _turned(log) or _undid_something(log):
        raise stuck(log, report)
    if not log.touched:
        raise needs_operator(log, [report.step], error) if report.standing is Standing.FOREIGN else error
    if report.standing is not Standing.AFTER:
        raise stuck(log, report)
    log.finished(report.step.id, Standing.AFTER)
    log.closed(RunPhase.STOPPED)
    raise error


def _undid_something(log: RunLog) -> bool:
    return any(step.touched and step.phase is StepPhase.UNDONE for step in log.state.steps.values())


def _carried_out(of: str, plan: Plan, state: RunState) -> Plan:
    if state.open:
        text = f"{of} has not ended"
        raise UsageError(text, hint=f"first run: pdelta recover {of}")
    steps = tuple(
        step for step in plan.steps if state.steps[step.id].touched and state.steps[step.id].phase is StepPhase.DONE
    )
    opened = state.opened
    if not steps or opened is None or opened.direction is Direction.REVERSE:
        text = f"{of} left nothing to take back: it is {state.phase}"
        raise UsageError(text)
    return freeze(steps, plan.on_failure)
