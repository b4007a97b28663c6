"""Copies are equal byte for byte, whichever way the bytes go; holes stay holes."""

import errno
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pdelta.filesystem import copy, syscalls
from pdelta.filesystem.syscalls import UnsupportedError

BLOCK = copy.BLOCK_BYTES


def _refuse_in_kernel(*_arguments: object) -> int:
    raise OSError(errno.EXDEV, "refused by the test")


def _clone_by_hand(source: int, source_offset: int, target: int, target_offset: int, length: int) -> None:
    """Stand in for a file system with reflinks: as strict about alignment."""
    assert length
    assert [source_offset % BLOCK, target_offset % BLOCK, length % BLOCK] == [0, 0, 0]
    data = os.pread(source, length, source_offset)
    if len(data) < length:
        raise UnsupportedError(errno.EINVAL, "beyond the end")
    os.pwrite(target, data, target_offset)


@pytest.fixture(params=["kernel", "through", "clone"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Take each of the three ways in turn."""
    if request.param == "through":
        monkeypatch.setattr(os, "copy_file_range", _refuse_in_kernel)
    if request.param == "clone":
        monkeypatch.setattr(syscalls, "clone_range", _clone_by_hand)
    return str(request.param)


@pytest.fixture
def open_new(tmp_path: Path) -> Iterator[Callable[[bytes], int]]:
    """Give a function that makes an open file of given content."""
    opened: list[int] = []

    def make(content: bytes) -> int:
        fd = os.open(tmp_path / str(len(opened)), os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        os.pwrite(fd, content, 0)
        opened.append(fd)
        return fd

    yield make
    for fd in opened:
        os.close(fd)


def _read(fd: int) -> bytes:
    return os.pread(fd, os.fstat(fd).st_size, 0)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize(
    ("source_offset", "target_offset", "length"),
    [
        (0, 0, 5 * BLOCK),
        (0, 0, 5 * BLOCK + 17),
        (100, 100, 4 * BLOCK),
        (100, 100 + BLOCK, 4 * BLOCK),
        (100, 90, 4 * BLOCK),
        (5, 5, 10),
        (BLOCK - 1, BLOCK - 1, BLOCK),
        (7, 0, 0),
    ],
)
def test_copy_range_when_any_alignment_then_exactly_the_range_changes(
    open_new: Callable[[bytes], int], source_offset: int, target_offset: int, length: int
) -> None:
    content = random.Random(1).randbytes(6 * BLOCK)
    source, target = open_new(content), open_new(b"." * 7 * BLOCK)
    assert copy.copy_range(source, source_offset, target, target_offset, length) == length
    expected = bytearray(b"." * 7 * BLOCK)
    expected[target_offset : target_offset + length] = content[source_offset : source_offset + length]
    assert _read(target) == expected


@pytest.mark.usefixtures("way")
def test_copy_range_when_the_source_ends_early_then_says_how_much(open_new: Callable[[bytes], int]) -> None:
    source, target = open_new(b"x" * 5000), open_new(b"")
    assert copy.copy_range(source, 1000, target, 0, 1 << 20) == 4000
    assert _read(target) == b"x" * 4000


def test_copy_range_when_the_disk_is_full_then_raises(
    open_new: Callable[[bytes], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "copy_file_range", full)
    with pytest.raises(OSError, match="No space"):
        copy.copy_range(open_new(b"x" * 10), 0, open_new(b""), 0, 10)


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("size", [0, 1, BLOCK, 1 << 20, (1 << 20) + 3])
def test_copy_file_when_sparse_then_equal_and_as_sparse(open_new: Callable[[bytes], int], size: int) -> None:
    source, target = open_new(b""), open_new(b"")
    os.ftruncate(source, size)
    os.pwrite(source, b"head"[:size], 0)
    if size > BLOCK:
        os.pwrite(source, b"middle", size // 2)
    assert copy.copy_file(source, target, size) == size
    assert _read(target) == _read(source)
    assert copy.holes(target, size) == copy.holes(source, size)


def test_copy_file_when_the_source_shrank_then_says_how_much(open_new: Callable[[bytes], int]) -> None:
    source, target = open_new(b"x" * 100), open_new(b"")
    assert copy.copy_file(source, target, 200) == 100


def test_holes_when_data_between_holes_then_each_is_listed(open_new: Callable[[bytes], int]) -> None:
    fd = open_new(b"")
    size = 64 * BLOCK
    os.ftruncate(fd, size)
    assert copy.holes(fd, size) == [(0, size)]
    os.pwrite(fd, b"x" * BLOCK, 16 * BLOCK)
    assert copy.holes(fd, size) == [(0, 16 * BLOCK), (17 * BLOCK, 47 * BLOCK)]
    os.pwrite(fd, b"x", size - 1)
    assert copy.holes(fd, size) == [(0, 16 * BLOCK), (17 * BLOCK, 46 * BLOCK)]


@pytest.mark.parametrize("size", [0, 1, BLOCK])
def test_holes_when_there_is_none_then_empty(open_new: Callable[[bytes], int], size: int) -> None:
    assert copy.holes(open_new(b"x" * size), size) == []


@pytest.mark.parametrize("offset", [0, 1, BLOCK - 1, BLOCK, 3 * BLOCK + 5])
@pytest.mark.parametrize("shape", ["x", "0", "0x", "x0", "x0x", "x00x0", "x0000000000x"])
def test_write_sparse_when_zero_blocks_then_reads_equal(
    open_new: Callable[[bytes], int], shape: str, offset: int
) -> None:
    data = b"".join(bytes(BLOCK) if block == "0" else b"x" * BLOCK for block in shape) + b"tail"
    fd = open_new(b"")
    copy.write_sparse(fd, data, offset)
    os.ftruncate(fd, offset + len(data))
    assert _read(fd) == bytes(offset) + data


def test_write_sparse_when_zeros_are_aligned_then_they_take_no_blocks(open_new: Callable[[bytes], int]) -> None:
    fd = open_new(b"")
    data = b"x" * BLOCK + bytes(62 * BLOCK) + b"x" * BLOCK
    copy.write_sparse(fd, data, 0)
    assert copy.holes(fd, len(data)) == [(BLOCK, 62 * BLOCK)]


@pytest.mark.parametrize("supported", [True, False])
def test_clear_range_when_inside_then_zeros_and_the_length_stays(
    open_new: Callable[[bytes], int], monkeypatch: pytest.MonkeyPatch, *, supported: bool
) -> None:
    if not supported:

        def punch(*_arguments: object) -> None:
            raise UnsupportedError(errno.EOPNOTSUPP, "refused by the test")

        monkeypatch.setattr(syscalls, "punch", punch)
    fd = open_new(b"x" * 10000)
    copy.clear_range(fd, 100, 5000)
    assert _read(fd) == b"x" * 100 + bytes(5000) + b"x" * 4900
    copy.clear_range(fd, 9000, 5000)
    assert _read(fd) == b"x" * 100 + bytes(5000) + b"x" * 3900 + bytes(1000)
    copy.clear_range(fd, 20000, 5)
    assert os.fstat(fd).st_size == 10000


def test_write_all_when_the_kernel_takes_a_part_then_goes_on(
    open_new: Callable[[bytes], int], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = os.pwrite

    def part(fd: int, data: bytes | memoryview, offset: int) -> int:
        return whole(fd, data[:7], offset)

    monkeypatch.setattr(os, "pwrite", part)
    fd = open_new(b"")
    copy.write_all(fd, b"0123456789" * 3, 5)
    assert _read(fd) == bytes(5) + b"0123456789" * 3
