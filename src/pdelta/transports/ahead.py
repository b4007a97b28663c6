"""Frames that are compressed by threads of their own, while earlier ones are on their way.

Called where much is sent. zstd releases the interpreter's lock. Sends nothing itself.
"""

import os
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from pdelta.wire.frames import MAX_PAYLOAD_BYTES, Buffer, Packed, pack_whole

_MOST: Final = 4


class Ahead:
    """Payloads under compression, in the order in which they will be sent; holds at most twice as many as threads.

    Their buffers are used again and again: 500 MB in new ones cost 0.3 s of page faults.
    """

    def __init__(self) -> None:
        """Start no thread before there is work."""
        self._threads = min(_MOST, os.cpu_count() or 1)
        self._pool = ThreadPoolExecutor(self._threads, "compress")
        self._waiting: deque[tuple[Future[Packed], memoryview]] = deque()
        self._free: list[memoryview] = []

    def gather(self, filled: int, piece: Buffer) -> memoryview:
        """Copy a piece behind those that were gathered since the last payload; give all of them.

        Args:
            filled: Their length without it.
            piece: What comes next; ``MAX_PAYLOAD_BYTES`` with them at most.
        """
        if not self._free:
            self._free.append(memoryview(bytearray(MAX_PAYLOAD_BYTES)))
        room = self._free[-1]
        room[filled : filled + len(piece)] = piece
        return room[: filled + len(piece)]

    def put(self, filled: int) -> None:
        """Begin with another payload: what was gathered."""
        payload = self.gather(filled, b"")
        self._waiting.append((self._pool.submit(pack_whole, payload), self._free.pop()))

    @property
    def waiting(self) -> int:
        """How many payloads were put and not taken."""
        return len(self._waiting)

    @property
    def full(self) -> bool:
        """Whether one must be taken before another is put."""
        return self.waiting >= 2 * self._threads

    def take(self) -> Packed:
        """Give the next payload, when it is ready."""
        future, room = self._waiting.popleft()
        packed = future.result()
        self._free.append(room)
        return packed

    def clear(self) -> None:
        """Forget what waits."""
        for future, room in self._waiting:
            future.exception()  # waits
            self._free.append(room)
        self._waiting.clear()

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()
