"""Looks once more below folders that are about to go, after staging, which may have taken hours.

Called by ``operations.tree.transaction`` right before the intent. Of a folder the
committer sees the inode alone, so what was put into it or changed in it
meanwhile must be found here. Changes nothing.
"""

import os
from collections.abc import Collection, Iterable, Iterator

from pdelta.errors import DriftError
from pdelta.filesystem.brought import Brought
from pdelta.filesystem.commit import is_same
from pdelta.filesystem.directories import DirectoryCache
from pdelta.filesystem.fingerprint import Likeness, compare, pack_all
from pdelta.filesystem.index import Index, Known
from pdelta.filesystem.safe import Directory
from pdelta.model.names import STAGE_PREFIX, join_path, parent_of
from pdelta.model.snapshot import Entry, Kind
from pdelta.tree.compare import same_content
from pdelta.tree.merge import Edit
from pdelta.tree.reader import TreeReader, walk


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


def recheck_unkept(
    root: Directory, index: Index, tree: TreeReader, edits: Iterable[Edit], moved: Collection[bytes]
) -> None:
    """Prove that displaced files hold what was calculated, where nothing of them will be kept.

    Size and time may be those of the record though somebody wrote since: before the calculation was executed, nobody
    noted a ctime. A file with its recorded fingerprint is as it was; any other is read.

    Args:
        root: The tree.
        index: Fingerprints recorded after the last entry.
        tree: Reads pages.
        edits: What is to be done.
        moved: Paths that are renamed and so not displaced.

    Raises:
        DriftError: Somebody changed one; nothing was changed, and what was staged is kept.
        OSError: The tree cannot be looked at.
    """
    with DirectoryCache(root) as folders:
        brought = Brought(folders, tree, 0)
        above: bytes | None = None
        known: Known = {}
        for path, entry in _displaced(tree, edits, moved):
            folder, name = folders.parent(path)
            found = folder.lstat(name)
            if found is None:
                raise drifted(path)
            if (parent := parent_of(path)) != above:
                above, known = parent, index.details(parent)
            fingerprint, recorded = known.get(name, (b"", None))
            if recorded is not None and same_content(recorded, entry):
                proved = compare(fingerprint, pack_all((found,))[0]) == Likeness.SAME
            else:
                proved = False
            if not proved and not brought.holds(folder, name, entry):
                raise drifted(path)


def _displaced(tree: TreeReader, edits: Iterable[Edit], moved: Collection[bytes]) -> Iterator[tuple[bytes, Entry]]:
    for edit in edits:
        before = edit.before
        if before is None or edit.path in moved or not (edit.content or edit.after is None):
            continue
        if before.kind == Kind.FILE:
            yield edit.path, before
        elif before.kind == Kind.DIRECTORY:
            below = walk(tree, edit.path, before.content)
            yield from ((path, entry) for path, entry in below if entry.kind == Kind.FILE and path not in moved)


def drifted(path: bytes) -> DriftError:
    """Give the error for what somebody changed while new content was staged."""
    text = f"{os.fsdecode(path)!r} changed while new content was staged; nothing was changed, what is staged is kept"
    return DriftError(text, hint="somebody else writes to this tree; run the command again")
