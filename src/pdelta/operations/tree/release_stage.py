"""What a whole new release is made of: every entry of a snapshot, each from where its bytes are already.

Called by ``operations.tree.release_transaction``. An unchanged file is a reflink
or a copy of the one in the current release, never a hard link: an application
that writes into its release must not change an older one. Reads metadata;
changes nothing.
"""

import os
import stat
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from blake3 import blake3

from pdelta.errors import FormatError
from pdelta.filesystem.directories import DirectoryCache
from pdelta.filesystem.metadata import Attributes, read_xattrs, set_attributes
from pdelta.filesystem.safe import Directory
from pdelta.filesystem.stage import StageItem
from pdelta.formats.page import PagedTree
from pdelta.model.names import join_path, quoted
from pdelta.model.snapshot import LINKED, OWNER, XATTRS, Entry, Kind, Root
from pdelta.operations.tree.ancestors import Ancestors
from pdelta.tree.contents import new_runs
from pdelta.tree.override import Finder
from pdelta.tree.reader import walk
from pdelta.tree.recipe import Catalog, Needs, Origin, Part, candidates_below, chunk_ids, gather, recipe
from pdelta.tree.recipe import Place as From

_WORTH_BYTES: Final = 1024
"""Smaller duplicates cost less to fetch again than to remember."""


class Release:
    """The inodes of one new release, in order, the same ones each time they are asked for.

    Args:
        tree: Reads pages.
        before: What the current release holds.
        after: What the new one will hold.
        ancestors: Guesses which file of the current release a new one comes from.
        base: Path of the current release below the folder that everything is addressed from; empty for none.
        slot: Path of the new release while it is staged, likewise.
        kept: Files of kept releases that are wanted; asked for once, and only when something is needed.
    """

    def __init__(
        self,
        tree: PagedTree,
        before: Root,
        after: Root,
        ancestors: Ancestors,
        base: bytes,
        slot: bytes,
        kept: Callable[[Callable[[Entry], bool]], Iterable[Origin]],
    ) -> None:
        """Read nothing yet."""
        self._tree = tree
        self._before = before
        self._after = after
        self._base = base
        self._slot = slot
        self._kept = kept
        self._finder = Finder(tree, before.top)
        self._catalog: Catalog | None = None
        self._leaders: dict[bytes, bytes] | None = None
        length = after.chunking.maximum
        self._zero = (blake3(bytes(length)).digest(), length)
        self._ancestors = ancestors

    def items(self) -> Iterator[StageItem]:
        """Give every inode, folders before what is in them; hard-linked names share the first one made."""
        if self._catalog is None:
            self._catalog = self._find_sources()
        made: dict[bytes | int, bytes] = {}
        contents: dict[bytes, bytes] = {}
        for path, entry in self._entries():
            slot = join_path(self._slot, path) if path else self._slot
            if entry.kind == Kind.DIRECTORY:
                # A folder stays writable for its owner until the release is in its place.
                yield StageItem(slot, path, entry, reported=False, fresh_mode=entry.mode | stat.S_IRWXU)
                continue
            if LINKED in entry.extra:
                leader = self._leader(path)
                if contents.setdefault(leader, entry.content) != entry.content:
                    raise FormatError(
                        f"the hard-link group of {quoted(leader)} has different contents; nothing was changed"
                    )
                if leader in made:
                    yield StageItem(slot, path, entry, link=made[leader], reported=False)
                    continue
                made[leader] = slot
            old = self.held(path)
            replaces = join_path(self._base, path) if old is not None and old.kind == entry.kind else b""
            parts, origin = self._parts(path, entry, old) if entry.kind == Kind.FILE else ((), None)
            if len(parts) == 1 and parts[0].place == From.FETCH and entry.size >= _WORTH_BYTES and entry.mode & 0o400:
                # A content that is twice in the release is fetched once; staging proves what it copies.
                twin = made.setdefault(hash(entry.content), slot)
                if twin != slot:
                    parts = (Part(Origin(From.TREE, twin, entry), 0, 0, entry.size, From.TREE),)
            yield StageItem(slot, path, entry, parts, replaces, reported=False, base=origin)

    def held(self, path: bytes) -> Entry | None:
        """Give what the current release holds at a path."""
        return self._finder.find(path) if self._base else None

    def folders(self) -> Iterator[tuple[bytes, Entry]]:
        """Give every folder of the new release, parents before children."""
        return ((path, entry) for path, entry in self._entries() if entry.kind == Kind.DIRECTORY)

    def _entries(self) -> Iterator[tuple[bytes, Entry]]:
        yield b"", self._after.top
        yield from walk(self._tree, b"", self._after.top.content)

    def _find_sources(self) -> Catalog:
        needs = Needs()
        for path, entry in self._entries():
            if entry.kind != Kind.FILE or not entry.size:
                continue
            old = self.held(path)
            content = old.content if old is not None and old.kind == Kind.FILE else b""
            if content == entry.content:
                continue
            needs.contents.add(entry.content)
            needs.chunks.update(run.id for _, run in new_runs(content, entry.content, self._tree))
        if not needs.contents:
            return Catalog()
        return gather(needs, self._candidates(needs), self._tree)

    def _candidates(self, needs: Needs) -> Iterator[Origin]:
        def is_wanted(entry: Entry) -> bool:
            return entry.content in needs.contents or not needs.chunks.isdisjoint(chunk_ids(entry.content, self._tree))

        if self._base:
            yield from candidates_below(self._tree, From.TREE, self._base, self._before.top.content, needs)
        yield from self._kept(is_wanted)

    def _parts(self, path: bytes, entry: Entry, old: Entry | None) -> tuple[tuple[Part, ...], Origin | None]:
        """Give the recipe of a file, and the file that what it lacks may be a patch against."""
        if not entry.size:
            return (), None
        base = None
        if old is not None and old.kind == Kind.FILE:
            base = Origin(From.TREE, join_path(self._base, path), old)
            if old.content == entry.content:
                return (Part(base, 0, 0, entry.size, From.TREE),), base
        elif self._base and (guess := self._ancestors.find(path, entry)) is not None:
            base = guess._replace(path=join_path(self._base, guess.path))
        return tuple(recipe(entry, base, self._catalog or Catalog(), self._tree, self._zero)), base

    def _leader(self, path: bytes) -> bytes:
        if self._leaders is None:
            self._leaders = {link.path: link.leader for link in self._tree.links(self._after.links)}
        return self._leaders.get(path, path)


