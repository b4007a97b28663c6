"""New small files, made many at a time by a thread of their own while the next ones are on their way.

Called by staging. What a file holds was proved before it comes here.
"""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from pdelta.filesystem.batch import BatchCalls
from pdelta.filesystem.batch.port import FACT
from pdelta.model.snapshot import Entry

if TYPE_CHECKING:
    from concurrent.futures import Future, ThreadPoolExecutor

ROOM_BYTES: Final = 512 << 10
"""How much is made at once."""

_FEW: Final = 8
_LITTLE_BYTES: Final = 64 << 10
"""So few files, of so little, are made by the caller: a thread's turn takes as long."""

Made = Callable[[bytes, int], None]


class SmallFiles:
    """Files of one folder at a time; call ``finish`` before anything that needs them.

    Measured for 20,000 files of 12 KB: 1.5 s where each took its calls from Python, one after the other.

    Args:
        calls: Make the files.
        sync: Whether each is brought to the disk.
        threaded: Whether a thread may make them.
        made: Hears of each file's path and inode number when it is whole, in order, from the caller's thread.
    """

    def __init__(self, calls: BatchCalls, made: Made, *, sync: bool, threaded: bool) -> None:
        """Make nothing yet."""
        self._calls = calls
        self._made = made
        self._sync = sync
        self._threaded = threaded
        self._pool: ThreadPoolExecutor | None = None
        self._running: tuple[Future[tuple[int, ...]], _Batch] | None = None
        self._batch = _Batch()
        self._other = _Batch()

    def room(self, folder_fd: int, folder: bytes, size: int) -> memoryview:
        """Give where the content of the next file goes; ``add`` takes it, and without that it is forgotten.

        Args:
            folder_fd: Descriptor of its folder; may be closed afterwards.
            folder: The folder's path, by which files of one are told.
            size: Its length in bytes, ``ROOM_BYTES`` at most.

        Raises:
            OSError: An earlier file could not be made; its ``filename`` is the name.
        """
        batch = self._batch
        if batch.fd < 0 or batch.folder != folder or batch.filled + size > ROOM_BYTES:
            self._flush()
            batch = self._batch
            batch.begin(folder_fd, folder)
        return batch.room(size)

    def add(self, slot: bytes, name: bytes, entry: Entry) -> None:
        """Take the file whose content is in the room that was given last.

        Args:
            slot: Its path.
            name: Its name in the folder.
            entry: Gives size, mode and time.
        """
        self._batch.add(slot, name, entry)

    def content(self, slot: bytes) -> memoryview | None:
        """Give what a file holds that was taken and is perhaps not made yet; None for others.

        Not for long: the next file but one may be in its place.
        """
        found = self._batch.content(slot)
        return self._running[1].content(slot) if found is None and self._running is not None else found

    def finish(self) -> None:
        """Make what was taken.

        Raises:
            OSError: A file could not be made.
        """
        self._flush()
        self._wait()

    def close(self) -> None:
        """End the thread; what was taken and not begun is forgotten."""
        if self._running is not None:
            self._running[0].exception()  # waits
            self._running[1].end()
        self._batch.end()
        if self._pool is not None:
            self._pool.shutdown()

    def _flush(self) -> None:
        batch = self._batch
        if batch.fd < 0:
            return
        self._wait()
        if not self._threaded or (len(batch.names) < _FEW and batch.filled < _LITTLE_BYTES):
            self._tell(batch, batch.make(self._calls, sync=self._sync))
            return
        if self._pool is None:
            from concurrent.futures import ThreadPoolExecutor

            self._pool = ThreadPoolExecutor(1, "small")
        self._running = self._pool.submit(batch.make, self._calls, sync=self._sync), batch
        self._batch, self._other = self._other, batch

    def _wait(self) -> None:
        if self._running is not None:
            (future, batch), self._running = self._running, None
            self._tell(batch, future.result())

    def _tell(self, batch: "_Batch", inodes: tuple[int, ...]) -> None:
        slots = batch.slots
        batch.end()
        for slot, inode in zip(slots, inodes, strict=True):
            self._made(slot, inode)


class _Batch:
    """Some files of one folder; its buffer is used again."""

    def __init__(self) -> None:
        self.fd = -1
        self.folder = b""
        self.filled = 0
        self.slots: dict[bytes, tuple[int, int]] = {}
        self.names: list[bytes] = []
        self._facts: list[bytes] = []
        self._room = bytearray()

    def begin(self, folder_fd: int, folder: bytes) -> None:
        """Hold the folder open: its owner may close it before the files are made."""
        self._room = self._room or bytearray(ROOM_BYTES)
        self.fd = os.dup(folder_fd)
        self.folder = folder

    def room(self, size: int) -> memoryview:
        """Give where the content of the next file goes."""
        return memoryview(self._room)[self.filled : self.filled + size]

    def add(self, slot: bytes, name: bytes, entry: Entry) -> None:
        """Take a file whose content is there."""
        self.slots[slot] = self.filled, self.filled + entry.size
        self.filled += entry.size
        self.names.append(name)
        self._facts.append(FACT.pack(entry.size, entry.mtime_ns, entry.mode))

    def content(self, slot: bytes) -> memoryview | None:
        """Give what a file holds that was taken."""
        found = self.slots.get(slot)
        return None if found is None else memoryview(self._room)[found[0] : found[1]]

    def make(self, calls: BatchCalls, *, sync: bool) -> tuple[int, ...]:
        """Make them."""
        return calls.create(self.fd, self.names, self._facts, self._room, sync=sync)

    def end(self) -> None:
        """Be empty."""
        if self.fd >= 0:
            os.close(self.fd)
        self.fd, self.filled = -1, 0
        self.slots, self.names, self._facts = {}, [], []
