"""What a wish means for a ledger: baselines, and in which order deltas go whose files are gone."""

import msgspec
import pytest

from pdelta.formats.sql_moves import PlannedMove, SqlWish
from pdelta.model.operation import Standing
from pdelta.operations.sql.reckon import head_after, opposite, reckon, standing, versioned
from pdelta.operations.sql.versions import Left
from pdelta.operations.sql.work import segments
from pdelta.sql.ledger import EMPTY_HEAD, Applied, State, Way, head_of
from pdelta.sql.mark import Mark, decode_mark, encode_mark
from pdelta.sql.piece import Piece


def move(id: str, *, reverse: str = "DROP;", holds: tuple[str, ...] = ()) -> PlannedMove:
    captured = encode_mark(Mark(holds=holds))
    return PlannedMove(
        way=Way.APPLY, id=id, digest=f"d{id}", pieces=(Piece("SELECT 1"),), reverse=reverse, captured=captured
    )


A, B, C, D = move("a"), move("b", reverse=""), move("c"), move("e")
BASE = move("d", reverse="", holds=("a", "b", "c"))
WISH = SqlWish(wanted=(A, B, C, D), baselines=(BASE,))
BEGIN = msgspec.structs.replace(WISH, begin="d")


def rows_of(*moves: PlannedMove, state: State = State.APPLIED) -> list[Applied]:
    return [
        Applied(one.id, one.digest, state, captured=one.captured if state is State.APPLIED else "") for one in moves
    ]


def ids(moves: tuple[PlannedMove, ...]) -> list[str]:
    return [("" if one.way is Way.APPLY else "-") + one.id + ("" if one.pieces else "*") for one in moves]


def test_baseline_when_a_tenant_begins_with_it_then_the_rest_is_recorded_and_goes_on_behind_it() -> None:
    moves = reckon([], BEGIN).moves
    assert ids(moves) == ["d", "a*", "b*", "c*", "e"]
    assert [decode_mark(one.captured).baseline for one in moves] == ["", "d", "d", "d", ""]
    assert [one.irreversible for one in moves[1:4]] == ["", "it came with the baseline d", ""]
    assert moves[1].reverse == "DROP;"
    assert not any(one.alone or one.derived or one.check for one in moves[1:4])


@pytest.mark.parametrize("had", [(A,), (A, B, C), (C, D)])
def test_baseline_when_a_tenant_has_any_delta_then_it_never_gets_it(had: tuple[PlannedMove, ...]) -> None:
    for wish in (WISH, BEGIN):
        reckoning = reckon(rows_of(*had), wish)
        assert "d" not in ids(reckoning.moves)
        assert ids(reckoning.moves) == [one.id for one in (A, B, C, D) if one not in had]
        assert (reckoning.edited, reckoning.unknown) == ((), ())


def test_baseline_when_nobody_asks_for_it_then_an_empty_tenant_gets_the_deltas() -> None:
    assert ids(reckon([], WISH).moves) == ["a", "b", "c", "e"]


@pytest.mark.parametrize("wish", [WISH, BEGIN])
def test_baseline_when_a_tenant_stopped_half_way_in_it_then_anybody_goes_on(wish: SqlWish) -> None:
    assert ids(reckon(rows_of(BASE, state=State.APPLYING), wish).moves) == ["d", "a*", "b*", "c*", "e"]
    assert ids(reckon(rows_of(BASE), wish).moves) == ["a*", "b*", "c*", "e"]
    assert ids(reckon(rows_of(BASE, A), wish).moves) == ["b*", "c*", "e"]
    assert reckon(rows_of(BASE, A, B, C, D), wish).moves == ()


def test_baseline_when_only_earlier_deltas_are_wanted_then_it_is_still_known() -> None:
    wish = msgspec.structs.replace(WISH, wanted=(A,))
    assert ids(reckon(rows_of(BASE, state=State.APPLYING), wish).moves) == ["d", "a*"]
    assert reckon(rows_of(BASE, A, B, C), wish).unknown == ("b", "c")


def test_baseline_when_a_delta_came_before_it_later_then_that_is_applied_and_not_recorded() -> None:
    late = move("aa")
    wish = msgspec.structs.replace(WISH, wanted=(A, late, B, C, D))
    assert ids(reckon(rows_of(BASE, A, B, C, D), wish).moves) == ["aa"]


