"""How the pure tree code reads snapshots: a port that ``formats.page.PagedTree`` fills."""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Final, NamedTuple, Protocol

from pdelta.model.names import NAME_LIMIT_BYTES, PATH_LIMIT_BYTES, check_length
from pdelta.model.snapshot import ChunkRun, Entry, LinkName

Pages = list[tuple[bytes, bytes]]
BuildDirectory = Callable[[Sequence[Entry]], tuple[bytes, Pages]]

FEW_IDS: Final = 64
"""Up to so many chunk ids a search of a page's bytes is faster than decoding it: 1 µs an id against 200 µs."""

_FAR_BYTES: Final = PATH_LIMIT_BYTES - NAME_LIMIT_BYTES
"""In a folder whose path is shorter, no name can make a path too long."""


class Span(NamedTuple):
    """A part of a chunk list that is read at once.

    Attributes:
        page: Id of its page; empty where the list is part of its entry.
        offset: First byte of the content that it stands for.
        length: Bytes of it.
        runs: The packed runs where the list is part of its entry.
    """

    page: bytes
    offset: int
    length: int
    runs: bytes = b""


class TreeReader(Protocol):
    """Reads the pages of any snapshot by id."""

    def leaves(self, directory: bytes) -> list[bytes]:
        """Give the ids of a directory's leaf pages, in order."""
        ...

    def entries(self, leaf: bytes) -> list[Entry]:
        """Give the entries of one leaf page, in order."""
        ...

    def load(self, pages: Sequence[bytes]) -> None:
        """Read a few pages in one go that will be asked for next."""
        ...

    def directory(self, id: bytes) -> Iterator[Entry]:
        """Give every entry of one directory, in order."""
        ...

    def runs(self, content: bytes) -> Iterator[ChunkRun]:
        """Give the chunk runs of a file's content, in order."""
        ...

    def spans(self, content: bytes) -> Sequence[Span]:
        """Give the parts of a file's chunk list, in order; none for an empty file."""
        ...

    def span_runs(self, span: Span) -> Sequence[ChunkRun]:
        """Give the runs of one part, in order."""
        ...

    def may_hold(self, span: Span, ids: Collection[bytes]) -> bool:
        """Whether any of these chunks may be in one part; false where it is certain that none is."""
        ...

    def links(self, id: bytes) -> Iterator[LinkName]:
        """Give every hard-linked name, group by group."""
        ...


class PageSink(Protocol):
    """Where newly built pages go."""

    def write_pages(self, pages: Iterable[tuple[bytes, bytes]]) -> None:
        """Keep (id, canonical bytes) pairs."""
        ...


def join(folder: bytes, name: bytes) -> bytes:
    """Give the path of a name in a folder; the tree itself is ``b""``."""
    return folder + b"/" + name if folder else name


def link_groups(tree: TreeReader, links: bytes) -> dict[bytes, frozenset[bytes]]:
    """Give the whole hard-link group of each name that is in one.

    Args:
        tree: Reads the pages.
        links: Page id of the groups; empty for none.
    """
    members: defaultdict[bytes, set[bytes]] = defaultdict(set)
    for link in tree.links(links):
        members[link.leader].add(link.path)
    return {path: frozenset(group) for group in members.values() for path in group}


def walk(tree: TreeReader, folder: bytes, directory: bytes) -> Iterator[tuple[bytes, Entry]]:
    """Give (path, entry) of everything below a directory, parents before children.

    Args:
        tree: Reads the pages.
        folder: Path of the directory, which itself is not given.
        directory: Its root page id.

    Raises:
        FormatError: A path is longer than any that an entry may have.
    """
    stack = [(folder, tree.directory(directory))]
    while stack:
        parent, entries = stack[-1]
        prefix = parent + b"/" if parent else b""
        far = len(prefix) > _FAR_BYTES
        for entry in entries:
            path = prefix + entry.name
            if far:
                check_length(path)
            yield path, entry
            if entry.kind == 2:
                stack.append((path, tree.directory(entry.content)))
                break
        else:
            stack.pop()
