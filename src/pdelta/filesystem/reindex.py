"""Records the fingerprints that a commit left behind, in the folders that it touched.

Called inside the ledger's transaction, after the last rename. Reads no content.
"""

from collections.abc import Sequence

import msgspec

from pdelta.filesystem.batch import batch_calls
from pdelta.filesystem.directories import DirectoryCache
from pdelta.filesystem.fingerprint import RACY, fields_of_file
from pdelta.filesystem.index import Index, IndexRow, fields_of
from pdelta.filesystem.safe import Directory
from pdelta.filesystem.syscalls import filesystem_id
from pdelta.formats.intent import Action, Move
from pdelta.model.names import join_path, parent_of
from pdelta.model.snapshot import ADOPTED, Entry, Kind, Root
from pdelta.tree.override import Finder
from pdelta.tree.reader import TreeReader, walk


def reindex(
    root: Directory, index: Index, after: Root, moves: Sequence[Move], tree: TreeReader, foreign: frozenset[bytes]
) -> None:
    """Record every touched folder; its page is looked at again by the next scan, its files are not read.

    Args:
        root: The tree.
        index: Fingerprints of the tree.
        after: What the tree holds now.
        moves: What was done.
        tree: Reads the pages of ``after``.
        foreign: Paths that hold something else than ``after`` says.
    """
    index.prepare(after.chunking, after.selection)
    touched = _touched(index, moves)
    fields = fields_of(after.selection)
    folders = DirectoryCache(root)
    rows = _Rows(root, index, folders, fields, foreign)
    try:
        for move in moves:
            if _brings_folder(move) and move.after is not None:
                rows.record(move.path, tree, move.after.content, None)
                touched.pop(move.path, None)
                for path, entry in walk(tree, move.path, move.after.content):
                    if entry.kind == Kind.DIRECTORY:
                        rows.record(path, tree, entry.content, None)
                        touched.pop(path, None)
        finder = Finder(tree, after.top)
        for path, names in sorted(touched.items()):
            folder = finder.find(path)
            if folder is not None and folder.kind == Kind.DIRECTORY:
                rows.record(path, tree, folder.content, names)
    finally:
        folders.close()
        rows.flush()


def _brings_folder(move: Move) -> bool:
    return move.action in {Action.CREATE, Action.SWAP} and move.after is not None and move.after.kind == Kind.DIRECTORY


def _touched(index: Index, moves: Sequence[Move]) -> dict[bytes, set[bytes]]:
    """Give the names whose fingerprints are void, by folder; forget folders that are gone, and follow moved ones."""
    touched: dict[bytes, set[bytes]] = {}
    for move in moves:
        touched.setdefault(parent_of(move.path), set()).add(move.path.rpartition(b"/")[2])
        if move.action == Action.MOVE:
            touched.setdefault(parent_of(move.slot), set())
            if move.after is not None and move.after.kind == Kind.DIRECTORY:
                index.move(move.slot, move.path)
        elif move.before is not None and move.before.kind == Kind.DIRECTORY and move.action != Action.METADATA:
            index.remove([move.path])
    return touched


def _plain(entry: Entry) -> Entry:
    """Give an entry as a scan would: whether it was adopted is not seen on disk."""
    if ADOPTED not in entry.extra:
        return entry
    return msgspec.structs.replace(entry, extra={key: value for key, value in entry.extra.items() if key != ADOPTED})


class _Rows:
    def __init__(
        self, root: Directory, index: Index, folders: DirectoryCache, fields: bytes, foreign: frozenset[bytes]
    ) -> None:
        self._index = index
        self._folders = folders
        self._fields = fields
        self._foreign = foreign
        self._filesystems = {root.device: filesystem_id(root.fd)}
        self._rows: list[tuple[IndexRow, list[tuple[bytes, Entry]]]] = []
        self._calls = batch_calls()

    def record(self, path: bytes, tree: TreeReader, directory: bytes, names: set[bytes] | None) -> None:
        """Record one folder; ``names`` are those whose old fingerprints are void, None means all."""
        try:
            folder = self._folders.directory(path)
        except (FileNotFoundError, NotADirectoryError):
            return
        filesystem = self._filesystems.get(folder.device)
        if filesystem is None:
            filesystem = self._filesystems[folder.device] = filesystem_id(folder.fd)
        entries = [_plain(entry) for entry in tree.directory(directory)]
        if names is None:
            items = self._look(path, folder, entries)
        else:
            known = self._index.details(path)
            fresh = {entry.name for entry in entries if entry.name in names or entry.name not in known}
            looked = iter(self._look(path, folder, [entry for entry in entries if entry.name in fresh]))
            items = [next(looked) if entry.name in fresh else (known[entry.name][0], entry) for entry in entries]
        self._rows.append((IndexRow(path, filesystem, folder.inode, b"", directory, self._fields), items))
        if len(self._rows) >= 500:
            self.flush()

    def _look(self, path: bytes, folder: Directory, entries: list[Entry]) -> list[tuple[bytes, Entry]]:
        """Give each entry its fingerprint of now, or ``RACY`` where something else stands there.

        No clock is asked whether a fingerprint is racy: whoever writes to a file after this look gives it a time of
        modification that its entry does not have.
        """
        if not entries:
            return []
        looks = self._calls.look(folder.fd, [entry.name for entry in entries])
        items = []
        for place, entry in enumerate(entries):
            packed = looks.fingerprint(place)
            size, mtime_ns, _ = fields_of_file(packed)
            other = entry.kind == Kind.FILE and (size != entry.size or mtime_ns != entry.mtime_ns)
            if other or (self._foreign and join_path(path, entry.name) in self._foreign):
                items.append((RACY, entry))
            else:
                items.append((packed, entry))
        return items

    def flush(self) -> None:
        """Hand what was gathered to the index."""
        rows, self._rows = self._rows, []
        self._index.store(rows)
