"""Reading page trees: directories, chunk lists and hard-link groups as streams.

Called by whoever walks a snapshot: diff, apply, verify. Pages come from a ``PageReader`` and were checked one by one
when they arrived (``check_page``); here they must also fit together: types, levels, keys and lengths.
"""

from collections import OrderedDict
from collections.abc import Collection, Iterator, Sequence
from itertools import islice
from typing import Final

import msgspec

from pdelta.errors import FormatError, IntegrityError
from pdelta.formats.page import codec
from pdelta.formats.page.codec import PageType
from pdelta.model.amount import counted
from pdelta.model.snapshot import ID_LENGTH_BYTES, ChunkRun, Entry, LinkName, PageReader, PageRef
from pdelta.tree.reader import FEW_IDS, Span

BATCH_PAGES: Final = 16
"""Leaves read ahead at once; at about 30 KB each this is half a megabyte."""

CACHED_BYTES: Final = 4 << 20
MAX_BOUNDS: Final = 65_536

MAX_SPANNED: Final = 8
"""Chunk lists whose parts are remembered: the old one, the new one, and some."""

_HINT: Final = "the snapshot was made by a faulty or hostile program; nothing was done with it"


class _Seen(msgspec.Struct, frozen=True):
    """A page with what the page above says of it."""

    ref: PageRef
    after: bytes
    level: int


