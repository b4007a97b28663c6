"""The scanned source as the other end sees it: pages from the cache, bytes from the files.

Composed by ``scanning``; read by an operation in this process, or through a session by one on
another host. Never trusts that a file is still what the scan saw.
"""

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from pdelta.errors import FilesystemError, FormatError, SourceChangedError
from pdelta.filesystem.batch import batch_calls
from pdelta.filesystem.directories import DirectoryCache
from pdelta.filesystem.fingerprint import RACY, Fingerprint
from pdelta.filesystem.index import Index, Known
from pdelta.filesystem.safe import Directory
from pdelta.model.names import parent_of
from pdelta.model.snapshot import PageReader
from pdelta.model.source import JOINED_NEW_BYTES, Answer, Want

if TYPE_CHECKING:
    from pdelta.app.answers import Bases, Joiner

PIECE_BYTES: Final = 1 << 20
"""No piece of an answer is longer; small files are joined up to it."""

_FOLDERS_HELD: Final = 64
_OPEN: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class LocalSource:
    """Pages and bytes of one scanned folder.

    May be called from another thread than the one that made it, by one caller at a time.

    Args:
        root: The scanned folder; stays the caller's to close.
        index: What the scan recorded of each file.
        pages: Where the scan put the pages.
        lock: Guards index and pages, which share a database.
        record: Id and bytes of the root record, which no store of pages holds.

    Attributes:
        read_bytes: How many bytes of files were read so far.
        bases: What was pushed before; None where nothing is kept.
    """

    def __init__(
        self, root: Directory, index: Index, pages: PageReader, lock: threading.Lock, *, record: tuple[bytes, bytes]
    ) -> None:
        """Read nothing yet."""
        self._record = record
        self._root = root
        self._index = index
        self._pages = pages
        self._lock = lock
        self._folders: dict[bytes, Known] = {}
        self._open_folders = DirectoryCache(root)
        self._calls = batch_calls()
        self.read_bytes = 0
        self.bases: Bases | None = None

    def close(self) -> None:
        """Close the folders that reading opened."""
        self._open_folders.close()

    def read_pages(self, ids: Iterable[bytes]) -> Mapping[bytes, bytes]:
        """Give the canonical bytes of each page by its id.

        Raises:
            IntegrityError: A page is missing or damaged.
        """
        snapshot, record = self._record
        wanted = list(ids)
        below = [id for id in wanted if id != snapshot]
        found: dict[bytes, bytes] = {}
        if below:
            with self._lock:
                found.update(self._pages.read_pages(below))
        if len(below) < len(wanted):
            found[snapshot] = record
        return found

    def read_ranges(self, wants: Iterable[Want]) -> Iterator[bytes | memoryview]:
        """Stream the ranges in the order of the wants; see ``model.source.Source``.

        Each file is opened once for a run of wants of it, and looked at before and after: bytes of
        a file that changed since the scan end in an error, never in a mixture.

        Raises:
            SourceChangedError: A file is not what the scan saw, or it vanished.
        """
        held: list[bytes | memoryview] = []
        room = PIECE_BYTES
        for piece in self._pieces(wants):
            if len(piece) > PIECE_BYTES:
                # A patch or a frame: at most the 8 MiB of one joined answer.
                if held:
                    yield _joined(held)
                    held, room = [], PIECE_BYTES
                for begin in range(0, len(piece), PIECE_BYTES):
                    yield piece[begin : begin + PIECE_BYTES]
                continue
            if len(piece) > room:
                yield _joined(held)
                held, room = [], PIECE_BYTES
            if len(piece) == PIECE_BYTES:
                yield piece
                continue
            held.append(piece)
            room -= len(piece)
        if held:
            yield _joined(held)

    def _pieces(self, wants: Iterable[Want]) -> Iterator[bytes | memoryview]:
        path: bytes | None = None
        descriptor = -1
        recorded = b""
        # The reader is called for a want only after its file was opened.
        joiner = self._join(lambda want: self._read_whole(descriptor, want))
        together = _Together()
        try:
            for want in wants:
                if want.path != path:
                    if descriptor >= 0:
                        self._close_checked(descriptor, recorded, path or b"")
                        descriptor, path = -1, None
                    if joiner is None and self._is_small(want):
                        yield from self._read_together(together.add(want))
                        continue
                    yield from self._read_together(together.take())
                    path = want.path
                    descriptor, recorded = self._open(path)
                yield from self._answer(descriptor, want, joiner)
            if descriptor >= 0:
                self._close_checked(descriptor, recorded, path or b"")
                descriptor = -1
            yield from self._read_together(together.take())
            if joiner is not None:
                yield from joiner.flush()
        finally:
            if descriptor >= 0:
                os.close(descriptor)

    def _is_small(self, want: Want) -> bool:
        """Whether a want is a whole file that may be read with others."""
        if want.offset or want.signature or want.base or want.length > PIECE_BYTES:
            return False
        parent, _, name = want.path.rpartition(b"/")
        known = self._folder(parent).get(name)
        return known is not None and want.length == known[1].size and known[0] != RACY

    def _read_together(self, wants: Sequence[Want]) -> Iterator[bytes | memoryview]:
        """Give whole files of one folder that are what the scan saw, in as few calls as can be.

        A fingerprint that is equal after reading was equal before. Measured on 20,000 files of 12 KB: 0.2 s of
        processor time, 0.4 s with three calls from Python for each, 0.75 s on the general way.
        """
        if not wants:
            return
        parent = parent_of(wants[0].path)
        known = self._folder(parent)
        names = [want.path.rpartition(b"/")[2] for want in wants]
        data = memoryview(bytearray(sum([want.length for want in wants])))
        good = bytes(len(wants))
        # Where the folder cannot be opened, the general way says why.
        with suppress(OSError, FilesystemError):
            folder = self._open_folders.directory(parent)
            good = self._calls.read(folder.fd, names, b"".join([known[name][0] for name in names]), data)
        if all(good):
            self.read_bytes += len(data)
            yield data
            return
        begin = 0
        for want, is_good in zip(wants, good, strict=True):
            end = begin + want.length
            if is_good:
                self.read_bytes += want.length
                yield data[begin:end]
            else:
                descriptor, recorded = self._open(want.path)
                try:
                    yield from self._read(descriptor, want)
                except BaseException:
                    os.close(descriptor)
                    raise
                self._close_checked(descriptor, recorded, want.path)
            begin = end

    def _join(self, read: Callable[[Want], bytes]) -> "Joiner | None":
        if self.bases is None:
            return None
        from pdelta.app.answers import Joiner  # patches bring two libraries, and most pushes need none

        return Joiner(self.bases, read)

    def _answer(self, descriptor: int, want: Want, joiner: "Joiner | None") -> Iterator[bytes]:
        if want.base and joiner is not None:
            yield from joiner.add(want)
            return
        if joiner is not None:
            yield from joiner.flush()
        if not (want.signature or want.base):
            yield from self._read(descriptor, want)
            return
        from pdelta.app.answers import HEADER, answer_fine

        if want.signature:
            yield from answer_fine(self._read_whole(descriptor, want), want)
        else:
            yield HEADER.pack(Answer.LOST, 0)

    def _read_whole(self, descriptor: int, want: Want) -> bytes:
        """Give a range that must be had at once to be patched.

        Raises:
            FormatError: It is longer than any that may be asked for so.
        """
        if want.length > JOINED_NEW_BYTES:
            message = f"a patch of {want.length} bytes of {want.path!r} was asked for; {JOINED_NEW_BYTES} are allowed"
            raise FormatError(message)
        return b"".join(self._read(descriptor, want))

    def _read(self, descriptor: int, want: Want) -> Iterator[bytes]:
        offset, left = want.offset, want.length
        while left:
            try:
                data = os.pread(descriptor, min(left, PIECE_BYTES), offset)
            except OSError as error:
                raise _changed(want.path, f"can't be read: {error.strerror}") from error
            if not data:
                raise _changed(want.path, "became shorter")
            self.read_bytes += len(data)
            offset += len(data)
            left -= len(data)
            yield data

    def open_file(self, path: bytes) -> int:
        """Give a descriptor of a file that is what the scan saw; the caller closes it.

        Raises:
            SourceChangedError: It is another one, or it vanished.
        """
        return self._open(path)[0]

    def _open(self, path: bytes) -> tuple[int, bytes]:
        """Give a descriptor and the fingerprint it has now, which is the one that the scan saw."""
        try:
            descriptor = self._root.open_file(path)
        except (OSError, FilesystemError) as error:
            raise _changed(path, f"can't be opened any more: {_reason(error)}") from error
        try:
            status = os.fstat(descriptor)
            now = Fingerprint.of(status)
            self._check(path, now)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor, now

    def _check(self, path: bytes, now: Fingerprint) -> None:
        parent = parent_of(path)
        name = path[len(parent) + 1 :] if parent else path
        known = self._folder(parent).get(name)
        if known is None:
            raise _changed(path, "was not there when it was scanned")
        fingerprint, entry = known
        if fingerprint == RACY:
            # Scanned within the clock's granularity: size and time are all that can be compared, and the
            # chunk ids, which the receiver checks, decide.
            if (now.size, now.mtime_ns) != (entry.size, entry.mtime_ns):
                raise _changed(path, "changed since it was scanned")
        elif fingerprint != now:
            raise _changed(path, "changed since it was scanned")

    def _folder(self, parent: bytes) -> Known:
        known = self._folders.get(parent)
        if known is None:
            if len(self._folders) >= _FOLDERS_HELD:
                self._folders.clear()
            with self._lock:
                known = self._folders[parent] = self._index.details(parent)
        return known

    @staticmethod
    def _close_checked(descriptor: int, recorded: bytes, path: bytes) -> None:
        now = Fingerprint.of(os.fstat(descriptor))
        os.close(descriptor)
        if now != recorded:
            raise _changed(path, "changed while it was read")


class _Together:
    """Small files of one folder that are asked for one after the other, one piece of them at most."""

    def __init__(self) -> None:
        self._wants: list[Want] = []
        self._room = 0

    def add(self, want: Want) -> list[Want]:
        """Add one; give those that must be read before it."""
        full: list[Want] = []
        if self._wants and (want.length > self._room or parent_of(want.path) != parent_of(self._wants[0].path)):
            full = self.take()
        self._room = (self._room if self._wants else PIECE_BYTES) - want.length
        self._wants.append(want)
        return full

    def take(self) -> list[Want]:
        """Give those that were added, and begin anew."""
        wants, self._wants = self._wants, []
        return wants


def _joined(pieces: Sequence[bytes | memoryview]) -> bytes | memoryview:
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _changed(path: bytes, what: str) -> SourceChangedError:
    message = f"source file {os.fsdecode(path)!r} {what}"
    return SourceChangedError(message, path=path, hint="let whoever writes it finish, and push again")


def _reason(error: Exception) -> str:
    return error.strerror or str(error) if isinstance(error, OSError) else str(error)
