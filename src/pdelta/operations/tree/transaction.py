"""The apply transaction: stage, intent, commit, ledger; and its recovery.

Called by ``TreeOperation`` while it holds the tree's lock. The order is the
promise: staged data and undo records are synced before the intent, the intent
before the first rename, every touched file system before the ledger.
"""

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

import msgspec

from pdelta.errors import ExecutionError, IntegrityError, PdeltaError
from pdelta.filesystem.commit import Committer
from pdelta.filesystem.failure import translated
from pdelta.filesystem.ledger import Kept, Ledger
from pdelta.filesystem.metadata import set_attributes_of
from pdelta.filesystem.reindex import reindex
from pdelta.filesystem.safe import Directory
from pdelta.filesystem.stage import Staged, Stager
from pdelta.filesystem.state import (
    BACKWARD,
    INTENT,
    RECORD,
    STAGING,
    UNDO,
    StateFolder,
    allocated_bytes,
    make_unseen,
    remove,
)
from pdelta.filesystem.syscalls import sync_filesystem
from pdelta.formats.history import HistoryEntry, UndoState, Wish, decode_history_entry, encode_history_entry
from pdelta.formats.intent import Action, Intent, Move, decode_intent, encode_intent
from pdelta.formats.page import PagedTree, build_directory, encode_root
from pdelta.model.event import Observer, silent
from pdelta.model.failpoint import FailPoint, never
from pdelta.model.names import STATE_NAME, parent_of, quoted
from pdelta.model.snapshot import Entry, Kind, Root
from pdelta.model.source import Source
from pdelta.operations.tree import aftermath
from pdelta.operations.tree.arrange import STAGING as STAGING_PATH
from pdelta.operations.tree.arrange import Arrangement, Arranger
from pdelta.operations.tree.calculate import Calculation, GatheredPages, Overlay
from pdelta.operations.tree.inplace import patching_of
from pdelta.operations.tree.keep import Keeper
from pdelta.operations.tree.recheck import recheck_folders, recheck_unkept
from pdelta.operations.tree.staging import Record, open_staging, read_record
from pdelta.tree.override import override

_SYNC_EACH: Final = 32
"""Up to so many staged files are synced one by one; more, the whole file system is (0.24 ms a file here)."""


_MADE: Final = frozenset({Action.CREATE, Action.SWAP, Action.PATCH})


