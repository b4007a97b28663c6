"""Numbers as people read them: bytes, counts, durations, shares, moments."""

from datetime import UTC, datetime
from typing import Final

from pdelta.model.amount import counted, size

__all__ = ("counted", "duration", "moment", "moment_iso", "number", "share", "size")

_ALL: Final = 1.005
"""What is a little more than all is all: content that can't be compressed travels with a few words around it."""

_MINUTE: Final = 60
_HOUR: Final = 3600


def number(count: int) -> str:
    """Give a count with thousands separated."""
    return f"{count:,}"


def duration(seconds: float) -> str:
    """Give a span of time, for example ``0.84 s``, ``2 min 05 s`` or ``3 h 20 min``."""
    if seconds < 10:
        return f"{seconds:.2f} s"
    if seconds < _MINUTE:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _HOUR:
        return f"{whole // _MINUTE} min {whole % _MINUTE:02d} s"
    return f"{whole // _HOUR} h {whole % _HOUR // _MINUTE:02d} min"


def share(part: int, whole: int) -> str:
    """Give a part as a percentage, for example ``48 %``, ``4.8 %`` or ``0.02 %``; nothing for what is no part."""
    if part <= 0:
        return "0 %"
    if part > whole * _ALL:
        return ""
    percent = min(100 * part / whole, 100)
    if percent < 0.01:
        return "< 0.01 %"
    digits = 0 if percent >= 10 else 1 if percent >= 1 else 2
    return f"{percent:,.{digits}f} %"


def moment(time_ns: int) -> str:
    """Give a moment in the local time zone, for example ``2025-03-15 10:20:03``."""
    return datetime.fromtimestamp(time_ns / 1e9, tz=UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def moment_iso(time_ns: int) -> str:
    """Give a moment as ISO 8601 in UTC, for JSON."""
    return datetime.fromtimestamp(time_ns // 1_000_000_000, tz=UTC).isoformat().replace("+00:00", "Z")
