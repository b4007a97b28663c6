"""From the names of a folder to its page: the half of a scan that touches no file.

Called by the scan for each folder that it leaves, children before parents. A
folder of last time keeps its page; one that holds hard links waits until all
links are known. Pages and rows are written in batches.
"""

from typing import Final

import msgspec

from pdelta.filesystem.index import Index, IndexRow, Totals, below_digest
from pdelta.formats.page import build_directory, build_links
from pdelta.model.names import join_path
from pdelta.model.snapshot import LINKED, Entry, Kind, PageStore

_FLUSH_BYTES: Final = 4 << 20
_FLUSH_ITEMS: Final = 20_000
_HALF: Final = 32

Items = list[tuple[bytes, Entry]]
"""Packed fingerprint and entry of each name, sorted by name."""

Link = tuple[bytes, int]
"""File system and inode of a file with several names."""


class LostError(Exception):
    """What the index promised is not there: the scan must begin without it."""


class Left(msgspec.Struct):
    """A folder that was left, its page not known yet.

    Attributes:
        path: Raw path below the tree.
        filesystem: Id of its file system.
        inode: Its own.
        folders: Names of its directories, sorted.
        pages: Page id of each of them; those that wait come later.
        digest: First half of its digest; empty when its names must be looked at again.
        row: What the index said.
        items: None when the row's digest begins with ``digest``: the names are those of the row.
        totals: Of the folder itself.
        linked: Name and inode of everything with more than one link.
        rules: Bytes of its ignore file.
        spilled: Whether its items wait in the index.
    """

    path: bytes
    filesystem: bytes
    inode: int
    folders: list[bytes]
    pages: dict[bytes, bytes]
    digest: bytes
    row: IndexRow | None
    items: Items | None
    totals: Totals
    linked: tuple[tuple[bytes, int], ...]
    rules: bytes
    spilled: bool = False


