"""One roll-out over a fleet: calculate, refuse, freeze, execute, tell; apply and rollback differ in the wish alone."""

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec

from pdelta import __version__
from pdelta.app.context import Context
from pdelta.app.runs import new_run, open_journal
from pdelta.app.sql.across import THERE, Across
from pdelta.app.sql.deltas import Settled
from pdelta.app.sql.findings import edited, no_way_back, stale, unreadable
from pdelta.app.sql.fleet import Fleet, Member
from pdelta.app.sql.gates import conduct_for
from pdelta.app.sql.outcome import Looked, RolloutOptions, RolloutOutcome
from pdelta.app.sql.proving import Proving
from pdelta.app.sql.results import looked_at, results_of, together
from pdelta.engine.executor import Pending, execute
from pdelta.engine.planner import plan_of
from pdelta.engine.preflight import preflight, refusal
from pdelta.engine.recovery import recover
from pdelta.engine.report import StepReport
from pdelta.engine.waves import Subject, WaveRule, divide, parse_waves
from pdelta.errors import CancelledError, LockedError, PdeltaError, PreflightError, StaleError, UsageError
from pdelta.formats.database import DatabaseSection
from pdelta.formats.sql_moves import SqlWish, encode_wish
from pdelta.model.course import OnFailure
from pdelta.model.delta import Delta
from pdelta.model.finding import Finding
from pdelta.model.operation import Standing
from pdelta.model.plan import Plan, Rollout, Step, Wave
from pdelta.model.target import Target
from pdelta.operations.sql.lanes import Patience, Surroundings
from pdelta.operations.sql.operation import SqlOperation
from pdelta.operations.sql.target import KIND, is_server, tenant_of
from pdelta.operations.sql.work import Imprint, unable
from pdelta.sql.ledger import Applied, State, Way
from pdelta.sql.scope import Scope

if TYPE_CHECKING:
    from pdelta.engine.journal import Journal

ATTEMPTS: Final = 20
"""How often what another run changed meanwhile is calculated again: each time it has brought some tenants further, so
that this ends by itself, unless somebody goes back and forth."""
DEFAULT_WAVES: Final = "canary=1,rest"
_STOPPED: Final = 8
"""The exit status where some tenants are not where they should be, and none is in between."""


class Draft(msgspec.Struct, frozen=True):
    """A roll-out that was calculated, and not begun.

    Attributes:
        plan: What would be done.
        findings: What speaks against it, what blocks first.
        tenants: How many were looked at.
        servers: How many servers.
        stuck: Of those in which something is to be taken back that can't be: the deltas, each with the reason.
    """

    plan: Plan
    findings: tuple[Finding, ...]
    tenants: Looked
    servers: Looked
    stuck: Mapping[Target, tuple[tuple[str, str], ...]] = {}


Wishing = Callable[[Member, Settled], SqlWish]
"""Gives what a tenant, or a server, is wished to have; equal wishes are one object.

It is told which deltas all of them have: nothing of those need be known.
"""
SERVERS: Final = "servers"
"""The wave of what is done once on each server: before all tenants, and on the way back behind them."""


def roll_out(
    fleet: Fleet,
    wishing: Wishing,
    options: RolloutOptions,
    context: Context,
    *,
    backwards: bool = False,
    across: Across | None = None,
    journal: "Journal | None" = None,
) -> RolloutOutcome:
    """Bring every tenant of a fleet to its wish.

    Args:
        fleet: Which.
        wishing: Gives the wish.
        options: How the roll-out goes.
        context: The command's surroundings.
        backwards: Whether servers come last.
        across: What deltas of servers and of tenants require of each other; None for nothing.
        journal: The operator's, where it is open already.

    Raises:
        PreflightError: Something blocks; nothing was changed.
        CancelledError: A person asked to stop.
        PdeltaError: As the engine's ``execute``.
    """
    began = time.monotonic()
    if not (options.dry_run or options.rehearse):
        _end_open_runs(fleet, context, journal)
    former: RolloutOutcome | None = None
    for _ in range(ATTEMPTS):
        attempt = _Attempt(fleet, options, context, across, journal)
        outcome = attempt.finish(attempt.draft(wishing, backwards=backwards))
        former = outcome = together(former, outcome) if former is not None else outcome
        if not outcome.failures or not all(isinstance(result.error, StaleError) for result in outcome.failures):
            break
        fleet.forget()
        # Somebody else was at work in exactly these: what they need now is another delta.
    return msgspec.structs.replace(outcome, duration_s=time.monotonic() - began)


