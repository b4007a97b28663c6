"""In which order a tree's edits are carried out, and which of them are mere renames.

An order in which no name ever vanishes that should stay: folders come first,
then what moves into them, then files, then what goes, then times. Called by
``operations.tree``; never opens a file.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from pdelta.model.snapshot import LINKED, Entry, Kind
from pdelta.tree.merge import Edit
from pdelta.tree.reader import TreeReader, walk


class Rename(NamedTuple):
    """Something that is deleted at one path and added at another with equal content."""

    old: bytes
    new: bytes
    before: Entry
    after: Entry


def find_renames(edits: Iterable[Edit], tree: TreeReader, *, blocked: frozenset[bytes] = frozenset()) -> list[Rename]:
    """Pair deleted with added files and folders of equal content; each is used once.

    Folders are paired first, from the top, so that a renamed folder is one
    rename whatever it holds. Among several candidates the one with the same
    name wins, then the first in order. Empty files are not paired: making one
    is cheaper.

    Args:
        edits: In path order.
        tree: Reads the pages below added and deleted folders.
        blocked: Paths that may not be moved (they hold names that no snapshot knows).
    """
    edits = list(edits)
    added = [(e.path, e.after) for e in edits if e.before is None and e.after is not None]
    gone = [(e.path, e.before) for e in edits if e.after is None and e.before is not None]
    if not added or not gone:
        return []
    renames: list[Rename] = []
    taken: set[bytes] = set()
    split: set[bytes] = set()  # something below has gone its own way already
    for kinds in ((Kind.DIRECTORY,), (Kind.FILE,)):
        new = [item for item in _below(added, tree, taken) if item[1].kind in kinds and _movable(item[1])]
        contents = {entry.content for _, entry in new}
        old: defaultdict[bytes, list[tuple[bytes, Entry]]] = defaultdict(list)
        for path, entry in _below(gone, tree, taken):
            if entry.content in contents and entry.kind in kinds and path not in blocked and _movable(entry):
                old[entry.content].append((path, entry))
        for path, entry in new:
            if is_below(path, taken) or path in split:
                continue
            candidates = [
                found for found in old.get(entry.content, ()) if found[0] not in split and not is_below(found[0], taken)
            ]
            if not candidates:
                continue
            name = path.rpartition(b"/")[2]
            best = next((found for found in candidates if found[0].rpartition(b"/")[2] == name), candidates[0])
            renames.append(Rename(best[0], path, best[1], entry))
            taken |= {best[0], path}
            for moved in (best[0], path):
                split.update(moved[:end] for end in range(len(moved)) if moved[end : end + 1] == b"/")
    renames.sort(key=lambda rename: rename.new)
    return renames


def _below(items: Iterable[tuple[bytes, Entry]], tree: TreeReader, taken: set[bytes]) -> Iterator[tuple[bytes, Entry]]:
    for path, entry in items:
        if is_below(path, taken):
            continue
        yield path, entry
        if entry.kind == Kind.DIRECTORY:
            for below, found in walk(tree, path, entry.content):
                if not taken or not is_below(below, taken):
                    yield below, found


def _movable(entry: Entry) -> bool:
    if entry.kind == Kind.DIRECTORY:
        return True
    return entry.size > 0 and LINKED not in entry.extra


def is_below(path: bytes, tops: set[bytes]) -> bool:
    """Whether a path is one of the tops or below one; one look-up a component, or one a top if those are fewer."""
    if not tops:
        return False
    if path in tops:
        return True
    if len(tops) <= path.count(b"/"):
        return any(not top or path.startswith(top + b"/") for top in tops)
    while path:
        path = path.rpartition(b"/")[0]
        if path in tops:
            return True
    return False
