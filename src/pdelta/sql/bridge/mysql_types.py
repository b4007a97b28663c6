"""Which changes of a column's type keep every value in MySQL, whatever its ``sql_mode`` lets pass."""

import re
from typing import Final

_TYPE: Final = re.compile(r"([a-z]+)(?:\(([^)]*)\))?( unsigned)?( zerofill)?")
_INTEGERS: Final = ("tinyint", "smallint", "mediumint", "int", "bigint")
_TEXTS: Final = ("tinytext", "text", "mediumtext", "longtext")
_BLOBS: Final = ("tinyblob", "blob", "mediumblob", "longblob")
_LENGTHS: Final = {"tinytext": 63, "text": 16_383, "mediumtext": 4_194_303, "longtext": 1_073_741_823}
"""In characters of four bytes."""


def keeps_values(old: str, new: str) -> bool:
    """Say whether a column of the one type can become one of the other without any value becoming another.

    A server that is not strict cuts and rounds without a word, so that only wider types count.
    """
    if old == new:
        return True
    if old.startswith(("enum(", "set(")):
        return new.startswith(old.removesuffix(")"))
    before, after = _TYPE.fullmatch(old), _TYPE.fullmatch(new)
    if before is None or after is None or (before[3], before[4]) != (after[3], after[4]):
        return False
    from_, to = before[1], after[1]
    for family in (_INTEGERS, _TEXTS, _BLOBS):
        if from_ in family and to in family:
            return family.index(to) >= family.index(from_)
    if from_ == "varchar" and to == "varchar":
        return int(after[2]) >= int(before[2])
    if from_ == "varchar":
        return _LENGTHS.get(to, -1) >= int(before[2])
    if from_ == to == "decimal":
        return _digits(after[2]) >= _digits(before[2]) and _scale(after[2]) >= _scale(before[2])
    return (from_, to) == ("float", "double")


def _digits(sizes: str) -> int:
    """Give how many digits before the point a decimal can hold."""
    return int(sizes.partition(",")[0]) - _scale(sizes)


def _scale(sizes: str) -> int:
    return int(sizes.partition(",")[2] or 0)
