"""The bytes of a journal's records, and the chain that proves none is missing.

``docs/formats/journal.md`` is the specification; the database around them is
the engine's.
"""

from typing import Final

import msgspec
from blake3 import blake3

from pdelta.errors import FormatError
from pdelta.model import UNDECODABLE
from pdelta.model.run import AnyRecord

APPLICATION_ID: Final = 0x70644A31
"""``pdJ1`` in the database header tells a journal from other SQLite files."""

VERSION: Final = 2
LINK_LENGTH_BYTES: Final = 16

_ENCODER = msgspec.msgpack.Encoder(order="deterministic")
_DECODER: msgspec.msgpack.Decoder[AnyRecord] = msgspec.msgpack.Decoder(AnyRecord)


def encode_record(record: AnyRecord) -> bytes:
    """Give a record's bytes.

    Raises:
        TypeError: The facts of a step hold something other than plain data.
    """
    return _ENCODER.encode(record)


def decode_record(data: bytes) -> AnyRecord:
    """Read a record.

    Raises:
        FormatError: The bytes are no record that this version knows.
    """
    try:
        return _DECODER.decode(data)
    except UNDECODABLE as error:
        text = f"a journal record cannot be read: {error}"
        raise FormatError(text, hint="use the pdelta that wrote the journal") from error


def link(previous: bytes, body: bytes) -> bytes:
    """Give the digest that ties a record to everything before it.

    Args:
        previous: Link of the record before; the run's id as UTF-8 for the first.
        body: The record's bytes.
    """
    return blake3(previous + body).digest(length=LINK_LENGTH_BYTES)
