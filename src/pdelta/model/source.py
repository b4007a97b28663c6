"""Where wanted pages and missing bytes come from: a peer, kept undo data, a store."""

from collections.abc import Iterable, Iterator, Mapping
from enum import IntEnum
from typing import Final, Protocol, runtime_checkable

import msgspec

from pdelta.model.snapshot import PageReader

JOINED_NEW_BYTES: Final = 12 << 20
"""No joined answer gives more."""

JOINED_OLD_BYTES: Final = 16 << 20
"""No joined answer is made against more; with what it gives it fits a window of 32 MiB."""


class Answer(IntEnum):
    """Kind of an answer to a want that is not plain. On the wire, so the numbers never change."""

    PLAIN = 0
    """Its bytes."""
    FINE = 1
    """A fine patch against the range that was signed."""
    JOINED = 2
    """A big-endian 16-bit number of wants, this one and the next ones, then one zstd frame that gives the bytes of all
    of them; its prefix is their old ranges, one after the other."""
    LOST = 3
    """Nothing: the source does not have the base, and waits to be asked with a signature."""


class Want(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """One contiguous range of one file of the wanted snapshot.

    Attributes:
        path: Raw path below the tree, without a leading slash.
        offset: First byte.
        length: Number of bytes, at least 1.
        signature: Fine signature of what the asker holds in that place; when it
            is not empty the answer may be a patch against it.
        base: Content of the asker's old file (an ``Entry.content``), so that a
            source that still has those bytes can send a patch; may be empty.
        base_offset: Where in the old file the replaced range begins.
        base_length: How long it is.
    """

    path: bytes
    offset: int
    length: int
    signature: bytes = b""
    base: bytes = b""
    base_offset: int = 0
    base_length: int = 0


@runtime_checkable
class ChangedPages(Protocol):
    """A source that sends a page as its difference from one that the asker has."""

    def read_changed_pages(self, bases: Mapping[bytes, bytes], held: PageReader) -> Iterator[Mapping[bytes, bytes]]:
        """Stream pages by id, in batches: those asked for, and what differs below those with a base.

        A page comes in a batch with one that names it, or after it.

        Args:
            bases: By the id of a wanted page, that of the page which it takes the place of, or ``b""``.
            held: Gives the pages that the asker has.

        Raises:
            FormatError: A difference is damaged, or from a page that the asker does not have.
            IntegrityError: A page is missing or damaged; the message names it.
        """
        ...


class Source(PageReader, Protocol):
    """Gives pages and bytes of one wanted snapshot."""

    def read_ranges(self, wants: Iterable[Want]) -> Iterator[bytes | memoryview]:
        """Stream the answers, concatenated in the order of the wants, in pieces of at most 1 MiB.

        A plain want (neither signature nor base) is answered by exactly its
        bytes. Any other is answered by a header of five bytes (kind, then the
        answer's length as a big-endian 32-bit number) and that many bytes;
        see ``Answer`` for the kinds.

        Raises:
            SourceChangedError: A file is no longer what the snapshot says.
            TransportError: The other end is gone.
        """
        ...
