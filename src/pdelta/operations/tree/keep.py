"""Displaced content that is kept as a copy, and the proof that undo data is what it was.

Called by ``operations.tree.transaction`` before the intent, and for every
rollback. Another process may still write to a kept inode, so nothing here believes
a size or a time.
"""

import os
import stat
from collections.abc import Sequence

from pdelta.errors import PdeltaError
from pdelta.filesystem.copy import copy_range
from pdelta.filesystem.inplace import has_ranges
from pdelta.filesystem.ledger import Kept
from pdelta.filesystem.replica import replicate
from pdelta.filesystem.safe import Directory
from pdelta.filesystem.state import remove
from pdelta.model.names import join_path, parent_of
from pdelta.model.snapshot import Entry, Kind
from pdelta.operations.tree.recheck import drifted
from pdelta.tree.inplace import Range
from pdelta.tree.override import Finder
from pdelta.tree.reader import TreeReader


class Keeper:
    """Keeps copies in one tree's state folder, and proves what was kept.

    Args:
        root: The tree.
        tree: Reads pages.
    """

    def __init__(self, root: Directory, tree: TreeReader) -> None:
        """Do nothing yet."""
        self._root = root
        self._tree = tree

    def copy(self, slot: bytes, path: bytes, entry: Entry) -> None:
        """Keep a real copy of what will be displaced, because its inode has other names or lies elsewhere."""
        remove(self._root, slot)
        finder, start = Finder(self._tree, entry), len(path) + 1
        replicate(self._root, path, self._root, slot, lambda below: finder.find(below[start:]) is not None)

    def keep_ranges(self, slot: bytes, path: bytes, entry: Entry, ranges: Sequence[Range], *, sync: bool) -> None:
        """Keep what a patch will displace, at its own offsets in a file that is a hole elsewhere.

        What was kept is proved: a patch takes a file for one that was cut off where it holds what was kept, so an edit
        must not get in.

        Raises:
            DriftError: Somebody wrote there while new content was staged; nothing was changed.
        """
        remove(self._root, slot)
        source = self._root.open_file(path)
        try:
            found = os.fstat(source)
            with self._root.open_directory(parent_of(slot)) as folder:
                target = folder.create_exclusive(slot.rpartition(b"/")[2])
            try:
                os.ftruncate(target, found.st_size)
                for offset, length in ranges:
                    copy_range(source, offset, target, offset, length)
                if not has_ranges(target, entry, ranges, self._tree):
                    raise drifted(path)
                if sync:
                    os.fsync(target)
            finally:
                os.close(target)
        finally:
            os.close(source)

    def proves(self, item: Kept) -> bool:
        """Whether undo data is what its record says, of a patch the ranges that it displaced; reads all of it."""
        try:
            if not item.ranges:
                return self._is_whole(item.slot, item.entry)
            fd = self._root.open_file(item.slot)
            try:
                return has_ranges(fd, item.entry, item.ranges, self._tree)
            finally:
                os.close(fd)
        except (OSError, PdeltaError):
            return False

    def _is_whole(self, slot: bytes, entry: Entry) -> bool:
        if entry.kind != Kind.DIRECTORY:
            return self._has_content(self._root, slot, entry)
        waiting = [(slot, entry)]
        while waiting:
            path, here = waiting.pop()
            children = list(self._tree.directory(here.content))
            with self._root.open_directory(path) as folder:
                if set(folder.names()) != {child.name for child in children}:
                    return False
                for child in children:
                    if not self._has_metadata(folder, child):
                        return False
                    if child.kind == Kind.DIRECTORY:
                        waiting.append((join_path(path, child.name), child))
                    elif not self._has_content(folder, child.name, child):
                        return False
        return True

    def _has_content(self, folder: Directory, path: bytes, entry: Entry) -> bool:
        if entry.kind == Kind.SYMLINK:
            return folder.readlink(path) == entry.content
        fd = folder.open_file(path)
        try:
            if os.fstat(fd).st_size != entry.size:
                return False
            return has_ranges(fd, entry, ((0, entry.size),) if entry.size else (), self._tree)
        finally:
            os.close(fd)

    def _has_metadata(self, folder: Directory, entry: Entry) -> bool:
        """Whether something inside a kept folder is as recorded: nothing sets it again when the folder moves back."""
        found = folder.lstat(entry.name)
        if found is None or found.st_mtime_ns != entry.mtime_ns:
            return False
        return entry.kind == Kind.SYMLINK or stat.S_IMODE(found.st_mode) == entry.mode
