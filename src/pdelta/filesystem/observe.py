"""What stands at the paths that are about to be touched, compared with what is recorded of them.

Called by ``operations.tree`` before anything is decided. A recorded fingerprint
that is equal settles a path without reading it; any other difference is settled
by reading. Never writes.
"""

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

import msgspec

from pdelta.errors import FilesystemError
from pdelta.filesystem.directories import DirectoryCache
from pdelta.filesystem.failure import UnreadError
from pdelta.filesystem.fingerprint import Likeness, compare, pack_all
from pdelta.filesystem.index import Index, Known
from pdelta.filesystem.safe import Directory
from pdelta.formats.page import build_directory
from pdelta.model.finding import Finding
from pdelta.model.names import is_reserved, join_path, quoted, split_path
from pdelta.model.snapshot import ADOPTED, Entry, Kind
from pdelta.tree.compare import metadata_difference, same_content, same_metadata
from pdelta.tree.merge import Edit
from pdelta.tree.order import is_below
from pdelta.tree.reader import PageSink, TreeReader

if TYPE_CHECKING:
    from pdelta.filesystem.read import Reader

IsIgnored = Callable[[bytes, bool], bool]


class Observation(msgspec.Struct):
    """What was found different from the record.

    Attributes:
        found: What stands at a path, None for nothing; paths that agree with the record are left out.
        drifted: What is different, in words, by path: recorded names that changed or vanished, and unknown names
            in the way of wanted ones.
        occupied: Folders that hold names which no snapshot knows.
        findings: Names that cannot be looked at.
        unknown: Names that nobody recorded, in order; one of a folder stands for all that is in it.
        times: Folders by path that differ in their time alone, which is no drift: every name that comes or goes
            changes it.
    """

    found: dict[bytes, Entry | None] = msgspec.field(default_factory=dict)
    drifted: dict[bytes, str] = msgspec.field(default_factory=dict)
    occupied: set[bytes] = msgspec.field(default_factory=set)
    findings: list[Finding] = msgspec.field(default_factory=list)
    unknown: list[bytes] = msgspec.field(default_factory=list)
    times: dict[bytes, Entry] = msgspec.field(default_factory=dict)


