"""What must hold between waves: a command that ends well, or a SELECT that is true in every tenant of the wave."""

import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

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
    from subprocess import Popen

    from pdelta.databases.base import Session

GATE_TIMEOUT_S: Final = 600.0
TERM_TIMEOUT_S: Final = 2.0
_ENDS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def conduct_for(fleet: Fleet, context: Context) -> Conduct:
    """Give how a roll-out of this fleet meets the world."""

    def ask(gate: Gate, steps: Sequence[Step]) -> str:
        targets = [step.target for step in steps]
        if gate.kind in {across.THERE, across.GONE}:
            return _order_holds(fleet, gate, targets)
        if gate.kind == "command":
            return command_holds(gate.text, [tenant_of(target) for target in targets])
        return _select_holds(fleet, gate.text, targets)

    return Conduct(time.sleep, ask, context.observer)


def _order_holds(fleet: Fleet, gate: Gate, targets: Sequence[Target]) -> str:
    try:
        return across.ask(fleet, gate, targets)
    except PdeltaError as error:
        return error.message


def command_holds(command: str, tenants: Sequence[str]) -> str:
    """Run a gate's command with the wave's tenants on its input, one a line; it holds where that ends with 0."""
    from subprocess import PIPE, Popen, TimeoutExpired

    names = "\n".join(tenants) + "\n"
    process: Popen[str] | None = None
    try:
        with _held_back():
            # In a session of its own, so that it ends with all that it has started. Ctrl-C is for us: we end it then.
            process = Popen(
                ["/bin/sh", "-c", command],
                stdin=PIPE,
                stdout=PIPE,
                stderr=PIPE,
                text=True,
                errors="replace",
                start_new_session=True,
            )
        said, complaint = process.communicate(names, timeout=GATE_TIMEOUT_S)
    except BaseException as error:
        if process is not None:
            with process:
                _end(process)
        if isinstance(error, TimeoutExpired):
            return f"{command} did not end within {GATE_TIMEOUT_S:g} s"
        raise
    if not process.returncode:
        return ""
    lines = (complaint.strip() or said.strip()).splitlines()
    return f"{command} ended with {process.returncode}" + (f": {lines[-1]}" if lines else "")


@contextmanager
def _held_back() -> Iterator[None]:
    """Let a signal that ends us wait for the end of this: what is begun inside is known then, and can be ended too."""
    if threading.current_thread() is not threading.main_thread():
        # There no signal is handled.
        yield
        return
    held: list[int] = []
    # Those that are ignored, as nohup does it, stay so.
    former = {one: handler for one in _ENDS if callable(handler := signal.getsignal(one))}
    for number in former:
        signal.signal(number, lambda caught, _: held.append(caught))
    try:
        yield
    finally:
        for number, handler in former.items():
            signal.signal(number, handler)
    for caught in held:
        signal.raise_signal(caught)


def _end(process: "Popen[str]") -> None:
    """End a command and all that it has started, at once where they do not heed that within two seconds."""
    deadline_s = time.monotonic() + TERM_TIMEOUT_S
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        while time.monotonic() < deadline_s:
            process.poll()
            os.killpg(process.pid, 0)
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)


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
                return f"{name}: {error.message}"
            if not rows or not rows[0] or not rows[0][0]:
                return f"{text} is not true in {name}"
    finally:
        for session in sessions.values():
            session.close()
    return ""