def draft(
    fleet: Fleet,
    wishing: Wishing,
    options: RolloutOptions,
    context: Context,
    *,
    backwards: bool = False,
    across: Across | None = None,
) -> Draft:
    """Calculate what ``roll_out`` would do; nothing is changed, and reading is enough.

    Args:
        fleet: Which.
        wishing: Gives the wish.
        options: How the roll-out would go.
        context: The command's surroundings.
        backwards: Whether servers come last.
        across: What deltas of servers and of tenants require of each other; None for nothing.

    Raises:
        PdeltaError: The wishes make no sense.
    """
    return _Attempt(fleet, options, context, across).draft(wishing, backwards=backwards)


def carry_out(fleet: Fleet, planned: Plan, options: RolloutOptions, context: Context) -> RolloutOutcome:
    """Execute a plan that was frozen before; nothing is calculated anew.

    Tenants that stand where it ends, or half-way, are fine: it was begun before. One that was changed otherwise since
    is named, and nothing is done anywhere, unless the plan goes on without those that fail.

    Args:
        fleet: Which; it has every tenant of the plan.
        planned: The plan.
        options: Only what a plan does not say counts: batches, lock timeouts, rehearsing, the note.
        context: The command's surroundings.

    Raises:
        PreflightError: Something blocks; nothing was changed.
        CancelledError: A person asked to stop.
        PdeltaError: As the engine's ``execute``.
    """
    began = time.monotonic()
    if not (options.dry_run or options.rehearse):
        _end_open_runs(fleet, context)
    attempt = _Attempt(fleet, options, context)
    outcome = attempt.finish(attempt.recheck(planned))
    return msgspec.structs.replace(outcome, duration_s=time.monotonic() - began)


