"""Channels over file descriptors.

``PipeChannel`` is the controller's end: it takes what comes while it sends.
``BlockingChannel`` is the agent's end: its peer takes everything, so it may simply
wait. Called by ``transports.subprocess`` and ``app.serve``.
"""

import contextlib
import os
import select
import time
from collections import deque
from collections.abc import Sequence
from typing import Final

from pdelta.errors import TransportError
from pdelta.wire.frames import Buffer
from pdelta.wire.text import neutralise

READ_BYTES: Final = 256 << 10
INBOUND_LIMIT_BYTES: Final = 64 << 20
ERROR_TAIL_BYTES: Final = 16 << 10
COMPLAINT_READS: Final = 64
"""One look at standard error takes no more reads: its writer may never stop."""

IOV_MAX: Final = 1024


class PipeChannel:
    """Two pipes to a peer, and a third one for its complaints.

    Args:
        outgoing: Descriptor to write to.
        incoming: Descriptor to read from.
        complaints: Descriptor of the peer's standard error; -1 for none.
        inbound_limit_bytes: What is taken while sending; beyond it the peer has to wait.
    """

    def __init__(
        self, outgoing: int, incoming: int, complaints: int = -1, *, inbound_limit_bytes: int = INBOUND_LIMIT_BYTES
    ) -> None:
        """Own these descriptors from now on."""
        self.stall_timeout_s: float | None = None
        self._outgoing, self._incoming, self._complaints = outgoing, incoming, complaints
        self._inbound: deque[bytes] = deque()
        self._inbound_bytes = 0
        self._limit = inbound_limit_bytes
        self._ended = False
        self._error_tail = bytearray()
        for descriptor in (outgoing, incoming, complaints):
            if descriptor >= 0:
                os.set_blocking(descriptor, False)

    def send(self, parts: Sequence[Buffer]) -> None:
        """Send all these bytes, and take what comes meanwhile."""
        left = [memoryview(part) for part in parts if len(part)]
        while left:
            try:
                written = os.writev(self._outgoing, left[:IOV_MAX])
            except BlockingIOError:
                if not self._wait(self.stall_timeout_s, writing=True):
                    text = f"the peer took nothing for {self.stall_timeout_s:.0f} s"
                    raise TransportError(text) from None
                continue
            except OSError as error:
                raise self.explain() from error
            while left and written >= len(left[0]):
                written -= len(left.pop(0))
            if written:
                left[0] = left[0][written:]

    def receive(self, timeout_s: float | None = None) -> bytes | None:
        """Give the next bytes; ``b""`` at the end; None when nothing came in time."""
        if not self._inbound and not self._ended and not self._wait(timeout_s, writing=False):
            return None
        if self._inbound:
            data = self._inbound.popleft()
            self._inbound_bytes -= len(data)
            return data
        return b"" if self._ended else None

    def complaints(self) -> str:
        """Give the end of what the peer wrote to its standard error, safe for a terminal."""
        self._read_complaints()
        return neutralise(self._error_tail.decode("utf-8", "replace")).strip()

    def explain(self) -> TransportError:
        """Say why the stream ended."""
        said = self.complaints()
        text = "the connection ended" + (f": {said}" if said else "")
        return TransportError(text)

    def close(self, *, at_once: bool = False) -> None:  # noqa: ARG002 - there is nobody to wait for
        """Close all descriptors."""
        self._ended = True
        for descriptor in (self._outgoing, self._incoming, self._complaints):
            if descriptor >= 0:
                with contextlib.suppress(OSError):
                    os.close(descriptor)
        self._outgoing = self._incoming = self._complaints = -1

    def _wait(self, timeout_s: float | None, *, writing: bool) -> bool:
        """Wait until something moved; False when the time is over."""
        poll = select.poll()
        if writing:
            poll.register(self._outgoing, select.POLLOUT)
        if not self._ended and self._inbound_bytes < self._limit:
            poll.register(self._incoming, select.POLLIN)
        if self._complaints >= 0:
            poll.register(self._complaints, select.POLLIN)
        # A peer that complains without end must not put off the deadline.
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while True:
            left_ms = None if deadline is None else max(deadline - time.monotonic(), 0.0) * 1000
            events = dict(poll.poll(left_ms))
            if not events:
                return False
            if self._complaints in events and not self._read_complaints():
                poll.unregister(self._complaints)
                os.close(self._complaints)
                self._complaints = -1
            if self._incoming in events:
                self._take()
                return True
            if writing and self._outgoing in events:
                return True
            if deadline is not None and time.monotonic() > deadline:
                return False

    def _take(self) -> None:
        try:
            data = os.read(self._incoming, READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._ended = True
            return
        self._inbound.append(data)
        self._inbound_bytes += len(data)

    def _read_complaints(self) -> bool:
        """Take what there is; False at its end."""
        for _ in range(COMPLAINT_READS):
            if self._complaints < 0:
                return False
            try:
                data = os.read(self._complaints, ERROR_TAIL_BYTES)
            except BlockingIOError:
                return True
            except OSError:
                return False
            if not data:
                return False
            self._error_tail += data
            del self._error_tail[:-ERROR_TAIL_BYTES]
        return True


class BlockingChannel:
    """The agent's end, whose peer always takes what it sends.

    Args:
        incoming: Descriptor to read from.
        outgoing: Descriptor to write to.
        pending: Bytes that somebody else has already read.
    """

    def __init__(self, incoming: int, outgoing: int, pending: bytes = b"") -> None:
        """Use these descriptors; they stay open until ``close``."""
        self._incoming, self._outgoing = incoming, outgoing
        self._pending = pending

    def send(self, parts: Sequence[Buffer]) -> None:
        """Send all these bytes."""
        left = [memoryview(part) for part in parts if len(part)]
        while left:
            try:
                written = os.writev(self._outgoing, left[:IOV_MAX])
            except OSError as error:
                raise self.explain() from error
            while left and written >= len(left[0]):
                written -= len(left.pop(0))
            if written:
                left[0] = left[0][written:]

    def receive(self, timeout_s: float | None = None) -> bytes | None:
        """Give the next bytes; ``b""`` at the end; None when nothing came in time."""
        if self._pending:
            data, self._pending = self._pending, b""
            return data
        if timeout_s is not None:
            poll = select.poll()
            poll.register(self._incoming, select.POLLIN)
            if not poll.poll(timeout_s * 1000):
                return None
        try:
            return os.read(self._incoming, READ_BYTES)
        except OSError:
            return b""

    def explain(self) -> TransportError:
        """Say that the controller is gone."""
        return TransportError("the controller closed the connection")

    def close(self, *, at_once: bool = False) -> None:  # noqa: ARG002 - likewise
        """Close both descriptors."""
        for descriptor in (self._incoming, self._outgoing):
            if descriptor >= 0:
                with contextlib.suppress(OSError):
                    os.close(descriptor)
        self._incoming = self._outgoing = -1
