"""Writes new and changed files once, straight into the inodes that a commit will put in place.

Called by ``operations.tree`` with what each file is made of. Every chunk is
verified against its id before the file counts as staged. What a broken
connection left is verified chunk by chunk and not asked for again. Changes
nothing that a reader of the tree can see.
"""

import os
import stat
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

import msgspec
from blake3 import blake3

from pdelta.errors import DriftError, IntegrityError, TransportError
from pdelta.filesystem.answers import Answers
from pdelta.filesystem.batch import batch_calls
from pdelta.filesystem.commit import attributes_of
from pdelta.filesystem.copy import BLOCK_BYTES, write_all
from pdelta.filesystem.directories import DirectoryCache
from pdelta.filesystem.failure import translated
from pdelta.filesystem.large import Threads, read_full
from pdelta.filesystem.metadata import Attributes, inherited, set_attributes, set_attributes_of
from pdelta.filesystem.patching import PatchedSource, patched
from pdelta.filesystem.proved import PlacedChunk, copy_chunks, outside
from pdelta.filesystem.safe import Directory
from pdelta.filesystem.small import ROOM_BYTES, SmallFiles
from pdelta.model.event import Event, Observer, silent
from pdelta.model.failpoint import FailPoint, never
from pdelta.model.names import quoted
from pdelta.model.snapshot import HOLES, ID_LENGTH_BYTES, OWNER, RUN_LENGTH_BYTES, XATTRS, Entry, Kind
from pdelta.model.source import Source, Want
from pdelta.tree.contents import runs_in
from pdelta.tree.reader import TreeReader
from pdelta.tree.recipe import Origin, Part, Place

_PIECE_BYTES: Final = 1 << 20
_SEVERAL_BYTES: Final = 64 << 10
"""Files to fetch up to this are made at once, whatever chunks they have."""
_ONCE: Final = b"\0\0\0\1"
_SYMLINK: Final = int(Kind.SYMLINK)


class StageItem(NamedTuple):
    """One inode to make.

    Attributes:
        slot: Where it is made, below the tree.
        path: Its path in the wanted snapshot, by which its bytes are asked for.
        entry: What it must be.
        parts: Where a file's bytes come from.
        replaces: Path of the file whose owner and ACL it keeps; empty for a new one.
        link: Slot or path of the inode that it is another name of; empty for an inode of its own.
        reported: Whether its inode number is wanted.
        base: What a range to fetch may be asked for as a patch against; None for nothing.
        fresh_mode: Mode until the commit, where the final one would stand in its way; -1 for the final one.
        patched: The file that will be written over: its parts at their own offsets stay, and are not staged. None
            where a whole file is made.
    """

    slot: bytes
    path: bytes
    entry: Entry
    parts: tuple[Part, ...] = ()
    replaces: bytes = b""
    link: bytes = b""
    reported: bool = True
    fresh_mode: int = -1
    base: Origin | None = None
    patched: Origin | None = None

    def stays(self, part: Part) -> bool:
        """Whether a part is in the file that will be written over, where it should be."""
        here = self.patched
        return here is not None and part.origin is here and part.origin_offset == part.offset


class Staged(msgspec.Struct):
    """What was staged.

    Attributes:
        inodes: Inode number by slot, for items whose number is wanted.
        fetched_bytes: Plain bytes that came from the source.
        reused_bytes: Bytes copied from the tree or from undo data.
        resumed_bytes: Bytes that an earlier attempt had brought.
        files: Open work was done for so many files.
    """

    inodes: dict[bytes, int] = msgspec.field(default_factory=dict)
    fetched_bytes: int = 0
    reused_bytes: int = 0
    resumed_bytes: int = 0
    files: int = 0


