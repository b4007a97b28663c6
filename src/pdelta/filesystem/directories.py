"""A bounded set of open folders for work that comes back to the same ones.

Called by committing and undoing, which go through a tree folder by folder.
Never creates a folder.
"""

import os
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Final, Self

from pdelta.errors import FilesystemError
from pdelta.filesystem.safe import Directory
from pdelta.model.names import split_path

CAPACITY: Final = 16
"""Folders kept open: a commit works in one or two at a time, and a process may have 64 descriptors or fewer."""


class DirectoryCache:
    """Open folders below one root by path, the least recently used closed first.

    A ``Directory`` that it gave stays open until ``capacity - 1`` others were asked for, it is forgotten, or the
    cache is closed. The root stays its owner's.
    """

    def __init__(self, root: Directory, capacity: int = CAPACITY) -> None:
        """Begin with no folder open but the root.

        Args:
            root: Stays open for as long as the cache is used.
            capacity: Folders kept open besides it; at least 2, so that a rename has both of its folders.
        """
        if capacity < 2:
            text = f"capacity must be at least 2, not {capacity}"
            raise ValueError(text)
        self._root = root
        self._capacity = capacity
        self._open: OrderedDict[bytes, Directory] = OrderedDict()

    def __enter__(self) -> Self:
        """Give itself."""
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None, /
    ) -> None:
        """Close what it opened."""
        self.close()

    def close(self) -> None:
        """Close every folder but the root."""
        while self._open:
            self._open.popitem()[1].close()

    def directory(self, path: bytes) -> Directory:
        """Give the open folder of a path; ``b""`` is the root.

        One that is open already is not looked up again, nor is the folder that holds it: that is ``verify``'s work.

        Raises:
            FilesystemError: A symbolic link is in the way.
            FormatError: The path is none.
            OSError: It is not there, no folder, or may not be read.
        """
        if not path:
            return self._root
        found = self._open.get(path)
        if found is not None:
            self._open.move_to_end(path)
            return found
        folder, name = split_path(path)
        above = self._open.get(folder)
        opened = self._root.open_directory(path) if above is None else above.open_directory(name)
        self._open[path] = opened
        if len(self._open) > self._capacity:
            self._open.popitem(last=False)[1].close()
        return opened

    def parent(self, path: bytes) -> tuple[Directory, bytes]:
        """Give the open folder that holds a path, and the path's last name.

        Raises:
            FilesystemError: A symbolic link is in the way.
            FormatError: The path is none.
            OSError: The folder is not there, or may not be read.
        """
        folder, name = split_path(path)
        return self.directory(folder), name

    def verify(self, path: bytes) -> Directory:
        """Give the open folder of a path after proof that the path still leads to it from the root.

        For the root itself: that its address still leads to it.

        Raises:
            FilesystemError: It was moved, replaced or removed since it was opened. What was done since then
                happened in the folder that was opened, wherever that is now.
            FormatError: The path is none.
            OSError: The look failed for another reason.
        """
        held = self.directory(path)
        status = self._root.lstat(path) if path else _root_status(self._root)
        if status is None or not held.same_as(status):
            self.forget(path)
            raise FilesystemError(
                f"the folder {os.fsdecode(held.path)!r} was moved, replaced or removed while pdelta worked in it; "
                "pdelta stopped there",
                hint="somebody else changes this tree: find out who, then give the command again",
            )
        return held

    @contextmanager
    def batch(self, path: bytes) -> Iterator[Directory]:
        """Give an open folder for a few changes, verified before and after them.

        Raises:
            FilesystemError: As ``verify`` does, before the block or after it.
            FormatError: The path is none.
            OSError: As ``verify`` does.
        """
        yield self.verify(path)
        self.verify(path)

    def forget(self, path: bytes) -> None:
        """Close a folder and all below it, because it was renamed or removed on purpose; ``b""`` forgets all."""
        below = path + b"/" if path else b""
        for known in [known for known in self._open if known == path or known.startswith(below)]:
            self._open.pop(known).close()


def _root_status(root: Directory) -> os.stat_result | None:
    """Look at what the root's address leads to now."""
    try:
        return os.stat(root.path)
    except FileNotFoundError:
        return None