def test_baseline_when_it_was_edited_then_those_who_have_it_are_told() -> None:
    had = rows_of(BASE, A, B, C, D)
    edited = msgspec.structs.replace(BASE, digest="other")
    wish = msgspec.structs.replace(WISH, baselines=(edited,))
    assert (reckon(had, wish).moves, reckon(had, wish).edited) == ((), ("d",))
    (accepted,) = reckon(had, msgspec.structs.replace(wish, accept_edit=True)).moves
    assert (accepted.id, accepted.former, accepted.pieces) == ("d", "dd", ())
    half = reckon(rows_of(BASE, state=State.APPLYING), wish)
    assert half.edited == ("d",)
    assert "d" not in ids(half.moves)


def test_baseline_when_it_is_being_taken_back_then_it_goes_and_does_not_come_again() -> None:
    had = rows_of(A, B, C) + rows_of(BASE, state=State.REVERSING)
    assert ids(reckon(had, BEGIN).moves) == ["-d*", "e"]


def test_baseline_when_taken_back_again_then_the_tenant_has_nothing() -> None:
    moves = reckon([], BEGIN).moves
    had = rows_of(BASE, A, B, C, D)
    assert standing([], moves) is Standing.BEFORE
    assert standing(rows_of(BASE), moves) is Standing.BETWEEN
    assert standing(had, moves) is Standing.AFTER
    assert head_after([], moves) == head_of((row.id, row.digest, row.state.value) for row in had)
    assert [one.id for one in opposite(moves)] == ["e", "c", "b", "a", "d"]
    assert head_after(had, opposite(moves)) == EMPTY_HEAD


def test_segments_when_only_the_ledger_changes_then_they_share_a_transaction_in_every_engine() -> None:
    moves = reckon([], BEGIN).moves
    assert [(together, ids(held)) for together, held in segments(moves, transactional=False)] == [
        (False, ["d"]),
        (True, ["a*", "b*", "c*"]),
        (False, ["e"]),
    ]
    assert [ids(held) for _, held in segments(moves, transactional=True)] == [["d", "a*", "b*", "c*", "e"]]


@pytest.mark.parametrize(
    ("had", "gone", "order"),
    [
        ("delta_1 delta_2", "delta_3 delta_4", "delta_4 delta_3 delta_2 delta_1"),
        ("delta_3 delta_4", "delta_1 delta_2", "delta_4 delta_3 delta_2 delta_1"),
        ("delta_2 delta_4", "delta_1 delta_3 delta_5", "delta_5 delta_4 delta_3 delta_2 delta_1"),
        ("", "delta_1 delta_2", "delta_2 delta_1"),
    ],
)
def test_dropping_when_files_are_gone_then_their_ids_say_when_they_go(had: str, gone: str, order: str) -> None:
    known = [move(id) for id in had.split()]
    wish = SqlWish(
        dropped=tuple(msgspec.structs.replace(one, way=Way.REVERSE) for one in reversed(known)), dropped_after=""
    )
    moves = reckon(rows_of(*known, *map(move, gone.split())), wish).moves
    assert [one.id for one in moves] == order.split()
    assert {one.way for one in moves} == {Way.REVERSE}


def test_dropping_when_ids_do_not_sort_as_deltas_are_applied_then_what_stays_stays() -> None:
    first, second, third, gone = map(move, ("V1__a", "V1_1__b", "V1_2__c", "V9__gone"))
    wish = SqlWish(
        dropped=(msgspec.structs.replace(third, way=Way.REVERSE),),
        dropped_after="V1_1__b",
        staying=("V1__a", "V1_1__b"),
    )
    reckoning = reckon(rows_of(first, second, third, gone), wish)
    assert [one.id for one in reckoning.moves] == ["V9__gone", "V1_2__c"]
    assert reckoning.unknown == ("V9__gone",)


@pytest.mark.parametrize("text", ["", "{}", '{"explicit":true,"step":2}', "no json", "[1]", '{"holds":1}'])
def test_mark_when_a_row_says_something_else_then_it_is_none(text: str) -> None:
    assert decode_mark(text) == Mark()
    assert str(decode_mark(text)) == ""


