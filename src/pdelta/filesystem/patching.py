"""Asks for patches against files that the tree has, and turns the answers into plain bytes.

Stands between staging and a source at the other end of a link. A patch may be
wrong without harm: what it gives is compared with the chunk ids, and asked for
plainly once when it differs.
"""

import os
import struct
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from typing import Final

from pdelta.chunking.fine import apply_patch, signature
from pdelta.chunking.prefix import apply_frame
from pdelta.errors import FormatError, PdeltaError, TransportError
from pdelta.filesystem.safe import Directory
from pdelta.model.amount import counted
from pdelta.model.names import quoted
from pdelta.model.source import JOINED_NEW_BYTES, JOINED_OLD_BYTES, Answer, Source, Want
from pdelta.tree.recipe import Origin, Part, Place

HEADER: Final = struct.Struct(">BI")
COUNT: Final = struct.Struct(">H")

SIGNED_BYTES: Final = 2 << 20
"""A signed range is not longer."""

BASED_BYTES: Final = 1 << 20
"""A range that is asked for by its base is not longer."""

LEAST_SIGNED_BYTES: Final = 1024
"""A signature of 512-byte pieces costs 2 %; below this the literals are nearly all of a range."""

LEAST_BASED_BYTES: Final = 128
SLACK_BYTES: Final = 64 << 10
"""How far content may have moved where a long range was cut into several wants."""

MARGIN_BYTES: Final = 4 << 10
"""What is added on both sides of a replaced range where a base costs nothing to name."""

_PIECE_BYTES: Final = 1 << 20
_ZEROS: Final = bytes(_PIECE_BYTES)


class Patches(StrEnum):
    """How ranges are asked for that replace others."""

    NONE = ""
    FINE = "fine"
    BASE = "base"


