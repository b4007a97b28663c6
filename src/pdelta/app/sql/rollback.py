"""``pdelta sql rollback``: deltas are taken back, as each tenant's own ledger says."""

from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Final

import msgspec

from pdelta import idle
from pdelta.app.context import Context
from pdelta.app.sql.fleet import CARRYING, Fleet, open_fleet
from pdelta.app.sql.outcome import RolloutOptions, RolloutOutcome
from pdelta.errors import PdeltaError, UsageError
from pdelta.model.run import RUN_PREFIX

if TYPE_CHECKING:
    from pdelta.engine.journal import Journal

REVERSING: Final = "pdelta.app.sql.reversing"


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
        UsageError: Both a delta and a run are named, or there is none such, or nothing to take back.
        PdeltaError: As ``roll_out``.
    """
    check(options)
    idle.expect((*CARRYING, REVERSING), surely=True)
    with open_fleet(context, options.database, options.only) as fleet:
        if not rollout.dry_run:
            fleet.database.prepare(len(fleet.tenants))
        if options.to or options.run:
            # Who is said to have something is believed: its transaction will see.
            fleet.look(fleet.database.hearsay([tenant.name for tenant in fleet.tenants]))
        from pdelta.app.runs import open_journal
        from pdelta.app.sql.across import Across
        from pdelta.app.sql.deltas import read_deltas
        from pdelta.app.sql.reversing import reversing
        from pdelta.app.sql.rollout import roll_out
        from pdelta.app.sql.wishes import members_of

        deltas = read_deltas(fleet, context)
        # Only what is to be written makes one, or opens it.
        is_written = context.journal.exists() and not (rollout.dry_run or rollout.rehearse)
        with (
            members_of(fleet, deltas, context, options.only),
            open_journal(context) if is_written else nullcontext() as journal,
        ):
            if options.run and not _is_known(options.run, fleet, context, journal):
                raise UsageError(
                    f"neither a ledger of {fleet.section.name} nor the journal here knows a run {options.run!r}",
                    hint="--to names the last delta that is to stay instead",
                )
            across = Across(fleet, deltas, context)
            wishing = reversing(fleet, deltas, options, rollout, context)
            return roll_out(fleet, wishing, rollout, context, backwards=True, across=across, journal=journal)


def check(options: RollbackOptions) -> None:
    """Refuse what contradicts itself.

    Raises:
        UsageError: Both a delta and a run are named, or the run is none.
    """
    if options.to and options.run:
        raise UsageError("--to and --run say different things", hint="give one of them")
    if options.run and not options.run.startswith(RUN_PREFIX):
        raise UsageError(f"{options.run!r} is no id of a run", hint=f"it begins with {RUN_PREFIX}")


def _is_known(run: str, fleet: Fleet, context: Context, kept: "Journal | None") -> bool:
    """Say whether there was such a run; so it may be, too, where a ledger can't be read."""
    from pdelta.app.runs import open_journal
    from pdelta.app.sql.rollout import operation_for

    if context.journal.exists():
        # Whoever only asks need not be able to read it: the ledgers know, too.
        with suppress(PdeltaError), open_journal(context, kept) as journal:
            journal.read(run)
            return True
    found = operation_for(fleet, "", RolloutOptions(), context).survey(list(fleet.members), own=True)
    return any(isinstance(one, PdeltaError) or any(row.run == run for row in one[1]) for one in found.values())
