"""What must hold between waves: a command that ends well, or a SELECT that is true in every tenant of the wave."""

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from pdelta.app.context import Context
from pdelta.app.sql import across
from pdelta.app.sql.fleet import Fleet
from pdelta.engine.rollout import Conduct
from pdelta.errors import PdeltaError
from pdelta.model.course import Gate
from pdelta.model.plan import Step
from pdelta.model.target import Target
from pdelta.operations.sql.target import tenant_of

if TYPE_CHECKING:
    from pdelta.databases.base import Session


def conduct_for(fleet: Fleet, context: Context, objection: Callable[[], str] | None = None) -> Conduct:
    """Give how a roll-out of this fleet meets the world.

    Args:
        fleet: Which.
        context: The command's surroundings.
        objection: Says what speaks against the tenants, once the servers have what they require; None for nothing.
    """

    def ask(gate: Gate, steps: Sequence[Step]) -> str:
        targets = [step.target for step in steps]
        if gate.kind in {across.THERE, across.GONE}:
            problem = _order_holds(fleet, gate, targets)
            return problem or (objection() if objection is not None and gate.kind == across.THERE else "")
        if gate.kind == "command":
            from pdelta.app.sql.gate_command import command_holds  # it brings signals and processes

            return command_holds(gate.text, [tenant_of(target) for target in targets])
        return _select_holds(fleet, gate.text, targets)

    return Conduct(time.sleep, ask, context.observer)


def _order_holds(fleet: Fleet, gate: Gate, targets: Sequence[Target]) -> str:
    try:
        return across.ask(fleet, gate, targets)
    except PdeltaError as error:
        return error.message


def _select_holds(fleet: Fleet, text: str, targets: Sequence[Target]) -> str:
    """Ask a SELECT in every tenant of the wave; it holds where each answers with one true value."""
    sessions: dict[tuple[str, str], Session] = {}
    try:
        for target in targets:
            name, database = tenant_of(target), fleet.database_of(target)
            lane = (database.name, database.lane(name))
            if lane not in sessions:
                sessions[lane] = database.session(lane[1])
            try:
                rows = sessions[lane].query(name, text)
            except PdeltaError as error:
                return f"{name}: {error.message.removeprefix(f'{name}: ')}"
            if not rows or not rows[0] or not rows[0][0]:
                return f"{text} is not true in {name}"
    finally:
        for session in sessions.values():
            session.close()
    return ""
