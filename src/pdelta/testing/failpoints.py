"""Stop a process at a chosen durable write: in the test's own process, or by a real SIGKILL."""

import os
import signal

from pdelta.errors import UsageError
from pdelta.model.failpoint import FailPoint, never


class SimulatedCrash(BaseException):
    """The process ended here; not an ``Exception``, so that nothing handles it on the way out."""


class CrashAt:
    """A fail point that counts, and crashes at the n-th pass.

    Once it has crashed every later pass crashes too: clean-up code that runs
    on the way out makes nothing durable, as in a process that was killed.

    Args:
        count: Which pass crashes, counted from 1; 0 crashes never.
        name: Count only passes of this name; empty counts all.
    """

    def __init__(self, count: int, name: str = "") -> None:
        """Start counting."""
        self._count = count
        self._name = name
        self.seen = 0
        self.names: list[str] = []
        self.crashed = False

    def __call__(self, name: str, /) -> None:
        """Pass, or crash."""
        if self.crashed:
            raise SimulatedCrash(name)
        if self._name not in {"", name}:
            return
        self.seen += 1
        self.names.append(name)
        if self.seen == self._count:
            self.crashed = True
            raise SimulatedCrash(name)


class KillAt:
    """A fail point that ends the process by SIGKILL at the n-th pass.

    Args:
        count: Which pass, counted from 1.
        name: Count only passes of this name; empty counts all.
    """

    def __init__(self, count: int, name: str = "") -> None:
        """Start counting."""
        self._count = count
        self._name = name
        self._seen = 0

    def __call__(self, name: str, /) -> None:
        """Pass, or end the process."""
        if self._name in {"", name}:
            self._seen += 1
            if self._seen == self._count:
                os.kill(os.getpid(), signal.SIGKILL)


def parse_failpoint(value: str) -> FailPoint:
    """Give the fail point that the text of ``PDELTA_FAILPOINT`` asks for.

    Args:
        value: ``name:count``, ``:count`` for any name, or empty for none.

    Raises:
        UsageError: It is none of these.
    """
    if not value:
        return never
    name, _, count = value.rpartition(":")
    if not count.isascii() or not count.isdigit() or int(count) < 1:
        raise UsageError(f"a fail point is NAME:COUNT, not {value!r}")
    return KillAt(int(count), name)
