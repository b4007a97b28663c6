"""Which held page a wanted one takes the place of, so that it can travel as a patch.

Called by ``operations.tree.fetch``. A wrong guess costs bytes, never correctness.
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping

from pdelta.errors import PdeltaError
from pdelta.formats.page import PageType, decode_entries, decode_refs, page_level, page_type
from pdelta.model.snapshot import ID_LENGTH_BYTES, PageReader, Root


class Similar:
    """Knows the held page for each wanted one, from the roots down.

    Args:
        pages: Reads the held snapshot's pages.
        held: What the tree holds; None where nothing is known.
        wanted: What is asked for.
    """

    def __init__(self, pages: PageReader, held: Root | None, wanted: Root) -> None:
        """Pair the two roots."""
        self._pages = pages
        self._old: dict[bytes, bytes] = {}
        if held is not None:
            self._old[wanted.top.content] = held.top.content
            if held.links and wanted.links:
                self._old[wanted.links] = held.links

    def bases(self, ids: list[bytes]) -> Mapping[bytes, bytes]:
        """Give the bytes of the held page for each id, ``b""`` where there is none."""
        old = [self._old[id_] for id_ in ids if id_ in self._old]
        try:
            found = self._pages.read_pages(dict.fromkeys(old)) if old else {}
        except PdeltaError:
            found = {}
        return {id_: found.get(self._old.get(id_, b""), b"") for id_ in ids}

    def learn(self, page: bytes, base: bytes) -> None:
        """Pair what a wanted page names with what the held one names."""
        if base:
            self._old.update(pair for pair in _pairs(page, base) if pair[0] != pair[1])


def _pairs(page: bytes, base: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Give (wanted, held) page ids below two pages of one kind and level."""
    level, kind = page_level(page), page_type(page)
    if level != page_level(base) or kind is not page_type(base):
        return
    if level > 1:
        old = decode_refs(base)
        keys = [ref.last for ref in old]
        for position, ref in enumerate(decode_refs(page)):
            place = bisect_left(keys, ref.last) if ref.last else position
            if place < len(old):
                yield ref.id, old[place].id
    elif kind is PageType.DIRECTORY:
        names = {entry.name: entry.content for entry in decode_entries(base) if len(entry.content) == ID_LENGTH_BYTES}
        for entry in decode_entries(page):
            if len(entry.content) == ID_LENGTH_BYTES and entry.name in names:
                yield entry.content, names[entry.name]
