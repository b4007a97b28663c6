"""The suite itself: a kind that breaks one promise fails it."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import pytest

from pdelta.errors import PdeltaError
from pdelta.model.delta import Delta
from pdelta.model.failpoint import FailPoint
from pdelta.model.operation import Notes, Operation, Outcome, Standing
from pdelta.model.target import Target
from pdelta.testing.contract import OperationContract, Subject
from pdelta.testing.keyvalue import KeyValue, MemoryDevice
from tests.contracts.test_keyvalue import MemorySubject


class _NotesNothing:
    """Notes that are gone at once."""

    def record(self, note: bytes) -> None:  # noqa: ARG002 - the protocol
        return

    def read(self) -> list[bytes]:
        return []


class ForgetsNotes(KeyValue):
    def execute(self, delta: Delta, target: Target, notes: Notes) -> Outcome:  # noqa: ARG002 - that is the fault
        return super().execute(delta, target, _NotesNothing())


class SeesNothingForeign(KeyValue):
    def verify(self, delta: Delta, target: Target) -> Standing:
        standing = super().verify(delta, target)
        return Standing.BETWEEN if standing is Standing.FOREIGN else standing


class TakesHalfForWhole(KeyValue):
    def verify(self, delta: Delta, target: Target) -> Standing:
        standing = super().verify(delta, target)
        return Standing.AFTER if standing is Standing.BETWEEN else standing


class WritesWhenAsked(KeyValue):
    def __init__(self, devices: Mapping[str, MemoryDevice]) -> None:
        super().__init__(devices)
        self._own = devices

    def verify(self, delta: Delta, target: Target) -> Standing:
        self._own[target.address].put(b"looked", str(self._own[target.address].writes).encode())
        return super().verify(delta, target)


class BrokenSubject(MemorySubject):
    def __init__(self, make: Callable[[dict[str, MemoryDevice]], Operation]) -> None:
        super().__init__(power_lost=True)
        self._make = make

    def operation(self, failpoint: FailPoint) -> Operation:
        self._device.failpoint = failpoint
        return self._make({self.target.address: self._device})


class _Contract(OperationContract):
    def __init__(self, make: Callable[[dict[str, MemoryDevice]], Operation]) -> None:
        self._make = make

    def subject(self, folder: Path) -> Subject:  # noqa: ARG002 - it lives in memory
        return BrokenSubject(self._make)


CASES: Final[list[tuple[type[KeyValue], str]]] = [
    (ForgetsNotes, "test_reverse_when_executed_then_identity_and_again_harmless"),
    (ForgetsNotes, "test_execute_when_killed_twice_and_turned_then_entirely_before"),
    (SeesNothingForeign, "test_execute_when_foreign_then_untouched_and_named"),
    (SeesNothingForeign, "test_reverse_when_foreign_then_untouched_and_named"),
    (SeesNothingForeign, "test_recover_when_foreign_after_crash_then_untouched_and_open"),
    (TakesHalfForWhole, "test_execute_when_killed_twice_at_each_durable_write_then_entirely_after"),
    (WritesWhenAsked, "test_reading_verbs_when_called_then_nothing_visible_changes"),
]


@pytest.mark.parametrize(("kind", "test"), CASES)
def test_contract_when_a_promise_is_broken_then_it_fails(kind: type[KeyValue], test: str) -> None:
    with pytest.raises((AssertionError, PdeltaError)):
        getattr(_Contract(kind), test)()
