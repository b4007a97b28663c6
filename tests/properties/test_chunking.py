"""Laws of chunking: prediction and window change the speed alone."""

from hypothesis import given
from hypothesis import strategies as st

from pdelta.chunking import fine
from pdelta.chunking.chunker import chunk_bytes, chunks
from pdelta.errors import PdeltaError
from pdelta.model.snapshot import Chunking, ChunkRun
from tests.fixtures.content import Bytes

SMALL = Chunking(average=256, minimum=64, maximum=1024)


@st.composite
def contents(draw: st.DrawFn) -> bytes:
    """Random stretches with repetitions, long enough for many small chunks."""
    seeds = st.tuples(st.integers(0, 5), st.integers(0, 3000), st.booleans())
    parts = draw(st.lists(seeds, max_size=8))
    return b"".join(
        draw(st.randoms(use_true_random=False)).randbytes(1) * size if flat else _noise(seed)[:size]
        for seed, size, flat in parts
    )


@st.composite
def edits(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """A content and an edited relative of it."""
    old = draw(contents())
    new = bytearray(old)
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(new)))
        new[at : at + draw(st.integers(0, 40))] = draw(st.binary(max_size=40))
    return old, bytes(new)


def _noise(seed: int) -> bytes:
    import random

    return random.Random(seed).randbytes(3000)


def _runs(data: bytes) -> list[ChunkRun]:
    runs: list[ChunkRun] = []
    for id_, length in chunk_bytes(data, SMALL):
        if runs and runs[-1].id == id_ and runs[-1].length == length:
            runs[-1] = ChunkRun(id_, length, runs[-1].count + 1)
        else:
            runs.append(ChunkRun(id_, length, 1))
    return runs


@given(pair=edits(), surplus=st.sampled_from([0, 0, 1, 5000]))
def test_prediction_when_any_relative_is_known_then_equals_full_chunking(
    pair: tuple[bytes, bytes], surplus: int
) -> None:
    old, new = pair
    found = chunks(Bytes(new, size=len(new) + surplus), SMALL, _runs(old))
    assert [chunk for batch in found for chunk in batch] == chunk_bytes(new, SMALL)


@given(old=contents(), new=contents())
def test_prediction_when_contents_are_mixed_then_equals_full_chunking(old: bytes, new: bytes) -> None:
    found = chunks(Bytes(new), SMALL, _runs(old))
    assert [chunk for batch in found for chunk in batch] == chunk_bytes(new, SMALL)


@given(pair=edits())
def test_fine_patch_when_applied_then_gives_the_new_range(pair: tuple[bytes, bytes]) -> None:
    old, new = pair
    patch = fine.make_patch(new, fine.signature(old))
    assert fine.apply_patch(old, patch, limit=len(new)) == new


@given(old=st.binary(max_size=5000), new=st.binary(max_size=5000))
def test_fine_patch_when_ranges_are_unrelated_then_gives_the_new_range(old: bytes, new: bytes) -> None:
    patch = fine.make_patch(new, fine.signature(old))
    assert fine.apply_patch(old, patch, limit=len(new)) == new


@given(pair=edits(), data=st.data())
def test_fine_patch_when_damaged_then_stays_within_its_limit(pair: tuple[bytes, bytes], data: st.DataObject) -> None:
    old, new = pair
    patch = bytearray(fine.make_patch(new, fine.signature(old)))
    at = data.draw(st.integers(0, len(patch) - 1))
    patch[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    try:
        result = fine.apply_patch(old, bytes(patch), limit=20_000)
    except PdeltaError:
        return
    assert len(result) <= 20_000


@given(patch=st.binary(max_size=60))
def test_fine_patch_when_garbage_then_fails_as_specified(patch: bytes) -> None:
    for hostile in (patch, b"\x01\x80\x04" + patch):
        try:
            fine.apply_patch(b"old" * 1000, hostile, limit=5000)
        except PdeltaError:
            continue