class PatchedSource:
    """A source that is asked for patches where a base is known.

    Args:
        root: The tree.
        source: Gives the answers.
        patches: How to ask at first.

    Attributes:
        lost: Whether the source lacked a base: what it gave as zeros is worth a signature.
    """

    def __init__(self, root: Directory, source: Source, patches: Patches) -> None:
        """Ask for nothing yet."""
        self._root = root
        self._source = source
        self._patches = patches
        self._bases: deque[bytes] = deque()
        self._open: tuple[bytes, int] | None = None
        self.lost = False

    def close(self) -> None:
        """Close what it opened."""
        if self._open is not None:
            os.close(self._open[1])
            self._open = None

    def sign(self) -> None:
        """Ask with signatures from now on."""
        self._patches = Patches.FINE
        self.lost = False

    def wants(self, path: bytes, base: Origin, parts: Sequence[Part]) -> Iterator[Want]:
        """Give what to ask for, so that the answers are all ranges to fetch, joined in their order.

        Args:
            path: The file's path in the wanted snapshot.
            base: The file that it replaces, or its likeliest ancestor.
            parts: All its parts.
        """
        for index, part in enumerate(parts):
            if part.place == Place.FETCH:
                yield from self._split(path, base, part, replaced(parts, index, base), (0, part.length))

    def wants_again(
        self, path: bytes, base: Origin, parts: Sequence[Part], ranges: Iterable[tuple[int, int]]
    ) -> Iterator[Want]:
        """Give what to ask for, so that the answers are some (offset, length) ranges of a file, in their order."""
        for index, offset, length in _joined(parts, ranges):
            part = parts[index]
            if part.place == Place.FETCH:
                first = offset - part.offset
                yield from self._split(path, base, part, replaced(parts, index, base), (first, first + length))
            else:
                yield Want(path, offset, length)

    def read_ranges(self, wants: Iterable[Want]) -> Iterator[bytes | memoryview]:
        """Stream the plain bytes of the wants, which may be any; zeros stand for what could not be had.

        Raises:
            FormatError: The source answered with what was not asked for.
        """
        pending: deque[Want] = deque()
        feed = _Feed(self._source.read_ranges(_recorded(wants, pending)))
        while pending or feed.pull():
            plain = 0
            while pending and not (pending[0].signature or pending[0].base):
                plain += pending.popleft().length
            if plain:
                yield from feed.stream(plain)
            elif pending:
                yield from self._answer(feed, pending)
            else:
                yield from feed.stream(1)

    # -- asking -------------------------------------------------------------------------------------------------

    def _split(
        self, path: bytes, base: Origin, part: Part, old: tuple[int, int], bounds: tuple[int, int]
    ) -> Iterator[Want]:
        """Ask for a stretch of a part, given by bounds from its beginning, in ranges that an answer may have."""
        based = self._patches is Patches.BASE
        start, stop = bounds
        count = -(-(stop - start) // (BASED_BYTES if based else SIGNED_BYTES))
        begin, end = old
        for index in range(count):
            first, last = (start + (stop - start) * it // count for it in (index, index + 1))
            low, high = (begin + (end - begin) * it // part.length for it in (first, last))
            if last - first < part.length:
                low, high = max(begin, low - SLACK_BYTES), min(end, high + SLACK_BYTES)
            if based:
                low, high = max(0, low - MARGIN_BYTES), min(base.entry.size, high + MARGIN_BYTES)
            high = min(high, low + 4 * (last - first) + SLACK_BYTES)
            yield self._want(path, base, (part.offset + first, last - first), (low, high - low))

    def _want(self, path: bytes, base: Origin, new: tuple[int, int], old: tuple[int, int]) -> Want:
        offset, length = new
        begin, size = old
        if self._patches is Patches.BASE and length >= LEAST_BASED_BYTES and size > 0:
            self._bases.append(base.path)
            return Want(path, offset, length, b"", base.entry.content, begin, size)
        if self._patches is Patches.FINE and min(length, size) >= LEAST_SIGNED_BYTES:
            signed = signature(self._read(base.path, begin, size))
            if len(signed) > 16:
                self._bases.append(base.path)
                return Want(path, offset, length, signed, b"", begin, size)
        return Want(path, offset, length)

    def _read(self, path: bytes, offset: int, length: int) -> bytes:
        """Give a range of a file of the tree; less of it where the file is not what it was."""
        try:
            if self._open is None or self._open[0] != path:
                self.close()
                self._open = (path, self._root.open_file(path))
            return read_range(self._open[1], offset, length)
        except (OSError, PdeltaError):
            return b""

    # -- answers ------------------------------------------------------------------------------------------------

    def _answer(self, feed: "_Feed", pending: deque[Want]) -> Iterator[bytes | memoryview]:
        want = pending.popleft()
        kind, length = HEADER.unpack(feed.take(HEADER.size))
        base = self._bases.popleft()
        if kind == Answer.PLAIN and length == want.length:
            yield from feed.stream(length)
        elif kind == Answer.FINE and want.signature and length <= want.length:
            yield from self._fine(want, base, feed.take(length))
        elif kind == Answer.JOINED and want.base and COUNT.size < length <= 2 * JOINED_NEW_BYTES:
            (count,) = COUNT.unpack(feed.take(COUNT.size))
            wants, paths = [want], [base]
            while len(wants) < count and pending and pending[0].base:
                wants.append(pending.popleft())
                paths.append(self._bases.popleft())
            if len(wants) != count:
                raise _unasked(want, kind, length)
            yield from self._apply_joined(wants, paths, feed.take(length - COUNT.size))
        elif kind == Answer.LOST and want.base and not length:
            self.lost = True
            yield from _zeros(want.length)
        else:
            raise _unasked(want, kind, length)

    def _fine(self, want: Want, base: bytes, patch: bytes) -> Iterator[bytes | memoryview]:
        old = self._read(base, want.base_offset, want.base_length)
        try:
            new = apply_patch(old, patch, limit=want.length)
        except PdeltaError:
            new = b""
        yield from ((new,) if len(new) == want.length else _zeros(want.length))

    def _apply_joined(self, wants: list[Want], paths: list[bytes], frame: bytes) -> Iterator[bytes | memoryview]:
        length = sum(want.length for want in wants)
        if length > JOINED_NEW_BYTES or sum(want.base_length for want in wants) > JOINED_OLD_BYTES:
            raise _unasked(wants[0], Answer.JOINED, len(frame))
        old = b"".join(
            self._read(path, want.base_offset, want.base_length) for want, path in zip(wants, paths, strict=True)
        )
        try:
            yield apply_frame(old, frame, length)
        except PdeltaError:
            yield from _zeros(length)


def replaced(parts: Sequence[Part], index: int, base: Origin) -> tuple[int, int]:
    """Say which range of the old file a part to fetch replaces: what lies between the reused ranges around it.

    Args:
        parts: All parts of the new file.
        index: The part to fetch.
        base: The old file.
    """
    size = base.entry.size
    begin = min(max(parts[index].origin_offset, 0), size)
    for part in parts[index + 1 :]:
        if part.origin is not None and part.origin.path == base.path and part.origin_offset >= begin:
            return begin, min(part.origin_offset, size)
        if part.place == Place.FETCH:
            break
    return begin, size


def _joined(parts: Sequence[Part], ranges: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int, int]]:
    """Give (part index, offset, length) of ranges; neighbours of one part are joined."""
    index = 0
    held: tuple[int, int, int] | None = None
    for offset, length in ranges:
        while parts[index].offset + parts[index].length <= offset:
            index += 1
        if held is not None and held[0] == index and held[1] + held[2] == offset:
            held = (index, held[1], held[2] + length)
            continue
        if held is not None:
            yield held
        held = (index, offset, length)
    if held is not None:
        yield held


def patched(root: Directory, source: Source | None) -> PatchedSource | None:
    """Give a source that is asked for patches, where the source is at the other end of a link and takes such wants."""
    patches = getattr(source, "patches", Patches.NONE)
    return PatchedSource(root, source, Patches(patches)) if source is not None and patches else None


class _Feed:
    """A source's pieces as a stream."""

    def __init__(self, pieces: Iterator[bytes | memoryview]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")

    def pull(self) -> bool:
        """Have at least one byte, unless the source has ended."""
        while not self._rest:
            piece = next(self._pieces, None)
            if piece is None:
                return False
            self._rest = memoryview(piece)
        return True

    def take(self, length: int) -> bytes:
        """Give the next bytes."""
        return b"".join(self.stream(length))

    def stream(self, length: int) -> Iterator[bytes | memoryview]:
        """Give the next bytes in pieces, as they come."""
        while length:
            if not self.pull():
                text = "the source ended before it had sent everything; what was staged is kept"
                raise TransportError(text, hint="run the same command again: it goes on where it stopped")
            piece = self._rest[:length]
            self._rest = self._rest[length:]
            length -= len(piece)
            yield piece


def read_range(fd: int, offset: int, length: int) -> bytes:
    """Give a range of a file, less of it where the file ends."""
    pieces: list[bytes] = []
    while length > 0 and (piece := os.pread(fd, length, offset)):
        pieces.append(piece)
        offset += len(piece)
        length -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _recorded(wants: Iterable[Want], pending: deque[Want]) -> Iterator[Want]:
    for want in wants:
        pending.append(want)
        yield want


def _zeros(length: int) -> Iterator[bytes | memoryview]:
    """Give what no chunk id fits but that of zeros: the range will be asked for again."""
    for begin in range(0, length, _PIECE_BYTES):
        yield _ZEROS[: min(_PIECE_BYTES, length - begin)]


def _unasked(want: Want, kind: int, length: int) -> FormatError:
    came, asked = counted(length, "byte"), counted(want.length, "byte")
    return FormatError(f"the source answered kind {kind} of {came} for {asked} of {quoted(want.path)}")
