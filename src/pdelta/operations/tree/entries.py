"""Which snapshot a wish names, and what the ledger will say of granting it.

Called by ``TreeOperation``; reads the ledger alone.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from pdelta.errors import IntegrityError, NeedsOperatorError, StaleError, UsageError
from pdelta.filesystem.ledger import Ledger
from pdelta.filesystem.state import UNDO, StateFolder
from pdelta.formats.history import Counts, HistoryEntry, PushWish, RepairWish, RollbackWish, Verb, Wish, unmanaged
from pdelta.formats.report import TreeBody, TreeFacts
from pdelta.model.delta import Delta
from pdelta.model.names import quoted
from pdelta.model.operation import Outcome
from pdelta.operations.tree.calculate import Calculation, Overlay

if TYPE_CHECKING:
    from pdelta.filesystem.stage import Staged

_RELEASED_LIMIT: Final = 1000


def facts_of(newest: HistoryEntry | None, overlay: Overlay, *, unfinished: bool, staged: bytes) -> TreeFacts:
    """Give what is known of a tree that has a ledger.

    Args:
        newest: Newest entry; None before the first.
        overlay: Reads pages.
        unfinished: Whether a commit has begun and not ended.
        staged: Snapshot of which an earlier run left staged content; empty for none.
    """
    if newest is None:
        return TreeFacts(exists=True, managed=False, unfinished=unfinished, staged=staged)
    held = overlay.read_root(newest.held)
    return TreeFacts(
        exists=True,
        managed=True,
        number=newest.number,
        held=newest.held,
        wanted=newest.wanted,
        chunking=held.chunking,
        selection=held.selection,
        unfinished=unfinished,
        staged=staged,
    )


def wished_entry(
    number: int, body: TreeBody, calculation: Calculation, newest: HistoryEntry | None, time_ns: int
) -> HistoryEntry:
    """Give the entry of executing what was wished for, without its undo data."""
    wish = body.wish
    verb, to = _verb(wish, newest)
    return HistoryEntry(
        number=number,
        run=wish.run,
        verb=verb,
        time_ns=time_ns,
        who=wish.who,
        origin=wish.origin,
        note=wish.note,
        before=calculation.before_id,
        wanted=calculation.wanted,
        held=calculation.after_id,
        counts=body.counts,
        trusted=body.trusted,
        to=to,
        released=calculation.released[:_RELEASED_LIMIT],
    )


def reversing_entry(newest: HistoryEntry, body: TreeBody, delta: Delta, counts: Counts, time_ns: int) -> HistoryEntry:
    """Give the entry of taking back the newest one: undoing is a new entry."""
    return HistoryEntry(
        number=newest.number + 1,
        run=body.wish.run,
        verb=Verb.ROLLBACK,
        time_ns=time_ns,
        who=body.wish.who,
        origin="",
        note=f"reverses entry {newest.number}",
        before=delta.after,
        wanted=delta.before,
        held=delta.before,
        counts=counts,
        to=newest.number - 1,
    )


def wanted_snapshot(wish: Wish, newest: HistoryEntry | None, ledger: Ledger | None, name: str) -> bytes:
    """Give the snapshot that a wish asks for.

    Args:
        wish: What was asked for.
        newest: Newest entry.
        ledger: Of the tree; None without one.
        name: Of the tree, for messages.

    Raises:
        UsageError: There is no history, or no such entry in it.
    """
    if isinstance(wish, PushWish):
        return wish.wanted
    if newest is None or ledger is None:
        raise unmanaged(name)
    if isinstance(wish, RepairWish):
        return newest.held
    if wish.to is None:
        return newest.before
    if wish.to == 0:
        return ledger.entries()[0].before
    entry = ledger.entry(wish.to)
    if entry is None:
        raise no_entry(name, wish.to)
    return entry.held


def outcome_of(recorded: HistoryEntry, staged: "Staged", recovered: str) -> Outcome:
    """Give what an execution or a reversal did."""
    return Outcome(
        {
            "number": recorded.number,
            "run": recorded.run,
            "fetched_bytes": staged.fetched_bytes,
            "reused_bytes": staged.reused_bytes,
            "resumed_bytes": staged.resumed_bytes,
            "undo_bytes": recorded.undo_bytes,
            "recovered": recovered,
        }
    )


def refuse_lost_ledger(state: StateFolder, ledger: Ledger | None, name: str) -> None:
    """Refuse to take a tree for unmanaged whose ledger was emptied or removed: its undo data would be mixed up.

    Raises:
        IntegrityError: There is undo data, and no entry that made it.
    """
    if state.folder.lstat(UNDO) is not None and (ledger is None or ledger.newest() is None):
        text = f"the ledger of {name} is gone, and its undo data is still there; nothing was changed"
        hint = "restore .pdelta/ledger.sqlite from a backup; or move the .pdelta folder away and push again"
        raise IntegrityError(text, hint=hint)


def changed_meanwhile(name: str, recovered: str, foreign: Sequence[bytes]) -> NeedsOperatorError:
    """Say that recovery found paths which are neither old nor new, and left them."""
    names = ", ".join(quoted(path) for path in foreign[:10])
    left = "it is" if len(foreign) == 1 else "they are"
    text = f"{name}: {recovered}; but somebody changed {names} meanwhile: left as {left}, everything else is done"
    return NeedsOperatorError(text, hint="look at it, then run again with --drift overwrite or --drift keep")


def refuse_stale(body: TreeBody, newest: HistoryEntry | None, name: str) -> None:
    """Refuse a delta that was calculated before the newest entry.

    Raises:
        StaleError: The tree moved on.
    """
    held, number = (newest.held, newest.number) if newest is not None else (b"", 0)
    if (held, number) != (body.recorded, body.number):
        raise moved_on(name, number)


def moved_on(name: str, number: int) -> StaleError:
    """Say that a delta is out of date."""
    text = f"{name} moved on to entry {number} after this was calculated; nothing was changed"
    return StaleError(text, hint="run the same command again")


def no_entry(name: str, number: int) -> UsageError:
    """Say that the history has no such entry."""
    return UsageError(f"{name} has no entry {number}", hint="pdelta history lists them")


def _verb(wish: Wish, newest: HistoryEntry | None) -> tuple[str, int | None]:
    match wish:
        case PushWish():
            return Verb.PUSH, None
        case RepairWish():
            return Verb.REPAIR, None
        case RollbackWish():
            assert newest is not None  # noqa: S101 - a rollback was calculated from an entry
            return Verb.ROLLBACK, newest.number - 1 if wish.to is None else wish.to
