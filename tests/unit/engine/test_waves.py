"""Waves: what a text means, and that every target is in exactly one of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdelta.engine.waves import Subject, WaveRule, divide, parse_waves
from pdelta.errors import UsageError


def test_waves_when_read_then_counts_parts_tags_and_the_rest() -> None:
    assert parse_waves("canary=3, 5%,tag:beta,big=25%") == (
        WaveRule("canary", count=3),
        WaveRule("5%", percent=5.0),
        WaveRule("beta", tag="beta"),
        WaveRule("big", percent=25.0),
        WaveRule("rest", rest=True),
    )
    assert parse_waves("all") == (WaveRule("all", rest=True),)


@pytest.mark.parametrize(
    "text", ["", "3,,rest", ",3", "0", "canary=", "0%", "101%", "rest,5%", "3,3", "x=y", "-1", "5 %"]
)
def test_waves_when_they_make_no_sense_then_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_waves(text)


def test_waves_when_divided_then_smallest_first_and_tagged_ones_wait_for_their_wave() -> None:
    subjects = [
        Subject("a", size=5),
        Subject("b", size=1, tags=("beta",)),
        Subject("c", size=3),
        Subject("d", size=2),
        Subject("e", size=4),
    ]
    waves = divide(parse_waves("canary=1,tag:beta,50%,rest"), subjects)
    assert [(name, [subjects[place].name for place in places]) for name, places in waves] == [
        ("canary", ["d"]),
        ("beta", ["b"]),
        ("50%", ["c", "e", "a"]),
    ]


@given(
    st.lists(st.sampled_from(["3", "canary=1", "5%", "33.3%", "tag:x", "tag:y"]), unique=True),
    st.lists(st.builds(Subject, st.text(max_size=3), st.sets(st.sampled_from("xyz")).map(tuple), st.integers(0, 3))),
)
def test_waves_when_divided_then_every_target_is_in_exactly_one(parts: list[str], subjects: list[Subject]) -> None:
    waves = divide(parse_waves(",".join([*parts, "rest"])), subjects)
    assert sorted(place for _, places in waves for place in places) == list(range(len(subjects)))
    assert all(places for _, places in waves)