class _Attempt:
    """One calculation and its execution."""

    def __init__(
        self,
        fleet: Fleet,
        options: RolloutOptions,
        context: Context,
        across: Across | None = None,
        journal: "Journal | None" = None,
    ) -> None:
        self._across = across
        self._journal = journal
        self._fleet = fleet
        self._options = options
        self._context = context
        self._run = new_run(context)
        self._operation = operation_for(fleet, self._run, options, context)
        self._proving: Proving | None = None

    def draft(self, wishing: Wishing, *, backwards: bool) -> Draft:
        """Calculate what takes every tenant to its wish, and what speaks against it."""
        tenants = self._fleet.members
        calculated, findings = self._calculate(wishing, tenants)
        seen = self._operation.seen
        stuck = {target: one.reckoning.stuck for target, one in seen.items() if one.reckoning.stuck}
        told = ((tenants[target].tenant.name, *one) for target, found in stuck.items() for one in found)
        findings += no_way_back(told, blocks=self._options.on_failure is not OnFailure.CONTINUE)
        if self._across is not None:
            findings += self._across.findings(calculated, backwards=backwards)
            findings += self._across.left(self._operation.seen) if backwards else ()
        planned = plan_of(
            calculated,
            on_failure=self._options.on_failure,
            wave_up=lambda steps: self._rollout(steps, tenants, backwards=backwards),
        )
        return Draft(planned, self._judged(planned, findings), *looked_at(planned, tenants), stuck)

    def recheck(self, planned: Plan) -> Draft:
        """Compare where tenants stand now with where a plan begins."""
        goes_on = planned.on_failure is OnFailure.CONTINUE
        changed: list[str] = []
        unread: list[tuple[str, PdeltaError]] = []
        every = (*planned.settled, *(step.target for step in planned.steps))
        found = self._operation.compare_all(planned.steps)
        if all(standing is Standing.AFTER for standing in found):
            there = msgspec.structs.replace(planned, steps=(), settled=every, rollout=None)
            return Draft(there, (), *looked_at(there, every))
        begun = self._begun(planned) if Standing.BETWEEN in found else frozenset()
        for step, standing in zip(planned.steps, found, strict=True):
            if step.target not in self._fleet.members:
                error = PdeltaError(f"no tenant of {self._fleet.section.name} any more")
                unread.append((tenant_of(step.target), error))
            elif isinstance(standing, PdeltaError):
                unread.append((tenant_of(step.target), standing))
            elif standing is Standing.FOREIGN:
                changed.append(tenant_of(step.target))
            elif standing is Standing.BETWEEN and step.id not in begun and not goes_on:
                # This plan did not bring it half-way: another run did.
                changed.append(tenant_of(step.target))
        findings = [*unreadable(unread, blocks=not goes_on), *stale(changed, blocks=not goes_on)]
        return Draft(planned, self._judged(planned, findings), *looked_at(planned, every))

    def _begun(self, planned: Plan) -> frozenset[str]:
        """Give the ids of the steps of a plan that an earlier run of it began."""
        if not self._context.journal.exists():
            return frozenset()
        with open_journal(self._context) as journal:
            runs = [run.opened.run for run in journal.runs() if run.opened.plan == planned.id]
            states = [journal.read(run)[1] for run in runs]
        return frozenset(id for state in states for id, step in state.steps.items() if step.touched)

    def finish(self, drafted: Draft) -> RolloutOutcome:
        """Do what was calculated, as far as the options let it.

        Raises:
            PreflightError: Something blocks.
        """
        planned, findings, options = drafted.plan, drafted.findings, self._options
        error = refusal(findings)
        if error is None and options.prove and planned.steps and not options.dry_run:
            self._proving = Proving(self._operation, planned)
            findings = (*findings, *self._proving.findings())
            error = refusal(findings)
        if error is not None and not options.dry_run:
            raise error
        outcome = RolloutOutcome(
            database=self._fleet.section.name,
            tenants=drafted.tenants.count,
            settled=drafted.tenants.settled,
            unread=drafted.tenants.unread,
            servers=drafted.servers,
            waves=tuple((wave.name, wave.count) for wave, _ in planned.waves()),
            findings=findings,
            dry_run=options.dry_run,
            exit_status=PreflightError.exit_status if error is not None else 0,
        )
        if options.dry_run:
            reports = (StepReport(step, Standing.BEFORE, error=_refused(step, drafted)) for step in planned.steps)
            return msgspec.structs.replace(outcome, results=results_of(planned, reports))
        if planned.steps and options.rehearse:
            return self._rehearse(planned, outcome)
        if planned.steps:
            outcome = self._execute(planned, outcome)
        # Whoever could not be read was not brought where it should be, and no step says so.
        status = outcome.exit_status or (0 if outcome.is_whole else _STOPPED)
        return msgspec.structs.replace(outcome, exit_status=status)

    def _judged(self, planned: Plan, findings: list[Finding]) -> tuple[Finding, ...]:
        """Give all that speaks against a plan, what blocks first."""
        found = [*findings, *(preflight(planned, {KIND: self._operation}) if planned.rollout is not None else ())]
        return tuple(sorted(found, key=lambda finding: not finding.blocks))

    def _calculate(
        self, wishing: Wishing, tenants: Mapping[Target, Member]
    ) -> tuple[list[tuple[Target, Delta]], list[Finding]]:
        settled = self._settled(tenants)
        encoded: dict[int, tuple[SqlWish, bytes]] = {}
        wishes: list[tuple[Target, bytes]] = []
        for target, tenant in tenants.items():
            wish = wishing(tenant, settled[tenant.scope])
            kept = encoded.get(id(wish))
            if kept is None:
                kept = encoded[id(wish)] = (wish, encode_wish(wish))
            wishes.append((target, kept[1]))
        deltas = self._operation.calculate_all(wishes)
        calculated: list[tuple[Target, Delta]] = []
        unread: list[tuple[str, PdeltaError]] = []
        for (target, _), delta in zip(wishes, deltas, strict=True):
            if isinstance(delta, PdeltaError):
                unread.append((tenants[target].tenant.name, delta))
            else:
                calculated.append((target, delta))
        findings = unreadable(unread, blocks=self._options.on_failure is not OnFailure.CONTINUE)
        return calculated, findings + edited(self._operation.seen, tenants)

    def _settled(self, tenants: Mapping[Target, Member]) -> dict[Scope, Settled]:
        """Give the deltas that all of a scope have, as they are now."""
        ledgers: dict[Scope, dict[int, tuple[Applied, ...]]] = {scope: {} for scope in Scope}
        for target, found in self._operation.survey(list(tenants)).items():
            if not isinstance(found, PdeltaError):
                ledgers[tenants[target].scope][id(found[1])] = found[1]
        return {
            scope: frozenset.intersection(
                *(
                    frozenset((row.id, row.digest) for row in rows if row.state is State.APPLIED)
                    for rows in held.values()
                )
            )
            if held
            else frozenset()
            for scope, held in ledgers.items()
        }

    def _rollout(
        self, steps: Sequence[Step], tenants: Mapping[Target, Member], *, backwards: bool
    ) -> tuple[list[Step], Rollout]:
        """Put the steps into the order of the waves, and say how many each holds."""
        options = self._options
        rules = parse_waves(options.waves or self._fleet.section.waves or DEFAULT_WAVES)
        _refuse_unknown_tags(rules, self._fleet.section, tenants.values())
        servers = [place for place, step in enumerate(steps) if tenants[step.target].scope is Scope.ONCE]
        others = [place for place, step in enumerate(steps) if tenants[step.target].scope is Scope.TENANT]
        found = [tenants[steps[place].target].tenant for place in others]
        divided = divide(rules, [Subject(tenant.name, tenant.tags, tenant.size) for tenant in found])
        waves = [(name, [others[place] for place in places]) for name, places in divided]
        if servers:
            waves.insert(len(waves) if backwards else 0, (SERVERS, servers))
        last = len(waves) - 1
        # Between the servers and the tenants.
        turn = last - 1 if backwards else 0
        between = self._across.gates(steps, backwards=backwards) if self._across is not None and servers else ()
        rollout = Rollout(
            tuple(
                Wave(name, len(places), options.soak_s, (*(between if number == turn else ()), *options.gates))
                if number < last
                else Wave(name, len(places))
                for number, (name, places) in enumerate(waves)
            ),
            _allowed(options.max_failures, len(others)),
        )
        return [steps[place] for _, places in waves for place in places], rollout

    def _rehearse(self, planned: Plan, before: RolloutOutcome) -> RolloutOutcome:
        arrivals = {arrival.step.id: arrival for arrival in self._operation.rehearse_all(planned.steps)}
        waves = planned.waves()
        lacking = next((gate.text for wave, _ in waves for gate in wave.gates if gate.kind == THERE), "")
        for step in planned.steps if lacking else ():
            error = arrivals[step.id].error
            if error is not None and not is_server(step.target):
                text = f"{lacking} was taken back on the server; where that is what it lacks, apply it first"
                error.hint = error.hint or text
        found = ((step, arrivals[step.id]) for step in planned.steps)
        reports = (StepReport(step, one.standing, facts=one.facts, error=one.error) for step, one in found)
        results = results_of(planned, reports)
        failed = not before.is_whole or any(result.error is not None or result.lost for result in results)
        return msgspec.structs.replace(
            before,
            rehearsed=True,
            results=results,
            exit_status=PreflightError.exit_status if failed else 0,
        )

    def _execute(self, planned: Plan, before: RolloutOutcome) -> RolloutOutcome:
        context = self._context
        proving = self._proving
        conduct = conduct_for(self._fleet, context, proving.objection if proving is not None else None)
        try:
            with open_journal(context, self._journal) as journal:
                report = execute(
                    planned,
                    {KIND: self._operation},
                    journal,
                    run=self._run,
                    who=context.who,
                    note=self._options.note,
                    conduct=conduct,
                )
        except KeyboardInterrupt as error:
            # What was taken back is applied again by apply alone.
            forward = any(change.action != Way.REVERSE for step in planned.steps for change in step.delta.changes)
            back = f"; pdelta sql rollback --run {self._run} takes back what it did" if forward else ""
            raise CancelledError(
                f"stopped on request; {self._run} left every tenant before or after its deltas",
                hint=f"the same command goes on{back}",
            ) from error
        return msgspec.structs.replace(
            before,
            run=self._run,
            phase=report.phase,
            exit_status=report.exit_status,
            reason=report.reason,
            results=results_of(planned, report.steps),
            findings=(*before.findings, *(proving.later if proving is not None else ())),
        )


