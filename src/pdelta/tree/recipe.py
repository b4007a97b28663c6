"""Where each range of the next file comes from.

Called by ``operations.tree`` after a merge; ``filesystem.stage`` carries the
parts out. Never opens a file.
"""

from collections.abc import Collection, Iterable, Iterator
from enum import IntEnum
from typing import Final, NamedTuple

import msgspec

from pdelta.model.snapshot import HOLES, ID_LENGTH_BYTES, RUN_LENGTH_BYTES, ChunkRun, Entry
from pdelta.tree.contents import Stretch, find_chunks, runs_in, stretches
from pdelta.tree.reader import FEW_IDS, TreeReader, join

_AHEAD: Final = 16


class Place(IntEnum):
    """Where bytes of a part are."""

    FETCH = 0
    """At the source."""
    TREE = 1
    """In a file of the tree."""
    KEPT = 2
    """In undo data."""
    ZERO = 3
    """Nowhere: they are zeros."""


class Origin(NamedTuple):
    """A file that bytes can be copied from: a path of the tree, or a slot of undo data.

    Attributes:
        place: Where it is.
        path: Its path or slot.
        entry: What it is.
        ranges: The (offset, length) ranges of its content that are there, in order, one of no length for none;
            empty for all of it.
    """

    place: Place
    path: bytes
    entry: Entry
    ranges: tuple[tuple[int, int], ...] = ()


class Part(NamedTuple):
    """One range of the next file.

    Attributes:
        origin: None when the range must be fetched or is zeros.
        origin_offset: First byte in the origin; for a range to fetch, where the
            range that it replaces begins in the old file, or -1.
        offset: First byte in the next file.
        length: Bytes.
        place: Where the bytes are.
    """

    origin: Origin | None
    origin_offset: int
    offset: int
    length: int
    place: Place


class Catalog(msgspec.Struct):
    """Where wanted contents and chunks were found.

    Attributes:
        contents: Origin of each whole content that was found.
        chunks: (origin, offset in it) of each chunk that was found.
    """

    contents: dict[bytes, Origin] = msgspec.field(default_factory=dict)
    chunks: dict[bytes, tuple[Origin, int]] = msgspec.field(default_factory=dict)


class Needs(msgspec.Struct):
    """What must come from somewhere: whole contents first, then the chunks of those that are nowhere whole.

    Attributes:
        contents: Contents of files that are new or changed.
        chunks: Their chunk ids, less those that the file at the same path has.
    """

    contents: set[bytes] = msgspec.field(default_factory=set)
    chunks: set[bytes] = msgspec.field(default_factory=set)


def chunk_ids(content: bytes, tree: TreeReader) -> Iterator[bytes]:
    """Give the chunk ids of a file's content, in order; equal neighbours once."""
    if len(content) == ID_LENGTH_BYTES:
        for run in tree.runs(content):
            yield run.id
        return
    for start in range(0, len(content), RUN_LENGTH_BYTES):
        yield content[start : start + ID_LENGTH_BYTES]


def held_ids(origin: Origin, tree: TreeReader) -> Iterator[bytes]:
    """Give the chunk ids of what an origin holds."""
    if not origin.ranges:
        yield from chunk_ids(origin.entry.content, tree)
        return
    for run, _ in _whole_runs(origin, tree):
        yield run.id


def gather(needs: Needs, candidates: Iterable[Origin], tree: TreeReader) -> Catalog:
    """Find what is needed among files that the target already has.

    One pass over the candidates; memory grows with the needs, not with the
    tree. An earlier candidate wins, except that a whole content in undo data
    is preferred to none.

    Args:
        needs: What is looked for.
        candidates: Files of the tree and of undo data.
        tree: Reads chunk lists.
    """
    catalog = Catalog()
    contents, chunks = needs.contents, needs.chunks
    if not contents and not chunks:
        return catalog
    for origin in candidates:
        content = origin.entry.content
        if content in contents and not origin.ranges:
            catalog.contents.setdefault(content, origin)
            if len(catalog.contents) == len(contents):
                break  # nothing is left whose chunks could be wanted
        if chunks:
            _gather_runs(origin, chunks, catalog.chunks, tree)
    return catalog


def candidates_below(tree: TreeReader, place: Place, top: bytes, directory: bytes, needs: Needs) -> Iterator[Origin]:
    """Give the files of a directory, and of all below it, that may hold something of what is needed.

    Most files have one chunk, which decides at once: 20,000 of them are passed over in 0.03 s, most of it the pages'.

    Args:
        tree: Reads pages.
        place: Where the files are.
        top: Path or slot of the directory.
        directory: Its page.
        needs: What is looked for.
    """
    contents, chunks = needs.contents, needs.chunks
    waiting, loaded = [(top, directory)], set[bytes]()
    while waiting:
        folder, page = waiting.pop()
        if page not in loaded:
            pages = [page, *[page for _, page in waiting[: -_AHEAD - 1 : -1]]]
            tree.load(pages)
            loaded = set(pages)
        below = []
        for entry in tree.directory(page):
            content = entry.content
            if entry.kind == 2:
                below.append((join(folder, entry.name), content))
            elif entry.kind == 1 and content:
                several = len(content) != RUN_LENGTH_BYTES
                if content in contents or (chunks and (several or content[:ID_LENGTH_BYTES] in chunks)):
                    yield Origin(place, join(folder, entry.name), entry)
        waiting += reversed(below)


