"""A clock that moves only when it is read or told to."""


class FakeClock:
    """Nanoseconds since the epoch, a fixed step further at each reading.

    Args:
        start_ns: First reading.
        step_ns: How far each reading moves it; may be negative, as clocks are in the field.
    """

    def __init__(self, start_ns: int = 1_700_000_000_000_000_000, step_ns: int = 1_000_000) -> None:
        """Stand at the start."""
        self._now_ns = start_ns
        self._step_ns = step_ns

    def __call__(self) -> int:
        """Read it."""
        now = self._now_ns
        self._now_ns += self._step_ns
        return now

    def advance(self, nanoseconds: int) -> None:
        """Move it, backwards too."""
        self._now_ns += nanoseconds
