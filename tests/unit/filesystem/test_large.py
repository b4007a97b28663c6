"""Large files read and hashed by several threads."""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from blake3 import blake3

from pdelta.filesystem import large
from pdelta.filesystem.large import LargeFile, Threads

DATA = random.Random(3).randbytes(300_000)


@pytest.fixture(params=[1, 3])
def file(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LargeFile]:
    monkeypatch.setattr(large, "_PARALLEL_BYTES", 10_000)
    monkeypatch.setattr(large, "PIECE_BYTES", 9000)
    (tmp_path / "file").write_bytes(DATA)
    fd = os.open(tmp_path / "file", os.O_RDONLY)
    threads = Threads(request.param)
    yield LargeFile(fd, len(DATA), threads)
    threads.close()
    os.close(fd)


def test_hash_at_when_pieces_are_of_any_length_then_the_hash_of_each(file: LargeFile) -> None:
    lengths = [1, 8999, 9000, 9001, 20_000, 3, 5, 100_000]
    offset, expected = 77, []
    for length in lengths:
        expected.append(blake3(DATA[offset : offset + length]).digest())
        offset += length
    assert file.hash_at(77, lengths) == expected
    assert file.hash_at(0, []) == []


def test_hash_at_when_the_file_ends_then_the_hash_of_what_there_is(file: LargeFile) -> None:
    begin = len(DATA) - 10_000
    assert file.hash_at(begin, [9990, 20, 5000]) == [
        blake3(DATA[begin : begin + 9990]).digest(),
        blake3(DATA[-10:]).digest(),
        blake3(b"").digest(),
    ]


def test_hash_many_when_pieces_are_in_memory_then_the_hash_of_each(file: LargeFile) -> None:
    pieces = [memoryview(DATA)[at : at + 7001] for at in range(0, len(DATA), 7001)]
    assert file.hash_many(pieces) == [blake3(piece).digest() for piece in pieces]


def test_read_at_when_beyond_the_end_then_nothing(file: LargeFile) -> None:
    assert file.read_at(len(DATA), memoryview(bytearray(5))) == 0
    buffer = bytearray(5)
    assert file.read_at(10, memoryview(buffer)) == 5
    assert buffer == DATA[10:15]
