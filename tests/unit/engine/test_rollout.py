"""Roll-outs: waves, failure policies, gates, and what is left after a crash at any moment."""

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pdelta.engine.executor import Pending, execute
from pdelta.engine.journal import Journal
from pdelta.engine.planner import plan_of
from pdelta.engine.preflight import preflight
from pdelta.engine.recovery import recover
from pdelta.engine.report import RunReport
from pdelta.engine.rollout import Conduct
from pdelta.errors import CancelledError, PdeltaError, UsageError
from pdelta.formats.plan import decode_plan, encode_plan, freeze
from pdelta.model.course import Gate, OnFailure
from pdelta.model.event import Event  # noqa: TC001 - of a class's own attribute
from pdelta.model.operation import Standing
from pdelta.model.plan import Plan, Rollout, Step, Wave
from pdelta.model.run import Direction, RunPhase, fold
from pdelta.model.target import Target
from pdelta.testing.clock import FakeClock
from pdelta.testing.failpoints import CrashAt, SimulatedCrash
from pdelta.testing.fleet import OneByOne
from pdelta.testing.keyvalue import INTENT, KIND, KeyValue, MemoryDevice, State, encode_state, readable

OLD: State = {b"v": b"1"}
NEW: State = {b"v": b"2", b"w": b"x"}


class Fleet:
    """Some tenants, and a plan in waves for those that lack something."""

    def __init__(self, count: int, *, trouble: Callable[[str, Direction], None] | None = None) -> None:
        self.devices = {f"t{number}": MemoryDevice() for number in range(1, count + 1)}
        for device in self.devices.values():
            device.put(b"v", b"1")
        self.operation = OneByOne(KeyValue(self.devices), trouble or (lambda _address, _direction: None))
        self.operations = {KIND: self.operation}
        self.slept: list[float] = []
        self.asked: list[tuple[str, list[str]]] = []
        self.heard: list[Event] = []
        self.answers: dict[str, str] = {}
        self.conduct = Conduct(self.slept.append, self._ask, self.heard.append)

    def plan(
        self,
        waves: Sequence[Wave],
        *,
        on_failure: OnFailure = OnFailure.STOP,
        max_failures: int = 0,
    ) -> Plan:
        wishes = [(Target(KIND, name), encode_state(NEW)) for name in self.devices]
        deltas = self.operation.calculate_all(wishes)
        calculated = [(target, delta) for (target, _), delta in zip(wishes, deltas, strict=True)]
        return plan_of(
            calculated,  # type: ignore[arg-type]
            on_failure=on_failure,
            wave_up=lambda steps: (steps, Rollout(tuple(waves), max_failures)),
        )

    def run(self, plan: Plan, journal: Journal, run: str = "run:1") -> RunReport:
        return execute(plan, self.operations, journal, run=run, conduct=self.conduct)

    def at(self, name: str) -> State:
        return readable(self.devices[name].load())

    @property
    def changed(self) -> list[str]:
        return [name for name in self.devices if self.at(name) == NEW]

    def _ask(self, gate: Gate, steps: Sequence[Step]) -> str:
        self.asked.append((gate.text, [step.target.address for step in steps]))
        return self.answers.get(gate.text, "")


def failing(*names: str, direction: Direction = Direction.EXECUTE) -> Callable[[str, Direction], None]:
    def trouble(address: str, way: Direction) -> None:
        if address in names and way is direction:
            raise PdeltaError(f"{address} does not want to")

    return trouble


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal.sqlite", clock=FakeClock(), durable=False)


def test_rollout_when_all_goes_well_then_waves_in_order_with_soak_and_gates_between(journal: Journal) -> None:
    fleet = Fleet(4)
    gate = Gate("command", "healthy?")
    made = fleet.plan([Wave("canary", 1, 2.5, (gate,)), Wave("rest", 3, 9.0, (gate,))])
    report = fleet.run(made, journal)
    assert report.phase is RunPhase.DONE
    assert report.exit_status == 0
    assert fleet.changed == ["t1", "t2", "t3", "t4"]
    assert fleet.slept == [2.5]
    assert fleet.asked == [("healthy?", ["t1"])]
    assert [event.done for event in fleet.heard if event.phase == "apply"] == [1, 2, 3, 4]
    assert journal.open_runs() == []


def test_rollout_when_canary_fails_then_nothing_else_is_begun(journal: Journal) -> None:
    fleet = Fleet(4, trouble=failing("t1"))
    report = fleet.run(fleet.plan([Wave("canary", 1), Wave("rest", 3)]), journal)
    assert (report.phase, report.exit_status, fleet.changed) == (RunPhase.STOPPED, 8, [])
    assert report.reason == "t1 does not want to"
    assert [step.step.target.address for step in report.failures] == ["t1"]
    assert [step.touched for step in report.steps] == [True, False, False, False]
    assert journal.open_runs() == []


