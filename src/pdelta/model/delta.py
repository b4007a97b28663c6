"""Ordered changes of one kind, from a named before to a named after."""

import msgspec

from pdelta.model.change import Change


class Delta(msgspec.Struct, frozen=True, omit_defaults=False):
    """Data alone: no connection, open file or callback.

    Attributes:
        kind: Which operation understands the body.
        before: Name of the state that it starts from.
        after: Name of the state that it ends at.
        body: The kind's own encoding, opaque to the engine.
        changes: What will be edited, in order; may be a prefix of ``change_count``.
        change_count: How many changes there are.
        reversible: Whether executing keeps what reversing needs.
    """

    kind: str
    before: bytes
    after: bytes
    body: bytes = b""
    changes: tuple[Change, ...] = ()
    change_count: int = 0
    reversible: bool = True

    @property
    def empty(self) -> bool:
        """Whether the target is already there."""
        return self.before == self.after and self.change_count == 0
