"""Everything that speaks against a plan, gathered before anything changes."""

from collections.abc import Mapping, Sequence

from pdelta.engine.planner import operation_for
from pdelta.engine.rollout import fleet_for
from pdelta.errors import PreflightError
from pdelta.model.amount import counted
from pdelta.model.course import OnFailure
from pdelta.model.finding import Finding
from pdelta.model.operation import Operation
from pdelta.model.plan import Plan


def preflight(plan: Plan, operations: Mapping[str, Operation]) -> list[Finding]:
    """Give all findings of all steps, in the order of the steps; change nothing.

    Raises:
        UsageError: No operation knows a step's kind.
    """
    findings: list[Finding] = []
    if plan.rollout is not None:
        findings += fleet_for(operations, plan.steps).preflight_all(plan.steps)
    else:
        for step in plan.steps:
            findings += operation_for(operations, step.target).preflight(step.delta, step.target)
    return findings + _irreversible(plan)


def refuse(findings: Sequence[Finding]) -> None:
    """Stop here if anything blocks.

    Raises:
        PreflightError: It lists every blocking finding; what to do stands behind each, or once where it is the same.
    """
    error = refusal(findings)
    if error is not None:
        raise error


def refusal(findings: Sequence[Finding]) -> PreflightError | None:
    """Give what ``refuse`` raises for these findings; None where nothing blocks."""
    blocking = [finding for finding in findings if finding.blocks]
    if not blocking:
        return None
    hints = {finding.hint for finding in blocking}
    if len(hints) > 1:
        lines = tuple(f"{_line(it)} — {it.hint}" if it.hint else _line(it) for it in blocking)
        hint = "what to do about each stands behind it"
    else:
        lines = tuple(map(_line, blocking))
        hint = "".join(hints)
    count = f"{counted(len(lines), 'finding')} {'blocks' if len(lines) == 1 else 'block'}"
    return PreflightError(f"pre-flight refused, nothing was changed: {count}", findings=lines, hint=hint)


def _line(finding: Finding) -> str:
    return f"{finding.code}: {finding.message}"


def _irreversible(plan: Plan) -> list[Finding]:
    """Warn of steps that could not be taken back if a later one failed."""
    if plan.on_failure is not OnFailure.REVERSE:
        return []
    if plan.rollout is not None:
        count = sum(not step.delta.reversible for step in plan.steps)
        # Thousands may be alike, and which delta it is and why, the operation has said.
        told = f"{counted(count, 'target')} could not be brought back if another one fails"
        hint = "what is done there stays then, and counts as done"
        return [Finding("irreversible", told, blocks=False, hint=hint)] if count and len(plan.steps) > 1 else []
    return [
        Finding(
            "irreversible",
            f"step {step.id} on {step.target.address} cannot be reversed if a later step fails",
            blocks=False,
            hint="put it last, or keep what reversing needs",
        )
        for step in plan.steps[:-1]
        if not step.delta.reversible
    ]
