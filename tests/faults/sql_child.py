"""``pdelta sql …`` in a process that kills itself: ``sql_child.py FAILPOINT WORD…``, in the folder of a project.

The fail point is passed around everything that changes a tenant, and after each durable write of the journal. With
``wait:COUNT`` the process stops there instead, says so in a line, and goes on after a line that it reads. With ``end``
it kills itself where it would record that its run is over.
"""

import itertools
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pdelta.testing.failpoints import parse_failpoint

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from pdelta.app import runs
from pdelta.app.sql import compose, fleet, rollout
from pdelta.cli.main import main
from pdelta.engine.journal import Journal
from pdelta.engine.runlog import RunLog
from pdelta.model.failpoint import never
from tests.fixtures.passing import PassingDatabase

if TYPE_CHECKING:
    from pdelta.model.failpoint import FailPoint


class WaitAt:
    """A fail point that waits for somebody else at the n-th pass, whatever its name is."""

    def __init__(self, count: int) -> None:
        self._passes = itertools.count(1)
        self._count = count

    def __call__(self, _name: str, /) -> None:
        if next(self._passes) == self._count:
            sys.__stdout__.write("waits\n")  # type: ignore[union-attr]  # nobody has closed it
            sys.__stdout__.flush()  # type: ignore[union-attr]
            sys.__stdin__.readline()  # type: ignore[union-attr]


def _die(*_: object) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def run() -> int:
    """Run the command with the fail point in its way."""
    kind, _, count = sys.argv[1].partition(":")
    failpoint: FailPoint = never
    if kind == "end":
        RunLog.closed = _die  # type: ignore[assignment, method-assign]
    else:
        failpoint = WaitAt(int(count)) if kind == "wait" else parse_failpoint(sys.argv[1])

    def opened(*arguments: Any, **options: Any) -> PassingDatabase:
        return PassingDatabase(compose.open_database(*arguments, **options), failpoint)

    @contextmanager
    def journal(context: Any, kept: Journal | None = None, *, durable: bool = True) -> Iterator[Journal]:
        if kept is not None:
            yield kept
            return
        path = context.journal
        with Journal(path, clock=context.clock, durable=durable, failpoint=failpoint) as one:
            yield one

    vars(fleet)["open_database"] = opened
    vars(rollout)["open_journal"] = vars(runs)["open_journal"] = journal
    return main(["sql", *sys.argv[2:]])


if __name__ == "__main__":
    sys.exit(run())
