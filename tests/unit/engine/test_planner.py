import pytest

from pdelta.engine.planner import plan
from pdelta.engine.preflight import preflight, refusal, refuse
from pdelta.errors import PreflightError, UsageError
from pdelta.model.finding import Finding
from pdelta.model.target import Target
from tests.unit.engine.scripted import KIND, Scripted, operations, plan_of


def test_plan_when_calculated_twice_then_equal_with_an_equal_id(kind: Scripted) -> None:
    assert plan_of(kind, "a", "b") == plan_of(kind, "a", "b")
    assert plan_of(kind, "a", "b").id != plan_of(kind, "b", "a").id
    assert plan_of(kind, "a").id != plan_of(kind, "a", on_failure="reverse").id
    assert len(plan_of(kind, "a").id) == 64


def test_plan_when_a_delta_is_empty_then_settled_and_no_step(kind: Scripted) -> None:
    wishes = [(Target(KIND, "a"), b"same"), (Target(KIND, "b"), b"new")]
    made = plan(operations(kind), wishes)
    assert [step.id for step in made.steps] == ["2"]
    assert made.settled == (Target(KIND, "a"),)


def test_plan_when_the_kind_is_unknown_then_refused_by_name(kind: Scripted) -> None:
    with pytest.raises(UsageError, match="'sql'") as caught:
        plan(operations(kind), [(Target("sql", "db"), b"")])
    assert KIND in caught.value.hint


def test_preflight_when_several_steps_then_every_finding(kind: Scripted) -> None:
    kind.findings = [Finding("space", "not enough space"), Finding("slow", "a slow disk", blocks=False)]
    findings = preflight(plan_of(kind, "a", "b"), operations(kind))
    assert [finding.code for finding in findings] == ["space", "slow", "space", "slow"]
    assert kind.calls == []


def test_preflight_when_an_early_step_cannot_be_reversed_then_a_warning(kind: Scripted) -> None:
    kind.irreversible = {"a", "b"}
    findings = preflight(plan_of(kind, "a", "b", on_failure="reverse"), operations(kind))
    assert [(finding.code, finding.blocks) for finding in findings] == [("irreversible", False)]
    assert preflight(plan_of(kind, "a", "b"), operations(kind)) == []


def test_refuse_when_something_blocks_then_all_blocking_ones_are_listed() -> None:
    findings = [
        Finding("slow", "a slow disk", blocks=False),
        Finding("space", "not enough space", hint="free some"),
        Finding("drift", "x was changed"),
    ]
    with pytest.raises(PreflightError) as caught:
        refuse(findings)
    assert caught.value.findings == ("space: not enough space — free some", "drift: x was changed")
    assert "behind it" in caught.value.hint
    assert caught.value.exit_status == 3


def test_refuse_when_nothing_blocks_then_silent() -> None:
    refuse([Finding("slow", "a slow disk", blocks=False)])


def test_refusal_when_every_finding_has_the_same_hint_then_it_stands_once() -> None:
    findings = [Finding("rights", f"no {name}", hint="use sudo") for name in ("a", "b")]
    error = refusal([*findings, Finding("slow", "a slow disk", blocks=False, hint="wait")])
    assert error is not None
    assert (error.findings, error.hint) == (("rights: no a", "rights: no b"), "use sudo")


def test_refusal_when_hints_differ_then_each_stands_behind_its_finding() -> None:
    findings = [
        Finding("rights", "no a", hint="use sudo"),
        Finding("space", "full", hint="make room"),
        Finding("x", "y"),
    ]
    error = refusal(findings)
    assert error is not None
    assert error.findings == ("rights: no a — use sudo", "space: full — make room", "x: y")


def test_refusal_when_nothing_blocks_then_none() -> None:
    assert refusal([Finding("slow", "a slow disk", blocks=False)]) is None
