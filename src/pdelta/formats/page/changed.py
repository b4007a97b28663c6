"""Which pages of one snapshot another lacks, and which of the other's each takes the place of.

Called by ``operations.remote``, which sends a page as its difference from the one
in its place. Where nothing is in its place, as in a folder that was copied, a page
that shares content is the next best guess. A wrong guess costs bytes, never
correctness.
"""

from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Final, NamedTuple

from pdelta.errors import PdeltaError
from pdelta.formats.page.codec import PageType, child_ids, decode_entries, decode_refs, page_level, page_type
from pdelta.model.snapshot import ID_LENGTH_BYTES, Kind, PageReader

BATCH_PAGES: Final = 64
"""Pages are read so many at a time: 16 MiB at most."""

INDEXED_ENTRIES: Final = 200_000
"""Contents that are remembered of a held snapshot; a larger one is known in part."""

VOTES: Final = 32
WORTH_BYTES: Final = 512
"""Smaller pages are sent as they are."""

INDEX_WORTH_BYTES: Final = 64 << 10
"""Fewer bytes of pages without a base are sent as they are: to know all contents takes 3 µs a file of the tree."""


class ChangedPage(NamedTuple):
    """One page to send.

    Attributes:
        id: Its id.
        page: Its bytes.
        base: Id of a page that the other side has, empty for none.
        base_page: That one's bytes.
    """

    id: bytes
    page: bytes
    base: bytes = b""
    base_page: bytes = b""


class ChangedPages:
    """Walks down from pages that are wanted.

    Args:
        pages: Gives the wanted pages, and those held ones that it still knows.
    """

    def __init__(self, pages: PageReader) -> None:
        """Read nothing yet."""
        self._pages = pages
        self._held = b""
        self._contents: dict[int, bytes] | None = None

    def walk(self, wanted: Mapping[bytes, bytes]) -> Iterator[list[ChangedPage]]:
        """Give pages in batches, each after one that names it.

        Below a page whose base is known here, whatever differs from the base and has one of its own comes too; the
        rest is the asker's to ask for, who may have it from elsewhere.

        Args:
            wanted: The base of each page, empty for none. The first base of all is the top folder of what is held.

        Raises:
            IntegrityError: A wanted page is missing or damaged.
        """
        self._held = self._held or next((base for base in wanted.values() if base), b"")
        queue = deque(wanted.items())
        seen = set(wanted)
        while queue:
            batch = [queue.popleft() for _ in range(min(BATCH_PAGES, len(queue)))]
            pages = self._pages.read_pages([id_ for id_, _ in batch])
            bases = self._known({base for _, base in batch if base})
            found: list[ChangedPage] = []
            alone = sum(len(pages[id_]) for id_, base in batch if base not in bases)
            likening = self._contents is not None or alone >= INDEX_WORTH_BYTES
            for id_, base in batch:
                page = pages[id_]
                if base in bases:
                    found.append(ChangedPage(id_, page, base, bases[base]))
                    below = [pair for pair in _pairs(page, bases[base]) if pair[0] != pair[1] and pair[0] not in seen]
                    seen.update(child for child, _ in below)
                    queue.extend(below)
                else:
                    found.append(self._likened(id_, page) if likening else ChangedPage(id_, page))
            yield found

    def _known(self, ids: set[bytes]) -> Mapping[bytes, bytes]:
        """Give those of these pages that are known here; none of them is promised."""
        with suppress(PdeltaError):
            return self._pages.read_pages(ids) if ids else {}
        known: dict[bytes, bytes] = {}
        for id_ in ids:
            with suppress(PdeltaError):
                known.update(self._pages.read_pages([id_]))
        return known

    def _likened(self, id_: bytes, page: bytes) -> ChangedPage:
        """Pair a page that has no base with a held one that shares content."""
        if (
            not self._held
            or len(page) < WORTH_BYTES
            or page_level(page) > 1
            or page_type(page) is not PageType.DIRECTORY
        ):
            return ChangedPage(id_, page)
        if self._contents is None:
            self._contents = self._index()
        contents = self._contents
        files = [hash(entry.content) for entry in decode_entries(page)[:VOTES] if entry.size]
        votes = Counter(contents[key] for key in files if key in contents)
        if not votes:
            return ChangedPage(id_, page)
        base = votes.most_common(1)[0][0]
        known = self._known({base})
        return ChangedPage(id_, page, base, known[base]) if known else ChangedPage(id_, page)

    def _index(self) -> dict[int, bytes]:
        """Give the held leaf page of each content, by a hash of it: a clash costs bytes."""
        found: dict[int, bytes] = {}
        level = [self._held]
        while level and len(found) < INDEXED_ENTRIES:
            batch, level = level[:BATCH_PAGES], level[BATCH_PAGES:]
            for id_, page in self._known(set(batch)).items():
                if page_type(page) is not PageType.DIRECTORY:
                    continue
                if page_level(page) > 1:
                    level += child_ids(page)
                    continue
                for entry in decode_entries(page):
                    if entry.kind == Kind.DIRECTORY:
                        level.append(entry.content)
                    elif entry.size:
                        found.setdefault(hash(entry.content), id_)
        return found


def _pairs(page: bytes, base: bytes) -> Iterable[tuple[bytes, bytes]]:
    """Give (wanted, held) page ids below two pages of one kind and level."""
    level, kind = page_level(page), page_type(page)
    if level != page_level(base) or kind is not page_type(base):
        return
    if level > 1:
        old = decode_refs(base)
        keys = [ref.last for ref in old]
        for position, ref in enumerate(decode_refs(page)):
            place = bisect_left(keys, ref.last) if ref.last else position
            # What is behind the end is like the last page: names were added there, or a longer one was cut.
            yield ref.id, old[min(place, len(old) - 1)].id
    elif kind is PageType.DIRECTORY:
        names = {entry.name: entry.content for entry in decode_entries(base) if len(entry.content) == ID_LENGTH_BYTES}
        for entry in decode_entries(page):
            if len(entry.content) == ID_LENGTH_BYTES and entry.name in names:
                yield entry.content, names[entry.name]
