"""What rows a tenant's tables hold, as digests: what a rehearsal compares to say whether all of them come back.

A digest depends on what rows hold and on how often each is there, never on their order, so that a table without a key
is compared like any other. pdelta's own tables are left out, as are views, and sequences with their positions.
"""

from collections.abc import Mapping
from typing import Final

import msgspec

BELOW_BYTES: Final = 16 * 1024 * 1024
"""Tables up to this size are compared whatever a delta says; larger ones only where it names them."""


class RowsAsked(msgspec.Struct, frozen=True):
    """Asks ``Session.rehearse`` for the rows that a tenant's tables hold.

    Attributes:
        below_bytes: Tables up to this size are read.
        named: Larger ones that are read too, in small letters, or as an answer names them.
        listed: As an answer names them: of these each row is told by a hash of its own.
    """

    below_bytes: int = BELOW_BYTES
    named: frozenset[str] = frozenset()
    listed: frozenset[str] = frozenset()

    def reads(self, table: str, size: int) -> bool:
        """Say whether a table of this size, in bytes, is to be read."""
        return size <= self.below_bytes or table in self.named or table.lower() in self.named


class Rows(msgspec.Struct, frozen=True):
    """The rows of one table.

    Attributes:
        count: How many there are.
        digest: The same for the same rows in any order.
        hashes: Of each row, where that was asked for.
    """

    count: int
    digest: str
    hashes: tuple[str, ...] | None = None


RowsHeld = Mapping[str, Rows | None]
"""The answer: by table, as people name it. None of one that was not read, for its size or for lack of rights."""