def _refused(step: Step, drafted: Draft) -> PdeltaError | None:
    """Give the error that a step would end with, as far as that is known before; None for none."""
    stuck = drafted.stuck.get(step.target)
    return unable(tenant_of(step.target), *stuck[0]) if stuck else None


def operation_for(fleet: Fleet, run: str, options: RolloutOptions, context: Context) -> SqlOperation:
    """Give the operation that works on a fleet in the name of a run."""
    section = fleet.section
    usual = Patience()
    patience = Patience(
        lock_timeout_ms=options.lock_timeout_ms or section.lock_timeout_ms or usual.lock_timeout_ms,
        statement_timeout_ms=section.statement_timeout_ms or 0,
        attempts=usual.attempts if section.retries is None else section.retries + 1,
    )
    at = datetime.fromtimestamp(context.clock() / 1e9, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return SqlOperation(
        fleet.databases,
        imprint=Imprint(run, context.who, at, f"pdelta {__version__}"),
        surroundings=Surroundings(time.monotonic, lambda: int.from_bytes(os.urandom(4), "big") / 2**32),
        patience=patience,
        batch=options.batch,
        glances=fleet.seen,
    )


def _refuse_unknown_tags(rules: Iterable[WaveRule], section: DatabaseSection, members: Iterable[Member]) -> None:
    """Refuse waves by tags that nobody could have: without its canary a roll-out would begin with all the others.

    Raises:
        UsageError: There is such a wave.
    """
    # What a query gives to tenants that were not chosen is not known here.
    known = {*section.tags, *(tag for member in members for tag in member.tenant.tags)}
    for rule in rules if not section.tenants.query else ():
        if rule.tag and rule.tag not in known:
            raise UsageError(
                f"the wave {rule.name!r} takes tenants with the tag {rule.tag!r}, and {section.name} has no such tag",
                hint=f"its tags: {', '.join(sorted(known)) or 'none'}; nothing was changed",
            )


def _end_open_runs(fleet: Fleet, context: Context, kept: "Journal | None" = None) -> None:
    """Close the records of runs on this fleet whose process died; what they left half done is finished first."""
    if not context.journal.exists():
        return
    with open_journal(context, kept) as journal:
        for run in journal.open_runs():
            if _is_on(journal, run, fleet):
                operation = operation_for(fleet, run, RolloutOptions(), context)
                try:
                    recover(
                        run,
                        {KIND: operation},
                        journal,
                        pending=Pending.SKIP,
                        conduct=conduct_for(fleet, context),
                    )
                except LockedError:
                    # Alive: the ledgers decide who does what.
                    continue
                finally:
                    fleet.forget()


def has_open_runs(fleet: Fleet, context: Context, kept: "Journal | None" = None) -> bool:
    """Say whether the journal, open already or not, holds a run on this fleet that has not ended."""
    with open_journal(context, kept) as journal:
        return any(_is_on(journal, run, fleet) for run in journal.open_runs())


def _is_on(journal: "Journal", run: str, fleet: Fleet) -> bool:
    plan, _, _ = journal.read(run)
    return all(
        step.target.kind == KIND and step.target.address.partition("/")[0] in fleet.databases for step in plan.steps
    )


def _allowed(text: str, tenants: int) -> int:
    if text.endswith("%"):
        return int(tenants * float(text.removesuffix("%")) / 100)
    return int(text)