def _gather_runs(origin: Origin, wanted: set[bytes], found: dict[bytes, tuple[Origin, int]], tree: TreeReader) -> None:
    # Of many, taking out those that were found would cost more than finding them again.
    missing = wanted - found.keys() if len(wanted) <= FEW_IDS else wanted
    if not origin.ranges:
        for id_, offset in find_chunks(origin.entry.content, missing, tree).items():
            found.setdefault(id_, (origin, offset))
        return
    for run, offset in _whole_runs(origin, tree, missing):
        if run.id in missing:
            found.setdefault(run.id, (origin, offset))


def _whole_runs(origin: Origin, tree: TreeReader, ids: Collection[bytes] = ()) -> Iterator[tuple[ChunkRun, int]]:
    """Give the runs of which an origin's ranges hold a whole chunk, each with the offset of the first one."""
    for begin, size in origin.ranges:
        for offset, run in runs_in(origin.entry.content, begin, begin + size, tree, ids):
            number = max(0, -(-(begin - offset) // run.length))
            if number < run.count and offset + (number + 1) * run.length <= begin + size:
                yield run, offset + number * run.length


def recipe(
    after: Entry, base: Origin | None, catalog: Catalog, tree: TreeReader, zero: tuple[bytes, int]
) -> list[Part]:
    """Say, in order, where each part of the wanted file comes from.

    Adjacent ranges from one place are joined, so an unchanged run of ten
    thousand chunks yields one part. The lengths of all parts add up to the
    length of the wanted file.

    Args:
        after: The file as it should become.
        base: The file that it replaces, or its likeliest ancestor.
        catalog: What was found elsewhere.
        tree: Reads chunk lists.
        zero: Id and length of the chunk that holds zeros alone.
    """
    whole = catalog.contents.get(after.content)
    if base is not None and base.entry.content == after.content:
        whole = base
    if whole is not None and after.size:
        return [Part(whole, 0, 0, after.size, whole.place)]
    parts: list[Part] = []
    last_reused = 0
    for shared, part in _cut(after, base, catalog, tree, zero):
        if part.place == Place.FETCH and base is not None:
            part = part._replace(origin_offset=last_reused)  # noqa: PLW2901 - the same part, with its place
        elif shared:
            last_reused = part.origin_offset + part.length
        _append(parts, part)
    return parts


def _cut(
    after: Entry, base: Origin | None, catalog: Catalog, tree: TreeReader, zero: tuple[bytes, int]
) -> Iterator[tuple[bool, Part]]:
    """Give each piece of the recipe, and whether it is the base's own."""
    old = base.entry.content if base is not None else b""
    holes = [(begin, begin + length) for begin, length in after.extra.get(HOLES, ())]
    whole: list[tuple[Stretch, bool]] = []
    ids: set[bytes] = set()
    for stretch in stretches(old, after.content, tree):
        end = stretch.offset + stretch.length
        # Where holes are, zeros come from nowhere.
        shared = stretch.old_offset >= 0 and not any(begin < end and stop > stretch.offset for begin, stop in holes)
        whole.append((stretch, shared))
        if base is not None and not shared:
            ids.update(run.id for run in tree.span_runs(stretch.span))
    held = find_chunks(old, ids, tree)
    for stretch, shared in whole:
        if shared and base is not None:
            yield True, Part(base, stretch.old_offset, stretch.offset, stretch.length, base.place)
            continue
        offset = stretch.offset
        for run in tree.span_runs(stretch.span):
            if (run.id, run.length) == zero:
                yield False, Part(None, 0, offset, run.length * run.count, Place.ZERO)
                offset += run.length * run.count
                continue
            for _ in range(run.count):
                if base is not None and run.id in held:
                    yield True, Part(base, held[run.id], offset, run.length, base.place)
                elif run.id in catalog.chunks:
                    origin, position = catalog.chunks[run.id]
                    yield False, Part(origin, position, offset, run.length, origin.place)
                else:
                    yield False, Part(None, -1, offset, run.length, Place.FETCH)
                offset += run.length


def _append(parts: list[Part], part: Part) -> None:
    if parts:
        last = parts[-1]
        if last.place == part.place and last.origin is part.origin:
            contiguous = last.origin_offset + last.length == part.origin_offset
            if part.place in {Place.FETCH, Place.ZERO} or contiguous:
                parts[-1] = last._replace(length=last.length + part.length)
                return
    parts.append(part)
