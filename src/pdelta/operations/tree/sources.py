"""Where content comes from that is not in the file at the same path: elsewhere in the tree, or in undo data.

Called by ``operations.tree.arrange``. Reads pages, and undo data where it is to be
moved back whole; changes nothing.
"""

from collections.abc import Callable, Collection, Iterable, Iterator
from os import stat_result

import msgspec

from pdelta.filesystem.ledger import Kept
from pdelta.model.snapshot import LINKED, Entry, Kind
from pdelta.operations.tree.calculate import EMPTY_DIRECTORY, Calculation
from pdelta.tree.contents import new_runs
from pdelta.tree.order import is_below
from pdelta.tree.reader import TreeReader, walk
from pdelta.tree.recipe import Catalog, Needs, Origin, Place, candidates_below, gather

Verify = Callable[[Kept], bool]
"""Proves that an item of undo data is what its record says, by reading it."""

Look = Callable[[bytes], stat_result | None]
"""Looks at a path of the tree; None for nothing."""


class Sources(msgspec.Struct):
    """What was found.

    Attributes:
        catalog: Where wanted contents and chunks are.
        whole: Slot of the undo data that moves back as it is, by the path that it becomes.
    """

    catalog: Catalog = msgspec.field(default_factory=Catalog)
    whole: dict[bytes, bytes] = msgspec.field(default_factory=dict)


def find_sources(
    tree: TreeReader,
    calculation: Calculation,
    kept: Iterable[Kept],
    look: Look,
    verify: Verify,
    moved: Collection[bytes],
    fits: Callable[[bytes], bool],
) -> Sources:
    """Find it.

    Args:
        tree: Reads pages.
        calculation: What must change.
        kept: Undo data, newest first.
        look: Looks at the tree.
        verify: Proves undo data before it is put back.
        moved: Paths to which something is renamed.
        fits: Whether an inode of the state folder may become a path as it is.
    """
    found = Sources()
    there = [item for item in kept if _stands(item, look)]
    if not there and calculation.before.top.content == EMPTY_DIRECTORY:
        return found
    needs = Needs()
    folders: dict[bytes, list[bytes]] = {}
    for edit in calculation.edits:
        after = edit.after
        if after is None or not edit.content or edit.path in moved:
            continue
        if after.kind == Kind.DIRECTORY:
            folders.setdefault(after.content, []).append(edit.path)
            for _, entry in walk_new(tree, edit.path, after, moved):
                if entry.kind == Kind.FILE:
                    _need(entry, None, needs, tree)
        elif after.kind == Kind.FILE:
            _need(after, edit.before, needs, tree)
    if not needs.contents and not folders:
        return found
    found.catalog = gather(needs, _candidates(calculation, there, tree, needs), tree)
    _take_back_folders(found.whole, there, folders, moved, verify, fits, tree)
    _take_back_files(found, calculation, there, look, verify, fits)
    return found


def walk_new(tree: TreeReader, top: bytes, entry: Entry, moved: Collection[bytes]) -> Iterator[tuple[bytes, Entry]]:
    """Give everything below a new folder but what moves there."""
    skipped = b""
    for path, found in walk(tree, top, entry.content):
        if skipped and path.startswith(skipped):
            continue
        if path in moved:
            skipped = path + b"/"
            continue
        yield path, found


def _stands(item: Kept, look: Look) -> bool:
    found = look(item.slot)
    return found is not None and (item.entry.kind != Kind.FILE or found.st_size == item.entry.size)


def _need(after: Entry, before: Entry | None, needs: Needs, tree: TreeReader) -> None:
    if not after.size:
        return
    needs.contents.add(after.content)
    old = before.content if before is not None and before.kind == Kind.FILE else b""
    needs.chunks.update(run.id for _, run in new_runs(old, after.content, tree))


def _candidates(calculation: Calculation, kept: Iterable[Kept], tree: TreeReader, needs: Needs) -> Iterator[Origin]:
    # What will be renamed or displaced is still in its old place while content is staged.
    yield from candidates_below(tree, Place.TREE, b"", calculation.before.top.content, needs)
    for item in kept:
        if item.entry.kind == Kind.FILE and item.entry.content:
            yield Origin(Place.KEPT, item.slot, item.entry, item.ranges)
        elif item.entry.kind == Kind.DIRECTORY:
            yield from candidates_below(tree, Place.KEPT, item.slot, item.entry.content, needs)


def _take_back_folders(
    whole: dict[bytes, bytes],
    kept: Iterable[Kept],
    folders: dict[bytes, list[bytes]],
    moved: Collection[bytes],
    verify: Verify,
    fits: Callable[[bytes], bool],
    tree: TreeReader,
) -> None:
    """Choose kept folders that can be moved back whole instead of being copied."""
    for item in kept:
        if item.entry.kind == Kind.DIRECTORY and folders.get(item.entry.content):
            path = folders[item.entry.content][-1]
            if any(is_below(new, {path}) for new in moved):
                continue
            if fits(path) and not _shares_links(tree, item.entry) and verify(item):
                folders[item.entry.content].pop()
                whole[path] = item.slot


def _shares_links(tree: TreeReader, folder: Entry) -> bool:
    """Whether symbolic links below a folder have other names, which may be outside; such files were kept apart."""
    below = walk(tree, b"", folder.content)
    return any(entry.kind == Kind.SYMLINK and LINKED in entry.extra for _, entry in below)


def _take_back_files(
    found: Sources,
    calculation: Calculation,
    kept: Iterable[Kept],
    look: Look,
    verify: Verify,
    fits: Callable[[bytes], bool],
) -> None:
    """Choose kept files that can be moved back whole instead of being copied."""
    items = {item.slot: item for item in kept}
    for edit in calculation.edits:
        after = edit.after
        if after is None or after.kind != Kind.FILE or not edit.content or not after.size or LINKED in after.extra:
            continue
        origin = found.catalog.contents.get(after.content)
        item = items.get(origin.path) if origin is not None and origin.place == Place.KEPT else None
        status = look(item.slot) if item is not None else None
        if item is None or status is None or status.st_nlink != 1:
            continue
        if fits(edit.path) and verify(item):
            del items[item.slot]
            found.whole[edit.path] = item.slot
