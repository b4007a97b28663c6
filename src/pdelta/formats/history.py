"""Entries of a tree's ledger, and the wishes that lead to them, as bytes.

Called by ``operations.tree``, ``operations.remote`` and ``filesystem.ledger``.
"""

from enum import StrEnum
from typing import Final

import msgspec

from pdelta.errors import FormatError, UsageError
from pdelta.model import UNDECODABLE

NEVER_PUSHED: Final = "pdelta has not pushed there yet"
NO_HISTORY: Final = f"has no history: {NEVER_PUSHED}"
"""What is said of a tree without any entry, behind its name."""


class Verb(StrEnum):
    """What made an entry. Stored."""

    PUSH = "push"
    ROLLBACK = "rollback"
    REPAIR = "repair"


class UndoState(StrEnum):
    """Whether the undo data of an entry is there. Stored."""

    KEPT = "kept"
    NONE = "none"
    COLLECTED = "collected"


class Counts(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an entry did, in numbers. Lengths are in bytes, times in seconds."""

    added: int = 0
    changed: int = 0
    deleted: int = 0
    moved: int = 0
    metadata: int = 0
    bytes_changed: int = 0
    bytes_fetched: int = 0
    bytes_reused: int = 0


class HistoryEntry(msgspec.Struct, frozen=True, omit_defaults=True):
    """One entry of a tree's history.

    Attributes:
        number: Counts up from 1 and is never used again.
        run: Id of the run that made it.
        verb: ``push``, ``rollback`` or ``repair``.
        time_ns: When its intent was written, nanoseconds since the epoch.
        who: Who asked.
        origin: From where.
        note: What the operator said of it.
        before: Snapshot that the tree held before.
        wanted: Snapshot that was asked for.
        held: Snapshot that the tree holds afterwards.
        undo: Whether it can be taken back.
        undo_bytes: Size of its undo data in bytes.
        counts: What it did.
        trusted: What was not looked at, in words.
        to: The entry whose state a rollback went back to; 0 is the state before the first.
        foreign: Paths that recovery found changed by somebody else, and left.
        released: Paths that were held and became ignored; at most 1,000 of them.
    """

    number: int
    run: str
    verb: str
    time_ns: int
    who: str
    origin: str
    note: str
    before: bytes
    wanted: bytes
    held: bytes
    undo: str = UndoState.KEPT
    undo_bytes: int = 0
    counts: Counts = Counts()
    trusted: str = ""
    to: int | None = None
    foreign: tuple[bytes, ...] = ()
    released: tuple[bytes, ...] = ()


class PushWish(msgspec.Struct, frozen=True, tag="push", omit_defaults=True, forbid_unknown_fields=True):
    """Make the tree equal a snapshot.

    Attributes:
        wanted: Snapshot id; its pages are read through the operation's source.
        delete: True deletes also what was never asked for, False deletes nothing, None follows the default.
        max_delete: Most files that may be deleted without ``yes``.
        yes: Whether large losses are confirmed.
        drift: ``refuse``, ``overwrite`` or ``keep``.
        check: ``trust`` looks at touched paths only, ``stat`` at every name, ``bytes`` at every byte.
        undo: Whether displaced content is kept.
        durable: Whether everything is synced.
        wait_s: How long to wait for another run that holds the tree.
        listed: How many changes the delta lists; its counts are always complete.
        measure: Whether to find out how many bytes the source must give, which costs a look at every page.
        suspended: Paths at and below which nothing is deleted, because the source could not be read there.
        run: Id of the run.
        who: Who asks.
        origin: From where.
        note: What the operator says of it.
        release: Whether DEST becomes, or is, a link to a whole release that is switched at once.
        convert: With ``release``: whether a folder at DEST becomes its first release.
        inplace: Whether large files of which little changes are patched where they are.
    """

    wanted: bytes
    delete: bool | None = None
    max_delete: int | None = None
    yes: bool = False
    drift: str = "refuse"
    check: str = "trust"
    undo: bool = True
    durable: bool = True
    wait_s: float = 0.0
    listed: int = 1000
    measure: bool = False
    suspended: tuple[bytes, ...] = ()
    run: str = ""
    who: str = ""
    origin: str = ""
    note: str = ""
    release: bool = False
    convert: bool = False
    inplace: bool = False


class RollbackWish(msgspec.Struct, frozen=True, tag="rollback", omit_defaults=True, forbid_unknown_fields=True):
    """Go back to the state after entry ``to``; None means the state before the newest entry."""

    to: int | None = None
    drift: str = "refuse"
    check: str = "trust"
    undo: bool = True
    durable: bool = True
    wait_s: float = 0.0
    listed: int = 1000
    run: str = ""
    who: str = ""
    origin: str = ""
    note: str = ""


class RepairWish(msgspec.Struct, frozen=True, tag="repair", omit_defaults=True, forbid_unknown_fields=True):
    """Bring every path back to what the newest entry holds, after reading every byte.

    ``source`` is the snapshot of the folder that missing bytes are read from: what it no longer has is told before
    anything is changed. Empty where it is not known.
    """

    source: bytes = b""
    undo: bool = True
    durable: bool = True
    wait_s: float = 0.0
    listed: int = 1000
    run: str = ""
    who: str = ""
    origin: str = ""
    note: str = ""


Wish = PushWish | RollbackWish | RepairWish


def encode_wish(wish: Wish) -> bytes:
    """Give a wish as the ``desired`` bytes of the protocol."""
    return msgspec.msgpack.encode(wish)


def decode_wish(data: bytes) -> Wish:
    """Read the ``desired`` bytes of the protocol.

    Raises:
        FormatError: They are no wish that this pdelta knows.
    """
    try:
        wish: Wish = msgspec.msgpack.decode(data, type=Wish)
    except UNDECODABLE as error:
        text = f"the wish does not follow its specification: {error}"
        raise FormatError(text) from error
    return wish


def encode_history_entry(entry: HistoryEntry) -> bytes:
    """Give a ledger entry as bytes."""
    return msgspec.msgpack.encode(entry)


def decode_history_entry(data: bytes) -> HistoryEntry:
    """Read a ledger entry.

    Raises:
        FormatError: It does not follow its specification.
    """
    try:
        return msgspec.msgpack.decode(data, type=HistoryEntry)
    except UNDECODABLE as error:
        text = f"a ledger entry does not follow its specification: {error}"
        raise FormatError(text) from error


def unmanaged(name: str, *, hint: str = "pdelta push SRC DEST makes the first entry") -> UsageError:
    """Give the error of asking a tree without any entry for what only a history can give.

    Args:
        name: Of the tree, as it was asked for.
        hint: What else can be done.
    """
    return UsageError(f"{name} {NO_HISTORY}", hint=hint)
