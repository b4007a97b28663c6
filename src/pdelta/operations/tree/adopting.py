"""Naming what a tree's record takes in of what nobody pushed.

Called by ``Calculator``, after it is known what the tree will hold. Looks at pages alone.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from pdelta.model.amount import counted
from pdelta.model.finding import Finding
from pdelta.model.names import quoted
from pdelta.model.snapshot import Entry, Kind
from pdelta.tree.compare import is_adopted
from pdelta.tree.override import Finder
from pdelta.tree.reader import TreeReader, walk

NAMED_AT_MOST: Final = 1000
"""A result holds no more of them, however many changes it lists: all of it must fit one message."""


def name_adopted(tree: TreeReader, top: Entry, unknown: Iterable[bytes], limit: int) -> Iterator[Finding]:
    """Name what was unknown and is held afterwards without having been asked for; then say how much more there is.

    What goes, or is wanted at its path, is none of it.

    Args:
        tree: Reads pages.
        top: What will be held.
        unknown: Paths that nobody recorded, in order; a folder stands for all that is in it.
        limit: How many are named.
    """
    finder, count, limit = Finder(tree, top), 0, min(limit, NAMED_AT_MOST)
    for path in _below(tree, finder, unknown):
        if not any(map(is_adopted, finder.lineage(path))):
            continue
        count += 1
        if count <= limit:
            text = f"{quoted(path)} was unknown: it stays, and is recorded from now on"
            yield Finding("adopted", text, blocks=False, hint="--delete removes it", subject=path)
    more = count - limit
    if more > 0:
        told = f"{counted(more, 'more unknown name')} {'stays, and is' if more == 1 else 'stay, and are'}"
        yield Finding("adopted", f"{told} recorded from now on", blocks=False, hint="--delete removes them")


def _below(tree: TreeReader, finder: Finder, paths: Iterable[bytes]) -> Iterator[bytes]:
    for path in paths:
        entry = finder.find(path)
        if entry is None:
            continue
        yield path
        if entry.kind == Kind.DIRECTORY:
            yield from (below for below, _ in walk(tree, path, entry.content))
