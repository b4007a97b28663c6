"""Whether the next frame of file bytes is worth compressing.

Two questions: would these bytes shrink at all (a sample says so), and is the
link slow enough for that to pay (measured while sending). Pure: the caller
brings the clock.
"""

import sys
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Final

from pdelta.wire.frames import Buffer

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

SAMPLE_BYTES: Final = 4096
SAMPLES: Final = 4
WORTH: Final = 0.9
"""A sample that shrinks less than to this share is sent as it is."""

WINDOW_BYTES: Final = 8 << 20
"""One measurement."""

AGAIN_BYTES: Final = 256 << 20
"""How much is sent in the better way before the other one is tried again."""


class Compress(StrEnum):
    """What the user asked for."""

    AUTO = "auto"
    ZSTD = "zstd"
    OFF = "off"


def shrinks(data: Buffer) -> bool:
    """Whether a sample of these bytes compresses: 40 µs for a frame that takes 3 ms to compress."""
    view = memoryview(data)
    if len(view) <= SAMPLE_BYTES * SAMPLES:
        sample = bytes(view)
    else:
        step = (len(view) - SAMPLE_BYTES) // (SAMPLES - 1)
        sample = b"".join(view[i * step : i * step + SAMPLE_BYTES] for i in range(SAMPLES))
    return len(zstd.compress(sample, 1)) < len(sample) * WORTH


class Chooser:
    """Decides frame by frame.

    In ``auto`` it begins with compression. Where the sender then waits for the
    link less than half of the time, the processor is what limits; so it sends
    one measuring window as it is, keeps to the faster way, and asks again later.

    Args:
        wish: What the user asked for.
        clock: Gives seconds, monotonic.
    """

    def __init__(self, wish: Compress, clock: Callable[[], float]) -> None:
        """Begin compressed, unless that is switched off."""
        self._wish = wish
        self._clock = clock
        self._compress = wish is not Compress.OFF
        self._rates: dict[bool, float] = {}
        self._counts = False
        self._since = clock()
        self._spent_s = 0.0
        self._bytes = 0
        self._waited_s = 0.0
        self._until_again = WINDOW_BYTES

    @property
    def compresses(self) -> bool:
        """Whether what shrinks is compressed now."""
        return self._compress

    def choose(self, pieces: Sequence[Buffer]) -> bool:
        """Whether to compress the frame made of these pieces."""
        self._counts = True
        if self._wish is not Compress.AUTO or not self._compress:
            return self._compress
        largest = max(pieces, key=len, default=b"")
        self._counts = len(largest) > 0 and shrinks(largest)
        return self._counts

    def sent(self, raw_bytes: int, waited_s: float) -> None:
        """Hear how a frame went.

        Args:
            raw_bytes: Its length before compression.
            waited_s: How long the channel took it.
        """
        now = self._clock()
        since, self._since = self._since, now
        # A frame that would not shrink says nothing about what compressing is worth.
        if self._wish is not Compress.AUTO or not self._counts:
            return
        self._bytes += raw_bytes
        self._waited_s += waited_s
        self._spent_s += now - since
        if self._bytes < self._until_again:
            return
        self._rates[self._compress] = self._bytes / max(self._spent_s, 1e-9)
        self._decide(link_limits=self._waited_s > self._spent_s / 2)
        self._bytes, self._waited_s, self._spent_s = 0, 0.0, 0.0

    def _decide(self, *, link_limits: bool) -> None:
        here, other = self._compress, not self._compress
        if other not in self._rates:
            # Nothing is gained by sending more over a link that is the limit already.
            stay = here and link_limits
            self._compress = here if stay else other
            self._until_again = AGAIN_BYTES if stay else WINDOW_BYTES
            return
        self._compress = max(self._rates, key=lambda way: self._rates[way])
        self._rates = {}
        self._until_again = AGAIN_BYTES
