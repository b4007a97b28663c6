"""A moving window over the bytes of a file.

Called by the chunker alone. Keeps what is not consumed yet, reads the rest of its buffer full, and lends buffers to the
next file instead of making new ones.
"""

from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

ReadAt = Callable[[int, memoryview], int]
"""Fills a buffer with what begins at an offset, gives the number of bytes read; 0 at the end."""

WINDOW_BYTES: Final = 8 << 20
"""Measured on 256 MiB of random bytes: 1 to 16 MiB differ by less than the noise; small ones make small batches."""

MAX_SPARE: Final = 4

_spare: list[bytearray] = []
# Buffers of WINDOW_BYTES for the next files: a fresh one costs 0.4 ms. List operations are atomic.


class Window:
    """The part of a file that is in memory; use as a context, which gives the buffer back.

    Attributes:
        offset: Where in the file the window begins.
        remaining: Bytes in the window that are not consumed.
        ended: Whether the window reaches the end of the file.
    """

    def __init__(self, read_at: ReadAt, maximum: int, size_hint: int = 0) -> None:
        """Open a window of at least four of the greatest chunks; nothing is read yet.

        Args:
            read_at: Where the bytes come from.
            maximum: The greatest chunk in bytes.
            size_hint: The likely size of the file; 0 when not known. A smaller file gets a smaller buffer.
        """
        self.offset = 0
        self.remaining = 0
        self.ended = False
        self._read_at = read_at
        self._least = 2 * maximum
        self._full = max(WINDOW_BYTES, 4 * maximum)
        self._start = 0
        # One byte more than the size shows the end of the file.
        self._buffer = _take(min(self._full, size_hint + 1) if size_hint else self._full)
        self._view = memoryview(self._buffer)

    def __enter__(self) -> Self:
        """Give the window."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        """Give the buffer back for the next file."""
        self._view.release()
        _give_back(self._buffer)

    def fill(self) -> None:
        """Read on where fewer than two of the greatest chunks are left; afterwards that many are there, or the end."""
        if self.ended or self.remaining >= self._least:
            return
        self._make_room()
        view, filled = self._view, self.remaining
        while filled < len(view):
            count = self._read_at(self.offset + filled, view[filled:])
            if count <= 0:
                self.ended = True
                break
            filled += count
        self.remaining = filled
        if not self.ended and filled < self._least:
            self.fill()

    def seek(self, offset: int) -> None:
        """Go on at another place; what is in memory is kept where it can be."""
        if self.offset <= offset <= self.offset + self.remaining:
            self.advance(offset - self.offset)
            return
        self.offset, self.remaining, self._start, self.ended = offset, 0, 0, False

    def rest(self) -> memoryview:
        """Give what is not consumed."""
        return self._view[self._start : self._start + self.remaining]

    def advance(self, count: int) -> None:
        """Consume bytes."""
        self.offset += count
        self.remaining -= count
        self._start += count

    def _make_room(self) -> None:
        """Move what is left to the front, of a full-sized buffer when this one was too small for the file."""
        rest = self.rest()
        if self.remaining < len(self._view):
            self._view[: self.remaining] = rest
        else:
            old_buffer, old_view = self._buffer, self._view
            self._buffer = _take(self._full)
            self._view = memoryview(self._buffer)
            self._view[: self.remaining] = rest
            old_view.release()
            _give_back(old_buffer)
        self._start = 0


def _take(length: int) -> bytearray:
    if length == WINDOW_BYTES and _spare:
        try:
            return _spare.pop()
        except IndexError:
            pass  # Another thread took it in between.
    return bytearray(length)


def _give_back(buffer: bytearray) -> None:
    if len(buffer) == WINDOW_BYTES and len(_spare) < MAX_SPARE:
        _spare.append(buffer)
