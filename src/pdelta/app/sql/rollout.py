"""One roll-out over a fleet: calculate, refuse, freeze, execute, tell; apply and rollback differ in the wish alone."""

import os
import subprocess
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import msgspec

from pdelta import __version__
from pdelta.app.compose import open_journal
from pdelta.app.context import Context
from pdelta.app.perform import new_run
from pdelta.app.sql.deltas import Settled
from pdelta.app.sql.fleet import Fleet, Member
from pdelta.app.sql.outcome import RolloutOptions, RolloutOutcome, TenantResult
from pdelta.engine.executor import Pending, execute
from pdelta.engine.journal import Journal
from pdelta.engine.planner import plan_of
from pdelta.engine.preflight import preflight, refusal
from pdelta.engine.recovery import recover
from pdelta.engine.report import RunReport, StepReport
from pdelta.engine.rollout import Conduct
from pdelta.engine.waves import Subject, divide, parse_waves
from pdelta.errors import CancelledError, LockedError, PdeltaError, PreflightError, StaleError
from pdelta.formats.sql_moves import SqlWish, decode_body, encode_wish
from pdelta.model.delta import Delta
from pdelta.model.finding import Finding
from pdelta.model.operation import Standing
from pdelta.model.plan import Gate, OnFailure, Plan, Rollout, Step, Wave
from pdelta.model.target import Target
from pdelta.operations.sql.lanes import Patience, Surroundings
from pdelta.operations.sql.operation import Seen, SqlOperation
from pdelta.operations.sql.target import KIND
from pdelta.operations.sql.work import Imprint
from pdelta.sql.ledger import Applied, State
from pdelta.sql.script import Scope

if TYPE_CHECKING:
    from pdelta.databases.base import Session

ATTEMPTS: Final = 3
"""How often what another run changed meanwhile is calculated again."""
DEFAULT_WAVES: Final = "canary=1,rest"
_DIFFERENCES_TOLD: Final = 5
GATE_TIMEOUT_S: Final = 600.0


Wishing = Callable[[Member, Settled], SqlWish]
"""Gives what a tenant, or a server, is wished to have; equal wishes are one object.

It is told which deltas all of them have: nothing of those need be known.
"""
SERVERS: Final = "servers"
"""The wave of what is done once on each server: before all tenants, and on the way back behind them."""


def roll_out(
    fleet: Fleet, wishing: Wishing, options: RolloutOptions, context: Context, *, backwards: bool = False
) -> RolloutOutcome:
    """Bring every tenant of a fleet to its wish.

    Args:
        fleet: Which.
        wishing: Gives the wish.
        options: How the roll-out goes.
        context: The command's surroundings.
        backwards: Whether servers come last.

    Raises:
        PreflightError: Something blocks; nothing was changed.
        CancelledError: A person asked to stop.
        PdeltaError: As the engine's ``execute``.
    """
    began = time.monotonic()
    _end_open_runs(fleet, context)
    outcome = _Attempt(fleet, wishing, options, context, backwards=backwards).run()
    for _ in range(ATTEMPTS - 1):
        if not outcome.failures or not all(isinstance(result.error, StaleError) for result in outcome.failures):
            break
        # Somebody else was at work in exactly these: what they need now is another delta.
        outcome = _Attempt(fleet, wishing, options, context, backwards=backwards).run()
    return msgspec.structs.replace(outcome, duration_s=time.monotonic() - began)


