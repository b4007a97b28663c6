"""Progress facts, and the port that hears them."""

from typing import Protocol

import msgspec


class Event(msgspec.Struct, frozen=True, omit_defaults=True):
    """One progress fact for the terminal, JSON output or a log.

    Attributes:
        phase: ``scan``, ``compare``, ``send``, ``apply``, ``verify`` …
        done: How much is done, in ``unit``.
        total: How much there is in all; 0 when not known.
        unit: ``bytes``, ``files`` or ``paths``.
        message: Text for people; set alone for a plain notice.
        level: ``progress``, ``info`` or ``warning``.
    """

    phase: str
    done: int = 0
    total: int = 0
    unit: str = "bytes"
    message: str = ""
    level: str = "progress"


class Observer(Protocol):
    """Hears events; must return quickly and never raise."""

    def __call__(self, event: Event, /) -> None:
        """Take one event."""
        ...


def silent(_event: Event, /) -> None:
    """Hear nothing."""
