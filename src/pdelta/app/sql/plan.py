"""``pdelta sql plan``: what a roll-out would do, to the last statement; it can be saved, and executed unchanged later.

Reads alone, so that a login without the right to write is enough.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from pdelta.app.context import Context
from pdelta.app.sql.across import Across
from pdelta.app.sql.apply import ApplyOptions
from pdelta.app.sql.deltas import read_deltas
from pdelta.app.sql.findings import NO_WAY_BACK, no_way_back
from pdelta.app.sql.fleet import Fleet, open_fleet
from pdelta.app.sql.outcome import Looked, RolloutOptions
from pdelta.app.sql.reversing import reversing
from pdelta.app.sql.rollback import RollbackOptions, check
from pdelta.app.sql.rollout import Draft, draft
from pdelta.app.sql.saved import save_plan
from pdelta.app.sql.wishes import applying, members_of
from pdelta.formats.sql_moves import PlannedMove, SqlBody, decode_body
from pdelta.model.amount import counted
from pdelta.model.course import Gate, OnFailure
from pdelta.model.finding import Finding
from pdelta.model.plan import Step
from pdelta.operations.sql.delta import RESUMED
from pdelta.operations.sql.target import is_server, tenant_of
from pdelta.operations.sql.work import Imprint, Workshop
from pdelta.sql.ledger import Applied, State, Way
from pdelta.sql.piece import Piece

_NOBODY: Final = Imprint("", "", "", "")


class MoveFacts(msgspec.Struct, frozen=True, kw_only=True):
    """One delta, one way, as tenants would make it.

    Attributes:
        delta: Its id.
        way: Whether it is applied or taken back.
        file: Its file's name; empty where there is none.
        together: Whether one transaction holds it with the ledger.
        check: SELECTs that must be true before.
        statements: What is executed, in order.
        verify: SELECTs that must be true after.
        note: What else there is to know; empty for nothing.
        refused: Why it can't be taken back; empty where it can.
    """

    delta: str
    way: Way
    file: str = ""
    together: bool = True
    check: tuple[str, ...] = ()
    statements: tuple[str, ...] = ()
    verify: tuple[str, ...] = ()
    note: str = ""
    refused: str = ""


class PlannedGroup(msgspec.Struct, frozen=True):
    """Tenants, or servers, that would do the same.

    Attributes:
        tenants: Their names.
        servers: Likewise.
        moves: What, in order.
    """

    tenants: tuple[str, ...]
    servers: tuple[str, ...]
    moves: tuple[MoveFacts, ...]

    @property
    def refused(self) -> bool:
        """Whether they would not: something can't be taken back there."""
        return any(move.refused for move in self.moves)


class PlannedWave(msgspec.Struct, frozen=True):
    """Tenants, or servers, that would be worked on together.

    Attributes:
        name: The wave's.
        tenants: Their names, in order.
        servers: Likewise.
        soak_s: How long to wait after it.
        gates: What must hold then.
    """

    name: str
    tenants: tuple[str, ...]
    servers: tuple[str, ...]
    soak_s: float
    gates: tuple[Gate, ...]


class SqlPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What a roll-out would do.

    Attributes:
        database: The section's name.
        id: The plan's.
        tenants: How many were looked at.
        settled: How many of them lack nothing.
        unread: How many of them could not be read.
        servers: The same of servers; nothing where no delta is for them.
        waves: In order.
        groups: The largest first.
        on_failure: What the run would do when a tenant fails.
        max_failures: How many may fail before that.
        findings: What speaks against it, what blocks first.
        file: Where it was saved; empty for nowhere.
    """

    database: str
    id: str
    tenants: int
    settled: int
    unread: int
    servers: Looked
    waves: tuple[PlannedWave, ...]
    groups: tuple[PlannedGroup, ...]
    on_failure: OnFailure
    max_failures: int
    findings: tuple[Finding, ...] = ()
    file: str = ""

    @property
    def blocked(self) -> bool:
        """Whether it would be refused."""
        return any(finding.blocks for finding in self.findings)


def plan_apply(options: ApplyOptions, rollout: RolloutOptions, output: Path | None, context: Context) -> SqlPlan:
    """Give what ``apply`` would do.

    Args:
        options: What is to be applied, and where.
        rollout: How it would go; what a plan says of that is frozen in it.
        output: Where the plan is saved; None for nowhere.
        context: The command's surroundings.

    Raises:
        PdeltaError: As ``apply``; or the file can't be written.
    """
    with open_fleet(context, options.database, options.only) as fleet:
        deltas = read_deltas(fleet, context)
        with members_of(fleet, deltas, context, options.only):
            across = Across(fleet, deltas, context)
            return _told(fleet, draft(fleet, applying(deltas, options), rollout, context, across=across), output)


def plan_rollback(options: RollbackOptions, rollout: RolloutOptions, output: Path | None, context: Context) -> SqlPlan:
    """Give what ``roll_back`` would do; the arguments are those of ``plan_apply``.

    Raises:
        PdeltaError: As ``roll_back``; or the file can't be written.
    """
    check(options)
    with open_fleet(context, options.database, options.only) as fleet:
        deltas = read_deltas(fleet, context)
        with members_of(fleet, deltas, context, options.only):
            wishing = reversing(fleet, deltas, options, rollout, context)
            across = Across(fleet, deltas, context)
            return _told(fleet, draft(fleet, wishing, rollout, context, backwards=True, across=across), output)


def _told(fleet: Fleet, drafted: Draft, output: Path | None) -> SqlPlan:
    planned = drafted.plan
    groups = _groups(fleet, drafted)
    told = SqlPlan(
        database=fleet.section.name,
        id=planned.id,
        tenants=drafted.tenants.count,
        settled=drafted.tenants.settled,
        unread=drafted.tenants.unread,
        servers=drafted.servers,
        waves=tuple(PlannedWave(wave.name, *_names(steps), wave.soak_s, wave.gates) for wave, steps in planned.waves()),
        groups=groups,
        on_failure=planned.on_failure,
        max_failures=planned.rollout.max_failures if planned.rollout else 0,
        findings=_findings(drafted, groups),
    )
    if output is None or told.blocked:
        return told
    save_plan(planned, output)
    return msgspec.structs.replace(told, file=str(output))


def _findings(drafted: Draft, groups: Sequence[PlannedGroup]) -> tuple[Finding, ...]:
    """Give what speaks against it; what can't be taken back, as each tenant's own ledger says."""
    stuck = (
        (name, move.delta, move.refused)
        for group in groups
        for move in group.moves
        if move.refused
        for name in (*group.tenants, *group.servers)
    )
    others = [finding for finding in drafted.findings if finding.code != NO_WAY_BACK]
    findings = [*others, *no_way_back(stuck, blocks=drafted.plan.on_failure is not OnFailure.CONTINUE)]
    return tuple(sorted(findings, key=lambda finding: not finding.blocks))


def _groups(fleet: Fleet, drafted: Draft) -> tuple[PlannedGroup, ...]:
    """Give the tenants with equal statements, each group's statements once."""
    steps = drafted.plan.steps
    rows = _rows(fleet, [step for step in steps if _needs_rows(step)])
    bodies: dict[int, SqlBody] = {}
    groups: dict[object, list[Step]] = {}
    for step in steps:
        if id(step.delta) not in bodies:
            bodies[id(step.delta)] = decode_body(step.delta.body)
        body = bodies[id(step.delta)]
        had = rows.get(step.id, {})
        own = tuple(
            (row.reverse, row.irreversible, row.state.value, row.step)
            for row in (had.get(move.id) for move in body.moves)
            if row is not None
        )
        groups.setdefault((id(step.delta), own, drafted.stuck.get(step.target)), []).append(step)
    told = [
        PlannedGroup(
            *_names(held),
            _Telling(fleet, held[0], rows.get(held[0].id, {}), dict(drafted.stuck.get(held[0].target, ()))).moves(
                bodies[id(held[0].delta)]
            ),
        )
        for held in groups.values()
    ]
    return tuple(sorted(told, key=lambda group: (-len(group.tenants), group.tenants, group.servers)))