class _Attempt:
    """One calculation and its execution."""

    def __init__(
        self, fleet: Fleet, wishing: Wishing, options: RolloutOptions, context: Context, *, backwards: bool
    ) -> None:
        self._fleet = fleet
        self._wishing = wishing
        self._backwards = backwards
        self._options = options
        self._context = context
        self._run = new_run(context)
        self._operation = operation_for(fleet, self._run, options, context)

    def run(self) -> RolloutOutcome:
        tenants = self._fleet.members
        calculated, findings = self._calculate(tenants)
        planned = plan_of(
            calculated, on_failure=self._options.on_failure, wave_up=lambda steps: self._rollout(steps, tenants)
        )
        if planned.rollout is not None:
            findings += preflight(planned, {KIND: self._operation})
        options = self._options
        if planned.steps and options.prove and not (self._backwards or options.dry_run or refusal(findings)):
            findings += self._proofs(planned)
        error = refusal(findings)
        if error is not None and not options.dry_run:
            raise error
        outcome = RolloutOutcome(
            database=self._fleet.section.name,
            tenants=len(tenants),
            settled=len(planned.settled),
            waves=tuple((wave.name, wave.count) for wave, _ in planned.waves()),
            results=tuple(
                _result(StepReport(step, Standing.BEFORE), wave.name)
                for wave, steps in planned.waves()
                for step in steps
            ),
            findings=tuple(sorted(findings, key=lambda finding: not finding.blocks)),
            dry_run=self._options.dry_run,
            exit_status=PreflightError.exit_status if error is not None else 0,
        )
        if self._options.dry_run or not planned.steps:
            return outcome
        if self._options.rehearse:
            return self._rehearse(planned, outcome)
        return self._execute(planned, outcome)

    def _proofs(self, planned: Plan) -> list[Finding]:
        """Try the way back where the deltas come first, and tell what does not come back."""
        derived = {
            move.id
            for delta in {id(step.delta): step.delta for step in planned.steps}.values()
            for move in decode_body(delta.body).moves
            if move.derived
        }
        findings = []
        for proof in self._operation.prove_all(planned.steps):
            told = ", ".join(proof.deltas)
            blocks = not derived.isdisjoint(proof.deltas) and not proof.reason
            if proof.differences:
                lost = "; ".join(proof.differences[:_DIFFERENCES_TOLD])
                more = len(proof.differences) - _DIFFERENCES_TOLD
                findings.append(
                    Finding(
                        "reverse",
                        f"{told}: after forward and reverse {proof.tenant} is another: {lost}"
                        + (f" and {more} more" if more > 0 else ""),
                        blocks=blocks,
                        hint="correct the reverse, or write one" if blocks else "correct the reverse",
                    )
                )
            elif proof.reason and not derived.isdisjoint(proof.deltas):
                text = f"{told}: the derived reverse could not be proved in {proof.tenant}: {proof.reason}"
                findings.append(Finding("unproved", text, blocks=False))
        return findings

    def _calculate(self, tenants: Mapping[Target, Member]) -> tuple[list[tuple[Target, Delta]], list[Finding]]:
        settled = self._settled(tenants)
        encoded: dict[int, tuple[SqlWish, bytes]] = {}
        wishes: list[tuple[Target, bytes]] = []
        for target, tenant in tenants.items():
            wish = self._wishing(tenant, settled[tenant.scope])
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
        findings = [*_unread(unread, blocks=self._options.on_failure is not OnFailure.CONTINUE)]
        return calculated, findings + _edited(self._operation.seen, tenants)

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

    def _rollout(self, steps: Sequence[Step], tenants: Mapping[Target, Member]) -> tuple[list[Step], Rollout]:
        """Put the steps into the order of the waves, and say how many each holds."""
        options = self._options
        rules = parse_waves(options.waves or self._fleet.section.waves or DEFAULT_WAVES)
        servers = [place for place, step in enumerate(steps) if tenants[step.target].scope is Scope.ONCE]
        others = [place for place, step in enumerate(steps) if tenants[step.target].scope is Scope.TENANT]
        found = [tenants[steps[place].target].tenant for place in others]
        divided = divide(rules, [Subject(tenant.name, tenant.tags, tenant.size) for tenant in found])
        waves = [(name, [others[place] for place in places]) for name, places in divided]
        if servers:
            waves.insert(len(waves) if self._backwards else 0, (SERVERS, servers))
        last = len(waves) - 1
        rollout = Rollout(
            tuple(
                Wave(name, len(places), options.soak_s, options.gates) if number < last else Wave(name, len(places))
                for number, (name, places) in enumerate(waves)
            ),
            _allowed(options.max_failures, len(steps)),
        )
        return [steps[place] for _, places in waves for place in places], rollout

    def _rehearse(self, planned: Plan, before: RolloutOutcome) -> RolloutOutcome:
        arrivals = {arrival.step.id: arrival for arrival in self._operation.rehearse_all(planned.steps)}
        results = []
        for wave, steps in planned.waves():
            for step in steps:
                arrival = arrivals[step.id]
                report = StepReport(step, arrival.standing, facts=arrival.facts, error=arrival.error)
                results.append(_result(report, wave.name))
        failed = any(result.error is not None for result in results)
        return msgspec.structs.replace(
            before,
            rehearsed=True,
            results=tuple(results),
            exit_status=PreflightError.exit_status if failed else 0,
        )

    def _execute(self, planned: Plan, before: RolloutOutcome) -> RolloutOutcome:
        context = self._context
        conduct = conduct_for(self._fleet, context)
        try:
            with open_journal(context) as journal:
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
            raise CancelledError(
                f"stopped on request; {self._run} left every tenant before or after its deltas",
                hint=f"the same command goes on; pdelta sql rollback --run {self._run} takes back what it did",
            ) from error
        return msgspec.structs.replace(
            before,
            run=self._run,
            phase=report.phase,
            exit_status=report.exit_status,
            reason=report.reason,
            results=_results(planned, report),
        )


