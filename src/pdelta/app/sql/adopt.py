"""``pdelta sql adopt``: takes in tenants that have deltas already; ledgers are written, and nothing is executed.

What a tenant has is known from a tenant of ours that is made like it, from whoever asks, or from the table of the tool
that kept it before. Whatever is not sure is left out, by name.
"""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

import msgspec

from pdelta.app.context import Context
from pdelta.app.sql.deltas import Delta, Deltas, read_deltas
from pdelta.app.sql.findings import by_reason, named, reason_of, shortened
from pdelta.app.sql.fleet import Fleet, Member, open_fleet
from pdelta.app.sql.foreign import read_chronicles, read_taken_back
from pdelta.app.sql.likeness import Likeness, compare_with
from pdelta.app.sql.outcome import RolloutOptions, RolloutOutcome
from pdelta.app.sql.rollout import Wishing, operation_for, roll_out
from pdelta.errors import DriftError, PdeltaError, PreflightError, UsageError
from pdelta.formats.foreign.matching import match
from pdelta.formats.sql_moves import PlannedMove, SqlWish
from pdelta.operations.sql.reckon import recorded
from pdelta.sql.ledger import Applied, State, Way
from pdelta.sql.mark import Mark, decode_mark
from pdelta.sql.scope import Scope
from pdelta.sql.script import Tool

UP_TO = "up-to"
Recording = Callable[[Member], tuple[PlannedMove, ...]]
_Ledgers = Mapping[str, frozenset[str]]
"""The deltas that ledgers hold, by the names of tenants."""


class AdoptOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Which tenants are taken in, and who says what they have: one of ``up_to`` and ``tool``, or ``like`` alone.

    Attributes:
        like: A tenant; those alone are taken in that are made like it. Where nothing else says what they have, they
            have what its ledger says.
        up_to: The last delta that they have.
        tool: The tool whose table says it.
        database: The section's name; empty where there is only one.
        only: Names, globs and ``tag:NAME`` of tenants; empty for all.
        table: What the tool's table is called; empty for what it calls it by itself.
        ignore: Names and globs of entries in it that no delta need replace.
        force: Whether what is not sure is taken as it is said.
    """

    like: str = ""
    up_to: str = ""
    tool: Tool | None = None
    database: str = ""
    only: tuple[str, ...] = ()
    table: str = ""
    ignore: tuple[str, ...] = ()
    force: bool = False


class LeftOut(msgspec.Struct, frozen=True):
    """Tenants of which nothing was recorded.

    Attributes:
        tenants: Their names.
        reason: Why.
    """

    tenants: tuple[str, ...]
    reason: str


class Adopted(msgspec.Struct, frozen=True):
    """What became of it.

    Attributes:
        source: Who said what tenants have: ``like:TENANT``, ``up-to`` or a tool.
        left_out: The largest group first.
        rollout: How ledgers were written.
    """

    source: str
    left_out: tuple[LeftOut, ...]
    rollout: RolloutOutcome

    @property
    def exit_status(self) -> int:
        """Of the command."""
        return self.rollout.exit_status or (DriftError.exit_status if self.left_out else 0)


class _Verdict(msgspec.Struct, frozen=True):
    """What is recorded where.

    Attributes:
        records: By the names of tenants; of those who have the same, one object.
        left_out: Why nothing is, by name.
    """

    records: Mapping[str, Recording]
    left_out: Mapping[str, str]


def adopt(options: AdoptOptions, rollout: RolloutOptions, context: Context) -> Adopted:
    """Record what tenants have.

    Raises:
        UsageError: Nobody says what they have, or several do; there is no such tenant or delta.
        PreflightError: The tenants are not made alike, so that one delta can't be the last of all.
        PdeltaError: As ``roll_out``; a tenant to compare with can't be read.
    """
    source = _source(options)
    with open_fleet(context, options.database, options.only) as fleet:
        if options.like and options.like not in {tenant.name for tenant in fleet.database.tenants()}:
            told = f"{options.like!r} is no tenant of {fleet.section.name}"
            raise UsageError(told, hint="list them: pdelta sql status")
        deltas = read_deltas(fleet, context)
        ledgers, unfit = _ledgers(fleet, deltas, context)
        judged = _judged(fleet, deltas, ledgers, options, source)
        kept = Fleet(fleet.section, fleet.database, [one for one in fleet.tenants if one.name in judged.records])
        ways = msgspec.structs.replace(rollout, prove=False)
        outcome = roll_out(kept, _wishing(judged.records, deltas), ways, context)
        left_out = tuple(LeftOut(*group) for group in by_reason({**unfit, **judged.left_out}))
        return Adopted(source, left_out, msgspec.structs.replace(outcome, tenants=len(fleet.tenants)))


def _source(options: AdoptOptions) -> str:
    if options.up_to and options.tool:
        raise UsageError("--up-to and --from say different things", hint="give one of --up-to DELTA and --from TOOL")
    if options.up_to or options.tool:
        return str(options.tool) if options.tool else UP_TO
    if not options.like:
        told = "nothing says what the tenants have"
        raise UsageError(told, hint="give one of --like TENANT, --up-to DELTA and --from TOOL")
    return f"like:{options.like}"


def _ledgers(fleet: Fleet, deltas: Deltas, context: Context) -> tuple[_Ledgers, dict[str, str]]:
    """Give what tenants have by their ledgers; and those whose ledgers nothing can be added to, with the reason."""
    known = {delta.script.id: delta.digest for delta in deltas.all}
    found = operation_for(fleet, "", RolloutOptions(), context).survey(list(fleet.members))
    ledgers: dict[str, frozenset[str]] = {}
    reasons: dict[str, str] = {}
    for target, one in found.items():
        name = fleet.members[target].tenant.name
        reason = reason_of(one) if isinstance(one, PdeltaError) else _objection(one[1], known)
        if reason:
            reasons[name] = reason
        elif not isinstance(one, PdeltaError):
            ledgers[name] = frozenset(row.id for row in one[1])
    return {tenant.name: ledgers[tenant.name] for tenant in fleet.tenants if tenant.name in ledgers}, reasons


def _objection(rows: Sequence[Applied], known: Mapping[str, str]) -> str:
    half = [row.id for row in rows if row.state is not State.APPLIED]
    edited = [row.id for row in rows if known.get(row.id, row.digest) != row.digest]
    if half:
        return f"stopped half-way in {shortened(half)}"
    return f"has another version of {shortened(edited)}" if edited else ""


def _judged(fleet: Fleet, deltas: Deltas, ledgers: _Ledgers, options: AdoptOptions, source: str) -> _Verdict:
    if options.tool is not None:
        return _by_tool(fleet, deltas, ledgers, options, options.tool)
    if options.up_to:
        return _up_to(fleet, deltas, list(ledgers), options)
    return _like(fleet, deltas, list(ledgers), options, source)


def _like(fleet: Fleet, deltas: Deltas, names: Sequence[str], options: AdoptOptions, source: str) -> _Verdict:
    """Record what a tenant of ours has in those that are made like it."""
    rows = _rows_of(fleet, options.like)
    others = [name for name in names if name != options.like]
    found = Likeness(tuple(others)) if options.force else _likeness(fleet, others, options)
    known = {(delta.script.id, delta.digest): delta for delta in deltas.all}
    reason = f"it was adopted from {options.like}, where its reverse is another's"

    def moves(member: Member) -> tuple[PlannedMove, ...]:
        return tuple(
            _recorded_row(row, known.get((row.id, row.digest)), member, deltas, source, reason) for row in rows
        )

    return _Verdict(dict.fromkeys(found.like, moves), _reasons(found))


def _likeness(fleet: Fleet, names: Sequence[str], options: AdoptOptions) -> Likeness:
    return compare_with(fleet.database, options.like, names, table=options.table)


def _rows_of(fleet: Fleet, name: str) -> Sequence[Applied]:
    rows = fleet.database.ledgers([name])[name]
    if isinstance(rows, Exception):
        raise rows
    half = [row.id for row in rows if row.state is not State.APPLIED]
    if half or not rows:
        told = f"stopped half-way in {', '.join(half)}" if half else "has no delta in its ledger"
        raise UsageError(f"{name} {told}, so that nobody can be adopted like it", hint="apply its deltas first")
    return rows


def _recorded_row(
    row: Applied, delta: Delta | None, member: Member, deltas: Deltas, source: str, reason: str
) -> PlannedMove:
    """Give the move that records what another tenant's row says; only a written reverse is this tenant's as well."""
    theirs = decode_mark(row.captured)
    mark = Mark(adopted=source, holds=theirs.holds, found=theirs.found)
    move = PlannedMove(way=Way.APPLY, id=row.id, digest=row.digest)
    if delta is not None and not theirs.found:
        (move,) = deltas.moves([delta], member.tenant.name, member.tenant.values, deltas.known)
    return recorded(move, mark, row.irreversible or reason)


def _up_to(fleet: Fleet, deltas: Deltas, names: Sequence[str], options: AdoptOptions) -> _Verdict:
    """Record what whoever asks says that tenants have, where they are made alike."""
    wanted = [
        delta
        for delta in deltas.of(Scope.TENANT, deltas.until(options.up_to))
        if not (delta.script.baseline and delta.holds)
    ]
    found = Likeness(tuple(names)) if options.force else _likeness(fleet, names, options)
    if found.others and not options.like:
        raise PreflightError(
            "pre-flight refused, nothing was recorded: the tenants are not made alike",
            findings=tuple(f"unlike: {named(tenants)}: {reason}" for tenants, reason in found.others),
            hint="choose those that are, by --only, or by --like TENANT; or --force, where all have these deltas "
            "nevertheless",
        )
    return _Verdict(dict.fromkeys(found.like, _recording(wanted, deltas, UP_TO)), _reasons(found))


def _by_tool(fleet: Fleet, deltas: Deltas, ledgers: _Ledgers, options: AdoptOptions, tool: Tool) -> _Verdict:
    """Record what a tool's own table says, in tenants where all that it says is known, and which are made alike."""
    scripts = [delta.script for delta in deltas.of(Scope.TENANT, deltas.all)]
    by_id = {delta.script.id: delta for delta in deltas.all}
    shared: dict[tuple[str, ...], Recording] = {}
    records: dict[str, Recording] = {}
    reasons: dict[str, str] = {}
    alike: defaultdict[frozenset[str], list[str]] = defaultdict(list)
    lacking: dict[str, frozenset[str]] = {}
    every = {**_others(fleet, options), **ledgers}
    for name, chronicle in read_chronicles(fleet.database, tool, list(every), table=options.table).items():
        if isinstance(chronicle, PdeltaError):
            reasons[name] = reason_of(chronicle)
            continue
        if chronicle.problems:
            reasons[name] = f"{tool} says: {'; '.join(chronicle.problems)}"
            continue
        matching = match(tool, chronicle, scripts, ignore=options.ignore)
        if matching.unmatched and not options.force:
            reasons[name] = f"no delta replaces what {tool} says it has: {shortened(matching.unmatched)}"
            continue
        # What a baseline stands for came with it.
        had = frozenset(held for id in matching.ids for held in (id, *by_id[id].holds))
        if matching.ids not in shared:
            shared[matching.ids] = _recording([one for one in deltas.all if one.script.id in had], deltas, tool)
        records[name] = shared[matching.ids]
        alike[had | every[name]].append(name)
        lacking[name] = had - every[name]
    if not options.force:
        new = [name for name, ids in lacking.items() if ids]
        unlike = {**_unlike(fleet, list(alike.values()), options), **_taken_back(fleet, new, lacking, tool)}
        reasons |= {name: reason for name, reason in unlike.items() if lacking[name]}
    chosen = {name: one for name, one in records.items() if name in ledgers and name not in reasons}
    return _Verdict(chosen, {name: reason for name, reason in reasons.items() if name in ledgers})