class Stager:
    """Makes the staged inodes of one run.

    Args:
        root: The tree.
        tree: Reads chunk lists.
        source: Gives what the target lacks; None where everything must be there.
        observer: Hears progress.
        failpoint: Called after each staged file.
        owner: Whether owners are set as the entries say.
        resume: Whether slots may hold what an earlier attempt left.
        sync: Whether each file is synced at once.
        jobs: How many threads copy a large file.
    """

    def __init__(
        self,
        root: Directory,
        tree: TreeReader,
        source: Source | None,
        *,
        observer: Observer = silent,
        failpoint: FailPoint = never,
        resume: bool = False,
        sync: bool = False,
        jobs: int = 2,
    ) -> None:
        """Begin with nothing open."""
        self._root = root
        self._tree = tree
        self._source = source
        self._patched = patched(root, source)
        self._observer = observer
        self._failpoint = failpoint
        self._resume = resume
        self._sync = sync
        self._folders = DirectoryCache(root)
        self._arrived: dict[bytes, set[int]] = {}
        self._staged = Staged()
        self._open_origin: tuple[bytes, int] | None = None
        self._threads = Threads(jobs)
        self._again: list[tuple[StageItem, list[PlacedChunk]]] = []
        self._awaited: set[bytes] = set()
        # By file system: whether two files can share blocks there, which takes no room and is not to be missed.
        self._shares: dict[int, bool] = {}
        self._small = SmallFiles(batch_calls(), self._made_small, sync=sync, threaded=jobs > 1)

    def stage(self, items: Callable[[], Iterable[StageItem]]) -> Staged:
        """Make every item, folders before what is in them.

        Args:
            items: Gives the same items each time it is called.

        Raises:
            DriftError: A file of the tree no longer holds what is recorded of it, and there is no source.
            IntegrityError: The source, or undo data, gave wrong bytes.
            FilesystemError: A call failed.
            SourceChangedError: A source file changed meanwhile.
            TransportError: The source is gone; what was staged is kept.
        """
        try:
            with translated("stage the new content"):
                try:
                    return self._stage(items)
                except TransportError:
                    self._small.finish()  # what has come need not come again
                    raise
        finally:
            self._small.close()
            self._close_origin()
            self._threads.close()
            if self._patched is not None:
                self._patched.close()
            self._folders.close()

    def _stage(self, items: Callable[[], Iterable[StageItem]]) -> Staged:
        if self._resume:
            for item in items():
                self._look_for(item)
        # One pass: asking runs ahead of making by what the source takes ahead, and no further.
        ahead: deque[StageItem] = deque()
        answers = Answers(self._patched or self._source, self._ask(items, ahead))
        folders: list[StageItem] = []
        done = 0
        while answers.more() or ahead:
            if not ahead:
                answers.refuse_surplus()
            while ahead:
                item = ahead.popleft()
                kind = item.entry.kind
                if item.link:
                    self._small.finish()
                    self._make_link(item)
                elif kind == 1:
                    self._make_file(item, answers)
                    done += item.entry.size
                elif kind == _SYMLINK:
                    self._make_symlink(item)
                else:
                    self._make_folder(item)
                    folders.append(item)
            self._observer(Event("apply", done))
        answers.finish()
        self._small.finish()
        self._fetch_again()
        for item in reversed(folders):
            self._finish_folder(item)
        return self._staged

    # -- asking -------------------------------------------------------------------------------------------------

    def _ask(self, items: Callable[[], Iterable[StageItem]], ahead: deque[StageItem]) -> Iterator[Want]:
        for item in items():
            ahead.append(item)
            if item.parts and not item.link:
                parts = item.parts
                if self._patched is not None and item.base is not None and item.slot not in self._arrived:
                    yield from self._patched.wants(item.path, item.base, parts)
                elif len(parts) == 1 and parts[0].place == 0 and item.slot not in self._arrived:
                    yield Want(item.path, parts[0].offset, parts[0].length)
                else:
                    yield from self._wants(item)

    def _wants(self, item: StageItem) -> Iterator[Want]:
        for part in item.parts:
            if part.place == Place.FETCH:
                if item.slot in self._arrived:
                    for chunk in self._missing(item, part):
                        yield Want(item.path, chunk.offset, chunk.length)
                else:
                    yield Want(item.path, part.offset, part.length)

    def _missing(self, item: StageItem, part: Part) -> list[PlacedChunk]:
        arrived = self._arrived.get(item.slot, ())
        return [chunk for chunk in self._chunks(item.entry, part) if chunk.offset not in arrived]

    def _chunks(self, entry: Entry, part: Part) -> Iterator[PlacedChunk]:
        """Give the chunks of one part, whose bounds are chunk bounds."""
        content = entry.content
        if len(content) == RUN_LENGTH_BYTES and part.length == entry.size and content[36:40] == _ONCE:
            yield PlacedChunk(0, part.length, content[:ID_LENGTH_BYTES])
            return
        end = part.offset + part.length
        for begin, run in runs_in(content, part.offset, end, self._tree):
            for offset in range(begin, begin + run.length * run.count, run.length):
                if part.offset <= offset < end:
                    yield PlacedChunk(offset, run.length, run.id)

    # -- what is there already ----------------------------------------------------------------------------------

    def _look_for(self, item: StageItem) -> None:
        """Find which chunks of a file an earlier attempt left, and clear away what is no such file."""
        try:
            folder, name = self._folders.parent(item.slot)
        except (FileNotFoundError, NotADirectoryError):
            return
        found = folder.lstat(name)
        if found is None:
            return
        if item.entry.kind == Kind.DIRECTORY:
            if found.st_mode & stat.S_IRWXU != stat.S_IRWXU:
                set_attributes_of(folder, name, Attributes(mode=stat.S_IRWXU))
            return
        if item.link or item.entry.kind != Kind.FILE or found.st_nlink > 1:
            folder.unlink(name)
            return
        if found.st_mode & 0o600 != 0o600:
            set_attributes_of(folder, name, Attributes(mode=0o600))
        fd = folder.open_file(name)
        try:
            arrived: set[int] = set()
            whole = (Part(None, 0, 0, item.entry.size, Place.FETCH),)
            parts = whole if item.patched is None else [part for part in item.parts if not item.stays(part)]
            for chunk in (chunk for part in parts for chunk in self._chunks(item.entry, part)):
                if blake3(os.pread(fd, chunk.length, chunk.offset)).digest() == chunk.id:
                    arrived.add(chunk.offset)
                    self._staged.resumed_bytes += chunk.length
            self._arrived[item.slot] = arrived
        finally:
            os.close(fd)

    # -- making -------------------------------------------------------------------------------------------------

    def _make_folder(self, item: StageItem) -> None:
        folder, name = self._folders.parent(item.slot)
        try:
            folder.mkdir(name, 0o700)
        except FileExistsError:
            if not self._resume:
                raise

    def _finish_folder(self, item: StageItem) -> None:
        folder, name = self._folders.parent(item.slot)
        self._folders.forget(item.slot)
        attributes = attributes_of(item.entry)
        if item.fresh_mode >= 0:
            attributes = Attributes(item.fresh_mode, attributes.mtime_ns, attributes.owner, attributes.xattrs)
        set_attributes_of(folder, name, attributes)
        self._report(item, folder, name)

    def _make_symlink(self, item: StageItem) -> None:
        folder, name = self._folders.parent(item.slot)
        folder.symlink(item.entry.content, name)
        self._keep_owner(item, folder, name)
        set_attributes_of(folder, name, attributes_of(item.entry))
        self._report(item, folder, name)

    def _make_link(self, item: StageItem) -> None:
        other, old = self._folders.parent(item.link)
        folder, name = self._folders.parent(item.slot)
        other.link(old, folder, name)
        self._report(item, folder, name)

    def _make_small(self, item: StageItem, answers: Answers) -> bool:
        """Make a file that is one part, with others; most files of most trees are such."""
        entry, part = item.entry, item.parts[0]
        # Of a longer file, the chunks that came before the connection broke must be on the disk.
        limit = ROOM_BYTES if part.origin is not None or len(entry.content) == RUN_LENGTH_BYTES else _SEVERAL_BYTES
        if entry.size > limit or len(item.parts) != 1 or entry.extra or part.place == Place.ZERO:
            return False
        if item.patched is not None or item.slot in self._arrived or self._inherited(item) is not None:
            return False
        folder, _, name = item.slot.rpartition(b"/")
        made_in = self._folders.directory(folder)
        if part.origin is not None and self._shares.get(made_in.device, True):
            return False
        room = self._small.room(made_in.fd, folder, entry.size)
        if part.origin is None:
            self._fetch_small(item, part, answers, room)
        elif not self._copy_small(item, part, part.origin, room):
            return False
        if item.reported:
            self._awaited.add(item.slot)
        self._small.add(item.slot, name, entry)
        return True

    def _fetch_small(self, item: StageItem, part: Part, answers: Answers, room: memoryview) -> None:
        wrong: list[PlacedChunk] = []
        for chunk in self._chunks(item.entry, part):
            data = answers.take(chunk.length)
            if blake3(data).digest() == chunk.id:
                room[chunk.offset : chunk.offset + chunk.length] = data
                self._staged.fetched_bytes += chunk.length
            else:
                self._refuse_wrong(item, chunk)
                wrong.append(chunk)
        if wrong:
            self._again.append((item, wrong))

    def _refuse_wrong(self, item: StageItem, chunk: PlacedChunk) -> None:
        """Refuse wrong bytes, unless they were a patch, which a damaged base can spoil."""
        if self._patched is None or item.base is None:
            raise _wrong_bytes(item.path, chunk.offset)

    def _copy_small(self, item: StageItem, part: Part, origin: Origin, room: memoryview) -> bool:
        """Read a whole file from another one here; false where that is not what it should be."""
        waiting = self._small.content(origin.path)
        if waiting is not None and part.origin_offset + part.length <= len(waiting):
            room[:] = waiting[part.origin_offset : part.origin_offset + part.length]
        else:
            try:
                if read_full(self._origin(origin), part.origin_offset, room) != part.length:
                    return False
            except FileNotFoundError:
                return False
        for chunk in self._chunks(item.entry, part):
            if blake3(room[chunk.offset : chunk.offset + chunk.length]).digest() != chunk.id:
                return False
        self._staged.reused_bytes += part.length
        return True

    def _made_small(self, slot: bytes, inode: int) -> None:
        if slot in self._awaited:
            self._awaited.discard(slot)
            self._staged.inodes[slot] = inode
        self._staged.files += 1
        self._failpoint("stage.file")

    def _make_file(self, item: StageItem, answers: Answers) -> None:
        if item.parts and self._make_small(item, answers):
            return
        folder, name = self._folders.parent(item.slot)
        arrived = self._arrived.get(item.slot)
        fd = folder.create_exclusive(name) if arrived is None else folder.open_file(name, os.O_RDWR)
        try:
            entry = item.entry
            parts = item.parts
            if len(parts) == 1 and parts[0].place == Place.FETCH and arrived is None and not entry.extra:
                self._fetch(item, fd, parts[0], answers)
            else:
                self._make_parts(item, fd, answers)
            self._finish_file(item, fd)
        finally:
            os.close(fd)
        self._staged.files += 1
        self._failpoint("stage.file")

    def _make_parts(self, item: StageItem, fd: int, answers: Answers) -> None:
        entry = item.entry
        os.ftruncate(fd, entry.size)
        holes = [(offset, offset + length) for offset, length in entry.extra.get(HOLES, ())]
        arrived = self._arrived.get(item.slot, set())
        for part in item.parts:
            if part.place == Place.FETCH:
                self._fetch(item, fd, part, answers, holes)
            elif item.stays(part):
                continue
            elif part.place == Place.ZERO:
                for offset, length in outside(part.offset, part.length, holes):
                    for start in range(offset, offset + length, _PIECE_BYTES):
                        write_all(fd, bytes(min(_PIECE_BYTES, offset + length - start)), start)
            else:
                self._copy(item, fd, part, holes, arrived)

    def _fetch(
        self, item: StageItem, fd: int, part: Part, answers: Answers, holes: list[tuple[int, int]] | None = None
    ) -> None:
        chunks = self._chunks(item.entry, part) if item.slot not in self._arrived else self._missing(item, part)
        wrong: list[PlacedChunk] = []
        for chunk in chunks:
            data = answers.take(chunk.length)
            if blake3(data).digest() != chunk.id:
                self._refuse_wrong(item, chunk)
                wrong.append(chunk)
                continue
            if holes:
                for offset, length in outside(chunk.offset, chunk.length, holes):
                    write_all(fd, data[offset - chunk.offset : offset - chunk.offset + length], offset)
            else:
                write_all(fd, data, chunk.offset)
            self._staged.fetched_bytes += chunk.length
        if wrong:
            self._again.append((item, wrong))

    def _copy(self, item: StageItem, fd: int, part: Part, holes: list[tuple[int, int]], arrived: set[int]) -> None:
        """Copy from another file here, then prove what was copied."""
        assert part.origin is not None  # noqa: S101 - only ranges to fetch and zeros have none
        chunks = list(self._chunks(item.entry, part))
        if all(chunk.offset in arrived for chunk in chunks):
            return
        shift = part.origin_offset - part.offset
        try:
            wrong, shared = copy_chunks(self._origin(part.origin), shift, fd, chunks, holes, self._threads)
            if not shift and part.length >= BLOCK_BYTES:
                self._shares[os.fstat(fd).st_dev] = bool(shared)
        except FileNotFoundError:
            wrong = chunks
        self._staged.reused_bytes += part.length
        if wrong:
            if self._source is None:
                if part.origin.place == Place.KEPT:
                    kept = f"the undo data {quoted(part.origin.path)} is damaged"
                    raise IntegrityError(f"{kept}, so {quoted(item.path)} cannot be brought back; nothing was changed")
                text = f"{quoted(part.origin.path)} no longer holds what is recorded of it; nothing was changed"
                raise DriftError(text, hint="pdelta verify names every such path; --repair-from SRC mends them")
            self._again.append((item, wrong))

    def _fetch_again(self) -> None:
        """Ask for what local files were recorded to hold and do not, and for what a patch did not give.

        With signatures where the source had lost a base, then plainly, once.
        """
        if self._again and self._patched is not None and self._patched.lost:
            self._patched.sign()
            self._fetch_wrong(self._patched)
        if self._again:
            self._fetch_wrong(None)

    def _fetch_wrong(self, patched: PatchedSource | None) -> None:
        again, self._again = self._again, []
        answers = Answers(patched or self._source, _wants_again(again, patched))
        answers.more()
        for item, chunks in again:
            folder, name = self._folders.parent(item.slot)
            found = folder.lstat(name)
            if found is not None and not found.st_mode & 0o200:
                set_attributes_of(folder, name, Attributes(mode=0o600))
            fd = folder.open_file(name, os.O_RDWR)
            try:
                wrong: list[PlacedChunk] = []
                for chunk in chunks:
                    data = answers.take(chunk.length)
                    if blake3(data).digest() == chunk.id:
                        write_all(fd, data, chunk.offset)
                        self._staged.fetched_bytes += chunk.length
                    elif patched is None:
                        raise _wrong_bytes(item.path, chunk.offset)
                    else:
                        wrong.append(chunk)
                if wrong:
                    self._again.append((item, wrong))
                self._finish_file(item, fd)
            finally:
                os.close(fd)
        answers.finish()

    def _finish_file(self, item: StageItem, fd: int) -> None:
        if item.patched is not None:
            if self._sync:
                os.fsync(fd)
            return
        if item.replaces:
            folder, name = self._folders.parent(item.slot)
            self._keep_owner(item, folder, name)
        set_attributes(fd, attributes_of(item.entry))
        if self._sync:
            os.fsync(fd)
        if item.reported:
            self._staged.inodes[item.slot] = os.fstat(fd).st_ino

    def _keep_owner(self, item: StageItem, folder: Directory, name: bytes) -> None:
        if (kept := self._inherited(item)) is not None:
            set_attributes_of(folder, name, kept)

    def _inherited(self, item: StageItem) -> Attributes | None:
        """Give owner and access list of the file that is replaced, unless the snapshot names others; None for ours."""
        if not item.replaces:
            return None
        extra, is_file = item.entry.extra, item.entry.kind == Kind.FILE
        replaced = self._folders.parent(item.replaces)
        return inherited(*replaced, owner=OWNER not in extra, xattrs=is_file and XATTRS not in extra)

    def _report(self, item: StageItem, folder: Directory, name: bytes) -> None:
        if item.reported:
            found = folder.lstat(name)
            assert found is not None  # noqa: S101 - it was made a moment ago in pdelta's own folder
            self._staged.inodes[item.slot] = found.st_ino

    def _origin(self, origin: Origin) -> int:
        if self._open_origin is None or self._open_origin[0] != origin.path:
            self._close_origin()
            if self._small.content(origin.path) is not None:
                self._small.finish()
            self._open_origin = (origin.path, self._root.open_file(origin.path))
        return self._open_origin[1]

    def _close_origin(self) -> None:
        if self._open_origin is not None:
            os.close(self._open_origin[1])
            self._open_origin = None


def _wants_again(again: list[tuple[StageItem, list[PlacedChunk]]], patched: PatchedSource | None) -> Iterator[Want]:
    for item, chunks in again:
        if patched is not None and item.base is not None:
            yield from patched.wants_again(
                item.path, item.base, item.parts, [(chunk.offset, chunk.length) for chunk in chunks]
            )
        else:
            for chunk in chunks:
                yield Want(item.path, chunk.offset, chunk.length)


def _wrong_bytes(path: bytes, offset: int) -> IntegrityError:
    text = f"the source gave wrong bytes for {quoted(path)} at offset {offset}; nothing was changed"
    return IntegrityError(text, hint="run the same command again; if it repeats, the sender's disk is at fault")
