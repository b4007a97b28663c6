"""What deriving a delta's reverse gives: its pieces, what could not be derived, and what a reader should know."""

import msgspec

from pdelta.sql.piece import Piece


class Refusal(msgspec.Struct, frozen=True):
    """A statement whose reverse can't be derived.

    Attributes:
        line: The line on which it begins.
        statement: Its text.
        reason: Why not.
        hint: What can be done about it.
    """

    line: int
    statement: str
    reason: str
    hint: str = ""


class Derived(msgspec.Struct, frozen=True):
    """A delta with the reverse that is calculated in each tenant.

    Attributes:
        pieces: In the order of execution; of no use where there are refusals.
        refusals: What could not be derived, all of it.
        notes: What is not taken back though nothing refuses it, in words for people.
        rows: Whether the reverse depends on the rows that a tenant has: such a reverse is proved per tenant only.
    """

    pieces: tuple[Piece, ...]
    refusals: tuple[Refusal, ...] = ()
    notes: tuple[str, ...] = ()
    rows: bool = False


class RefusedError(Exception):
    """Why the reverse of the statement at hand can't be derived; never leaves ``derive``.

    Args:
        reason: In words for people.
        hint: What can be done about it.
    """

    def __init__(self, reason: str, hint: str = "write the reverse, or say irreversible in the header") -> None:
        """Keep both for the refusal."""
        super().__init__(reason)
        self.reason = reason
        self.hint = hint
