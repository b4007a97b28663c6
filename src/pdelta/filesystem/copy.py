"""Moving bytes between open files without reading them where the file system allows: clones, copies, holes.

Called by staging and by undo data. Every function takes descriptors that
``filesystem.safe`` opened, and leaves names alone.
"""

import errno
import os
from typing import Final

from pdelta.filesystem import syscalls
from pdelta.filesystem.syscalls import UnsupportedError

PIECE_BYTES: Final = 1 << 20
"""What one read takes where bytes must pass through this process."""

BLOCK_BYTES: Final = 4096
"""Smallest range worth a hole, and the alignment of clones: the block size of ext4, XFS and btrfs by default."""

_ZEROS: Final = bytes(PIECE_BYTES)
_BLOCK: Final = bytes(BLOCK_BYTES)

_NOT_IN_KERNEL: Final = frozenset(
    {errno.EXDEV, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS, errno.EPERM, errno.EBADF, errno.ETXTBSY, errno.EIO}
)
"""What ``copy_file_range`` answers where reading and writing may still work; a true EIO shows itself again there."""


def copy_range(source_fd: int, source_offset: int, target_fd: int, target_offset: int, length: int) -> int:
    """Copy a range, sharing blocks where the file system can and both offsets are equally aligned.

    The two descriptors' own positions are neither used nor moved. The ranges must not overlap in one file.

    Args:
        source_fd: Open for reading.
        source_offset: First byte to copy.
        target_fd: Open for writing, without ``O_APPEND``.
        target_offset: Where it goes.
        length: Bytes to copy.

    Returns:
        Bytes copied: ``length``, or less when the source ends earlier.

    Raises:
        OSError: The disk is full or fails.
    """
    first, shared = share_range(source_fd, source_offset, target_fd, target_offset, length)
    if not shared:
        return _copy_bytes(source_fd, source_offset, target_fd, target_offset, length)
    head = first - target_offset
    if head and (done := _copy_bytes(source_fd, source_offset, target_fd, target_offset, head)) < head:
        return done
    done = head + shared
    return done + _copy_bytes(source_fd, source_offset + done, target_fd, target_offset + done, length - done)


def share_range(source_fd: int, source_offset: int, target_fd: int, target_offset: int, length: int) -> tuple[int, int]:
    """Let two files share the blocks of a range where the file system can and both offsets are equally aligned.

    Args:
        source_fd: Open for reading.
        source_offset: First byte to share.
        target_fd: Open for writing.
        target_offset: Where it goes.
        length: Bytes to share.

    Returns:
        (first byte in the target, bytes) that are shared now; 0 bytes for none. The source has them all.

    Raises:
        OSError: The disk is full or fails.
    """
    head = -source_offset % BLOCK_BYTES
    shared = (length - head) // BLOCK_BYTES * BLOCK_BYTES
    if shared <= 0 or (source_offset - target_offset) % BLOCK_BYTES:
        return target_offset, 0
    try:
        syscalls.clone_range(source_fd, source_offset + head, target_fd, target_offset + head, shared)
    except UnsupportedError:
        return target_offset, 0
    return target_offset + head, shared


def copy_file(source_fd: int, target_fd: int, size: int) -> int:
    """Fill an empty file with the first bytes of another: a clone where possible, else its data, with its holes.

    Args:
        source_fd: Open for reading; its position moves.
        target_fd: Open for writing, empty.
        size: Length of the source in bytes, as ``fstat`` gave it.

    Returns:
        Length of the target: ``size``, or less when the source is shorter by now.

    Raises:
        OSError: The disk is full or fails.
    """
    try:
        syscalls.clone(source_fd, target_fd)
    except UnsupportedError:
        pass
    else:
        length = os.fstat(target_fd).st_size
        if length > size:
            os.ftruncate(target_fd, size)
        return min(length, size)
    # A file that shrank ends in what looks like a hole.
    size = min(size, os.fstat(source_fd).st_size)
    position = 0
    for offset, length in [*holes(source_fd, size), (size, 0)]:
        wanted = offset - position
        if wanted and (done := _copy_bytes(source_fd, position, target_fd, position, wanted)) < wanted:
            return position + done
        position = offset + length
    os.ftruncate(target_fd, size)
    return size


