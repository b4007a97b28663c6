"""A kind whose targets stand where a test puts them, and fail when it says so."""

from collections.abc import Sequence

from pdelta.engine.planner import plan
from pdelta.errors import PdeltaError
from pdelta.model.delta import Delta
from pdelta.model.finding import Finding
from pdelta.model.operation import Notes, Operation, Outcome, Standing
from pdelta.model.plan import Plan
from pdelta.model.target import Target

KIND = "scripted"


class Scripted:
    """Targets by address; every call is written down."""

    kind = KIND

    def __init__(self) -> None:
        self.standing: dict[str, Standing] = {}
        self.failures: dict[tuple[str, str], tuple[PdeltaError, Standing]] = {}
        self.unseen: dict[str, PdeltaError] = {}
        self.findings: list[Finding] = []
        self.irreversible: set[str] = set()
        self.calls: list[tuple[str, str]] = []

    def fail(self, verb: str, address: str, error: PdeltaError, standing: Standing) -> None:
        """Let one call of a verb leave the target there and raise."""
        self.failures[verb, address] = (error, standing)

    def calculate(self, target: Target, desired: bytes) -> Delta:
        if desired == b"same":
            return Delta(KIND, b"same", b"same")
        return Delta(KIND, b"old", desired, change_count=1, reversible=target.address not in self.irreversible)

    def preflight(self, delta: Delta, target: Target) -> Sequence[Finding]:  # noqa: ARG002 - the protocol
        return self.findings

    def verify(self, delta: Delta, target: Target) -> Standing:  # noqa: ARG002 - the protocol
        if target.address in self.unseen:
            raise self.unseen[target.address]
        return self.standing.get(target.address, Standing.BEFORE)

    def execute(self, delta: Delta, target: Target, notes: Notes) -> Outcome:  # noqa: ARG002 - the protocol
        return self._act("execute", target.address, Standing.AFTER)

    def reverse(self, delta: Delta, target: Target, notes: Notes) -> Outcome:  # noqa: ARG002 - the protocol
        return self._act("reverse", target.address, Standing.BEFORE)

    def _act(self, verb: str, address: str, goal: Standing) -> Outcome:
        self.calls.append((verb, address))
        if (verb, address) in self.failures:
            error, self.standing[address] = self.failures.pop((verb, address))
            raise error
        self.standing[address] = goal
        return Outcome({"verb": verb})


def operations(kind: Operation) -> dict[str, Operation]:
    """Give the mapping that the engine takes."""
    return {kind.kind: kind}


def plan_of(kind: Operation, *addresses: str, on_failure: str = "stop") -> Plan:
    """Give a plan with a step for each address."""
    return plan(operations(kind), [(Target(KIND, address), b"new") for address in addresses], on_failure=on_failure)
