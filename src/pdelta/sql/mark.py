"""How a row came into a ledger, where that is not simply by its delta: JSON in ``captured``, of applied rows alone."""

from typing import Final

import msgspec

from pdelta.model.amount import counted


class Mark(msgspec.Struct, frozen=True, omit_defaults=True):
    """What is remembered of an applied row besides how it is taken back.

    Attributes:
        found: Whether the delta's effect was there already, so that nothing was executed.
        adopted: From whom it is known that the tenant has it: a tool's name, ``like:TENANT``, or ``up-to``.
        baseline: The baseline that brought its effect.
        holds: Of a baseline: the deltas that it stands for.
        former: Of a repeatable delta that was applied anew: the digest of the row that went into the history then.
    """

    found: bool = False
    adopted: str = ""
    baseline: str = ""
    holds: tuple[str, ...] = ()
    former: str = ""

    def __str__(self) -> str:
        """Say it in words; empty where there is nothing to say."""
        if self.adopted:
            return f"adopted: {self.adopted}"
        if self.found:
            return "its effect was there"
        if self.baseline:
            return f"came with {self.baseline}"
        return f"stands for {counted(len(self.holds), 'delta')}" if self.holds else ""


_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder(Mark)


def encode_mark(mark: Mark) -> str:
    """Give what a row keeps; empty where the mark says nothing."""
    return "" if mark == Mark() else _ENCODER.encode(mark).decode()


def decode_mark(captured: str) -> Mark:
    """Give what a row says; of one that says something else, or is not applied, nothing."""
    if not captured:
        return Mark()
    try:
        return _DECODER.decode(captured)
    except msgspec.MsgspecError:
        return Mark()
