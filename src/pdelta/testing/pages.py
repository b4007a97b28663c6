"""A page store in memory, for tests."""

from collections.abc import Iterable

from pdelta.errors import IntegrityError


class MemoryPages:
    """A page store over a dictionary; what was written can be looked at.

    Attributes:
        pages: Canonical bytes by id.
    """

    def __init__(self, pages: Iterable[tuple[bytes, bytes]] = ()) -> None:
        """Begin with these pages."""
        self.pages: dict[bytes, bytes] = dict(pages)

    def read_pages(self, ids: Iterable[bytes]) -> dict[bytes, bytes]:
        """Give the canonical bytes of each page by its id.

        Raises:
            IntegrityError: A page is missing; the message names it.
        """
        try:
            return {id: self.pages[id] for id in ids}
        except KeyError as error:
            raise IntegrityError(f"page {error.args[0].hex()} is missing") from error

    def write_pages(self, pages: Iterable[tuple[bytes, bytes]]) -> None:
        """Keep (id, canonical bytes) pairs; a page that is there already is left alone."""
        for id, data in pages:
            self.pages.setdefault(id, data)

    def missing_pages(self, ids: Iterable[bytes]) -> list[bytes]:
        """Say which of these ids are not here, in the order given."""
        return [id for id in ids if id not in self.pages]
