"""What the members of a fleet are wished to have: made once for all where no placeholder tells them apart."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

from pdelta.app.context import Context
from pdelta.app.sql.apply import ApplyOptions
from pdelta.app.sql.deltas import Delta, Deltas, Settled
from pdelta.app.sql.fleet import Fleet, Member, with_servers
from pdelta.app.sql.rollout import Wishing
from pdelta.formats.sql_moves import PlannedMove, SqlWish

if TYPE_CHECKING:
    from pdelta.sql.scope import Scope


def applying(deltas: Deltas, options: ApplyOptions) -> Wishing:
    """Give what wishes that tenants and servers have the deltas up to the last one that is asked for."""
    wanted = deltas.until(options.to) if options.to else deltas.all
    # One that stands for nothing else, because that is gone, is where a tenant without any delta begins.
    begin = next((delta for delta in wanted if delta.script.baseline and not delta.holds), None)

    def wish(member: Member, settled: Settled) -> SqlWish:
        return wish_of(deltas, wanted, member, settled, begin=begin, accept_edit=options.accept_edit)

    return wish if deltas.asks_for_values else alike(wish)


def wish_of(
    deltas: Deltas,
    wanted: Sequence[Delta],
    member: Member,
    settled: Settled,
    *,
    begin: Delta | None,
    accept_edit: bool = False,
) -> SqlWish:
    """Give the wish that one member has some deltas.

    Args:
        deltas: All there are.
        wanted: Those of them; baselines among them are passed over.
        member: Who.
        settled: Those whose reverse need not be derived.
        begin: The baseline that it begins with where it has no delta; None for none.
        accept_edit: Whether an edited delta counts as the one that it has.
    """

    def moves(some: Sequence[Delta]) -> tuple[PlannedMove, ...]:
        return deltas.moves(deltas.of(member.scope, some), member.tenant.name, member.tenant.values, settled)

    return SqlWish(
        wanted=moves([delta for delta in wanted if not delta.script.baseline]),
        baselines=moves(deltas.baselines),
        begin=begin.script.id if begin is not None else "",
        accept_edit=accept_edit,
    )


def alike(wishing: Wishing) -> Wishing:
    """Give the same, made once for all of one scope: equal wishes are to be one object."""
    made: dict[Scope, SqlWish] = {}

    def wish(member: Member, settled: Settled) -> SqlWish:
        if member.scope not in made:
            made[member.scope] = wishing(member, settled)
        return made[member.scope]

    return wish


def members_of(fleet: Fleet, deltas: Deltas, context: Context, only: Sequence[str]) -> AbstractContextManager[None]:
    """Let a fleet hold its servers where a delta is for them, and all of the fleet is meant."""
    return with_servers(fleet, context, only) if deltas.have_servers else nullcontext()
