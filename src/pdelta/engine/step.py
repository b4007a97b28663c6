"""One step one way: look, make the record durable, act, look again, record what was seen."""

from collections.abc import Mapping

from pdelta.engine.planner import operation_for
from pdelta.engine.report import RunReport, StepReport
from pdelta.engine.runlog import RunLog
from pdelta.errors import CancelledError, LockedError, NeedsOperatorError, PdeltaError
from pdelta.model.operation import Operation, Outcome, Standing
from pdelta.model.plan import Step
from pdelta.model.run import Direction, StepPhase, StepState

Operations = Mapping[str, Operation]


def carry(step: Step, operations: Operations, log: RunLog, direction: Direction) -> StepReport:
    """Bring a step's target to the end that the direction names, or say where it stands instead.

    A target that is there already gets a record and nothing else; one that is
    foreign, or cannot be seen, is not touched.

    Raises:
        CancelledError: A person asked to stop; the run can be carried on.
        LockedError: Another process has written to this run.
    """
    operation = operation_for(operations, step.target)
    goal = _GOALS[direction]
    standing, error = look(step, operation)
    if standing is goal:
        log.finished(step.id, goal)
        return _report(step, log, standing)
    if standing is None or standing is Standing.FOREIGN or not _allowed(step, standing, direction):
        error = error or _refusal(step, standing)
        log.failed(step.id, standing, error)
        return _report(step, log, standing, error=error)
    log.started(step.id, direction)
    return _act(step, operation, log, direction)


def look(step: Step, operation: Operation) -> tuple[Standing | None, PdeltaError | None]:
    """Say where a step's target stands, or why that cannot be seen."""
    try:
        return operation.verify(step.delta, step.target), None
    except CancelledError:
        raise
    except PdeltaError as error:
        return None, error


def stuck(log: RunLog, report: StepReport) -> PdeltaError:
    """Give what to raise when a step keeps a run from ending by itself; the run stays open.

    That is the step's own error where another run holds the target, else a
    ``NeedsOperatorError`` that names its target and every other one which this run left in doubt.
    """
    log.flush()
    if isinstance(report.error, LockedError):
        return report.error
    doubtful = [step for step in log.plan.steps if step.id == report.step.id or _doubtful(log, step)]
    return needs_operator(log, doubtful, report.error)


def needs_operator(log: RunLog, steps: list[Step], error: PdeltaError | None) -> NeedsOperatorError:
    """Name these steps' targets and where each stands."""
    places = "; ".join(f"{_place(step)} stands {_standing_text(log, step)}" for step in steps)
    reason = f": {error.message}" if error is not None else ""
    hint = error.hint if error is not None and error.hint else "see to the target"
    problem = NeedsOperatorError(
        f"{log.run} needs an operator: {places}{reason}", hint=f"{hint}; then: pdelta recover {log.run}"
    )
    problem.__cause__ = error
    return problem


def summary(log: RunLog, reports: Mapping[str, StepReport]) -> RunReport:
    """Give the report of a run that has ended: what was seen now, else what its records say."""
    steps = tuple(reports.get(step.id) or _report(step, log, _state_of(log, step).standing) for step in log.plan.steps)
    return RunReport(log.run, log.state.phase, steps, log.plan.settled)


_GOALS = {Direction.EXECUTE: Standing.AFTER, Direction.REVERSE: Standing.BEFORE}


def _act(step: Step, operation: Operation, log: RunLog, direction: Direction) -> StepReport:
    goal = _GOALS[direction]
    act = operation.execute if direction is Direction.EXECUTE else operation.reverse
    outcome, error = Outcome(), None
    try:
        outcome = act(step.delta, step.target, log.notes(step.id))
    except CancelledError:
        raise
    except PdeltaError as raised:
        error = raised
    standing, unseen = look(step, operation)
    if standing is goal:
        # Arriving decides, even if the operation failed later than that.
        log.finished(step.id, goal, outcome.facts)
        return _report(step, log, standing)
    error = error or unseen or _untrue(step, standing)
    log.failed(step.id, standing, error)
    return _report(step, log, standing, error=error)


def _report(step: Step, log: RunLog, standing: Standing | None, error: PdeltaError | None = None) -> StepReport:
    state = _state_of(log, step)
    return StepReport(step, standing, state.touched, state.facts, error)


def _allowed(step: Step, standing: Standing, direction: Direction) -> bool:
    return direction is Direction.EXECUTE or step.delta.reversible or standing is not Standing.AFTER


def _refusal(step: Step, standing: Standing | None) -> PdeltaError:
    if standing is Standing.FOREIGN:
        text = f"{_place(step)} is neither before nor after step {step.id}; it was not touched"
        return PdeltaError(text, hint="compare it with what was expected")
    text = f"step {step.id} on {_place(step)} kept nothing to reverse it with; it stands {standing}"
    return PdeltaError(text)


def _untrue(step: Step, standing: Standing | None) -> PdeltaError:
    text = f"step {step.id} on {_place(step)} reported success, but the target stands {standing}"
    return PdeltaError(text, hint="something else changed the target meanwhile, or this is a bug")


def _place(step: Step) -> str:
    return f"{step.target.kind} {step.target.address}"


def _state_of(log: RunLog, step: Step) -> StepState:
    return log.state.steps[step.id]


def _doubtful(log: RunLog, step: Step) -> bool:
    state = _state_of(log, step)
    return state.touched and state.phase not in {StepPhase.DONE, StepPhase.UNDONE}


def _standing_text(log: RunLog, step: Step) -> str:
    standing = _state_of(log, step).standing
    return standing.value.upper() if standing is not None else "UNKNOWN"