def test_rollout_when_one_of_a_wave_fails_then_what_was_not_begun_stays(journal: Journal) -> None:
    fleet = Fleet(4, trouble=failing("t2"))
    report = fleet.run(fleet.plan([Wave("all", 4)]), journal)
    assert (report.exit_status, fleet.changed) == (8, ["t1"])
    again = fleet.plan([Wave("all", 3)])
    fleet.operation._trouble = lambda _address, _direction: None
    assert [step.target.address for step in again.steps] == ["t2", "t3", "t4"]
    assert fleet.run(again, journal, "run:2").phase is RunPhase.DONE
    assert fleet.changed == ["t1", "t2", "t3", "t4"]


def test_rollout_when_failures_stay_within_the_budget_then_it_goes_on_and_says_so(journal: Journal) -> None:
    fleet = Fleet(4, trouble=failing("t2", "t4"))
    report = fleet.run(fleet.plan([Wave("a", 2), Wave("b", 2)], max_failures=2), journal)
    assert (report.phase, report.exit_status, fleet.changed) == (RunPhase.STOPPED, 8, ["t1", "t3"])
    assert report.reason == ""
    assert len(report.failures) == 2


def test_rollout_when_it_is_to_reverse_then_everything_of_this_run_comes_back(journal: Journal) -> None:
    fleet = Fleet(5, trouble=failing("t4"))
    made = fleet.plan([Wave("a", 2), Wave("b", 3)], on_failure=OnFailure.REVERSE)
    report = fleet.run(made, journal)
    assert (report.phase, report.exit_status, fleet.changed) == (RunPhase.REVERSED, 5, [])
    assert [fleet.at(name) for name in fleet.devices] == [OLD] * 5
    assert [step.step.target.address for step in report.failures] == ["t4"]


def test_rollout_when_a_target_does_not_come_back_then_the_others_do_and_it_is_named(journal: Journal) -> None:
    def trouble(address: str, way: Direction) -> None:
        if (address, way) in {("t3", Direction.EXECUTE), ("t1", Direction.REVERSE)}:
            raise PdeltaError(f"{address} does not want to {way}")

    fleet = Fleet(3, trouble=trouble)
    report = fleet.run(fleet.plan([Wave("all", 3)], on_failure=OnFailure.REVERSE), journal)
    assert (report.phase, report.exit_status, fleet.changed) == (RunPhase.STOPPED, 8, ["t1"])
    assert {step.step.target.address for step in report.failures} == {"t1", "t3"}
    assert journal.open_runs() == []


def test_rollout_when_it_is_to_continue_then_only_the_failing_ones_are_left_out(journal: Journal) -> None:
    fleet = Fleet(4, trouble=failing("t1", "t3"))
    report = fleet.run(fleet.plan([Wave("canary", 1), Wave("rest", 3)], on_failure=OnFailure.CONTINUE), journal)
    assert (report.exit_status, fleet.changed) == (8, ["t2", "t4"])


@pytest.mark.parametrize(
    ("policy", "status", "changed"),
    [(OnFailure.STOP, 8, ["t1"]), (OnFailure.REVERSE, 5, []), (OnFailure.CONTINUE, 8, ["t1"])],
)
def test_rollout_when_a_gate_does_not_hold_then_no_next_wave(
    journal: Journal, policy: OnFailure, status: int, changed: list[str]
) -> None:
    fleet = Fleet(3)
    fleet.answers["healthy?"] = "12 errors a second"
    gate = Gate("command", "healthy?")
    made = fleet.plan([Wave("canary", 1, gates=(gate,)), Wave("rest", 2)], on_failure=policy)
    report = fleet.run(made, journal)
    assert (report.exit_status, fleet.changed) == (status, changed)
    assert "12 errors a second" in report.reason


def test_rollout_when_a_target_is_foreign_then_an_operator_is_needed_and_the_run_ends(journal: Journal) -> None:
    fleet = Fleet(3)
    made = fleet.plan([Wave("all", 3)], max_failures=1)
    fleet.devices["t2"].put(b"v", b"somebody else's")
    report = fleet.run(made, journal)
    assert (report.exit_status, fleet.changed) == (6, ["t1", "t3"])
    assert [step.step.target.address for step in report.foreign] == ["t2"]
    assert journal.open_runs() == []


