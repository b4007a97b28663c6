import pytest

from pdelta.engine.executor import execute
from pdelta.engine.journal import Journal
from pdelta.errors import (
    CancelledError,
    ExecutionError,
    LockedError,
    NeedsOperatorError,
    PdeltaError,
    TransportError,
    UsageError,
)
from pdelta.model.delta import Delta
from pdelta.model.operation import Notes, Outcome, Standing
from pdelta.model.run import RunPhase
from pdelta.model.target import Target
from tests.unit.engine.scripted import Scripted, operations, plan_of

RUN = "run:1"


def phases(journal: Journal) -> dict[str, RunPhase | None]:
    return {summary.id: summary.phase for summary in journal.runs()}


def test_execute_when_all_goes_well_then_done_with_facts(kind: Scripted, journal: Journal) -> None:
    report = execute(plan_of(kind, "a", "b"), operations(kind), journal, run=RUN, who="me", note="why")
    assert report.phase is RunPhase.DONE
    assert report.exit_status == 0
    assert report.failure is None
    assert [(step.standing, step.touched, step.facts) for step in report.steps] == [
        (Standing.AFTER, True, {"verb": "execute"})
    ] * 2
    (summary,) = journal.runs()
    assert (summary.opened.who, summary.opened.note, summary.phase) == ("me", "why", RunPhase.DONE)


def test_execute_when_a_target_is_there_already_then_not_touched(kind: Scripted, journal: Journal) -> None:
    kind.standing["a"] = Standing.AFTER
    report = execute(plan_of(kind, "a"), operations(kind), journal, run=RUN)
    assert report.phase is RunPhase.DONE
    assert not report.steps[0].touched
    assert kind.calls == []


def test_execute_when_the_plan_is_empty_then_done_and_no_record(kind: Scripted, journal: Journal) -> None:
    assert execute(plan_of(kind), operations(kind), journal, run=RUN).phase is RunPhase.DONE
    assert phases(journal) == {}


def test_execute_when_the_target_stands_between_then_carried_on(kind: Scripted, journal: Journal) -> None:
    kind.standing["a"] = Standing.BETWEEN
    assert execute(plan_of(kind, "a"), operations(kind), journal, run=RUN).phase is RunPhase.DONE


def test_execute_when_the_first_step_changes_nothing_then_its_own_error(kind: Scripted, journal: Journal) -> None:
    kind.fail("execute", "a", LockedError("held"), Standing.BEFORE)
    with pytest.raises(LockedError, match="held"):
        execute(plan_of(kind, "a", "b"), operations(kind), journal, run=RUN)
    assert phases(journal) == {RUN: RunPhase.STOPPED}


def test_execute_when_nothing_can_be_seen_then_its_own_error_and_no_record(kind: Scripted, journal: Journal) -> None:
    kind.unseen["a"] = TransportError("no route")
    with pytest.raises(TransportError):
        execute(plan_of(kind, "a"), operations(kind), journal, run=RUN)
    assert phases(journal) == {}


@pytest.mark.parametrize("standing", [Standing.BEFORE, Standing.BETWEEN])
def test_execute_when_a_later_step_fails_and_stops_then_none_in_between(
    kind: Scripted, journal: Journal, standing: Standing
) -> None:
    kind.fail("execute", "b", TransportError("cut"), standing)
    report = execute(plan_of(kind, "a", "b", "c"), operations(kind), journal, run=RUN)
    assert (report.phase, report.exit_status) == (RunPhase.STOPPED, 8)
    assert [step.standing for step in report.steps] == [Standing.AFTER, Standing.BEFORE, None]
    assert str(report.failure) == "cut"
    assert kind.standing == {"a": Standing.AFTER, "b": Standing.BEFORE}
    assert phases(journal) == {RUN: RunPhase.STOPPED}


def test_execute_when_the_only_step_was_half_done_then_reversed_and_said_so(kind: Scripted, journal: Journal) -> None:
    kind.fail("execute", "a", TransportError("cut"), Standing.BETWEEN)
    with pytest.raises(ExecutionError, match="cut; everything this run did was reversed"):
        execute(plan_of(kind, "a"), operations(kind), journal, run=RUN)
    assert kind.calls == [("execute", "a"), ("reverse", "a")]


def test_execute_when_it_fails_after_arriving_then_done(kind: Scripted, journal: Journal) -> None:
    kind.fail("execute", "a", TransportError("cut"), Standing.AFTER)
    assert execute(plan_of(kind, "a"), operations(kind), journal, run=RUN).phase is RunPhase.DONE


@pytest.mark.parametrize("standing", [Standing.BEFORE, Standing.BETWEEN])
def test_execute_when_the_policy_is_reverse_then_newest_first(
    kind: Scripted, journal: Journal, standing: Standing
) -> None:
    kind.fail("execute", "c", TransportError("cut"), standing)
    with pytest.raises(ExecutionError) as caught:
        execute(plan_of(kind, "a", "b", "c", on_failure="reverse"), operations(kind), journal, run=RUN)
    assert isinstance(caught.value.__cause__, TransportError)
    back = [call for call in kind.calls if call[0] == "reverse"]
    assert back[-2:] == [("reverse", "b"), ("reverse", "a")]
    assert set(kind.standing.values()) == {Standing.BEFORE}
    assert phases(journal) == {RUN: RunPhase.REVERSED}


