"""A delta while its statements are gone through, one after the other."""

from typing import TYPE_CHECKING

import msgspec

from pdelta.sql.derive.kept import Names

if TYPE_CHECKING:
    from pdelta.sql.piece import Piece


class Terms(msgspec.Struct, frozen=True):
    """How a reverse is to be derived.

    Attributes:
        delta: The id of the delta.
        version: Digits of its digest.
        park: Whether what would be lost is parked; otherwise it is refused.
        once: Whether the delta may touch what belongs to the database and not to a tenant.
        rows_at_most: How many rows one statement may change where they are kept.
        stepwise: Whether no transaction holds all of it, so that others come in between its statements.
    """

    delta: str
    version: str
    park: bool
    once: bool
    rows_at_most: int
    stepwise: bool = False


class Draft:
    """What is known so far; each dialect adds what it must remember.

    Args:
        terms: How it is derived.
    """

    def __init__(self, terms: Terms) -> None:
        self.terms = terms
        self.names = Names(terms.delta, terms.version)
        self.pieces: list[Piece] = []
        self.notes: list[str] = []
        self.rows = False

    @property
    def place(self) -> int:
        """The number of the piece that comes next."""
        return len(self.pieces)

    def note(self, text: str) -> None:
        """Say something once."""
        if text not in self.notes:
            self.notes.append(text)

    def finish(self) -> None:
        """Add what only the last statement decides."""
