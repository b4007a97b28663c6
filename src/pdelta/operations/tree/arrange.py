"""From edits to what is staged and to the moves of an intent.

Called by ``operations.tree.transaction``. Decides slots, where content comes
from, which displaced inodes need a copy, and the order. Reads the tree's
metadata; changes nothing.
"""

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

import msgspec
from blake3 import blake3

from pdelta.errors import DriftError, FormatError
from pdelta.filesystem.commit import is_same
from pdelta.filesystem.directories import DirectoryCache
from pdelta.filesystem.ledger import Kept
from pdelta.filesystem.metadata import has_default_acl
from pdelta.filesystem.safe import Directory
from pdelta.filesystem.stage import StageItem
from pdelta.formats.intent import Action, Move
from pdelta.formats.page import PagedTree, build_directory
from pdelta.model.names import STAGE_PREFIX, STATE_NAME, join_path, parent_of, quoted, split_path
from pdelta.model.snapshot import LINKED, Entry, Kind, Root
from pdelta.operations.tree.calculate import EMPTY_DIRECTORY, Calculation, GatheredPages
from pdelta.operations.tree.inplace import Patch, Patching
from pdelta.operations.tree.recipes import Recipes
from pdelta.operations.tree.sources import Verify, find_sources, walk_new
from pdelta.tree.inplace import split_parts
from pdelta.tree.merge import Edit
from pdelta.tree.order import Rename, is_below
from pdelta.tree.override import Changes, find, override
from pdelta.tree.reader import walk
from pdelta.tree.recipe import Catalog, Origin, Part, Place

STAGING: Final = STATE_NAME + b"/staging"
_WORTH_BYTES: Final = 1024
"""Smaller duplicates cost less to fetch again than to remember."""


class Arrangement(msgspec.Struct):
    """What will be staged and moved.

    Attributes:
        items: Gives the inodes to stage, in order; the same ones each time.
        moves: The moves without inode numbers of what is staged.
        folders: Staging folders outside ``.pdelta`` that must be made first.
        copies: (slot of the copy, path) of displaced content whose inode cannot be kept.
        patched: (slot, path, entry, patch) of files whose displaced ranges are kept.
        displaced_bytes: Size of what will be kept as undo data.
    """

    items: Callable[[], Iterator[StageItem]]
    moves: list[Move] = msgspec.field(default_factory=list)
    folders: list[bytes] = msgspec.field(default_factory=list)
    copies: list[tuple[bytes, bytes, Entry]] = msgspec.field(default_factory=list)
    patched: list[tuple[bytes, bytes, Entry, Patch]] = msgspec.field(default_factory=list)
    displaced_bytes: int = 0


