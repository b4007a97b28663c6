"""Bytes in motion: a stream of frames, encoded and decoded without any input or output.

A frame is ``u8 type, u8 flags, u32 length`` (big-endian) and ``length`` bytes of
payload. Compressed frames of one direction share one zstd stream that is flushed
after each of them, so that small frames profit from what went before; those of a
large transfer are zstd frames of their own, so that several are made at once.
Called by ``transports.link``; knows nothing of what a frame means. The bytes are
specified in ``docs/formats/wire.md``.
"""

import struct
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import msgspec

from pdelta.errors import FormatError
from pdelta.model.amount import counted

if sys.version_info >= (3, 14):
    from compression.zstd import (
        CompressionParameter,
        DecompressionParameter,
        ZstdCompressor,
        ZstdDecompressor,
        ZstdError,
    )
else:
    from backports.zstd import CompressionParameter, DecompressionParameter, ZstdCompressor, ZstdDecompressor, ZstdError

HEADER: Final = struct.Struct(">BBI")
RAW_LENGTH: Final = struct.Struct(">I")

MAX_PAYLOAD_BYTES: Final = 4 << 20
"""No payload is longer, neither as sent nor as decompressed."""

ZSTD: Final = 1
"""Flag: the payload is a big-endian 32-bit raw length and a flushed part of the zstd stream."""

END: Final = 2
"""Flag: the last frame of its message or answer."""

WHOLE: Final = 4
"""Flag, beside ``ZSTD``: the part is a zstd frame of its own, and the stream goes on behind it."""

KNOWN_FLAGS: Final = ZSTD | END | WHOLE

WINDOW_LOG: Final = 22
"""Window of the zstd stream, 4 MiB."""

BULK_LEVEL: Final = 1
"""zstd level of what is compressed whole: there is much of it, so its time counts."""

BULK_HASH_LOG: Final = 16
"""Size of the table in which matches are found then: 256 KiB, which caches hold. 105 MB of JavaScript packages in parts
of 2 MiB shrank to 73.7 MB in 0.33 s of one core (72.4 in 0.33 s in one stream with 512 KiB, 71.1 in 0.44 s by level 3),
265 MB of logs to 54.1 in 0.87 s (54.2 in 0.86 s, and 54.9 in 1.1 s)."""

_BULK: Final[Mapping[int, int]] = {
    CompressionParameter.compression_level: BULK_LEVEL,
    CompressionParameter.window_log: WINDOW_LOG,
    CompressionParameter.hash_log: BULK_HASH_LOG,
}

THOROUGH_LEVEL: Final = 6
"""From this level on the window is the largest: what is sent so is little, and dear."""

WINDOW_LOG_MAX: Final = 24
"""The largest window that a decoder accepts, 16 MiB; with it, fine patches of typescript shrank by another 6 %."""

Buffer = bytes | bytearray | memoryview


class Frame(msgspec.Struct, frozen=True, gc=False):
    """One decoded frame.

    Attributes:
        type: Number of the message type.
        flags: ``END`` or 0; ``ZSTD`` has done its work and is gone.
        payload: Plain bytes.
        wire_bytes: Length as it was sent, header included.
    """

    type: int
    flags: int
    payload: bytes
    wire_bytes: int


class Encoder:
    """Turns payloads into frames of one direction.

    Args:
        level: zstd level.
    """

    def __init__(self, level: int = 1) -> None:
        """Begin a direction; the zstd stream begins with the first compressed frame."""
        self._level = level
        self._zstd: ZstdCompressor | None = None
        self._ends = False

    def set_level(self, level: int) -> None:
        """Choose another zstd level: the stream begins anew with the next compressed frame."""
        self._ends = self._ends or (self._zstd is not None and level != self._level)
        self._level = level

    def encode(self, kind: int, pieces: Sequence[Buffer], *, end: bool = True, compress: bool = False) -> list[Buffer]:
        """Give the bytes of one frame, as buffers to be written in this order.

        Plain payloads are not copied: the result refers to the pieces given.

        Args:
            kind: Number of the message type.
            pieces: The payload, in as many buffers as the caller has it.
            end: Whether this is the last frame of its message or answer.
            compress: Whether to send it through the zstd stream.

        Raises:
            ValueError: The payload is too long.
        """
        length = sum(len(piece) for piece in pieces)
        if length > MAX_PAYLOAD_BYTES:
            text = f"a frame holds at most {MAX_PAYLOAD_BYTES} bytes, not {length}"
            raise ValueError(text)
        flags = END if end else 0
        if compress:
            return _compressed(kind, flags | ZSTD, length, self._compress(pieces))
        return [HEADER.pack(kind, flags, length), *pieces]

    def _compress(self, pieces: Sequence[Buffer]) -> list[Buffer]:
        packed: list[Buffer] = []
        if self._ends and self._zstd is not None:
            packed.append(self._zstd.flush(ZstdCompressor.FLUSH_FRAME))
            self._zstd, self._ends = None, False
        if self._zstd is None:
            options: dict[int, int] = {
                CompressionParameter.compression_level: self._level,
                CompressionParameter.window_log: WINDOW_LOG if self._level < THOROUGH_LEVEL else WINDOW_LOG_MAX,
            }
            self._zstd = ZstdCompressor(options=options)
        packed += [self._zstd.compress(piece) for piece in pieces]
        packed.append(self._zstd.flush(ZstdCompressor.FLUSH_BLOCK))
        return packed


