"""A calculation for people: every change by name, counts, and what would be sent.

Called by ``TreeOperation``. Reads pages alone.
"""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

from pdelta.formats.history import Counts
from pdelta.formats.page import PagedTree
from pdelta.model.change import Change
from pdelta.model.snapshot import Entry, Kind
from pdelta.operations.tree.calculate import Calculation
from pdelta.tree.compare import metadata_difference
from pdelta.tree.contents import new_runs
from pdelta.tree.inplace import joined
from pdelta.tree.merge import Edit
from pdelta.tree.order import is_below
from pdelta.tree.reader import walk
from pdelta.tree.recipe import Origin, Place, held_ids

RANGES_LISTED: Final = 64
"""Ranges that a change lists; its ``changed_bytes`` counts all."""


def list_changes(calculation: Calculation, tree: PagedTree) -> Iterator[Change]:
    """Give every change, deletions first, with what is below added and deleted folders."""
    renamed = {rename.new: rename for rename in calculation.renames}
    moved = {rename.old for rename in calculation.renames}
    for edit in calculation.edits:
        if edit.after is None and edit.before is not None:
            yield from _expand("delete", edit.path, edit.before, tree, moved)
    for rename in calculation.renames:
        detail = metadata_difference(rename.before, rename.after)
        yield Change("move", rename.new, origin=rename.old, size_bytes=rename.after.size, detail=detail)
    for edit in calculation.edits:
        yield from _list_edit(edit, tree, moved, set(renamed))
    for edit in calculation.directories:
        if edit.before is not None and edit.after is not None and not edit.content:
            yield Change("metadata", edit.path, detail=metadata_difference(edit.before, edit.after))


def _list_edit(edit: Edit, tree: PagedTree, moved: set[bytes], renamed: set[bytes]) -> Iterator[Change]:
    """Give the changes of one edit that is no deletion and no rename."""
    before, after = edit.before, edit.after
    if after is None:
        return
    if before is None:
        yield from _expand("add", edit.path, after, tree, renamed)
    elif not edit.content:
        yield Change("metadata", edit.path, size_bytes=after.size, detail=metadata_difference(before, after))
    else:
        if before.kind == Kind.DIRECTORY:
            yield from _expand("delete", edit.path, before, tree, moved)
        if after.kind == Kind.DIRECTORY:
            yield from _expand("add", edit.path, after, tree, renamed)
            return
        ranges = changed_ranges(before, after, tree)
        yield Change(
            "change",
            edit.path,
            size_bytes=after.size,
            changed_bytes=sum(length for _, length in ranges),
            ranges=tuple(ranges[:RANGES_LISTED]),
            detail=metadata_difference(before, after),
        )


def changed_ranges(before: Entry, after: Entry, tree: PagedTree) -> list[tuple[int, int]]:
    """Give the (offset, length) ranges of a file that lie in chunks which its earlier content does not have."""
    if before.kind != Kind.FILE or after.kind != Kind.FILE:
        return [(0, after.size)] if after.size else []
    fresh = new_runs(before.content, after.content, tree)
    return list(joined((offset, run.length * run.count) for offset, run in fresh))


def missing_bytes(calculation: Calculation, kept: Iterable[Origin], tree: PagedTree) -> int:
    """Give how many bytes of new content are nowhere at the target: what a source must give, before compression.

    Args:
        calculation: What would be done.
        kept: Undo data that could be used.
        tree: Reads pages.
    """
    renamed = {rename.new for rename in calculation.renames}
    needs: dict[bytes, int] = {}
    for edit in calculation.edits:
        if edit.after is None or not edit.content or edit.path in renamed:
            continue
        below = walk(tree, edit.path, edit.after.content) if edit.after.kind == Kind.DIRECTORY else ()
        for path, entry in ((edit.path, edit.after), *below):
            if entry.kind == Kind.FILE and not is_below(path, renamed):
                needs.update((run.id, run.length) for run in tree.runs(entry.content))
    if not needs:
        return 0
    held = (Origin(Place.TREE, path, entry) for path, entry in walk(tree, b"", calculation.before.top.content))
    for origin in chain(held, kept):
        if origin.entry.kind == Kind.FILE:
            for id_ in held_ids(origin, tree):
                needs.pop(id_, None)
    return sum(needs.values())


def _expand(action: str, path: bytes, entry: Entry, tree: PagedTree, moved: set[bytes]) -> Iterator[Change]:
    if path in moved:
        return
    fresh = action == "add"
    yield Change(action, path, size_bytes=entry.size, changed_bytes=entry.size if fresh else 0, detail=_kind(entry))
    if entry.kind != Kind.DIRECTORY:
        return
    skipped = b""
    for below, found in walk(tree, path, entry.content):
        if skipped and below.startswith(skipped):
            continue
        skipped = b""
        if below in moved:
            skipped = below + b"/"
            continue
        yield Change(
            action, below, size_bytes=found.size, changed_bytes=found.size if fresh else 0, detail=_kind(found)
        )


def _kind(entry: Entry) -> str:
    return {Kind.DIRECTORY: "folder", Kind.SYMLINK: "link"}.get(Kind(entry.kind), "")


def count_changes(changes: Iterable[Change]) -> tuple[Counts, int, int]:
    """Give counts, the number of deleted files and links, and the number of changes."""
    numbers = dict.fromkeys(("add", "change", "delete", "move", "metadata"), 0)
    size = deleted = total = 0
    for change in changes:
        numbers[change.action] += 1
        total += 1
        size += change.changed_bytes
        deleted += change.action == "delete" and change.detail != "folder"
    counts = Counts(
        added=numbers["add"],
        changed=numbers["change"],
        deleted=numbers["delete"],
        moved=numbers["move"],
        metadata=numbers["metadata"],
        bytes_changed=size,
    )
    return counts, deleted, total
