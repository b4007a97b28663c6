"""The proof of a roll-out's reverses: before anything is done, or behind the servers where only that can be tried."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pdelta.app.sql.across import THERE
from pdelta.app.sql.findings import shortened
from pdelta.formats.sql_moves import decode_body
from pdelta.model.finding import Finding
from pdelta.model.plan import Plan, Step, Wave
from pdelta.operations.sql.operation import SqlOperation

if TYPE_CHECKING:
    from pdelta.operations.sql.proof import Proof


class Proving:
    """What trying the reverses of a plan shows.

    Args:
        operation: Tries.
        planned: What is to be done.

    Attributes:
        later: What was found behind the servers, and blocks nothing.
    """

    def __init__(self, operation: SqlOperation, planned: Plan) -> None:
        """Try nothing yet."""
        self.later: tuple[Finding, ...] = ()
        self._operation = operation
        self._planned = planned
        deltas = {id(step.delta): step.delta for step in planned.steps}.values()
        moves = [move for delta in deltas for move in decode_body(delta.body).moves]
        self._derived = {move.id for move in moves if move.derived}
        self._waiting: list[Step] = []

    def findings(self) -> list[Finding]:
        """Try each where the deltas come first, and tell what does not come back.

        What can't be tried there waits, if deltas of tenants require some that servers are still to get.
        """
        proofs = self._operation.prove_all(self._planned.steps)
        first = next((steps for wave, steps in self._planned.waves() if _is_required(wave)), ())
        if first:
            doubtful = {proof.deltas for proof in proofs if proof.reason}
            self._waiting = [step for step in self._planned.steps[len(first) :] if _ids(step) in doubtful]
            waiting = set(map(_ids, self._waiting))
            proofs = [proof for proof in proofs if proof.deltas not in waiting]
        return self._told(proofs)

    def objection(self) -> str:
        """Try what waits for the servers, now that they have their own; say what blocks, in words, or nothing."""
        found = self._told(self._operation.prove_all(self._waiting))
        self._waiting = []
        self.later = tuple(finding for finding in found if not finding.blocks)
        return "; ".join(finding.message for finding in found if finding.blocks)

    def _told(self, proofs: "Sequence[Proof]") -> list[Finding]:
        return [finding for proof in proofs for finding in self._finding(proof)]

    def _finding(self, proof: "Proof") -> Sequence[Finding]:
        told = ", ".join(proof.deltas)
        blocks = not self._derived.isdisjoint(proof.deltas)
        hint = "correct the reverse, or write one" if blocks else "correct the reverse"
        if proof.fails:
            text = f"{told}: the reverse fails in {proof.tenant}: {proof.fails}"
            return [Finding("reverse", text, blocks=blocks, hint=hint)]
        if differences := (*proof.differences, *proof.rows):
            lost = shortened(differences, between="; ")
            text = f"{told}: after forward and reverse {proof.tenant} is another: {lost}"
            return [Finding("reverse", text, blocks=blocks, hint=hint)]
        if proof.reason and blocks:
            text = f"{told}: the derived reverse could not be proved in {proof.tenant}: {proof.reason}"
            return [Finding("unproved", text, blocks=False)]
        return []


def _is_required(wave: Wave) -> bool:
    """Say whether it holds servers, of which tenants behind them require something."""
    return any(gate.kind == THERE for gate in wave.gates)


def _ids(step: Step) -> tuple[str, ...]:
    return tuple(change.subject.decode() for change in step.delta.changes)
