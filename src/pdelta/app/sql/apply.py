"""``pdelta sql apply``: every tenant gets the deltas that it lacks."""

import msgspec

from pdelta.app.context import Context
from pdelta.app.sql.deltas import Deltas, read_deltas
from pdelta.app.sql.fleet import Fleet, open_fleet
from pdelta.app.sql.rollout import RolloutOptions, RolloutOutcome, Wishing, roll_out
from pdelta.databases.base import Tenant
from pdelta.formats.sql_moves import SqlWish
from pdelta.formats.tenants import values_of


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
        return roll_out(fleet, applying(fleet, deltas, options), rollout, context)


def applying(fleet: Fleet, deltas: Deltas, options: ApplyOptions) -> Wishing:
    """Give what wishes that tenants have the deltas up to the last one that is asked for."""
    wanted = deltas.until(options.to) if options.to else deltas.all
    if not deltas.asks_for_values:
        same = SqlWish(wanted=deltas.moves(wanted, "", {}), accept_edit=options.accept_edit)
        return lambda _tenant: same

    def wish(tenant: Tenant) -> SqlWish:
        values = values_of(fleet.section, tenant.name, tenant.values)
        return SqlWish(wanted=deltas.moves(wanted, tenant.name, values), accept_edit=options.accept_edit)

    return wish
