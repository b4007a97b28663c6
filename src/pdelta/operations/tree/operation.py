"""The tree kind: one object for one tree, on the machine where the tree is.

Called by ``app`` in the same process, or by the agent for a peer. Holds no
connection: what it lacks comes through the ``Source`` that it is given. What only
some verbs need is imported by them: an agent starts for every command, and most
find nothing to do.
"""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from pdelta.errors import IntegrityError, PdeltaError, PreflightError, UsageError
from pdelta.filesystem.address import addressed
from pdelta.filesystem.failure import looking, translated
from pdelta.filesystem.index import Index
from pdelta.filesystem.ledger import Kept, Ledger
from pdelta.filesystem.observe import Observation
from pdelta.filesystem.safe import Directory, make_resolved
from pdelta.filesystem.state import BACKWARD, INTENT, STAGING, StateFolder
from pdelta.formats.history import (
    HistoryEntry,
    PushWish,
    RepairWish,
    RollbackWish,
    Verb,
    Wish,
    decode_wish,
    encode_wish,
    unmanaged,
)
from pdelta.formats.page import PagedTree
from pdelta.formats.report import (
    STAT_DATA,
    CheckReport,
    CollectReport,
    RecoverReport,
    Retention,
    TreeFacts,
    decode_body,
)
from pdelta.model.change import Change
from pdelta.model.delta import Delta
from pdelta.model.event import Event, Observer, silent
from pdelta.model.failpoint import FailPoint, never
from pdelta.model.finding import Finding
from pdelta.model.operation import Notes, Outcome, Standing
from pdelta.model.snapshot import Root
from pdelta.model.source import Source
from pdelta.model.target import Target
from pdelta.operations.tree.calculate import Calculation, Calculator, Overlay, empty_root
from pdelta.operations.tree.changes import count_changes, list_changes
from pdelta.operations.tree.entries import (
    changed_meanwhile,
    facts_of,
    moved_on,
    no_entry,
    outcome_of,
    refuse_lost_ledger,
    refuse_stale,
    reversing_entry,
    wanted_snapshot,
    wished_entry,
)
from pdelta.operations.tree.fetch import MissingPages, fetch_pages, fetch_root
from pdelta.operations.tree.freeze import freeze
from pdelta.operations.tree.trusted_pages import TrustedPages
from pdelta.tree.merge import Merge
from pdelta.tree.order import find_renames

if TYPE_CHECKING:
    from pdelta.filesystem.scan import Problem, Scan, ScanOptions
    from pdelta.filesystem.stage import Staged
    from pdelta.operations.tree.transaction import Transaction

JOBS: Final = 2