class Observer:
    """Looks at paths of one tree.

    Args:
        root: The tree.
        tree: Reads the pages of the held snapshot.
        index: Fingerprints recorded after the last entry; None for a tree without a record.
        reader: Reads names as the tree's snapshots do.
        ignored: Whether the wanted selection ignores a path.
        sink: Takes the pages of what is found.
    """

    def __init__(
        self,
        root: Directory,
        tree: TreeReader,
        index: Index | None,
        reader: "Reader",
        ignored: IsIgnored,
        sink: PageSink,
    ) -> None:
        """Look at nothing yet."""
        self._folders = DirectoryCache(root)
        self._tree = tree
        self._index = index
        self._reader = reader
        self._ignored = ignored
        self._sink = sink
        self._known: list[tuple[bytes, Known]] = []
        self._result = Observation()

    def close(self) -> None:
        """Close the folders that were opened on the way."""
        self._folders.close()

    def look(self, edits: Iterable[Edit], directories: Iterable[Edit]) -> Observation:
        """Look at every path that the edits touch.

        Raises:
            FilesystemError: The tree cannot be looked at.
        """
        for edit in directories:
            self._look_at_folder(edit)
        for edit in edits:
            if edit.before is None:
                self._look_at_addition(edit)
            else:
                self._compare(edit.path, edit.before)
                if edit.before.kind == Kind.DIRECTORY:
                    self._look_below(edit.path, edit.before)
        return self._result

    def entry_at(self, path: bytes) -> Entry | None:
        """Read what stands at a path, everything below it included; None for nothing."""
        try:
            folder, name = self._folders.parent(path)
        except (FileNotFoundError, NotADirectoryError, FilesystemError):
            return None
        found = folder.lstat(name)
        return None if found is None else self._read(path, folder, name, found)

    # -- comparing ----------------------------------------------------------------------------------------------

    def _look_at_folder(self, edit: Edit) -> None:
        """Compare a folder that stays; its time alone is no drift, since every name that comes and goes changes it."""
        path, recorded = edit.path, edit.before
        found = self._lstat(path)
        if found is None or not stat.S_ISDIR(found.st_mode):
            self._differs(path, self.entry_at(path), "the folder is missing" if found is None else "no folder")
            return
        assert recorded is not None  # noqa: S101 - a folder that stays is on both sides
        entry, pages = self._reader.folder(found, recorded.name, self._folders.directory(path).fd)
        if same_metadata(recorded, entry):
            return
        self._sink.write_pages(pages)
        extra = {key: recorded.extra[key] for key in (ADOPTED,) if key in recorded.extra}
        entry = msgspec.structs.replace(entry, content=recorded.content, extra={**entry.extra, **extra})
        self._result.found[path] = entry
        if not same_metadata(recorded, msgspec.structs.replace(entry, mtime_ns=recorded.mtime_ns)):
            self._result.drifted[path] = metadata_difference(recorded, entry)

    def _look_at_addition(self, edit: Edit) -> None:
        found = self._lstat(edit.path)
        if found is None:
            return
        entry = self.entry_at(edit.path)
        if entry is None:
            return
        after = edit.after
        assert after is not None  # noqa: S101 - an edit has at least one side
        self._result.found[edit.path] = msgspec.structs.replace(entry, extra={**entry.extra, ADOPTED: True})
        if after.kind == entry.kind == Kind.DIRECTORY:
            self._collide(edit.path, entry, after)
        elif not (same_content(entry, after) and same_metadata(entry, after)):
            self._result.drifted[edit.path] = "something unknown is in its place"

    def _collide(self, top: bytes, found: Entry, wanted: Entry) -> None:
        """Name what is different inside a folder that nobody knew of, where one is wanted."""
        waiting = [(top, found, wanted)]
        while waiting:
            path, here, there = waiting.pop()
            entries = {entry.name: entry for entry in self._tree.directory(there.content)}
            for entry in self._tree.directory(here.content):
                after = entries.get(entry.name)
                below = join_path(path, entry.name)
                if after is None:
                    continue
                if after.kind == entry.kind == Kind.DIRECTORY:
                    waiting.append((below, entry, after))
                elif not (same_content(entry, after) and same_metadata(entry, after)):
                    self._result.drifted[below] = "something unknown is in its place"

    def _look_below(self, top: bytes, recorded: Entry) -> None:
        """Look at everything below a folder that is to go, names without a record included."""
        waiting = [(top, recorded)]
        while waiting:
            path, entry = waiting.pop()
            try:
                self._folders.directory(path)
            except (FileNotFoundError, NotADirectoryError, FilesystemError):
                continue
            for found in self._tree.directory(entry.content):
                below = join_path(path, found.name)
                if self._ignored(below, found.kind == Kind.DIRECTORY):
                    continue
                self._compare(below, found)
                if found.kind == Kind.DIRECTORY:
                    waiting.append((below, found))

    def _compare(self, path: bytes, recorded: Entry) -> None:
        """Compare one name with its record; what is below a folder is not looked at."""
        found = self._lstat(path)
        if found is None:
            self._differs(path, None, "missing")
            return
        if recorded.kind == Kind.DIRECTORY:
            if not stat.S_ISDIR(found.st_mode):
                self._differs(path, self.entry_at(path), "a file where a folder was")
            return
        known = self._fingerprint(path)
        if (
            known is not None
            and compare(known[0], pack_all((found,))[0]) == Likeness.SAME
            and same_content(known[1], recorded)
        ):
            return
        entry = self.entry_at(path)
        if entry is None:
            self._differs(path, None, "missing")
        elif not same_content(entry, recorded):
            self._differs(path, _flagged_like(entry, recorded), "its content changed")
        elif not same_metadata(recorded, entry):
            self._differs(path, _flagged_like(entry, recorded), metadata_difference(recorded, entry))

    def _differs(self, path: bytes, found: Entry | None, what: str) -> None:
        self._result.found[path] = found
        self._result.drifted[path] = what

    def _fingerprint(self, path: bytes) -> tuple[bytes, Entry] | None:
        if self._index is None:
            return None
        parent, name = split_path(path)
        # Paths come in order, so what a folder holds is wanted again after what is below one of its folders.
        known = self._known
        if not known or known[-1][0] != parent:
            while known and not is_below(parent, {known[-1][0]}):
                known.pop()
            if not known or known[-1][0] != parent:
                known.append((parent, self._index.details(parent)))
        return known[-1][1].get(name)

    # -- reading ------------------------------------------------------------------------------------------------

    def _lstat(self, path: bytes) -> os.stat_result | None:
        if not path:
            return os.fstat(self._folders.directory(path).fd)
        try:
            folder, name = self._folders.parent(path)
        except (FileNotFoundError, NotADirectoryError, FilesystemError):
            return None
        return folder.lstat(name)

    def _read(self, path: bytes, folder: Directory, name: bytes, found: os.stat_result) -> Entry | None:
        """Read one name as an entry, a folder with everything below it; None for what cannot be read."""
        if not stat.S_ISDIR(found.st_mode):
            return self._read_name(path, folder, name, found)
        # Children before their folder's page, and no recursion: a path has up to 2,048 folders.
        stack = [self._begin_folder(path, name, found)]
        while True:
            reading = stack[-1]
            below = self._read_names(reading)
            if below is not None:
                stack.append(below)
                continue
            stack.pop()
            entry = self._end_folder(reading)
            if not stack:
                return entry
            if entry is not None:
                stack[-1].entries.append(entry)

    def _begin_folder(self, path: bytes, name: bytes, found: os.stat_result) -> "_Reading":
        names = [below for below in self._folders.directory(path).names() if not is_reserved(below)]
        return _Reading(path, name, found, iter(sorted(names)))

    def _read_names(self, reading: "_Reading") -> "_Reading | None":
        """Read the names of a folder up to the next folder in it; None when there is none left."""
        path = reading.path
        for name in reading.names:
            below = join_path(path, name)
            # The cache may have closed this folder while it was in one of those below.
            here = self._folders.directory(path)
            seen = here.lstat(name)
            if seen is None or self._ignored(below, stat.S_ISDIR(seen.st_mode)):
                continue
            if stat.S_ISDIR(seen.st_mode):
                return self._begin_folder(below, name, seen)
            entry = self._read_name(below, here, name, seen)
            if entry is not None:
                reading.entries.append(entry)
        return None

    def _end_folder(self, reading: "_Reading") -> Entry | None:
        id_, pages = build_directory(reading.entries)
        self._sink.write_pages(pages)
        try:
            entry, pages = self._reader.folder(reading.found, reading.name, self._folders.directory(reading.path).fd)
        except UnreadError as error:
            self._unreadable(reading.path, error)
            return None
        self._sink.write_pages(pages)
        return msgspec.structs.replace(entry, content=id_)

    def _read_name(self, path: bytes, folder: Directory, name: bytes, found: os.stat_result) -> Entry | None:
        """Read what is no folder; None, and a finding, for what is neither file nor link or cannot be read."""
        try:
            if stat.S_ISLNK(found.st_mode):
                return self._reader.symlink(folder.fd, name, found).entry
            if stat.S_ISREG(found.st_mode):
                read = self._reader.file(folder.fd, name)
                self._sink.write_pages(read.pages)
                return read.entry
        except UnreadError as error:
            self._unreadable(path, error)
            return None
        text = f"{quoted(path)} is neither file, folder nor link"
        self._result.findings.append(Finding("special", text, subject=path, hint="remove it, or ignore its path"))
        return None

    def _unreadable(self, path: bytes, error: UnreadError) -> None:
        text = f"cannot read {quoted(path)}: {error}"
        self._result.findings.append(Finding("unreadable", text, subject=path, hint="see its rights and owner"))


