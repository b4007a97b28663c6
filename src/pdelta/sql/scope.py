"""Who receives a delta.

Apart from ``script``, which is all of one: finding out that there is nothing to do needs no more than this.
"""

from enum import StrEnum


class Scope(StrEnum):
    """Whether every tenant receives the delta, or each database server once."""

    TENANT = "tenant"
    ONCE = "once"
