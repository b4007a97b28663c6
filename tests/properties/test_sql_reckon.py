"""Laws of wishes: what is lacking is lacking once, wherever it stopped, and whoever goes on."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from pdelta.formats.sql_moves import PlannedMove, SqlWish
from pdelta.operations.sql.reckon import opposite, reckon
from pdelta.sql.ledger import Applied, State, Way
from pdelta.sql.mark import Mark, encode_mark
from pdelta.sql.piece import Piece

Rows = dict[str, Applied]


def move(place: int, *, is_baseline: bool) -> PlannedMove:
    holds = tuple(f"d{number}" for number in range(place)) if is_baseline else ()
    return PlannedMove(
        way=Way.APPLY,
        id=f"d{place}",
        digest=f"{place}",
        pieces=(Piece("SELECT 1"),),
        reverse="" if is_baseline else "SELECT 2;",
        captured=encode_mark(Mark(holds=holds)),
    )


def made(rows: Rows, planned: PlannedMove, state: State = State.APPLIED) -> Rows:
    """Give the ledger after a move, or in the middle of it."""
    left = {id: row for id, row in rows.items() if id != planned.id}
    if planned.way is Way.REVERSE:
        return left
    captured = planned.captured if state is State.APPLIED else ""
    return left | {planned.id: Applied(planned.id, planned.digest, state, captured=captured, reverse=planned.reverse)}


@st.composite
def fleets(draw: st.DrawFn) -> tuple[SqlWish, Rows]:
    """Give a wish for some deltas, one of them a baseline, and a tenant that has some of the others."""
    count = draw(st.integers(1, 6))
    baseline = draw(st.integers(0, count - 1))
    moves = [move(place, is_baseline=place == baseline) for place in range(count)]
    plain = [one for one in moves if one is not moves[baseline]]
    had = draw(st.sets(st.sampled_from(plain), max_size=len(plain))) if plain else set()
    begin = draw(st.booleans())
    wish = SqlWish(wanted=tuple(plain), baselines=(moves[baseline],), begin=moves[baseline].id if begin else "")
    rows: Rows = {}
    for one in had:
        rows = made(rows, one)
    return wish, rows


@given(fleets(), st.data())
def test_reckon_when_it_stopped_anywhere_then_the_rest_ends_where_all_of_it_would(
    fleet: tuple[SqlWish, Rows], data: st.DataObject
) -> None:
    wish, rows = fleet
    moves = reckon(list(rows.values()), wish).moves
    end = rows
    for one in moves:
        end = made(end, one)
    assert reckon(list(end.values()), wish).moves == ()

    stop = data.draw(st.integers(0, len(moves)))
    stopped = rows
    for one in moves[:stop]:
        stopped = made(stopped, one)
    if stop < len(moves) and moves[stop].pieces and data.draw(st.booleans()):
        stopped = made(stopped, moves[stop], State.APPLYING)
    # Whoever comes next may be somebody who makes no tenants: the wish then names no baseline to begin with.
    others = wish if stopped == rows else msgspec.structs.replace(wish, begin="")
    executed = {one.id for one in moves[:stop] if one.pieces}
    rest = reckon(list(stopped.values()), others).moves
    assert executed.isdisjoint(one.id for one in rest)
    for one in rest:
        stopped = made(stopped, one)
    assert stopped == end


@given(fleets())
def test_reckon_when_all_is_taken_back_then_the_tenant_has_what_it_had(fleet: tuple[SqlWish, Rows]) -> None:
    wish, rows = fleet
    moves = reckon(list(rows.values()), wish).moves
    end = rows
    for one in (*moves, *opposite(moves)):
        end = made(end, one)
    assert end == rows
    assert sum(bool(one.pieces) for one in moves if one.id in {base.id for base in wish.baselines}) <= (not rows)
