"""``pdelta sql rollback``: deltas are taken back, as each tenant's own ledger says."""

import msgspec

from pdelta.app.context import Context
from pdelta.app.sql.across import Across
from pdelta.app.sql.deltas import Delta, Deltas, Settled, read_deltas
from pdelta.app.sql.fleet import Fleet, Member, open_fleet
from pdelta.app.sql.outcome import RolloutOptions, RolloutOutcome
from pdelta.app.sql.rollout import Wishing, operation_for, roll_out
from pdelta.app.sql.wishes import alike, members_of
from pdelta.errors import PdeltaError, UsageError
from pdelta.formats.sql_moves import PlannedMove, SqlWish
from pdelta.model.run import RUN_PREFIX
from pdelta.sql.ledger import Way


class RollbackOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be taken back, and where.

    Attributes:
        database: The section's name; empty where there is only one.
        only: Names, globs and ``tag:NAME`` of tenants; empty for all.
        to: The last delta that is to stay; ``0`` for none; empty for the newest to go alone.
        run: The run whose deltas are to be taken back; empty for whichever applied them.
        accept_loss: Whether data may be lost that only the deltas made room for.
    """

    database: str = ""
    only: tuple[str, ...] = ()
    to: str = ""
    run: str = ""
    accept_loss: bool = False


def roll_back(options: RollbackOptions, rollout: RolloutOptions, context: Context) -> RolloutOutcome:
    """Take deltas back.

    Raises:
        UsageError: Both a delta and a run are named, or there is none of that name, or nothing to take back.
        PdeltaError: As ``roll_out``.
    """
    check(options)
    with open_fleet(context, options.database, options.only) as fleet:
        if not rollout.dry_run:
            fleet.database.prepare()
        deltas = read_deltas(fleet, context)
        if options.to or options.run:
            # Who is said to have something is believed: its transaction will see.
            fleet.look(fleet.database.hearsay([tenant.name for tenant in fleet.tenants]))
        with members_of(fleet, deltas, context, options.only):
            wishing, across = reversing(fleet, deltas, options, context), Across(fleet, deltas, context)
            return roll_out(fleet, wishing, rollout, context, backwards=True, across=across)


def check(options: RollbackOptions) -> None:
    """Refuse what contradicts itself.

    Raises:
        UsageError: Both a delta and a run are named, or the run is none.
    """
    if options.to and options.run:
        raise UsageError("--to and --run say different things", hint="give one of them")
    if options.run and not options.run.startswith(RUN_PREFIX):
        raise UsageError(f"{options.run!r} is no id of a run", hint=f"it begins with {RUN_PREFIX}")


def reversing(fleet: Fleet, deltas: Deltas, options: RollbackOptions, context: Context) -> Wishing:
    """Give what wishes that tenants and servers have none of the deltas that are to be taken back.

    Raises:
        UsageError: There is no such delta, or none to take back.
    """
    after = _last_to_stay(fleet, deltas, options, context)
    first = deltas.place(after) + 1 if after and not options.run else 0
    dropped = deltas.all[first:]

    def wish(member: Member, _settled: Settled) -> SqlWish:
        # Each ledger knows the way back; nothing need be derived for it.
        moves = deltas.moves(deltas.of(member.scope, dropped), member.tenant.name, member.tenant.values, deltas.known)
        return _wish(moves, deltas.ids[:first], options, after)

    return wish if deltas.asks_for_values else alike(wish)


def _wish(dropped: tuple[PlannedMove, ...], staying: tuple[str, ...], options: RollbackOptions, after: str) -> SqlWish:
    return SqlWish(
        dropped=tuple(msgspec.structs.replace(move, way=Way.REVERSE) for move in reversed(dropped)),
        dropped_run=options.run,
        dropped_after=None if options.run else after,
        # An id says nothing of the order where a header chose it, a requirement moved it, or another tool counts.
        staying=staying,
        accept_loss=options.accept_loss,
    )


def _last_to_stay(fleet: Fleet, deltas: Deltas, options: RollbackOptions, context: Context) -> str:
    """Give the id of the last delta that stays; empty where none does."""
    if options.run or options.to == "0":
        return ""
    if options.to:
        return deltas.all[deltas.place(options.to)].script.id
    had = _had(fleet, context)
    # The row of a baseline that stands for others is no delta: it goes with the first of those.
    places = [place for place, delta in enumerate(deltas.all) if delta.script.id in had and not delta.holds]
    unknown = had - set(deltas.ids)
    if not places and not unknown:
        raise UsageError(f"no tenant of {fleet.section.name} has a delta that could be taken back")
    newest: Delta | None = deltas.all[places[-1]] if places else None
    if newest is None or any(id > newest.script.id for id in unknown):
        # Newer than every file that is left: it goes alone.
        return newest.script.id if newest is not None else ""
    return deltas.all[places[-1] - 1].script.id if places[-1] else ""


def _had(fleet: Fleet, context: Context) -> set[str]:
    fleet.look()
    operation = operation_for(fleet, "", RolloutOptions(), context)
    found = operation.survey(list(fleet.members))
    return {row.id for one in found.values() if not isinstance(one, PdeltaError) for row in one[1]}
