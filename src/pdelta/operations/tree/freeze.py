"""A calculation as a delta: data alone, which can be shown, kept and executed unchanged.

Called by ``TreeOperation.calculate``. Reads pages and the list of undo data.
"""

from collections.abc import Callable, Iterator

import msgspec

from pdelta.filesystem.ledger import Kept
from pdelta.formats.history import HistoryEntry, PushWish, Wish
from pdelta.formats.page import PagedTree
from pdelta.formats.report import TreeBody, encode_body
from pdelta.model.change import Change
from pdelta.model.delta import Delta
from pdelta.model.snapshot import Kind
from pdelta.operations.tree.calculate import Calculation
from pdelta.operations.tree.changes import count_changes, list_changes, missing_bytes
from pdelta.tree.reader import walk
from pdelta.tree.recipe import Origin, Place


def freeze(
    kind: str,
    calculation: Calculation,
    wish: Wish,
    entry: HistoryEntry | None,
    before: bytes,
    trusted: str,
    tree: PagedTree,
    kept: Callable[[], Iterator[Kept]],
) -> Delta:
    """Give the delta.

    Args:
        kind: Of the operation.
        calculation: What must change.
        wish: What was asked for.
        entry: Newest ledger entry.
        before: Snapshot id that the delta starts from.
        trusted: What was not looked at, in words.
        tree: Reads pages.
        kept: Lists undo data.
    """
    listed: list[Change] = []

    def listing() -> Iterator[Change]:
        for change in list_changes(calculation, tree):
            if len(listed) < wish.listed:
                listed.append(change)
            yield change

    counts, deleted, total = count_changes(listing())
    if isinstance(wish, PushWish) and wish.measure:
        fetched = missing_bytes(calculation, _origins(kept(), tree), tree)
        counts = msgspec.structs.replace(counts, bytes_fetched=fetched)
    body = TreeBody(
        wish=wish,
        wanted=calculation.wanted,
        recorded=entry.held if entry is not None else b"",
        number=entry.number if entry is not None else 0,
        counts=counts,
        findings=calculation.findings,
        released=calculation.released,
        trusted=trusted,
        deleted=deleted,
        found=calculation.before_id if calculation.before_id != before else b"",
    )
    return Delta(
        kind=kind,
        before=before,
        after=calculation.after_id,
        body=encode_body(body),
        changes=tuple(listed),
        change_count=total,
        reversible=wish.undo,
    )


def _origins(kept: Iterator[Kept], tree: PagedTree) -> Iterator[Origin]:
    for item in kept:
        yield Origin(Place.KEPT, item.slot, item.entry, item.ranges)
        if item.entry.kind == Kind.DIRECTORY:
            for path, entry in walk(tree, item.slot, item.entry.content):
                yield Origin(Place.KEPT, path, entry)
