"""Spans of time as people write them in files: ``500ms``, ``2s``, ``5min``."""

import re
from typing import Final

HINT: Final = "write a whole number of ms, s or min, as in 2s"
_DURATION: Final = r"([1-9][0-9]{0,8})(ms|s|min)"
_UNITS_MS: Final = {"ms": 1, "s": 1000, "min": 60_000}


def parse_duration_ms(text: str) -> int | None:
    """Give the milliseconds that a text says; None where it says none."""
    found = re.fullmatch(_DURATION, text)
    return int(found[1]) * _UNITS_MS[found[2]] if found else None