def write_all(fd: int, data: bytes | memoryview, offset: int) -> None:
    """Write everything at an offset; the position of the descriptor stays.

    Raises:
        OSError: The disk is full or fails.
    """
    written = os.pwrite(fd, data, offset)
    if written == len(data):
        return
    rest = memoryview(data)
    while written < len(rest):
        written += os.pwrite(fd, rest[written:], offset + written)


def write_sparse(fd: int, data: bytes, offset: int) -> None:
    """Write into a range that was never written before, leaving out its aligned blocks of zeros.

    The caller sets the length of the file (``os.ftruncate``), since zeros at its end are left out too. A block
    can be zero only if its first byte is, which rules most data out in 0.1 µs for 64 KiB, against 10 µs for a search.

    Args:
        fd: Open for writing; the range must be a hole, or lie beyond the end.
        data: What the range holds.
        offset: Where it begins.

    Raises:
        OSError: The disk is full or fails.
    """
    position = -offset % BLOCK_BYTES
    if 0 not in data[position::BLOCK_BYTES]:
        write_all(fd, data, offset)
        return
    view = memoryview(data)
    start = 0
    while position + BLOCK_BYTES <= len(data):
        if not data.startswith(_BLOCK, position):
            position += BLOCK_BYTES
            continue
        if position > start:
            write_all(fd, view[start:position], offset + start)
        while data.startswith(_BLOCK, position):
            position += BLOCK_BYTES
        start = position
    if start < len(data):
        write_all(fd, view[start:], offset + start)


def clear_range(fd: int, offset: int, length: int) -> None:
    """Make a range inside a file read as zeros: as a hole where the file system has them, else by writing.

    Args:
        fd: Open for writing.
        offset: First byte.
        length: Bytes; the file's own length stays, so what lies beyond its end is ignored.

    Raises:
        OSError: The disk is full or fails.
    """
    length = min(length, os.fstat(fd).st_size - offset)
    if length <= 0:
        return
    try:
        syscalls.punch(fd, offset, length)
    except UnsupportedError:
        for done in range(0, length, PIECE_BYTES):
            write_all(fd, memoryview(_ZEROS)[: min(PIECE_BYTES, length - done)], offset + done)


def holes(fd: int, size: int) -> list[tuple[int, int]]:
    """List the holes of a file as (offset, length), in order; the file's last hole ends at ``size``.

    Without holes this is one system call. Where a file system knows no holes the list is empty.

    Args:
        fd: Open for reading; its position moves.
        size: Length in bytes, as ``fstat`` gave it.

    Raises:
        OSError: The disk fails.
    """
    found: list[tuple[int, int]] = []
    position = 0
    while position < size:
        try:
            start = os.lseek(fd, position, os.SEEK_HOLE)
        except OSError as error:
            if error.errno in {errno.EINVAL, errno.ENXIO, errno.EOPNOTSUPP}:
                break
            raise
        if start >= size:
            break
        try:
            position = min(os.lseek(fd, start, os.SEEK_DATA), size)
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            position = size
        found.append((start, position - start))
    return found


def _copy_bytes(source_fd: int, source_offset: int, target_fd: int, target_offset: int, length: int) -> int:
    """Copy inside the kernel, or through this process where that is refused."""
    done = 0
    while done < length:
        try:
            step = os.copy_file_range(source_fd, target_fd, length - done, source_offset + done, target_offset + done)
        except OSError as error:
            if error.errno not in _NOT_IN_KERNEL:
                raise
            step = 0
        if not step:
            # Zero is the end of the source, but some file systems and kernels say it of files that do not end.
            return done + _copy_through(source_fd, source_offset + done, target_fd, target_offset + done, length - done)
        done += step
    return done


def _copy_through(source_fd: int, source_offset: int, target_fd: int, target_offset: int, length: int) -> int:
    """Copy by reading and writing."""
    done = 0
    while done < length:
        data = os.pread(source_fd, min(PIECE_BYTES, length - done), source_offset + done)
        if not data:
            break
        write_all(target_fd, data, target_offset + done)
        done += len(data)
    return done
