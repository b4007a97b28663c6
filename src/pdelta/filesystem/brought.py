"""Whether what a commit brought is still what was staged, so that taking it away again loses nothing.

Called by the committer on its way back alone: what somebody wrote into a new file,
or put into a new folder, would go to staging, and with staging. A file whose ctime is
older than the intent is as it was; any other is read. Changes nothing.
"""

import os
import stat

from pdelta.errors import PdeltaError
from pdelta.filesystem.directories import DirectoryCache
from pdelta.filesystem.inplace import has_ranges
from pdelta.filesystem.safe import Directory
from pdelta.model.names import join_path
from pdelta.model.snapshot import Entry, Kind
from pdelta.tree.reader import TreeReader


class Brought:
    """Looks at what was brought.

    Args:
        folders: Of the tree.
        tree: Reads the pages of what was brought.
        written_ns: When the intent was written, by the clock of its file system; 0 where that is not known.
    """

    def __init__(self, folders: DirectoryCache, tree: TreeReader, written_ns: int) -> None:
        """Look at nothing yet."""
        self._folders = folders
        self._tree = tree
        self._written_ns = written_ns

    def is_whole(self, path: bytes, entry: Entry) -> bool:
        """Whether a path holds what was brought there, or less; what this user may not read is taken for that.

        Raises:
            OSError: The disk fails.
        """
        if entry.kind != Kind.DIRECTORY:
            return self._seems_whole(*self._folders.parent(path), entry)
        waiting = [(path, entry)]
        while waiting:
            here, above = waiting.pop()
            try:
                folder = self._folders.directory(here)
                names = folder.names()
            except PermissionError:
                continue
            known = {below.name: below for below in self._tree.directory(above.content)}
            for name in names:
                below = known.get(name)
                if below is None or not self._is_same(folder, name, below):
                    return False
                if below.kind == Kind.DIRECTORY:
                    waiting.append((join_path(here, name), below))
        return True

    def holds(self, folder: Directory, name: bytes, entry: Entry) -> bool:
        """Whether a file or a link has the content of an entry; reads it."""
        if entry.kind == Kind.SYMLINK:
            return folder.readlink(name) == entry.content
        if entry.kind != Kind.FILE:
            return True
        try:
            fd = folder.open_file(name)
        except PdeltaError:
            return False  # it was a file a moment ago
        try:
            return has_ranges(fd, entry, ((0, entry.size),) if entry.size else (), self._tree)
        finally:
            os.close(fd)

    def _is_same(self, folder: Directory, name: bytes, entry: Entry) -> bool:
        found = folder.lstat(name)
        if found is None:
            return True
        kinds = {Kind.FILE: stat.S_ISREG, Kind.DIRECTORY: stat.S_ISDIR, Kind.SYMLINK: stat.S_ISLNK}
        if not kinds[Kind(entry.kind)](found.st_mode):
            return False
        if entry.kind == Kind.DIRECTORY or found.st_ctime_ns < self._written_ns:
            return True
        return found.st_size == entry.size and self._seems_whole(folder, name, entry)

    def _seems_whole(self, folder: Directory, name: bytes, entry: Entry) -> bool:
        try:
            return self.holds(folder, name, entry)
        except PermissionError:
            return True
