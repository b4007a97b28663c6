"""Release mode: DEST is a link to a whole release beside it, and a push switches the link.

Called like ``TreeOperation``, with which it shares everything but what touches
readers of DEST. Every file of the current release is compared by stat data before
each entry, because all of it goes into the next one.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Final

import msgspec

from pdelta.errors import FilesystemError, IntegrityError
from pdelta.filesystem.address import addressed
from pdelta.filesystem.copy import copy_file
from pdelta.filesystem.failure import looking, translated
from pdelta.filesystem.index import Index
from pdelta.filesystem.ledger import Ledger
from pdelta.filesystem.observe import Observation
from pdelta.filesystem.release import STATE, Found, Place, Standing, release_path
from pdelta.filesystem.safe import Directory
from pdelta.filesystem.scan import Scan
from pdelta.filesystem.stage import Staged
from pdelta.filesystem.state import BACKWARD, INTENT, LEDGER, StateFolder, remove
from pdelta.filesystem.syscalls import filesystem_type
from pdelta.formats.history import HistoryEntry, PushWish, RepairWish, RollbackWish, UndoState, Verb, Wish
from pdelta.formats.page import PagedTree
from pdelta.formats.report import STAT_DATA, CollectReport, Retention, TreeBody, decode_body
from pdelta.model.amount import counted, size
from pdelta.model.delta import Delta
from pdelta.model.event import Observer, silent
from pdelta.model.failpoint import FailPoint, never
from pdelta.model.finding import Finding
from pdelta.model.names import STATE_NAME, quoted
from pdelta.model.operation import Notes, Outcome
from pdelta.model.snapshot import ADOPTED, Kind, Root
from pdelta.model.source import Source
from pdelta.model.target import Target
from pdelta.operations.tree import inspect
from pdelta.operations.tree.calculate import Calculation, Calculator, empty_root
from pdelta.operations.tree.operation import JOBS, TreeOperation
from pdelta.operations.tree.owners import find_unsettable
from pdelta.operations.tree.preflight import find_problems
from pdelta.operations.tree.release_history import find_other_history, refuse_lost_history, refuse_switched
from pdelta.operations.tree.release_index import (
    discard_release_index,
    indexed_releases,
    open_release_index,
)
from pdelta.operations.tree.release_share import is_link, plan_sharing, remove_copies
from pdelta.operations.tree.release_transaction import ReleaseTransaction, without_links
from pdelta.operations.tree.repairing import find_unrepairable
from pdelta.tree.merge import Merge
from pdelta.tree.reader import walk
from pdelta.tree.select import Selector

_SHARING_BLOCKS: Final = frozenset({0x9123683E})
"""Btrfs, where a copy within the file system costs no space."""

_LISTED: Final = 10
_HARMLESS: Final = frozenset({"special", "vanished"})
"""Problems with what no release holds: FIFOs, sockets and devices, and names that are gone."""


class ReleaseOperation(TreeOperation):
    """The five verbs for one destination in release mode, or one that is to become so.

    Args:
        root: Absolute path of DEST.
        source: Gives what the destination lacks; None where nothing will be needed.
        observer: Hears progress.
        clock: Gives nanoseconds since the epoch.
        host: Name of the machine, for messages.
        failpoint: Called after every durable write.
    """

    def __init__(
        self,
        root: bytes,
        *,
        source: Source | None = None,
        observer: Observer = silent,
        clock: Callable[[], int],
        host: str = "",
        failpoint: FailPoint = never,
    ) -> None:
        """Open nothing yet."""
        super().__init__(root, source=source, observer=observer, clock=clock, host=host, failpoint=failpoint)
        self._place: Place | None = None
        self._found = Found(Standing.ABSENT)
        self._fingerprints: Index | None = None
        self._former: StateFolder | None = None
        self._nested: Sequence[bytes] = ()
        self._wait_s = 0.0

    def close(self) -> None:
        """Close everything; what was staged stays."""
        super().close()
        self._forget_current()
        if self._former is not None:
            self._former.close()
        if self._place is not None:
            self._place.close()
        self._former = self._place = None

    # -- the five verbs -----------------------------------------------------------------------------------------

    def preflight(self, delta: Delta, target: Target) -> Sequence[Finding]:  # noqa: ARG002 - the protocol's argument
        """Report every problem; change nothing."""
        self._open()
        body = decode_body(delta.body)
        calculation = self._calculation(delta)
        tree = PagedTree(self._overlay)
        with looking(self._path):
            common = find_problems(None, self._path, calculation, body, tree)
            return [
                *body.findings,
                *(finding for finding in common if finding.code != "rights"),
                *find_unsettable(self._root, calculation, tree, whole=True),
                *self._refusals(body),
                *(() if isinstance(body.wish, RollbackWish) else self._left_behind(calculation)),
                *self._sharing_problems(calculation),
                *_unpatched(body),
                *self._space(calculation),
                *self._lost(body, calculation),
            ]

    def execute(self, delta: Delta, target: Target, notes: Notes) -> Outcome:
        """Let DEST lead to a release that holds the delta's after.

        Raises:
            StaleError: The destination moved on after the delta was calculated.
            LockedError: Another run holds it.
            ExecutionError: The switch failed and was undone.
        """
        self._wait_s = decode_body(delta.body).wish.wait_s
        return super().execute(delta, target, notes)

    def reverse(self, delta: Delta, target: Target, notes: Notes) -> Outcome:
        """Let DEST lead to a release that holds the before, as a new entry; or undo a switch that was cut off."""
        self._wait_s = decode_body(delta.body).wish.wait_s
        return super().reverse(delta, target, notes)

    def collect(self, limits: Retention) -> CollectReport:
        """Remove releases beyond the limits, what killed runs left, and pages that no entry needs.

        Raises:
            UsageError: pdelta has never pushed here.
            LockedError: Another run holds the destination.
            PreflightError: DEST leads to a release that could be collected: somebody switched the link.
        """
        self._open()
        if self._state is not None and self._ledger is not None:
            self._state.lock_at_once(self._name())
            self._recover_locked()
            refuse_switched(self._place, self._found, self._ledger, self._name())
        report = super().collect(limits)
        with translated("remove releases"):
            self._sweep()
        return report

    # -- opening ------------------------------------------------------------------------------------------------

    def _open(self, *, create: bool = False, durable: bool = True) -> None:
        """Open what is there; with ``create``, make the container, and take over the ledger of a folder."""
        with addressed(self._path):
            if self._place is None:
                try:
                    self._place = Place(self._path)
                except FileNotFoundError:
                    if create:
                        raise
                    return
            place = self._place
            if create:
                place.make()
                if self._state is None:
                    self._state = StateFolder(place.inside, create=True, name=STATE)
                self._state.lock(self._wait_s)
            elif self._state is None and place.container is not None:
                with suppress(FileNotFoundError):
                    self._state = StateFolder(place.container, create=False, name=STATE)
            self._open_current(place)
            self._open_ledger(place, create=create, durable=durable)

    def _open_current(self, place: Place) -> None:
        found = place.look()
        if self._root is not None and found != self._found:
            self._forget_current()
        self._found = found
        if self._root is not None:
            return
        if found.standing == Standing.FOLDER:
            self._root = place.parent.open_directory(place.name)
        elif found.standing == Standing.RELEASE and place.container is not None:
            try:
                self._root = place.container.open_directory(release_path(found.number))
            except FileNotFoundError:
                text = f"{self._name()} leads to release {found.number}, which is not there; nothing was changed"
                raise FilesystemError(text, hint="ln -sfn it to one of those that are, or restore the folder") from None

    def _open_ledger(self, place: Place, *, create: bool, durable: bool) -> None:
        """Open the ledger; that of a folder which becomes a release is read where it is until it is taken over."""
        taking_over = self._found.standing == Standing.FOLDER and not self._is_unfinished()
        if taking_over and create and self._former is None:
            self._take_over()
        if self._ledger is not None:
            return
        if taking_over and self._former is None and self._root is not None:
            former = STATE_NAME + b"/" + LEDGER
            if self._root.lstat(former) is not None:
                self._ledger = Ledger(_through(self._root) + former, create=False)
        if self._ledger is None and self._state is not None and (create or self._state.has_ledger()):
            self._ledger = Ledger(self._state.ledger_path, create=create, durable=durable)
        if self._ledger is not None:
            self._overlay.below = self._ledger.pages
        if self._found.standing == Standing.RELEASE and not self._is_unfinished():
            refuse_lost_history(place, self._ledger, self._name())

    def _is_unfinished(self) -> bool:
        state = self._state
        return state is not None and (state.read(INTENT) is not None or state.read(BACKWARD) is not None)

    def _take_over(self) -> None:
        """Copy the ledger of a folder in the default mode, whose undo data does not come along, and lock it out."""
        state = self._state
        if self._root is None or state is None or self._root.lstat(STATE_NAME + b"/" + LEDGER) is None:
            return
        self._former = StateFolder(self._root, create=False)
        self._former.lock(self._wait_s)
        if self._ledger is not None:
            self._ledger.close()
            self._ledger = None
        with Ledger(_through(self._root) + STATE_NAME + b"/" + LEDGER, create=False) as former:
            # Reading it once ends a transaction that a killed process left in its journal.
            former.newest()
        remove(state.root, STATE + b"/" + LEDGER)
        remove(state.root, STATE + b"/" + LEDGER + b"-journal")
        source = self._root.open_file(STATE_NAME + b"/" + LEDGER)
        try:
            target = state.folder.create_exclusive(LEDGER + b".new")
            try:
                copy_file(source, target, os.fstat(source).st_size)
                os.fsync(target)
            finally:
                os.close(target)
        finally:
            os.close(source)
        ledger = Ledger(_through(state.folder) + LEDGER + b".new", create=False)
        try:
            with ledger.transaction():
                for entry in ledger.entries():
                    if entry.undo == UndoState.KEPT:
                        ledger.forget_undo(entry)
        finally:
            ledger.close()
        state.folder.replace(LEDGER + b".new", state.folder, LEDGER)
        self._failpoint("release.ledger")

    def _forget_current(self) -> None:
        if self._root is not None:
            self._root.close()
            self._root = None
        if self._fingerprints is not None:
            self._fingerprints.close()
            self._fingerprints = None

    # -- seams of TreeOperation ---------------------------------------------------------------------------------

    def _recover_locked(self) -> None:
        super()._recover_locked()
        # What was finished or undone may have made DEST lead elsewhere.
        self._open()

    def _undo_root(self) -> Directory | None:
        return self._place.container if self._place is not None else None

    def _index(self) -> Index | None:
        if self._found.standing == Standing.FOLDER:
            return super()._index()
        if self._fingerprints is None and self._state is not None and self._found.standing == Standing.RELEASE:
            self._fingerprints = open_release_index(self._state, self._found.number)
        return self._fingerprints

    def _scan(self, like: Root, index: Index | None, *, checksum: bool) -> Scan:
        found = super()._scan(like, index, checksum=checksum)
        self._nested = found.nested
        return found

    def _own(self, held: Root | None, found: Scan) -> tuple[Scan, list[Finding]]:
        """Leave nothing out: a release is copied whole, so pre-flight refuses another managed tree in it."""
        del held
        return found, []

    def _take_scan(self, ledger: Ledger) -> None:
        """Keep nothing of a scan: a release's fingerprints are recorded with it."""
        del ledger
        self._scanned = None

    def _transaction(self) -> ReleaseTransaction:  # type: ignore[override]
        state, ledger = self._opened()
        assert self._place is not None  # noqa: S101 - there is a state folder beside it
        return ReleaseTransaction(
            self._place,
            state,
            ledger,
            self._overlay,
            observer=self._observer,
            clock=self._clock,
            failpoint=self._failpoint,
        )

    def _compare(
        self, held: Root, wanted: bytes, wish: Wish, observation: Observation | None, entry: HistoryEntry | None
    ) -> Calculation:
        """Say what must change; no folder need stay for what stands in it, since it stays in its own release.

        A rollback goes back to exactly what a release held: names that came since stay in the other release.
        """
        known = entry is not None and self._root is not None
        asked = self._overlay.read_root(entry.wanted) if known and entry is not None else None
        if isinstance(wish, RollbackWish):
            asked, wish = None, PushWish(wanted=wanted, delete=True, drift=wish.drift, check=wish.check)
        calculator = Calculator(None, self._overlay, self._index(), JOBS)
        return calculator.calculate(held, wanted, wish, observation, asked)

    def _transact(self, calculation: Calculation, entry: HistoryEntry, wish: Wish) -> tuple[HistoryEntry, Staged]:
        transaction = self._transaction()
        try:
            source = None if isinstance(wish, RollbackWish) else self._source
            return transaction.run(calculation, entry, source, undo=wish.undo, durable=wish.durable)
        except IntegrityError as error:
            if entry.verb != Verb.ROLLBACK:
                raise
            transaction.clear_staging()
            raise IntegrityError(error.message, hint=transaction.advice()) from error

    def _advice(self, root: Directory, ledger: Ledger) -> str:
        del root, ledger
        return self._transaction().advice()

    def _differences(self, held: Root, found: Root) -> Merge:
        return without_links(super()._differences(held, found))

    def _held(self, entry: HistoryEntry | None, wanted: bytes, wish: Wish) -> tuple[Root, Observation | None, str]:
        """Give what the current release holds; stat data of all of it is compared, since all of it is copied."""
        root = self._overlay.read_root(wanted)
        if self._root is None:
            return empty_root(root.chunking, root.selection, root.top.mode, root.top.mtime_ns), Observation(), ""
        if entry is None:
            return super()._held(entry, wanted, wish)
        everything = isinstance(wish, RepairWish) or wish.check == "bytes"
        held = self._overlay.read_root(entry.held)
        found = self._scan(held, self._index(), checksum=everything)
        observation = inspect.observe_all(self._overlay, held, found, adopt=True)
        for path in [path for path, new in observation.found.items() if is_link(path, new)]:
            if path not in observation.drifted:
                del observation.found[path]
        if isinstance(wish, RepairWish):
            observation.findings += [
                Finding("extra", f"{quoted(path)} is not recorded, and comes along", blocks=False, subject=path)
                for path in observation.found
                if path not in observation.drifted
            ]
            observation.unknown.clear()
        return held, observation, "" if everything else STAT_DATA

    def _delta(self, calculation: Calculation, wish: Wish, entry: HistoryEntry | None, trusted: str) -> Delta:
        if self._found.standing == Standing.FOLDER and calculation.before_id == calculation.after_id:
            # Becoming a release is a change of its own, so the state before must have a name of its own.
            before = calculation.before
            top = msgspec.structs.replace(before.top, extra={**before.top.extra, ADOPTED: True})
            before = msgspec.structs.replace(before, top=top)
            calculation = _replaced(calculation, before, self._overlay.write_root(before))
        return super()._delta(calculation, wish, entry, trusted)

    # -- pre-flight ---------------------------------------------------------------------------------------------

    def _refusals(self, body: TreeBody) -> list[Finding]:
        place = self._place
        if place is None:
            return []
        findings = []
        path, parent = os.fsdecode(self._path), os.fsdecode(place.parent.path)
        if not os.access(b".", os.W_OK | os.X_OK, dir_fd=place.parent.fd):
            text = f"{parent!r} is not writable for this user, and a release is switched by a rename in it"
            grant = f"sudo setfacl -m u:{os.geteuid()}:rwx {parent}"
            hint = f"let another user run pdelta (sudo here, --become on a host), or run: {grant}"
            findings.append(Finding("release-parent", text, hint=hint))
        if place.is_mount():
            text = f"something is mounted at {path!r}, so it cannot become a link"
            hint = f"name a folder inside of it: pdelta push --release SRC {path}/current"
            findings.append(Finding("release-mount", text, hint=hint))
        inside = place.mounts_inside() if self._root is not None else ()
        if inside:
            names = ", ".join(repr(os.fsdecode(name)) for name in inside[:_LISTED])
            text = f"something is mounted inside of {path!r}, at {names}, and would not come along into a release"
            hint = f"unmount it, ignore its path, and mount it at that path of {place.shared} instead"
            findings.append(Finding("release-mount", text, hint=hint))
        if place.container is not None and place.container.device != place.parent.device:
            text = f"{os.fsdecode(place.container.path)!r} is on another file system than {path!r}"
            findings.append(Finding("release-mount", text, hint="unmount it: a release is switched by a rename"))
        if self._found.standing == Standing.FOREIGN:
            text = f"{path!r} is neither a folder nor a link to one of its releases"
            findings.append(Finding("release-foreign", text, hint=f"mv {path} {path}.old, then push again"))
        wish = body.wish
        if self._found.standing == Standing.FOLDER and not (isinstance(wish, PushWish) and wish.convert):
            text = f"{path!r} is a folder, and a release needs a link there"
            hint = f"pdelta push --release --convert SRC {path} makes the folder its first release"
            findings.append(Finding("release-unconverted", text, hint=hint))
        if self._found.standing == Standing.FOLDER and self._root is not None:
            findings += self._former_state(path)
        return findings

    def _left_behind(self, calculation: Calculation) -> list[Finding]:
        """Refuse what would vanish from DEST because it cannot be copied into the next release."""
        findings = []
        ignored = Selector(calculation.after.selection.rules).ignored
        for problem in self._problems:
            if problem.kind not in _HARMLESS and not any(ignored(problem.path, kind) for kind in (True, False)):
                text = f"{os.fsdecode(problem.path)!r} would not come along into the next release: {problem.message}"
                hint = "let this user read it, ignore its path, or use --become"
                findings.append(Finding("release-unreadable", text, hint=hint, subject=problem.path))
        for path in self._nested:
            if ignored(path, True):  # noqa: FBT003 - a directory
                continue
            text = f"{os.fsdecode(path)!r} is a managed tree of its own, whose history would not come along"
            hint = "ignore its path: then it moves to the shared folder as it is"
            findings.append(Finding("nested", text, hint=hint, subject=path))
        return findings

    def _former_state(self, path: str) -> list[Finding]:
        assert self._root is not None  # noqa: S101 - the caller asked
        findings = []
        if any(self._root.lstat(STATE_NAME + b"/" + name) is not None for name in (INTENT, BACKWARD)):
            text = f"a run that was killed left {path!r} unfinished"
            findings.append(Finding("unfinished", text, hint=f"pdelta recover {path}"))
        if self._place is not None and self._state is not None and self._ledger is not None:
            findings += find_other_history(self._place, self._state, self._ledger, path)
        if self._ledger is not None and any(entry.undo == UndoState.KEPT for entry in self._ledger.entries()):
            text = f"the history of {path!r} comes along, the undo data of its entries does not"
            hint = "what the folder holds now stays as a release, to which rollback leads"
            findings.append(Finding("release-undo", text, blocks=False, hint=hint))
        return findings

    def _sharing_problems(self, calculation: Calculation) -> list[Finding]:
        if self._place is None:
            return []
        sharing = plan_sharing(
            self._root,
            self._place.container,
            calculation.before,
            calculation.after,
            PagedTree(self._overlay),
        )
        findings = []
        if sharing.conflicts:
            names = ", ".join(repr(os.fsdecode(path)) for path in sharing.conflicts[:_LISTED])
            reasons = "stand in it already, are mounts, or are too deep"
            text = f"ignored paths cannot move to the shared folder: {names} {reasons}"
            findings.append(Finding("release-shared", text, hint="move one of the two away"))
        moving = [*sharing.shares, *sharing.copies]
        if moving:
            names = ", ".join(repr(os.fsdecode(path)) for path in moving[:_LISTED])
            one = len(moving) == 1
            told = f"{counted(len(moving), 'ignored path')} {'moves' if one else 'move'} to the shared folder"
            text = f"{told}, and every release links to {'it' if one else 'them'}: {names}"
            findings.append(Finding("release-sharing", text, blocks=False))
        return findings

    def _space(self, calculation: Calculation) -> list[Finding]:
        place = self._place
        if place is None or filesystem_type(place.parent.fd) in _SHARING_BLOCKS:
            return []
        tree = PagedTree(self._overlay)
        needed = sum(
            entry.size for _, entry in walk(tree, b"", calculation.after.top.content) if entry.kind == Kind.FILE
        )
        status = os.fstatvfs(place.parent.fd)
        free = status.f_bavail * status.f_frsize
        if needed <= free:
            return []
        text = f"a whole release needs up to {size(needed)}, and {size(free)} are free"
        return [Finding("space", text, hint="free some space (pdelta gc drops old releases)")]

    def _lost(self, body: TreeBody, calculation: Calculation) -> list[Finding]:
        """Refuse a rollback or a repair whose content is in no release any more, nor at the source."""
        wish = body.wish
        if isinstance(wish, PushWish) or self._state is None or self._ledger is None:
            return []
        lost = self._transaction().find_lost(calculation)
        if isinstance(wish, RepairWish):
            return list(find_unrepairable(wish, lost, self._overlay, self._ledger, self._source))
        if not lost:
            return []
        names = ", ".join(quoted(item.path) for item in lost[:_LISTED])
        files = counted(len(lost), "file")
        text = f"the content of {files} is in no release any more: {names}"
        return [Finding("undo", text, hint=self._transaction().advice(), subject=lost[0].path)]

    # -- collecting ---------------------------------------------------------------------------------------------

    def _sweep(self) -> None:
        """Remove releases that neither DEST nor the ledger names, and fingerprints of releases that are gone."""
        place, found = self._place, self._found
        if place is None or place.container is None or found.standing != Standing.RELEASE or self._is_unfinished():
            return
        state, ledger = self._opened()
        named = {int(item.slot.rpartition(b"/")[2]) for item in ledger.kept()} | {found.number}
        remove_copies(place.container)
        for number in set(place.numbers()) - named:
            remove(place.container, release_path(number))
        for number in indexed_releases(state) - named:
            discard_release_index(state, number)


def _replaced(calculation: Calculation, before: Root, before_id: bytes) -> Calculation:
    return msgspec.structs.replace(calculation, before=before, before_id=before_id)


def _through(folder: Directory) -> bytes:
    """Give the path of an open folder that a rename of it does not change."""
    return b"/proc/self/fd/%d/" % folder.fd


def _unpatched(body: TreeBody) -> Iterator[Finding]:
    """Say that nothing is patched in place: the release before must stay as it is."""
    if isinstance(body.wish, PushWish) and body.wish.inplace:
        text = "--inplace does nothing in release mode: each release is a tree of its own"
        yield Finding("inplace", text, blocks=False)
