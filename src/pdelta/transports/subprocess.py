"""A channel to a command that this process starts.

The command is started without a shell by ``posix_spawnp``: importing the
standard library's ``subprocess`` costs 10 ms of a start-up budget of 40.
"""

import contextlib
import fcntl
import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from pdelta.errors import TransportError
from pdelta.transports.pipe import PipeChannel

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
    """

    def __init__(
        self, command: Sequence[str], *, explain: Explain | None = None, environment: Mapping[str, str] | None = None
    ) -> None:
        """Start the command.

        Raises:
            TransportError: It can't be started.
        """
        self._command = command[0]
        self._explain_exit = explain
        self._status: int | None = None
        pipes = [os.pipe() for _ in range(3)]
        (child_in, outgoing), (incoming, child_out), (complaints, child_error) = pipes
        try:
            self._pid = _spawn(command, (child_in, child_out, child_error), environment)
        except OSError as error:
            for descriptor in (outgoing, incoming, complaints):
                os.close(descriptor)
            text = f"{command[0]} can't be started: {error.strerror}"
            raise TransportError(text, hint=f"install {command[0]}, or name another command with --rsh") from error
        finally:
            for descriptor in (child_in, child_out, child_error):
                os.close(descriptor)
        with contextlib.suppress(OSError, AttributeError):
            fcntl.fcntl(outgoing, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        super().__init__(outgoing, incoming, complaints)

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
        return TransportError(f"{self._command} {ending}" + (f": {said}" if said else ""))

    def close(self, *, at_once: bool = False) -> None:
        """Close the pipes and wait for the command to end; after five seconds, or at once, it is terminated."""
        super().close()
        if self._wait_for_exit(0 if at_once else CLOSE_TIMEOUT_S) is None:
            self.terminate()
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


def _spawn(command: Sequence[str], streams: tuple[int, int, int], environment: Mapping[str, str] | None) -> int:
    actions = [(os.POSIX_SPAWN_DUP2, descriptor, number) for number, descriptor in enumerate(streams)]
    inherited = os.environ if environment is None else environment  # noqa: TID251 - handed on, not read
    # Python ignores SIGPIPE; a command that inherited that would write into a closed pipe for ever.
    return os.posix_spawnp(
        command[0], list(command), inherited, file_actions=actions, setsigdef=[signal.SIGPIPE, signal.SIGXFSZ]
    )
