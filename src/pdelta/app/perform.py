"""One wish for one tree, through the engine: plan, pre-flight, execute, journal.

Push, rollback and repair differ in the wish and in the source alone; all of them end here.
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final

import msgspec

from pdelta.app.compose import OpenTree
from pdelta.app.context import Context, Link
from pdelta.app.outcome import TreeOutcome
from pdelta.app.runs import open_journal
from pdelta.app.waiting import until_free
from pdelta.engine.executor import Pending, execute
from pdelta.engine.journal import Journal
from pdelta.engine.planner import calculate, plan_of
from pdelta.engine.preflight import preflight, refusal, refuse
from pdelta.engine.recovery import recover
from pdelta.errors import (
    CancelledError,
    DriftError,
    ExecutionError,
    LockedError,
    NeedsOperatorError,
    PdeltaError,
    PreflightError,
    SourceChangedError,
    StaleError,
    TransportError,
)
from pdelta.formats.history import Wish, encode_wish
from pdelta.formats.report import TreeBody, decode_body
from pdelta.model.amount import counted
from pdelta.model.change import Change
from pdelta.model.delta import Delta
from pdelta.model.finding import Finding
from pdelta.model.operation import Operation, Standing
from pdelta.model.plan import Plan
from pdelta.model.run import RunPhase, StepPhase

ATTEMPTS: Final = 3
"""How often a command is begun anew whose source, or destination, changes meanwhile."""

KEPT: Final = "what was sent is kept there; the same command goes on where this one stopped"


class Performed(msgspec.Struct, frozen=True):
    """What became of a wish.

    Attributes:
        delta: What was calculated; None when the tree was already there.
        body: The delta's body; None likewise.
        findings: Warnings of the pre-flight; of a dry run also what blocks, first.
        run: Id of the run; empty when nothing was executed.
        facts: What the operation said of its work.
        number: Newest entry of the history now; 0 for none.
    """

    delta: Delta | None = None
    body: TreeBody | None = None
    findings: tuple[Finding, ...] = ()
    run: str = ""
    facts: Mapping[str, Any] = {}
    number: int = 0

    @property
    def changes(self) -> tuple[Change, ...]:
        """The first changes."""
        return self.delta.changes if self.delta is not None else ()


def refusal_of(outcome: TreeOutcome) -> PreflightError | None:
    """Give what the command that a dry run stands for would have ended with before it changed anything."""
    return refusal(outcome.findings) if outcome.dry_run else None


def objection_to(outcome: TreeOutcome) -> PdeltaError | None:
    """Give what an outcome lacks to be all that was asked for; None for nothing.

    That of a dry run is what the command itself would have ended with.
    """
    refused = refusal_of(outcome)
    if refused is not None or not outcome.left_out:
        return refused
    one = outcome.left_out == 1
    paths = f"{counted(outcome.left_out, 'path')} of the source"
    done = ("would be" if outcome.dry_run else "was" if one else "were") + " left out"
    rest = "all else is there" if not outcome.changed else f"all else {'would be' if outcome.dry_run else 'was'} pushed"
    return DriftError(
        f"{paths} {done}; {rest}, and nothing is deleted in {'its' if one else 'their'} place",
        hint=f"the same command pushes {'it' if one else 'them'} once {'it' if one else 'they'} can be read",
    )


def finish_interrupted(tree: OpenTree, link: Link) -> str:
    """Finish or undo what a killed run left in the tree; give what was done in words, empty for nothing.

    A run that is still alive may be in the middle of its commit: it is waited for as ``link`` says.

    Raises:
        NeedsOperatorError: Somebody changed what the killed run was about to change.
        LockedError: That run is still alive.
    """
    if not tree.tree.describe().unfinished:
        return ""
    tree.touched = True
    report = until_free(tree.tree.recover, link)
    return f"entry {report.number} was brought {report.direction}" if report.found == "commit" else ""


def perform(
    tree: OpenTree,
    wish: Wish,
    context: Context,
    *,
    number: int,
    dry_run: bool,
    durable: bool,
    more_findings: Mapping[str, Finding] | None = None,
    confirmed: bool = False,
) -> Performed:
    """Bring a tree to what a wish says, or only say what that would take.

    Args:
        tree: Where.
        wish: What; its run's id is the run's.
        context: The command's surroundings.
        number: Newest entry of the history, which stays that where nothing is to be done.
        dry_run: Whether to stop after the pre-flight.
        durable: Whether the journal is synced.
        more_findings: Findings of the source's side, which block only where something would be deleted.
        confirmed: Whether a person has confirmed those.

    Raises:
        PreflightError: Something blocks; nothing was changed.
        SourceChangedError: A source file changed meanwhile; nothing was changed, a new scan is due.
        StaleError: Another run came first; nothing was changed, a new calculation is due.
        TransportError: The connection broke.
        PdeltaError: As ``engine.executor.execute`` does.
    """
    operations: dict[str, Operation] = {"tree": tree.tree}
    try:
        deltas = calculate(operations, [(tree.target, encode_wish(wish))])
        delta, planned = deltas[0][1], plan_of(deltas)
        body = decode_body(delta.body)
        if not planned.steps:
            seen = tuple(finding for finding in body.findings if not finding.blocks)
            return Performed(findings=seen, number=number)
        tree.expect(body.counts.bytes_changed)
        findings = preflight(planned, operations)
        if body.deleted and not confirmed:
            findings += (more_findings or {}).values()
        warnings = tuple(finding for finding in findings if not finding.blocks)
        if dry_run:
            blocking = tuple(finding for finding in findings if finding.blocks)
            return Performed(delta, body, (*blocking, *warnings), number=body.number)
        refuse(findings)
        tree.touched = True
        try:
            return _execute(tree, planned, wish, context, durable=durable, before=(delta, body, warnings))
        except KeyboardInterrupt as error:
            raise _stopped(tree, body.number) from error
    except TransportError as error:
        raise TransportError(error.message, hint="; ".join(filter(None, (error.hint, KEPT)))) from error


def _stopped(tree: OpenTree, number: int) -> CancelledError:
    """Say where a tree stands whose run a person stopped; ``number`` was its newest entry before."""
    state = "is the old tree or the new one, never a mixture"
    # A host cannot be asked in the middle of a call.
    with suppress(PdeltaError):
        facts = tree.tree.describe()
        if facts.unfinished:
            state = "is being changed: the next command finishes or undoes that"
        elif facts.number == number:
            state = "is as it was"
        else:
            state = f"holds entry {facts.number}"
    return CancelledError(f"stopped on request; {tree.destination.text} {state}", hint=KEPT)


def _execute(
    tree: OpenTree,
    calculated: Plan,
    wish: Wish,
    context: Context,
    *,
    durable: bool,
    before: tuple[Delta, TreeBody, tuple[Finding, ...]],
) -> Performed:
    operations: dict[str, Operation] = {"tree": tree.tree}
    with open_journal(context, durable=durable) as journal:
        end_open_runs(journal, tree, operations)
        try:
            report = execute(calculated, operations, journal, run=wish.run, who=wish.who, note=wish.note)
        except (ExecutionError, NeedsOperatorError) as error:
            cause = error.__cause__
            if isinstance(cause, SourceChangedError):
                raise cause from error
            if tree.tree.describe().number != before[1].number and _abandon(journal, tree, wish.run):
                text = f"another run reached {tree.destination.text} first; this one changed nothing"
                raise StaleError(text, hint="run the same command again") from error
            raise
    if report.failure is not None:
        raise report.failure
    delta, body, warnings = before
    step, facts = report.steps[0], report.steps[0].facts
    if not step.touched or facts.get("run", wish.run) != wish.run:
        # Another run, waited for perhaps, did the same first: this one found it done, and changed nothing.
        return Performed(findings=warnings, number=int(facts.get("number") or tree.tree.describe().number))
    return Performed(delta, body, warnings, wish.run, facts, int(facts.get("number") or body.number + 1))


def end_open_runs(journal: Journal, tree: OpenTree, operations: Mapping[str, Operation]) -> int:
    """Close the records of runs on this tree whose process died, and count them; the tree was seen to before.

    A run that is still alive is left to its process: the tree's own lock decides who goes first.

    Raises:
        NeedsOperatorError: A run changed the tree, and where it stands can't be told.
    """
    ended = 0
    for run in journal.open_runs():
        recorded, _, _ = journal.read(run)
        if any(step.target != tree.target for step in recorded.steps):
            continue
        try:
            recover(run, operations, journal, pending=Pending.SKIP)
        except LockedError:
            continue
        except NeedsOperatorError:
            if not _abandon(journal, tree, run):
                raise
        ended += 1
    return ended


def _abandon(journal: Journal, tree: OpenTree, run: str) -> bool:
    """Close the record of a run that never changed the tree, because another one came first; say whether that is so."""
    if tree.tree.describe().unfinished or any(entry.run == run for entry in tree.tree.history()):
        return False
    if run not in journal.open_runs():
        return True
    with journal.resume(run) as log:
        for id, step in log.state.steps.items():
            if step.touched and step.phase not in {StepPhase.DONE, StepPhase.UNDONE}:
                log.finished(id, Standing.BEFORE)
        log.closed(RunPhase.STOPPED)
    return True
