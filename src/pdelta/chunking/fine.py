"""Fine signatures and patches: a chunk that replaces a range the other side has.

Called by both ends of a push for changed ranges. The asker cuts its old range finely and sends 8 bytes a piece; the
sender cuts the new range likewise and answers with the pieces that the old range lacks. A patch is a hint that costs no
correctness: whoever applies it compares the full chunk id afterwards. The bytes are specified in
``docs/formats/fine-patch.md``.
"""

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from blake3 import blake3

from pdelta.chunking.varint import append_varint, read_varint
from pdelta.errors import FormatError, IntegrityError
from pdelta.model.amount import counted

if TYPE_CHECKING:
    from pyfastcdc import FastCDC

VERSION: Final = 1
AVERAGE_BYTES: Final = 512
PIECE_HASH_BYTES: Final = 8
LEAST_AVERAGE: Final = 256
GREATEST_AVERAGE: Final = 65_536

_Buffer = bytes | bytearray | memoryview


def signature(old: _Buffer, average: int = AVERAGE_BYTES) -> bytes:
    """Give the fine signature of a range.

    Args:
        old: The range that will be replaced.
        average: Average piece in bytes, a power of two from 256 to 65,536.

    Raises:
        FormatError: The average is out of range.
    """
    pieces = _pieces(old, average)
    header = bytearray((VERSION,))
    append_varint(header, average)
    return b"".join((header, *_hashes(pieces)))


def make_patch(new: _Buffer, signature: bytes) -> bytes:
    """Give what turns the range that was signed into the new one.

    Args:
        new: The range as it shall be.
        signature: What ``signature`` gave for the range as it is.

    Raises:
        FormatError: Malformed signature.
    """
    average, hashes = _parse_signature(signature)
    places = {hash_: index for index, hash_ in reversed(list(enumerate(hashes)))}
    pieces = _pieces(new, average)
    patch = bytearray((VERSION,))
    append_varint(patch, average)
    append_varint(patch, len(new))
    records = _Records(patch)
    follow = 0
    for piece, hash_ in zip(pieces, _hashes(pieces), strict=True):
        # The piece after the last copy is the likeliest; content that repeats itself has it elsewhere too.
        index = follow if follow < len(hashes) and hashes[follow] == hash_ else places.get(hash_)
        if index is None:
            records.literal(piece)
        else:
            records.copy(index)
            follow = index + 1
    records.close()
    return bytes(patch)


def apply_patch(old: _Buffer, patch: bytes, *, limit: int) -> bytes:
    """Give the new range; its full hash is for the caller to compare.

    Args:
        old: The range that was signed.
        patch: What ``make_patch`` gave.
        limit: The greatest result in bytes.

    Raises:
        FormatError: Malformed patch, or a result above the limit.
        IntegrityError: The patch refers to pieces that the old range lacks, or gives another length than it says.
    """
    version, average, length, position = _parse_header(patch)
    if version != VERSION:
        message = f"fine patch of version {version}; this version of pdelta reads {VERSION}"
        raise FormatError(message)
    if length > limit:
        message = f"fine patch gives {length} bytes; at most {limit} are allowed"
        raise FormatError(message)
    offsets = [0]
    for piece in _pieces(old, average):
        offsets.append(offsets[-1] + len(piece))
    parts: list[_Buffer] = []
    view, source = memoryview(patch), memoryview(old)
    follow = total = 0
    while position < len(patch):
        tag, position = read_varint(patch, position)
        count = tag >> 1
        if tag & 1:
            step, position = read_varint(patch, position)
            first = follow + ((step >> 1) ^ -(step & 1))
            follow = first + count
            if not 0 <= first < follow < len(offsets):
                message = f"fine patch copies pieces {first} to {follow} of {len(offsets) - 1}"
                raise IntegrityError(message, hint="ask for the plain chunk")
            part = source[offsets[first] : offsets[follow]]
        else:
            part = view[position : position + count]
            position += count
            if not count or position > len(patch):
                message = f"fine patch has a literal of {counted(count, 'byte')} and only {len(part)} of them"
                raise FormatError(message)
        parts.append(part)
        total += len(part)
        if total > length:
            break
    if total != length:
        message = f"fine patch gives another length than the {counted(length, 'byte')} that it says"
        raise IntegrityError(message, hint="ask for the plain chunk")
    return b"".join(parts)


class _Records:
    """Writes copies and literals, joined where they touch."""

    def __init__(self, patch: bytearray) -> None:
        self._patch = patch
        self._literals: list[memoryview] = []
        self._first = self._next = self._follow = 0

    def copy(self, index: int) -> None:
        """Add one piece of the old range."""
        if self._literals or index != self._next or self._first == self._next:
            self.close()
            self._first = index
        self._next = index + 1

    def literal(self, piece: memoryview) -> None:
        """Add bytes that the old range lacks."""
        if self._first != self._next:
            self.close()
        self._literals.append(piece)

    def close(self) -> None:
        """Write what is pending."""
        patch = self._patch
        if self._literals:
            append_varint(patch, sum(map(len, self._literals)) << 1)
            for piece in self._literals:
                patch += piece
            self._literals.clear()
        elif self._first != self._next:
            append_varint(patch, (self._next - self._first) << 1 | 1)
            step = self._first - self._follow
            append_varint(patch, step << 1 if step >= 0 else (-step << 1) - 1)
            self._follow = self._first = self._next


@lru_cache(maxsize=8)
def _cutter(average: int) -> "FastCDC":
    if not LEAST_AVERAGE <= average <= GREATEST_AVERAGE or average & (average - 1):
        allowed = f"a power of two from {LEAST_AVERAGE} to {GREATEST_AVERAGE} is allowed"
        message = f"fine pieces of {counted(average, 'byte')}; {allowed}"
        raise FormatError(message)
    # Imported when the first file is cut: it costs 9 ms of every start.
    from pyfastcdc import FastCDC

    return FastCDC(average, min_size=average // 4, max_size=average * 4, normalized_chunking=1, seed=0)


def _pieces(data: _Buffer, average: int) -> list[memoryview]:
    return [piece.data for piece in _cutter(average).cut_buf(data)] if data else []


def _hashes(pieces: list[memoryview]) -> list[bytes]:
    # 2.2 µs a piece, cutting included: 280 MB/s, which no link of interest outruns.
    return [blake3(piece).digest(PIECE_HASH_BYTES) for piece in pieces]


def _parse_signature(signature: bytes) -> tuple[int, list[bytes]]:
    if not signature or signature[0] != VERSION:
        message = f"fine signature of version {signature[0] if signature else 'none'}; this version reads {VERSION}"
        raise FormatError(message)
    average, position = read_varint(signature, 1)
    _cutter(average)
    if (len(signature) - position) % PIECE_HASH_BYTES:
        message = f"fine signature of {counted(len(signature), 'byte')} ends inside a piece"
        raise FormatError(message)
    return average, [signature[at : at + PIECE_HASH_BYTES] for at in range(position, len(signature), PIECE_HASH_BYTES)]


def _parse_header(patch: bytes) -> tuple[int, int, int, int]:
    if not patch:
        message = "fine patch is empty"
        raise FormatError(message)
    average, position = read_varint(patch, 1)
    length, position = read_varint(patch, position)
    return patch[0], average, length, position
