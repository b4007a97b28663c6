"""Gates that are commands: run with a wave's tenants on their input, and ended with all that they have started."""

import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from subprocess import PIPE, Popen, TimeoutExpired
from typing import Final

GATE_TIMEOUT_S: Final = 600.0
TERM_TIMEOUT_S: Final = 2.0
_ENDS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)
"""Signals that may stop us; by the last one the command line tries again what it had to put off."""


def command_holds(command: str, tenants: Sequence[str]) -> str:
    """Run a gate's command with the wave's tenants on its input, one a line; it holds where that ends with 0."""
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


def _end(process: Popen[str]) -> None:
    """End a command and all that it has started, at once where they do not heed that within two seconds."""
    deadline_s = time.monotonic() + TERM_TIMEOUT_S
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
        while time.monotonic() < deadline_s:
            process.poll()
            os.killpg(process.pid, 0)
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGKILL)
