"""What the benchmarks of SQL roll-outs make of figures: whom they compare with, and what they call a pass."""

from collections.abc import Mapping, Sequence

import pytest

from benchmarks.sql.deltas import LAST_LOGIN, base, state, twenty
from benchmarks.sql.measure import Cost
from benchmarks.sql.runner import Result
from benchmarks.sql.scenarios import SCENARIOS, Act, Kind, Mark, Scenario, one_in_a_hundred
from benchmarks.sql.table import Row, best_peer, format_table, make_rows


def cost(wall_s: float, *, done_s: float | None = None, peak_mib: int = 30) -> Cost:
    return Cost(
        started_s=0.0,
        wall_s=wall_s,
        client_cpu_s=wall_s / 2,
        server_cpu_s=wall_s / 4,
        client_peak_bytes=peak_mib << 20,
        steal_s=0.0,
        foreign_cpu_s=0.0,
        load=0.0,
        done_s=done_s,
    )


def row(
    mark: Mark, samples: Mapping[Act, Mapping[str, Sequence[Cost]]], problems: Mapping[str, str] | None = None
) -> Row:
    scenario = Scenario("one", "1,000 of them", Kind.SCHEMAS, 1000, (mark,))
    held = {act.value: {name: list(costs) for name, costs in by_name.items()} for act, by_name in samples.items()}
    result = Result("one", "1,000 of them", 1.0, 1000, held, dict(problems or {}))
    (made,) = make_rows(scenario, result)
    return made


SAMPLES = {
    Act.APPLY: {
        "alembic": [cost(9), cost(6), cost(7)],
        "node-pg-migrate": [cost(10), cost(8), cost(1)],
        "pdelta": [cost(2), cost(0.7), cost(0.5)],
    }
}


def test_row_when_there_are_several_peers_then_it_is_the_one_with_the_best_median() -> None:
    made = row(Mark(Act.APPLY, least=10), SAMPLES)
    assert (made.who, made.wall, made.verdict) == ("alembic ÷ pdelta", (7, 0.7), "pass")
    assert made.times == pytest.approx(10)


@pytest.mark.parametrize(("least", "verdict"), [(9.9, "pass"), (10.1, "MISS"), (None, "-")])
def test_row_when_a_mark_is_set_then_the_verdict_is_by_it(least: float | None, verdict: str) -> None:
    assert row(Mark(Act.APPLY, least=least), SAMPLES).verdict == verdict


def test_row_when_the_best_peer_failed_then_the_next_is_compared_with() -> None:
    assert row(Mark(Act.APPLY, least=10), SAMPLES, {"alembic": "it broke"}).who == "node-pg-migrate ÷ pdelta"
    result = Result("one", "", 1.0, 1000, {"apply": dict(SAMPLES[Act.APPLY])}, {"alembic": "", "node-pg-migrate": ""})
    assert best_peer(SCENARIOS[0], result, Act.APPLY) == ""


def test_row_when_we_failed_then_it_says_why_and_is_no_pass() -> None:
    made = row(Mark(Act.APPLY, least=1), SAMPLES, {"pdelta": "the tenants are not as they should be\nmore"})
    assert made.verdict == "the tenants are not as they should be"
    assert "(≥ 1)" in format_table([made])


def test_row_when_nobody_can_be_compared_with_then_it_is_no_pass() -> None:
    assert row(Mark(Act.APPLY, least=1), {Act.APPLY: {"pdelta": [cost(1)]}}).verdict == "no peer"


def test_row_when_another_act_of_a_peer_is_named_then_it_is_compared_with_that() -> None:
    samples = {Act.DRIFT: {"pdelta": [cost(0.5)]}, Act.SAME: {"alembic": [cost(4)], "node-pg-migrate": [cost(2)]}}
    made = row(Mark(Act.DRIFT, least=10, against=("alembic", Act.SAME)), samples)
    assert (made.wall, made.verdict) == ((4, 0.5), "MISS")


@pytest.mark.parametrize(("done_s", "verdict"), [(1.19, "pass"), (1.21, "MISS")])
def test_row_when_some_are_locked_then_the_others_are_compared_with_themselves(done_s: float, verdict: str) -> None:
    samples = {Act.APPLY: {"pdelta": [cost(9, done_s=1.0)]}, Act.LOCKED: {"pdelta": [cost(99, done_s=done_s)]}}
    made = row(Mark(Act.LOCKED, most=1.2), samples)
    assert (made.who, made.verdict) == ("pdelta ÷ undisturbed", verdict)


@pytest.mark.parametrize(("peak_mib", "verdict"), [(143, "pass"), (144, "MISS")])
def test_row_when_memory_is_marked_then_the_largest_peak_counts(peak_mib: int, verdict: str) -> None:
    samples = {Act.SAME: {"pdelta": [cost(1, peak_mib=peak_mib), cost(1)]}}
    assert row(Mark(Act.SAME, peak_mb=150), samples).verdict == verdict


def test_scenarios_when_run_then_tenants_end_where_they_began() -> None:
    for scenario in SCENARIOS:
        assert scenario.acts[0] is Act.APPLY
        assert scenario.acts[-1] is Act.REVERSE
        assert {mark.act for mark in scenario.marks} <= set(scenario.acts)


@pytest.mark.parametrize("count", [4, 30, 200, 1000])
def test_those_left_out_when_chosen_then_they_are_spread_and_the_canary_is_none(count: int) -> None:
    names = [f"tenant_{number:05}" for number in range(count)]
    few = one_in_a_hundred(names)
    assert len(few) == max(1, count // 100)
    assert names[0] not in few


def test_states_when_deltas_differ_then_they_do() -> None:
    assert state([base(10)]) != state([base(10), LAST_LOGIN])
    assert state([base(10), *twenty()]) == state([*twenty(), base(10)])
    assert len({delta.day for delta in twenty()}) == 20
