"""Wishes in, a frozen plan out.

Called by the use cases; it reads targets through ``calculate`` and writes nothing.
"""

from collections.abc import Mapping, Sequence

from pdelta.errors import UsageError
from pdelta.formats.plan import freeze
from pdelta.model.operation import Operation
from pdelta.model.plan import OnFailure, Plan, Step
from pdelta.model.target import Target


def plan(
    operations: Mapping[str, Operation],
    wishes: Sequence[tuple[Target, bytes]],
    *,
    on_failure: OnFailure | str = OnFailure.STOP,
) -> Plan:
    """Calculate every wish and freeze the result.

    A wish whose delta is empty gives no step; its target is listed as settled.
    Equal deltas give an equal plan with an equal id.

    Args:
        operations: One for each kind.
        wishes: Targets with their desired states, in the order of execution.
        on_failure: What executing does with the steps before one that fails.

    Raises:
        UsageError: No operation knows the kind of a target, or of its delta.
    """
    steps: list[Step] = []
    settled: list[Target] = []
    for position, (target, desired) in enumerate(wishes, start=1):
        delta = operation_for(operations, target).calculate(target, desired)
        if delta.empty:
            settled.append(target)
        else:
            steps.append(Step(str(position), target, delta))
    return freeze(tuple(steps), OnFailure(on_failure), tuple(settled))


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
