"""A channel that sends no faster than it is allowed to (``--bwlimit``)."""

from collections.abc import Callable, Sequence
from typing import Final

from pdelta.errors import TransportError
from pdelta.transports.base import Channel
from pdelta.wire.frames import Buffer

SLICE_BYTES: Final = 64 << 10


class LimitedChannel:
    """Wraps a channel in a token bucket that holds a quarter of a second.

    Args:
        channel: What really sends.
        bytes_per_s: The limit, for what is sent; at least 1.
        clock: Gives seconds, monotonic.
        sleep: Waits for some seconds.
    """

    def __init__(
        self, channel: Channel, bytes_per_s: int, *, clock: Callable[[], float], sleep: Callable[[float], None]
    ) -> None:
        """Start with a full bucket."""
        self._channel = channel
        self._rate = bytes_per_s
        self._clock, self._sleep = clock, sleep
        self._burst = max(bytes_per_s / 4, 1.0)
        self._tokens = self._burst
        self._filled_at = clock()

    def send(self, parts: Sequence[Buffer]) -> None:
        """Send all these bytes, waiting where the bucket is empty."""
        for part in parts:
            view = memoryview(part)
            for begin in range(0, len(view), SLICE_BYTES):
                piece = view[begin : begin + SLICE_BYTES]
                self._channel.send([piece])
                self._spend(len(piece))

    def receive(self, timeout_s: float | None = None) -> bytes | None:
        """Give the next bytes, unlimited."""
        return self._channel.receive(timeout_s)

    def explain(self) -> TransportError:
        """Say why the stream ended."""
        return self._channel.explain()

    def close(self, *, at_once: bool = False) -> None:
        """Close the channel below."""
        self._channel.close(at_once=at_once)

    def _spend(self, count: int) -> None:
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._filled_at) * self._rate) - count
        self._filled_at = now
        if self._tokens < 0:
            self._sleep(-self._tokens / self._rate)
