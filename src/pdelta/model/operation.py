"""The one protocol: five verbs, and nothing else is known to the engine."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

import msgspec

from pdelta.model.delta import Delta
from pdelta.model.finding import Finding
from pdelta.model.target import Target


class Standing(StrEnum):
    """Where a target is relative to a delta."""

    BEFORE = "before"
    AFTER = "after"
    BETWEEN = "between"
    FOREIGN = "foreign"


class Outcome(msgspec.Struct, frozen=True):
    """What executing or reversing did, for people and for JSON; opaque to the engine."""

    facts: dict[str, object] = {}


class Notes(Protocol):
    """What an operation must keep to be reversed; opaque to the engine.

    ``record`` returns only once the note is durable.
    """

    def record(self, note: bytes) -> None:
        """Keep a note durably before acting."""
        ...

    def read(self) -> Sequence[bytes]:
        """Give every note of this step, oldest first."""
        ...


class Operation(Protocol):
    """What every kind of delta implements.

    ``execute`` and ``reverse`` are idempotent and resume from ``BETWEEN``;
    ``verify``, ``calculate`` and ``preflight`` never write to what a reader of the target can see;
    a ``FOREIGN`` target is never touched.
    """

    kind: str

    def calculate(self, target: Target, desired: bytes) -> Delta:
        """Say what takes the target to the desired state; an empty delta means already there.

        Args:
            target: Where.
            desired: The desired state in the kind's own encoding.
        """
        ...

    def preflight(self, delta: Delta, target: Target) -> Sequence[Finding]:
        """Report all problems at once; change nothing."""
        ...

    def execute(self, delta: Delta, target: Target, notes: Notes) -> Outcome:
        """Bring the target to ``AFTER``, from ``BEFORE`` or ``BETWEEN``."""
        ...

    def reverse(self, delta: Delta, target: Target, notes: Notes) -> Outcome:
        """Bring the target to ``BEFORE``, from ``AFTER`` or ``BETWEEN``."""
        ...

    def verify(self, delta: Delta, target: Target) -> Standing:
        """Say where the target stands; never writes."""
        ...
