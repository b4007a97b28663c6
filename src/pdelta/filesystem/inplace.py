"""Ranges of a file written over, and what they displace kept beside it.

Called by ``operations.tree`` to keep what a patch will displace, and by the
committer to write the patch or to take it back. A patch that was cut off anywhere
is known by its content: what it does not touch is as it was, and each sector that
it touches is old, new, or zeros. Decides nothing by time.
"""

import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from blake3 import blake3

from pdelta.filesystem.copy import PIECE_BYTES, clear_range, copy_range
from pdelta.formats.intent import Move
from pdelta.model.snapshot import HOLES, Entry
from pdelta.tree.contents import runs_in
from pdelta.tree.inplace import Range, joined, without
from pdelta.tree.reader import TreeReader

_SECTOR_BYTES: Final = 512
"""What a disk writes whole or not at all; a power cut may tear anything larger."""

_ZEROS: Final = bytes(_SECTOR_BYTES)


def displaced_ranges(ranges: Iterable[Range], before_size: int, after_size: int) -> list[Range]:
    """Give the ranges of the old content that a patch displaces: what it writes over, and the end that it cuts off.

    Args:
        ranges: What it writes, in order.
        before_size: Length of the old content in bytes.
        after_size: Length of the new one.
    """
    found = [(offset, min(length, before_size - offset)) for offset, length in ranges if offset < before_size]
    if after_size < before_size:
        found.append((after_size, before_size - after_size))
    return list(joined(found))


def copy_ranges(source_fd: int, target_fd: int, ranges: Iterable[Range], entry: Entry) -> Iterator[None]:
    """Make ranges of a file equal those of another, range by range; the holes of the entry become holes.

    Args:
        source_fd: Holds the ranges at their own offsets.
        target_fd: Open for writing, long enough already.
        ranges: What to copy.
        entry: What the target will be.

    Yields:
        Nothing, after each range.

    Raises:
        OSError: The disk is full or fails.
    """
    holes = [(offset, length) for offset, length in entry.extra.get(HOLES, ())]
    for offset, length in ranges:
        for begin, size in without([(offset, length)], holes):
            copy_range(source_fd, begin, target_fd, begin, size)
        for begin, size in holes:
            low, high = max(begin, offset), min(begin + size, offset + length)
            if low < high:
                clear_range(target_fd, low, high - low)
        yield


def has_ranges(fd: int, entry: Entry, ranges: Sequence[Range], tree: TreeReader) -> bool:
    """Whether a file holds what an entry says in some ranges, whose bounds are chunk bounds; reads them.

    Raises:
        OSError: It cannot be read.
        PdeltaError: A chunk list cannot be read.
    """
    for offset, length in ranges:
        done = offset
        for run_at, run in runs_in(entry.content, offset, offset + length, tree):
            end = min(offset + length, run_at + run.length * run.count)
            for at in range(max(offset, run_at), end, run.length):
                if blake3(os.pread(fd, run.length, at)).digest() != run.id:
                    return False
            done = end
        if done < offset + length:
            return False
    return True


def is_patched_in_part(fd: int, old_fd: int, new_fd: int, move: Move, tree: TreeReader) -> bool:
    """Whether a file is what a patch that was cut off may leave, whichever way it went; reads all of it.

    Args:
        fd: The file.
        old_fd: What the patch displaces, at its own offsets.
        new_fd: What the patch writes, at its own offsets.
        move: The patch.
        tree: Reads chunk lists.

    Raises:
        OSError: One of them cannot be read.
        PdeltaError: A chunk list cannot be read.
    """
    before, after = move.before, move.after
    assert before is not None  # noqa: S101 - a patch has both sides
    assert after is not None  # noqa: S101 - a patch has both sides
    size = os.fstat(fd).st_size
    if not min(before.size, after.size) <= size <= max(before.size, after.size):
        return False
    if not has_ranges(fd, after, list(without([(0, after.size)], move.ranges)), tree):
        return False
    touched = [*move.ranges, (after.size, max(0, before.size - after.size))]
    return all(_is_either(fd, old_fd, new_fd, at, min(PIECE_BYTES, end - at)) for at, end in _pieces(touched))


def _pieces(ranges: Iterable[Range]) -> Iterator[tuple[int, int]]:
    for offset, length in ranges:
        for at in range(offset, offset + length, PIECE_BYTES):
            yield at, offset + length


def _is_either(fd: int, old_fd: int, new_fd: int, offset: int, length: int) -> bool:
    found, old, new = (os.pread(each, length, offset) for each in (fd, old_fd, new_fd))
    if found in {old, new}:
        return True
    old, new = old.ljust(length, b"\0"), new.ljust(length, b"\0")
    begin = 0
    while begin < len(found):
        end = min(len(found), begin + _SECTOR_BYTES - (offset + begin) % _SECTOR_BYTES)
        sector = found[begin:end]
        if sector not in {old[begin:end], new[begin:end], _ZEROS[: end - begin]}:
            return False
        begin = end
    return True
