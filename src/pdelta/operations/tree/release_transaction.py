"""The transaction of release mode: stage a whole release, intent, one rename, ledger; and its recovery.

Called by ``ReleaseOperation`` while it holds the state folder's lock. The order
is the promise: everything staged is synced before the intent, the intent before
anything that a reader of DEST can see, the switch before the ledger.
"""

import os
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from typing import Final

import msgspec

from pdelta.errors import DriftError, ExecutionError, IntegrityError, NeedsOperatorError, PdeltaError
from pdelta.filesystem.failure import translated
from pdelta.filesystem.ledger import Kept, Ledger
from pdelta.filesystem.release import RELEASES, SHARED, STATE, Found, Standing, container_name, release_path
from pdelta.filesystem.release import Place as ReleasePlace
from pdelta.filesystem.safe import Directory
from pdelta.filesystem.scan import Scan, ScanOptions
from pdelta.filesystem.stage import Staged, StageItem, Stager
from pdelta.filesystem.state import BACKWARD, INTENT, STAGING, StateFolder, allocated_bytes, remove
from pdelta.filesystem.syscalls import sync_filesystem
from pdelta.formats.history import HistoryEntry, UndoState, decode_history_entry, encode_history_entry
from pdelta.formats.page import PagedTree
from pdelta.formats.release import SwitchIntent, decode_switch, encode_switch
from pdelta.model.event import Observer, silent
from pdelta.model.failpoint import FailPoint, never
from pdelta.model.names import STATE_NAME, join_path, quoted
from pdelta.model.snapshot import Entry, Root
from pdelta.model.source import Source
from pdelta.operations.tree import inspect
from pdelta.operations.tree.ancestors import Ancestors
from pdelta.operations.tree.calculate import Calculation, Overlay
from pdelta.operations.tree.release_index import (
    discard_release_index,
    indexed_releases,
    open_release_index,
    record_release,
    unchanged_files,
)
from pdelta.operations.tree.release_share import (
    Sharing,
    copy_apart,
    is_link,
    link_target,
    make_links,
    plan_sharing,
    put_copies,
    remove_copies,
    share,
    take_copies,
    unshare,
)
from pdelta.operations.tree.release_stage import Release, keep_owners, settle_folders
from pdelta.operations.tree.staging import Record, open_staging, read_record
from pdelta.tree.merge import Merge
from pdelta.tree.reader import walk
from pdelta.tree.recipe import Origin
from pdelta.tree.recipe import Place as From

JOBS: Final = 2
_TREE: Final = b"tree"
_STAGED: Final = STATE + b"/" + STAGING + b"/" + _TREE


def without_links(result: Merge) -> Merge:
    """Leave out pdelta's own links to the shared folder, which no snapshot holds."""
    result.edits = [edit for edit in result.edits if edit.before is not None or not is_link(edit.path, edit.after)]
    return result


