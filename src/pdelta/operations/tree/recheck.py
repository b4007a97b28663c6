"""Looks once more below folders that are about to go, after staging, which may have taken hours.

Called by ``operations.tree.transaction`` right before the intent. Of a folder the
committer sees the inode alone, so what was put into it or changed in it
meanwhile must be found here. Changes nothing.
"""

import os
from collections.abc import Iterable

from pdelta.errors import DriftError
from pdelta.filesystem.commit import is_same
from pdelta.filesystem.safe import Directory
from pdelta.model.names import STAGE_PREFIX, join_path
from pdelta.model.snapshot import Entry, Kind
from pdelta.tree.merge import Edit
from pdelta.tree.reader import TreeReader


def recheck_folders(root: Directory, tree: TreeReader, edits: Iterable[Edit]) -> None:
    """Prove that folders which will be displaced hold what was calculated, and nothing else.

    Raises:
        DriftError: Somebody changed one; nothing was changed, and what was staged is kept.
        OSError: The tree cannot be looked at.
    """
    for edit in edits:
        before, after = edit.before, edit.after
        if before is None or before.kind != Kind.DIRECTORY:
            continue
        if after is None or after.kind != Kind.DIRECTORY:
            _recheck(root, tree, edit.path, before)


def _recheck(root: Directory, tree: TreeReader, top: bytes, entry: Entry) -> None:
    waiting = [(top, entry)]
    while waiting:
        path, folder_entry = waiting.pop()
        recorded = {found.name: found for found in tree.directory(folder_entry.content)}
        try:
            with root.open_directory(path) as folder:
                names = [name for name in folder.names() if not name.startswith(STAGE_PREFIX)]
                found = {name: folder.lstat(name) for name in names}
        except (FileNotFoundError, NotADirectoryError) as error:
            raise drifted(path) from error
        for name in recorded.keys() | found.keys():
            status, known = found.get(name), recorded.get(name)
            if status is None or known is None or not is_same(status, status.st_ino, known):
                raise drifted(join_path(path, name))
        waiting += [(join_path(path, name), known) for name, known in recorded.items() if known.kind == Kind.DIRECTORY]


def drifted(path: bytes) -> DriftError:
    """Give the error for what somebody changed while new content was staged."""
    text = f"{os.fsdecode(path)!r} changed while new content was staged; nothing was changed, what is staged is kept"
    return DriftError(text, hint="somebody else writes to this tree; run the command again")
