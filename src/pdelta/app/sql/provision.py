"""``pdelta sql provision``: a new tenant, from nothing to all deltas, by the newest baseline and what comes behind it.

Killed at any moment, the same command goes on: what is there already is left as it is, and a tenant that has deltas
gets those that it lacks.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from pdelta.app.context import Context
from pdelta.app.sql.across import Across
from pdelta.app.sql.apply import ApplyOptions
from pdelta.app.sql.compose import open_database
from pdelta.app.sql.deltas import Delta, Deltas, Settled, deltas_in
from pdelta.app.sql.findings import named
from pdelta.app.sql.fleet import Fleet, Member, section_of
from pdelta.app.sql.outcome import RolloutOptions, RolloutOutcome
from pdelta.app.sql.rollout import Wishing, draft, operation_for, roll_out
from pdelta.app.sql.scripts import folder_of, read_files
from pdelta.app.sql.wishes import applying, wish_of
from pdelta.databases.base import Database, Glance, Tenant
from pdelta.engine.preflight import refusal
from pdelta.errors import Cause, DatabaseError, PdeltaError, PreflightError, UsageError
from pdelta.formats.database import DatabaseSection
from pdelta.formats.sql_moves import SqlWish
from pdelta.formats.tenants import is_excluded
from pdelta.model.course import OnFailure
from pdelta.operations.sql.reckon import reckon
from pdelta.sql.ledger import Applied, State
from pdelta.sql.token import Dialect

_OBJECTS: Final = {
    Dialect.SQLITE: "SELECT count(*) FROM sqlite_master",
    Dialect.POSTGRESQL: "SELECT count(*) FROM pg_class WHERE relnamespace ="
    " (SELECT n.oid FROM pg_namespace AS n WHERE n.nspname = current_schema())"
    " AND oid NOT IN (SELECT objid FROM pg_depend WHERE classid = 'pg_class'::regclass AND deptype = 'e')",
    Dialect.MYSQL: "SELECT count(*) FROM information_schema.tables WHERE table_schema = database()",
}
"""How much a tenant holds: deltas are for one that is empty, or has a ledger."""


class ProvisionOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Which tenants are to be there, and how far.

    Attributes:
        tenants: Their names.
        database: The section's name; empty where there is only one.
        server: On which of several servers they are made; empty where that is clear.
        to: The last delta that they get; empty for all.
    """

    tenants: tuple[str, ...]
    database: str = ""
    server: str = ""
    to: str = ""


class Provisioned(msgspec.Struct, frozen=True, kw_only=True):
    """What became of it.

    Attributes:
        made: The tenants that were not there before; of a dry run, those that would be made.
        baseline: The id of the baseline that tenants without a delta begin with; empty for none.
        moves: What those that a dry run would make would get, in order; what is only recorded begins with ``*``.
        rollout: How the deltas came to the tenants; of a dry run, to those that are there.
    """

    made: tuple[str, ...]
    baseline: str
    moves: tuple[str, ...]
    rollout: RolloutOutcome


def provision(options: ProvisionOptions, rollout: RolloutOptions, context: Context) -> Provisioned:
    """Bring tenants into being, and give them their deltas.

    Raises:
        UsageError: A name is none that the section covers, or nothing says on which server it is to be.
        PreflightError: A tenant holds something and has no ledger, so that it is not new; or what is there can be none.
        PdeltaError: As ``roll_out``; the deltas can't be read; a tenant can't be made.
    """
    section = section_of(context, options.database)
    files = read_files(folder_of(context, section))
    with open_database(section, context) as database:
        _check_names(database, section, options.tenants)
        names = tuple(dict.fromkeys(options.tenants))
        deltas = deltas_in(files, Fleet(section, database, ()), context)
        baseline = _baseline(deltas, options.to)
        # What fails in one is no reason to leave the others; and nothing of a new tenant need be taken back.
        ways = msgspec.structs.replace(rollout, waves="all", on_failure=OnFailure.CONTINUE, prove=False)
        listed = _listed(database)
        missing = _missing(database, names, listed)
        there = [name for name in names if name not in missing]
        _refuse_foreign(database, there)
        fleet = Fleet(section, database, _tenants(database, there, listed))
        had = _ledgers(fleet, context)
        wishing = _wishing(deltas, options, baseline, had)
        moves = _foreseen(fleet, wishing, missing, listed)
        made = missing
        if missing and not rollout.dry_run:
            # Whatever is refused is refused before anything is made.
            across = Across(fleet, deltas, context)
            wanted = {id.removeprefix("*") for ids in moves for id in ids}
            unfit = across.misfits({id for ids in moves for id in ids})
            error = refusal([*draft(fleet, wishing, ways, context).findings, *unfit, *across.lacking(wanted)])
            if error is not None:
                raise error
            made = _make(database, missing, options.server)
            # Somebody else was quicker there.
            _refuse_foreign(database, [name for name in missing if name not in made])
            fleet = Fleet(section, database, _tenants(database, names, _listed(database)))
            had.update(_ledgers(fleet, context))
        return Provisioned(
            made=made,
            baseline=baseline.script.id if baseline is not None else "",
            moves=moves[0] if moves and rollout.dry_run else (),
            rollout=roll_out(fleet, wishing, ways, context, across=Across(fleet, deltas, context)),
        )


def _check_names(database: Database, section: DatabaseSection, names: Sequence[str]) -> None:
    others = [name for name in names if is_excluded(section, name) or not database.covers(name)]
    if others:
        raise UsageError(
            f"{', '.join(map(repr, others))}: no tenant of {section.name} is called so; nothing was made",
            hint="let tenants in pdelta.toml mean it first, or list it where its query reads: else nobody would see it",
        )


