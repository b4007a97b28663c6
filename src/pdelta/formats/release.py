"""The intent of a switch between releases: what is about to happen, durable before anything does.

Written by ``operations.tree.release_transaction`` into the state folder of a
destination in release mode, and read by its recovery.
"""

from typing import Final

import msgspec
from blake3 import blake3

from pdelta.errors import FormatError, IntegrityError
from pdelta.model import UNDECODABLE

MAGIC: Final = b"PDELTA-SWITCH\0\0\1"
DIGEST_LENGTH_BYTES: Final = 32


class SwitchIntent(msgspec.Struct, frozen=True):
    """Everything that finishing or undoing a switch needs.

    Attributes:
        number: Number that the ledger entry will get.
        entry: The ledger entry, encoded by ``formats.history``.
        release: Number of the release that DEST will lead to.
        staged: Whether it is staged still; else it is a release that was kept.
        current: Number of the release that DEST leads to before, -1 where DEST is absent.
        convert: Whether DEST is a folder that becomes release ``current`` first.
        shares: Ignored paths of the current release that move to the shared folder.
        links: Paths of the new release that lead to the shared folder.
        copies: Ignored paths that the current release's snapshot holds, of which copies wait for the shared folder.
        undo: Whether the current release is kept.
        durable: Whether everything is synced.
    """

    number: int
    entry: bytes
    release: int
    staged: bool
    current: int
    convert: bool
    shares: tuple[bytes, ...]
    links: tuple[bytes, ...]
    copies: tuple[bytes, ...] = ()
    undo: bool = True
    durable: bool = True


def encode_switch(intent: SwitchIntent) -> bytes:
    """Give the bytes of a switch's intent file: magic, body, and the BLAKE3 of both."""
    data = MAGIC + msgspec.msgpack.encode(intent)
    return data + blake3(data).digest()


def decode_switch(data: bytes) -> SwitchIntent:
    """Read a switch's intent file.

    Raises:
        FormatError: It is none, or of a version that this pdelta does not know.
        IntegrityError: It is torn or damaged.
    """
    if data[: len(MAGIC)] != MAGIC:
        text = "the intent file is none of a release, or of a version that this pdelta does not read"
        raise FormatError(text, hint="run recover with the pdelta that wrote it, or a newer one")
    body, digest = data[:-DIGEST_LENGTH_BYTES], data[-DIGEST_LENGTH_BYTES:]
    if blake3(body).digest() != digest:
        raise IntegrityError("the intent file is torn or damaged: its digest does not match; nothing was touched")
    try:
        return msgspec.msgpack.decode(body[len(MAGIC) :], type=SwitchIntent)
    except UNDECODABLE as error:
        text = f"the intent file does not follow its specification: {error}"
        raise FormatError(text) from error
