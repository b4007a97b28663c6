"""A tree on disk to a snapshot, reading only what the index cannot vouch for.

Called at the source before a push, and at a destination to adopt, check or
verify it. Folders are walked one after the other, children before their parent's
page, so that memory holds one path of folders and not the tree. Nothing is
followed; mounts are crossed. Never changes the tree.

What cannot be read is left out of the snapshot and listed among the problems;
what that means for deleting is the caller's business.
"""

import os
from bisect import bisect_left
from collections.abc import Iterable
from typing import Final

import msgspec

from pdelta.errors import FilesystemError, IntegrityError, PreflightError
from pdelta.filesystem import syscalls
from pdelta.filesystem.batch import BatchCalls, batch_calls
from pdelta.filesystem.failure import UnreadError, describe
from pdelta.filesystem.fingerprint import RACY, changed_at
from pdelta.filesystem.index import (
    Index,
    IndexRow,
    Known,
    Totals,
    digest_items,
    fields_of,
    names_digest,
    totals_of,
)
from pdelta.filesystem.read import Found, Reader, check_time
from pdelta.filesystem.safe import Directory
from pdelta.filesystem.settle import Items, Left, LostError, Settler
from pdelta.filesystem.walk import DIRECTORY, REGULAR, SYMLINK, Folder
from pdelta.formats.page import encode_root
from pdelta.model.event import Event, Observer
from pdelta.model.names import NAME_LIMIT_BYTES, PATH_LIMIT_BYTES, join_path, parent_of, quoted
from pdelta.model.snapshot import (
    Chunking,
    Entry,
    Kind,
    PageStore,
    Root,
    Selection,
    SnapshotId,
)
from pdelta.tree.select import Selector, read_rules

RACY_NS: Final = 2_000_000_000
"""How coarse the times of an unknown file system may be: those of FAT are two seconds."""

_OPEN_FOLDERS: Final = 16
_REPORT_EVERY: Final = 2000
_HALF: Final = 32
_SHARED_CONTENTS: Final = 100_000

RawPath = bytes


class ScanOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What to look at, and how closely.

    Attributes:
        now_ns: The clock when the scan begins, in nanoseconds since the epoch; or the ctime of a probe that was
            just made on the tree's file system, with a ``racy_ns`` of 0.
        chunking: How contents are cut.
        selection: Rules and optional fields; rules of ignore files in the tree are added to it.
        checksum: Whether everything is read, whatever the index says.
        changed: Only these paths and the folders above them are looked at, and the rest is taken from the index;
            None looks at everything. A folder named here is looked at with all that is below it.
        jobs: How many threads hash a large file.
        racy_ns: A name whose ctime is not older than this before ``now_ns`` is looked at again next time.
    """

    now_ns: int
    chunking: Chunking = Chunking()
    selection: Selection = Selection()
    checksum: bool = False
    changed: frozenset[bytes] | None = None
    jobs: int = 2
    racy_ns: int = RACY_NS


class Problem(msgspec.Struct, frozen=True):
    """A name that is not in the snapshot though it stands in the tree.

    Attributes:
        path: Raw path below the tree.
        kind: ``unreadable``, ``vanished``, ``changing``, or ``special`` (FIFO, socket, device).
        message: Why, for people.
    """

    path: bytes
    kind: str
    message: str


class Scan(msgspec.Struct, frozen=True):
    """What a scan found.

    Attributes:
        snapshot: Id of the root record.
        root: The root record; its selection holds the rules found in the tree too.
        files: How many regular files, each name of a hard-link group counted.
        directories: How many directories, the tree itself included.
        symlinks: How many symbolic links.
        bytes: Length of all files.
        read_bytes: How much was read of them.
        problems: What was left out, in no order.
        nested: Folders below that are managed trees of their own.
    """

    snapshot: SnapshotId
    root: Root
    files: int
    directories: int
    symlinks: int
    bytes: int
    read_bytes: int
    problems: tuple[Problem, ...] = ()
    nested: tuple[RawPath, ...] = ()


def scan(
    root: Directory,
    options: ScanOptions,
    pages: PageStore,
    index: Index,
    observer: Observer,
    calls: BatchCalls | None = None,
) -> Scan:
    """Give the snapshot of a tree; its pages are in ``pages`` and the index is up to date afterwards.

    The result is that of reading everything, as long as equal fingerprints mean
    equal content. Measured in the page cache, nothing changed: see
    ``docs/formats/index.md``.

    Args:
        root: The tree.
        options: What to look at.
        pages: Takes new pages, and has those of earlier scans.
        index: Of this tree; read and renewed.
        observer: Hears how many files were looked at.
        calls: How names are listed and small files read; by default the fastest way there is.

    Raises:
        FilesystemError: The tree itself cannot be listed, or pages or index cannot be written.
        PreflightError: The tree itself has a time that no snapshot holds.
        UsageError: A rule or a ``--chmod`` clause cannot be read.
    """
    same = index.prepare(options.chunking, options.selection)
    attempts = [options, msgspec.structs.replace(options, changed=None)]
    if options.changed is not None and not same:
        del attempts[0]
    for attempt in attempts:
        walk = _Walk(root, attempt, pages, index, observer, calls or batch_calls())
        try:
            return walk.run()
        except LostError:
            # Pages were collected, or rows damaged: begin from nothing, which costs time only.
            index.clear()
        finally:
            walk.close()
    raise IntegrityError(
        f"pages of {os.fsdecode(root.path)!r} vanish as they are written; nothing was changed",
        hint="another process collects the same store of pages; run the command again when it is done",
    )


class _Walk:
    """One attempt at one scan."""

    def __init__(
        self,
        root: Directory,
        options: ScanOptions,
        pages: PageStore,
        index: Index,
        observer: Observer,
        calls: BatchCalls,
    ) -> None:
        self._root = root
        self._calls = calls
        self._options = options
        self._index = index
        self._observer = observer
        self._given = options.selection.rules
        self._fields = fields_of(options.selection)
        self._reader = Reader(options.chunking, options.selection, pages, options.jobs, calls)
        self._settler = Settler(pages, index, self._fields)
        self._racy_from = options.now_ns - options.racy_ns
        self._racy_folders = options.selection.owner or options.selection.xattrs
        self._changed = options.changed if options.changed is not None and b"" not in options.changed else None
        self._touched = _with_parents(self._changed or ())
        self._stack: list[Folder] = []
        self._filesystems: dict[int, bytes] = {}
        self._gone: list[bytes] = []
        self._shared: dict[tuple[bytes, int], Found] = {}
        self._rules: list[tuple[bytes, bytes]] = []
        self._problems: list[Problem] = []
        self._nested: list[bytes] = []
        self._files = self._directories = self._symlinks = self._bytes = self._read = 0
        self._reported = 0

    def close(self) -> None:
        """Close what is open still."""
        for folder in self._stack:
            folder.close()
        self._reader.close()

    def run(self) -> Scan:
        """Walk, and give what was found."""
        stack = self._stack
        stack.append(self._enter_root())
        top = Entry(b"", Kind.DIRECTORY, 0, 0, 0, b"")
        page: bytes | None = None
        while stack:
            folder = stack[-1]
            below = self._enter_next(folder)
            if below is not None:
                stack.append(below)
                if len(stack) > _OPEN_FOLDERS:
                    stack[-_OPEN_FOLDERS].close()
                continue
            self._reopen(folder)
            if not folder.path:
                top = self._top(folder)
            left = self._leave(folder)
            stack.pop()
            folder.close()
            page = self._settler.settle(left)
            if page is not None and stack:
                stack[-1].pages[folder.path.rpartition(b"/")[2]] = page
        return self._result(top, page)

    def _enter_root(self) -> Folder:
        try:
            check_time(os.fstat(self._root.fd))
        except UnreadError as error:
            # Any other name would be left out.
            text = f"{quoted(self._root.path)} cannot be recorded: {error}; nothing was changed"
            raise PreflightError(text, hint="give the folder another time (touch)") from error
        try:
            fd = os.dup(self._root.fd)
            return self._enter(b"", fd, os.fstat(fd), None)
        except OSError as error:
            raise describe(error, "read") from error
        except UnreadError as error:
            raise describe(OSError(0, str(error), self._root.path), "list") from error

    def _enter(self, path: bytes, fd: int, status: os.stat_result, parent: Folder | None) -> Folder:
        """Open a folder's record and list it; the descriptor is closed if that fails."""
        folder = Folder(path, fd, status, b"")
        try:
            check_time(status)
            folder.filesystem = self._filesystem(status.st_dev, fd)
            folder.row = self._find_row(path, folder.filesystem, status.st_ino)
            folder.whole = self._changed is None or path in self._changed or (parent is not None and parent.whole)
            folder.inherited = parent.inherited if parent else ()
            selector = parent.selector if parent else Selector(self._given)
            left = folder.list_names(self._calls, selector, self._given)
        except BaseException:
            folder.close()
            raise
        if folder.rules:
            self._rules.append((path, folder.rules))
        if folder.rules != (folder.row.rules if folder.row else b""):
            folder.whole = True
        if len(path) >= PATH_LIMIT_BYTES - NAME_LIMIT_BYTES:
            self._drop_too_deep(folder)
        if left.vanished or left.special or left.nested:
            self._report_leftovers(folder, left.vanished, left.special)
            if left.nested:
                self._nested.append(path)
        return folder

    def _report_leftovers(self, folder: Folder, vanished: Iterable[bytes], special: Iterable[bytes]) -> None:
        for name in vanished:
            self._report(join_path(folder.path, name), "vanished", "it was gone before it could be looked at")
            folder.volatile = True
        for name in special:
            text = "FIFOs, sockets and devices are left out"
            self._report(join_path(folder.path, name), "special", text)

    def _drop_too_deep(self, folder: Folder) -> None:
        """Leave out names whose paths no snapshot may hold."""
        dropped = {name for name in folder.names if len(join_path(folder.path, name)) > PATH_LIMIT_BYTES}
        if not dropped:
            return
        for name in sorted(dropped):
            text = f"its path has more than {PATH_LIMIT_BYTES} bytes"
            self._report(join_path(folder.path, name), "unreadable", text)
        folder.drop(dropped)
        folder.folders = [name for name in folder.folders if name not in dropped]
        folder.volatile = True

    def _enter_next(self, folder: Folder) -> Folder | None:
        """Enter the next directory that must be walked; None when there is none left."""
        while folder.position < len(folder.folders):
            name = folder.folders[folder.position]
            path = join_path(folder.path, name)
            if not folder.whole and path not in self._touched and self._take_over(folder, name, path):
                folder.position += 1
                continue
            try:
                below = self._open(folder, name, path)
            except UnreadError as error:
                self._report(path, error.kind, str(error))
                folder.volatile = True
                folder.drop({name})
                del folder.folders[folder.position]
                continue
            folder.position += 1
            return below
        return None

    def _open(self, folder: Folder, name: bytes, path: bytes) -> Folder:
        self._reopen(folder)
        fd, status = folder.open_below(name)
        seen = folder.status_of(bisect_left(folder.names, name))
        if seen.st_ino != status.st_ino or seen.st_dev != status.st_dev:
            os.close(fd)
            raise UnreadError("changing", "another folder took its place while it was looked at")
        return self._enter(path, fd, status, folder)

    def _reopen(self, folder: Folder) -> None:
        """Open a folder again that was closed because too many were open."""
        if folder.fd >= 0:
            return
        try:
            with self._root.open_directory(folder.path) as again:
                if not again.same_as(folder.status):
                    place = os.fsdecode(self._root.locate(folder.path))
                    raise FilesystemError(
                        f"the folder {place!r} was moved while it was scanned; nothing was changed",
                        hint="run the command again when nobody moves folders there",
                    )
                folder.fd = os.dup(again.fd)
        except OSError as error:
            raise describe(error, "open again") from error

    def _take_over(self, folder: Folder, name: bytes, path: bytes) -> bool:
        """Take a folder and all below it from the index; false when the index does not vouch for all of it."""
        rows = self._index.below(path)
        if not rows or rows[0].path != path or any(not row.digest or row.fields != self._fields for row in rows):
            return False
        for row in rows:
            self._count(row.totals)
            if row.rules:
                self._rules.append((row.path, row.rules))
        folder.pages[name] = self._settler.take_over(rows)
        return True

    def _find_row(self, path: bytes, filesystem: bytes, inode: int) -> IndexRow | None:
        """Give the row of the folder with this identity, wherever it was; else the one of this path."""
        row = self._index.load(path)
        if row is not None and row.inode == inode and row.filesystem == filesystem:
            return row
        return self._index.find_inode(filesystem, inode) or row

    def _filesystem(self, device: int, fd: int) -> bytes:
        known = self._filesystems.get(device)
        if known is None:
            known = self._filesystems[device] = syscalls.filesystem_id(fd)
        return known

    def _leave(self, folder: Folder) -> Left:
        """Read what must be read while the folder is open."""
        row, fields = folder.row, self._fields
        items: Items | None = None
        digest = b""
        if not folder.volatile:
            digest = names_digest(fields, folder.joined, folder.looks.fingerprints)
        trusted = row is not None and row.filesystem == folder.filesystem and not self._options.checksum
        if row is None or not trusted or not digest or row.digest[:_HALF] != digest or row.path != folder.path:
            items = self._items(folder, trusted=trusted)
            digest = b"" if folder.volatile else digest_items(fields, items)[:_HALF]
        totals = row.totals if items is None and row is not None else totals_of(items or ())
        self._count(totals)
        linked = folder.linked()
        if linked and items is not None and folder.volatile:
            here = {entry.name for _, entry in items}
            linked = tuple(link for link in linked if link[0] in here)
        return Left(
            folder.path,
            folder.filesystem,
            folder.status.st_ino,
            folder.folders,
            folder.pages,
            digest,
            row,
            items,
            totals,
            linked,
            folder.rules,
        )

    def _items(self, folder: Folder, *, trusted: bool) -> Items:
        """Give every name of a folder with its fingerprint, reading those that the index does not vouch for."""
        row = folder.row
        known: Known = {} if row is None else self._index.details(row.path, row.digest)
        here = known if row is not None and row.path == folder.path else self._index.details(folder.path)
        kept = set(folder.folders)
        for name, (_, entry) in here.items():
            if entry.kind == Kind.DIRECTORY and name not in kept:
                self._gone.append(join_path(folder.path, name))
        as_before = trusted and row is not None and row.fields == self._fields
        items: list[tuple[bytes, Entry] | None] = []
        small: list[int] = []
        for place, (name, kind) in enumerate(zip(folder.names, folder.kinds, strict=True)):
            fingerprint = folder.looks.fingerprint(place)
            old = known.get(name) or here.get(name)
            same = trusted and old is not None and old[0] == fingerprint
            if old is not None and same and as_before:
                items.append(old)
            elif kind == REGULAR and not same and self._reader.is_small(fingerprint, folder.looks, place):
                small.append(place)
                items.append(None)
            else:
                items.append(self._read_name(folder, place, None if old is None else old[1], same=same))
        if small:
            self._read_small(folder, small, items)
        return [item for item in items if item is not None]

    def _read_small(self, folder: Folder, places: list[int], items: list[tuple[bytes, Entry] | None]) -> None:
        """Read files together, and put them into the items at these places."""
        racy_from = self._racy_from
        names = [folder.names[place] for place in places]
        fingerprints = [folder.looks.fingerprint(place) for place in places]
        read = self._reader.small(folder.fd, names, fingerprints)
        for place, fingerprint, found in zip(places, fingerprints, read, strict=True):
            if found is None:
                items[place] = self._read_name(folder, place, None, same=False)
                continue
            entry, pages = found
            self._read += entry.size
            if pages:
                self._settler.add_pages(pages)
            items[place] = (RACY if changed_at(fingerprint) >= racy_from else fingerprint), entry

    def _read_name(self, folder: Folder, place: int, old: Entry | None, *, same: bool) -> tuple[bytes, Entry] | None:
        name, status, fingerprint = folder.names[place], folder.status_of(place), folder.looks.fingerprint(place)
        kind = status.st_mode >> 12
        try:
            if kind == DIRECTORY:
                where = b"/proc/self/fd/%d/%b" % (folder.fd, name)
                entry, pages = self._reader.folder(status, name, where)
                found = Found(fingerprint, entry, pages, 0)
            elif kind == SYMLINK:
                found = self._reader.symlink(folder.fd, name, status)
            else:
                found = self._read_file(folder, place, old, same=same)
        except UnreadError as error:
            self._report(join_path(folder.path, name), error.kind, str(error))
            folder.volatile = True
            if kind != DIRECTORY:
                return None
            # What is below was read already; only attributes of the directory itself could not be.
            found = Found(RACY, self._reader.bare_folder(status, name), [], 0)
        self._read += found.read_bytes
        if found.pages:
            self._settler.add_pages(found.pages)
        racy = changed_at(found.fingerprint) >= self._racy_from and (kind != DIRECTORY or self._racy_folders)
        return (RACY if racy else found.fingerprint), found.entry

    def _read_file(self, folder: Folder, place: int, old: Entry | None, *, same: bool) -> Found:
        name, status, fingerprint = folder.names[place], folder.status_of(place), folder.looks.fingerprint(place)
        is_file = old is not None and old.kind == Kind.FILE
        if status.st_nlink == 1:
            previous = old.content if old is not None and is_file else b""
            return self._reader.file(folder.fd, name, previous, old if same and is_file else None)
        key = (folder.filesystem, status.st_ino)
        shared = self._shared.get(key)
        if shared is not None and shared.fingerprint == fingerprint:
            return Found(shared.fingerprint, _renamed(shared.entry, name), [], 0)
        found = self._reader.file(folder.fd, name, old.content if old is not None and is_file else b"")
        if found.fingerprint != fingerprint:
            raise UnreadError("changing", "the file, which has several names, changed while it was read")
        if len(self._shared) < _SHARED_CONTENTS:
            self._shared[key] = found
        return found

    def _top(self, folder: Folder) -> Entry:
        try:
            entry, pages = self._reader.folder(folder.status, b"", folder.fd)
        except (OSError, UnreadError) as error:
            raise describe(OSError(0, str(error), self._root.path), "read the attributes of") from error
        self._settler.add_pages(pages)
        return entry

    def _result(self, top: Entry, page: bytes | None) -> Scan:
        content, links = self._settler.finish(page)
        self._index.remove(self._gone)
        found = tuple(rule for path, data in sorted(self._rules) for rule in read_rules(data, base=path))
        selection = msgspec.structs.replace(self._options.selection, rules=(*found, *self._given))
        root = Root(msgspec.structs.replace(top, content=content), links, self._options.chunking, selection)
        self._observer(Event("scan", done=self._files, total=self._files, unit="files"))
        return Scan(
            encode_root(root)[0],
            root,
            self._files,
            self._directories,
            self._symlinks,
            self._bytes,
            self._read,
            tuple(self._problems),
            tuple(self._nested),
        )

    def _count(self, totals: Totals) -> None:
        self._files += totals.files
        self._directories += 1
        self._symlinks += totals.symlinks
        self._bytes += totals.bytes
        if self._files - self._reported >= _REPORT_EVERY:
            self._reported = self._files
            self._observer(Event("scan", done=self._files, unit="files"))

    def _report(self, path: bytes, kind: str, message: str) -> None:
        self._problems.append(Problem(path, kind, message))


def _with_parents(paths: Iterable[bytes]) -> frozenset[bytes]:
    found = {b""}
    for path in paths:
        here = path
        while here not in found:
            found.add(here)
            here = parent_of(here)
    return frozenset(found)


def _renamed(entry: Entry, name: bytes) -> Entry:
    return Entry(name, entry.kind, entry.mode, entry.mtime_ns, entry.size, entry.content, entry.extra)
