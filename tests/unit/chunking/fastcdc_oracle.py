"""FastCDC 2020 as the paper has it, one byte at a time: what the library and the prediction are judged by."""

from pyfastcdc.py.constants import GEAR, MASKS

_MASK64 = (1 << 64) - 1


def cut_lengths(data: bytes, average: int, minimum: int, maximum: int) -> list[int]:
    """Give the chunk lengths under normalisation level 1, for even sizes.

    Like the paper's code, it looks at two bytes a turn, so an odd last byte of what can be seen is never looked at.
    """
    bits = average.bit_length() - 1
    small, large = MASKS[bits + 1], MASKS[bits - 1]
    lengths: list[int] = []
    start = 0
    while start < len(data):
        room = min(len(data) - start, maximum)
        length = room
        gear = 0
        for position in range(minimum, room // 2 * 2):
            gear = ((gear << 1) + GEAR[data[start + position]]) & _MASK64
            if not gear & (small if position < average else large):
                length = position
                break
        lengths.append(length)
        start += length
    return lengths
