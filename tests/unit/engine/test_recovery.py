from contextlib import suppress
from pathlib import Path

import pytest

from pdelta.engine.executor import Pending, execute
from pdelta.engine.journal import Journal
from pdelta.engine.recovery import recover
from pdelta.engine.rollback import rollback
from pdelta.errors import ExecutionError, LockedError, NeedsOperatorError, TransportError, UsageError
from pdelta.model.delta import Delta
from pdelta.model.operation import Standing
from pdelta.model.run import Direction, RunPhase
from pdelta.model.target import Target
from pdelta.testing.clock import FakeClock
from pdelta.testing.failpoints import CrashAt, SimulatedCrash
from tests.unit.engine.scripted import Scripted, operations, plan_of

RUN = "run:1"
BACK = "run:2"


def begin(kind: Scripted, journal: Journal, *addresses: str, on_failure: str = "stop") -> None:
    """Leave a run whose first step was started, as a killed process does."""
    log = journal.open_run(RUN, plan_of(kind, *addresses, on_failure=on_failure))
    with log:
        log.started("1", Direction.EXECUTE)


@pytest.mark.parametrize(
    ("standing", "calls"),
    [(Standing.AFTER, []), (Standing.BEFORE, [("execute", "a")]), (Standing.BETWEEN, [("execute", "a")])],
)
def test_recover_when_executing_then_after(
    kind: Scripted, journal: Journal, standing: Standing, calls: list[tuple[str, str]]
) -> None:
    begin(kind, journal, "a")
    kind.standing["a"] = standing
    report = recover(RUN, operations(kind), journal)
    assert report.phase is RunPhase.DONE
    assert kind.calls == calls
    assert journal.open_runs() == []


@pytest.mark.parametrize(
    ("standing", "calls"),
    [(Standing.AFTER, [("reverse", "a")]), (Standing.BEFORE, []), (Standing.BETWEEN, [("reverse", "a")])],
)
def test_recover_when_turned_then_before(
    kind: Scripted, journal: Journal, standing: Standing, calls: list[tuple[str, str]]
) -> None:
    begin(kind, journal, "a")
    kind.standing["a"] = standing
    report = recover(RUN, operations(kind), journal, turn=True)
    assert report.phase is RunPhase.REVERSED
    assert kind.calls == calls


@pytest.mark.parametrize(
    ("standing", "phase", "calls"),
    [
        (Standing.AFTER, RunPhase.STOPPED, []),
        (Standing.BEFORE, RunPhase.STOPPED, []),
        (Standing.BETWEEN, RunPhase.STOPPED, [("execute", "a")]),
    ],
)
def test_recover_when_the_rest_is_skipped_then_only_the_half_done_is_finished(
    kind: Scripted, journal: Journal, standing: Standing, phase: RunPhase, calls: list[tuple[str, str]]
) -> None:
    begin(kind, journal, "a", "b")
    kind.standing["a"] = standing
    assert recover(RUN, operations(kind), journal, pending=Pending.SKIP).phase is phase
    assert kind.calls == calls


@pytest.mark.parametrize("turn", [False, True])
def test_recover_when_foreign_then_untouched_named_and_open(kind: Scripted, journal: Journal, turn: bool) -> None:
    begin(kind, journal, "a")
    kind.standing["a"] = Standing.FOREIGN
    with pytest.raises(NeedsOperatorError, match="scripted a stands FOREIGN"):
        recover(RUN, operations(kind), journal, turn=turn)
    assert kind.calls == []
    kind.standing["a"] = Standing.BETWEEN
    wanted = RunPhase.REVERSED if turn else RunPhase.DONE
    assert recover(RUN, operations(kind), journal).phase is wanted


def test_recover_when_it_has_ended_then_reported_as_it_is(kind: Scripted, journal: Journal) -> None:
    execute(plan_of(kind, "a"), operations(kind), journal, run=RUN)
    kind.calls.clear()
    report = recover(RUN, operations(kind), journal)
    assert (report.phase, report.steps[0].standing) == (RunPhase.DONE, Standing.AFTER)
    assert report.steps[0].facts == {"verb": "execute"}
    assert kind.calls == []


def test_recover_when_stopping_was_under_way_then_that_step_goes_back(kind: Scripted, journal: Journal) -> None:
    begin(kind, journal, "a", "b")
    with journal.resume(RUN) as log:
        log.started("1", Direction.REVERSE)
    kind.standing["a"] = Standing.BETWEEN
    assert recover(RUN, operations(kind), journal).phase is RunPhase.STOPPED
    assert kind.calls == [("reverse", "a")]


def test_recover_when_unknown_then_refused(kind: Scripted, journal: Journal) -> None:
    with pytest.raises(UsageError, match="run:9"):
        recover("run:9", operations(kind), journal)