class PagedTree:
    """Page trees read through a ``PageReader``, with a small cache of the pages read last."""

    def __init__(self, reader: PageReader) -> None:
        """Read through ``reader``; nothing is read yet."""
        self._reader = reader
        self._cache: OrderedDict[bytes, bytes] = OrderedDict()
        self._cached_bytes = 0
        self._bounds: dict[bytes, tuple[bytes, bytes]] = {}
        self._spans: dict[bytes, list[Span]] = {}

    def leaves(self, directory: bytes) -> list[bytes]:
        """Give the ids of the leaf pages of a directory, in order.

        Raises:
            FormatError: Pages that do not fit together.
            IntegrityError: A page is missing or damaged.
        """
        found = list(self._leaf_refs(directory, PageType.DIRECTORY))
        if len(found) > 1:
            if len(self._bounds) + len(found) > MAX_BOUNDS:
                self._bounds.clear()
            self._bounds.update((seen.ref.id, (seen.after, seen.ref.last)) for seen in found)
        return [seen.ref.id for seen in found]

    def entries(self, leaf: bytes) -> list[Entry]:
        """Give the entries of one leaf page of a directory.

        Raises:
            FormatError: No such leaf, or its names are not those that the page above promised.
            IntegrityError: The page is missing or damaged.
        """
        entries = codec.decode_entries(self._page(leaf))
        bounds = self._bounds.get(leaf)
        if bounds is not None:
            _check_bounds(leaf, [entry.name for entry in entries], *bounds)
        return entries

    def load(self, pages: Sequence[bytes]) -> None:
        """Read a few pages in one go that will be asked for next; the cache must hold them all.

        Raises:
            IntegrityError: A page is missing or damaged.
        """
        self._load(pages)

    def directory(self, id: bytes) -> Iterator[Entry]:
        """Stream the entries of a directory in the order of their names.

        Raises:
            FormatError: Pages that do not fit together.
            IntegrityError: A page is missing or damaged.
        """
        for seen in self._read_ahead(self._leaf_refs(id, PageType.DIRECTORY)):
            entries = codec.decode_entries(self._page(seen.ref.id))
            if seen.level:
                _check_bounds(seen.ref.id, [entry.name for entry in entries], seen.after, seen.ref.last)
            yield from entries

    def runs(self, content: bytes, size: int | None = None) -> Iterator[ChunkRun]:
        """Stream the chunk runs of a file.

        Args:
            content: Any ``Entry.content`` of a file: packed runs, or the id of a chunk-list page.
            size: The entry's size in bytes; when given, a list of any other length is refused before its end, so that
                a few small pages can't pose as an endless file.

        Raises:
            FormatError: Pages that do not fit together, or a list of another length than ``size``.
            IntegrityError: A page is missing or damaged.
        """
        total = 0
        for runs in self._run_batches(content):
            total += sum([run.length * run.count for run in runs])
            if size is not None and total > size:
                break
            yield from runs
        if size is not None and total != size:
            message = f"chunk list does not make up the {counted(size, 'byte')} of its file"
            raise FormatError(message, hint=_HINT)

    def spans(self, content: bytes) -> Sequence[Span]:
        """Give the parts of a file's chunk list, in order, without reading its leaf pages; none for an empty file.

        Args:
            content: Any ``Entry.content`` of a file: packed runs, or the id of a chunk-list page.

        Raises:
            FormatError: Pages that do not fit together.
            IntegrityError: A page is missing or damaged.
        """
        if len(content) != ID_LENGTH_BYTES:
            length = sum([run.length * run.count for run in codec.unpack_runs(content)])
            return [Span(b"", 0, length, content)] if content else []
        known = self._spans.get(content)
        if known is None:
            known, offset = [], 0
            for seen in self._leaf_refs(content, PageType.CONTENT):
                length = seen.ref.length or _length(codec.decode_runs(self._page(seen.ref.id)))
                known.append(Span(seen.ref.id, offset, length))
                offset += length
            if len(self._spans) >= MAX_SPANNED:
                self._spans.clear()
            self._spans[content] = known
        return known

    def span_runs(self, span: Span) -> Sequence[ChunkRun]:
        """Give the runs of one part, in order.

        Raises:
            FormatError: They make up another length than the page above says.
            IntegrityError: The page is missing or damaged.
        """
        if not span.page:
            return codec.unpack_runs(span.runs)
        runs = codec.decode_runs(self._page(span.page))
        if _length(runs) != span.length:
            _refuse(span.page, "holds another length than the page above it says")
        return runs

    def may_hold(self, span: Span, ids: Collection[bytes]) -> bool:
        """Whether any of these chunks may be in one part; false where it is certain that none is.

        Raises:
            IntegrityError: The page is missing or damaged.
        """
        if len(ids) > FEW_IDS:
            return True
        data = self._page(span.page) if span.page else span.runs
        return any(id_ in data for id_ in ids)

    def links(self, id: bytes) -> Iterator[LinkName]:
        """Stream the names of all hard-link groups by group; nothing for ``b""``.

        Raises:
            FormatError: Pages that do not fit together.
            IntegrityError: A page is missing or damaged.
        """
        if not id:
            return
        for seen in self._read_ahead(self._leaf_refs(id, PageType.LINKS)):
            links = codec.decode_links(self._page(seen.ref.id))
            if seen.level:
                keys = [link.leader + b"\0" + link.path for link in links]
                _check_bounds(seen.ref.id, keys, seen.after, seen.ref.last)
            yield from links

    def _run_batches(self, content: bytes) -> Iterator[list[ChunkRun]]:
        if len(content) != ID_LENGTH_BYTES:
            yield codec.unpack_runs(content)
            return
        for seen in self._read_ahead(self._leaf_refs(content, PageType.CONTENT)):
            runs = codec.decode_runs(self._page(seen.ref.id))
            if seen.level and _length(runs) != seen.ref.length:
                _refuse(seen.ref.id, "holds another length than the page above it says")
            yield runs

    def _leaf_refs(self, id_: bytes, type_: PageType) -> Iterator[_Seen]:
        """Walk down to the leaves; a tree of one page has a leaf without bounds, at level 0."""
        data = self._page(id_)
        if codec.page_type(data) is not type_:
            _refuse(id_, f"is of type {codec.page_type(data)!s} where {type_!s} was expected")
        level = codec.page_level(data)
        if level == 1:
            yield _Seen(PageRef(b"", id_), b"", 0)
            return
        refs = codec.decode_refs(data)
        if len(refs) < 2:
            _refuse(id_, "stands at the top with a single page below it")
        stack = [iter(_below(refs, b"", level))]
        while stack:
            seen = next(stack[-1], None)
            if seen is None:
                stack.pop()
            elif seen.level == 1:
                yield seen
            else:
                stack.append(iter(_below(self._inner_refs(seen, type_), seen.after, seen.level)))

    def _inner_refs(self, seen: _Seen, type_: PageType) -> list[PageRef]:
        data, id_ = self._page(seen.ref.id), seen.ref.id
        if codec.page_type(data) is not type_ or codec.page_level(data) != seen.level:
            _refuse(id_, "is not of the type and level that the page above it says")
        refs = codec.decode_refs(data)
        if type_ is PageType.CONTENT:
            if sum(ref.length for ref in refs) != seen.ref.length:
                _refuse(id_, "holds another length than the page above it says")
        else:
            _check_bounds(id_, [ref.last for ref in refs], seen.after, seen.ref.last)
        return refs

    def _read_ahead(self, leaves: Iterator[_Seen]) -> Iterator[_Seen]:
        while batch := list(islice(leaves, BATCH_PAGES)):
            self._load([seen.ref.id for seen in batch])
            yield from batch

    def _page(self, id_: bytes) -> bytes:
        data = self._cache.get(id_)
        if data is None:
            self._load([id_])
            return self._cache[id_]
        self._cache.move_to_end(id_)
        return data

    def _load(self, ids: Sequence[bytes]) -> None:
        missing = [id_ for id_ in ids if id_ not in self._cache]
        if not missing:
            return
        for id_, data in self._reader.read_pages(missing).items():
            if id_ not in self._cache:
                self._cache[id_] = data
                self._cached_bytes += len(data)
        for id_ in missing:
            if id_ not in self._cache:
                message = f"page {id_.hex()[:16]} is missing"
                raise IntegrityError(message, hint="read the snapshot from another source")
        keep = len(ids)
        while self._cached_bytes > CACHED_BYTES and len(self._cache) > keep:
            self._cached_bytes -= len(self._cache.popitem(last=False)[1])


def _length(runs: Sequence[ChunkRun]) -> int:
    return sum([run.length * run.count for run in runs])


def _below(refs: list[PageRef], after: bytes, level: int) -> Iterator[_Seen]:
    for ref in refs:
        yield _Seen(ref, after, level - 1)
        after = ref.last


def _check_bounds(id_: bytes, keys: list[bytes], after: bytes, last: bytes) -> None:
    if not keys or keys[-1] != last or keys[0] <= after:
        _refuse(id_, "holds other keys than the page above it says")


def _refuse(id_: bytes, what: str) -> None:
    message = f"page {id_.hex()[:16]} {what}"
    raise FormatError(message, hint=_HINT)
