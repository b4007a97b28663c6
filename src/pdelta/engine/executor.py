"""A plan, carried out one step at a time; it recalculates nothing."""

from enum import StrEnum
from typing import TYPE_CHECKING, NoReturn

from pdelta.engine import rollout
from pdelta.engine.planner import operation_for
from pdelta.engine.report import RunReport, StepReport
from pdelta.engine.rollback import take_back
from pdelta.engine.rollout import Conduct
from pdelta.engine.runlog import RunLog
from pdelta.engine.step import Operations, carry, look, needs_operator, stuck, summary
from pdelta.errors import CancelledError, ExecutionError, LockedError, PdeltaError
from pdelta.model.course import OnFailure
from pdelta.model.operation import Standing
from pdelta.model.plan import Plan, Step
from pdelta.model.run import Direction, RunPhase, StepPhase

if TYPE_CHECKING:
    from pdelta.engine.journal import Journal


class Pending(StrEnum):
    """What carrying a run on does with steps that nothing has happened to."""

    EXECUTE = "execute"
    SKIP = "skip"


def execute(
    plan: Plan,
    operations: Operations,
    journal: "Journal",
    *,
    run: str,
    who: str = "",
    note: str = "",
    conduct: Conduct | None = None,
) -> RunReport:
    """Carry a plan out and return once its end is durable.

    The report's phase is ``DONE``, or ``STOPPED`` when a step failed after
    others had changed their targets and the plan says to stop: then every
    target is ``BEFORE`` or ``AFTER``. A run that never touched a target leaves
    no record.

    Args:
        plan: What to do; unchanged.
        operations: One for each kind.
        journal: Where it is recorded.
        run: The run's id.
        who: Who asked for it.
        note: What they said about it.
        conduct: How a roll-out meets the world; None only for plans without waves.

    A plan with waves raises nothing for a step that fails: its report says which, and ``rollout.go_on`` how it ends.

    Raises:
        PdeltaError: The failing step's own error, when nothing was changed by this run at any time.
        ExecutionError: A step failed and everything that this run did was reversed.
        NeedsOperatorError: A target is foreign, in between or out of sight; it is named with its standing.
        LockedError: Another run holds the target.
        CancelledError: A person asked to stop; the run can be recovered.
    """
    for step in plan.steps:
        operation_for(operations, step.target)
    if not plan.steps:
        return RunReport(run, RunPhase.DONE, (), plan.settled)
    with journal.open_run(run, plan, who=who, note=note) as log:
        if plan.rollout is not None:
            return rollout.go_on(log, operations, needed(conduct))
        return go_on(log, operations)


def needed(conduct: Conduct | None) -> Conduct:
    """Give the conduct of a roll-out.

    Raises:
        ValueError: There is none.
    """
    if conduct is None:
        text = "a plan with waves takes a conduct"
        raise ValueError(text)
    return conduct


def go_on(log: RunLog, operations: Operations, *, pending: Pending = Pending.EXECUTE) -> RunReport:
    """Carry an executing run on from wherever its records and targets stand.

    Args:
        log: The claimed run.
        operations: One for each kind.
        pending: Whether steps that nothing has happened to are carried out.

    Raises:
        PdeltaError: As ``execute`` does.
    """
    reports: dict[str, StepReport] = {}
    try:
        for step in log.plan.steps:
            state = log.state.steps[step.id]
            if state.phase is StepPhase.DONE:
                continue
            if state.phase is StepPhase.UNDONE or state.direction is Direction.REVERSE:
                _take_step_back(step, operations, log, reports)
                break
            if pending is Pending.SKIP and _skipped(step, operations, log):
                break
            report = reports[step.id] = carry(step, operations, log, Direction.EXECUTE)
            if report.standing is not Standing.AFTER:
                _fail(report, operations, log, reports)
                break
        else:
            log.closed(RunPhase.DONE)
            return summary(log, reports)
    except CancelledError:
        if log.touched:
            log.flush()
        raise
    log.closed(RunPhase.STOPPED)
    return summary(log, reports)


def _skipped(step: Step, operations: Operations, log: RunLog) -> bool:
    """Leave a step alone if its target stands before it; nothing after it is done either."""
    standing, _ = look(step, operation_for(operations, step.target))
    if standing is not Standing.BEFORE:
        return False
    log.finished(step.id, Standing.BEFORE)
    return True


def _take_step_back(step: Step, operations: Operations, log: RunLog, reports: dict[str, StepReport]) -> None:
    """Bring the step that failed half-way back to before, so that the run may stop."""
    if log.state.steps[step.id].phase is StepPhase.UNDONE:
        return
    report = carry(step, operations, log, Direction.REVERSE)
    earlier = reports.get(step.id)
    error = earlier.error if earlier is not None else report.error
    reports[step.id] = StepReport(step, report.standing, report.touched, report.facts, error)
    if report.standing is not Standing.BEFORE:
        raise stuck(log, report)


def _fail(report: StepReport, operations: Operations, log: RunLog, reports: dict[str, StepReport]) -> None:
    """Do what the plan says about a failed step; return only to stop with something done."""
    error = report.error
    assert error is not None, "a step that did not arrive has an error"  # noqa: S101 - an invariant of carry
    in_doubt = report.touched and report.standing is not Standing.BEFORE
    if in_doubt and isinstance(error, LockedError):
        raise stuck(log, report)
    others = any(step.touched and step.phase is StepPhase.DONE for step in log.state.steps.values())
    if log.plan.on_failure is OnFailure.REVERSE:
        _reverse_all(report, error, operations, log, changed=others or in_doubt)
    if in_doubt and report.standing is None:
        # Out of sight it may well have arrived: only a look at it may decide, not this failure.
        raise stuck(log, report)
    if in_doubt:
        _take_step_back(report.step, operations, log, reports)
    elif report.touched:
        log.finished(report.step.id, Standing.BEFORE)
    if report.standing is Standing.FOREIGN:
        log.closed(RunPhase.STOPPED)
        raise needs_operator(log, [report.step], error)
    if not others:
        _raise_unchanged(error, log, was_changed=in_doubt)


def _raise_unchanged(error: PdeltaError, log: RunLog, *, was_changed: bool) -> NoReturn:
    """End a run that leaves every target as it was."""
    if log.touched:
        log.closed(RunPhase.STOPPED)
    if was_changed:
        raise _reversed_error(error) from error
    raise error


def _reverse_all(
    report: StepReport, error: PdeltaError, operations: Operations, log: RunLog, *, changed: bool
) -> NoReturn:
    if log.touched:
        log.turned(error.code)
        take_back(log, operations)
    if report.standing is Standing.FOREIGN:
        raise needs_operator(log, [report.step], error)
    if changed:
        raise _reversed_error(error) from error
    raise error


def _reversed_error(error: PdeltaError) -> ExecutionError:
    text = f"{error.message}; everything this run did was reversed"
    return ExecutionError(text, hint=error.hint)
