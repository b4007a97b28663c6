"""``pdelta sql apply``: every tenant gets the deltas that it lacks.

Finding out that none lacks any costs the heads alone: no ledger is read, no file parsed, and what carries deltas out
is not even imported.
"""

import time
from contextlib import nullcontext
from typing import TYPE_CHECKING

import msgspec

from pdelta import idle
from pdelta.app.context import Context
from pdelta.app.sql.fleet import ASKING, CARRYING, Fleet, open_fleet
from pdelta.app.sql.memory import Memory, states_of
from pdelta.app.sql.outcome import RolloutOptions, RolloutOutcome
from pdelta.app.sql.scripts import Files, folder_of, read_files
from pdelta.databases.base import Glance
from pdelta.sql.ledger import Head

if TYPE_CHECKING:
    from pdelta.app.sql.deltas import Deltas
    from pdelta.engine.journal import Journal


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
    began = time.monotonic()
    idle.expect((*ASKING, *CARRYING) if rollout.prove else CARRYING)
    with open_fleet(context, options.database, options.only, trust_stamps=options.trust_stamps) as fleet:
        files = read_files(folder_of(context, fleet.section))
        memory = Memory(fleet.section, fleet.database, files, context)
        deltas = None
        if memory.is_empty:
            deltas = _learnt(memory, files, fleet, context)
        lacking = _lacking(fleet, memory, options)
        is_tried = rollout.dry_run or rollout.rehearse
        if not lacking and (is_tried or _is_ended(fleet, memory, context)):
            count = len(fleet.tenants)
            return RolloutOutcome(
                database=fleet.section.name,
                tenants=count,
                settled=count,
                duration_s=time.monotonic() - began,
                dry_run=rollout.dry_run,
            )
        if not rollout.dry_run and memory.heads(options.to):
            # Of who has it already a ledger tells that its reverse was proved.
            fleet.database.prepare(lacking, proving=rollout.prove and lacking == len(fleet.tenants))
        from pdelta.app.runs import open_journal
        from pdelta.app.sql.across import Across
        from pdelta.app.sql.deltas import deltas_in
        from pdelta.app.sql.rollout import roll_out
        from pdelta.app.sql.wishes import applying, members_of

        deltas = deltas or deltas_in(files, fleet, context)
        # Only what is to be written makes one, or opens it.
        with nullcontext() if is_tried or not context.journal.exists() else open_journal(context) as journal:
            with members_of(fleet, deltas, context, options.only):
                requirements = Across(fleet, deltas, context)
                wishing = applying(deltas, options)
                outcome = roll_out(fleet, wishing, rollout, context, across=requirements, journal=journal)
            if not is_tried:
                _is_ended(fleet, memory, context, journal)
        return outcome


def _learnt(memory: Memory, files: Files, fleet: Fleet, context: Context) -> "Deltas":
    """Read the files, and remember what they say."""
    from pdelta.app.sql.deltas import deltas_in

    deltas = deltas_in(files, fleet, context)
    memory.learn(deltas.outline)
    return deltas


def _lacking(fleet: Fleet, memory: Memory, options: ApplyOptions) -> int:
    """Give of how many tenants the head is none of those that lack no delta, and have nothing else.

    Where no head tells that, as deltas of servers stand in none, it is all of them, and never 0.
    """
    heads = memory.heads(options.to)
    if not heads:
        return max(1, len(fleet.tenants))
    said = fleet.database.hearsay([tenant.name for tenant in fleet.tenants])
    behind = {name: one for name, one in said.items() if one.head not in heads}
    # Who is said to lack something is believed: its transaction will see. Nobody is believed to have all.
    glances = fleet.look(behind)
    trusting = options.trust_stamps
    return sum(not _is_at(glances.get(tenant.name), heads, trusting=trusting) for tenant in fleet.tenants)


def _is_at(glance: Glance | Exception | None, heads: tuple[Head, ...], *, trusting: bool) -> bool:
    if not isinstance(glance, Glance) or not glance.managed or glance.head not in heads:
        return False
    return trusting or not glance.advisory


def _is_ended(fleet: Fleet, memory: Memory, context: Context, kept: "Journal | None" = None) -> bool:
    """Say whether no run on the fleet is open in the journal, and remember it."""
    journal = context.journal
    states = states_of(journal)
    if memory.trusts(states):
        return True
    from pdelta.app.sql.rollout import has_open_runs

    if has_open_runs(fleet, context, kept):
        return False
    if states_of(journal) == states:
        memory.learn_ended(states)
    return True