class ReleaseTransaction:
    """Switches one destination, whose lock the caller holds.

    Args:
        place: Where DEST and its releases are.
        state: The state folder in the container.
        ledger: Its open ledger.
        overlay: Pages in memory over the ledger's.
        observer: Hears progress.
        clock: Gives nanoseconds since the epoch.
        failpoint: Called after every durable write.
    """

    def __init__(
        self,
        place: ReleasePlace,
        state: StateFolder,
        ledger: Ledger,
        overlay: Overlay,
        *,
        observer: Observer = silent,
        clock: Callable[[], int],
        failpoint: FailPoint = never,
    ) -> None:
        """Do nothing yet."""
        self._place = place
        self._state = state
        self._ledger = ledger
        self._overlay = overlay
        self._tree = PagedTree(overlay)
        self._observer = observer
        self._clock = clock
        self._failpoint = failpoint

    # -- forward ------------------------------------------------------------------------------------------------

    def run(
        self, calculation: Calculation, entry: HistoryEntry, source: Source | None, *, undo: bool, durable: bool
    ) -> tuple[HistoryEntry, Staged]:
        """Let DEST lead to a release that holds the calculated state, or leave it as it was.

        Args:
            calculation: What must change.
            entry: The ledger entry to be, without its undo data.
            source: Gives what is not here.
            undo: Whether the current release is kept.
            durable: Whether everything is synced.

        Returns:
            The entry as it was recorded, and what was staged.

        Raises:
            ExecutionError: The switch failed half-way and was undone.
            PdeltaError: Staging failed; DEST is as it was and what was staged is kept.
        """
        with self._ledger.transaction():
            self._ledger.pages.write_pages(self._overlay.new.items())
        self._failpoint("ledger.pages")
        with translated("look at the destination"):
            found, base = self._look()
            convert = found.standing == Standing.FOLDER
            current = self._place.free_number(entry.number - 1) if convert else found.number
            sharing = self._sharing(base, calculation)
            reused = self._reusable(calculation)
        if reused is None:
            number = self._place.free_number(max(entry.number, current + 1))
            staged = self._stage(calculation, entry.number, number, base, sharing, source, durable=durable)
        else:
            number, staged = reused, Staged()
        if convert:
            self._index(current, base, calculation.before)
        if base:
            self._copy_shared(base, sharing.copies, durable=durable)
            self._recheck(current, base, calculation.before)
        held = self._size(calculation.before) if current >= 0 and undo else 0
        counts = msgspec.structs.replace(
            entry.counts, bytes_fetched=staged.fetched_bytes, bytes_reused=staged.reused_bytes
        )
        kept = UndoState.KEPT if undo else UndoState.NONE
        entry = msgspec.structs.replace(entry, undo=kept, undo_bytes=held, counts=counts)
        intent = SwitchIntent(
            number=entry.number,
            entry=encode_history_entry(entry),
            release=number,
            staged=reused is None,
            current=current,
            convert=convert,
            shares=tuple(sharing.shares),
            links=tuple(sharing.links),
            copies=tuple(sharing.copies),
            undo=undo,
            durable=durable,
        )
        with translated("write the intent"):
            self._state.write(INTENT, encode_switch(intent), durable=durable)
        self._failpoint("intent.written")
        self._commit(intent, calculation.after)
        return self._finish(intent), staged

    def _look(self) -> tuple[Found, bytes]:
        """Say what DEST is, and where its content stands below the parent."""
        found = self._place.look()
        match found.standing:
            case Standing.ABSENT:
                return found, b""
            case Standing.FOLDER:
                return found, self._place.name
            case Standing.RELEASE:
                return found, self._place.target(found.number)
            case Standing.FOREIGN:
                path = os.fsdecode(self._place.parent.locate(self._place.name))
                text = f"{path!r} is neither a folder nor a link to one of its releases; nothing was changed"
                raise NeedsOperatorError(text, hint="move it away, or make it what it was")

    def _sharing(self, base: bytes, calculation: Calculation) -> Sharing:
        current = self._place.parent.open_directory(base) if base else None
        try:
            sharing = plan_sharing(current, self._place.container, calculation.before, calculation.after, self._tree)
        finally:
            if current is not None:
                current.close()
        return sharing

    def _copy_shared(self, base: bytes, paths: Sequence[bytes], *, durable: bool) -> None:
        """Copy what becomes ignored as late as can be: the application goes on writing to it."""
        with translated("copy what will be shared"), self._place.parent.open_directory(base) as current:
            copy_apart(current, self._place.inside, paths)
            if durable and paths:
                sync_filesystem(self._place.inside.fd)
        self._failpoint("release.copied")

    def _reusable(self, calculation: Calculation) -> int | None:
        """Give a kept release that holds the calculated state, as a look at all of it proves."""
        for number, wanted in list(self._kept_states()):
            if wanted == calculation.after_id and self._holds(number, calculation.after):
                return number
        return None

    def find_lost(self, calculation: Calculation) -> list[StageItem]:
        """Give what would be made of content that no release has any more, as far as a look without reading tells."""
        if any(wanted == calculation.after_id for _, wanted in self._kept_states()):
            return []
        _, base = self._look()
        release = self._release(calculation, base, _TREE)
        return [item for item in release.items() if any(part.place == From.FETCH for part in item.parts)]

    def _release(self, calculation: Calculation, base: bytes, slot: bytes) -> Release:
        before, after, ancestors = calculation.before, calculation.after, Ancestors(calculation, self._tree)
        return Release(self._tree, before, after, ancestors, base, slot, self._kept_files)

    def advice(self) -> str:
        """Say which states a rollback can still reach."""
        kept = {wanted for _, wanted in self._kept_states()}
        numbers = [str(entry.number) for entry in self._ledger.entries()[:-1] if entry.held in kept]
        if not numbers:
            return "no earlier release is kept; push what is wanted from its source"
        return f"the releases of these entries are kept: {', '.join(numbers)} (pdelta rollback --to N)"

    def _kept_states(self) -> Iterator[tuple[int, bytes]]:
        """Give the number and the snapshot of every kept release that is there."""
        for item in self._ledger.kept():
            displaced = self._ledger.entry(item.number)
            if displaced is not None and self._place.inside.lstat(item.slot) is not None:
                yield int(item.slot.rpartition(b"/")[2]), displaced.before

    def _holds(self, number: int, wanted: Root) -> bool:
        with self._place.inside.open_directory(release_path(number)) as folder:
            found, result = self._look_at(number, folder, wanted)
        return not (result.edits or result.directories or found.problems) and found.root.links == wanted.links

    def _look_at(self, number: int, folder: Directory, wanted: Root) -> tuple[Scan, Merge]:
        """Give what a release holds by stat data, and how that differs from a snapshot."""
        with closing(open_release_index(self._state, number)) as index:
            options = ScanOptions(now_ns=self._clock(), chunking=wanted.chunking, selection=wanted.selection, jobs=JOBS)
            found, _ = inspect.look_at_all(folder, self._overlay, index, self._observer, options)
        return found, without_links(inspect.differences(self._overlay, wanted, found.root))

    def _recheck(self, number: int, base: bytes, before: Root) -> None:
        """Look again at what readers use after staging, which may have taken hours: a switch would leave it behind.

        Raises:
            DriftError: Somebody changed it; DEST is as it was and what was staged is kept.
        """
        with translated("look at the current release again"), self._place.parent.open_directory(base) as folder:
            _, result = self._look_at(number, folder, before)
        changed = [edit.path for edit in (*result.edits, *result.directories)]
        if changed:
            names = ", ".join(quoted(path) for path in changed[:5])
            text = f"{names} changed while the new release was staged; nothing was changed, what is staged is kept"
            raise DriftError(
                text, hint="the application writes to its release; run the command again, or ignore the path"
            )

    def _stage(
        self,
        calculation: Calculation,
        entry_number: int,
        number: int,
        base: bytes,
        sharing: Sharing,
        source: Source | None,
        *,
        durable: bool,
    ) -> Staged:
        record = Record(calculation.before_id, calculation.after_id, entry_number, ())
        with translated("make the staging folder"):
            resume = open_staging(self._state, record, self.clear_staging, self._failpoint, durable=durable)
        parent = self._place.parent
        slot = container_name(self._place.name) + b"/" + _STAGED
        release = self._release(calculation, base, slot)
        stager = Stager(parent, self._tree, source, observer=self._observer, failpoint=self._failpoint, resume=resume)
        staged = stager.stage(release.items)
        with translated("finish the staged release"):
            if base:
                keep_owners(parent, base, slot, release)
            links = [(path, link_target(path)) for path in sharing.links] + sharing.keeps
            make_links(self._place.inside, _STAGED, links)
            self._index(number, slot, calculation.after)
            if durable:
                sync_filesystem(self._place.inside.fd)
        self._failpoint("stage.synced")
        return staged

    def _index(self, number: int, path: bytes, held: Root) -> None:
        """Record the fingerprints of a whole release; moving it changes none of them."""
        with (
            translated("record the fingerprints of the release"),
            self._place.parent.open_directory(path) as folder,
        ):
            record_release(self._state, number, folder, held, self._tree)

    def _kept_files(self, wanted: Callable[[Entry], bool]) -> Iterator[Origin]:
        """Give the files of kept releases that are of use and are what they were."""
        prefix = container_name(self._place.name) + b"/"
        for item in self._ledger.kept():
            number = int(item.slot.rpartition(b"/")[2])
            with (
                suppress(FileNotFoundError, NotADirectoryError),
                self._place.inside.open_directory(item.slot) as folder,
                closing(open_release_index(self._state, number)) as index,
            ):
                for path, entry in unchanged_files(folder, index, item.entry, self._tree, wanted):
                    yield Origin(From.KEPT, prefix + join_path(item.slot, path), entry)

    def _size(self, held: Root) -> int:
        return sum(entry.size for _, entry in walk(self._tree, b"", held.top.content))

    # -- staging ------------------------------------------------------------------------------------------------

    def clear_staging(self) -> None:
        """Remove what an unfinished transfer left."""
        remove(self._place.inside, STATE + b"/" + STAGING)
        remove_copies(self._place.inside)

    def staged_bytes(self) -> int:
        """Give what an unfinished transfer left takes of the disk."""
        return allocated_bytes(self._place.inside, STATE + b"/" + STAGING)

    def staged(self) -> Record | None:
        """Give the record of what an unfinished transfer left, or None."""
        return read_record(self._state)

    # -- switching ----------------------------------------------------------------------------------------------

    def _commit(self, intent: SwitchIntent, after: Root) -> None:
        try:
            with translated("switch to the new release"):
                self._forward(intent, after)
        except PdeltaError as error:
            self._state.folder.replace(INTENT, self._state.folder, BACKWARD)
            self._failpoint("intent.backward")
            self._backward(intent)
            text = f"{error.message}; everything that this run did was reversed"
            raise ExecutionError(text, hint=error.hint) from error

    def _forward(self, intent: SwitchIntent, after: Root) -> None:
        """Do everything that readers can see; safe to repeat."""
        container = self._place.inside
        if intent.convert and not self._has_switched(intent):
            self._place.convert(intent.current)
            self._failpoint("release.converted")
        for path in intent.shares:
            share(container, intent.current, path)
            self._failpoint("release.shared")
        if intent.copies:
            put_copies(container, intent.current, intent.copies)
            self._failpoint("release.shared")
        path = release_path(intent.release)
        if intent.staged:
            self._put_in_place(intent.release)
            settle_folders(container, path, after, self._tree)
        else:
            make_links(container, path, [(link, link_target(link)) for link in intent.links])
        if intent.durable:
            for folder in (RELEASES, SHARED, b""):
                with container.open_directory(folder) as changed:
                    changed.sync()
        self._failpoint("release.placed")
        self._place.switch(intent.release, current=intent.current)
        self._failpoint("release.switched")

    def _has_switched(self, intent: SwitchIntent) -> bool:
        return self._place.look() == Found(Standing.RELEASE, intent.release)

    def _put_in_place(self, number: int) -> None:
        container = self._place.inside
        if container.lstat(_STAGED) is None:
            if container.lstat(release_path(number)) is None:
                text = f"the staged release {number} is gone; nothing was changed"
                raise IntegrityError(text, hint="push again")
            return
        with (
            container.open_directory(STATE + b"/" + STAGING) as staging,
            container.open_directory(RELEASES) as releases,
        ):
            staging.rename_noreplace(_TREE, releases, b"%d" % number)

    def _backward(self, intent: SwitchIntent) -> None:
        """Undo what readers could see; safe to repeat."""
        with translated("go back to the release before"):
            if self._has_switched(intent):
                if intent.current >= 0:
                    self._place.switch(intent.current, current=intent.release)
                else:
                    self._place.remove_link(intent.release)
            take_copies(self._place.inside, intent.copies)
            for path in intent.shares:
                unshare(self._place.inside, intent.current, path)
            if intent.convert:
                self._place.revert(intent.current)
                discard_release_index(self._state, intent.current)
            if intent.staged:
                self._take_away(intent.release)
            if intent.durable:
                self._sync()
        self._failpoint("commit.reversed")
        self._state.discard(BACKWARD)
        if intent.durable:
            self._state.folder.sync()

    def _take_away(self, number: int) -> None:
        """Stage a release again that was in its place, so that another attempt need not send it."""
        container = self._place.inside
        found = container.lstat(release_path(number))
        if found is None or not stat.S_ISDIR(found.st_mode) or container.lstat(STATE + b"/" + STAGING) is None:
            return
        with (
            container.open_directory(RELEASES) as releases,
            container.open_directory(STATE + b"/" + STAGING) as staging,
            releases.open_directory(b"%d" % number) as release,
        ):
            os.fchmod(release.fd, stat.S_IMODE(found.st_mode) | stat.S_IRWXU)
            releases.rename_noreplace(b"%d" % number, staging, _TREE)
        discard_release_index(self._state, number)

    def _sync(self) -> None:
        sync_filesystem(self._place.inside.fd)
        self._place.parent.sync()

    # -- recording ----------------------------------------------------------------------------------------------

    def _finish(self, intent: SwitchIntent) -> HistoryEntry:
        """Make the switch durable, record it, and clear away what it needed."""
        entry = decode_history_entry(intent.entry)
        if intent.durable:
            with translated("sync the destination"):
                self._sync()
        self._failpoint("commit.synced")
        newest = self._ledger.newest()
        if newest is None or newest.number < entry.number:
            with self._ledger.transaction():
                self._ledger.write_entry(entry)
                self._ledger.forget_slots([release_path(intent.release)])
                if intent.undo and intent.current >= 0:
                    top = self._overlay.read_root(entry.before).top
                    self._ledger.write_kept([Kept(entry.number, release_path(intent.current), b"", top)])
        self._failpoint("ledger.written")
        self._clear(intent)
        return entry

    def _clear(self, intent: SwitchIntent) -> None:
        """Remove what is no longer needed; safe to repeat."""
        with translated("clear away what the switch needed"):
            self.clear_staging()
            if intent.current >= 0 and not intent.undo:
                remove(self._place.inside, release_path(intent.current))
                discard_release_index(self._state, intent.current)
            elif intent.convert:
                remove(self._place.inside, release_path(intent.current) + b"/" + STATE_NAME)
            for number in indexed_releases(self._state) - set(self._place.numbers()):
                discard_release_index(self._state, number)
            self._failpoint("release.cleared")
            self._state.discard(INTENT)
            if intent.durable:
                self._state.folder.sync()
        self._failpoint("intent.removed")

    # -- recovery -----------------------------------------------------------------------------------------------

    def recover(self) -> tuple[str, int, tuple[bytes, ...]] | None:
        """Finish or undo a switch that was cut off.

        Returns:
            Direction, entry number and no foreign paths; None where there was nothing to recover.

        Raises:
            IntegrityError: The intent is damaged; nothing was touched.
            NeedsOperatorError: Somebody made DEST something else meanwhile; it was left.
        """
        data = self._state.read(BACKWARD)
        if data is not None:
            intent = decode_switch(data)
            self._backward(intent)
            return "backward", intent.number, ()
        data = self._state.read(INTENT)
        if data is None:
            return None
        intent = decode_switch(data)
        newest = self._ledger.newest()
        if newest is not None and newest.number >= intent.number:
            self._clear(intent)
        else:
            held = decode_history_entry(intent.entry).held
            with translated("switch to the new release"):
                self._forward(intent, self._overlay.read_root(held))
            self._finish(intent)
        return "forward", intent.number, ()
