"""What became of a roll-out, from the steps of its plan and what the engine reports of them."""

from collections.abc import Collection, Iterable

import msgspec

from pdelta.app.sql.outcome import Looked, RolloutOutcome, TenantResult
from pdelta.engine.report import StepReport
from pdelta.model.change import Change
from pdelta.model.operation import Standing
from pdelta.model.plan import Plan
from pdelta.model.run import RunPhase
from pdelta.model.target import Target
from pdelta.operations.sql.delta import RECORDED
from pdelta.operations.sql.target import is_server, tenant_of
from pdelta.sql.ledger import Way


def looked_at(planned: Plan, targets: Collection[Target]) -> tuple[Looked, Looked]:
    """Give how many tenants, and how many servers, a plan is about and how many it leaves alone.

    Args:
        planned: The plan.
        targets: All that were looked at.
    """
    parts = (targets, planned.settled, [step.target for step in planned.steps])
    servers = [sum(map(is_server, part)) for part in parts]
    return _looked(*(len(part) - some for part, some in zip(parts, servers, strict=True))), _looked(*servers)


def _looked(count: int, settled: int, lacking: int) -> Looked:
    return Looked(count, settled, count - settled - lacking)


def results_of(planned: Plan, reports: Iterable[StepReport]) -> tuple[TenantResult, ...]:
    """Give what became of each, in the order of the waves, which is that of the steps."""
    told = iter(reports)
    return tuple(_result(next(told), wave.name) for wave, held in planned.waves() for _ in held)


def together(former: RolloutOutcome, outcome: RolloutOutcome) -> RolloutOutcome:
    """Give what became of the whole, where one attempt went on with what a former one had left."""
    again = {(result.tenant, result.is_server) for result in outcome.results}
    arrived = [one for one in former.results if one.touched and one.error is None and one.standing is Standing.AFTER]
    done = [one for one in arrived if (one.tenant, one.is_server) not in again]
    if not done:
        return outcome
    names = dict.fromkeys(name for name, _ in (*former.waves, *outcome.waves))
    held = {name: [one for one in (*done, *outcome.results) if one.wave == name] for name in names}
    servers = sum(one.is_server for one in done)
    return msgspec.structs.replace(
        outcome,
        run=outcome.run or former.run,
        earlier=(*former.earlier, former.run) if outcome.run else former.earlier,
        phase=outcome.phase or (RunPhase.STOPPED if outcome.exit_status else RunPhase.DONE),
        settled=outcome.settled - len(done) + servers,
        servers=msgspec.structs.replace(outcome.servers, settled=outcome.servers.settled - servers),
        waves=tuple((name, len(those)) for name, those in held.items() if those),
        results=tuple(one for those in held.values() for one in those),
    )


def _result(report: StepReport, wave: str) -> TenantResult:
    step = report.step
    return TenantResult(
        tenant_of(step.target),
        wave,
        tuple(_mark(change) + change.subject.decode() for change in step.delta.changes),
        report.standing,
        report.touched,
        float(report.facts.get("duration_s", 0.0)),
        tuple(report.facts.get("found", ())),
        report.error,
        str(report.facts.get("proof", "")),
        tuple(report.facts.get("lost", ())),
        str(report.facts.get("untried", "")),
        is_server(step.target),
    )


def _mark(change: Change) -> str:
    if change.action == Way.REVERSE:
        return "-"
    return "*" if change.detail == RECORDED else ""