class Packed(NamedTuple):
    """A payload that was compressed whole.

    Attributes:
        raw_bytes: Its length before.
        part: The zstd frame.
    """

    raw_bytes: int
    part: bytes

    def frame(self, kind: int, *, end: bool) -> list[Buffer]:
        """Give the bytes of a frame with this payload; see ``Encoder.encode``."""
        return _compressed(kind, ZSTD | WHOLE | (END if end else 0), self.raw_bytes, [self.part])


def pack_whole(payload: Buffer) -> Packed:
    """Compress a payload by itself, apart from any stream, so that several can be compressed at once."""
    return Packed(len(payload), ZstdCompressor(options=_BULK).compress(payload, ZstdCompressor.FLUSH_FRAME))


def _compressed(kind: int, flags: int, length: int, packed: Sequence[Buffer]) -> list[Buffer]:
    packed_length = RAW_LENGTH.size + sum(map(len, packed))
    if packed_length > MAX_PAYLOAD_BYTES:
        text = f"a payload of {counted(length, 'byte')} grows beyond a frame when compressed"
        raise ValueError(text)
    return [HEADER.pack(kind, flags, packed_length) + RAW_LENGTH.pack(length), *packed]


class Decoder:
    """Turns the bytes of one direction back into frames; keeps at most one frame and one zstd window.

    Args:
        bounded: Whether a frame may grow beyond its declared length when
            decompressed. False only in the test that shows what the bound is for.
    """

    def __init__(self, *, bounded: bool = True) -> None:
        """Begin a direction."""
        self._buffer = bytearray()
        self._zstd: ZstdDecompressor | None = None
        self._bounded = bounded

    def feed(self, data: Buffer) -> Iterator[Frame]:
        """Take bytes, and give each frame that they complete.

        Raises:
            FormatError: The bytes are no frame, are too long, or do not decompress to what they declare.
        """
        buffer = self._buffer
        buffer += data
        position = 0
        try:
            while len(buffer) - position >= HEADER.size:
                kind, flags, length = HEADER.unpack_from(buffer, position)
                self._check(kind, flags, length)
                begin = position + HEADER.size
                if len(buffer) - begin < length:
                    return
                position = begin + length
                with memoryview(buffer) as view, view[begin:position] as part:
                    payload = self._decompress(part, whole=bool(flags & WHOLE)) if flags & ZSTD else bytes(part)
                yield Frame(kind, flags & END, payload, HEADER.size + length)
        finally:
            del buffer[:position]

    def _check(self, kind: int, flags: int, length: int) -> None:
        if flags & ~KNOWN_FLAGS:
            text = f"frame of type {kind} has unknown flags {flags & ~KNOWN_FLAGS:#04x}"
            raise FormatError(text)
        if flags & WHOLE and not flags & ZSTD:
            text = f"frame of type {kind} is whole and not compressed"
            raise FormatError(text)
        if length > MAX_PAYLOAD_BYTES:
            text = f"frame of type {kind} declares {length} bytes; at most {MAX_PAYLOAD_BYTES} are allowed"
            raise FormatError(text)

    def _decompress(self, part: memoryview, *, whole: bool) -> bytes:
        if len(part) < RAW_LENGTH.size:
            text = "compressed frame is shorter than its own length field"
            raise FormatError(text)
        (length,) = RAW_LENGTH.unpack_from(part)
        if length > MAX_PAYLOAD_BYTES:
            text = f"compressed frame declares {length} raw bytes; at most {MAX_PAYLOAD_BYTES} are allowed"
            raise FormatError(text)
        # One byte more than declared shows a bomb, and never allocates what it would grow to.
        limit = length + 1 if self._bounded else -1
        try:
            with part[RAW_LENGTH.size :] as packed:
                raw, complete = _decompress_whole(packed, limit) if whole else self._go_on(packed, limit)
        except (ZstdError, EOFError) as error:
            text = f"compressed frame does not decompress: {error}"
            raise FormatError(text) from error
        if self._bounded and (len(raw) != length or not complete):
            text = f"compressed frame does not decompress to the {counted(length, 'byte')} that it declares"
            raise FormatError(text)
        return raw

    def _go_on(self, part: memoryview, limit: int) -> tuple[bytes, bool]:
        """Decompress the next part of the stream; also say whether the part was used up and the stream goes on."""
        if self._zstd is None:
            self._zstd = _decompressor()
        raw = self._zstd.decompress(part, max_length=limit)
        if self._zstd.eof and not raw:
            # The sender has chosen another level: its next zstd frame begins behind the end of the last one.
            rest = self._zstd.unused_data
            self._zstd = _decompressor()
            raw = self._zstd.decompress(rest, max_length=limit)
        return raw, not self._zstd.eof and self._zstd.needs_input


def _decompress_whole(part: memoryview, limit: int) -> tuple[bytes, bool]:
    zstd = _decompressor()
    raw = zstd.decompress(part, max_length=limit)
    return raw, zstd.eof and not zstd.unused_data


def _decompressor() -> ZstdDecompressor:
    return ZstdDecompressor(options={DecompressionParameter.window_log_max: WINDOW_LOG_MAX})
