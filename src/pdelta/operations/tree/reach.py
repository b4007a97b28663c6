"""Which earlier states of a tree can still be reached, and what stands in the way of one.

Called by ``TreeOperation`` for rollbacks and repairs: before they begin, and when
undo data turns out to be damaged. Changes nothing.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from pdelta.filesystem.ledger import Kept, Ledger
from pdelta.filesystem.safe import Directory
from pdelta.filesystem.stage import StageItem
from pdelta.formats.history import RepairWish, RollbackWish, UndoState, Wish
from pdelta.formats.page import PagedTree
from pdelta.model.amount import counted
from pdelta.model.finding import Finding
from pdelta.model.names import quoted
from pdelta.model.snapshot import Kind
from pdelta.model.source import Source
from pdelta.operations.tree.arrange import Arranger
from pdelta.operations.tree.calculate import Calculation, Overlay
from pdelta.operations.tree.repairing import find_unrepairable
from pdelta.tree.recipe import Place

Stands = Callable[[Kept], bool]

_NAMED: Final = 3


def find_missing(
    wish: Wish,
    root: Directory,
    calculation: Calculation,
    ledger: Ledger,
    overlay: Overlay,
    source: Source | None,
) -> Iterator[Finding]:
    """Refuse a rollback or a repair that needs content which is nowhere any more; of a push nothing is said.

    Args:
        wish: What was asked for.
        root: The tree.
        calculation: What would be done.
        ledger: Its history and its list of undo data.
        overlay: Reads pages.
        source: Gives what a repair lacks.
    """
    tree = PagedTree(overlay)
    if isinstance(wish, RollbackWish):
        yield from find_lost(root, tree, calculation, ledger, looks_kept(root))
    elif isinstance(wish, RepairWish):
        items = arrange(root, tree, calculation, ledger)
        yield from find_unrepairable(wish, items, overlay, ledger, source)


def find_lost(
    root: Directory, tree: PagedTree, calculation: Calculation, ledger: Ledger, stands: Stands
) -> Iterator[Finding]:
    """Refuse a rollback whose content is nowhere any more.

    Args:
        root: The tree.
        tree: Reads pages.
        calculation: What the rollback would do.
        ledger: Its history and its list of undo data.
        stands: Whether something is there that may be what the list of undo data says; need not read it.
    """
    whole = all(entry.undo == UndoState.KEPT for entry in ledger.entries())
    if whole and all(stands(item) for item in ledger.kept()):
        return
    items = arrange(root, tree, calculation, ledger)
    lost = [item.path for item in items if any(part.place == Place.FETCH for part in item.parts)]
    if lost:
        names = ", ".join(quoted(path) for path in lost[:_NAMED]) + (" …" if len(lost) > _NAMED else "")
        files = counted(len(lost), "file")
        text = f"the content of {files} is gone with collected or lost undo data: {names}"
        yield Finding("undo", text, hint=advice(ledger, stands), subject=lost[0])


def arrange(root: Directory, tree: PagedTree, calculation: Calculation, ledger: Ledger) -> Iterator[StageItem]:
    """Give what would be staged, and where each range would come from as long as undo data is what it seems."""
    arranger = Arranger(root, tree, calculation, ledger.kept(), lambda _item: True, 0, undo=False)
    return arranger.arrange().items()


def looks_kept(root: Directory) -> Stands:
    """Give a judge of undo data that looks at it without reading it."""

    def stands(item: Kept) -> bool:
        found = root.lstat(item.slot)
        return found is not None and (item.entry.kind != Kind.FILE or found.st_size == item.entry.size)

    return stands


def reachable(ledger: Ledger, stands: Stands) -> int:
    """Give the oldest entry to which undo data leads back entry by entry; the newest entry's own number if none does.

    Args:
        ledger: History and list of undo data.
        stands: Judges undo data.
    """
    oldest = 0
    for entry in reversed(ledger.entries()):
        oldest = oldest or entry.number
        if entry.undo != UndoState.KEPT or not _all_stand(ledger.kept(entry.number), stands):
            break
        oldest = entry.number - 1
    return oldest


def advice(ledger: Ledger, stands: Stands) -> str:
    """Say which states a rollback can surely reach still."""
    newest = ledger.newest()
    oldest = reachable(ledger, stands)
    if newest is None or oldest >= newest.number:
        # Older undo data may still hold all that an older state needs: that takes a comparison with each.
        return (
            "no earlier state is sure to be whole: rollback --to N reaches one or refuses; or push it from its source"
        )
    first = "the state before the first entry" if oldest == 0 else f"the state after entry {oldest}"
    return f"{first} and every later one can still be reached: pdelta rollback --to {oldest} or higher"


def _all_stand(kept: Iterable[Kept], stands: Stands) -> bool:
    return all(map(stands, kept))
