"""Progress bars on a terminal: rate and time left, for each phase that lasts.

rich is imported only once a command has been busy for a while (measured: 65 ms), so that short
commands never pay for it.
"""

import threading
import time
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Any, Final

from pdelta.cli.render.safe import shown
from pdelta.model.event import Event

if TYPE_CHECKING:
    from rich.progress import Progress as Bars
    from rich.progress import TaskID

PATIENCE_S: Final = 0.5
_NAMES: Final = {
    "scan": "scanning",
    "compare": "comparing",
    "send": "sending",
    "apply": "applying",
    "verify": "verifying",
    "adopt": "adopting",
}


class Progress:
    """Hears events from any thread; draws at most one bar a phase."""

    def __init__(self, stream: IO[str], *, bars: bool, notice: Callable[[Event], None]) -> None:
        """Draw on the stream when ``bars``; pass notices on either way."""
        self._stream = stream
        self._wanted = bars
        self._notice = notice
        self._since = time.monotonic()
        self._lock = threading.Lock()
        self._bars: Bars | None = None
        self._tasks: dict[str, TaskID] = {}

    def hear(self, event: Event, /) -> None:
        """Take one event; never raises."""
        if event.level != "progress":
            self._notice(event)
            return
        if not self._wanted or time.monotonic() - self._since < PATIENCE_S:
            return
        with self._lock:
            self._draw(event)

    def stop(self) -> None:
        """Take the bars away."""
        with self._lock:
            if self._bars is not None:
                self._bars.stop()
                self._bars = None
            self._tasks.clear()
            self._since = time.monotonic()

    def _draw(self, event: Event) -> None:
        if self._bars is None:
            self._bars = _bars(self._stream)
            self._bars.start()
        # More than was expected is sent where ranges are asked for twice.
        total = max(event.total, event.done) if event.total else None
        task = self._tasks.get(event.phase)
        if task is None:
            name = _NAMES.get(event.phase, shown(event.phase))
            task = self._bars.add_task(name, total=total, unit=event.unit, amount="")
            self._tasks[event.phase] = task
        self._bars.update(task, completed=event.done, total=total)


def _bars(stream: IO[str]) -> "Bars":
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        ProgressColumn,
        SpinnerColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    from pdelta.cli.render.amount import number, size

    class Amount(ProgressColumn):
        """How much is done of how much, and how fast."""

        def render(self, task: Task) -> Text:
            def told(value: float) -> str:
                return size(int(value)) if task.fields["unit"] == "bytes" else number(int(value))

            text = told(task.completed) + (f" of {told(task.total)}" if task.total else "")
            unit = "" if task.fields["unit"] == "bytes" else f" {task.fields['unit']}"
            rate = f"  {told(task.speed)}/s" if task.speed else ""
            return Text(text + unit + rate, style="dim")

    columns: list[Any] = [
        SpinnerColumn(style="cyan"),
        TextColumn("{task.description:<10}"),
        BarColumn(bar_width=28),
        Amount(),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
    ]
    return Progress(*columns, console=Console(file=stream), transient=True, refresh_per_second=8)