def test_execute_when_reversing_fails_too_then_an_operator_with_names(kind: Scripted, journal: Journal) -> None:
    kind.fail("execute", "c", TransportError("cut"), Standing.BEFORE)
    kind.fail("reverse", "b", TransportError("cut again"), Standing.BETWEEN)
    with pytest.raises(NeedsOperatorError, match="scripted b stands BETWEEN") as caught:
        execute(plan_of(kind, "a", "b", "c", on_failure="reverse"), operations(kind), journal, run=RUN)
    assert "cut again" in caught.value.message
    assert kind.standing["a"] is Standing.AFTER
    assert journal.open_runs() == [RUN]


def test_execute_when_a_done_step_cannot_be_reversed_then_an_operator(kind: Scripted, journal: Journal) -> None:
    kind.irreversible = {"a"}
    kind.fail("execute", "b", TransportError("cut"), Standing.BEFORE)
    with pytest.raises(NeedsOperatorError, match="scripted a stands AFTER"):
        execute(plan_of(kind, "a", "b", on_failure="reverse"), operations(kind), journal, run=RUN)
    assert ("reverse", "a") not in kind.calls


def test_execute_when_a_later_target_is_foreign_then_named_and_untouched(kind: Scripted, journal: Journal) -> None:
    kind.standing["b"] = Standing.FOREIGN
    with pytest.raises(NeedsOperatorError, match="scripted b stands FOREIGN"):
        execute(plan_of(kind, "a", "b"), operations(kind), journal, run=RUN)
    assert kind.calls == [("execute", "a")]
    assert phases(journal) == {RUN: RunPhase.STOPPED}


def test_execute_when_foreign_and_the_policy_is_reverse_then_the_others_return(
    kind: Scripted, journal: Journal
) -> None:
    kind.standing["b"] = Standing.FOREIGN
    with pytest.raises(NeedsOperatorError, match="scripted b stands FOREIGN"):
        execute(plan_of(kind, "a", "b", on_failure="reverse"), operations(kind), journal, run=RUN)
    assert kind.standing["a"] is Standing.BEFORE
    assert phases(journal) == {RUN: RunPhase.REVERSED}


def test_execute_when_another_run_is_half_way_then_locked_and_open(kind: Scripted, journal: Journal) -> None:
    kind.fail("execute", "a", LockedError("held"), Standing.BETWEEN)
    with pytest.raises(LockedError):
        execute(plan_of(kind, "a"), operations(kind), journal, run=RUN)
    assert kind.calls == [("execute", "a")]
    assert journal.open_runs() == [RUN]


def test_execute_when_the_target_goes_out_of_sight_then_an_operator(kind: Scripted, journal: Journal) -> None:
    class Vanishing(Scripted):
        def execute(self, delta: Delta, target: Target, notes: Notes) -> Outcome:
            self.unseen[target.address] = TransportError("no route")
            return super().execute(delta, target, notes)

    vanishing = Vanishing()
    with pytest.raises(NeedsOperatorError, match="scripted a stands UNKNOWN: no route"):
        execute(plan_of(vanishing, "a"), operations(vanishing), journal, run=RUN)
    assert journal.open_runs() == [RUN]


def test_execute_when_success_is_untrue_then_an_error_that_says_so(kind: Scripted, journal: Journal) -> None:
    class Lying(Scripted):
        def execute(self, delta: Delta, target: Target, notes: Notes) -> Outcome:  # noqa: ARG002 - the protocol
            return Outcome()

    lying = Lying()
    with pytest.raises(PdeltaError, match="reported success, but the target stands before"):
        execute(plan_of(lying, "a"), operations(lying), journal, run=RUN)


def test_execute_when_cancelled_then_open_and_raised(kind: Scripted, journal: Journal) -> None:
    kind.fail("execute", "b", CancelledError("stopped"), Standing.BETWEEN)
    with pytest.raises(CancelledError):
        execute(plan_of(kind, "a", "b"), operations(kind), journal, run=RUN)
    assert journal.open_runs() == [RUN]


def test_execute_when_a_kind_is_unknown_then_nothing_is_opened(kind: Scripted, journal: Journal) -> None:
    plan = plan_of(kind, "a")
    with pytest.raises(UsageError):
        execute(plan, {}, journal, run=RUN)
    assert Target(kind.kind, "a") == plan.steps[0].target
    assert phases(journal) == {}


def test_execute_when_the_id_is_no_run_id_then_refused(kind: Scripted, journal: Journal) -> None:
    with pytest.raises(UsageError, match="run:"):
        execute(plan_of(kind, "a"), operations(kind), journal, run="1")
