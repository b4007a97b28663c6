"""Paths of a snapshot: finding them, and replacing what was asked for by what was found."""

from collections.abc import Mapping

import msgspec

from pdelta.model.snapshot import Entry, Kind
from pdelta.tree.reader import BuildDirectory, PageSink, TreeReader, join

Changes = dict[bytes, Entry | None]


def find(tree: TreeReader, top: Entry, path: bytes) -> Entry | None:
    """Give the entry at a path, or None where the snapshot has none."""
    entry: Entry | None = top
    if path:
        for name in path.split(b"/"):
            if entry is None or entry.kind != Kind.DIRECTORY:
                return None
            entry = next((found for found in tree.directory(entry.content) if found.name == name), None)
    return entry


class Finder:
    """Finds many paths of one snapshot, folder by folder; give them in order, and each folder is read once.

    Args:
        tree: Reads the pages.
        top: The snapshot's own directory.
    """

    def __init__(self, tree: TreeReader, top: Entry) -> None:
        """Read nothing yet."""
        self._tree = tree
        self._top = top
        self._open: list[tuple[bytes, dict[bytes, Entry]]] = []

    def lineage(self, path: bytes) -> list[Entry]:
        """Give the entries on the way to a path, without the tree itself; shorter where the snapshot ends before."""
        found: list[Entry] = []
        entry, folder = self._top, b""
        for depth, name in enumerate(path.split(b"/") if path else ()):
            if entry.kind != Kind.DIRECTORY:
                break
            if len(self._open) <= depth or self._open[depth][0] != folder:
                names = {below.name: below for below in self._tree.directory(entry.content)}
                self._open[depth:] = [(folder, names)]
            child = self._open[depth][1].get(name)
            if child is None:
                break
            found.append(child)
            entry, folder = child, join(folder, name)
        return found

    def find(self, path: bytes) -> Entry | None:
        """Give the entry at a path, or None where the snapshot has none."""
        if not path:
            return self._top
        found = self.lineage(path)
        return found[-1] if len(found) == path.count(b"/") + 1 else None


def override(
    tree: TreeReader, top: Entry, changes: Mapping[bytes, Entry | None], build: BuildDirectory, sink: PageSink
) -> Entry:
    """Give the top entry of a snapshot in which each path is replaced, or absent where it maps to None.

    A path whose parent is not a directory of the snapshot is left out. Only
    the directories on the way to a change are built again.
    """
    top = changes.get(b"") or top
    here, nested = _by_name(changes)
    if not nested and not here:
        return top
    entries = {entry.name: entry for entry in tree.directory(top.content)}
    for name, entry in here.items():
        entries.pop(name, None)
        if entry is not None:
            entries[name] = entry
    for name, below in nested.items():
        child = entries.get(name)
        if child is not None and child.kind == Kind.DIRECTORY:
            entries[name] = override(tree, child, below, build, sink)
    id_, pages = build([entries[name] for name in sorted(entries)])
    sink.write_pages(pages)
    return msgspec.structs.replace(top, content=id_)


def _by_name(changes: Mapping[bytes, Entry | None]) -> tuple[Changes, dict[bytes, Changes]]:
    """Split changes into those of a directory's own names and those below each of them."""
    here: Changes = {}
    nested: dict[bytes, Changes] = {}
    for path, entry in changes.items():
        name, slash, rest = path.partition(b"/")
        if slash:
            nested.setdefault(name, {})[rest] = entry
        elif name:
            here[name] = entry
    return here, nested
