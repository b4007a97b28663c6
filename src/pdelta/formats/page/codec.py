"""Pages from bytes and to bytes, without judging them.

Called on pages that were checked when they arrived, or built here. The layout is ``[type, level, items]`` in canonical
msgpack; decoding raises ``FormatError`` on other shapes, but only ``check_page`` makes promises about the content.
"""

from enum import StrEnum
from struct import Struct
from typing import Final, TypeVar

import msgspec
from blake3 import blake3

from pdelta.errors import FormatError
from pdelta.model import UNDECODABLE
from pdelta.model.amount import counted
from pdelta.model.snapshot import (
    ID_LENGTH_BYTES,
    RUN_LENGTH_BYTES,
    ChunkRun,
    Entry,
    Kind,
    LinkName,
    PageRef,
)

MAX_PAGE_ITEMS: Final = 4096
MAX_PAGE_BYTES: Final = 262_144
MAX_LEVEL: Final = 16
"""Bound of a reader; 4,096 items a page never need as many levels."""

ARRAY_HEADER_BYTES: Final = 3
PAGE_OVERHEAD_BYTES: Final = 4 + ARRAY_HEADER_BYTES
"""Array of three, type, level, and the longest header that 4,096 items can have."""

_T = TypeVar("_T")
_RUN: Final = Struct(">32sII")
_MAX_FIXARRAY: Final = 15
_LEVEL_OFFSET: Final = 3


class PageType(StrEnum):
    """What the items of a page are. Stored, so the letters never change."""

    DIRECTORY = "d"
    CONTENT = "c"
    LINKS = "l"


encoder: Final = msgspec.msgpack.Encoder(order="deterministic")
entries_decoder: Final = msgspec.msgpack.Decoder(tuple[str, int, list[Entry]])
refs_decoder: Final = msgspec.msgpack.Decoder(tuple[str, int, list[PageRef]])
runs_decoder: Final = msgspec.msgpack.Decoder(tuple[str, int, tuple[bytes]])
links_decoder: Final = msgspec.msgpack.Decoder(tuple[str, int, list[LinkName]])


def page_id(data: bytes) -> bytes:
    """Give the id of a page's canonical bytes."""
    return blake3(data).digest()


def encode_page(type_: PageType, level: int, items: list[bytes]) -> bytes:
    """Join encoded items into a page."""
    count = len(items)
    header = bytes((0x90 | count,)) if count <= _MAX_FIXARRAY else b"\xdc" + count.to_bytes(2, "big")
    return b"".join((b"\x93\xa1", type_.encode(), bytes((level,)), header, *items))


def page_type(data: bytes) -> PageType:
    """Say what the items of a page are, by its first bytes.

    Raises:
        FormatError: These are not the first bytes of a page.
    """
    if data[:2] == b"\x93\xa1":
        letter = data[2:3]
        for known in PageType:
            if letter == known.encode():
                return known
    message = f"not a page: it begins with {data[:4].hex()!r}"
    raise FormatError(message)


def page_level(data: bytes) -> int:
    """Give the level of a page, 1 for a leaf, by its first bytes.

    Raises:
        FormatError: These are not the first bytes of a page, or the level is out of range.
    """
    page_type(data)
    level = data[_LEVEL_OFFSET] if len(data) > _LEVEL_OFFSET else 0
    if not 1 <= level <= MAX_LEVEL:
        message = f"page level {level} is out of range 1 to {MAX_LEVEL}"
        raise FormatError(message)
    return level


def decode_entries(data: bytes) -> list[Entry]:
    """Give the entries of one directory leaf.

    Raises:
        FormatError: The bytes are no directory leaf.
    """
    return _decode(data, entries_decoder, PageType.DIRECTORY)


def decode_links(data: bytes) -> list[LinkName]:
    """Give the names of one leaf of hard-link groups.

    Raises:
        FormatError: The bytes are no such leaf.
    """
    return _decode(data, links_decoder, PageType.LINKS)


def decode_runs(data: bytes) -> list[ChunkRun]:
    """Give the runs of one chunk-list leaf.

    Raises:
        FormatError: The bytes are no such leaf.
    """
    return unpack_runs(_decode(data, runs_decoder, PageType.CONTENT)[0])


def decode_refs(data: bytes) -> list[PageRef]:
    """Give the references of one page above the leaves, of any type.

    Raises:
        FormatError: The bytes are no such page.
    """
    if page_level(data) == 1:
        message = "a leaf page was found where an inner page was expected"
        raise FormatError(message)
    return decode(data, refs_decoder)[2]


def unpack_runs(packed: bytes) -> list[ChunkRun]:
    """Give the runs of a packed list, as in a small file's ``Entry.content``.

    Raises:
        FormatError: The length is no multiple of 40 bytes.
    """
    if len(packed) % RUN_LENGTH_BYTES:
        message = f"packed runs of {counted(len(packed), 'byte')}; a run has {RUN_LENGTH_BYTES}"
        raise FormatError(message)
    return [ChunkRun(*fields) for fields in _RUN.iter_unpack(packed)]


def child_ids(data: bytes) -> list[bytes]:
    """Give every page that a page refers to: pages below it, file contents of their own and sub-directories.

    Raises:
        FormatError: The bytes are no page.
    """
    if page_level(data) > 1:
        return [ref.id for ref in decode_refs(data)]
    if page_type(data) is not PageType.DIRECTORY:
        return []
    return [
        entry.content
        for entry in decode_entries(data)
        if len(entry.content) == ID_LENGTH_BYTES and entry.kind != Kind.SYMLINK
    ]


def decode(data: bytes, decoder: msgspec.msgpack.Decoder[_T]) -> _T:
    """Decode by type, with the library's errors translated.

    Raises:
        FormatError: The bytes have another shape.
    """
    try:
        return decoder.decode(data)
    except (*UNDECODABLE, OverflowError) as error:
        message = f"malformed page: {error}"
        raise FormatError(message) from error


def _decode(data: bytes, decoder: msgspec.msgpack.Decoder[tuple[str, int, _T]], type_: PageType) -> _T:
    if page_type(data) is not type_ or page_level(data) != 1:
        message = f"page of type {page_type(data)!s} and level {page_level(data)}; expected a leaf of type {type_!s}"
        raise FormatError(message)
    return decode(data, decoder)[2]
