"""Laws of comparing chunk lists by their pages: what is skipped changes the speed alone."""

import random
from collections.abc import Iterable, Mapping

from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from pdelta.formats.page import PagedTree, build_content
from pdelta.model.snapshot import ChunkRun, Entry, Kind
from pdelta.tree.contents import find_chunks, new_runs, runs_in, stretches
from pdelta.tree.inplace import lasting_ranges
from pdelta.tree.recipe import Catalog, Needs, Origin, Part, Place, chunk_ids, gather, recipe

ZERO = (blake3(b"zeros").digest(), 64)
Chunks = list[tuple[bytes, int]]


class Pages(dict[bytes, bytes]):
    def read_pages(self, ids: Iterable[bytes]) -> Mapping[bytes, bytes]:
        return {id_: self[id_] for id_ in ids}


PAGES = Pages()
TREE = PagedTree(PAGES)


def chunk(number: int) -> tuple[bytes, int]:
    return ZERO if not number else (blake3(b"%d" % number).digest(), 10 + number % 50)


@st.composite
def relatives(draw: st.DrawFn) -> tuple[Chunks, Chunks]:
    """A chunk list of up to many pages, and an edited relative of it."""
    seed = draw(st.integers(0, 1000))
    made = random.Random(seed)
    repeat = draw(st.sampled_from([3, 100_000]))
    old = [chunk(made.randrange(repeat)) for _ in range(draw(st.sampled_from([0, 1, 15, 17, 700, 5000])))]
    new = list(old)
    for _ in range(draw(st.integers(0, 4))):
        at = draw(st.integers(0, len(new)))
        gone = draw(st.sampled_from([0, 1, 2, 300]))
        fresh = draw(st.lists(st.integers(0, 10**6), max_size=3))
        copied = made.randrange(len(old)) if old else 0
        new[at : at + gone] = [*map(chunk, fresh), *old[copied : copied + made.randrange(3)]]
    return old, new


def content(chunks: Chunks) -> bytes:
    id_, pages = build_content(chunks)
    PAGES.update(pages)
    return id_


def laid_out(chunks: Chunks) -> list[tuple[bytes, int, int]]:
    """Give (id, offset, length) of each chunk."""
    found, offset = [], 0
    for id_, length in chunks:
        found.append((id_, offset, length))
        offset += length
    return found


def spread(runs: Iterable[tuple[int, ChunkRun]]) -> list[tuple[bytes, int, int]]:
    return [(run.id, at + run.length * number, run.length) for at, run in runs for number in range(run.count)]


def entry(chunks: Chunks) -> Entry:
    return Entry(b"file", Kind.FILE, 0o644, 5, sum(length for _, length in chunks), content(chunks))


@settings(max_examples=40)
@given(relatives())
def test_stretches_when_shared_then_the_same_chunks_are_there_in_the_old_content(pair: tuple[Chunks, Chunks]) -> None:
    old, new = pair
    there = {(at, length, id_) for id_, at, length in laid_out(old)}
    end = 0
    for stretch in stretches(content(old), content(new), TREE):
        assert stretch.offset == end
        runs = [(end, run) for run in TREE.span_runs(stretch.span)]
        chunks = [(run.id, run.length) for _, run in runs for _ in range(run.count)]
        assert sum(length for _, length in chunks) == stretch.length
        if stretch.old_offset >= 0:
            assert {(at + stretch.old_offset, length, id_) for id_, at, length in laid_out(chunks)} <= there
        end += stretch.length
    assert end == sum(length for _, length in new)


@settings(max_examples=40)
@given(relatives())
def test_new_runs_when_any_relatives_then_exactly_what_the_old_content_lacks(pair: tuple[Chunks, Chunks]) -> None:
    old, new = pair
    held = {id_ for id_, _ in old}
    found = spread(new_runs(content(old), content(new), TREE))
    assert found == [placed for placed in laid_out(new) if placed[0] not in held]