class Transaction:
    """Changes one tree, whose lock the caller holds.

    Args:
        root: The tree.
        state: Its state folder.
        ledger: Its open ledger.
        overlay: Pages in memory over the ledger's.
        observer: Hears progress.
        failpoint: Called after every durable write.
    """

    def __init__(
        self,
        root: Directory,
        state: StateFolder,
        ledger: Ledger,
        overlay: Overlay,
        *,
        observer: Observer = silent,
        failpoint: FailPoint = never,
    ) -> None:
        """Do nothing yet."""
        self._root = root
        self._state = state
        self._ledger = ledger
        self._overlay = overlay
        self._tree = PagedTree(overlay)
        self._observer = observer
        self._failpoint = failpoint
        self._keeper = Keeper(root, self._tree)
        self._dressed = False
        self._made: dict[bytes, int] = {}
        self._slots: dict[bytes, bytes] = {}

    # -- forward ------------------------------------------------------------------------------------------------

    def run(
        self, calculation: Calculation, entry: HistoryEntry, source: Source | None, wish: Wish
    ) -> tuple[HistoryEntry, Staged]:
        """Bring the tree to the calculated state, or leave it as it was.

        Args:
            calculation: What must change.
            entry: The ledger entry to be, without its undo data.
            source: Gives what is not here.
            wish: Whether displaced inodes are kept, everything is synced, and large files are patched.

        Returns:
            The entry as it was recorded, and what was staged.

        Raises:
            ExecutionError: The commit failed half-way and was undone.
            PdeltaError: Staging failed; the tree is untouched and what was staged is kept.
        """
        with self._ledger.transaction():
            self._ledger.pages.write_pages(self._overlay.new.items())
        self._failpoint("ledger.pages")
        undo, durable = wish.undo, wish.durable
        kept = list(self._ledger.kept())
        patching = patching_of(self._root, self._tree, calculation, wish, kept)
        arranger = Arranger(
            self._root, self._tree, calculation, kept, self._keeper.proves, entry.number, undo=undo, patching=patching
        )
        with translated("look at the tree"):
            arrangement = arranger.arrange()
        staged = self._stage(calculation, entry.number, arrangement, source, durable=durable)
        with translated("look at the tree again"):
            recheck_folders(self._root, self._tree, calculation.edits)
            if not undo:
                moved = {rename.old for rename in calculation.renames}
                recheck_unkept(self._root, self._ledger.index, self._tree, calculation.edits, moved)
        with translated("write the intent"):
            moves = tuple(self._complete(move, staged) for move in arrangement.moves)
            if durable and self._dressed:
                self._sync(())
            if hasattr(arranger, "_sink"):
                with self._ledger.transaction():
                    self._ledger.pages.write_pages(arranger.sink.pages)
                self._failpoint("ledger.displaced")
            entry = msgspec.structs.replace(
                entry,
                time_ns=entry.time_ns,
                undo=UndoState.KEPT if undo else UndoState.NONE,
                undo_bytes=arrangement.displaced_bytes if undo else 0,
                counts=msgspec.structs.replace(
                    entry.counts, bytes_fetched=staged.fetched_bytes, bytes_reused=staged.reused_bytes
                ),
            )
            intent = Intent(
                entry.run, entry.number, encode_history_entry(entry), tuple(arrangement.folders), moves, undo, durable
            )
            self._state.write(INTENT, encode_intent(intent), durable=durable)
        self._failpoint("intent.written")
        self._commit(intent)
        return self._finish(intent, calculation.after, ()), staged

    def _stage(
        self, calculation: Calculation, number: int, arrangement: Arrangement, source: Source | None, *, durable: bool
    ) -> Staged:
        root = calculation.before
        record = Record(root.top.content + root.links, calculation.after_id, number, tuple(arrangement.folders))
        with translated("make the staging folder"):
            resume = open_staging(self._state, record, self.clear_staging, self._failpoint, durable=durable)
            for folder in arrangement.folders:
                with self._root.open_directory(parent_of(folder)) as parent:
                    make_unseen(parent, folder.rpartition(b"/")[2])
                self._failpoint("stage.folder")
        made = [move.after for move in arrangement.moves if move.action in _MADE]
        # Only a file can be synced by itself: a link has no descriptor, and a folder takes all that is in it.
        few = len(made) <= _SYNC_EACH and all(entry is not None and entry.kind == Kind.FILE for entry in made)
        stager = Stager(
            self._root,
            self._tree,
            source,
            observer=self._observer,
            failpoint=self._failpoint,
            resume=resume,
            sync=durable and few,
        )
        staged = stager.stage(arrangement.items)
        with translated("keep a copy of displaced content"):
            for slot, path, entry in arrangement.copies:
                self._keeper.copy(slot, path, entry)
                self._failpoint("stage.copy")
            for slot, path, before, patch in arrangement.patched:
                self._keeper.keep_ranges(slot, path, before, patch.displaced, sync=durable and few)
                self._failpoint("stage.ranges")
        with translated("sync what was staged"):
            if durable:
                if not few or arrangement.copies:
                    self._sync(arrangement.folders)
                else:
                    self._sync_folders(arrangement.folders)
        self._failpoint("stage.synced")
        return staged

    def clear_staging(self) -> None:
        """Remove what an unfinished transfer left."""
        record = self.staged()
        for folder in record.folders if record is not None else ():
            remove(self._root, folder)
        remove(self._root, STAGING_PATH)

    def staged_bytes(self) -> int:
        """Give what an unfinished transfer left takes of the disk."""
        record = self.staged()
        places = (STAGING_PATH, *(record.folders if record is not None else ()))
        return sum(allocated_bytes(self._root, place) for place in places)

    def staged(self) -> Record | None:
        """Give the record of what an unfinished transfer left, or None."""
        return read_record(self._state)

    def _complete(self, move: Move, staged: Staged) -> Move:
        """Put the inode numbers of what was staged into a move."""
        if move.action in {Action.CREATE, Action.SWAP}:
            inode = staged.inodes.get(move.slot)
            if inode is None:
                found = self._root.lstat(move.slot)
                if found is None:
                    raise IntegrityError(f"the undo data {quoted(move.slot)} is gone; nothing was changed")
                inode = found.st_ino
            move = msgspec.structs.replace(move, after_inode=inode)
            if move.slot not in staged.inodes and move.after is not None and move.after.kind == Kind.FILE:
                self._dress(move.slot, move.after)
            self._made[move.path] = inode
            self._slots[move.path] = move.slot
        elif move.action == Action.METADATA and not move.before_inode:
            inode = self._made.get(move.path) or self._inside(move.path)
            move = msgspec.structs.replace(move, before_inode=inode, after_inode=inode)
        return move

    def _inside(self, path: bytes) -> int:
        """Give the inode of a folder inside a staged one."""
        top = path
        while top not in self._slots:
            top = parent_of(top)
        found = self._root.lstat(self._slots[top] + path[len(top) :])
        assert found is not None  # noqa: S101 - it was staged a moment ago
        return found.st_ino

    def _dress(self, slot: bytes, entry: Entry) -> None:
        """Give undo data the metadata that it will have in the tree."""
        from pdelta.filesystem.commit import attributes_of

        found = self._root.lstat(slot)
        if (
            found is not None
            and not entry.extra
            and (found.st_mtime_ns, found.st_mode & 0o7777)
            == (
                entry.mtime_ns,
                entry.mode,
            )
        ):
            return
        with self._root.open_directory(parent_of(slot)) as folder:
            set_attributes_of(folder, slot.rpartition(b"/")[2], attributes_of(entry))
        self._dressed = True
        self._failpoint("undo.dressed")

    def _commit(self, intent: Intent) -> None:
        committer = self._committer(intent)
        try:
            foreign = committer.forward(intent.moves)
        except PdeltaError as error:
            self._undo(intent, committer)
            text = f"{error.message}; everything that this run did was reversed"
            raise ExecutionError(text, hint=error.hint) from error
        finally:
            committer.close()
        if foreign:
            self._undo(intent, self._committer(intent), known=foreign)
            names = ", ".join(quoted(path) for path in foreign[:5])
            text = f"{names} changed during the commit; everything that this run did was reversed"
            raise ExecutionError(text, hint="somebody else writes to this tree; run the command again")

    def _committer(self, intent: Intent, failpoint: FailPoint | None = None) -> Committer:
        point = failpoint or self._failpoint
        # Renaming it to say that it goes backward leaves its time.
        found = self._state.folder.lstat(INTENT) or self._state.folder.lstat(BACKWARD)
        written_ns = found.st_mtime_ns if found is not None else 0
        return Committer(self._root, self._tree, point, durable=intent.durable, written_ns=written_ns)

    def _undo(self, intent: Intent, committer: Committer, known: Iterable[bytes] = ()) -> None:
        """Reverse a commit; ``known`` are paths that it found foreign, and so never touched."""
        self._state.folder.replace(INTENT, self._state.folder, BACKWARD)
        if intent.durable:
            self._state.folder.sync()
        self._failpoint("intent.backward")
        foreign = sorted(set(committer.backward(intent.moves)) - set(known))
        committer.close()
        saved = self._end_backward(intent, foreign)
        if foreign:
            raise aftermath.foreign_error(self._root, foreign, saved)

    def _end_backward(self, intent: Intent, foreign: Iterable[bytes]) -> list[bytes]:
        """End a reversal; give where originals were saved that somebody's change kept from going back."""
        saved = aftermath.save_originals(self._root, self._state, intent, foreign)
        if intent.durable:
            self._sync(intent.folders)
        self._failpoint("commit.reversed")
        # What was taken from undo data is back in its slot; the rest is staged content that can be used again.
        self._state.discard(BACKWARD)
        if intent.durable:
            self._state.folder.sync()
        self._failpoint("intent.reversed")
        return saved

    def _finish(self, intent: Intent, after: Root, foreign: Iterable[bytes]) -> HistoryEntry:
        """Make the commit durable, record it, and clear away what it needed."""
        entry = decode_history_entry(intent.entry)
        if intent.durable:
            with translated("sync the tree"):
                self._sync(
                    {parent_of(move.path) for move in intent.moves if move.slot.startswith(STAGING_PATH) is False}
                )
        self._failpoint("commit.synced")
        newest = self._ledger.newest()
        if newest is None or newest.number < entry.number:
            with self._ledger.transaction():
                self._ledger.write_entry(entry)
                self._ledger.forget_slots(aftermath.taken_slots(self._root, intent))
                if intent.undo:
                    self._ledger.write_kept(aftermath.kept_items(self._root, intent))
                reindex(self._root, self._ledger.index, after, intent.moves, self._tree, frozenset(foreign))
        self._failpoint("ledger.written")
        try:
            self._clear(intent)
        except (PdeltaError, OSError) as error:
            raise aftermath.untidy_error(entry.number, error) from error
        return entry

    def _clear(self, intent: Intent) -> None:
        """Turn staging into undo data and remove the rest; safe to repeat."""
        dropped = [move for move in intent.moves if move.copy]
        for move in dropped:
            remove(self._root, move.rest or move.slot)
            self._failpoint("undo.dropped")
        kept_as = UNDO + b"/%d" % intent.number
        if self._state.folder.lstat(STAGING) is not None:
            with suppress(FileNotFoundError), self._state.folder.open_directory(STAGING) as folder:
                folder.unlink(RECORD)
            self._failpoint("undo.closed")
            if intent.undo:
                with suppress(FileExistsError):
                    self._state.folder.mkdir(UNDO, 0o700)
                if self._state.folder.lstat(kept_as) is None:
                    with self._state.folder.open_directory(UNDO) as undo:
                        self._state.folder.rename_noreplace(STAGING, undo, b"%d" % intent.number)
            else:
                remove(self._root, STAGING_PATH)
        for path in intent.folders:
            if not intent.undo:
                remove(self._root, path)
                continue
            with suppress(OSError), self._root.open_directory(parent_of(path)) as parent:
                parent.rmdir(path.rpartition(b"/")[2])
        self._failpoint("undo.renamed")
        self._restore_times(intent)
        if intent.durable:
            self._state.folder.sync()
        self._failpoint("undo.kept")
        self._state.discard(INTENT)
        if intent.durable:
            self._state.folder.sync()
        self._failpoint("intent.removed")

    def _restore_times(self, intent: Intent) -> None:
        """Set the times of final folders again that held a staging folder, which its removal changed."""
        parents = {parent_of(folder) for folder in intent.folders}
        times = [move for move in intent.moves if move.action == Action.METADATA and move.path in parents]
        if times:
            committer = self._committer(intent, never)
            try:
                committer.forward(times)
            finally:
                committer.close()

    # -- recovery -----------------------------------------------------------------------------------------------

    def recover(self) -> tuple[str, int, tuple[bytes, ...]] | None:
        """Finish or undo a commit that was cut off.

        Returns:
            Direction, entry number and foreign paths; None where there was nothing to recover.

        Raises:
            IntegrityError: The intent is damaged; nothing was touched.
        """
        for name, backward in ((BACKWARD, True), (INTENT, False)):
            data = self._state.read(name)
            if data is None:
                continue
            intent = decode_intent(data)
            committer = self._committer(intent)
            try:
                if backward:
                    foreign = tuple(committer.backward(intent.moves))
                    self._end_backward(intent, foreign)
                    return "backward", intent.number, foreign
                newest = self._ledger.newest()
                if newest is not None and newest.number >= intent.number:
                    self._clear(intent)
                    return "forward", intent.number, newest.foreign
                foreign = tuple(committer.forward(intent.moves))
            finally:
                committer.close()
            self._finish_recovered(intent, foreign)
            return "forward", intent.number, foreign
        return None

    def _finish_recovered(self, intent: Intent, foreign: tuple[bytes, ...]) -> None:
        entry = decode_history_entry(intent.entry)
        after = self._overlay.read_root(entry.held)
        if foreign:
            # The ledger must not claim what somebody else changed: those paths keep what the record of before says,
            # which the next command finds to be drift.
            found = aftermath.left_as_before(intent, foreign)
            pages = GatheredPages()
            top = override(self._tree, after.top, found, build_directory, pages)
            after = msgspec.structs.replace(after, top=top)
            held, data = encode_root(after)
            with self._ledger.transaction():
                self._ledger.pages.write_pages([*pages.pages, (held, data)])
            self._failpoint("ledger.foreign")
            entry = msgspec.structs.replace(entry, held=held, foreign=foreign)
            intent = msgspec.structs.replace(intent, entry=encode_history_entry(entry))
        self._finish(intent, after, foreign)

    # -- parts --------------------------------------------------------------------------------------------------

    def proves(self, item: Kept) -> bool:
        """Whether an item of undo data is what its record says; reads it."""
        return self._keeper.proves(item)

    def _sync(self, folders: Iterable[bytes]) -> None:
        """Sync the tree's file system, and those of other folders that lie on another one."""
        sync_filesystem(self._root.fd)
        device = os.fstat(self._root.fd).st_dev
        seen = {device}
        for path in folders:
            found = self._root.lstat(path)
            if found is not None and found.st_dev not in seen and stat.S_ISDIR(found.st_mode):
                seen.add(found.st_dev)
                with self._root.open_directory(path) as folder:
                    sync_filesystem(folder.fd)

    def _sync_folders(self, folders: Iterable[bytes]) -> None:
        for path in (STAGING_PATH, STATE_NAME, *folders):
            with self._root.open_directory(path) as folder:
                folder.sync()
