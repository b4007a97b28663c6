"""A channel to a command that this process starts.

The command is started without a shell by ``posix_spawnp``: importing the
standard library's ``subprocess`` costs 10 ms of a start-up budget of 40. Where a
``headstart`` has begun the very same contact, that one is taken over.
"""

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from pdelta.errors import TransportError
from pdelta.transports.headstart import HEADSTARTS, spawn
from pdelta.transports.pipe import PipeChannel
from pdelta.wire.frames import Buffer

PIPE_BYTES: Final = 1 << 20
"""A larger pipe lets the command encrypt while this process reads and compresses."""

CLOSE_TIMEOUT_S: Final = 5.0
EXIT_POLL_S: Final = 0.002

Explain = Callable[[int | None, str], TransportError]
"""Makes an error of a command's exit status (None when unknown) and its last words."""


class SubprocessChannel(PipeChannel):
    """Speaks with the standard input and output of a command.

    Args:
        command: Program and arguments; the program is looked up in PATH.
        explain: Makes an error of its end.
        environment: Its environment; this process's own when None.

    Attributes:
        command: Program and arguments.
        nonce: The word of a contact that was begun already; empty where none was.
    """

    def __init__(
        self, command: Sequence[str], *, explain: Explain | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        """Start the command.

        Raises:
            TransportError: It can't be started.
        """
        self.command = command
        self.nonce = ""
        self._environment = environment
        self._explain_exit = explain
        self._status: int | None = None
        self._begun = HEADSTARTS.take(command) if environment is None else None
        if self._begun is None:
            self._start()
        else:
            self.nonce = self._begun.nonce
            self._adopt(self._begun.pid, self._begun.streams)

    def send(self, parts: Sequence[Buffer]) -> None:
        """Send all these bytes, and take what comes meanwhile."""
        begun, self._begun = self._begun, None
        if begun is not None:
            if begun.first == b"".join(parts):
                return
            # The host has heard other words than these: begin again.
            begun.end()
            self._outgoing = self._incoming = self._complaints = -1
            self._start()
        super().send(parts)

    def _start(self) -> None:
        try:
            pid, streams = spawn(self.command, self._environment)
        except OSError as error:
            text = f"{self.command[0]} can't be started: {error.strerror}"
            hint = f"install {self.command[0]}, or name another command with --rsh"
            raise TransportError(text, hint=hint) from error
        self._adopt(pid, streams)

    def _adopt(self, pid: int, streams: tuple[int, int, int]) -> None:
        self._pid = pid
        with contextlib.suppress(OSError, AttributeError):
            fcntl.fcntl(streams[0], fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        super().__init__(*streams)

    @property
    def pid(self) -> int:
        """Process id of the command."""
        return self._pid

    def explain(self) -> TransportError:
        """Say why the command ended."""
        status = self._wait_for_exit(2.0)
        said = self.complaints()
        if self._explain_exit is not None:
            return self._explain_exit(status, said)
        ending = "closed the connection" if status is None else f"ended with status {status}"
        return TransportError(f"{self.command[0]} {ending}" + (f": {said}" if said else ""))

    def close(self, *, at_once: bool = False) -> None:
        """Close the pipes and wait for the command to end.

        After five seconds, or at once, it is terminated; one that does not listen is killed after another five.
        """
        super().close()
        if self._wait_for_exit(0 if at_once else CLOSE_TIMEOUT_S) is None:
            self.terminate()
            if self._wait_for_exit(CLOSE_TIMEOUT_S) is None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self._pid, signal.SIGKILL)
                self._wait_for_exit(CLOSE_TIMEOUT_S)

    def terminate(self) -> None:
        """End the command now."""
        if self._status is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._pid, signal.SIGTERM)

    def _wait_for_exit(self, timeout_s: float) -> int | None:
        deadline = time.monotonic() + timeout_s
        while self._status is None:
            try:
                pid, status = os.waitpid(self._pid, os.WNOHANG)
            except ChildProcessError:
                self._status = 0
                break
            if pid:
                self._status = os.waitstatus_to_exitcode(status)
            elif time.monotonic() > deadline:
                break
            else:
                time.sleep(EXIT_POLL_S)
        return self._status
