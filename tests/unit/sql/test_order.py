"""Names of delta files, and the order in which they are applied."""

import datetime as dt

import msgspec
import pytest

from pdelta.errors import FormatError
from pdelta.sql.order import next_name, order, parse_name
from pdelta.sql.script import Replaced, Script, Tool

DAY = dt.date(2025, 3, 15)


def script(name: str, *requires: str, id: str = "") -> Script:
    return Script(name, id or name, requires=requires)


@pytest.mark.parametrize(
    "name", ["delta_20250315_add_last_login", "delta_20250315b_x", "delta_20250315zz_2fa-login", "delta_20240229_0"]
)
def test_name_when_read_then_it_writes_the_same(name: str) -> None:
    assert str(parse_name(name)) == name


@pytest.mark.parametrize(
    "name",
    [
        "20250315_x",
        "delta_20250315",
        "delta_20250315_",
        "delta_20250231_x",
        "delta_2025031_x",
        "delta_20250315a_x",
        "delta_20250315bc_x",
        "delta_20250315_a b",
        "delta_20250315_é",
        "delta_20250315_x\n",
        "delta_20250315_../x",
    ],
)
def test_name_when_malformed_then_it_is_refused_by_name(name: str) -> None:
    with pytest.raises(FormatError) as caught:
        parse_name(name)
    assert repr(name) in caught.value.message
    assert "delta_YYYYMMDD_NAME.sql" in caught.value.hint


def test_next_name_when_a_day_has_many_then_each_comes_after_the_last() -> None:
    taken = [parse_name("delta_20250316_later"), parse_name("delta_20250314zz_before")]
    for _ in range(60):
        taken.append(next_name(DAY, "a", taken))
    names = [str(name) for name in taken[2:]]
    assert names[:3] == ["delta_20250315_a", "delta_20250315b_a", "delta_20250315c_a"]
    assert names[24:28] == ["delta_20250315y_a", "delta_20250315z_a", "delta_20250315zb_a", "delta_20250315zc_a"]
    assert names == sorted(names), "the order of application is that of a listing"
    assert [str(name) for name in sorted(taken[2:])] == names


def test_order_when_nothing_is_required_then_it_is_by_date_and_by_name() -> None:
    names = ["delta_20250316_a", "delta_20250315b_a", "delta_20250315_z", "delta_20250315_b"]
    assert [found.name for found in order(map(script, names))] == list(reversed(names))


def test_order_when_an_earlier_one_requires_a_later_one_then_it_waits_for_that_alone() -> None:
    one = script("delta_20250315_one", "three")
    two = script("delta_20250316_two")
    three = script("delta_20250317_three", id="three")
    four = script("delta_20250318_four", "delta_20250315_one")
    assert order([four, one, three, two]) == (two, three, one, four)


def test_order_when_two_have_one_id_then_both_files_are_named() -> None:
    with pytest.raises(FormatError, match=r"delta_20250315_a\.sql and delta_20250316_b\.sql are both the delta 'x'"):
        order([script("delta_20250316_b", id="x"), script("delta_20250315_a", id="x")])


def test_order_when_what_is_required_is_not_there_then_both_are_named() -> None:
    with pytest.raises(FormatError, match=r"delta_20250315_a\.sql requires 'delta_20250314_gone'"):
        order([script("delta_20250315_a", "delta_20250314_gone")])


def test_order_when_some_require_each_other_then_the_circle_is_named_and_nothing_else() -> None:
    circle = [script(f"delta_2025031{number}_c", f"delta_2025031{(number + 1) % 3}_c") for number in range(3)]
    waiting = script("delta_20250301_waits", "delta_20250310_c")
    with pytest.raises(FormatError, match="each other") as caught:
        order([*circle, waiting, script("delta_20250305_free")])
    assert caught.value.message.count("_c") == 4
    assert "waits" not in caught.value.message


def test_order_when_a_delta_requires_itself_then_it_is_a_circle() -> None:
    with pytest.raises(FormatError, match=r"delta_20250315_a -> delta_20250315_a$"):
        order([script("delta_20250315_a", "delta_20250315_a")])


def test_order_when_a_chain_is_long_then_it_is_followed_to_its_end() -> None:
    names = [f"delta_20250315_{number:05}" for number in range(5000)]
    chain = [script(name, *names[number + 1 : number + 2]) for number, name in enumerate(names)]
    assert [found.name for found in order(chain)] == names[::-1]


def test_order_when_two_replace_the_same_version_then_both_are_named() -> None:
    first, second = Replaced(Tool.ALEMBIC, "a1"), Replaced(Tool.DJANGO, "a1")
    scripts = [
        Script("delta_20250101_a", "a", replaces=(first,)),
        Script("delta_20250102_b", "b", replaces=(second, first)),
    ]
    with pytest.raises(FormatError, match=r"_a\.sql and delta_20250102_b\.sql both replace alembic:a1"):
        order(scripts)
    assert len(order([scripts[0], msgspec.structs.replace(scripts[1], replaces=(second,))])) == 2