def _names(steps: Sequence[Step]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Give the names of the tenants, and those of the servers."""
    tenants = tuple(tenant_of(step.target) for step in steps if not is_server(step.target))
    return tenants, tuple(tenant_of(step.target) for step in steps if is_server(step.target))


def _needs_rows(step: Step) -> bool:
    """Say whether only the tenant's own ledger says which statements those are."""
    return any(change.action == Way.REVERSE or change.detail == RESUMED for change in step.delta.changes)


def _rows(fleet: Fleet, steps: Sequence[Step]) -> dict[str, dict[str, Applied]]:
    """Give the ledgers of these steps' tenants, by the steps' ids and their own."""
    by_database: dict[str, list[Step]] = {}
    for step in steps:
        by_database.setdefault(fleet.database_of(step.target).name, []).append(step)
    found: dict[str, dict[str, Applied]] = {}
    for name, held in by_database.items():
        ledgers = fleet.databases[name].ledgers([tenant_of(step.target) for step in held])
        for step in held:
            rows = ledgers[tenant_of(step.target)]
            if isinstance(rows, Exception):
                raise rows
            found[step.id] = {row.id: row for row in rows}
    return found


class _Telling:
    """One tenant's moves as statements.

    Args:
        fleet: That it is of.
        step: Its step.
        rows: Its ledger, where that is needed.
        stuck: Deltas of which it is known that they can't be taken back there, with the reason.
    """

    def __init__(self, fleet: Fleet, step: Step, rows: Mapping[str, Applied], stuck: Mapping[str, str]) -> None:
        self._stuck = stuck
        self._database = fleet.database_of(step.target)
        self._workshop = Workshop(self._database.dialect, self._database.modes, _NOBODY)
        self._rows = rows

    def moves(self, body: SqlBody) -> tuple[MoveFacts, ...]:
        return tuple(map(self._move, body.moves))

    def _move(self, move: PlannedMove) -> MoveFacts:
        row = self._rows.get(move.id)
        told = self._apply(move, row) if move.way is Way.APPLY else self._reverse(move, row)
        return msgspec.structs.replace(told, file=move.name, together=self._database.transactional and not move.alone)

    def _apply(self, move: PlannedMove, row: Applied | None) -> MoveFacts:
        note = "what takes it back is derived in each tenant" if move.derived else ""
        pieces = move.pieces
        if not pieces:
            note = "nothing is executed, the ledger alone is written"
        elif row is not None and row.state is State.APPLYING:
            note = f"goes on behind step {row.step} of {row.steps}"
            pieces = pieces[row.step :]
        return MoveFacts(
            delta=move.id,
            way=move.way,
            check=move.check,
            statements=_statements(pieces),
            verify=move.verify,
            note=note,
        )

    def _reverse(self, move: PlannedMove, row: Applied | None) -> MoveFacts:
        told = MoveFacts(delta=move.id, way=move.way)
        if row is None:
            return told
        reason = (row.irreversible if not move.recorded else "") or self._stuck.get(move.id, "")
        if reason:
            # Of what stopped half-way only a look at the tenant tells.
            refused = reason if row.state is State.APPLIED else ""
            return msgspec.structs.replace(told, note=f"can't be taken back: {reason}", refused=refused)
        pieces = self._workshop.reverse_pieces(row.reverse, accept_loss=move.accept_loss)
        note = "" if pieces else "nothing is executed, the ledger alone is written"
        if row.state is State.REVERSING:
            note, pieces = f"goes on behind step {row.step} of {row.steps}", pieces[row.step :]
        elif row.state is State.APPLYING:
            note = f"stopped after step {row.step} of {row.steps}; of its reverse, what takes those back"
        elif move.through:
            note = f"then what takes back {counted(len(move.through), 'version')} before, as each history holds it"
        return msgspec.structs.replace(told, statements=_statements(pieces), note=note)


def _statements(pieces: Sequence[Piece]) -> tuple[str, ...]:
    """Give all texts in the order of execution; one that a tenant calculates as MariaDB would be told to do it."""
    return tuple(
        text
        for piece in pieces
        for text in (*piece.before, "EXECUTE IMMEDIATE " * piece.calculated + piece.statement, *piece.after)
    )
