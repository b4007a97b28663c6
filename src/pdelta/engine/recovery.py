"""After a crash: the journal says which way, ``verify`` says how far."""

from typing import TYPE_CHECKING

from pdelta.engine import rollout
from pdelta.engine.executor import Pending, go_on, needed
from pdelta.engine.report import RunReport
from pdelta.engine.rollback import take_back
from pdelta.engine.rollout import Conduct
from pdelta.engine.runlog import RunLog
from pdelta.engine.step import Operations, summary
from pdelta.model.run import RunPhase

if TYPE_CHECKING:
    from pdelta.engine.journal import Journal


def recover(
    run: str,
    operations: Operations,
    journal: "Journal",
    *,
    pending: Pending = Pending.EXECUTE,
    turn: bool = False,
    conduct: Conduct | None = None,
) -> RunReport:
    """Bring an interrupted run to its end, in the direction that its journal chose.

    A step that stands ``AFTER`` is recorded as done; one that stands
    ``BEFORE`` is carried out, or skipped when reversing; one in between goes on
    in its direction; a foreign one is not touched. A run that has ended is
    reported as it is.

    Args:
        run: Its id; see ``Journal.open_runs``.
        operations: One for each kind.
        journal: Where it is recorded.
        pending: ``SKIP`` finishes what is half done and leaves the rest undone.
        turn: Take an executing run back instead.
        conduct: How a roll-out meets the world; None only for plans without waves.

    Raises:
        NeedsOperatorError: A target is foreign, in between or out of sight; it is named with its standing.
        LockedError: The run is being carried on elsewhere, or another run holds the target.
        PdeltaError: As ``execute`` does.
    """
    with journal.resume(run) as log:
        if turn and log.state.phase is RunPhase.EXECUTING:
            log.turned("asked")
        if log.plan.rollout is not None and log.state.open:
            return _recover_rollout(log, operations, needed(conduct), pending)
        if log.state.phase is RunPhase.REVERSING:
            return take_back(log, operations)
        if log.state.phase is RunPhase.EXECUTING:
            return go_on(log, operations, pending=pending)
        return summary(log, {})


def _recover_rollout(log: RunLog, operations: Operations, conduct: Conduct, pending: Pending) -> RunReport:
    if log.state.phase is RunPhase.REVERSING:
        return rollout.take_back(log, operations, conduct)
    if pending is Pending.SKIP:
        return rollout.settle(log, operations, conduct)
    return rollout.go_on(log, operations, conduct)
