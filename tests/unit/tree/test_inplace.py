"""Which ranges last when a file is patched in place."""

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdelta.model.snapshot import HOLES, Entry
from pdelta.tree.inplace import lasting_ranges, split_parts, without
from pdelta.tree.recipe import Catalog, Origin, Place, recipe
from tests.unit.tree.test_recipe import TREE, ZERO, chunk, file

labels = st.text("0abcd", max_size=12)


def data_of(text: str) -> list[tuple[str, int]]:
    """Give each byte as its chunk's label and its place in the chunk."""
    return [(label, place) for label in text for place in range(chunk(label)[1])]


def starts_of(text: str) -> set[tuple[str, int]]:
    starts, offset = set(), 0
    for label in text:
        starts.add((label, offset))
        offset += chunk(label)[1]
    return starts


def with_holes(text: str, *holes: tuple[int, int]) -> Entry:
    return msgspec.structs.replace(file(text), extra={HOLES: [list(hole) for hole in holes]})


@given(labels, labels)
def test_lasting_ranges_when_two_contents_then_exactly_the_common_chunks(old: str, new: str) -> None:
    found = lasting_ranges(file(old), file(new), TREE)
    before, after = data_of(old), data_of(new)
    covered = {at for offset, length in found for at in range(offset, offset + length)}
    assert all(before[at] == after[at] for at in covered)
    common = starts_of(old) & starts_of(new)
    assert covered == {at for label, start in common for at in range(start, start + chunk(label)[1])}
    assert all(sum(one) < other[0] for one, other in pairwise(found))


def test_lasting_ranges_when_a_hole_is_on_one_side_then_its_chunks_do_not_last() -> None:
    text, first = "a000b", chunk("a")[1]
    zeros, whole = 3 * ZERO[1], sum(chunk(label)[1] for label in "a000b")
    before, after = with_holes(text, (first + 2, ZERO[1])), with_holes(text)
    lasting = [(0, first), (first + 2 * ZERO[1], whole - first - 2 * ZERO[1])]
    assert lasting_ranges(before, after, TREE) == lasting
    assert lasting_ranges(after, before, TREE) == lasting
    assert lasting_ranges(before, with_holes(text, (first + 2, ZERO[1])), TREE) == [(0, whole)]
    assert lasting_ranges(with_holes(text, (first, zeros)), after, TREE) == [(0, first), (first + zeros, chunk("b")[1])]


@pytest.mark.parametrize(
    ("ranges", "holes", "left"),
    [
        ([(0, 10)], [], [(0, 10)]),
        ([(0, 10)], [(0, 10)], []),
        ([(0, 10)], [(3, 2)], [(0, 3), (5, 5)]),
        ([(0, 10), (20, 10)], [(5, 20)], [(0, 5), (25, 5)]),
        ([(0, 3), (3, 3), (9, 3)], [(2, 2), (10, 1)], [(0, 2), (4, 2), (9, 1), (11, 1)]),
        ([(5, 5)], [(0, 5), (10, 5)], [(5, 5)]),
        ([], [(1, 1)], []),
    ],
)
def test_without_when_ranges_are_taken_out_then_the_rest_is_given(
    ranges: list[tuple[int, int]], holes: list[tuple[int, int]], left: list[tuple[int, int]]
) -> None:
    assert list(without(ranges, holes)) == left


@given(labels.filter(bool), labels.filter(bool))
def test_split_parts_when_carried_out_then_the_new_file_comes_out_and_lasting_ranges_stay(old: str, new: str) -> None:
    before, after = file(old), file(new)
    base = Origin(Place.TREE, b"f", before)
    lasting = lasting_ranges(before, after, TREE)
    parts = split_parts(recipe(after, base, Catalog(), TREE, ZERO), lasting, base)
    held, wanted = data_of(old), data_of(new)
    offset = 0
    for part in parts:
        assert part.offset == offset
        offset += part.length
        if part.place == Place.TREE:
            assert held[part.origin_offset : part.origin_offset + part.length] == wanted[part.offset : offset]
    assert offset == after.size
    stay = [(part.offset, part.length) for part in parts if part.origin is base and part.origin_offset == part.offset]
    assert all(any(at <= low and low + size <= at + length for at, length in stay) for low, size in lasting)
