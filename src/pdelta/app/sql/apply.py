"""``pdelta sql apply``: every tenant gets the deltas that it lacks."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING

import msgspec

from pdelta.app.context import Context
from pdelta.app.sql.deltas import Deltas, Settled, read_deltas
from pdelta.app.sql.fleet import Fleet, Member, open_fleet, with_servers
from pdelta.app.sql.outcome import RolloutOptions, RolloutOutcome
from pdelta.app.sql.rollout import Wishing, roll_out
from pdelta.formats.sql_moves import SqlWish

if TYPE_CHECKING:
    from pdelta.sql.script import Scope


class ApplyOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be applied, and where.

    Attributes:
        database: The section's name; empty where there is only one.
        only: Names, globs and ``tag:NAME`` of tenants; empty for all.
        to: The last delta to be applied; empty for all.
        accept_edit: Whether an edited delta counts as the one that tenants have.
        trust_stamps: Whether what may be hearsay proves that there is nothing to do.
    """

    database: str = ""
    only: tuple[str, ...] = ()
    to: str = ""
    accept_edit: bool = False
    trust_stamps: bool = False


def apply(options: ApplyOptions, rollout: RolloutOptions, context: Context) -> RolloutOutcome:
    """Apply what is lacking.

    Raises:
        PdeltaError: As ``roll_out``; the deltas can't be read; there is no such section, tenant or delta.
    """
    with open_fleet(context, options.database, options.only, trust_stamps=options.trust_stamps) as fleet:
        deltas = read_deltas(fleet, context)
        with members_of(fleet, deltas, context, options.only):
            return roll_out(fleet, applying(deltas, options), rollout, context)


def applying(deltas: Deltas, options: ApplyOptions) -> Wishing:
    """Give what wishes that tenants and servers have the deltas up to the last one that is asked for."""
    wanted = deltas.until(options.to) if options.to else deltas.all

    def wish(member: Member, settled: Settled) -> SqlWish:
        moves = deltas.moves(deltas.of(member.scope, wanted), member.tenant.name, member.tenant.values, settled)
        return SqlWish(wanted=moves, accept_edit=options.accept_edit)

    return wish if deltas.asks_for_values else alike(wish)


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
