"""Which ranges of a file stay where they are when its next content is written over it.

Called by ``operations.tree`` for ``--inplace``; ``filesystem.inplace`` carries
the result out. Never opens a file.
"""

from collections.abc import Iterable, Iterator, Sequence

from pdelta.model.snapshot import HOLES, Entry
from pdelta.tree.contents import Stretch, runs_in, stretches
from pdelta.tree.reader import TreeReader
from pdelta.tree.recipe import Origin, Part

Range = tuple[int, int]
"""Offset and length in bytes."""


def lasting_ranges(before: Entry, after: Entry, tree: TreeReader) -> list[Range]:
    """Give the ranges in which both contents have the same chunks at the same offsets, joined and in order.

    A range that is a hole on one side alone does not last: its bytes are equal, its blocks are not. What is left out on
    either side is made of whole chunks of that side.

    Args:
        before: The file as it is.
        after: The file as it should become.
        tree: Reads chunk lists.
    """
    lasting = list(joined(_common(before, after, tree)))
    old, new = _holes(before), _holes(after)
    changed = sorted([*without(old, new), *without(new, old)])
    return list(without(lasting, list(_widened(changed, after, tree)))) if changed else lasting


def without(ranges: Iterable[Range], holes: Sequence[Range]) -> Iterator[Range]:
    """Give what is left of some ranges when others are taken out; either are in order and apart from each other."""
    position = 0
    for offset, length in ranges:
        begin, end = offset, offset + length
        while position < len(holes) and sum(holes[position]) <= begin:
            position += 1
        place = position
        while place < len(holes) and holes[place][0] < end:
            if holes[place][0] > begin:
                yield begin, holes[place][0] - begin
            begin = max(begin, sum(holes[place]))
            place += 1
        if begin < end:
            yield begin, end - begin


def split_parts(parts: Iterable[Part], lasting: Sequence[Range], base: Origin) -> list[Part]:
    """Give a recipe in which every lasting range is the old file's own, at the offset where it is.

    Args:
        parts: The recipe of the whole file, in order.
        lasting: As ``lasting_ranges`` gives them.
        base: The old file.
    """
    found = [Part(base, offset, offset, length, base.place) for offset, length in lasting]
    for part in parts:
        for offset, length in without([(part.offset, part.length)], lasting):
            moved = part.origin_offset + offset - part.offset if part.origin is not None else part.origin_offset
            found.append(part._replace(origin_offset=moved, offset=offset, length=length))
    return sorted(found, key=lambda part: part.offset)


def _common(before: Entry, after: Entry, tree: TreeReader) -> Iterator[Range]:
    """Give the ranges of equal chunks at equal offsets, in order."""
    for stretch in stretches(before.content, after.content, tree):
        if stretch.old_offset == stretch.offset:
            yield stretch.offset, stretch.length
        elif stretch.old_offset < 0:
            yield from _common_runs(before, stretch, tree)


def _common_runs(before: Entry, stretch: Stretch, tree: TreeReader) -> Iterator[Range]:
    """Compare run by run; chunks that moved with their page are at other offsets."""
    old_runs = runs_in(before.content, stretch.offset, stretch.offset + stretch.length, tree)
    old_at, old = next(old_runs, (0, None))
    new_at = stretch.offset
    for new in tree.span_runs(stretch.span):
        new_end = new_at + new.length * new.count
        while old is not None and old_at < new_end:
            old_end = old_at + old.length * old.count
            if old.id == new.id and (new_at - old_at) % old.length == 0:
                begin, end = max(old_at, new_at), min(old_end, new_end)
                if begin < end:
                    yield begin, end - begin
            if old_end > new_end:
                break
            old_at, old = next(old_runs, (0, None))
        new_at = new_end


def joined(ranges: Iterable[Range]) -> Iterator[Range]:
    """Give ranges with neighbours made one."""
    held: Range | None = None
    for offset, length in ranges:
        if held is not None and sum(held) == offset:
            held = (held[0], held[1] + length)
            continue
        if held is not None:
            yield held
        held = (offset, length)
    if held is not None:
        yield held


def _holes(entry: Entry) -> list[Range]:
    return [(offset, length) for offset, length in entry.extra.get(HOLES, ())]


def _widened(ranges: Sequence[Range], entry: Entry, tree: TreeReader) -> Iterator[Range]:
    """Give the ranges out to the bounds of the chunks that they touch, joined."""
    yield from joined(_touched(ranges, entry, tree))


def _touched(ranges: Sequence[Range], entry: Entry, tree: TreeReader) -> Iterator[Range]:
    done = 0
    for offset, length in ranges:
        for run_at, run in runs_in(entry.content, offset, offset + length, tree):
            begin = max(offset, run_at) - run_at
            end = min(offset + length, run_at + run.length * run.count) - run_at
            first = max(run_at + begin // run.length * run.length, done)
            done = max(run_at + -(-end // run.length) * run.length, done)
            if first < done:
                yield first, done - first