def keep_owners(root: Directory, base: bytes, slot: bytes, release: Release) -> None:
    """Give the folders of a staged release the owner and ACLs of the same folders in the current one.

    Files have them already. An owner that this user may not give away stays what it is.
    """
    privileged = os.geteuid() == 0
    groups = {os.getegid(), *os.getgroups()}
    with DirectoryCache(root) as folders:
        for path, entry in release.folders():
            old = release.held(path) if path else entry
            if old is None or old.kind != Kind.DIRECTORY:
                continue
            source = folders.directory(join_path(base, path) if path else base)
            made = folders.directory(join_path(slot, path) if path else slot)
            was, now = os.fstat(source.fd), os.fstat(made.fd)
            owner = None
            if OWNER not in entry.extra and (was.st_uid, was.st_gid) != (now.st_uid, now.st_gid):
                if privileged:
                    owner = (was.st_uid, was.st_gid)
                elif was.st_gid in groups:
                    owner = (-1, was.st_gid)
            xattrs = None
            if XATTRS not in entry.extra:
                found = read_xattrs(source.fd)
                xattrs = found if found != read_xattrs(made.fd) else None
            if owner or xattrs is not None:
                mode = stat.S_IMODE(now.st_mode) if xattrs is None else None
                set_attributes(made.fd, Attributes(mode, now.st_mtime_ns, owner, xattrs))


def settle_folders(container: Directory, release: bytes, after: Root, tree: PagedTree) -> None:
    """Give folders that were kept writable their final mode, children before parents; safe to repeat."""
    closed = [
        (path, entry)
        for path, entry in walk(tree, b"", after.top.content)
        if entry.kind == Kind.DIRECTORY and entry.mode & stat.S_IRWXU != stat.S_IRWXU
    ]
    for path, entry in [*reversed(closed), (b"", after.top)]:
        with container.open_directory(join_path(release, path) if path else release) as folder:
            set_attributes(folder.fd, Attributes(entry.mode, entry.mtime_ns))