def test_resume_when_carried_on_here_then_locked(kind: Scripted, journal: Journal) -> None:
    begin(kind, journal, "a")
    with journal.resume(RUN), pytest.raises(LockedError):
        journal.resume(RUN)
    journal.resume(RUN)


def test_rollback_when_a_run_was_done_then_newest_first_and_recorded(kind: Scripted, journal: Journal) -> None:
    kind.standing["b"] = Standing.AFTER
    execute(plan_of(kind, "a", "b", "c"), operations(kind), journal, run=RUN)
    kind.calls.clear()
    report = rollback(RUN, operations(kind), journal, run=BACK)
    assert report.phase is RunPhase.REVERSED
    assert kind.calls == [("reverse", "c"), ("reverse", "a")]
    assert next(journal.runs()).opened.of == RUN


def test_rollback_when_done_twice_then_harmless(kind: Scripted, journal: Journal) -> None:
    execute(plan_of(kind, "a"), operations(kind), journal, run=RUN)
    rollback(RUN, operations(kind), journal, run=BACK)
    kind.calls.clear()
    assert rollback(RUN, operations(kind), journal, run="run:3").phase is RunPhase.REVERSED
    assert kind.calls == []


def test_rollback_when_the_target_is_held_then_locked_and_nothing_open(kind: Scripted, journal: Journal) -> None:
    execute(plan_of(kind, "a"), operations(kind), journal, run=RUN)
    kind.fail("reverse", "a", LockedError("held"), Standing.AFTER)
    with pytest.raises(LockedError):
        rollback(RUN, operations(kind), journal, run=BACK)
    assert journal.open_runs() == []


@pytest.mark.parametrize("foreign", ["a", "b"])
def test_rollback_when_a_target_is_foreign_then_named_and_untouched(
    kind: Scripted, journal: Journal, foreign: str
) -> None:
    execute(plan_of(kind, "a", "b"), operations(kind), journal, run=RUN)
    kind.standing[foreign] = Standing.FOREIGN
    with pytest.raises(NeedsOperatorError, match=f"needs an operator: scripted {foreign} stands FOREIGN"):
        rollback(RUN, operations(kind), journal, run=BACK)
    assert ("reverse", foreign) not in kind.calls
    assert journal.open_runs() == ([BACK] if foreign == "a" else [])


def test_recover_when_out_of_sight_after_arriving_then_done_not_reversed(kind: Scripted, journal: Journal) -> None:
    begin(kind, journal, "a")
    kind.fail("execute", "a", TransportError("cut"), Standing.AFTER)
    verify, looks = kind.verify, iter([Standing.BEFORE, None])

    def flaky(delta: Delta, target: Target) -> Standing:
        if next(looks, Standing.AFTER) is None:
            raise TransportError("no route")
        return verify(delta, target)

    kind.verify = flaky  # type: ignore[method-assign]
    with pytest.raises(NeedsOperatorError, match="stands UNKNOWN"):
        recover(RUN, operations(kind), journal)
    assert recover(RUN, operations(kind), journal).phase is RunPhase.DONE
    assert kind.calls == [("execute", "a")]


def test_rollback_when_the_run_is_open_or_left_nothing_then_refused(kind: Scripted, journal: Journal) -> None:
    begin(kind, journal, "a")
    with pytest.raises(UsageError, match="has not ended"):
        rollback(RUN, operations(kind), journal, run=BACK)
    recover(RUN, operations(kind), journal, turn=True)
    with pytest.raises(UsageError, match="left nothing"):
        rollback(RUN, operations(kind), journal, run=BACK)


@pytest.mark.parametrize("on_failure", ["stop", "reverse"])
def test_recover_when_a_failing_run_is_killed_at_each_write_then_none_in_between(
    tmp_path: Path, on_failure: str
) -> None:
    moment, crashed = 1, True
    while crashed:
        moment += 1
        kind, failpoint = Scripted(), CrashAt(moment)
        kind.fail("execute", "b", UsageError("no"), Standing.BETWEEN)
        place = tmp_path / str(moment)
        with Journal(place, clock=FakeClock(), durable=False, failpoint=failpoint) as journal:
            plan = plan_of(kind, "a", "b", "c", on_failure=on_failure)
            with suppress(SimulatedCrash, ExecutionError):
                execute(plan, operations(kind), journal, run=RUN)
        crashed = failpoint.crashed
        with Journal(place, clock=FakeClock(), durable=False) as journal:
            for run in journal.open_runs():
                with suppress(ExecutionError):
                    recover(run, operations(kind), journal)
            assert journal.open_runs() == []
        assert set(kind.standing.values()) <= {Standing.BEFORE, Standing.AFTER}
    assert moment > 4
