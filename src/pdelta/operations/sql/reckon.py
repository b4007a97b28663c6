"""What a tenant lacks, and where it stands: its ledger compared with a wish, or with the moves of a plan.

Values in, values out; whoever calls has read the ledger.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from pdelta.formats.sql_moves import PlannedMove, SqlWish
from pdelta.model.amount import counted
from pdelta.model.operation import Standing
from pdelta.operations.sql.versions import Histories, along, replaced
from pdelta.sql.alone import alone
from pdelta.sql.ledger import Applied, Head, State, Way, head_of
from pdelta.sql.mark import Mark, decode_mark, encode_mark
from pdelta.sql.split import split
from pdelta.sql.token import Dialect


class Reckoning(msgspec.Struct, frozen=True):
    """What a wish means for tenants with one ledger.

    Attributes:
        moves: What takes them there.
        edited: Deltas that they have in another version than is wished.
        unknown: Deltas that they have, and that the wish knows nothing of.
        stuck: Deltas that are to be taken back and can't be, each with the reason.
    """

    moves: tuple[PlannedMove, ...]
    edited: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    stuck: tuple[tuple[str, str], ...] = ()


class Seen(msgspec.Struct, frozen=True):
    """What calculating found in one tenant.

    Attributes:
        head: Of its ledger.
        rows: Its ledger, as far as the head tells: of another tenant with the same one, perhaps.
        reckoning: What the wish means there.
    """

    head: Head
    rows: tuple[Applied, ...]
    reckoning: Reckoning


def reckon(rows: Sequence[Applied], wish: SqlWish, histories: Histories | None = None) -> Reckoning:
    """Compare a ledger with a wish.

    Args:
        rows: The ledger.
        wish: What is wished.
        histories: What left that ledger, of the deltas that ``versioned`` names.
    """
    had = {row.id: row for row in rows}
    start = _start(had, wish)
    moves = _dropping(rows, wish, histories or {}) + list(start.moves)
    edited = list(start.edited)
    for wanted in wish.wanted:
        row = had.get(wanted.id)
        if row is not None and row.state is State.APPLIED and row.digest == wanted.digest:
            continue
        if row is None and wanted.id in start.holds:
            reason = f"it came with the baseline {start.baseline}"
            moves.append(recorded(wanted, Mark(baseline=start.baseline), reason))
            continue
        lacking = [wanted] if row is None else _lacking(row, wanted, accept_edit=wish.accept_edit)
        moves += lacking
        if not lacking:
            edited.append(wanted.id)
    known = {move.id for move in (*wish.wanted, *wish.dropped, *wish.baselines)}.union(wish.staying)
    unknown = tuple(id for id in had if id not in known)
    return Reckoning(tuple(moves), tuple(edited), unknown, _stuck(moves, had, histories or {}))


def _stuck(
    moves: Iterable[PlannedMove], had: Mapping[str, Applied], histories: Histories
) -> tuple[tuple[str, str], ...]:
    """Give the deltas that these moves would take back and can't, each with the reason.

    Of what stopped half-way that depends on what has happened there, and only a look at the tenant tells.
    """
    stuck: list[tuple[str, str]] = []
    for move in moves:
        row = had.get(move.id)
        if move.way is Way.APPLY or move.recorded or row is None or row.state is not State.APPLIED:
            continue
        older = along(row, move.through, histories.get(row.id, ()), row.id) if move.through else ()
        reason = next((one.irreversible for one in (row, *older) if one.irreversible), "")
        if reason:
            stuck.append((row.id, reason))
    return tuple(stuck)


class _Start(msgspec.Struct, frozen=True):
    """What a baseline means for a tenant.

    Attributes:
        baseline: The id of the one that it has, or begins with; empty for none.
        moves: What brings that, or what is left of it.
        holds: The deltas that it stands for, so that they need only be recorded.
        edited: Its id, where the tenant has it in another version.
    """

    baseline: str = ""
    moves: tuple[PlannedMove, ...] = ()
    holds: frozenset[str] = frozenset()
    edited: tuple[str, ...] = ()


def _start(had: Mapping[str, Applied], wish: SqlWish) -> _Start:
    """Give what the baseline that a tenant has, or should begin with, means there."""
    for baseline in wish.baselines:
        row = had.get(baseline.id)
        if row is not None:
            return _begun(row, baseline, accept_edit=wish.accept_edit)
        if not had and baseline.id == wish.begin:
            return _Start(baseline.id, (baseline,), frozenset(decode_mark(baseline.captured).holds))
    return _Start()


def _begun(row: Applied, baseline: PlannedMove, *, accept_edit: bool) -> _Start:
    if row.state is State.REVERSING:
        # What it stands for is recorded by itself: the row goes, and nothing comes in its place.
        return _Start(moves=(PlannedMove(way=Way.REVERSE, id=row.id, digest=row.digest, underived=True),))
    same = row.digest == baseline.digest
    if row.state is State.APPLIED:
        # What it stood for then, not what lies before it now: a file that came later is no part of it.
        holds = frozenset(decode_mark(row.captured).holds)
        moves = () if same else tuple(_lacking(row, baseline, accept_edit=accept_edit))
        return _Start(baseline.id, moves, holds, () if same or moves else (baseline.id,))
    if not same:
        return _Start(baseline.id, edited=(baseline.id,))
    return _Start(baseline.id, (baseline,), frozenset(decode_mark(baseline.captured).holds))


def recorded(wanted: PlannedMove, mark: Mark, reason: str) -> PlannedMove:
    """Give the move that only records a delta whose effect a tenant has.

    Args:
        wanted: What would apply it.
        mark: How it came.
        reason: Why nothing takes it back, where no reverse was written: one that would be derived is not known.
    """
    return msgspec.structs.replace(
        wanted,
        pieces=(),
        check=(),
        verify=(),
        alone=False,
        apart=False,
        derived="",
        underived=False,
        captured=encode_mark(mark),
        # Who only says that a tenant has it can only say the opposite; what a baseline brought goes with it.
        recorded=bool(mark.adopted),
        irreversible=wanted.irreversible or ("" if wanted.reverse or mark.holds or mark.found else reason),
    )


def versioned(rows: Iterable[Applied], wish: SqlWish) -> tuple[str, ...]:
    """Give the deltas of which a wish depends on the versions that a tenant had of them."""
    if wish.until is None:
        return ()
    asked = {move.id for move in (*wish.dropped, *wish.kept) if move.repeatable}
    return tuple(row.id for row in rows if row.id in asked and decode_mark(row.captured).former)


def _dropping(rows: Sequence[Applied], wish: SqlWish, histories: Histories) -> list[PlannedMove]:
    had = {row.id: row for row in rows}
    known = {move.id for move in (*wish.wanted, *wish.dropped)}.union(wish.staying)
    # Files that are gone came last, or first, where a baseline stands for them now: their ids tell.
    gone = sorted(row.id for row in rows if row.id not in known and _goes(row, wish))
    drops: list[PlannedMove] = []
    for drop in wish.dropped:
        row = had.get(drop.id)
        if row is None or wish.dropped_run not in {"", row.run}:
            continue
        if drop.repeatable and wish.dropped_version not in {"", row.digest}:
            continue
        while gone and gone[-1] > drop.id:
            drops.append(_gone(had[gone.pop()], wish))
        mark = decode_mark(row.captured)
        if wish.dropped_run and mark.adopted:
            drops.append(_struck_out(row, drop.name))
            continue
        if mark.holds:
            # A baseline that only stands for others: nothing is executed, nor would be if it had to come back.
            drops.append(PlannedMove(way=Way.REVERSE, id=drop.id, name=drop.name, captured=row.captured))
            continue
        drops.append(_of_row(drop, row))
    drops += (_gone(had[id], wish) for id in reversed(gone))
    if wish.until is not None:
        drops = _back_to(wish.until, drops, had, wish, histories)
    return [msgspec.structs.replace(drop, digest=had[drop.id].digest, accept_loss=wish.accept_loss) for drop in drops]


def _back_to(
    until: str, drops: Sequence[PlannedMove], had: Mapping[str, Applied], wish: SqlWish, histories: Histories
) -> list[PlannedMove]:
    """Give these moves; those of repeatable deltas go back to the version that the tenant had when ``until`` came.

    What came when, the ledger says, and in one run the order of deltas. A version that is younger than anything which
    goes, goes as well: it may need that.
    """
    order = (*wish.staying, until, *(drop.id for drop in reversed(drops)))
    places = {id: place for place, id in enumerate(order)}

    def came(row: Applied) -> tuple[str, int]:
        return row.at, places[row.id]

    end = had.get(until)
    going = [came(had[drop.id]) for drop in drops if not drop.repeatable]
    moves: list[PlannedMove] = []
    for drop in drops:
        row = had[drop.id]
        if not drop.repeatable or row.state is not State.APPLIED:
            moves.append(drop)
            continue
        versions = (row, *replaced(row, histories.get(row.id, ())))
        first = min((*going, came(end))) if end is not None else None
        stays = next((one for one in versions if first is not None and came(one) < first), None)
        moves += _through(drop, versions, stays)
    if end is None:
        return moves
    for kept in wish.kept:
        row = had.get(kept.id, end)
        if row is end:
            continue
        # What its newer versions need is still there when these go.
        older = (place for place, move in enumerate(moves) if not move.repeatable and came(had[move.id]) < came(row))
        place = next(older, len(moves))
        back = _of_row(kept, row)
        if row.state is not State.APPLIED:
            # It goes on to where it was going, and stays where that is nowhere.
            moves[place:place] = [back] if back.former else []
            continue
        versions = (row, *replaced(row, histories.get(row.id, ())))
        stays = next((one for one in versions if came(one) <= came(end)), row)
        moves[place:place] = _through(back, versions, stays)
    return moves


def _of_row(drop: PlannedMove, row: Applied) -> PlannedMove:
    """Give the move that takes a delta back in the version that a tenant has, to the one that this has replaced."""
    back = drop
    if row.digest != drop.digest:
        back = PlannedMove(way=Way.REVERSE, id=drop.id, underived=True, repeatable=drop.repeatable)
    former = decode_mark(row.captured).former
    if drop.repeatable and former:
        # That comes back, and can be taken back then.
        captured = row.captured if row.state is State.APPLIED else encode_mark(Mark(former=former))
        back = msgspec.structs.replace(back, former=former, captured=captured)
    return back


def _through(drop: PlannedMove, versions: Sequence[Applied], stays: Applied | None) -> list[PlannedMove]:
    """Give the move that takes a repeatable delta back to one of its versions; none where it is that already.

    Args:
        drop: What takes back the newest one.
        versions: All that there are, the newest first.
        stays: The one that comes back, None for none.
    """
    now = versions[0]
    if stays is not None and stays.digest == now.digest:
        return []
    newer = versions[1:] if stays is None else versions[1 : versions.index(stays)]
    former = stays.digest if stays is not None else decode_mark(versions[-1].captured).former
    through = tuple(one.digest for one in newer)
    return [msgspec.structs.replace(drop, former=former, through=through, captured=now.captured)]


def _gone(row: Applied, wish: SqlWish) -> PlannedMove:
    """Give the move that takes back a delta without a file."""
    if wish.dropped_run and decode_mark(row.captured).adopted:
        return _struck_out(row, "")
    return PlannedMove(way=Way.REVERSE, id=row.id, underived=True)


def _struck_out(row: Applied, name: str) -> PlannedMove:
    """Give the move that takes back a run which only recorded a delta: its row goes, and what it is about stays."""
    return PlannedMove(
        way=Way.REVERSE,
        id=row.id,
        name=name,
        reverse=row.reverse,
        irreversible=row.irreversible,
        captured=row.captured,
        recorded=True,
    )


def _goes(row: Applied, wish: SqlWish) -> bool:
    """Say whether a delta goes of which the wish knows nothing."""
    if wish.dropped_run:
        return row.run == wish.dropped_run
    return wish.dropped_after is not None and row.id > wish.dropped_after


def _lacking(row: Applied, wanted: PlannedMove, *, accept_edit: bool) -> list[PlannedMove]:
    """Give what takes a row that is not as wanted there; nothing where only a person may say so."""
    if row.state is State.REVERSING:
        return [PlannedMove(way=Way.REVERSE, id=row.id, digest=row.digest, underived=True), wanted]
    # What stopped half-way has left nothing in the history: what it was to replace is replaced.
    half_way = row.state is State.APPLYING and wanted.repeatable
    former = decode_mark(row.captured).former if half_way else row.digest
    if row.digest == wanted.digest:
        return [msgspec.structs.replace(wanted, captured=encode_mark(Mark(former=former)))] if half_way else [wanted]
    if wanted.repeatable:
        return [msgspec.structs.replace(wanted, former=row.digest, captured=encode_mark(Mark(former=former)))]
    if accept_edit:
        return [msgspec.structs.replace(wanted, former=row.digest, pieces=(), check=(), verify=(), recorded=True)]
    return []


def opposite(moves: Iterable[PlannedMove]) -> tuple[PlannedMove, ...]:
    """Give the moves that take back what these do."""
    return tuple(map(_opposite, reversed(list(moves))))


def _opposite(move: PlannedMove) -> PlannedMove:
    if move.way is Way.APPLY:
        return msgspec.structs.replace(move, way=Way.REVERSE)
    if move.through:
        # What is repeatable comes in one step, whatever versions it had in between.
        mark = encode_mark(Mark(former=move.former))
        return msgspec.structs.replace(move, way=Way.APPLY, through=(), captured=mark)
    return msgspec.structs.replace(move, way=Way.APPLY)


def alone_where_needed(
    moves: Iterable[PlannedMove], rows: Iterable[Applied], dialect: Dialect, histories: Histories | None = None
) -> tuple[PlannedMove, ...]:
    """Give these moves; those that take back run without a transaction where what they execute can't stand in one.

    Args:
        moves: In order.
        rows: The ledger, which says what they execute; where it has no row of one, the move says it.
        dialect: How that is read.
        histories: What left the ledger, of deltas that go with their former versions.
    """
    had = {row.id: row for row in rows}
    past = histories or {}
    return tuple(
        msgspec.structs.replace(move, alone=True) if _needs_to_be_alone(move, had.get(move.id), dialect, past) else move
        for move in moves
    )


def _needs_to_be_alone(move: PlannedMove, row: Applied | None, dialect: Dialect, histories: Histories) -> bool:
    # What was replaced is restored with its row, and of what is recorded nothing is executed.
    if move.way is Way.APPLY or move.alone or move.recorded or move.former or dialect is Dialect.MYSQL:
        return False
    if row is not None and row.state is not State.APPLIED:
        # It stopped at a step, and only steps tell what is left.
        return True
    texts = [row.reverse if row is not None else move.reverse]
    if row is not None and move.through:
        texts += (one.reverse for one in along(row, move.through, histories.get(row.id, ()), row.id))
    return any(alone(tuple(split(text, dialect)), dialect) for text in texts)


def standing(rows: Iterable[Applied], moves: Sequence[PlannedMove]) -> Standing:
    """Say where a tenant with this ledger stands relative to these moves."""
    had = {row.id: row for row in rows}
    first = {move.id: move for move in reversed(moves)}
    last = {move.id: move for move in moves}
    ends = [_place(had.get(id), move) for id, move in last.items()]
    if all(end is Standing.AFTER for end in ends):
        return Standing.AFTER
    starts = [_place(had.get(id), move) for id, move in first.items()]
    if all(start is Standing.BEFORE for start in starts):
        return Standing.BEFORE
    if Standing.FOREIGN in ends and Standing.FOREIGN in starts:
        return Standing.FOREIGN
    return Standing.BETWEEN


def left(rows: Iterable[Applied], moves: Iterable[PlannedMove]) -> str:
    """Say what a tenant between these moves has of their deltas."""
    had = {row.id: row for row in rows}
    found = [had[id] for id in dict.fromkeys(move.id for move in moves) if id in had]
    whole = [row.id for row in found if row.state is State.APPLIED]
    told = [f"{whole[0]} is applied" if len(whole) == 1 else f"{len(whole)} of its deltas are applied"] if whole else []
    for row in found:
        steps = f"{row.step} of {counted(row.steps, 'step')}"
        if row.state is State.APPLYING:
            told.append(f"{row.id} stopped after {steps}")
        elif row.state is State.REVERSING:
            told.append(f"{row.id} was taken back by {steps}")
    return "; ".join(told)


def remaining(rows: Iterable[Applied], moves: Sequence[PlannedMove]) -> tuple[PlannedMove, ...]:
    """Give the moves that a tenant with this ledger still has to make."""
    had = {row.id: row for row in rows}
    last = {move.id: move for move in moves}
    arrived = {id for id, move in last.items() if _place(had.get(id), move) is Standing.AFTER}
    return tuple(
        move
        for move in moves
        if move.id not in arrived and (last[move.id] is move or _place(had.get(move.id), move) is not Standing.AFTER)
    )


def head_after(rows: Iterable[Applied], moves: Iterable[PlannedMove]) -> Head:
    """Give the head of a ledger with these rows once these moves were made."""
    lines: dict[str, tuple[str, str]] = {row.id: (row.digest, row.state.value) for row in rows}
    for move in moves:
        if move.way is Way.APPLY:
            lines[move.id] = (move.digest, State.APPLIED.value)
        elif move.former:
            # What it replaced comes back.
            lines[move.id] = (move.former, State.APPLIED.value)
        else:
            lines.pop(move.id, None)
    return head_of((id, digest, state) for id, (digest, state) in lines.items())


def _place(row: Applied | None, move: PlannedMove) -> Standing:
    if move.way is Way.REVERSE:
        return _place_of_reverse(row, move)
    if row is None:
        return Standing.FOREIGN if move.former else Standing.BEFORE
    if row.digest == move.digest:
        return Standing.AFTER if row.state is State.APPLIED else Standing.BETWEEN
    return Standing.BEFORE if move.former and row.digest == move.former else Standing.FOREIGN


def _place_of_reverse(row: Applied | None, move: PlannedMove) -> Standing:
    if row is None:
        return Standing.AFTER
    if row.digest == move.former:
        return Standing.AFTER
    if move.digest and row.digest != move.digest:
        return Standing.FOREIGN
    return Standing.BEFORE if row.state is State.APPLIED else Standing.BETWEEN
