"""What a commit leaves behind: undo data by slot, and what somebody else's change kept from its place.

Called by ``operations.tree.transaction`` once the moves are done, forward or
backward. Decides by looking at inodes, as the committer does.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress

import msgspec

from pdelta.errors import FilesystemError, NeedsOperatorError, PdeltaError
from pdelta.filesystem.commit import BESIDE
from pdelta.filesystem.inplace import displaced_ranges
from pdelta.filesystem.ledger import Kept
from pdelta.filesystem.safe import Directory
from pdelta.filesystem.state import UNDO, StateFolder
from pdelta.formats.intent import Action, Intent, Move
from pdelta.model.names import STATE_NAME, parent_of, quoted, split_path
from pdelta.model.snapshot import Entry
from pdelta.operations.tree.arrange import STAGING

FOREIGN = b"foreign-"
"""Folders of undo data that begin so hold originals which could not go back; no collection removes them."""

_UNDO_PLACE = STATE_NAME + b"/" + UNDO


def final_slot(slot: bytes, number: int) -> bytes:
    """Give where a staged slot is once staging has become undo data."""
    if slot.startswith(STAGING + b"/"):
        return _UNDO_PLACE + b"/%d/" % number + slot[len(STAGING) + 1 :]
    return slot


def kept_items(root: Directory, intent: Intent) -> Iterator[Kept]:
    """Give the displaced inodes that are undo data now; those that were never displaced are none."""
    for move in intent.moves:
        if move.action in {Action.SWAP, Action.REMOVE, Action.PATCH} and move.before is not None:
            slot = move.copy or move.rest or move.slot
            ranges: tuple[tuple[int, int], ...] = ()
            if move.action == Action.PATCH and move.after is not None:
                ranges = tuple(displaced_ranges(move.ranges, move.before.size, move.after.size)) or ((0, 0),)
            if move.copy or _holds(root, slot, move.before_inode):
                yield Kept(intent.number, final_slot(slot, intent.number), move.path, move.before, ranges)


def taken_slots(root: Directory, intent: Intent) -> list[bytes]:
    """Give the slots of older undo data whose inodes are back in the tree."""
    return [
        move.slot
        for move in intent.moves
        if move.action in {Action.CREATE, Action.SWAP}
        and move.slot.startswith(_UNDO_PLACE + b"/")
        and not _holds(root, move.slot, move.after_inode)
    ]


def left_as_before(intent: Intent, foreign: Iterable[bytes]) -> dict[bytes, Entry | None]:
    """Give what the record of before says of the paths that were left, so that the ledger claims nothing else.

    The next command finds them to be drift.
    """
    moves: dict[bytes, Move] = {}
    for move in intent.moves:
        if move.action != Action.METADATA or move.path not in moves:
            moves[move.path] = move
    found: dict[bytes, Entry | None] = {}
    for path in foreign:
        move = moves[path]
        if not path:
            continue
        found[path] = move.before
        if move.action == Action.MOVE and move.after is not None:
            found[move.slot] = msgspec.structs.replace(move.after, name=split_path(move.slot)[1])
    return found


def save_originals(root: Directory, state: StateFolder, intent: Intent, foreign: Iterable[bytes]) -> list[bytes]:
    """Bring displaced inodes whose place somebody has taken out of staging, which is cleared by the next push.

    Returns:
        Where they are now, below the tree.
    """
    paths = set(foreign)
    saved: list[bytes] = []
    for move in intent.moves:
        if move.path in paths and move.action == Action.PATCH and root.lstat(move.copy) is not None:
            saved.append(_save(root, state, intent.number, move.copy))
        if move.path not in paths or move.action not in {Action.SWAP, Action.REMOVE}:
            continue
        for slot in (move.slot, move.rest, move.slot + BESIDE):
            if slot and _holds(root, slot, move.before_inode):
                saved.append(_save(root, state, intent.number, slot))
                break
    return saved


def _save(root: Directory, state: StateFolder, number: int, slot: bytes) -> bytes:
    place = FOREIGN + b"%d" % number
    with suppress(FileExistsError):
        state.folder.mkdir(UNDO, 0o700)
    with state.folder.open_directory(UNDO) as undo, suppress(FileExistsError):
        undo.mkdir(place, 0o700)
    folder, name = split_path(slot)
    kept = name
    with root.open_directory(folder) as source, state.folder.open_directory(UNDO + b"/" + place) as target:
        while target.lstat(kept) is not None:
            kept += b"+"
        source.rename_noreplace(name, target, kept)
    return _UNDO_PLACE + b"/" + place + b"/" + kept


def _holds(root: Directory, slot: bytes, inode: int) -> bool:
    if root.lstat(parent_of(slot)) is None:
        return False
    found = root.lstat(slot)
    return found is not None and found.st_ino == inode


def untidy_error(number: int, error: Exception) -> FilesystemError:
    """Give the error of a commit that is complete and recorded, and was not cleared up after."""
    told = error.message if isinstance(error, PdeltaError) else str(error)
    text = f"entry {number} is in place and recorded, but clearing up after it failed: {told}"
    return FilesystemError(text, hint="the next command for this tree does the rest")


def foreign_error(root: Directory, paths: Iterable[bytes], saved: Iterable[bytes]) -> NeedsOperatorError:
    """Say which paths were left because somebody changed them, and where their originals are."""
    names = ", ".join(quoted(path) for path in paths)
    where = ", ".join(repr(os.fsdecode(root.locate(path))) for path in saved)
    text = f"in {os.fsdecode(root.path)!r} somebody changed {names} meanwhile; those were left, all others are reversed"
    if where:
        text += f"; what stood there before is kept in {where}"
    return NeedsOperatorError(text, hint="look at them, then run the command again with --drift overwrite or keep")
