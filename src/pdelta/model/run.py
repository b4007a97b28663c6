"""What a journal says of a run: its records, and the table of what may follow what.

The engine appends the records and folds them back into a ``RunState``; nothing
here reads a clock, a file or a target.
"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Final, assert_never

import msgspec

from pdelta.model.operation import Standing

RUN_PREFIX: Final = "run:"


def new_run_id(clock_ns: int, randomness: bytes) -> str:
    """Give a run's id: ``run:``, its second in UTC, and eight hexadecimal digits of chance.

    Ids sort by time.

    Args:
        clock_ns: Nanoseconds since the epoch.
        randomness: At least four random bytes; more are ignored.

    Raises:
        ValueError: There are fewer than four.
    """
    if len(randomness) < 4:
        text = f"a run id takes four random bytes, not {len(randomness)}"
        raise ValueError(text)
    second = datetime.fromtimestamp(clock_ns // 1_000_000_000, tz=UTC)
    return f"{RUN_PREFIX}{second:%Y%m%d-%H%M%S}-{randomness[:4].hex()}"


class Direction(StrEnum):
    """Which way a run, or one of its steps, is going."""

    EXECUTE = "execute"
    REVERSE = "reverse"


class RunPhase(StrEnum):
    """How far a run got; the last three are final."""

    NEW = "new"
    EXECUTING = "executing"
    REVERSING = "reversing"
    DONE = "done"
    STOPPED = "stopped"
    REVERSED = "reversed"


class StepPhase(StrEnum):
    """How far a step got."""

    PENDING = "pending"
    EXECUTING = "executing"
    REVERSING = "reversing"
    FAILED = "failed"
    DONE = "done"
    UNDONE = "undone"


Steps = Annotated[tuple[str, ...], msgspec.Meta(min_length=1)]
"""The ids of one step or more, none of them twice: what happens to a thousand together is said once."""


class Record(msgspec.Struct, frozen=True, tag_field="record", omit_defaults=True):
    """One fact about a run, never changed once written.

    Attributes:
        at_ns: When, in nanoseconds since the epoch.
    """

    at_ns: int


class Opened(Record, frozen=True, tag="opened", kw_only=True):
    """A run begins; always the first record.

    Attributes:
        run: Its id.
        plan: Id of the plan.
        direction: ``reverse`` for a run that takes an earlier one back.
        of: Id of the run that is taken back; its notes are read.
        who: Who asked for it.
        note: What they said about it.
    """

    run: str
    plan: str
    direction: Direction = Direction.EXECUTE
    of: str = ""
    who: str = ""
    note: str = ""


class Started(Record, frozen=True, tag="started", kw_only=True):
    """Steps are about to touch their targets; durable before they do."""

    steps: Steps
    direction: Direction = Direction.EXECUTE


class Noted(Record, frozen=True, tag="noted", kw_only=True):
    """A step keeps what reversing it needs; durable before it acts."""

    step: str
    note: bytes


class Finished(Record, frozen=True, tag="finished", kw_only=True):
    """The targets of steps were seen where they belong.

    Attributes:
        steps: Which.
        standing: ``AFTER``, or ``BEFORE`` when they were taken back.
        facts: What the operation said of its work on each of them.
        touched: Whether this run had a part in it; what stood there before is no more its to take back.
    """

    steps: Steps
    standing: Standing
    facts: dict[str, Any] = {}
    touched: bool = True


class Failed(Record, frozen=True, tag="failed", kw_only=True):
    """A step ended elsewhere.

    Attributes:
        step: Which.
        standing: Where its target was seen; None when it could not be seen.
        code: The error's stable code.
        message: Its text.
    """

    step: str
    standing: Standing | None = None
    code: str = ""
    message: str = ""


class Turned(Record, frozen=True, tag="turned", kw_only=True):
    """The run takes itself back from here on; it never turns again."""

    reason: str = ""


class Closed(Record, frozen=True, tag="closed", kw_only=True):
    """The run ends; always the last record.

    Attributes:
        phase: ``DONE``, ``STOPPED`` or ``REVERSED``.
    """

    phase: RunPhase


AnyRecord = Opened | Started | Noted | Finished | Failed | Turned | Closed

RUN_TRANSITIONS: Final[dict[tuple[RunPhase, str], RunPhase]] = {
    (RunPhase.NEW, "opened execute"): RunPhase.EXECUTING,
    (RunPhase.NEW, "opened reverse"): RunPhase.REVERSING,
    (RunPhase.EXECUTING, "step"): RunPhase.EXECUTING,
    (RunPhase.EXECUTING, "turned"): RunPhase.REVERSING,
    (RunPhase.EXECUTING, "closed done"): RunPhase.DONE,
    (RunPhase.EXECUTING, "closed stopped"): RunPhase.STOPPED,
    (RunPhase.REVERSING, "step"): RunPhase.REVERSING,
    (RunPhase.REVERSING, "closed reversed"): RunPhase.REVERSED,
    (RunPhase.REVERSING, "closed stopped"): RunPhase.STOPPED,
}
"""What may happen to a run; anything else is illegal."""

STEP_TRANSITIONS: Final[dict[tuple[StepPhase, str], StepPhase]] = {
    (StepPhase.PENDING, "started execute"): StepPhase.EXECUTING,
    (StepPhase.PENDING, "started reverse"): StepPhase.REVERSING,
    (StepPhase.PENDING, "finished after"): StepPhase.DONE,
    (StepPhase.PENDING, "finished before"): StepPhase.UNDONE,
    (StepPhase.PENDING, "failed"): StepPhase.FAILED,
    (StepPhase.EXECUTING, "started execute"): StepPhase.EXECUTING,
    (StepPhase.EXECUTING, "started reverse"): StepPhase.REVERSING,
    (StepPhase.EXECUTING, "noted"): StepPhase.EXECUTING,
    (StepPhase.EXECUTING, "finished after"): StepPhase.DONE,
    (StepPhase.EXECUTING, "finished before"): StepPhase.UNDONE,
    (StepPhase.EXECUTING, "failed"): StepPhase.FAILED,
    (StepPhase.REVERSING, "started reverse"): StepPhase.REVERSING,
    (StepPhase.REVERSING, "noted"): StepPhase.REVERSING,
    (StepPhase.REVERSING, "finished after"): StepPhase.DONE,
    (StepPhase.REVERSING, "finished before"): StepPhase.UNDONE,
    (StepPhase.REVERSING, "failed"): StepPhase.FAILED,
    (StepPhase.FAILED, "started execute"): StepPhase.EXECUTING,
    (StepPhase.FAILED, "started reverse"): StepPhase.REVERSING,
    (StepPhase.FAILED, "finished after"): StepPhase.DONE,
    (StepPhase.FAILED, "finished before"): StepPhase.UNDONE,
    (StepPhase.FAILED, "failed"): StepPhase.FAILED,
    (StepPhase.DONE, "started reverse"): StepPhase.REVERSING,
    (StepPhase.DONE, "finished before"): StepPhase.UNDONE,
    (StepPhase.DONE, "failed"): StepPhase.FAILED,
}
"""What may happen to a step; anything else is illegal, and nothing follows UNDONE."""


class StepState(msgspec.Struct):
    """What the records so far say of one step.

    Attributes:
        phase: How far it got.
        direction: Which way it was last started.
        touched: Whether it was ever started by this run, and not found done by others.
        failed: Whether it ever failed on the way forward.
        standing: Where its target was last seen.
        facts: What the operation said when it finished.
        notes: What it keeps, oldest first.
    """

    phase: StepPhase = StepPhase.PENDING
    direction: Direction = Direction.EXECUTE
    touched: bool = False
    failed: bool = False
    standing: Standing | None = None
    facts: dict[str, Any] = {}
    notes: list[bytes] = []


class RunState:
    """What the records so far say of a run; every prefix of its records has one.

    Args:
        steps: Ids of the plan's steps.
    """

    def __init__(self, steps: Iterable[str]) -> None:
        """Begin before the first record."""
        self.phase = RunPhase.NEW
        self.opened: Opened | None = None
        self.steps = {step: StepState() for step in steps}

    @property
    def open(self) -> bool:
        """Whether something is left to do."""
        return self.phase in {RunPhase.EXECUTING, RunPhase.REVERSING}

    def advance(self, record: AnyRecord) -> None:
        """Take one record.

        Raises:
            ValueError: The tables do not allow it now; the state is as it was.
        """
        match record:
            case Opened():
                self.phase = self._next_phase(f"opened {record.direction}")
                self.opened = record
            case Started() | Finished():
                self._next_phase("step")
                self._advance_steps(record.steps, record)
            case Noted() | Failed():
                self._next_phase("step")
                self._advance_steps((record.step,), record)
            case Turned():
                self.phase = self._next_phase("turned")
            case Closed():
                phase = self._next_phase(f"closed {record.phase}")
                self._check_end(phase)
                self.phase = phase
            case _:
                assert_never(record)

    def _next_phase(self, event: str) -> RunPhase:
        phase = RUN_TRANSITIONS.get((self.phase, event))
        if phase is None:
            text = f"a run that is {self.phase} cannot be {event}"
            raise ValueError(text)
        return phase

    def _advance_steps(self, steps: Sequence[str], record: Started | Noted | Finished | Failed) -> None:
        event = _step_event(record)
        if len(set(steps)) < len(steps):
            text = f"a step cannot be {event} twice at once"
            raise ValueError(text)
        advances = [(self._next_step_phase(step, event), self.steps[step]) for step in steps]
        for phase, state in advances:
            state.phase = phase
            match record:
                case Started():
                    state.direction = record.direction
                    state.touched = True
                case Noted():
                    state.notes.append(record.note)
                case Finished():
                    state.standing = record.standing
                    state.facts = record.facts
                    state.touched = state.touched and record.touched
                case Failed():
                    state.standing = record.standing
                    state.failed = state.failed or state.direction is Direction.EXECUTE

    def _next_step_phase(self, step: str, event: str) -> StepPhase:
        state = self.steps.get(step)
        if state is None:
            text = f"the plan has no step {step!r}"
            raise ValueError(text)
        phase = STEP_TRANSITIONS.get((state.phase, event))
        if phase is None or (self.phase is RunPhase.REVERSING and event == "started execute"):
            text = f"step {step!r}, {state.phase} in a run that is {self.phase}, cannot be {event}"
            raise ValueError(text)
        return phase

    def _check_end(self, phase: RunPhase) -> None:
        match phase:
            case RunPhase.DONE:
                wrong = [id for id, step in self.steps.items() if step.phase is not StepPhase.DONE]
            case RunPhase.REVERSED:
                wrong = [id for id, step in self.steps.items() if not self._reversed(step)]
            case _:
                wrong = [id for id, step in self.steps.items() if step.touched and not _may_rest(step)]
        if wrong:
            text = f"a run cannot be {phase} while step {wrong[0]!r} is {self.steps[wrong[0]].phase}"
            raise ValueError(text)

    def _reversed(self, step: StepState) -> bool:
        turned = self.opened is not None and self.opened.direction is Direction.EXECUTE
        return step.phase is StepPhase.UNDONE or (turned and not step.touched)


_SETTLED = frozenset({StepPhase.DONE, StepPhase.UNDONE})


def _may_rest(step: StepState) -> bool:
    """Say whether a run may end with this step: it is settled, or somebody else's target was left alone."""
    return step.phase in _SETTLED or (step.phase is StepPhase.FAILED and step.standing is Standing.FOREIGN)


def _step_event(record: Started | Noted | Finished | Failed) -> str:
    match record:
        case Started():
            return f"started {record.direction}"
        case Noted():
            return "noted"
        case Finished():
            return f"finished {record.standing}"
        case Failed():
            return "failed"
        case _:
            assert_never(record)


def fold(steps: Iterable[str], records: Iterable[AnyRecord]) -> RunState:
    """Give the state that a run's records lead to.

    Args:
        steps: Ids of the plan's steps.
        records: From the first on; any prefix is legal.

    Raises:
        ValueError: A record is not allowed where it stands.
    """
    state = RunState(steps)
    for record in records:
        state.advance(record)
    return state