@settings(max_examples=40)
@given(relatives(), st.data())
def test_runs_in_when_any_range_then_exactly_those_that_overlap_it(
    pair: tuple[Chunks, Chunks], data: st.DataObject
) -> None:
    chunks = pair[1]
    size = sum(length for _, length in chunks)
    begin, end = sorted(data.draw(st.lists(st.integers(0, size + 5), min_size=2, max_size=2)))
    found = spread(runs_in(content(chunks), begin, end, TREE))
    expected = [(id_, at, length) for id_, at, length in laid_out(chunks) if begin < at + length and at < end]
    assert [placed for placed in found if placed[1] < end and begin < placed[1] + placed[2]] == expected


@settings(max_examples=40)
@given(relatives(), st.lists(st.integers(0, 100_010), max_size=100))
def test_find_chunks_when_any_are_wanted_then_the_first_place_of_each(
    pair: tuple[Chunks, Chunks], numbers: list[int]
) -> None:
    old, new = pair
    first: dict[bytes, int] = {}
    for id_, at, _ in laid_out(old):
        first.setdefault(id_, at)
    for wanted in ({chunk(number)[0] for number in numbers}, {id_ for id_, _ in new}):
        found = find_chunks(content(old), wanted, TREE)
        assert found == {id_: at for id_, at in first.items() if id_ in wanted}


@settings(max_examples=40)
@given(relatives())
def test_recipe_when_carried_out_then_it_gives_the_wanted_chunks(pair: tuple[Chunks, Chunks]) -> None:
    old, new = pair
    before, after = entry(old), entry(new)
    parts = recipe(after, Origin(Place.TREE, b"old", before), Catalog(), TREE, ZERO)
    assert _carried_out(parts, old, new) == laid_out(new)
    held = {id_ for id_, _ in old}
    fetched = [part for part in parts if part.place == Place.FETCH]
    lacking = sum(length for id_, length in new if id_ not in held and id_ != ZERO[0])
    assert sum(part.length for part in fetched) == lacking


@settings(max_examples=40)
@given(relatives())
def test_gather_when_another_file_holds_them_then_every_chunk_is_found(pair: tuple[Chunks, Chunks]) -> None:
    old, new = pair
    elsewhere = Origin(Place.TREE, b"other", entry(old))
    catalog = gather(Needs(set(), set(chunk_ids(content(new), TREE))), [elsewhere] if old else [], TREE)
    assert catalog.chunks.keys() == {id_ for id_, _ in old} & {id_ for id_, _ in new}


@settings(max_examples=40)
@given(relatives())
def test_lasting_ranges_when_any_relatives_then_what_lasts_is_equal_and_what_is_left_is_whole_chunks(
    pair: tuple[Chunks, Chunks],
) -> None:
    old, new = pair
    ranges = lasting_ranges(entry(old), entry(new), TREE)
    assert ranges == sorted(ranges)
    was = {at: (id_, length) for id_, at, length in laid_out(old)}
    covered = set[int]()
    for id_, at, length in laid_out(new):
        if any(begin <= at and at + length <= begin + size for begin, size in ranges):
            assert was.get(at) == (id_, length) or id_ == ZERO[0]
            covered.add(at)
    ends = {at for _, at, _ in laid_out(new)} | {sum(length for _, length in new)}
    assert all(begin in ends and begin + size in ends for begin, size in ranges)
    assert bool(covered) == bool(ranges)


def _carried_out(parts: list[Part], old: Chunks, new: Chunks) -> list[tuple[bytes, int, int]]:
    """Do what a recipe says with chunks for bytes."""
    old_at = {at: (id_, length) for id_, at, length in laid_out(old)}
    new_at = {at: (id_, length) for id_, at, length in laid_out(new)}
    made = []
    for part in parts:
        offset = part.offset
        while offset < part.offset + part.length:
            if part.place == Place.TREE:
                id_, length = old_at[part.origin_offset + offset - part.offset]
            else:
                id_, length = new_at[offset]
                assert part.place == Place.FETCH or id_ == ZERO[0]
            made.append((id_, offset, length))
            offset += length
    return made