class Settler:
    """Makes pages and rows for one attempt at one scan.

    Args:
        pages: Takes new pages.
        index: Of the tree; takes the rows.
        fields: As ``index.fields_of`` gives them.
    """

    def __init__(self, pages: PageStore, index: Index, fields: bytes) -> None:
        """Begin with nothing."""
        self._store = pages
        self._index = index
        self._fields = fields
        self._pages: list[tuple[bytes, bytes]] = []
        self._page_bytes = 0
        self._rows: list[tuple[IndexRow, Items | None]] = []
        self._row_items = 0
        self._groups: dict[Link, list[bytes]] = {}
        self._flagged: list[Link] = []
        self._waiting: dict[bytes, Left] = {}
        self._waiting_items = 0
        self._late: dict[bytes, bytes] = {}
        self._reused: dict[bytes, bytes] = {}
        self._contents: list[bytes] = []

    def take_over(self, rows: list[IndexRow]) -> bytes:
        """Take a folder and all below it as the index has it; give its page.

        Args:
            rows: Of the folder first, then of everything below it.
        """
        for row in rows:
            for name, inode, flagged in row.linked:
                if flagged:
                    self._groups.setdefault((row.filesystem, inode), []).append(join_path(row.path, name))
                    self._flagged.append((row.filesystem, inode))
        self._reused[rows[0].path] = rows[0].page
        return rows[0].page

    def settle(self, left: Left) -> bytes | None:
        """Give the folder's page, or None when it must wait for the hard-link groups to be known.

        Args:
            left: A folder; those below it were given before.
        """
        for name, inode in left.linked:
            self._groups.setdefault((left.filesystem, inode), []).append(join_path(left.path, name))
        if not left.linked and not (self._waiting and any(self._waits(left, name) for name in left.folders)):
            return self._finish(left, ())
        if left.items is not None:
            self._waiting_items += len(left.items)
            if self._waiting_items > _FLUSH_ITEMS:
                self._add_row(left, b"", b"", left.items, ())
                left.items, left.spilled = None, True
        self._waiting[left.path] = left
        return None

    def finish(self, page: bytes | None) -> tuple[bytes, bytes]:
        """Settle what waits and write everything; give the page of the tree and that of the hard-link groups.

        Args:
            page: Of the tree, where it did not have to wait.

        Raises:
            LostError: The index promised what is not there; nothing that was given may be used.
        """
        groups = {key: paths for key, paths in self._groups.items() if len(paths) > 1}
        if any(key not in groups for key in self._flagged):
            raise LostError
        self._finish_waiting(groups)
        links, pages = build_links([sorted(paths) for paths in groups.values()])
        self.add_pages(pages)
        self._flush()
        if self._store.missing_pages([*self._reused.values(), *self._contents]):
            raise LostError
        return (self._late[b""] if page is None else page), links

    def _waits(self, left: Left, name: bytes) -> bool:
        return join_path(left.path, name) in self._waiting

    def _finish(self, left: Left, flagged: tuple[bytes, ...]) -> bytes:
        """Give the folder's page: that of last time when nothing differs, else a new one."""
        children = [left.pages[name] for name in left.folders]
        half = below_digest(children, flagged)
        row = left.row
        if row is not None and left.items is None and not left.spilled:
            if row.digest == left.digest + half:
                for name in left.folders:
                    self._reused.pop(join_path(left.path, name), None)
                self._reused[left.path] = row.page
                return row.page
            left.items = list(self._index.details(row.path, row.digest).values())
        elif left.spilled:
            left.items = list(self._index.details(left.path).values())
        items = _completed(left.items or [], dict(zip(left.folders, children, strict=True)), frozenset(flagged))
        if len(items) != left.totals.files + left.totals.symlinks + len(children):
            raise LostError
        page, pages = build_directory([entry for _, entry in items])
        self.add_pages(pages)
        self._contents.extend([e.content for _, e in items if len(e.content) == _HALF and e.kind == Kind.FILE])
        self._add_row(left, left.digest + half if left.digest else b"", page, items, flagged)
        return page

    def _add_row(self, left: Left, digest: bytes, page: bytes, items: Items, flagged: tuple[bytes, ...]) -> None:
        linked = tuple((name, inode, name in flagged) for name, inode in left.linked)
        self._rows.append(
            (
                IndexRow(
                    left.path, left.filesystem, left.inode, digest, page, self._fields, left.totals, linked, left.rules
                ),
                items,
            )
        )
        self._row_items += len(items) + 1
        if self._row_items > _FLUSH_ITEMS:
            self._flush()

    def add_pages(self, pages: list[tuple[bytes, bytes]]) -> None:
        """Keep pages, soon."""
        self._pages.extend(pages)
        self._page_bytes += sum([len(data) for _, data in pages])
        if self._page_bytes > _FLUSH_BYTES:
            self._flush_pages()

    def _flush_pages(self) -> None:
        self._store.write_pages(self._pages)
        self._pages, self._page_bytes = [], 0

    def _flush(self) -> None:
        self._flush_pages()
        self._index.store(self._rows)
        self._rows, self._row_items = [], 0

    def _finish_waiting(self, groups: dict[tuple[bytes, int], list[bytes]]) -> None:
        if any(left.spilled for left in self._waiting.values()):
            self._flush()
        for path, left in self._waiting.items():
            for name in left.folders:
                below = self._late.get(join_path(path, name))
                if below is not None:
                    left.pages[name] = below
            flagged = tuple(name for name, inode in left.linked if (left.filesystem, inode) in groups)
            self._late[path] = self._finish(left, flagged)


def _completed(items: Items, pages: dict[bytes, bytes], flagged: frozenset[bytes]) -> Items:
    """Give the items with the pages of directories and the hard-link flags filled in."""
    if not pages and not flagged and not any([LINKED in entry.extra for _, entry in items]):  # noqa: C419 - faster
        return items
    done: Items = []
    for fingerprint, entry in items:
        content, extra = pages.get(entry.name, entry.content), entry.extra
        if (LINKED in extra) != (entry.name in flagged):
            extra = {key: value for key, value in extra.items() if key != LINKED}
            if entry.name in flagged:
                extra[LINKED] = True
        done.append(
            (fingerprint, Entry(entry.name, entry.kind, entry.mode, entry.mtime_ns, entry.size, content, extra))
        )
    return done
