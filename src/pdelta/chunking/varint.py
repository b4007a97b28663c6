"""Whole numbers in as few bytes as they need: LEB128, seven bits a byte, least significant first.

Called by formats whose numbers are mostly small. Refuses longer encodings than needed, so that bytes stay canonical.
"""

from typing import Final

from pdelta.errors import FormatError

MAX_VARINT_BYTES: Final = 9
"""Enough for 63 bits."""

_MORE: Final = 0x80


def append_varint(buffer: bytearray, value: int) -> None:
    """Append a number.

    Args:
        buffer: What is being written.
        value: From 0 to 2**63 - 1.

    Raises:
        ValueError: The value is out of range.
    """
    if not 0 <= value < 1 << 63:
        text = f"{value} is out of range for a varint"
        raise ValueError(text)
    while value >= _MORE:
        buffer.append(value & 0x7F | _MORE)
        value >>= 7
    buffer.append(value)


def read_varint(data: bytes, position: int) -> tuple[int, int]:
    """Give the number at a position and the position behind it.

    Raises:
        FormatError: The bytes end inside the number, or it is longer than 9 bytes or than needed.
    """
    value = shift = 0
    for byte in data[position : position + MAX_VARINT_BYTES]:
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < _MORE:
            if not byte and shift:
                break
            return value, position
        shift += 7
    message = f"malformed number before byte {position}"
    raise FormatError(message)
