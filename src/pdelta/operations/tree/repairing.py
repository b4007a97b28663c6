"""What a repair can't bring back, because its source moved on: found before anything is changed.

Called by the pre-flight of ``TreeOperation`` and ``ReleaseOperation``. Reads pages alone, those of the source too.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from pdelta.filesystem.ledger import Ledger
from pdelta.filesystem.stage import StageItem
from pdelta.formats.history import RepairWish
from pdelta.formats.page import PagedTree
from pdelta.model.amount import counted
from pdelta.model.finding import Finding
from pdelta.model.names import quoted
from pdelta.model.snapshot import Entry, Kind
from pdelta.model.source import Source
from pdelta.operations.tree.calculate import Overlay
from pdelta.operations.tree.fetch import MissingPages, fetch_pages
from pdelta.tree.override import Finder
from pdelta.tree.recipe import Place

_NAMED: Final = 10


def find_unrepairable(
    wish: RepairWish, items: Iterable[StageItem], overlay: Overlay, ledger: Ledger, source: Source | None
) -> Iterator[Finding]:
    """Refuse a repair that needs bytes which neither the tree, its undo data nor the source has.

    Args:
        wish: It names the source's snapshot; without that nothing can be said.
        items: What would be staged, and where each range comes from.
        overlay: Reads the pages that are here.
        ledger: Says which of them are here.
        source: Gives the others.
    """
    needed = [item for item in items if any(part.place == Place.FETCH for part in item.parts)]
    newest = ledger.newest()
    if not needed or not wish.source or source is None or newest is None:
        return
    # Pages of the source are no part of what the repair leads to, so they are kept apart.
    apart = Overlay(overlay)
    fetch_pages(apart, source, wish.source, MissingPages(ledger.pages), apart.read_root(newest.held))
    tree = PagedTree(apart)
    finder = Finder(tree, apart.read_root(wish.source).top)
    lost = [
        item.path
        for item in sorted(needed, key=lambda item: item.path)
        if not _holds(finder.find(item.path), item, tree)
    ]
    if lost:
        paths = counted(len(lost), "path")
        names = ", ".join(quoted(path) for path in lost[:_NAMED]) + (" …" if len(lost) > _NAMED else "")
        text = f"the source no longer has what entry {newest.number} recorded of {paths}: {names}"
        hint = "push the source if its state is the wanted one, or repair from a folder that has the recorded bytes"
        yield Finding("source-moved-on", text, hint=hint, subject=lost[0])


def _holds(entry: Entry | None, item: StageItem, tree: PagedTree) -> bool:
    """Whether the source's file has, at the same offsets, every chunk that would be asked for."""
    if entry is None or entry.kind != Kind.FILE:
        return False
    if entry.content == item.entry.content:
        return True
    wanted = _chunks(item.entry, tree)
    has = _chunks(entry, tree)
    return all(
        has.get(offset) == chunk
        for part in item.parts
        if part.place == Place.FETCH
        for offset, chunk in wanted.items()
        if part.offset <= offset < part.offset + part.length
    )


def _chunks(entry: Entry, tree: PagedTree) -> dict[int, bytes]:
    """Give the chunk ids of a file by their offsets."""
    found: dict[int, bytes] = {}
    offset = 0
    for run in tree.runs(entry.content):
        for _ in range(run.count):
            found[offset] = run.id
            offset += run.length
    return found
