"""One typed edit of one subject."""

from enum import StrEnum

import msgspec


class Reversibility(StrEnum):
    """How a change can be taken back."""

    EXACT = "exact"
    SCRIPT = "script"
    NONE = "none"


class Change(msgspec.Struct, frozen=True, omit_defaults=True):
    """One edit as people and machines read it; the delta's body says how it is done.

    Attributes:
        action: The kind's own verb: ``add``, ``change``, ``delete``, ``move``, ``metadata`` for trees.
        subject: What is edited; for trees the raw path.
        reversibility: How it can be taken back.
        origin: Where a moved or copied subject comes from; empty otherwise.
        size_bytes: Size afterwards.
        changed_bytes: How much of that is new at the target.
        ranges: The first (offset, length) byte ranges that are new.
        detail: One short phrase, for example the fields that differ.
    """

    action: str
    subject: bytes
    reversibility: Reversibility = Reversibility.EXACT
    origin: bytes = b""
    size_bytes: int = 0
    changed_bytes: int = 0
    ranges: tuple[tuple[int, int], ...] = ()
    detail: str = ""