def operation_for(fleet: Fleet, run: str, options: RolloutOptions, context: Context) -> SqlOperation:
    """Give the operation that works on a fleet in the name of a run."""
    section = fleet.section
    usual = Patience()
    patience = Patience(
        lock_timeout_ms=options.lock_timeout_ms or section.lock_timeout_ms or usual.lock_timeout_ms,
        attempts=usual.attempts if section.retries is None else section.retries + 1,
    )
    at = datetime.fromtimestamp(context.clock() / 1e9, tz=UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return SqlOperation(
        fleet.databases,
        imprint=Imprint(run, context.who, at, f"pdelta {__version__}"),
        surroundings=Surroundings(time.monotonic, lambda: int.from_bytes(os.urandom(4), "big") / 2**32),
        patience=patience,
        batch=options.batch,
    )


def conduct_for(fleet: Fleet, context: Context) -> Conduct:
    """Give how a roll-out of this fleet meets the world."""

    def ask(gate: Gate, steps: Sequence[Step]) -> str:
        targets = [step.target for step in steps]
        if gate.kind == "command":
            return _command_holds(gate.text, [_name(target) for target in targets])
        return _select_holds(fleet, gate.text, targets)

    return Conduct(time.sleep, ask, context.observer)


def _end_open_runs(fleet: Fleet, context: Context) -> None:
    """Close the records of runs on this fleet whose process died; what they left half done is finished first."""
    if not context.journal.exists():
        return
    with open_journal(context) as journal:
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


def has_open_runs(fleet: Fleet, context: Context) -> bool:
    """Say whether the journal holds a run on this fleet that has not ended."""
    with open_journal(context) as journal:
        return any(_is_on(journal, run, fleet) for run in journal.open_runs())


def _is_on(journal: Journal, run: str, fleet: Fleet) -> bool:
    plan, _, _ = journal.read(run)
    return all(
        step.target.kind == KIND and step.target.address.partition("/")[0] in fleet.databases for step in plan.steps
    )


def _allowed(text: str, steps: int) -> int:
    if text.endswith("%"):
        return int(steps * float(text.removesuffix("%")) / 100)
    return int(text)


def _unread(unread: Sequence[tuple[str, PdeltaError]], *, blocks: bool) -> list[Finding]:
    by_reason: dict[str, list[tuple[str, PdeltaError]]] = defaultdict(list)
    for name, error in unread:
        by_reason[getattr(error, "reason", "") or error.message].append((name, error))
    return [
        Finding(
            "unreadable",
            f"{_named([name for name, _ in group])}: {group[0][1].message}",
            blocks=blocks,
            hint=group[0][1].hint,
        )
        for group in by_reason.values()
    ]


def _edited(seen: Mapping[Target, Seen], tenants: Mapping[Target, Member]) -> list[Finding]:
    by_delta: dict[str, list[str]] = defaultdict(list)
    for target, found in seen.items():
        for id in found.reckoning.edited:
            by_delta[id].append(tenants[target].tenant.name)
    return [
        Finding(
            "edited",
            f"{id} was edited since {_named(names)} received it",
            hint="put the file back and write a new delta, or --accept-edit where what it does is the same",
            subject=id.encode(),
        )
        for id, names in by_delta.items()
    ]


def _named(names: Sequence[str], limit: int = 5) -> str:
    shown = ", ".join(names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more tenants"


def _results(planned: Plan, report: RunReport) -> tuple[TenantResult, ...]:
    steps = iter(report.steps)
    return tuple(_result(next(steps), wave.name) for wave, held in planned.waves() for _ in held)


def _result(report: StepReport, wave: str) -> TenantResult:
    step = report.step
    return TenantResult(
        _name(step.target),
        wave,
        tuple(("-" if change.action == "reverse" else "") + change.subject.decode() for change in step.delta.changes),
        report.standing,
        report.touched,
        float(report.facts.get("duration_s", 0.0)),
        tuple(report.facts.get("found", ())),
        report.error,
    )


def _command_holds(command: str, tenants: Sequence[str]) -> str:
    """Run a gate's command with the wave's tenants on its input, one a line; it holds where that ends with 0."""
    try:
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            input="\n".join(tenants) + "\n",
            capture_output=True,
            text=True,
            errors="replace",
            timeout=GATE_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"{command} did not end within {GATE_TIMEOUT_S:g} s"
    if not done.returncode:
        return ""
    said = (done.stderr.strip() or done.stdout.strip()).splitlines()
    return f"{command} ended with {done.returncode}" + (f": {said[-1]}" if said else "")


def _select_holds(fleet: Fleet, text: str, targets: Sequence[Target]) -> str:
    """Ask a SELECT in every tenant of the wave; it holds where each answers with one true value."""
    sessions: dict[tuple[str, str], Session] = {}
    try:
        for target in targets:
            name, database = _name(target), fleet.database_of(target)
            lane = (database.name, database.lane(name))
            if lane not in sessions:
                sessions[lane] = database.session(lane[1])
            try:
                rows = sessions[lane].query(name, text)
            except PdeltaError as error:
                return f"{name}: {error.message}"
            if not rows or not rows[0] or not rows[0][0]:
                return f"{text} is not true in {name}"
    finally:
        for session in sessions.values():
            session.close()
    return ""


def _name(target: Target) -> str:
    return target.address.partition("/")[2]