class TreeOperation:
    """The five verbs for one tree, its history, checks and recovery.

    Args:
        root: Path of the tree, without links in it; the folder need not exist before the first push.
        source: Gives what the tree lacks; None where nothing will be needed.
        observer: Hears progress.
        clock: Gives nanoseconds since the epoch.
        host: Name of the machine, for messages.
        failpoint: Called after every durable write.
    """

    kind = "tree"

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
        self._path = root
        self._source = source
        self._observer = observer
        self._clock = clock
        self._host = host
        self._failpoint = failpoint
        self._root: Directory | None = None
        self._state: StateFolder | None = None
        self._ledger: Ledger | None = None
        self._overlay = Overlay(None)
        self._trusted = TrustedPages()
        self._calculated: dict[tuple[bytes, bytes], Calculation] = {}
        self._scanned: Index | None = None
        self._problems: Sequence[Problem] = ()
        self._recovered = ""

    def close(self) -> None:
        """Close everything; what was staged stays."""
        for part in (self._ledger, self._state, self._root):
            if part is not None:
                part.close()
        self._ledger = self._state = self._root = None

    # -- the five verbs -----------------------------------------------------------------------------------------

    def calculate(self, target: Target, desired: bytes) -> Delta:  # noqa: ARG002 - the protocol's argument
        """Say what takes the tree to the wish; finishes first what a killed run left of a commit.

        Raises:
            UsageError: The wish cannot be granted: no such entry, or nothing to repair.
            NeedsOperatorError: Recovery found paths that somebody changed.
        """
        wish = decode_wish(desired)
        self._open()
        self._recover_first(wish.wait_s)
        self._trusted.begin(self._ledger)
        entry = self._ledger.newest() if self._ledger is not None else None
        wanted = self._wanted(wish, entry)
        if not isinstance(wish, PushWish):
            held, observation, trusted = self._held(entry, wanted, wish)
        elif self._source is None:
            raise UsageError("a push needs a source")
        else:
            known = MissingPages(self._ledger.pages if self._ledger is not None else None)
            fetch_root(self._overlay, self._source, wanted, known)
            # Looking comes first: pages of an equal destination need not travel.
            held, observation, trusted = self._held(entry, wanted, wish)
            fetch_pages(self._overlay, self._source, wanted, known, held)
            if observation is not None:
                from pdelta.operations.tree import inspect

                tree, root = PagedTree(self._overlay), self._overlay.read_root(wanted)
                observation.findings += inspect.find_obstacles(tree, root, self._problems)
        with looking(self._path):
            calculation = self._compare(held, wanted, wish, observation, entry)
        return self._delta(calculation, wish, entry, trusted)

    def preflight(self, delta: Delta, target: Target) -> Sequence[Finding]:  # noqa: ARG002 - the protocol's argument
        """Report every problem; change nothing."""
        from pdelta.operations.tree import reach
        from pdelta.operations.tree.owners import find_unsettable
        from pdelta.operations.tree.preflight import find_problems

        body = decode_body(delta.body)
        calculation, tree = self._calculation(delta), PagedTree(self._overlay)
        with looking(self._path):
            findings = [*body.findings, *find_problems(self._root, self._path, calculation, body, tree, self._kept())]
            findings += find_unsettable(self._root, calculation, tree, whole=False)
            drifted = any(finding.blocks for finding in body.findings)
            if self._root is not None and self._ledger is not None and not drifted:
                overlay, source = self._overlay, self._source
                findings += reach.find_missing(body.wish, self._root, calculation, self._ledger, overlay, source)
        return findings

    def execute(self, delta: Delta, target: Target, notes: Notes) -> Outcome:  # noqa: ARG002 - the protocol's argument
        """Bring the tree to the delta's after; resumes what an earlier attempt staged or began to commit.

        Raises:
            StaleError: The tree moved on after the delta was calculated.
            LockedError: Another run holds the tree.
            ExecutionError: The commit failed and was undone.
        """
        body = decode_body(delta.body)
        wish = body.wish
        self._open(create=True, durable=wish.durable)
        state, ledger = self._opened()
        ledger.set_durable(wish.durable)
        state.lock(wish.wait_s)
        self._recover_locked()
        newest = ledger.newest()
        if newest is not None and newest.held == delta.after and newest.number > body.number:
            return Outcome({"number": newest.number, "run": newest.run, "recovered": self._recovered})
        refuse_stale(body, newest, self._name())
        number = body.number + 1
        notes.record(b"entry %d" % number)
        calculation = self._calculation(delta)
        entry = wished_entry(number, body, calculation, newest, self._clock())
        return self._run(calculation, entry, wish)

    def reverse(self, delta: Delta, target: Target, notes: Notes) -> Outcome:  # noqa: ARG002 - the protocol's argument
        """Bring the tree back to the delta's before, as a new entry; or undo a commit that was cut off."""
        body = decode_body(delta.body)
        self._open(create=True)
        state, ledger = self._opened()
        state.lock(body.wish.wait_s)
        newest = ledger.newest()
        if state.read(INTENT) is not None and (newest.number if newest is not None else 0) == body.number:
            state.folder.replace(INTENT, state.folder, BACKWARD)
            state.folder.sync()
            self._failpoint("intent.backward")
        self._recover_locked()
        newest = ledger.newest()
        if newest is None or newest.held != delta.after or delta.before == delta.after:
            return Outcome({"number": newest.number if newest is not None else 0})
        notes.record(b"reverse entry %d" % newest.number)
        before, after = self._overlay.read_root(delta.after), self._overlay.read_root(delta.before)
        calculation = self._derived(before, after, body.released)
        counts = count_changes(list_changes(calculation, PagedTree(self._overlay)))[0]
        entry = reversing_entry(newest, body, delta, counts, self._clock())
        return self._run(calculation, entry, RollbackWish(durable=body.wish.durable))

    def verify(self, delta: Delta, target: Target) -> Standing:  # noqa: ARG002 - the protocol's argument
        """Say where the tree stands by its intent and ledger; ``calculate`` and ``check`` look at its content."""
        body = decode_body(delta.body)
        self._open()
        if self._state is not None and self._state.unfinished:
            return Standing.BETWEEN
        newest = self._ledger.newest() if self._ledger is not None else None
        held, number = (newest.held, newest.number) if newest is not None else (b"", 0)
        if held == delta.after and (number > body.number or delta.before == delta.after):
            # A repair leads from what the tree was found to hold to what its record says: that alone is no proof.
            return Standing.AFTER
        if held == delta.before or (held == body.recorded and number == body.number):
            return Standing.BEFORE
        return Standing.FOREIGN

    # -- asking -------------------------------------------------------------------------------------------------

    def describe(self) -> TreeFacts:
        """Give what is known of the tree without looking at its content."""
        self._open()
        if self._root is None:
            return TreeFacts(exists=False, managed=False)
        if self._state is None or self._ledger is None:
            return TreeFacts(exists=True, managed=False)
        staged = self._transaction().staged() if self._state.folder.lstat(STAGING) is not None else None
        after = staged.after if staged is not None else b""
        return facts_of(self._ledger.newest(), self._overlay, unfinished=self._state.unfinished, staged=after)

    def history(self) -> list[HistoryEntry]:
        """Give the whole history, oldest first; empty for an unmanaged tree."""
        self._open()
        return self._ledger.entries() if self._ledger is not None else []

    def show(self, number: int) -> Iterator[Change]:
        """Give the changes of one entry.

        Raises:
            UsageError: There is no such entry.
        """
        self._open()
        entry = self._ledger.entry(number) if self._ledger is not None else None
        if entry is None:
            raise no_entry(self._name(), number)
        before, after = self._overlay.read_root(entry.before), self._overlay.read_root(entry.held)
        yield from list_changes(self._derived(before, after, entry.released), PagedTree(self._overlay))

    def check(self, *, jobs: int) -> CheckReport:
        """Read every byte and compare it with the newest entry.

        Raises:
            UsageError: pdelta has never pushed here.
        """
        from pdelta.operations.tree import inspect

        self._open()
        self._recover_first(0.0)
        newest = self._ledger.newest() if self._ledger is not None else None
        if newest is None or self._root is None:
            raise unmanaged(self._name())
        held = self._overlay.read_root(newest.held)
        with translated("read the tree"):
            options = self._scan_options(held, checksum=True, jobs=jobs)
            found, _ = inspect.look_at_all(self._root, self._overlay, None, self._observer, options)
        found, _ = self._own(held, found)
        result = self._differences(held, found.root)
        findings = tuple(Finding(problem.kind, problem.message, subject=problem.path) for problem in found.problems)
        changes = tuple(inspect.report_changes(self._overlay, result, found.problems))
        return CheckReport(newest.number, found.files, found.bytes, changes, findings)

    def recover(self) -> RecoverReport:
        """Finish or undo a commit that was cut off; what a broken transfer staged is kept.

        Raises:
            PreflightError: The tree cannot be written to.
            LockedError: Another run holds it.
        """
        self._open()
        if self._state is None or self._ledger is None:
            return RecoverReport("nothing")
        self._state.lock_at_once(self._name())
        done = self._transaction().recover()
        if done is not None:
            return RecoverReport("commit", done[0], done[1], done[2])
        return RecoverReport("staged" if self._transaction().staged() is not None else "nothing")

    def collect(self, limits: Retention) -> CollectReport:
        """Remove undo data beyond the limits, and pages that no entry needs.

        Raises:
            UsageError: pdelta has never pushed here.
            LockedError: Another run holds the tree.
        """
        from pdelta.operations.tree import retention

        self._open()
        if self._state is None or self._ledger is None or self._root is None:
            raise unmanaged(self._name())
        self._state.lock_at_once(self._name())
        self._recover_locked()
        with translated("remove undo data"):
            return retention.collect(self._undo_root() or self._root, self._ledger, limits, self._transaction())

    def examine(self) -> list[Finding]:
        """Look for trouble in the tree's own state."""
        from pdelta.operations.tree import retention

        try:
            self._open()
        except PdeltaError as error:
            return [Finding(error.code, error.message, hint=error.hint)]
        root = self._root and (self._undo_root() or self._root)
        return list(retention.examine(self._path, root, self._state, self._ledger, self._overlay))

    # -- parts --------------------------------------------------------------------------------------------------

    def _open(self, *, create: bool = False, durable: bool = True) -> None:
        """Open what is there; with ``create``, make the folder and its state."""
        with addressed(self._path):
            if self._root is None:
                try:
                    self._root = Directory.open_resolved(self._path)
                except FileNotFoundError:
                    if not create:
                        return
                    make_resolved(self._path, 0o755)
                    self._failpoint("tree.made")
                    self._root = Directory.open_resolved(self._path)
            if self._state is None:
                try:
                    self._state = StateFolder(self._root, create=create)
                except FileNotFoundError:
                    return
                self._failpoint("state.opened")
            if self._ledger is None and (create or self._state.has_ledger()):
                self._ledger = Ledger(self._state.ledger_path, create=create, durable=durable)
                self._failpoint("ledger.opened")
                self._overlay.below = self._ledger.pages
            refuse_lost_ledger(self._state, self._ledger, self._name())

    def _opened(self) -> tuple[StateFolder, Ledger]:
        assert self._state is not None  # noqa: S101 - opened with create
        assert self._ledger is not None  # noqa: S101 - opened with create
        return self._state, self._ledger

    def _transaction(self) -> "Transaction":
        from pdelta.operations.tree.transaction import Transaction

        state, ledger = self._opened()
        assert self._root is not None  # noqa: S101 - there is a state folder in it
        return Transaction(self._root, state, ledger, self._overlay, observer=self._observer, failpoint=self._failpoint)

    def _run(self, calculation: Calculation, entry: HistoryEntry, wish: Wish) -> Outcome:
        from pdelta.operations.tree import retention

        state, ledger = self._opened()
        try:
            self._trusted.refuse_collected(ledger, self._overlay, calculation, self._name())
            with ledger.transaction():
                self._take_scan(ledger)
            self._failpoint("ledger.fingerprints")
            recorded, staged = self._transact(calculation, entry, wish)
            undo_root = self._undo_root()
            if undo_root is not None:
                with suppress(OSError, PdeltaError):
                    retention.collect_by_default(undo_root, ledger, self._transaction())
        finally:
            state.unlock()
        return outcome_of(recorded, staged, self._recovered)

    def _transact(self, calculation: Calculation, entry: HistoryEntry, wish: Wish) -> "tuple[HistoryEntry, Staged]":
        transaction = self._transaction()
        # What a rollback needs is here or nowhere: whoever asks for one has no source.
        source = None if isinstance(wish, RollbackWish) else self._source
        try:
            return transaction.run(calculation, entry, source, wish)
        except IntegrityError as error:
            if entry.verb != Verb.ROLLBACK or self._ledger is None:
                raise
            from pdelta.operations.tree import reach

            transaction.clear_staging()
            raise IntegrityError(error.message, hint=reach.advice(self._ledger, transaction.proves)) from error

    def _undo_root(self) -> Directory | None:
        """Give the folder below which the ledger's slots of undo data are."""
        return self._root

    def _index(self) -> Index | None:
        """Give the fingerprints of what stands."""
        return self._ledger.index if self._ledger is not None else None

    def _differences(self, held: Root, found: Root) -> Merge:
        """Say how what stands differs from what is recorded."""
        from pdelta.operations.tree import inspect

        return inspect.differences(self._overlay, held, found)

    def _compare(
        self, held: Root, wanted: bytes, wish: Wish, observation: Observation | None, entry: HistoryEntry | None
    ) -> Calculation:
        """Say what must change."""
        calculator = Calculator(self._root, self._overlay, self._index(), JOBS)
        asked = self._overlay.read_root(entry.wanted) if entry is not None else None
        return calculator.calculate(held, wanted, wish, observation, asked)

    def _take_scan(self, ledger: Ledger) -> None:
        """Keep what adopting an unmanaged tree found of its fingerprints."""
        scanned, self._scanned = self._scanned, None
        if scanned is not None:
            ledger.index.store((row, list(scanned.details(row.path).values())) for row in scanned.rows())

    def _recover_first(self, wait_s: float) -> None:
        if self._state is None or self._ledger is None or not self._state.unfinished:
            return
        held = self._state.locked
        self._state.lock(wait_s)
        try:
            self._recover_locked()
        finally:
            if not held:
                self._state.unlock()

    def _recover_locked(self) -> None:
        done = self._transaction().recover()
        if done is None:
            return
        direction, number, foreign = done
        how = "finished" if direction == "forward" else "undid"
        self._recovered = f"{how} entry {number}, which a killed run had left unfinished"
        self._observer(Event("recover", message=self._recovered, level="info"))
        if foreign:
            raise changed_meanwhile(self._name(), self._recovered, foreign)

    def _wanted(self, wish: Wish, entry: HistoryEntry | None) -> bytes:
        wanted = wanted_snapshot(wish, entry, self._ledger, self._name())
        if not isinstance(wish, RollbackWish) or self._root is None or self._ledger is None:
            return wanted
        if self._ledger.pages.missing_pages([wanted]):
            text = f"{self._name()}: that state was collected; nothing was changed"
            raise PreflightError(text, hint=self._advice(self._root, self._ledger))
        return wanted

    def _advice(self, root: Directory, ledger: Ledger) -> str:
        """Say which states a rollback can still reach."""
        from pdelta.operations.tree import reach

        return reach.advice(ledger, reach.looks_kept(root))

    def _held(self, entry: HistoryEntry | None, wanted: bytes, wish: Wish) -> tuple[Root, Observation | None, str]:
        """Give what the tree holds, what a look at all of it found, and what was trusted instead."""
        root = self._overlay.read_root(wanted)
        if self._root is None:
            return empty_root(root.chunking, root.selection, root.top.mode, root.top.mtime_ns), Observation(), ""
        check = "bytes" if isinstance(wish, RepairWish) else wish.check
        if entry is not None:
            held = self._overlay.read_root(entry.held)
            if check == "trust":
                return held, None, f"destination trusted since entry {entry.number}"
        from pdelta.operations.tree import inspect

        if entry is not None:
            found, nested = self._own(held, self._scan(held, self._index(), checksum=check == "bytes"))
            observation = inspect.observe_all(self._overlay, held, found, adopt=not isinstance(wish, RepairWish))
            observation.findings += nested
            return held, observation, "" if check == "bytes" else STAT_DATA
        found, nested = self._own(None, self._scan(root, None, checksum=False))
        return inspect.adopt(self._overlay, found), Observation(findings=nested), ""

    def _own(self, held: Root | None, found: "Scan") -> "tuple[Scan, list[Finding]]":
        """Leave out of a scan what belongs to other managed trees, and name them."""
        from pdelta.operations.tree import inspect

        return inspect.without_nested(self._overlay, held, found)

    def _scan(self, like: Root, index: Index | None, *, checksum: bool) -> "Scan":
        from pdelta.operations.tree import inspect

        assert self._root is not None  # noqa: S101 - the caller asked
        with translated("read the tree"):
            options = self._scan_options(like, checksum=checksum, jobs=JOBS)
            found, used = inspect.look_at_all(self._root, self._overlay, index, self._observer, options)
        self._problems = found.problems
        if index is None:
            self._scanned = used
        return found

    def _scan_options(self, like: Root, *, checksum: bool, jobs: int) -> "ScanOptions":
        from pdelta.filesystem.scan import ScanOptions

        chunking, selection, now_ns = like.chunking, like.selection, self._clock()
        return ScanOptions(now_ns=now_ns, chunking=chunking, selection=selection, checksum=checksum, jobs=jobs)

    def _delta(self, calculation: Calculation, wish: Wish, entry: HistoryEntry | None, trusted: str) -> Delta:
        before = calculation.before_id
        if before == calculation.after_id and entry is not None and before != entry.held:
            # Nothing is to be done to the tree, but its record is not what it holds: a delta from record to truth.
            before = entry.held
        self._calculated = {(before, calculation.after_id): calculation}
        tree = PagedTree(self._overlay)
        return freeze(self.kind, calculation, wish, entry, before, trusted, tree, self._kept)

    def _kept(self) -> Iterator[Kept]:
        return self._ledger.kept() if self._ledger is not None else iter(())

    def _calculation(self, delta: Delta) -> Calculation:
        known = self._calculated.get((delta.before, delta.after))
        if known is not None:
            return known
        body = decode_body(delta.body)
        if not self._has_roots((delta.before, delta.after)):
            # Another process calculated it. The same wish for the same tree gives the same pages, or it is stale.
            self.calculate(Target(self.kind, ""), encode_wish(body.wish))
            known = self._calculated.get((delta.before, delta.after))
            if known is None:
                raise moved_on(self._name(), body.number)
            return known
        before, after = self._overlay.read_root(body.found or delta.before), self._overlay.read_root(delta.after)
        return self._derived(before, after, body.released, body.wanted)

    def _has_roots(self, ids: Iterable[bytes]) -> bool:
        absent = [id_ for id_ in ids if id_ not in self._overlay.new]
        return not absent or (self._ledger is not None and not self._ledger.pages.missing_pages(absent))

    def _derived(self, before: Root, after: Root, released: tuple[bytes, ...], wanted: bytes = b"") -> Calculation:
        """Give the calculation that leads from one snapshot to another, from their pages alone."""
        calculator = Calculator(self._root, self._overlay, self._index(), JOBS)
        result = calculator.edits_between(before, after, released)
        after_id = self._overlay.write_root(after)
        return Calculation(
            before=before,
            after=after,
            before_id=self._overlay.write_root(before),
            after_id=after_id,
            wanted=wanted or after_id,
            edits=tuple(result.edits),
            directories=tuple(result.directories),
            renames=tuple(find_renames(result.edits, PagedTree(self._overlay))),
            findings=(),
            released=released,
            drifted={},
        )

    def _name(self) -> str:
        path = os.fsdecode(self._path)
        return f"{self._host}:{path}" if self._host else path
