"""The intent of a tree: what is about to happen to it, durable before anything does.

Written by ``operations.tree`` through ``filesystem.commit``, and read by
recovery. Bytes and vectors: ``docs/formats/intent.md``.
"""

from enum import IntEnum
from typing import Final

import msgspec
from blake3 import blake3

from pdelta.errors import FormatError, IntegrityError
from pdelta.model import UNDECODABLE
from pdelta.model.amount import counted
from pdelta.model.snapshot import Entry

MAGIC: Final = b"PDELTA-INTENT\0\0\2"
OLDEST_VERSION: Final = 1
"""Version 1 has moves of nine fields, which are the first nine of today's."""

HEADER_LENGTH_BYTES: Final = 16 + 8
DIGEST_LENGTH_BYTES: Final = 32


class Action(IntEnum):
    """What one operation does to a path. Stored, so the numbers never change."""

    CREATE = 1
    """The slot's inode becomes the path, where nothing was."""
    SWAP = 2
    """The slot's inode and the path's change places."""
    REMOVE = 3
    """The path's inode goes to the slot."""
    MOVE = 4
    """The inode at ``slot``, a path of the tree, becomes the path, where nothing was."""
    METADATA = 5
    """The path's inode stays and its metadata changes; ``slot`` is empty."""
    PATCH = 6
    """The path's inode stays and ranges of its content change; ``slot`` holds the new ones, ``copy`` the old ones."""


class Move(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True, forbid_unknown_fields=True):
    """One operation on one path.

    Attributes:
        action: An ``Action`` as its number.
        path: Raw path below the tree; ``b""`` is the tree itself (metadata only).
        slot: Where the new inode waits and the displaced one goes, below the tree.
        before: What was found at the path; None where nothing was.
        before_inode: Its inode number, 0 where nothing was.
        after: What will be at the path; None where nothing will be.
        after_inode: Its inode number, 0 where nothing will be.
        rest: Where a displaced inode finally rests when that is not ``slot``; else empty.
        copy: Where a copy of the displaced content was made because its inode has other
            names or cannot be moved to undo data; the inode itself is then dropped. Else empty.
        before_ctime_ns: When the inode at the path had last changed, by the clock of its file system; another time
            makes its content doubtful, which reading settles. 0 where nothing was, or where it is not known.
        ranges: The (offset, length) ranges of the next content that a patch writes, in order. What it displaces is
            the same ranges of the old content, and its end where the next content is shorter.
    """

    action: int
    path: bytes
    slot: bytes
    before: Entry | None
    before_inode: int
    after: Entry | None
    after_inode: int
    rest: bytes = b""
    copy: bytes = b""
    before_ctime_ns: int = 0
    ranges: tuple[tuple[int, int], ...] = ()


class Intent(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that finishing or undoing a commit needs.

    Attributes:
        run: Id of the run.
        number: Number that the ledger entry will get.
        entry: The ledger entry, encoded by ``formats.history``.
        folders: Staging folders outside ``.pdelta``, below the tree.
        moves: The operations, in order.
        undo: Whether displaced inodes are kept.
        durable: Whether everything is synced.
    """

    run: str
    number: int
    entry: bytes
    folders: tuple[bytes, ...]
    moves: tuple[Move, ...]
    undo: bool = True
    durable: bool = True


def encode_intent(intent: Intent) -> bytes:
    """Give the bytes of an intent file."""
    body = msgspec.msgpack.encode(intent)
    head = MAGIC + len(body).to_bytes(8, "big")
    return b"".join((head, body, blake3(head).update(body).digest()))


def decode_intent(data: bytes) -> Intent:
    """Read an intent file.

    Raises:
        FormatError: It is no intent, or of a version that this pdelta does not know.
        IntegrityError: It is torn or damaged.
    """
    if data[:15] != MAGIC[:15]:
        raise FormatError("the intent file does not begin with its magic bytes")
    if not OLDEST_VERSION <= int.from_bytes(data[15:16], "big") <= MAGIC[15]:
        text = f"the intent file has version {data[15:16].hex()}; this pdelta reads versions 01 to {MAGIC[15]:02x}"
        raise FormatError(text, hint="run recover with the pdelta that wrote it, or a newer one")
    length = int.from_bytes(data[16:HEADER_LENGTH_BYTES], "big")
    if len(data) != HEADER_LENGTH_BYTES + length + DIGEST_LENGTH_BYTES:
        text = f"the intent file is torn: {counted(len(data), 'byte')}, its header says {length} and framing"
        raise IntegrityError(text)
    if blake3(memoryview(data)[:-DIGEST_LENGTH_BYTES]).digest() != data[-DIGEST_LENGTH_BYTES:]:
        raise IntegrityError("the intent file is damaged: its digest does not match")
    try:
        return msgspec.msgpack.decode(memoryview(data)[HEADER_LENGTH_BYTES:-DIGEST_LENGTH_BYTES], type=Intent)
    except UNDECODABLE as error:
        text = f"the intent file does not follow its specification: {error}"
        raise FormatError(text) from error
