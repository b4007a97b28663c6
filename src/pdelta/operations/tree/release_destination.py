"""One tree operation for any destination: in its own folder, or in release mode.

Called by ``app``. Which of the two works is decided by what stands at the
destination, and by a push that asks for a release.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from typing import TypedDict

from pdelta.errors import UsageError
from pdelta.filesystem.release import is_release, release_around
from pdelta.formats.history import HistoryEntry, PushWish, decode_wish
from pdelta.formats.report import CheckReport, CollectReport, RecoverReport, Retention, TreeFacts, decode_body
from pdelta.model.change import Change
from pdelta.model.delta import Delta
from pdelta.model.event import Observer, silent
from pdelta.model.failpoint import FailPoint, never
from pdelta.model.finding import Finding
from pdelta.model.operation import Notes, Outcome, Standing
from pdelta.model.source import Source
from pdelta.model.target import Target
from pdelta.operations.tree.operation import TreeOperation


class _Surroundings(TypedDict):
    source: Source | None
    observer: Observer
    clock: Callable[[], int]
    host: str
    failpoint: FailPoint


def open_tree_operation(
    root: bytes,
    *,
    source: Source | None = None,
    observer: Observer = silent,
    clock: Callable[[], int],
    host: str = "",
    failpoint: FailPoint = never,
) -> "DestinationOperation":
    """Give the operation for a destination, whichever mode it is in.

    Args:
        root: Absolute path of the destination.
        source: Gives what it lacks; None where nothing will be needed.
        observer: Hears progress.
        clock: Gives nanoseconds since the epoch.
        host: Name of the machine, for messages.
        failpoint: Called after every durable write.
    """
    surroundings = _Surroundings(source=source, observer=observer, clock=clock, host=host, failpoint=failpoint)
    return DestinationOperation(root, surroundings)


class DestinationOperation:
    """What ``TreeOperation`` offers, by way of the operation that fits the destination.

    Args:
        root: Absolute path of the destination.
        surroundings: What either operation is made with.
    """

    kind = "tree"

    def __init__(self, root: bytes, surroundings: _Surroundings) -> None:
        """Look at what stands there; open nothing yet."""
        self._path = root
        self._surroundings = surroundings
        self._released = False
        self._operation: TreeOperation = TreeOperation(root, **surroundings)
        self._choose(release=is_release(root))

    def close(self) -> None:
        """Close everything; what was staged stays."""
        self._operation.close()

    def calculate(self, target: Target, desired: bytes) -> Delta:
        """Say what takes the destination to the wish; see ``TreeOperation.calculate``.

        Raises:
            UsageError: The destination lies in a release of another one.
        """
        wish = decode_wish(desired)
        self._refuse_inside()
        self._choose(release=is_release(self._path) or (isinstance(wish, PushWish) and wish.release))
        return self._operation.calculate(target, desired)

    def preflight(self, delta: Delta, target: Target) -> Sequence[Finding]:
        """Report every problem; change nothing."""
        return self._operation_of(delta).preflight(delta, target)

    def execute(self, delta: Delta, target: Target, notes: Notes) -> Outcome:
        """Bring the destination to the delta's after; see ``TreeOperation.execute``."""
        return self._operation_of(delta).execute(delta, target, notes)

    def reverse(self, delta: Delta, target: Target, notes: Notes) -> Outcome:
        """Bring the destination back to the delta's before; see ``TreeOperation.reverse``."""
        return self._operation_of(delta).reverse(delta, target, notes)

    def verify(self, delta: Delta, target: Target) -> Standing:
        """Say where the destination stands."""
        return self._operation_of(delta).verify(delta, target)

    def describe(self) -> TreeFacts:
        """Give what is known of the destination without looking at its content."""
        return self._operation.describe()

    def history(self) -> list[HistoryEntry]:
        """Give the whole history, oldest first."""
        return self._operation.history()

    def show(self, number: int) -> Iterator[Change]:
        """Give the changes of one entry."""
        return self._operation.show(number)

    def check(self, *, jobs: int) -> CheckReport:
        """Read every byte and compare it with the newest entry."""
        return self._operation.check(jobs=jobs)

    def recover(self) -> RecoverReport:
        """Finish or undo a commit that was cut off."""
        return self._operation.recover()

    def collect(self, limits: Retention) -> CollectReport:
        """Remove undo data beyond the limits."""
        return self._operation.collect(limits)

    def examine(self) -> list[Finding]:
        """Look for trouble in the destination's own state."""
        return self._operation.examine()

    def _refuse_inside(self) -> None:
        """Refuse to change a release through another address than that of its destination."""
        if is_release(self._path):
            return
        destination = release_around(self._path)
        if destination is not None:
            path, owner = os.fsdecode(self._path), os.fsdecode(destination)
            text = f"{path!r} is in a release of {owner!r}, which is changed as a whole; nothing was changed"
            raise UsageError(text, hint=f"push to {owner}, or to a path that it ignores")

    def _operation_of(self, delta: Delta) -> TreeOperation:
        wish = decode_body(delta.body).wish
        self._choose(release=is_release(self._path) or (isinstance(wish, PushWish) and wish.release))
        return self._operation

    def _choose(self, *, release: bool) -> None:
        if not release or self._released:
            return
        # Imported where it is used: most destinations are folders.
        from pdelta.operations.tree.release import ReleaseOperation

        self._operation.close()
        self._operation = ReleaseOperation(self._path, **self._surroundings)
        self._released = True
