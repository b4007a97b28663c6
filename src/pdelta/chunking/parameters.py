"""Which chunking parameters this version can cut by.

Called wherever parameters arrive from outside: a root record, a peer, a command line. Never cuts anything itself.
"""

from typing import Final

from pdelta.errors import FormatError
from pdelta.model.amount import counted
from pdelta.model.snapshot import Chunking

ALGORITHM: Final = "fastcdc-2020"
GEAR: Final = "destor"
NORMALIZATION: Final = 1
SEED: Final = 0

MINIMUM_BYTES: Final = (64, 1 << 20)
AVERAGE_BYTES: Final = (256, 4 << 20)
MAXIMUM_BYTES: Final = (1024, 16 << 20)
"""Least and greatest value of each size; the bounds of the library's mask table."""


def check_chunking(chunking: Chunking) -> None:
    """Refuse parameters that this version can't cut by.

    Args:
        chunking: Parameters as recorded.

    Raises:
        FormatError: An unknown algorithm, gear table, normalisation level or seed, or a size out of range; the
            message names it.
    """
    for name, value, known in (
        ("algorithm", chunking.algorithm, ALGORITHM),
        ("gear", chunking.gear, GEAR),
        ("normalization", chunking.normalization, NORMALIZATION),
        ("seed", chunking.seed, SEED),
    ):
        if value != known:
            message = f"chunking parameter {name} is {value!r}; this version knows only {known!r}"
            raise FormatError(message, hint="use a version of pdelta that knows this way of cutting")
    for name, size, (least, greatest) in (
        ("minimum", chunking.minimum, MINIMUM_BYTES),
        ("average", chunking.average, AVERAGE_BYTES),
        ("maximum", chunking.maximum, MAXIMUM_BYTES),
    ):
        if not least <= size <= greatest:
            message = f"chunking parameter {name} is {counted(size, 'byte')}; it must be from {least} to {greatest}"
            raise FormatError(message)
    if not chunking.minimum <= chunking.average <= chunking.maximum:
        message = (
            f"chunking sizes are out of order: minimum {chunking.minimum}, average {chunking.average}, "
            f"maximum {chunking.maximum}"
        )
        raise FormatError(message)
