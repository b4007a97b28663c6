import random
from collections.abc import Sequence

import pytest
from blake3 import blake3
from pyfastcdc import FastCDC

from pdelta.chunking import window
from pdelta.chunking.chunker import chunk_bytes, chunks
from pdelta.errors import FormatError
from pdelta.model.snapshot import Chunking, ChunkRun
from tests.fixtures.content import Bytes
from tests.unit.chunking.fastcdc_oracle import cut_lengths

SMALL = Chunking(average=256, minimum=64, maximum=1024)


def full(data: bytes, parameters: Chunking) -> list[tuple[bytes, int]]:
    cutter = FastCDC(
        parameters.average,
        min_size=parameters.minimum,
        max_size=parameters.maximum,
        normalized_chunking=1,
        seed=0,
    )
    return [(blake3(piece.data).digest(), piece.length) for piece in cutter.cut_buf(data)] if data else []


def as_runs(found: Sequence[tuple[bytes, int]]) -> list[ChunkRun]:
    return [ChunkRun(id_, length, 1) for id_, length in found]


@pytest.mark.parametrize("size", [0, 1, 63, 64, 65, 66, 127, 1000, 1023, 1024, 1025, 5000, 70_001])
@pytest.mark.parametrize("most", [1, 7, 1 << 20])
@pytest.mark.parametrize("hint", [0, 10, None, 1 << 20])
def test_chunks_when_read_in_any_pieces_then_are_those_of_the_whole(size: int, most: int, hint: int | None) -> None:
    data = random.Random(size).randbytes(size)
    found = [chunk for batch in chunks(Bytes(data, most, size=hint), SMALL) for chunk in batch]
    assert found == full(data, SMALL) == chunk_bytes(data, SMALL)


def test_cuts_when_compared_with_the_plain_oracle_then_are_equal() -> None:
    data = random.Random(5).randbytes(60_000)
    lengths = [length for _, length in chunk_bytes(data, SMALL)]
    assert lengths == cut_lengths(data, 256, 64, 1024)


def test_chunks_when_file_exceeds_the_window_then_cuts_do_not_move(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window, "WINDOW_BYTES", 4096)
    data = random.Random(6).randbytes(300_000)
    found = [chunk for batch in chunks(Bytes(data, 1000), SMALL) for chunk in batch]
    assert found == full(data, SMALL)
    edited = bytearray(data)
    edited[150_000:150_000] = b"inserted"
    again = [chunk for batch in chunks(Bytes(bytes(edited)), SMALL, as_runs(found)) for chunk in batch]
    assert again == full(bytes(edited), SMALL)


@pytest.mark.parametrize("extra", [0, 1, 2])
@pytest.mark.parametrize("old_extra", [0, 1, 2])
def test_prediction_when_files_end_just_after_a_cut_then_equals_full_chunking(extra: int, old_extra: int) -> None:
    data = random.Random(7).randbytes(40_000)
    cut = 0
    for _, length in full(data, SMALL)[:40]:
        cut += length
        old, new = data[: cut + old_extra], data[: cut + extra]
        found = [c for batch in chunks(Bytes(new), SMALL, as_runs(full(old, SMALL))) for c in batch]
        assert found == full(new, SMALL)


def test_prediction_when_first_byte_after_any_cut_changes_then_equals_full_chunking() -> None:
    data = random.Random(8).randbytes(40_000)
    old = full(data, SMALL)
    cut = moved = 0
    for _, length in old[:-1]:
        cut += length
        edited = bytearray(data)
        edited[cut] ^= 0xFF
        expected = full(bytes(edited), SMALL)
        moved += expected != old
        assert [c for b in chunks(Bytes(bytes(edited)), SMALL, as_runs(old)) for c in b] == expected
    assert moved == len(old) - 1


def test_prediction_when_nothing_changed_then_hashes_each_byte_once() -> None:
    data = random.Random(9).randbytes(200_000)
    old = as_runs(full(data, SMALL))
    content = Bytes(data)
    assert [c for b in chunks(content, SMALL, old) for c in b] == full(data, SMALL)
    assert content.hashed == len(data)


def test_prediction_when_bytes_are_inserted_then_meets_the_old_list_again() -> None:
    data = random.Random(10).randbytes(1 << 20)
    edited = data[:300_000] + b"x" * 333 + data[300_000:700_000] + data[700_100:]
    old = as_runs(full(data, SMALL))
    content = Bytes(edited)
    found = [c for b in chunks(content, SMALL, old) for c in b]
    assert found == full(edited, SMALL)
    assert content.hashed < 2.5 * len(edited)


def test_prediction_when_bytes_are_overwritten_then_what_was_hashed_behind_them_is_not_hashed_again() -> None:
    data = random.Random(12).randbytes(1 << 20)
    edited = bytearray(data)
    for at in range(100_000, len(data), 100_000):
        edited[at : at + 10] = b"overwrites"
    content = Bytes(bytes(edited))
    found = [c for b in chunks(content, SMALL, as_runs(full(data, SMALL))) for c in b]
    assert found == full(bytes(edited), SMALL)
    assert content.hashed < 1.05 * len(data)


@pytest.mark.parametrize("size", [0, 20_000, 39_999, 40_001, 100_000])
def test_prediction_when_the_file_is_not_as_long_as_it_was_then_its_length_shows_it(size: int) -> None:
    data = random.Random(13).randbytes(40_000)
    found = [c for b in chunks(Bytes(data, size=size), SMALL, as_runs(full(data[:size], SMALL))) for c in b]
    assert sum(length for _, length in found) == len(data)


def test_prediction_when_content_repeats_then_equals_full_chunking() -> None:
    zeros = bytes(100_000)
    old = full(zeros, SMALL)
    runs = [ChunkRun(old[0][0], old[0][1], len(old) - 1), ChunkRun(*old[-1], 1)]
    for new in (zeros, bytes(150_000), bytes(50_000), b"a" + zeros, zeros[:50_000] + b"a" + zeros):
        assert [c for b in chunks(Bytes(new), SMALL, runs) for c in b] == full(new, SMALL)


@pytest.mark.parametrize("length", [0, 5000, 2**32 - 1])
def test_prediction_when_list_is_impossible_then_is_ignored(length: int) -> None:
    data = random.Random(11).randbytes(20_000)
    runs = [ChunkRun(blake3(b"").digest(), length, 2**32 - 1)]
    assert [c for b in chunks(Bytes(data), SMALL, runs) for c in b] == full(data, SMALL)


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        (Chunking(algorithm="rabin"), "algorithm"),
        (Chunking(gear="other"), "gear"),
        (Chunking(normalization=2), "normalization"),
        (Chunking(seed=1), "seed"),
        (Chunking(average=100), "average"),
        (Chunking(minimum=1), "minimum"),
        (Chunking(maximum=1 << 30), "maximum"),
        (Chunking(average=8192), "order"),
    ],
)
def test_parameters_when_unknown_then_are_refused_by_name(parameters: Chunking, named: str) -> None:
    with pytest.raises(FormatError, match=named):
        chunk_bytes(b"content", parameters)
    with pytest.raises(FormatError, match=named):
        list(chunks(Bytes(b"content"), parameters))


def test_average_when_any_power_of_two_then_can_be_cut_by() -> None:
    for bits in range(12, 23):
        assert chunk_bytes(b"x", Chunking.of_average(1 << bits))
