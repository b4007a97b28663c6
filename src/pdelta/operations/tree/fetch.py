"""Bringing the pages of a wanted snapshot here, and judging them before anything reads them.

Called by ``TreeOperation.calculate`` for a push. What a hostile source gives is
refused page by page, and the whole by its logical size: pages are few bytes
each, and a page that is named four thousand times over is four thousand folders.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from pdelta.errors import FormatError, IntegrityError
from pdelta.formats.page import check_page, child_ids, decode_root, encode_root
from pdelta.model.snapshot import PageReader, PageStore, Root
from pdelta.model.source import ChangedPages
from pdelta.operations.tree.calculate import Overlay

PAGES_LIMIT: Final = 1 << 22
"""Pages that one push may bring, each counted as often as it is named: four million folders, or a billion names."""

DEPTH_LIMIT: Final = 1 << 14
"""Pages one below the other: a path has at most 2,048 names, and few folders have more than one level of pages."""


class MissingPages:
    """Says which pages are not on disk."""

    def __init__(self, ledger_pages: PageStore | None) -> None:
        """Ask the ledger's pages, where there is a ledger."""
        self._pages = ledger_pages

    def missing(self, ids: list[bytes]) -> list[bytes]:
        """Give those that are not there."""
        return ids if self._pages is None else self._pages.missing_pages(ids)


def fetch_root(overlay: Overlay, source: PageReader, snapshot: bytes, known: MissingPages) -> Root:
    """Bring the root record of a snapshot, and give it.

    Raises:
        FormatError: It breaks its specification.
        IntegrityError: It is not what its id says, or was not given.
    """
    if not _absent(overlay, known, [snapshot]):
        return overlay.read_root(snapshot)
    data = _given(source.read_pages([snapshot]), snapshot)
    root = decode_root(data)
    if encode_root(root)[0] != snapshot:
        raise IntegrityError("the source gave another root record than was asked for; nothing was changed")
    overlay.new[snapshot] = data
    return root


def fetch_pages(
    overlay: Overlay, source: PageReader, snapshot: bytes, known: MissingPages, held: Root | None = None
) -> None:
    """Bring every page of a snapshot that is not here, level by level.

    Args:
        overlay: Takes the pages.
        source: Gives them; it may give more than it was asked for.
        snapshot: Snapshot id.
        known: Says which pages are missing on disk.
        held: What the tree holds: a source that can sends changed pages as patches.

    Raises:
        FormatError: A page breaks its specification, or together they are more than any tree holds.
        IntegrityError: A page is not what its id says, or was not given.
    """
    root = fetch_root(overlay, source, snapshot, known)
    arrival = _Arrival(overlay)
    level = [id_ for id_ in (root.top.content, root.links) if id_]
    bases: dict[bytes, bytes] = {}
    if held is not None and isinstance(source, ChangedPages):
        bases = {root.top.content: held.top.content, root.links: held.links}
    for _ in range(DEPTH_LIMIT):
        wanted = _absent(overlay, known, level)
        if not wanted:
            break
        arrival.expect(wanted)
        if bases and isinstance(source, ChangedPages):
            for batch in source.read_changed_pages({id_: bases.get(id_, b"") for id_ in wanted}, overlay):
                arrival.take(batch, below=True)
        else:
            arrival.take(source.read_pages(wanted), below=False)
        level = arrival.missing(wanted)
    else:
        raise _too_large()
    weigh(arrival.below, root.top.content)


class _Arrival:
    """Takes pages that were asked for, and those that such pages name; refuses all others.

    Attributes:
        below: The pages that each page names.
    """

    def __init__(self, overlay: Overlay) -> None:
        self.below: dict[bytes, list[bytes]] = {}
        self._overlay = overlay
        self._expected: dict[bytes, None] = {}

    def expect(self, ids: Iterable[bytes]) -> None:
        """Take these from now on."""
        self._expected = dict.fromkeys(ids)

    def take(self, batch: Mapping[bytes, bytes], *, below: bool) -> None:
        """Check and keep pages; with ``below`` also those that they name."""
        waiting = [id_ for id_ in batch if id_ in self._expected]
        while waiting:
            id_ = waiting.pop()
            data = batch[id_]
            del self._expected[id_]
            check_page(id_, data)
            self._overlay.new[id_] = data
            children = self.below[id_] = child_ids(data)
            fresh = [child for child in children if child not in self._overlay.new and child not in self._expected]
            self._expected.update(dict.fromkeys(fresh))
            if below:
                waiting += [child for child in fresh if child in batch]
        if below and any(id_ not in self._overlay.new for id_ in batch):
            raise FormatError("the source sent a page that nobody asked for; nothing was changed")
        if len(self.below) > PAGES_LIMIT:
            raise _too_large()

    def missing(self, wanted: Iterable[bytes]) -> list[bytes]:
        """Give the pages that are named and did not come; those that were asked for must have come."""
        for id_ in wanted:
            if id_ in self._expected:
                text = f"the source did not give page {id_.hex()[:16]}, which it named; nothing was changed"
                raise IntegrityError(text)
        return list(self._expected)


def weigh(below: Mapping[bytes, Sequence[bytes]], top: bytes) -> int:
    """Give how many pages there are from one on, each counted as often as it is named.

    Args:
        below: The pages that a page names; a page that is missing here counts as one.
        top: Where to begin.

    Raises:
        FormatError: They are more than ``PAGES_LIMIT``.
    """
    weights: dict[bytes, int] = {}
    waiting = [top]
    while waiting:
        id_ = waiting[-1]
        unknown = [child for child in dict.fromkeys(below.get(id_, ())) if child not in weights and child in below]
        if id_ not in weights and unknown:
            waiting += unknown
            continue
        waiting.pop()
        if id_ not in weights:
            weights[id_] = 1 + sum(weights.get(child, 1) for child in below.get(id_, ()))
            if weights[id_] > PAGES_LIMIT:
                raise _too_large()
    return weights[top]


def _given(pages: Mapping[bytes, bytes], id_: bytes) -> bytes:
    data = pages.get(id_)
    if data is None:
        raise IntegrityError(f"the source did not give page {id_.hex()[:16]}, which it named; nothing was changed")
    return data


def _too_large() -> FormatError:
    text = f"the wanted snapshot has more than {PAGES_LIMIT} pages, or more than {DEPTH_LIMIT} below each other"
    return FormatError(text + "; nothing was changed", hint="the other end is faulty or hostile")


def _absent(overlay: Overlay, known: MissingPages, ids: Iterable[bytes]) -> list[bytes]:
    unique = [id_ for id_ in dict.fromkeys(ids) if id_ not in overlay.new]
    return known.missing(unique) if unique else []
