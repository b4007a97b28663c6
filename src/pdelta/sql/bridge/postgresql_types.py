"""Which changes of a column's type keep every value in PostgreSQL, and which fail rather than lose one."""

import re
from typing import Final

_TYPE: Final = re.compile(r"([a-z ]+?)(?:\((\d+)(?:,(-?\d+))?\))?( with(?:out)? time zone)?")
_INTEGERS: Final = ("smallint", "integer", "bigint")
_DIGITS: Final = {"smallint": 5, "integer": 10, "bigint": 19}
_TEXTS: Final = frozenset({"text", "character varying"})


def keeps_values(old: str, new: str) -> bool:
    """Say whether a column of the one type can become one of the other without any value becoming another.

    True also where PostgreSQL refuses values that do not fit, as for integers; False where it would round, cut or
    reformat them, and for whatever is not known.
    """
    before, after = _TYPE.fullmatch(old), _TYPE.fullmatch(new)
    if before is None or after is None:
        return False
    from_, to = before[1] + (before[4] or ""), after[1] + (after[4] or "")
    if from_ in _INTEGERS:
        return to in _INTEGERS or (to == "numeric" and _digits(after) >= _DIGITS[from_])
    if from_ in _TEXTS and to in _TEXTS:
        return after[2] is None or (before[2] is not None and int(after[2]) >= int(before[2]))
    if from_ == to == "numeric":
        return _holds(before, after)
    return (from_, to) in {("real", "double precision"), ("date", "timestamp without time zone"), ("cidr", "inet")}


def _digits(numeric: re.Match[str]) -> int:
    """Give how many digits before the point a numeric can hold."""
    return int(numeric[2]) - int(numeric[3] or 0) if numeric[2] else 1000


def _holds(old: re.Match[str], new: re.Match[str]) -> bool:
    if new[2] is None:
        return True
    return old[2] is not None and _digits(new) >= _digits(old) and int(new[3] or 0) >= int(old[3] or 0)
