"""Root records: what a snapshot id names.

Called when a snapshot is finished, received or read. Never follows the ids inside.
"""

from typing import Any, Final

import msgspec
from blake3 import blake3

from pdelta.chunking.parameters import check_chunking
from pdelta.errors import FormatError
from pdelta.formats.page.check import MAX_MODE, check_extra
from pdelta.formats.page.codec import encoder
from pdelta.model import UNDECODABLE
from pdelta.model.snapshot import ID_LENGTH_BYTES, Chunking, Kind, Root, Selection, SnapshotId

VERSION: Final = 1
MAX_ROOT_BYTES: Final = 1 << 20

_decoder: Final = msgspec.msgpack.Decoder(Root)


def encode_root(root: Root) -> tuple[SnapshotId, bytes]:
    """Give the snapshot id of a root record and its canonical bytes."""
    data = encoder.encode(root)
    return SnapshotId(blake3(data).digest()), data


def decode_root(data: bytes) -> Root:
    """Give the root record of canonical bytes.

    Raises:
        FormatError: Malformed or not canonical bytes, an unknown version, field or chunking parameter; the message
            names it.
    """
    if len(data) > MAX_ROOT_BYTES:
        message = f"root record of {len(data)} bytes; at most {MAX_ROOT_BYTES} are allowed"
        raise FormatError(message)
    try:
        _check_fields(msgspec.msgpack.decode(data))
        root = _decoder.decode(data)
    except (*UNDECODABLE, OverflowError, TypeError) as error:
        message = f"malformed root record: {error}"
        raise FormatError(message) from error
    if encoder.encode(root) != data:
        message = "root record is not canonical"
        raise FormatError(message)
    _check_root(root)
    return root


def _check_fields(fields: Any) -> None:  # noqa: ANN401 - anything may arrive
    if not isinstance(fields, dict):
        message = f"root record is no map but {type(fields).__name__}"
        raise FormatError(message)
    version = fields.get("version")
    if version != VERSION or isinstance(version, bool):
        message = f"root record of version {version!r}; this version of pdelta reads {VERSION}"
        raise FormatError(message, hint="use a newer pdelta")
    for place, type_ in (("", Root), ("chunking", Chunking), ("selection", Selection)):
        found = fields.get(place) if place else fields
        names = set(found) if isinstance(found, dict) else set()
        for name in sorted(names.difference(type_.__struct_fields__), key=repr):
            message = f"unknown field {name!r} in {place or 'root record'}"
            raise FormatError(message, hint="use a newer pdelta")


def _check_root(root: Root) -> None:
    top = root.top
    sound = (
        not top.name
        and top.kind == Kind.DIRECTORY
        and 0 <= top.mode <= MAX_MODE
        and top.size == 0
        and len(top.content) == ID_LENGTH_BYTES
        and len(root.links) in {0, ID_LENGTH_BYTES}
    )
    if not sound:
        message = "root record whose top is no nameless directory with a page, or whose links are no page id"
        raise FormatError(message)
    if top.extra:
        check_extra(top)
    check_chunking(root.chunking)
