"""Displaced content that is kept as a copy, and the proof that undo data is what it was.

Called by ``operations.tree.transaction`` before the intent, and for every
rollback. Another process may still write to a kept inode, so nothing here believes
a size or a time.
"""

import os
import stat
from collections.abc import Iterable

from pdelta.errors import PdeltaError
from pdelta.filesystem.copy import copy_file, copy_range
from pdelta.filesystem.inplace import has_ranges
from pdelta.filesystem.ledger import Kept
from pdelta.filesystem.metadata import Attributes, read_xattrs, set_attributes, set_attributes_of
from pdelta.filesystem.safe import Directory
from pdelta.filesystem.state import remove
from pdelta.model.names import join_path, parent_of
from pdelta.model.snapshot import Entry, Kind
from pdelta.tree.inplace import Range
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
        folder = self._root.open_directory(parent_of(slot))
        name = slot.rpartition(b"/")[2]
        with folder:
            remove(self._root, slot)
            if entry.kind == Kind.SYMLINK:
                folder.symlink(entry.content, name)
                return
            if entry.kind == Kind.DIRECTORY:
                self._copy_folder(folder, slot, path, entry)
                return
            source = self._root.open_file(path)
            try:
                found = os.fstat(source)
                target = folder.create_exclusive(name)
                try:
                    copy_file(source, target, found.st_size)
                    owner = (found.st_uid, found.st_gid) if os.geteuid() == 0 else None
                    mode = stat.S_IMODE(found.st_mode)
                    set_attributes(target, Attributes(mode, found.st_mtime_ns, owner, read_xattrs(source)))
                finally:
                    os.close(target)
            finally:
                os.close(source)

    def keep_ranges(self, slot: bytes, path: bytes, ranges: Iterable[Range], *, sync: bool) -> None:
        """Keep what a patch will displace, at its own offsets in a file that is a hole elsewhere."""
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
                if sync:
                    os.fsync(target)
            finally:
                os.close(target)
        finally:
            os.close(source)

    def _copy_folder(self, parent: Directory, slot: bytes, path: bytes, entry: Entry) -> None:
        name = slot.rpartition(b"/")[2]
        parent.mkdir(name, 0o700)
        for below in self._tree.directory(entry.content):
            self.copy(join_path(slot, below.name), join_path(path, below.name), below)
        set_attributes_of(parent, name, Attributes(entry.mode, entry.mtime_ns))

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
        if entry.kind == Kind.SYMLINK:
            return self._root.readlink(slot) == entry.content
        if entry.kind == Kind.DIRECTORY:
            with self._root.open_directory(slot) as folder:
                names = set(folder.names())
            children = list(self._tree.directory(entry.content))
            return names == {child.name for child in children} and all(
                self._has_metadata(slot + b"/" + child.name, child) and self._is_whole(slot + b"/" + child.name, child)
                for child in children
            )
        fd = self._root.open_file(slot)
        try:
            if os.fstat(fd).st_size != entry.size:
                return False
            return has_ranges(fd, entry, ((0, entry.size),) if entry.size else (), self._tree)
        finally:
            os.close(fd)

    def _has_metadata(self, slot: bytes, entry: Entry) -> bool:
        """Whether something inside a kept folder is as recorded: nothing sets it again when the folder moves back."""
        found = self._root.lstat(slot)
        if found is None or found.st_mtime_ns != entry.mtime_ns:
            return False
        return entry.kind == Kind.SYMLINK or stat.S_IMODE(found.st_mode) == entry.mode
