"""Wishes in, a frozen plan out.

Called by the use cases; it reads targets through ``calculate`` and writes nothing.
"""

from collections.abc import Callable, Mapping, Sequence

from pdelta.errors import UsageError
from pdelta.formats.plan import freeze
from pdelta.model.course import OnFailure
from pdelta.model.delta import Delta
from pdelta.model.operation import Operation
from pdelta.model.plan import Plan, Rollout, Step
from pdelta.model.target import Target

Calculated = tuple[Target, Delta]
"""A target, and what takes it to its wish."""


def calculate(operations: Mapping[str, Operation], wishes: Sequence[tuple[Target, bytes]]) -> list[Calculated]:
    """Calculate every wish, in order; an empty delta tells what was found on the way, too.

    Raises:
        UsageError: No operation knows the kind of a target.
    """
    return [(target, operation_for(operations, target).calculate(target, desired)) for target, desired in wishes]


def plan(
    operations: Mapping[str, Operation],
    wishes: Sequence[tuple[Target, bytes]],
    *,
    on_failure: OnFailure | str = OnFailure.STOP,
) -> Plan:
    """Calculate every wish and freeze the result.

    Args:
        operations: One for each kind.
        wishes: Targets with their desired states, in the order of execution.
        on_failure: What executing does with the steps before one that fails.

    Raises:
        UsageError: No operation knows the kind of a target, or of its delta.
    """
    return plan_of(calculate(operations, wishes), on_failure=on_failure)


def plan_of(
    calculated: Sequence[Calculated],
    *,
    on_failure: OnFailure | str = OnFailure.STOP,
    wave_up: Callable[[Sequence[Step]], tuple[Sequence[Step], Rollout]] | None = None,
) -> Plan:
    """Freeze what was calculated.

    An empty delta gives no step; its target is listed as settled.
    Equal deltas give an equal plan with an equal id.

    Args:
        calculated: Targets with their deltas, in the order of execution.
        on_failure: What executing does with the steps before one that fails.
        wave_up: Puts the steps that there are into the order of waves; None where each waits for the one before.
    """
    steps: list[Step] = []
    settled: list[Target] = []
    for position, (target, delta) in enumerate(calculated, start=1):
        if delta.empty:
            settled.append(target)
        else:
            steps.append(Step(str(position), target, delta))
    if wave_up is None or not steps:
        return freeze(tuple(steps), OnFailure(on_failure), tuple(settled))
    ordered, rollout = wave_up(steps)
    return freeze(tuple(ordered), OnFailure(on_failure), tuple(settled), rollout)


def operation_for(operations: Mapping[str, Operation], target: Target) -> Operation:
    """Give the operation that knows the target's kind.

    Raises:
        UsageError: None does.
    """
    operation = operations.get(target.kind)
    if operation is None:
        known = ", ".join(sorted(operations)) or "none"
        text = f"{target.address}: no operation knows the kind {target.kind!r}"
        raise UsageError(text, hint=f"known kinds: {known}")
    return operation