class _Reading(msgspec.Struct):
    """A folder whose page is not known yet: what was found of it, the names to come, and what was read."""

    path: bytes
    name: bytes
    found: os.stat_result
    names: Iterator[bytes]
    entries: list[Entry] = msgspec.field(default_factory=list)


def occupied_folders(root: Directory, tree: TreeReader, edits: Iterable[Edit]) -> set[bytes]:
    """Give the folders that are to go and hold names which the held snapshot does not know.

    Args:
        root: The tree.
        tree: Reads the pages of the held snapshot.
        edits: What is to be done.
    """
    found: set[bytes] = set()
    with DirectoryCache(root) as folders:
        for edit in edits:
            before, after = edit.before, edit.after
            if before is not None and before.kind == Kind.DIRECTORY and (after is None or after.kind != before.kind):
                waiting = [(edit.path, before)]
                while waiting:
                    path, entry = waiting.pop()
                    recorded = list(tree.directory(entry.content))
                    try:
                        names = set(folders.directory(path).names())
                    except (FileNotFoundError, NotADirectoryError, FilesystemError):
                        continue
                    if not names <= {below.name for below in recorded}:
                        found.add(path)
                    waiting += [(join_path(path, b.name), b) for b in recorded if b.kind == Kind.DIRECTORY]
    return found


def _flagged_like(entry: Entry, recorded: Entry) -> Entry:
    """Give what was found where an extra was recorded as an extra still."""
    if ADOPTED not in recorded.extra:
        return entry
    return msgspec.structs.replace(entry, extra={**entry.extra, ADOPTED: True})
