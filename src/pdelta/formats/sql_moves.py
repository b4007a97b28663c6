"""What a SQL delta's body holds in a plan, and what a tenant is wished to have.

Calculated by ``operations.sql``, shown by the use cases; the engine passes both on unread. msgpack, as the plan
around it.
"""

import msgspec

from pdelta.errors import FormatError
from pdelta.model import UNDECODABLE
from pdelta.sql.ledger import Way
from pdelta.sql.piece import Piece


class PlannedMove(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One delta, one way, as every tenant with this plan makes it.

    Attributes:
        way: Whether it is applied or taken back.
        id: The delta.
        digest: Of its forward statements, as written; empty where a tenant's own row says it.
        name: Its file's name without ``.sql``; empty where there is none.
        pieces: Its forward statements, with the tenant's values in their places; none where only the ledger changes.
        reverse: Its reverse, likewise; empty where the pieces say how it is found.
        irreversible: Why there is no reverse.
        check: SELECTs that must be true before.
        verify: SELECTs that must be true after.
        alone: Whether its statements run without a transaction.
        apart: Whether it shares its transaction with no other delta.
        lock_timeout_ms: How long a statement waits for a lock; 0 for what is usual.
        former: The digest that the tenant's row has now, where it is replaced; on the way back that of the version that
            comes back. Empty where there is none.
        through: Of a repeatable delta that is taken back: the digests of the versions before the tenant's which go with
            it, the newest first.
        repeatable: Whether another digest means that it is to be applied again, and not that it was edited.
        accept_loss: Whether taking it back may lose data.
        derived: What its derived reverse depends on: ``schema``, or ``rows`` as well; empty where it was written.
        underived: Whether what applies it is not known here, so that it can't be applied.
        captured: What the row keeps of how it came; empty for nothing.
        recorded: Whether only the ledger changes, on the way back as well: what the delta does was there before.
    """

    way: Way
    id: str
    digest: str = ""
    name: str = ""
    pieces: tuple[Piece, ...] = ()
    reverse: str = ""
    irreversible: str = ""
    check: tuple[str, ...] = ()
    verify: tuple[str, ...] = ()
    alone: bool = False
    apart: bool = False
    lock_timeout_ms: int = 0
    former: str = ""
    through: tuple[str, ...] = ()
    repeatable: bool = False
    accept_loss: bool = False
    derived: str = ""
    underived: bool = False
    captured: str = ""
    recorded: bool = False


class SqlBody(msgspec.Struct, frozen=True, omit_defaults=True):
    """What takes a tenant from one head to another.

    Attributes:
        moves: In order.
    """

    moves: tuple[PlannedMove, ...]


class SqlWish(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """What a tenant is wished to have.

    Attributes:
        wanted: Deltas that it should have, in the order of application.
        baselines: All there are; a tenant that has one may have stopped half-way in it.
        begin: The id of the baseline that a tenant without any delta begins with; empty for none.
        dropped: Deltas that it should not have, the ones to be taken back first at the beginning.
        dropped_run: The only run whose deltas are to be taken back; empty for whichever applied them.
        dropped_version: The only digest that a repeatable delta is to be taken back from; empty for whichever it has.
        dropped_after: A delta; those of which the wish knows nothing, and whose ids come after it, go too. Empty for
            all of which it knows nothing; None for none.
        staying: The ids of deltas that are known, and neither wanted nor dropped, in the order of application.
        until: The delta to which the tenant is to come back, so that repeatable deltas go back to the version that they
            had there; empty for before all of them, None for one version alone.
        kept: Those of the staying deltas that are repeatable.
        accept_loss: Whether taking back may lose data.
        accept_edit: Whether a delta that was edited since it was applied counts as the one that is there.
    """

    wanted: tuple[PlannedMove, ...] = ()
    baselines: tuple[PlannedMove, ...] = ()
    begin: str = ""
    dropped: tuple[PlannedMove, ...] = ()
    dropped_run: str = ""
    dropped_version: str = ""
    dropped_after: str | None = None
    staying: tuple[str, ...] = ()
    until: str | None = None
    kept: tuple[PlannedMove, ...] = ()
    accept_loss: bool = False
    accept_edit: bool = False


_ENCODER = msgspec.msgpack.Encoder(order="deterministic")
_BODY = msgspec.msgpack.Decoder(SqlBody)
_WISH = msgspec.msgpack.Decoder(SqlWish)


def encode_body(body: SqlBody) -> bytes:
    """Give a body's bytes; equal bodies have equal bytes."""
    return _ENCODER.encode(body)


def decode_body(data: bytes) -> SqlBody:
    """Read a body's bytes.

    Raises:
        FormatError: They are none.
    """
    try:
        return _BODY.decode(data)
    except UNDECODABLE as error:
        raise FormatError(f"the body of a SQL delta can't be read: {error}") from error


def encode_wish(wish: SqlWish) -> bytes:
    """Give a wish's bytes."""
    return _ENCODER.encode(wish)


def decode_wish(data: bytes) -> SqlWish:
    """Read a wish's bytes.

    Raises:
        FormatError: They are none.
    """
    try:
        return _WISH.decode(data)
    except UNDECODABLE as error:
        raise FormatError(f"a wish for a tenant can't be read: {error}") from error
