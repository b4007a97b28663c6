"""``pdelta rollback WHERE``: back to an earlier entry, from what the tree itself kept."""

import time

import msgspec

from pdelta.app.compose import OpenTree, open_tree
from pdelta.app.context import Context, Link
from pdelta.app.outcome import TreeOutcome
from pdelta.app.perform import Performed, finish_interrupted, perform
from pdelta.app.runs import new_run
from pdelta.errors import UsageError
from pdelta.formats.history import Counts, RollbackWish, unmanaged
from pdelta.model.run import RUN_PREFIX


class RollbackOptions(msgspec.Struct, frozen=True):
    """What a rollback may do; see ``formats.history.RollbackWish``."""

    to: int | None = None
    drift: str = "refuse"
    durable: bool = True
    undo: bool = True
    note: str = ""
    dry_run: bool = False
    listed: int = 1000


def roll_back(where: str, options: RollbackOptions, context: Context, link: Link) -> TreeOutcome:
    """Return a tree to the state before its newest entry, or after entry ``to``.

    Raises:
        UsageError: There is no history, or no such entry.
        PreflightError: Undo data was collected or is damaged; the findings say what is still possible.
        PdeltaError: As ``app.perform`` does.
    """
    started_s = time.monotonic()
    with open_tree(where, context, link) as tree:
        recovered = "" if options.dry_run else finish_interrupted(tree, link)
        facts = tree.tree.describe()
        tree.touched = tree.touched or facts.unfinished
        if not facts.number:
            raise unmanaged(where)
        if where.startswith(RUN_PREFIX):
            options = msgspec.structs.replace(options, to=_before_run(tree, where, options.to))
        if options.to is not None and options.to > facts.number:
            raise UsageError(f"{where} has no entry {options.to}", hint=f"the newest is {facts.number}")
        wish = RollbackWish(
            to=options.to,
            drift=options.drift,
            durable=options.durable,
            undo=options.undo,
            wait_s=link.wait_s,
            run=new_run(context),
            who=context.who,
            origin=context.host,
            note=options.note,
            listed=options.listed,
        )
        performed = perform(tree, wish, context, number=facts.number, dry_run=options.dry_run, durable=options.durable)
        outcome = tree_outcome("rollback", tree, performed, time.monotonic() - started_s)
        return msgspec.structs.replace(outcome, dry_run=options.dry_run, recovered=recovered)


def _before_run(tree: OpenTree, run: str, to: int | None) -> int:
    """Give the entry before the one that a run made; later entries are taken back only where ``--to`` says so."""
    entries = list(tree.tree.history())
    made = next((entry.number for entry in entries if entry.run == run), 0)
    if to is not None:
        return to
    if not made or made != entries[-1].number:
        newest = entries[-1].number
        raise UsageError(
            f"{run} is not the newest entry of {tree.destination.text}: that is {newest}; nothing was changed",
            hint=f"pdelta rollback --to {max(made - 1, 0)} takes it and everything after it back",
        )
    return made - 1


def tree_outcome(verb: str, tree: OpenTree, performed: Performed, duration_s: float) -> TreeOutcome:
    """Say what a run without a scan came to."""
    delta, body = performed.delta, performed.body
    return TreeOutcome(
        verb=verb,
        destination=tree.destination.text,
        changed=delta is not None,
        number=performed.number if performed.run else 0,
        run=performed.run,
        before="" if delta is None else delta.before.hex(),
        after="" if delta is None else delta.after.hex(),
        counts=Counts() if body is None else body.counts,
        changes=performed.changes,
        change_count=0 if delta is None else delta.change_count,
        released=() if body is None else body.released,
        findings=performed.findings,
        sent_bytes=tree.sent_bytes or 0,
        agent_bytes=tree.agent_bytes,
        received_bytes=tree.received_bytes,
        duration_s=duration_s,
        trusted="" if body is None else body.trusted,
        reversible=delta is None or delta.reversible,
    )