@pytest.mark.parametrize("mark", [Mark(found=True), Mark(adopted="flyway"), Mark(baseline="b"), Mark(holds=("a", "é"))])
def test_mark_when_written_then_it_reads_the_same(mark: Mark) -> None:
    assert decode_mark(encode_mark(mark)) == mark
    assert str(mark)
    assert encode_mark(Mark()) == ""


VIEW = msgspec.structs.replace(move("m"), way=Way.REVERSE, digest="v3", repeatable=True)
VERSIONS = [
    Applied("m", "v3", captured=encode_mark(Mark(former="v2")), at="5", run="r5"),
    Applied("m", "v2", captured=encode_mark(Mark(former="v1")), at="3", run="r3"),
    Applied("m", "v1", at="1", run="r1"),
]
PAST = {"m": [Left(9, "r5", VERSIONS[1]), Left(7, "r3", VERSIONS[2]), Left(2, "r2", Applied("m", "v2", at="0"))]}


def back_to(
    until: str | None, had: dict[str, str], *, staying: tuple[str, ...] = ("a", "b"), dropped: tuple[str, ...] = ("c",)
) -> list[tuple[str, str, tuple[str, ...]]]:
    """Give what goes of a view in three versions and of others, which came at these times."""
    is_kept = "m" in staying
    gone = tuple(msgspec.structs.replace(move(id), way=Way.REVERSE) for id in dropped)
    wish = SqlWish(
        dropped=gone if is_kept else (VIEW, *gone), until=until, staying=staying, kept=(VIEW,) if is_kept else ()
    )
    rows = [VERSIONS[0], *(Applied(id, f"d{id}", at=at) for id, at in had.items())]
    assert versioned(rows, wish) == (() if until is None else ("m",))
    return [(one.id, one.former, one.through) for one in reckon(rows, wish, PAST).moves]


def test_repeatable_when_a_delta_stays_then_it_goes_back_to_the_version_of_that_time() -> None:
    gone = ("c", "", ())
    assert back_to("b", {"b": "1"}) == [("m", "", ("v2", "v1"))]
    assert back_to("b", {"b": "2"}) == [("m", "v1", ("v2",))]
    assert back_to("b", {"b": "4", "c": "4"}) == [("m", "v2", ()), gone]
    assert back_to("b", {"b": "6", "c": "6"}) == [gone]
    # Nobody named a delta, or none stays, or the tenant has not got it.
    assert back_to(None, {"b": "2"}) == [("m", "v2", ())]
    assert back_to("", {"b": "2"}, staying=()) == [("m", "", ("v2", "v1"))]
    assert back_to("b", {"a": "4"}) == [("m", "", ("v2", "v1"))]


def test_repeatable_when_what_goes_is_older_than_a_version_then_that_goes_with_it() -> None:
    gone = ("c", "", ())
    assert back_to("b", {"b": "6", "c": "2"}) == [("m", "v1", ("v2",)), gone]
    assert back_to("b", {"b": "6", "c": "0"}) == [("m", "", ("v2", "v1")), gone]


def test_repeatable_when_it_stays_then_only_its_version_goes_back_before_what_that_needs() -> None:
    gone, staying = [("e", "", ()), ("c", "", ())], ("m", "b")
    dropped = ("e", "c")
    others = {"c": "4", "e": "6"}
    assert back_to("b", {"b": "2", **others}, staying=staying, dropped=dropped) == [
        gone[0],
        ("m", "v1", ("v2",)),
        gone[1],
    ]
    assert back_to("b", {"b": "1", **others}, staying=staying, dropped=dropped)[1] == ("m", "v1", ("v2",))
    # There was none yet, there is no such time, and it is that very delta.
    for until, had in [("b", {"b": "0"}), ("b", {"a": "0"}), ("m", {})]:
        assert back_to(until, {**had, **others}, staying=staying, dropped=dropped) == gone


def test_repeatable_when_the_way_back_is_reversed_then_it_comes_in_one_step_and_knows_what_it_replaced() -> None:
    back = msgspec.structs.replace(VIEW, former="v1", through=("v2",), captured=VERSIONS[0].captured)
    (there,) = opposite([back])
    assert (there.way, there.digest, there.former, there.through) == (Way.APPLY, "v3", "v1", ())
    assert decode_mark(there.captured).former == "v1"
    assert standing([VERSIONS[2]], [there]) is Standing.BEFORE
    assert standing([VERSIONS[0]], [there]) is Standing.AFTER
