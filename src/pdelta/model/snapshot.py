"""What a snapshot of a tree is made of: entries, pages and the root record.

Called by everything that speaks of trees; ``formats.page`` gives these values
their bytes. Never opens a file and never encodes itself.
"""

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Any, Final, NewType, Protocol

import msgspec

PageId = NewType("PageId", bytes)
"""BLAKE3-256 of a page's canonical bytes."""

SnapshotId = NewType("SnapshotId", bytes)
"""BLAKE3-256 of a root record's canonical bytes."""

ChunkId = NewType("ChunkId", bytes)
"""BLAKE3-256 of a chunk's plain bytes."""

ID_LENGTH_BYTES: Final = 32
RUN_LENGTH_BYTES: Final = 40
INLINE_RUNS: Final = 16
"""A content of more runs than this is stored as pages of its own."""

LINKED: Final = "l"
OWNER: Final = "o"
XATTRS: Final = "x"
HOLES: Final = "h"
ADOPTED: Final = "a"


class Kind(IntEnum):
    """What an entry names. Stored, so the numbers never change."""

    FILE = 1
    DIRECTORY = 2
    SYMLINK = 3


class Entry(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """One name of a directory.

    Attributes:
        name: Raw bytes of one path component.
        kind: A ``Kind`` as its number.
        mode: Permission bits, 0o7777 at most; 0 for a symlink.
        mtime_ns: Modification time in nanoseconds since the epoch.
        size: Length of a file or of a link's target in bytes; 0 for a directory.
        content: A file's packed chunk runs (a multiple of 40 bytes) or the
            32-byte id of its chunk-list page; a directory's 32-byte page id;
            a symlink's target.
        extra: Optional fields by key: ``l`` True when the name is in a
            hard-link group; ``o`` [uid, gid]; ``x`` sorted [name, value] pairs;
            ``h`` sorted [offset, length] pairs; ``a`` True when the entry was
            found at the destination and never asked for (``held`` snapshots
            only). A key that begins with a capital letter is critical.
    """

    name: bytes
    kind: int
    mode: int
    mtime_ns: int
    size: int
    content: bytes
    extra: dict[str, Any] = {}


class ChunkRun(msgspec.Struct, frozen=True, array_like=True):
    """Equal consecutive chunks: one id, the length of one, and how many."""

    id: bytes
    length: int
    count: int


class LinkName(msgspec.Struct, frozen=True, array_like=True):
    """One member of a hard-link group, which is named by its least path."""

    leader: bytes
    path: bytes


class PageRef(msgspec.Struct, frozen=True, array_like=True):
    """What an inner page says of one page below it.

    Attributes:
        last: Key of the last item below (an entry's name; leader NUL path of a
            link name; empty for chunk lists).
        id: Page id.
        length: Bytes of file content below, for chunk lists; 0 elsewhere.
    """

    last: bytes
    id: bytes
    length: int = 0


class Chunking(msgspec.Struct, frozen=True, omit_defaults=False):
    """The chunking parameters of a tree; equal parameters give equal cuts.

    The defaults are 64 KiB on average, 16 KiB at least, 256 KiB at most.
    """

    algorithm: str = "fastcdc-2020"
    average: int = 65536
    minimum: int = 16384
    maximum: int = 262144
    normalization: int = 1
    seed: int = 0
    gear: str = "destor"

    @classmethod
    def of_average(cls, average: int) -> "Chunking":
        """Give the parameters whose bounds are a quarter and four times the average.

        Args:
            average: Bytes; a power of two from 4 KiB to 4 MiB.

        Raises:
            ValueError: The average is out of range or no power of two.
        """
        if not 4096 <= average <= 4 << 20 or average & (average - 1):
            text = f"a chunk size is a power of two from 4 KiB to 4 MiB, not {average}"
            raise ValueError(text)
        return cls(average=average, minimum=average // 4, maximum=average * 4)


class Rule(msgspec.Struct, frozen=True, array_like=True):
    """One ignore rule as it was written, and the folder it is anchored at (b"" is the root)."""

    pattern: bytes
    base: bytes = b""
    dialect: str = "gitignore"


class Selection(msgspec.Struct, frozen=True, omit_defaults=False):
    """Which names and which optional fields belong to a snapshot.

    Attributes:
        rules: Ordered; the last match decides.
        owner: Whether uid and gid are present.
        xattrs: Whether extended attributes are present.
        holes: Whether holes of sparse files are present.
        chmod: The ``--chmod`` clause applied to every mode; empty for none.
    """

    rules: tuple[Rule, ...] = ()
    owner: bool = False
    xattrs: bool = False
    holes: bool = True
    chmod: str = ""


class Root(msgspec.Struct, frozen=True, omit_defaults=False):
    """The root record: everything below hangs from it.

    Attributes:
        top: The tree's own directory as an entry whose name is empty.
        links: Page id of the hard-link groups, empty when there are none.
        chunking: How contents were cut.
        selection: What was looked at.
        version: Format version.
    """

    top: Entry
    links: bytes
    chunking: Chunking
    selection: Selection
    version: int = 1


class PageReader(Protocol):
    """Where pages are read from."""

    def read_pages(self, ids: Iterable[bytes]) -> Mapping[bytes, bytes]:
        """Give the canonical bytes of each page by its id.

        Raises:
            IntegrityError: A page is missing or damaged; the message names it.
        """
        ...


class PageStore(PageReader, Protocol):
    """Where pages are kept."""

    def write_pages(self, pages: Iterable[tuple[bytes, bytes]]) -> None:
        """Keep (id, canonical bytes) pairs; a page that is there already is left alone."""
        ...

    def missing_pages(self, ids: Iterable[bytes]) -> list[bytes]:
        """Say which of these ids are not here, in the order given."""
        ...
