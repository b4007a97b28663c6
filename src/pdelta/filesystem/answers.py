"""What a source gives while files are staged, as one stream.

Called by ``filesystem.stage``.
"""

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Protocol

from pdelta.errors import IntegrityError, TransportError
from pdelta.model.names import quoted
from pdelta.model.source import Want


class Ranges(Protocol):
    """Gives bytes of one wanted snapshot."""

    def read_ranges(self, wants: Iterable[Want]) -> Iterator[bytes | memoryview]:
        """Stream the answers, concatenated in the order of the wants."""
        ...


class Answers:
    """The source's answers as one stream of bytes, taken chunk by chunk.

    Taking drives the wants: the source pulls them when a piece of its answer is asked for.
    """

    def __init__(self, source: Ranges | None, wants: Iterator[Want]) -> None:
        self._source = source
        self._wants: Iterator[Want] | None = wants
        self._pieces: Iterator[bytes | memoryview] = iter(())
        self._rest: memoryview = memoryview(b"")

    def more(self) -> bool:
        """Bring the next piece, and with it the items that lead to it; False once all wants were given and answered."""
        if self._wants is not None:
            wants, self._wants = self._wants, None
            first = next(wants, None)
            if first is None:
                return False
            if self._source is None:
                text = f"nothing here holds the content of {quoted(first.path)} any more; nothing was changed"
                raise IntegrityError(text, hint="push it again, or roll back to an entry whose undo data is kept")
            self._pieces = iter(self._source.read_ranges(chain((first,), wants)))
            return True
        piece = next(self._pieces, None)
        if piece is None:
            return False
        self._rest = memoryview(piece) if not self._rest else memoryview(bytes(self._rest) + bytes(piece))
        return True

    def take(self, length: int) -> memoryview | bytes:
        """Give the next bytes."""
        rest = self._rest
        if len(rest) >= length:
            self._rest = rest[length:]
            return rest[:length]
        if not rest:
            piece = self._next()
            if len(piece) == length:
                return piece
            rest = memoryview(piece)
            if len(rest) > length:
                self._rest = rest[length:]
                return rest[:length]
        gathered = bytearray(rest)
        while len(gathered) < length:
            gathered += self._next()
        self._rest = memoryview(gathered)[length:]
        return memoryview(gathered)[:length]

    def finish(self) -> None:
        """Prove that nothing more came than was asked for."""
        self.refuse_surplus()
        while self.more():
            self.refuse_surplus()

    def refuse_surplus(self) -> None:
        """Refuse what came and nothing asked for, before more of it is taken into memory."""
        if self._rest:
            raise IntegrityError("the source sent more than it was asked for; nothing was changed")

    def _next(self) -> bytes | memoryview:
        try:
            return next(self._pieces)
        except StopIteration:
            text = "the source ended before it had sent everything; what was staged is kept"
            raise TransportError(text, hint="run the same command again: it goes on where it stopped") from None
