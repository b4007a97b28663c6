"""Which deltas go, and what their tenants and servers are wished to have instead."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import msgspec

from pdelta.app.context import Context
from pdelta.app.sql.deltas import Delta, Deltas, Settled
from pdelta.app.sql.fleet import Fleet, Member
from pdelta.app.sql.outcome import RolloutOptions
from pdelta.app.sql.rollout import Wishing, operation_for
from pdelta.app.sql.wishes import alike
from pdelta.errors import PdeltaError, UsageError
from pdelta.formats.sql_moves import PlannedMove, SqlWish
from pdelta.model.course import OnFailure
from pdelta.sql.ledger import Applied, Way

if TYPE_CHECKING:
    from pdelta.app.sql.rollback import RollbackOptions


def reversing(
    fleet: Fleet, deltas: Deltas, options: "RollbackOptions", rollout: RolloutOptions, context: Context
) -> Wishing:
    """Give what wishes that tenants and servers have none of the deltas that are to be taken back.

    Args:
        fleet: Which.
        deltas: All that there are.
        options: What is to be taken back.
        rollout: How that goes: whether all of it comes back where one tenant fails.
        context: The command's surroundings.

    Raises:
        UsageError: There is no such delta, or none to take back.
    """
    cut = _cut(fleet, deltas, options, context)
    # What stays in the version that it had there.
    kept = [delta for delta in deltas.all[: cut.first] if cut.until and delta.script.repeatable]
    dropped = deltas.all[cut.first :]
    gone = tuple(PlannedMove(way=Way.REVERSE, id=id, underived=True) for id in cut.gone)
    # Each ledger knows the way back; nothing need be derived for it, unless all of it may have to come back.
    known = frozenset() if rollout.on_failure is OnFailure.REVERSE else deltas.known

    def wish(member: Member, _settled: Settled) -> SqlWish:
        moves = deltas.moves(deltas.of(member.scope, dropped), member.tenant.name, member.tenant.values, known)
        back = (msgspec.structs.replace(move, way=Way.REVERSE) for move in reversed(moves))
        held = deltas.moves(deltas.of(member.scope, kept), member.tenant.name, member.tenant.values, known)
        return SqlWish(
            dropped=(*gone, *back),
            until=cut.until,
            kept=tuple(msgspec.structs.replace(move, way=Way.REVERSE) for move in held),
            dropped_run=options.run,
            dropped_version=cut.version,
            dropped_after=cut.after,
            # An id says nothing of the order where a header chose it, a requirement moved it, or another tool counts.
            staying=(*deltas.ids[: cut.first], *cut.staying),
            accept_loss=options.accept_loss,
        )

    return wish if deltas.asks_for_values else alike(wish)


class _Cut(msgspec.Struct, frozen=True):
    """Where what goes begins.

    Attributes:
        first: The place of the first file whose delta goes.
        after: Deltas without a file go whose ids come after it; None for those in ``gone`` alone.
        gone: Deltas without a file that go.
        staying: Those that stay.
        until: The last one that stays, empty for none; None where nobody named it.
        version: The digest of the delta that goes, where that is repeatable: who has an older one was there already.
    """

    first: int
    after: str | None = None
    gone: tuple[str, ...] = ()
    staying: tuple[str, ...] = ()
    until: str | None = None
    version: str = ""


def _cut(fleet: Fleet, deltas: Deltas, options: "RollbackOptions", context: Context) -> _Cut:
    if options.run:
        return _Cut(0)
    if options.to == "0":
        return _Cut(0, "", until="")
    if options.to:
        return _cut_behind(options.to.removesuffix(".sql"), fleet, deltas, context)
    had = _had(fleet, context)
    # The row of a baseline that stands for others is no delta: it goes with the first of those.
    places = [place for place, delta in enumerate(deltas.all) if delta.script.id in had and not delta.holds]
    # Of a delta whose file is gone its id is all that tells when it came.
    unknown = sorted(had.keys() - set(deltas.ids))
    if unknown and (not places or unknown[-1] > deltas.ids[places[-1]]):
        return _Cut(len(deltas.all), gone=(unknown[-1],), staying=tuple(unknown[:-1]))
    if not places:
        raise UsageError(f"no tenant of {fleet.section.name} has a delta that could be taken back")
    newest = deltas.all[places[-1]]
    return _Cut(places[-1], staying=tuple(unknown), version=_newest(had[newest.script.id], newest))


def _newest(rows: Sequence[Applied], delta: Delta) -> str:
    """Give the digest of the newest version that there is of a repeatable delta; empty for any other delta."""
    if not delta.script.repeatable:
        return ""
    return max(rows, key=lambda row: (row.at, row.digest == delta.digest)).digest


def _cut_behind(name: str, fleet: Fleet, deltas: Deltas, context: Context) -> _Cut:
    try:
        place = deltas.place(name)
    except UsageError:
        if name not in _had(fleet, context):
            raise
        # Its file is gone: what goes are the deltas whose ids come after its own.
        older = [place for place, id in enumerate(deltas.ids) if id < name]
        return _Cut(older[-1] + 1 if older else 0, name, until=name)
    return _Cut(place + 1, deltas.ids[place], until=deltas.ids[place])


def _had(fleet: Fleet, context: Context) -> Mapping[str, Sequence[Applied]]:
    """Give the rows that tenants have, by their deltas."""
    fleet.look()
    operation = operation_for(fleet, "", RolloutOptions(), context)
    found = operation.survey(list(fleet.members))
    rows = defaultdict[str, list[Applied]](list)
    # Nearly all tenants of a fleet have the very same ones.
    for held in {id(one[1]): one[1] for one in found.values() if not isinstance(one, PdeltaError)}.values():
        for row in held:
            rows[row.id].append(row)
    return rows
