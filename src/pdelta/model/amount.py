"""Numbers of bytes, and of other things, as people read them.

Called by whoever says something in words, and by ``cli.render``.
"""

from typing import Final

_UNITS: Final = ("kB", "MB", "GB", "TB", "PB", "EB")
_STEP: Final = 1000


def size(count: int) -> str:
    """Give a number of bytes in decimal units, for example ``48.3 kB``."""
    if abs(count) < _STEP:
        return f"{count} B"
    value = float(count)
    for unit in _UNITS:
        value /= _STEP
        # 999.95 would be rounded to 1000.0 of the same unit.
        if abs(value) < _STEP - 0.05 or unit == _UNITS[-1]:
            return f"{value:.1f} {unit}"
    raise AssertionError(count)


def counted(count: int, noun: str, plural: str = "") -> str:
    """Give a count and its noun, for example ``1 file`` or ``20,000 files``."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"