def test_rollout_when_a_target_stops_half_way_then_it_is_taken_back(journal: Journal) -> None:
    fleet = Fleet(2)
    made = fleet.plan([Wave("all", 2)])
    whole = fleet.operation._operation.execute

    def half(delta: object, target: Target, notes: object) -> object:
        if target.address == "t1":
            notes.record(encode_state(OLD))  # type: ignore[attr-defined]
            fleet.devices["t1"].put(INTENT, delta.before + delta.after)  # type: ignore[attr-defined]
            fleet.devices["t1"].put(b"v", b"2")
            raise PdeltaError("half of it")
        return whole(delta, target, notes)  # type: ignore[arg-type]

    fleet.operation._operation.execute = half  # type: ignore[method-assign,assignment]
    report = fleet.run(made, journal)
    assert (report.exit_status, fleet.at("t1")) == (8, OLD)
    assert report.failures[0].standing is Standing.BEFORE
    assert report.reason == str(report.failures[0].error) == "half of it; what was done there was taken back"
    assert journal.open_runs() == []


def test_rollout_when_stopped_on_request_then_open_and_settled_by_the_next_command(journal: Journal) -> None:
    def trouble(address: str, _way: Direction) -> None:
        if address == "t2":
            raise CancelledError("enough")

    fleet = Fleet(3, trouble=trouble)
    made = fleet.plan([Wave("all", 3)])
    with pytest.raises(CancelledError):
        fleet.run(made, journal)
    assert journal.open_runs() == ["run:1"]
    journal._claims.release("run:1")
    report = recover("run:1", fleet.operations, journal, pending=Pending.SKIP, conduct=fleet.conduct)
    assert (report.phase, fleet.changed) == (RunPhase.STOPPED, ["t1"])
    assert journal.open_runs() == []


def test_rollout_when_kinds_are_mixed_then_refused() -> None:
    fleet = Fleet(2)
    made = fleet.plan([Wave("all", 2)])
    mixed = freeze(
        (made.steps[0], Step("2", Target("tree", "x"), made.steps[1].delta)), OnFailure.STOP, (), made.rollout
    )
    with pytest.raises(UsageError, match="can't be rolled out together"):
        preflight(mixed, {KIND: fleet.operation, "tree": fleet.operation})


def test_plan_when_waves_do_not_hold_the_steps_then_refused() -> None:
    fleet = Fleet(3)
    with pytest.raises(ValueError, match="do not hold the 3 steps"):
        fleet.plan([Wave("all", 2)])


def test_plan_when_deltas_are_equal_then_stored_once() -> None:
    fleet = Fleet(200)
    made = fleet.plan([Wave("all", 200)])
    one = fleet.plan([Wave("all", 200)])
    data = encode_plan(made)
    assert len(data) < 200 * 60
    read = decode_plan(data)
    assert read == made == one
    assert len({id(step.delta) for step in read.steps}) == 1


waves = st.lists(st.integers(1, 3), min_size=1, max_size=3)


@settings(deadline=None, max_examples=60)
@given(
    sizes=waves,
    crashes=st.lists(st.integers(1, 30), max_size=3),
    power_lost=st.booleans(),
    policy=st.sampled_from(OnFailure),
    bad=st.sets(st.integers(1, 9), max_size=2),
    pending=st.sampled_from(Pending),
)
# Killed behind a step and before its record: what the next process finds done is still this run's to take back.
@example(sizes=[1, 1], crashes=[9], power_lost=False, policy=OnFailure.REVERSE, bad={2}, pending=Pending.EXECUTE)
def test_rollout_when_killed_any_number_of_times_then_each_target_old_or_new_and_the_run_ends(
    sizes: list[int], crashes: list[int], power_lost: bool, policy: OnFailure, bad: set[int], pending: Pending
) -> None:
    fleet = Fleet(sum(sizes), trouble=failing(*(f"t{number}" for number in bad)))
    made = fleet.plan([Wave(str(number), size) for number, size in enumerate(sizes)], on_failure=policy)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.sqlite"
        for count in [*crashes, 0]:
            failpoint = CrashAt(count)
            for device in fleet.devices.values():
                device.failpoint = failpoint
            try:
                with Journal(path, clock=FakeClock(), durable=False, failpoint=failpoint) as journal:
                    if list(journal.runs()):
                        recover("run:1", fleet.operations, journal, pending=pending, conduct=fleet.conduct)
                    else:
                        fleet.run(made, journal)
            except SimulatedCrash:
                for device in fleet.devices.values():
                    device.crash(power_lost=power_lost)
        with Journal(path, clock=FakeClock(), durable=False) as journal:
            assert journal.open_runs() == []
            assert all(fleet.at(name) in (OLD, NEW) for name in fleet.devices)
            (run,) = journal.runs()
            if run.phase is RunPhase.DONE:
                assert fleet.changed == list(fleet.devices)
            if run.phase is RunPhase.REVERSED:
                assert fleet.changed == []
            plan, _, kept = journal.read("run:1")
            for length in range(len(kept) + 1):
                fold([step.id for step in plan.steps], kept[:length])