def _listed(database: Database) -> dict[str, Tenant]:
    return {tenant.name: tenant for tenant in database.tenants()}


def _missing(database: Database, names: Sequence[str], listed: Mapping[str, Tenant]) -> tuple[str, ...]:
    """Give those of these names that no tenant has yet; one may be listed before it is there."""
    seen = database.glance([name for name in names if name in listed])
    return tuple(name for name in names if _is_missing(seen.get(name)))


def _is_missing(seen: Glance | Exception | None) -> bool:
    return seen is None or (isinstance(seen, DatabaseError) and seen.cause is Cause.MISSING)


def _make(database: Database, names: Sequence[str], server: str) -> tuple[str, ...]:
    """Make tenants, and give those of them that nobody else made meanwhile.

    Raises:
        UsageError: Nothing says on which server.
        DatabaseError: One can't be made; those before it are told.
    """
    made: list[str] = []
    for name in names:
        try:
            if database.create(name, lane=server):
                made.append(name)
        except DatabaseError as error:
            done = f"; {named(made)} made before, and empty yet" if made else ""
            raise DatabaseError(
                error.message + done,
                cause=error.cause,
                sqlstate=error.sqlstate,
                reason=error.reason,
                hint=error.hint or "once that is mended, or somebody else has made it, the same command goes on",
            ) from error
    return tuple(made)


def _tenants(database: Database, names: Sequence[str], listed: Mapping[str, Tenant]) -> list[Tenant]:
    """Give tenants as they are listed.

    Raises:
        PreflightError: One is there, and nobody may use it.
    """
    unlisted = [name for name in names if name not in listed]
    if unlisted:
        raise PreflightError(
            f"{named(unlisted)}: there, and no tenant of {database.name}; no delta was applied",
            hint="a template or a database that takes no connections can be none; choose another name",
        )
    return [listed[name] for name in sorted(names)]


def _baseline(deltas: Deltas, last: str) -> Delta | None:
    """Give the newest baseline up to a delta."""
    wanted = deltas.until(last) if last else deltas.all
    return next((delta for delta in reversed(wanted) if delta.script.baseline), None)


def _ledgers(fleet: Fleet, context: Context) -> dict[str, Sequence[Applied]]:
    """Give what is in the ledgers of tenants that can be read; the roll-out tells of the others."""
    found = operation_for(fleet, "", RolloutOptions(), context).survey(list(fleet.members))
    return {
        fleet.members[target].tenant.name: one[1] for target, one in found.items() if not isinstance(one, PdeltaError)
    }


def _refuse_foreign(database: Database, names: Sequence[str]) -> None:
    """Refuse tenants that hold something though no delta was ever applied to them.

    Raises:
        PreflightError: There are some.
    """
    holding: list[str] = []
    for name in _unmanaged(database, names):
        session = database.session(database.lane(name))
        try:
            if session.query(name, _OBJECTS[database.dialect])[0][0]:
                holding.append(name)
        finally:
            session.close()
    # Who got the first delta while they were looked at has a ledger by now.
    foreign = _unmanaged(database, holding)
    if foreign:
        raise PreflightError(
            "pre-flight refused, no delta was applied: not every tenant is new",
            findings=tuple(f"foreign: {name} holds tables, and has no ledger" for name in foreign),
            hint="take them in: pdelta sql adopt",
        )


def _unmanaged(database: Database, names: Sequence[str]) -> list[str]:
    """Give those of these tenants that have no ledger; who can't be read is none of them."""
    glances = database.glance(names) if names else {}
    seen = ((name, glances.get(name)) for name in names)
    return [name for name, glance in seen if isinstance(glance, Glance) and not glance.managed]


def _wishing(
    deltas: Deltas, options: ProvisionOptions, baseline: Delta | None, had: Mapping[str, Sequence[Applied]]
) -> Wishing:
    """Give what wishes that new tenants begin with the baseline, and that others get what they lack."""
    usual = applying(deltas, ApplyOptions(to=options.to))
    if baseline is None:
        return usual
    wanted = deltas.until(options.to) if options.to else deltas.all
    known = {(delta.script.id, delta.digest) for delta in deltas.all if delta.script.id in baseline.holds}
    made: list[SqlWish] = []

    def wish(member: Member, settled: Settled) -> SqlWish:
        rows = had.get(member.tenant.name, ())
        is_half = any(row.id == baseline.script.id and row.state is State.APPLYING for row in rows)
        # What a tenant's baseline stood for when it came, its ledger says; not what lies before it now.
        if rows and not is_half:
            return usual(member, settled)
        if made and not deltas.asks_for_values:
            return made[0]
        # Of what is only recorded, no reverse is derived.
        made.append(wish_of(deltas, wanted, member, settled | known, begin=baseline))
        return made[-1]

    return wish


def _foreseen(
    fleet: Fleet, wishing: Wishing, names: Sequence[str], listed: Mapping[str, Tenant]
) -> list[tuple[str, ...]]:
    """Give what each of the tenants would get that are not there yet.

    Raises:
        PdeltaError: A delta makes no sense there.
    """
    unborn = Fleet(fleet.section, fleet.database, [listed.get(name, Tenant(name)) for name in names])
    wishes = [wishing(member, frozenset()) for member in unborn.members.values()]
    return [tuple(("" if move.pieces else "*") + move.id for move in reckon((), wish).moves) for wish in wishes]
