"""One run's records as the engine writes them: checked, buffered, then durable together."""

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

import msgspec

from pdelta.errors import PdeltaError
from pdelta.formats.journal import encode_record, link
from pdelta.model.operation import Standing
from pdelta.model.plan import Plan
from pdelta.model.run import (
    AnyRecord,
    Closed,
    Direction,
    Failed,
    Finished,
    Noted,
    RunPhase,
    RunState,
    Started,
    Turned,
)

Write = Callable[["RunLog", Sequence[tuple[int, bytes, bytes]]], None]
"""Makes rows of (position, record, link) durable together."""


class RunLog:
    """The tail of one run's records; only the process that claimed the run has one.

    Args:
        plan: What the run carries out.
        state: What its records so far say.
        write: Makes rows durable.
        release: Gives the claim up.
        clock: Nanoseconds since the epoch.
        run: The run's id.
        position: How many records there are.
        previous: Link of the last one.
        earlier_notes: What the steps of the run that this one takes back kept.
    """

    def __init__(  # noqa: PLR0913 - built by the journal alone, by keyword
        self,
        *,
        run: str,
        plan: Plan,
        state: RunState,
        position: int,
        previous: bytes,
        write: Write,
        release: Callable[[], None],
        clock: Callable[[], int],
        earlier_notes: Mapping[str, Sequence[bytes]],
    ) -> None:
        """Stand at the end of what is durable."""
        self.run = run
        self.plan = plan
        self.state = state
        self._position = position
        self._previous = previous
        self._write = write
        self._release = release
        self._clock = clock
        self._earlier_notes = earlier_notes
        self._buffer: list[tuple[int, bytes, bytes]] = []
        self._alike: list[Finished] = []

    def __enter__(self) -> Self:
        """Hold the claim."""
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Give the claim up; what was not flushed is dropped, as if the process had ended."""
        self._release()

    @property
    def touched(self) -> bool:
        """Whether this run ever started a step."""
        return any(step.touched for step in self.state.steps.values())

    def append(self, record: AnyRecord) -> None:
        """Add a record; it is durable after the next flush.

        Raises:
            ValueError: It may not follow what is there.
        """
        self._join()
        body = encode_record(record)
        self.state.advance(record)
        self._add(body)

    def _join(self) -> None:
        """Add what finished alike as one record, of the time at which all of it had."""
        if self._alike:
            steps = tuple(step for record in self._alike for step in record.steps)
            self._add(encode_record(msgspec.structs.replace(self._alike[-1], steps=steps)))
            self._alike = []

    def _add(self, body: bytes) -> None:
        self._previous = link(self._previous, body)
        self._buffer.append((self._position, body, self._previous))
        self._position += 1

    def flush(self) -> None:
        """Return once everything appended is durable.

        Raises:
            LockedError: Another process has written to this run.
            FilesystemError: The journal could not be written.
        """
        self._join()
        if self._buffer:
            self._write(self, self._buffer)
            self._buffer = []

    def now(self) -> int:
        """Give the time in nanoseconds since the epoch."""
        return self._clock()

    def started(self, step: str, direction: Direction) -> None:
        """Record that a step is about to touch its target, durably."""
        self.started_all((step,), direction)

    def started_all(self, steps: Sequence[str], direction: Direction) -> None:
        """Record that these steps are about to touch their targets, durably and together."""
        self.append(Started(at_ns=self._clock(), steps=tuple(steps), direction=direction))
        self.flush()

    def finished(
        self, step: str, standing: Standing, facts: dict[str, Any] | None = None, *, touched: bool = True
    ) -> None:
        """Record where a step's target was seen, as it should be, and whether this run had a part in it."""
        record = Finished(at_ns=self._clock(), steps=(step,), standing=standing, facts=facts or {}, touched=touched)
        self.state.advance(record)
        if self._alike and _said(self._alike[0]) != _said(record):
            self._join()
        self._alike.append(record)

    def failed(self, step: str, standing: Standing | None, error: PdeltaError) -> None:
        """Record that a step ended elsewhere."""
        self.append(Failed(at_ns=self._clock(), step=step, standing=standing, code=error.code, message=error.message))

    def turned(self, reason: str) -> None:
        """Record that the run takes itself back from here on."""
        self.append(Turned(at_ns=self._clock(), reason=reason))

    def closed(self, phase: RunPhase) -> None:
        """Record the end, durably."""
        self.append(Closed(at_ns=self._clock(), phase=phase))
        self.flush()

    def notes(self, step: str) -> "StepNotes":
        """Give a step's notes."""
        return StepNotes(self, step)

    def earlier_notes(self, step: str) -> Sequence[bytes]:
        """Give what the step kept in the run that this one takes back."""
        return self._earlier_notes.get(step, ())


def _said(record: Finished) -> tuple[object, ...]:
    return record.standing, record.facts, record.touched


class StepNotes:
    """What one step keeps; the ``Notes`` of the protocol.

    Args:
        log: The run.
        step: Which of its steps.
    """

    def __init__(self, log: RunLog, step: str) -> None:
        """Speak for one step."""
        self._log = log
        self._step = step

    def record(self, note: bytes) -> None:
        """Keep a note; it is durable on return."""
        self._log.append(Noted(at_ns=self._log.now(), step=self._step, note=note))
        self._log.flush()

    def read(self) -> Sequence[bytes]:
        """Give every note, those of the run that is taken back first."""
        return (*self._log.earlier_notes(self._step), *self._log.state.steps[self._step].notes)
