"""The fingerprints of releases: each has an index of its own in the state folder, and switching changes none.

Called by ``ReleaseOperation`` and its transaction. Losing one costs time only:
the release is read again.
"""

import os
import sqlite3
import stat
from collections.abc import Callable, Iterator
from typing import Final

from pdelta.filesystem.fingerprint import Likeness, compare, pack_all
from pdelta.filesystem.index import Index, Known, open_index
from pdelta.filesystem.reindex import reindex
from pdelta.filesystem.safe import Directory
from pdelta.filesystem.state import StateFolder
from pdelta.formats.intent import Action, Move
from pdelta.model.names import split_path
from pdelta.model.snapshot import Entry, Kind, Root
from pdelta.tree.reader import TreeReader, walk

_BEFORE: Final = b"index-"
_AFTER: Final = b".sqlite"


def open_release_index(state: StateFolder, number: int) -> Index:
    """Give the index of a release, empty where there is none; the caller closes it.

    Raises:
        FilesystemError: It can be neither opened nor made.
    """
    return open_index(b"/proc/self/fd/%d/%b" % (state.folder.fd, _name(number)), _connect)


def discard_release_index(state: StateFolder, number: int) -> None:
    """Forget the fingerprints of a release."""
    for ending in (b"", b"-journal"):
        state.discard(_name(number) + ending)


def indexed_releases(state: StateFolder) -> set[int]:
    """Give the numbers of the releases that have an index."""
    found = set()
    for name in state.folder.names():
        digits = name.removeprefix(_BEFORE).removesuffix(_AFTER)
        if digits.isdigit() and name == _name(int(digits)):
            found.add(int(digits))
    return found


def record_release(state: StateFolder, number: int, release: Directory, held: Root, tree: TreeReader) -> None:
    """Record the fingerprints of everything in a release; renaming its folder changes none of them."""
    discard_release_index(state, number)
    index = open_release_index(state, number)
    try:
        move = Move(Action.CREATE, b"", b"", None, 0, held.top, 0)
        reindex(release, index, held, [move], tree, frozenset())
    finally:
        index.close()


def unchanged_files(
    release: Directory, index: Index, held: Entry, tree: TreeReader, wanted: Callable[[Entry], bool]
) -> Iterator[tuple[bytes, Entry]]:
    """Give the files of a release that have their recorded fingerprint, or else their size and time.

    Whoever copies from one verifies what was copied; this only leaves out what is damaged for certain.

    Args:
        release: Its folder.
        index: Its fingerprints.
        held: Its own folder's entry.
        tree: Reads the pages.
        wanted: Whether a file is of any use; the others are not looked at.
    """
    folder: bytes | None = None
    known: Known = {}
    for path, entry in walk(tree, b"", held.content):
        if entry.kind != Kind.FILE or not wanted(entry):
            continue
        found = release.lstat(path)
        if found is None or not stat.S_ISREG(found.st_mode) or found.st_size != entry.size:
            continue
        parent, name = split_path(path)
        if parent != folder:
            folder, known = parent, index.details(parent)
        if name not in known:
            same = found.st_mtime_ns == entry.mtime_ns
        else:
            same = compare(known[name][0], pack_all((found,))[0]) != Likeness.DIFFERENT
        if same:
            yield path, entry


def _name(number: int) -> bytes:
    return b"%b%d%b" % (_BEFORE, number, _AFTER)


def _connect(path: str) -> sqlite3.Connection:
    return sqlite3.connect(os.fspath(path), isolation_level=None, timeout=10)
