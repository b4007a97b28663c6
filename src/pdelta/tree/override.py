"""Paths of a snapshot: finding them, and replacing what was asked for by what was found."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec

from pdelta.model.names import split_path
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


class _Opened(NamedTuple):
    """A directory that was read: its path, its own entry, and what is in it by name."""

    path: bytes
    entry: Entry
    names: dict[bytes, Entry]


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
        self._open: list[_Opened] = []

    def lineage(self, path: bytes) -> list[Entry]:
        """Give the entries on the way to a path, without the tree itself; shorter where the snapshot ends before."""
        if not path:
            return []
        last = self._go_to(split_path(path)[0])
        found = [folder.entry for folder in self._open[1:]]
        child = last.names.get(_next_name(path, last.path))
        return found if child is None else [*found, child]

    def find(self, path: bytes) -> Entry | None:
        """Give the entry at a path, or None where the snapshot has none."""
        if not path:
            return self._top
        parent, name = split_path(path)
        last = self._open[-1] if self._open else None
        if last is None or last.path != parent:
            last = self._go_to(parent)
        return last.names.get(name) if last.path == parent else None

    def _go_to(self, folder: bytes) -> _Opened:
        """Open the folders on the way to one, as far as the snapshot has them; give the last of them."""
        while self._open and not _leads_to(self._open[-1].path, folder):
            self._open.pop()
        last = self._open[-1] if self._open else self._read(b"", self._top)
        while last.path != folder:
            name = _next_name(folder, last.path)
            entry = last.names.get(name)
            if entry is None or entry.kind != Kind.DIRECTORY:
                break
            last = self._read(join(last.path, name), entry)
        return last

    def _read(self, path: bytes, entry: Entry) -> _Opened:
        opened = _Opened(path, entry, {below.name: below for below in self._tree.directory(entry.content)})
        self._open.append(opened)
        return opened


def _leads_to(above: bytes, path: bytes) -> bool:
    return not above or path == above or path.startswith(above + b"/")


def _next_name(path: bytes, above: bytes) -> bytes:
    """Give the name of a folder that a path goes through next."""
    start = len(above) + 1 if above else 0
    end = path.find(b"/", start)
    return path[start:end] if end >= 0 else path[start:]


class _Folder(msgspec.Struct):
    """A directory some of whose names are replaced, here or further below.

    Attributes:
        name: Under which the directory above has it.
        path: Raw path.
        entry: What it was.
        entries: What it will hold, as far as that is known.
        waiting: Names of directories in it that were not built again yet.
    """

    name: bytes
    path: bytes
    entry: Entry
    entries: dict[bytes, Entry]
    waiting: Iterator[bytes]


def override(
    tree: TreeReader, top: Entry, changes: Mapping[bytes, Entry | None], build: BuildDirectory, sink: PageSink
) -> Entry:
    """Give the top entry of a snapshot in which each path is replaced, or absent where it maps to None.

    A path whose parent is not a directory of the snapshot is left out. Only
    the directories on the way to a change are built again.
    """
    top = changes.get(b"") or top
    here, below = _by_folder(changes)
    if not here:
        return top

    def opened(name: bytes, path: bytes, entry: Entry) -> _Folder:
        entries = {found.name: found for found in tree.directory(entry.content)}
        for changed, found in here.get(path, {}).items():
            entries.pop(changed, None)
            if found is not None:
                entries[changed] = found
        return _Folder(name, path, entry, entries, iter(below.get(path, ())))

    stack = [opened(b"", b"", top)]
    while True:
        folder = stack[-1]
        name = next(folder.waiting, None)
        if name is not None:
            child = folder.entries.get(name)
            if child is not None and child.kind == Kind.DIRECTORY:
                stack.append(opened(name, join(folder.path, name), child))
            continue
        stack.pop()
        id_, pages = build([folder.entries[name] for name in sorted(folder.entries)])
        sink.write_pages(pages)
        entry = msgspec.structs.replace(folder.entry, content=id_)
        if not stack:
            return entry
        stack[-1].entries[folder.name] = entry


def _by_folder(changes: Mapping[bytes, Entry | None]) -> tuple[dict[bytes, Changes], dict[bytes, list[bytes]]]:
    """Give the changes of each folder's own names, and the names of folders with changes further below, by folder."""
    here: dict[bytes, Changes] = {}
    below: dict[bytes, list[bytes]] = {}
    for path, entry in changes.items():
        if not path:
            continue
        folder, name = split_path(path)
        known = folder in here or folder in below
        here.setdefault(folder, {})[name] = entry
        while folder and not known:
            above, name = split_path(folder)
            known = above in here or above in below
            below.setdefault(above, []).append(name)
            folder = above
    return here, below
