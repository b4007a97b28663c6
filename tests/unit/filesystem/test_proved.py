"""Chunks copied from another file: what is equal arrives, what is not is named."""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from blake3 import blake3

from pdelta.filesystem import large, proved
from pdelta.filesystem.large import Threads
from pdelta.filesystem.proved import PlacedChunk, copy_chunks, outside


@pytest.fixture(params=[1, 3])
def threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Threads]:
    monkeypatch.setattr(large, "_PARALLEL_BYTES", 10_000)
    monkeypatch.setattr(proved, "PIECE_BYTES", 5000)
    some = Threads(request.param)
    yield some
    some.close()


def placed(data: bytes, begin: int, lengths: list[int]) -> list[PlacedChunk]:
    chunks = []
    for length in lengths:
        chunks.append(PlacedChunk(begin, length, blake3(data[begin : begin + length]).digest()))
        begin += length
    return chunks


class Pair:
    """A source that begins 4,096 bytes later than the target, and the target."""

    def __init__(self, folder: Path, wanted: bytes, source: bytes) -> None:
        self.wanted = wanted
        (folder / "source").write_bytes(source)
        self.source = os.open(folder / "source", os.O_RDONLY)
        self.target = os.open(folder / "target", os.O_RDWR | os.O_CREAT)
        os.ftruncate(self.target, len(wanted))

    @property
    def made(self) -> bytes:
        return os.pread(self.target, len(self.wanted) + 1, 0)


LENGTHS = [1, 4096, 700, 12_000, 5000, 3, 30_000, 8192]
WANTED = random.Random(1).randbytes(100 + sum(LENGTHS) + 50)


@pytest.mark.parametrize("shift", [4096, 0, 17, -90])
def test_copy_when_the_source_holds_all_then_all_is_there_and_nothing_else(
    tmp_path: Path, threads: Threads, shift: int
) -> None:
    source = bytes(100 + shift) + WANTED[100:]
    pair = Pair(tmp_path, WANTED, source)
    assert copy_chunks(pair.source, shift, pair.target, placed(WANTED, 100, LENGTHS), [], threads) == ([], 0)
    end = 100 + sum(LENGTHS)
    assert pair.made == bytes(100) + WANTED[100:end] + bytes(len(WANTED) - end)


def test_copy_when_chunks_are_others_then_they_are_named_and_the_rest_is_there(
    tmp_path: Path, threads: Threads
) -> None:
    source = bytearray(WANTED)
    chunks = placed(WANTED, 100, LENGTHS)
    bad = [chunks[1], chunks[4], chunks[7]]
    for chunk in bad:
        source[chunk.offset + chunk.length - 1] ^= 1
    pair = Pair(tmp_path, WANTED, bytes(source))
    assert copy_chunks(pair.source, 0, pair.target, chunks, [], threads) == (bad, 0)
    for chunk in set(chunks) - set(bad):
        assert pair.made[chunk.offset :][: chunk.length] == WANTED[chunk.offset :][: chunk.length]


def test_copy_when_the_source_is_shorter_then_what_lies_behind_is_named(tmp_path: Path, threads: Threads) -> None:
    chunks = placed(WANTED, 100, LENGTHS)
    pair = Pair(tmp_path, WANTED, WANTED[: chunks[5].offset + 1])
    assert copy_chunks(pair.source, 0, pair.target, chunks, [], threads) == (chunks[5:], 0)


def test_copy_when_there_are_holes_then_they_stay_holes(tmp_path: Path, threads: Threads) -> None:
    wanted = bytearray(random.Random(2).randbytes(400_000))
    holes = [(65_536, 196_608), (262_144, 327_680)]
    for begin, end in holes:
        wanted[begin:end] = bytes(end - begin)
    pair = Pair(tmp_path, bytes(wanted), bytes(wanted))
    assert copy_chunks(pair.source, 0, pair.target, placed(bytes(wanted), 0, [50_000] * 8), holes, threads) == ([], 0)
    assert pair.made == wanted
    for begin, end in holes:
        assert os.lseek(pair.target, begin, os.SEEK_DATA) >= end


def test_copy_when_the_disk_refuses_then_the_error_comes_out(tmp_path: Path, threads: Threads) -> None:
    pair = Pair(tmp_path, WANTED, WANTED)
    read_only = os.open(tmp_path / "target", os.O_RDONLY)
    with pytest.raises(OSError, match="Bad file descriptor"):
        copy_chunks(pair.source, 0, read_only, placed(WANTED, 100, LENGTHS), [], threads)


def test_copy_when_there_is_nothing_then_nothing_happens(tmp_path: Path, threads: Threads) -> None:
    pair = Pair(tmp_path, b"", b"")
    assert copy_chunks(pair.source, 0, pair.target, [], [], threads) == ([], 0)


def test_outside_when_spans_touch_or_overlap_the_ends_then_only_what_is_free() -> None:
    spans = [(0, 10), (10, 20), (30, 40), (50, 99)]
    assert list(outside(5, 50, spans)) == [(20, 10), (40, 10)]
    assert list(outside(0, 20, spans)) == []
    assert list(outside(0, 5, [])) == [(0, 5)]


def test_threads_when_work_fails_in_any_of_them_then_all_stop_and_it_is_raised(threads: Threads) -> None:
    done: list[int] = []

    def work(item: int, buffer: memoryview) -> None:
        assert len(buffer) == 8
        if item == 5:
            raise ZeroDivisionError
        done.append(item)

    with pytest.raises(ZeroDivisionError):
        threads.each(iter(range(1_000_000)), work, 8, 1 << 30)
    assert len(done) < 1_000_000
    done.clear()
    threads.each(range(6, 16), work, 8, 1 << 30)
    assert sorted(done) == list(range(6, 16)), "they take work again"