class Arranger:
    """Arranges one calculation.

    Args:
        root: The tree.
        tree: Reads pages.
        calculation: What must change.
        kept: Undo data, newest first; read once, and only when something is needed.
        verify: Proves the content of undo data before it is put back.
        number: The ledger entry that this will be.
        undo: Whether displaced inodes are kept.
        patching: Says which files are patched where they are; None patches none.
    """

    def __init__(
        self,
        root: Directory,
        tree: PagedTree,
        calculation: Calculation,
        kept: Iterable[Kept],
        verify: Verify,
        number: int,
        *,
        undo: bool,
        patching: Patching | None = None,
    ) -> None:
        """Read nothing yet."""
        self._root = root
        self._tree = tree
        self._calculation = calculation
        self._kept = kept
        self._verify = verify
        self._number = number
        self._undo = undo
        self._patching = patching
        self._folders = DirectoryCache(root)
        self._bases: dict[bytes, bytes] = {}
        self._stage_folders: dict[bytes, bytes] = {}
        self._catalog = Catalog()
        self._whole: dict[bytes, bytes] = {}
        renames = [rename for rename in calculation.renames if self._can_rename(rename)]
        self._moved_new = {rename.new: rename for rename in renames}
        self._moved_old = {rename.old: rename for rename in renames}
        self._filled: set[bytes] = set()
        self._apart: dict[bytes, Move] = {}
        self._contents: dict[bytes, bytes] = {}
        self._links = _Groups(calculation.after, tree)
        self._device = os.fstat(root.fd).st_dev
        length = calculation.after.chunking.maximum
        self._recipes = Recipes(calculation, tree, (blake3(bytes(length)).digest(), length))

    def arrange(self) -> Arrangement:
        """Decide everything.

        Raises:
            DriftError: A path is no longer what was calculated.
            OSError: The tree cannot be looked at.
        """
        try:
            return self._arrange()
        finally:
            self._folders.close()

    def _arrange(self) -> Arrangement:
        calculation = self._calculation
        result = Arrangement(self._items)
        self._find_sources()
        sorts: dict[int, list[Move]] = {action: [] for action in Action}
        for edit in calculation.edits:
            for move in self._moves_of(edit, result):
                sorts[move.action].append(move)
        brought, metadata = sorts[Action.CREATE] + sorts[Action.SWAP], sorts[Action.METADATA]
        moves = self._renames(metadata)
        self._find_filled(metadata)
        unlocks = self._unlocks()
        locked = {move.path: move.after for move in unlocks}
        times = [self._directory(edit, locked.get(edit.path)) for edit in calculation.directories]
        folders_first = [move for move in brought if _is_folder(move)]
        files = [move for move in brought if not _is_folder(move)]
        last = sorted([*metadata, *times], key=lambda move: move.path, reverse=True)
        folders_first.sort(key=lambda move: move.path)
        apart = [*self._apart.values(), *self._find_emptied(locked)]
        changes = [*files, *sorts[Action.PATCH], *sorts[Action.REMOVE]]
        result.moves = [*unlocks, *folders_first, *moves, *apart, *changes, *last]
        result.folders = list(self._stage_folders.values())
        return result

    def _moves_of(self, edit: Edit, result: Arrangement) -> Iterator[Move]:
        """Give the moves of one edit that is no rename."""
        path, before, after = edit.path, edit.before, edit.after
        if after is None:
            if path not in self._moved_old and before is not None:
                yield self._remove(edit, before, result)
            return
        if before is None:
            if path in self._moved_new:
                return
            slot = self._whole.get(path) or self._slot(path, "new")
            if self._look(path) is not None:
                raise _drifted(path)
            yield Move(Action.CREATE, path, slot, None, 0, after, 0)
        elif (patch := self._find_patch(edit)) is not None:
            yield self._patch(edit, before, after, patch, result)
            return
        elif edit.content:
            yield self._swap(edit, before, after, result)
        else:
            found = self._expect(path, before)
            inode, ctime_ns = found.st_ino, found.st_ctime_ns
            yield Move(Action.METADATA, path, b"", before, inode, after, inode, before_ctime_ns=ctime_ns)
            return
        if path in self._whole or after.kind == Kind.DIRECTORY:
            yield Move(Action.METADATA, path, b"", after, 0, after, 0)

    # -- moves --------------------------------------------------------------------------------------------------

    def _remove(self, edit: Edit, before: Entry, result: Arrangement) -> Move:
        found = self._expect(edit.path, before)
        self._set_apart(edit.path, before, result)
        slot, rest, copy = self._displaced(edit.path, before, found, result)
        return Move(
            Action.REMOVE,
            edit.path,
            rest or slot,
            self._without_moved(edit.path, before),
            found.st_ino,
            None,
            0,
            b"",
            copy,
            found.st_ctime_ns,
        )

    def _swap(self, edit: Edit, before: Entry, after: Entry, result: Arrangement) -> Move:
        found = self._expect(edit.path, before)
        self._set_apart(edit.path, before, result)
        slot, rest, copy = self._displaced(edit.path, before, found, result)
        whole = self._whole.get(edit.path)
        if whole:
            slot, rest = whole, rest or slot
        entry = self._without_moved(edit.path, before)
        return Move(Action.SWAP, edit.path, slot, entry, found.st_ino, after, 0, rest, copy, found.st_ctime_ns)

    def _find_patch(self, edit: Edit) -> Patch | None:
        if self._patching is None or edit.path in self._whole:
            return None
        return self._patching.find(edit)

    def _leader(self, path: bytes) -> bytes:
        """Give the name under which a file that is patched is staged, whichever of its names is asked for."""
        return min(self._patching.names(path)) if self._patching is not None else path

    def _patch(self, edit: Edit, before: Entry, after: Entry, patch: Patch, result: Arrangement) -> Move:
        """Write over ranges of a file; each of its names has a move, and the first one that is carried out does it."""
        found = self._expect(edit.path, before)
        leader = self._leader(edit.path)
        slot, copy = (STAGING + b"/" + purpose + _digest(leader) for purpose in (b"patch-", b"ranges-"))
        if leader == edit.path:
            result.patched.append((copy, edit.path, before, patch))
            result.displaced_bytes += patch.displaced_bytes
        inode, ctime_ns = found.st_ino, found.st_ctime_ns
        return Move(Action.PATCH, edit.path, slot, before, inode, after, inode, b"", copy, ctime_ns, patch.ranges)

    def _displaced(
        self, path: bytes, before: Entry, found: os.stat_result, result: Arrangement
    ) -> tuple[bytes, bytes, bytes]:
        """Say through which slot a displaced inode goes, where it rests, and where a copy of it is kept instead."""
        slot = self._slot(path, "new")
        outside = not slot.startswith(STAGING)
        result.displaced_bytes += self._size(path, before)
        if not self._undo:
            return slot, b"", b""
        elsewhere = found.st_dev != self._device
        shared = before.kind == Kind.FILE and found.st_nlink > 1
        if elsewhere or shared:
            copy = STAGING + b"/copy-" + _digest(path)
            result.copies.append((copy, path, self._without_moved(path, before)))
            return slot, b"", copy
        if outside and not elsewhere:
            return slot, STAGING + b"/old-" + _digest(path), b""
        return slot, b"", b""

    def _set_apart(self, top: bytes, before: Entry, result: Arrangement) -> None:
        """Copy those files of a folder that goes whose inodes have names outside it: others may write to them."""
        found = self._look(top)
        if before.kind != Kind.DIRECTORY or not self._undo or found is None or found.st_dev != self._device:
            return
        shared: dict[tuple[int, int], list[tuple[bytes, Entry, os.stat_result]]] = {}
        for path, entry in walk(self._tree, top, before.content):
            if entry.kind == Kind.FILE and path not in self._moved_old:
                found = self._look(path)
                if found is not None and found.st_nlink > 1:
                    shared.setdefault((found.st_dev, found.st_ino), []).append((path, entry, found))
        for names in shared.values():
            if len(names) < names[0][2].st_nlink:
                for path, entry, found in names:
                    self._expect(path, entry)
                    copy = STAGING + b"/copy-" + _digest(path)
                    result.copies.append((copy, path, entry))
                    slot = self._slot(path, "new")
                    ctime_ns = found.st_ctime_ns
                    self._apart[path] = Move(
                        Action.REMOVE, path, slot, entry, found.st_ino, None, 0, b"", copy, ctime_ns
                    )

    def _can_rename(self, rename: Rename) -> bool:
        """Whether both paths lie on one file system."""
        found, above = self._look(rename.old), parent_of(rename.new)
        while above and self._look(above) is None:
            above = parent_of(above)
        place = self._look(above) if above else os.fstat(self._root.fd)
        return found is not None and place is not None and found.st_dev == place.st_dev

    def _unlocks(self) -> list[Move]:
        """Let the owner write to folders in which names come and go; their own modes come back last."""
        if os.geteuid() == 0:
            return []
        paths = {parent_of(edit.path) for edit in self._calculation.edits if edit.content}
        paths |= {parent_of(path) for path in (*self._moved_old, *self._moved_new, *self._apart)}
        moves = []
        for path in sorted(paths):
            found = self._look(path) if path else os.fstat(self._root.fd)
            if found is None or not stat.S_ISDIR(found.st_mode) or found.st_mode & 0o300 == 0o300:
                continue
            name = path.rpartition(b"/")[2]
            before = Entry(name, Kind.DIRECTORY, stat.S_IMODE(found.st_mode), found.st_mtime_ns, 0, EMPTY_DIRECTORY)
            after = msgspec.structs.replace(before, mode=before.mode | 0o700)
            moves.append(Move(Action.METADATA, path, b"", before, found.st_ino, after, found.st_ino))
        return moves

    def _renames(self, metadata: list[Move]) -> list[Move]:
        moves = []
        for rename in self._moved_new.values():
            found = self._expect(rename.old, rename.before)
            inode = found.st_ino
            entry = msgspec.structs.replace(rename.before, name=rename.after.name)
            ctime_ns = found.st_ctime_ns
            moves.append(Move(Action.MOVE, rename.new, rename.old, None, 0, entry, inode, before_ctime_ns=ctime_ns))
            if rename.after.kind == Kind.DIRECTORY or _metadata_differs(rename.before, rename.after):
                metadata.append(Move(Action.METADATA, rename.new, b"", entry, inode, rename.after, inode))
        return moves

    def _find_emptied(self, locked: Mapping[bytes, Entry | None]) -> list[Move]:
        """Give the times of folders back that go, and that something moved out of: undo data holds them exactly."""
        tops = {edit.path for edit in self._calculation.edits if edit.before is not None and edit.content}
        tops -= self._moved_old.keys()
        moves = []
        out = (*self._moved_old, *self._apart)
        for parent in dict.fromkeys(parent_of(path) for path in out):
            found = self._look(parent)
            entry = find(self._tree, self._calculation.before.top, parent) if is_below(parent, tops) else None
            if entry is not None and found is not None:
                unlocked = locked.get(parent)
                mode = stat.S_IMODE(found.st_mode) if unlocked is None else unlocked.mode
                entry = msgspec.structs.replace(entry, mode=mode, mtime_ns=found.st_mtime_ns)
                moves.append(Move(Action.METADATA, parent, b"", entry, found.st_ino, entry, found.st_ino))
        return moves

    def _find_filled(self, metadata: list[Move]) -> None:
        """Find folders inside staged ones that something moves into, whose times must be set again after it."""
        tops = {edit.path for edit in self._calculation.edits if edit.after is not None and edit.content}
        for path in self._moved_new:
            parent = parent_of(path)
            if parent not in tops and parent not in self._filled and is_below(parent, tops):
                entry = find(self._tree, self._calculation.after.top, parent)
                if entry is not None:
                    self._filled.add(parent)
                    metadata.append(Move(Action.METADATA, parent, b"", entry, 0, entry, 0))

    def _directory(self, edit: Edit, unlocked: Entry | None) -> Move:
        assert edit.before is not None  # noqa: S101 - a folder on both sides
        assert edit.after is not None  # noqa: S101 - a folder on both sides
        found = self._look(edit.path)
        if found is None or not stat.S_ISDIR(found.st_mode):
            raise _drifted(edit.path)
        mode = stat.S_IMODE(found.st_mode) if unlocked is None else unlocked.mode
        before = msgspec.structs.replace(edit.before, mode=mode, mtime_ns=found.st_mtime_ns)
        return Move(Action.METADATA, edit.path, b"", before, found.st_ino, edit.after, found.st_ino)

    def _without_moved(self, path: bytes, entry: Entry) -> Entry:
        """Give what is displaced at a path, less what moves out of it before."""
        if entry.kind != Kind.DIRECTORY:
            return entry
        prefix = path + b"/"
        gone = (*self._moved_old, *self._apart)
        moved: Changes = {old[len(prefix) :]: None for old in gone if old.startswith(prefix)}
        if not moved:
            return entry
        return override(self._tree, entry, moved, build_directory, self.sink)

    @property
    def sink(self) -> GatheredPages:
        """Where pages of displaced folders go that lost something to a rename."""
        if not hasattr(self, "_sink"):
            self._sink = GatheredPages()
        return self._sink

    def _expect(self, path: bytes, before: Entry) -> os.stat_result:
        """Give what stands at a path, which must be what was calculated."""
        found = self._look(path)
        if found is None or not is_same(found, found.st_ino, before):
            raise _drifted(path)
        return found

    def _look(self, path: bytes) -> os.stat_result | None:
        try:
            folder, name = self._folders.parent(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return folder.lstat(name)

    # -- slots --------------------------------------------------------------------------------------------------

    def _slot(self, path: bytes, purpose: str) -> bytes:
        return self._base(parent_of(path)) + b"/" + purpose.encode() + b"-" + _digest(path)

    def _base(self, parent: bytes) -> bytes:
        """Give the folder in which what will stand in ``parent`` is staged.

        Where the group, an access list or the file system of the final folder cannot be had in the state folder, it
        is a folder in the final folder itself, which inherits them.
        """
        base = self._bases.get(parent)
        if base is None:
            base = STAGING
            try:
                folder = self._folders.directory(parent)
            except (FileNotFoundError, NotADirectoryError):
                self._bases[parent] = base
                return base
            found = os.fstat(folder.fd)
            if found.st_dev != self._device or found.st_mode & stat.S_ISGID or has_default_acl(folder.fd):
                base = join_path(parent, STAGE_PREFIX + b"%d" % self._number)
                self._stage_folders[parent] = base
            self._bases[parent] = base
        return base

    # -- items --------------------------------------------------------------------------------------------------

    def _items(self) -> Iterator[StageItem]:
        """Give every inode to stage; hard-linked names share the first one made, equal contents are fetched once."""
        made: dict[bytes | int, bytes] = {}
        for edit in self._calculation.edits:
            after = edit.after
            if after is None or not edit.content or edit.path in self._moved_new or edit.path in self._whole:
                continue
            patch = self._find_patch(edit)
            if patch is not None and edit.before is not None:
                if edit.path == self._leader(edit.path):
                    yield self._patched_item(edit.path, edit.before, after, patch)
                continue
            slot = self._slot(edit.path, "new")
            replaces = edit.path if edit.before is not None and edit.before.kind == after.kind else b""
            base = edit.before if edit.before is not None and edit.before.kind == Kind.FILE else None
            yield self._item(slot, edit.path, after, made, replaces=replaces, base=base, reported=True)
            if after.kind == Kind.DIRECTORY:
                for path, entry in walk_new(self._tree, edit.path, after, self._moved_new):
                    below = slot + path[len(edit.path) :]
                    yield self._item(below, path, entry, made, replaces=b"", base=None, reported=False)

    def _patched_item(self, path: bytes, before: Entry, after: Entry, patch: Patch) -> StageItem:
        """Give the ranges of a file that is patched; what lasts of it is not staged."""
        parts, base = self._recipes.parts(path, after, before, self._catalog)
        here = Origin(Place.TREE, path, before)
        slot = STAGING + b"/patch-" + _digest(path)
        return StageItem(
            slot, path, after, tuple(split_parts(parts, patch.lasting, here)), base=base, reported=False, patched=here
        )

    def _item(
        self,
        slot: bytes,
        path: bytes,
        entry: Entry,
        made: dict[bytes | int, bytes],
        *,
        replaces: bytes,
        base: Entry | None,
        reported: bool,
    ) -> StageItem:
        if entry.kind == Kind.DIRECTORY:
            # A folder that is renamed into place must be writable for its owner until then.
            mode = entry.mode | stat.S_IRWXU if reported or path in self._filled else -1
            return StageItem(slot, path, entry, (), replaces, b"", reported, mode)
        if LINKED in entry.extra:
            leader = self._links.leader(path)
            if self._contents.setdefault(leader, entry.content) != entry.content:
                raise FormatError(
                    f"the hard-link group of {quoted(leader)} has different contents; nothing was changed"
                )
            if leader in made:
                return StageItem(slot, path, entry, (), b"", made[leader], reported)
            made[leader] = slot
        if entry.kind == Kind.SYMLINK:
            return StageItem(slot, path, entry, (), replaces, b"", reported)
        parts, origin = self._recipes.parts(path, entry, base, self._catalog)
        if len(parts) == 1 and parts[0].place == Place.FETCH and entry.size >= _WORTH_BYTES and entry.mode & 0o400:
            # By a hash of the content: a hundred thousand contents would be memory, and staging proves what it copies.
            twin = made.setdefault(hash(entry.content), slot)
            if twin != slot:
                parts = (Part(Origin(Place.TREE, twin, entry), 0, 0, entry.size, Place.TREE),)
        return StageItem(slot, path, entry, parts, replaces, b"", reported, base=origin)

    def _find_sources(self) -> None:
        found = find_sources(
            self._tree, self._calculation, self._kept, self._look, self._verify, self._moved_new, self._fits
        )
        self._catalog, self._whole = found.catalog, found.whole

    def _fits(self, path: bytes) -> bool:
        """Whether an inode of the state folder may become a path as it is."""
        return self._base(parent_of(path)) == STAGING

    def _size(self, path: bytes, entry: Entry) -> int:
        if entry.kind != Kind.DIRECTORY:
            return entry.size
        return sum(found.size for _, found in walk(self._tree, path, entry.content))


class _Groups:
    """Which hard-link group a path of the new snapshot belongs to; read when first asked."""

    def __init__(self, root: Root, tree: PagedTree) -> None:
        self._root = root
        self._tree = tree
        self._leaders: dict[bytes, bytes] | None = None

    def leader(self, path: bytes) -> bytes:
        if self._leaders is None:
            self._leaders = {link.path: link.leader for link in self._tree.links(self._root.links)}
        return self._leaders.get(path, path)


def _is_folder(move: Move) -> bool:
    return move.after is not None and move.after.kind == Kind.DIRECTORY


def _metadata_differs(before: Entry, after: Entry) -> bool:
    return before.mtime_ns != after.mtime_ns or before.mode != after.mode or before.extra != after.extra


def _digest(path: bytes) -> bytes:
    return blake3(path).hexdigest()[:24].encode()


def _drifted(path: bytes) -> DriftError:
    parent, name = split_path(path)
    where = f" in {quoted(parent)}" if parent else ""
    text = f"{quoted(name)}{where} changed after it was looked at; nothing was changed"
    return DriftError(text, hint="somebody else writes to this tree; run the command again")
