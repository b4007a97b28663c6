"""Where each range of the next file comes from.

Called by ``operations.tree`` after a merge; ``filesystem.stage`` carries the
parts out. Never opens a file.
"""

from collections.abc import Iterable, Iterator, Sequence
from enum import IntEnum
from typing import Final, NamedTuple

import msgspec

from pdelta.model.snapshot import ID_LENGTH_BYTES, RUN_LENGTH_BYTES, ChunkRun, Entry
from pdelta.tree.reader import TreeReader, join

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
    waiting = [(top, directory)]
    while waiting:
        folder, page = waiting.pop()
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
        tree.load([page for _, page in waiting[-_AHEAD:]])


def _gather_runs(origin: Origin, wanted: set[bytes], found: dict[bytes, tuple[Origin, int]], tree: TreeReader) -> None:
    for run, offset in _whole_runs(origin, tree):
        if run.id in wanted and run.id not in found:
            found[run.id] = (origin, offset)


def _whole_runs(origin: Origin, tree: TreeReader) -> Iterator[tuple[ChunkRun, int]]:
    """Give the runs of which an origin holds a whole chunk, each with the offset of the first one."""
    offset = 0
    for run in tree.runs(origin.entry.content):
        first = _first_whole(origin.ranges, offset, run.length, run.count) if origin.ranges else offset
        if first >= 0:
            yield run, first
        offset += run.length * run.count


def _first_whole(ranges: Sequence[tuple[int, int]], offset: int, length: int, count: int) -> int:
    """Give where the first chunk of a run begins that lies in one of the ranges whole; -1 for none."""
    for begin, size in ranges:
        number = max(0, -(-(begin - offset) // length))
        if number < count and offset + (number + 1) * length <= begin + size:
            return offset + number * length
    return -1


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
    held = _offsets(base, tree)
    parts: list[Part] = []
    offset = 0
    last_reused = 0
    for run in tree.runs(after.content):
        for _ in range(run.count if run.id != zero[0] else 1):
            length = run.length
            if run.id == zero[0] and length == zero[1]:
                length = run.length * run.count
                part = Part(None, 0, offset, length, Place.ZERO)
            elif run.id in held and base is not None:
                position = held[run.id]
                part = Part(base, position, offset, length, base.place)
                last_reused = position + length
            elif run.id in catalog.chunks:
                origin, position = catalog.chunks[run.id]
                part = Part(origin, position, offset, length, origin.place)
            else:
                part = Part(None, last_reused if base is not None else -1, offset, length, Place.FETCH)
            _append(parts, part)
            offset += length
    return parts


def _offsets(base: Origin | None, tree: TreeReader) -> dict[bytes, int]:
    if base is None:
        return {}
    held: dict[bytes, int] = {}
    offset = 0
    for run in tree.runs(base.entry.content):
        held.setdefault(run.id, offset)
        offset += run.length * run.count
    return held


def _append(parts: list[Part], part: Part) -> None:
    if parts:
        last = parts[-1]
        if last.place == part.place and last.origin is part.origin:
            contiguous = last.origin_offset + last.length == part.origin_offset
            if part.place in {Place.FETCH, Place.ZERO} or contiguous:
                parts[-1] = last._replace(length=last.length + part.length)
                return
    parts.append(part)
