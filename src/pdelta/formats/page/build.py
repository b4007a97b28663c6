"""Sorted items to pages.

Called by whoever scans a tree or records one. The cuts depend on the items alone, so that equal directories have equal
pages wherever they were built, and one changed item changes one page a level.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from struct import Struct
from typing import Final

import msgspec
from blake3 import blake3

from pdelta.errors import FormatError
from pdelta.formats.page.codec import (
    MAX_PAGE_BYTES,
    MAX_PAGE_ITEMS,
    PAGE_OVERHEAD_BYTES,
    PageType,
    encode_page,
    encoder,
    page_id,
)
from pdelta.model.snapshot import INLINE_RUNS, Entry, LinkName, PageRef

Pages = list[tuple[bytes, bytes]]
"""(id, canonical bytes) pairs, leaves first."""

MAX_RUN_COUNT: Final = 0xFFFF_FFFF

_RUN: Final = Struct(">32sII")
_ROOM: Final = MAX_PAGE_BYTES - PAGE_OVERHEAD_BYTES


class _Level(msgspec.Struct):
    """The items of one level: their keys, encodings, levels above 0 by position, and bytes of content below."""

    keys: Sequence[bytes]
    encoded: list[bytes]
    ends: dict[int, int]
    lengths: Sequence[int] | None = None


def build_directory(entries: Sequence[Entry]) -> tuple[bytes, Pages]:
    """Give the root page id of a directory and its pages.

    Measured: 100,000 entries in 0.09 to 0.16 s, 3 entries in 8 to 14 µs.

    Args:
        entries: Sorted by raw name, names unique and valid.

    Raises:
        FormatError: An entry alone is larger than a page.
    """
    names = [entry.name for entry in entries]
    encode = encoder.encode
    level = _Level(names, [encode(entry) for entry in entries], _ends(names))
    return _build(PageType.DIRECTORY, level, encode_page)


def build_content(runs: Iterable[tuple[bytes, int]]) -> tuple[bytes, Pages]:
    """Give a file's ``Entry.content`` and its pages, of which there are none for up to 16 runs.

    Args:
        runs: (chunk id, length in bytes) in the order of the file; equal neighbours become one run.
    """
    packed, lengths = _pack_runs(runs)
    if len(packed) <= INLINE_RUNS:
        return b"".join(packed), []
    keys = [run[:32] + run[36:] for run in packed]
    return _build(PageType.CONTENT, _Level(keys, packed, _ends(keys), lengths), _encode_content_page)


def build_links(groups: Sequence[Sequence[bytes]]) -> tuple[bytes, Pages]:
    """Give the root page id of the hard-link groups and its pages; ``b""`` and none when there are no groups.

    Args:
        groups: The raw paths of each group, in any order; a group is named by its least path.
    """
    if not groups:
        return b"", []
    links = sorted((min(group), path) for group in groups for path in group)
    keys = [leader + b"\0" + path for leader, path in links]
    encode = encoder.encode
    level = _Level(keys, [encode(LinkName(leader, path)) for leader, path in links], _ends(keys))
    return _build(PageType.LINKS, level, encode_page)


def key_level(key: bytes) -> int:
    """Give the number of zero bytes at the end of the key's BLAKE3: the levels whose pages it ends."""
    digest = blake3(key).digest()
    return len(digest) - len(digest.rstrip(b"\0"))


def _ends(keys: Sequence[bytes]) -> dict[int, int]:
    # One comprehension over all keys: this is the whole cost of cutting, so the rare hits are hashed twice.
    found = [position for position, key in enumerate(keys) if not blake3(key).digest()[-1]]
    return {position: key_level(keys[position]) for position in found}


def _build(
    type_: PageType, level: _Level, encode_leaf: Callable[[PageType, int, list[bytes]], bytes]
) -> tuple[bytes, Pages]:
    pages: Pages = []
    number, encode = 1, encode_leaf
    while True:
        above = _Level([], [], {}, None)
        refs: list[PageRef] = []
        for start, stop in _spans(level, number):
            data = encode(type_, number, level.encoded[start:stop])
            id_ = page_id(data)
            pages.append((id_, data))
            refs.append(_ref(level, start, stop, id_, type_))
            if stop - 1 in level.ends:
                above.ends[len(refs) - 1] = level.ends[stop - 1]
        if len(refs) == 1:
            return refs[0].id, pages
        above.keys = [ref.last for ref in refs]
        above.encoded = [encoder.encode(ref) for ref in refs]
        above.lengths = [ref.length for ref in refs]
        level, number, encode = above, number + 1, encode_page


def _ref(level: _Level, start: int, stop: int, id_: bytes, type_: PageType) -> PageRef:
    if type_ is PageType.CONTENT:
        return PageRef(b"", id_, sum(level.lengths[start:stop]) if level.lengths else 0)
    return PageRef(level.keys[stop - 1] if stop else b"", id_)


def _spans(level: _Level, number: int) -> Iterator[tuple[int, int]]:
    """Give (start, stop) of each page; one empty span when there are no items."""
    count = len(level.encoded)
    stops = [position + 1 for position, depth in level.ends.items() if depth >= number]
    if not stops or stops[-1] != count:
        stops.append(count)
    sizes = [len(item) for item in level.encoded]
    start = 0
    for stop in stops:
        if stop - start <= MAX_PAGE_ITEMS and sum(sizes[start:stop]) <= _ROOM:
            yield start, stop
        else:
            yield from _bounded_spans(sizes, start, stop)
        start = stop


def _bounded_spans(sizes: list[int], start: int, stop: int) -> Iterator[tuple[int, int]]:
    total = 0
    for position, size in enumerate(islice(sizes, start, stop), start):
        if size > _ROOM:
            message = f"an item of {size} bytes does not fit a page of {MAX_PAGE_BYTES} bytes"
            raise FormatError(message, hint="an entry with that many extended attributes or holes can't be recorded")
        if position - start == MAX_PAGE_ITEMS or total + size > _ROOM:
            yield start, position
            start, total = position, 0
        total += size
    yield start, stop


def _encode_content_page(type_: PageType, level: int, items: list[bytes]) -> bytes:
    return encode_page(type_, level, [encoder.encode(b"".join(items))])


def _pack_runs(runs: Iterable[tuple[bytes, int]]) -> tuple[list[bytes], list[int]]:
    packed: list[bytes] = []
    lengths: list[int] = []
    pack = _RUN.pack
    last_id, last_length, count = b"", 0, 0
    for id_, length in runs:
        if id_ == last_id and length == last_length and count < MAX_RUN_COUNT:
            count += 1
            continue
        if count:
            packed.append(pack(last_id, last_length, count))
            lengths.append(last_length * count)
        last_id, last_length, count = id_, length, 1
    if count:
        packed.append(pack(last_id, last_length, count))
        lengths.append(last_length * count)
    return packed, lengths