def _others(fleet: Fleet, options: AdoptOptions) -> _Ledgers:
    """Give the ledgers of tenants that were not chosen: those that are may be compared with them."""
    chosen = {tenant.name for tenant in fleet.tenants}
    names = [tenant.name for tenant in fleet.database.tenants() if tenant.name not in chosen]
    if options.like or options.force or not names:
        return {}
    read = fleet.database.ledgers(names)
    return {name: frozenset(row.id for row in rows) for name, rows in read.items() if not isinstance(rows, Exception)}


def _taken_back(fleet: Fleet, names: Sequence[str], lacking: _Ledgers, tool: Tool) -> dict[str, str]:
    """Give those, with the reason, that took back by pdelta what the tool's table goes on to say."""
    reasons: dict[str, str] = {}
    for name, found in read_taken_back(fleet.database, names).items():
        if isinstance(found, PdeltaError):
            reasons[name] = reason_of(found)
        elif back := sorted(found & lacking[name]):
            reasons[name] = f"its own history says that it took back what {tool} says it has: {shortened(back)}"
    return reasons


def _unlike(fleet: Fleet, groups: Sequence[Sequence[str]], options: AdoptOptions) -> dict[str, str]:
    """Give those, with the reason, that are not made like the tenant to go by, or like most that have the same."""
    if options.like:
        return _reasons(_likeness(fleet, [name for names in groups for name in names], options))
    found = [_likeness(fleet, names, options) for names in groups if len(names) > 1]
    unlike = {name: reason for one in found for name, reason in _reasons(one).items()}
    # Where as many are made in another way, nobody knows which of them is right.
    doubt = "as many that have the same are made otherwise: name the one to go by, --like TENANT"
    return {**unlike, **{name: doubt for one in found if one.doubtful for name in one.like}}


def _recording(wanted: Sequence[Delta], deltas: Deltas, source: str) -> Recording:
    reason = f"it was adopted ({source}), and no reverse is written"

    def moves(member: Member) -> tuple[PlannedMove, ...]:
        # Nothing is applied: no reverse need be derived.
        found = deltas.moves(wanted, member.tenant.name, member.tenant.values, deltas.known)
        return tuple(
            recorded(move, Mark(adopted=source, holds=delta.holds), reason)
            for move, delta in zip(found, wanted, strict=True)
        )

    return moves


def _wishing(records: Mapping[str, Recording], deltas: Deltas) -> Wishing:
    """Give what wishes that the ledgers have what is recorded; equal wishes are one object."""
    made: dict[int, SqlWish] = {}

    def wish(member: Member, _settled: object) -> SqlWish:
        recording = records[member.tenant.name]
        if deltas.asks_for_values:
            return SqlWish(wanted=recording(member))
        if id(recording) not in made:
            made[id(recording)] = SqlWish(wanted=recording(member))
        return made[id(recording)]

    return wish


def _reasons(found: Likeness) -> dict[str, str]:
    return {name: reason for names, reason in found.others for name in names}
