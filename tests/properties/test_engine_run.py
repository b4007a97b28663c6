"""Any prefix of a journal is a legal run state, and what the tables forbid is refused."""

import tempfile
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdelta.engine.executor import Pending, execute
from pdelta.engine.journal import Journal
from pdelta.engine.planner import plan
from pdelta.engine.recovery import recover
from pdelta.errors import PdeltaError
from pdelta.formats.journal import decode_record, encode_record
from pdelta.formats.plan import decode_plan, encode_plan, freeze
from pdelta.model.change import Change
from pdelta.model.course import OnFailure
from pdelta.model.delta import Delta
from pdelta.model.operation import Standing
from pdelta.model.plan import Step
from pdelta.model.run import (
    AnyRecord,
    Closed,
    Direction,
    Failed,
    Finished,
    Noted,
    Opened,
    RunPhase,
    RunState,
    Started,
    StepPhase,
    Turned,
    fold,
    new_run_id,
)
from pdelta.model.target import Target
from pdelta.testing.clock import FakeClock
from pdelta.testing.failpoints import CrashAt, SimulatedCrash
from pdelta.testing.keyvalue import KIND, KeyValue, MemoryDevice, State, encode_state, readable

STEPS = ("1", "2")

states = st.dictionaries(st.sampled_from([b"a", b"b", b"c", b"d"]), st.binary(max_size=3), max_size=4)
steps = st.sampled_from(STEPS)
many = st.lists(steps, min_size=1, max_size=2).map(tuple)
directions = st.sampled_from(Direction)
records: st.SearchStrategy[AnyRecord] = st.one_of(
    st.builds(Opened, at_ns=st.integers(0, 9), run=st.just("run:1"), plan=st.text(max_size=4), direction=directions),
    st.builds(Started, at_ns=st.just(1), steps=many, direction=directions),
    st.builds(Noted, at_ns=st.just(1), step=steps, note=st.binary(max_size=4)),
    st.builds(
        Finished,
        at_ns=st.just(1),
        steps=many,
        standing=st.sampled_from([Standing.BEFORE, Standing.AFTER]),
        facts=st.dictionaries(st.text(max_size=3), st.integers(0, 9), max_size=2),
    ),
    st.builds(Failed, at_ns=st.just(1), step=steps, standing=st.sampled_from([None, *Standing])),
    st.builds(Turned, at_ns=st.just(1), reason=st.text(max_size=3)),
    st.builds(
        Closed,
        at_ns=st.just(1),
        phase=st.sampled_from([RunPhase.DONE, RunPhase.STOPPED, RunPhase.REVERSED]),
    ),
)


def summary(state: RunState) -> tuple[object, ...]:
    return (state.phase, state.opened, {id: (step.phase, tuple(step.notes)) for id, step in state.steps.items()})


@given(st.lists(records, max_size=40))
def test_fold_when_records_come_at_random_then_only_legal_ones_are_taken(drawn: list[AnyRecord]) -> None:
    state = RunState(STEPS)
    taken: list[AnyRecord] = []
    for record in [Opened(at_ns=0, run="run:1", plan="p"), *drawn]:
        before = summary(state)
        try:
            state.advance(record)
        except ValueError:
            assert summary(state) == before
        else:
            taken.append(record)
            assert summary(fold(STEPS, taken)) == summary(state)
    if state.phase is RunPhase.DONE:
        assert {step.phase for step in state.steps.values()} == {StepPhase.DONE}
    if not state.open:
        assert all(step.phase in {StepPhase.DONE, StepPhase.UNDONE} for step in state.steps.values() if step.touched)
        with pytest.raises(ValueError, match="cannot be"):
            state.advance(Turned(at_ns=0))


@given(records)
def test_record_when_encoded_then_decoded_equal(record: AnyRecord) -> None:
    assert decode_record(encode_record(record)) == record


@settings(deadline=None, max_examples=60)
@given(
    old=states,
    new=states,
    crashes=st.lists(st.integers(1, 14), max_size=4),
    power_lost=st.booleans(),
    turn=st.booleans(),
    pending=st.sampled_from(Pending),
)
def test_run_when_killed_any_number_of_times_then_old_or_new_and_every_prefix_legal(
    old: State, new: State, crashes: list[int], power_lost: bool, turn: bool, pending: Pending
) -> None:
    device = MemoryDevice()
    for key, value in old.items():
        device.put(key, value)
    operations = {KIND: KeyValue({"t": device})}
    made = plan(operations, [(Target(KIND, "t"), encode_state(new))])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.sqlite"
        clock = FakeClock(step_ns=-1)
        for count in [*crashes, 0]:
            failpoint = CrashAt(count)
            device.failpoint = failpoint
            try:
                with Journal(path, clock=clock, durable=False, failpoint=failpoint) as journal:
                    if list(journal.runs()):
                        recover("run:1", operations, journal, turn=turn, pending=pending)
                    else:
                        execute(made, operations, journal, run="run:1")
            except SimulatedCrash:
                device.crash(power_lost=power_lost)
        with Journal(path, clock=clock, durable=False) as journal:
            assert journal.open_runs() == []
            found = list(journal.runs())
            assert readable(device.load()) == (new if not found or found[0].phase is RunPhase.DONE else old)
            for run in found:
                _, _, kept = journal.read(run.id)
                for length in range(len(kept) + 1):
                    fold(["1"], kept[:length])


deltas = st.builds(
    Delta,
    kind=st.text(max_size=4),
    before=st.binary(max_size=4),
    after=st.binary(max_size=4),
    body=st.binary(max_size=8),
    changes=st.lists(st.builds(Change, st.text(max_size=3), st.binary(max_size=3)), max_size=2).map(tuple),
    change_count=st.integers(0, 2**40),
    reversible=st.booleans(),
)
targets = st.builds(Target, st.text(max_size=4), st.text(max_size=4))


@given(st.lists(st.tuples(targets, deltas), max_size=3), st.sampled_from(OnFailure), st.lists(targets, max_size=2))
def test_plan_when_encoded_then_decoded_equal_and_damage_is_seen(
    drawn: list[tuple[Target, Delta]], on_failure: OnFailure, settled: list[Target]
) -> None:
    made = freeze(
        tuple(Step(str(position), *pair) for position, pair in enumerate(drawn, start=1)), on_failure, tuple(settled)
    )
    data = encode_plan(made)
    assert decode_plan(data) == made
    for position in range(0, len(data), 7):
        damaged = bytearray(data)
        damaged[position] ^= 1
        with pytest.raises(PdeltaError):
            decode_plan(bytes(damaged))


@given(st.integers(0, 4_000_000_000), st.integers(0, 4_000_000_000), st.binary(min_size=4, max_size=9))
def test_run_id_when_later_then_sorts_later(first: int, second: int, randomness: bytes) -> None:
    ids = [new_run_id(second_ * 1_000_000_000, randomness) for second_ in (first, second)]
    assert all(id.startswith("run:") for id in ids)
    assert (ids[0] < ids[1]) is (first < second)


@given(st.binary(max_size=3))
def test_run_id_when_too_little_chance_then_refused(randomness: bytes) -> None:
    with pytest.raises(ValueError, match="four random bytes"):
        new_run_id(0, randomness)


@given(st.binary(max_size=40))
def test_decode_when_garbage_then_an_expected_error(data: bytes) -> None:
    for decode in (decode_plan, decode_record):
        with suppress(PdeltaError):
            decode(data)
