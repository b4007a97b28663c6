"""What the frames of a session mean.

Each message is a value with a number; its payload is msgpack, but for ``Data``,
which is raw. Called by ``transports.link``; the session's order is kept by
``wire.session``.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import Annotated, Any, ClassVar, Final, Literal

import msgspec

from pdelta.errors import FormatError
from pdelta.model import UNDECODABLE
from pdelta.model.event import Event
from pdelta.model.source import Want

PROTOCOL_VERSION: Final = 1

MAX_MESSAGE_BYTES: Final = 64 << 20
"""A message of several frames is never longer in all."""

MAX_REQUEST_BYTES: Final = 4 << 20
"""What an agent asks is never longer: it waits in the controller's memory."""

MAX_BATCH: Final = 4096
"""No message asks for more pages or ranges than this."""

ID_LENGTH: Final = 32
MAX_PATH_BYTES: Final = 1 << 16

PageIdBytes = Annotated[bytes, msgspec.Meta(min_length=ID_LENGTH, max_length=ID_LENGTH)]


class Type(IntEnum):
    """Number of each message on the wire; numbers are never used again."""

    HELLO = 1
    WELCOME = 2
    CALL = 3
    RESULT = 4
    FAILURE = 5
    PROGRESS = 6
    PAGES_WANTED = 7
    PAGES = 8
    RANGES_WANTED = 9
    DATA = 10
    NOTE = 11
    NOTED = 12
    PART = 13
    BYE = 14
    DECLINED = 15


class Hello(msgspec.Struct, frozen=True):
    """First words of the controller; unknown fields are allowed, so that any version can be refused by name.

    Attributes:
        version: Wire version.
        software: What speaks, for people.
        kind: Kind of operation that is wanted.
        root: Where, as a raw path on the host.
        level: zstd level for what the agent sends.
    """

    type: ClassVar[Type] = Type.HELLO
    version: int
    software: str = ""
    kind: str = "tree"
    root: bytes = b""
    level: Annotated[int, msgspec.Meta(ge=-7, le=19)] = 1


class Welcome(msgspec.Struct, frozen=True):
    """The agent's answer to ``Hello``; unknown fields are allowed.

    Attributes:
        version: Wire version.
        software: What speaks, for people.
        host: Name that the agent's machine gives itself.
        root: The root as the agent understood it.
        facts: What the verb ``describe`` would give, so that it need not be called first; empty where it would fail.
    """

    type: ClassVar[Type] = Type.WELCOME
    version: int
    software: str = ""
    host: str = ""
    root: bytes = b""
    facts: bytes = b""


class Call(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One verb for the operation.

    Attributes:
        verb: Its name.
        arguments: msgpack array of its arguments, in order.
        notes: What the operation noted earlier for this step, where the verb takes notes.
        patches: How the agent may ask for ranges that replace others: plainly, with ``fine`` signatures, or by their
            ``base``, which the controller has kept.
    """

    type: ClassVar[Type] = Type.CALL
    verb: Annotated[str, msgspec.Meta(max_length=64)]
    arguments: bytes = b"\x90"
    notes: tuple[bytes, ...] = ()
    patches: Literal["", "fine", "base"] = ""


class Result(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The verb's value; what was streamed came before in ``Part`` messages."""

    type: ClassVar[Type] = Type.RESULT
    value: bytes = b"\xc0"


class Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Some items of a streamed value, as a msgpack array."""

    type: ClassVar[Type] = Type.PART
    items: bytes = b"\x90"


class Failure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why a call ended without a result; as ``Declined``, why a request gets no answer.

    Attributes:
        code: Stable code of the error class.
        message: What happened.
        hint: What to do next.
        path: Raw path, where the error names one.
        findings: Blocking findings of a refused pre-flight.
    """

    type: ClassVar[Type] = Type.FAILURE
    code: str
    message: str
    hint: str = ""
    path: bytes = b""
    findings: tuple[str, ...] = ()


class Declined(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Instead of ``Pages``, ``Data`` or ``Noted``: the request can't be answered.

    Attributes:
        request: Type number of the request.
        failure: Why.
    """

    type: ClassVar[Type] = Type.DECLINED
    request: int
    failure: Failure


class Progress(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One event of the agent's observer."""

    type: ClassVar[Type] = Type.PROGRESS
    event: Event


class PagesWanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Asks for pages of the wanted snapshot.

    Attributes:
        ids: Which pages.
        bases: For each, the page that the asker has in its place, zeros for none; or nothing at all.
    """

    type: ClassVar[Type] = Type.PAGES_WANTED
    ids: Annotated[tuple[PageIdBytes, ...], msgspec.Meta(max_length=MAX_BATCH)]
    bases: Annotated[tuple[PageIdBytes, ...], msgspec.Meta(max_length=MAX_BATCH)] = ()


class Pages(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Page bytes, in any order.

    Attributes:
        pages: Canonical bytes; their hashes say which they are.
        last: Whether the answer is complete.
        patches: (base id, patch) of pages that are sent as the difference from a base.
    """

    type: ClassVar[Type] = Type.PAGES
    pages: tuple[bytes, ...]
    last: bool = True
    patches: tuple[tuple[PageIdBytes, bytes], ...] = ()


class RangesWanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Asks for ranges of the wanted snapshot's files."""

    type: ClassVar[Type] = Type.RANGES_WANTED
    wants: Annotated[tuple[Want, ...], msgspec.Meta(max_length=MAX_BATCH)]


class Data(msgspec.Struct, frozen=True, gc=False):
    """Raw bytes answering the oldest ``RangesWanted``; ``END`` marks its last frame.

    Attributes:
        data: At most a frame.
        end: Whether the answer is complete.
    """

    type: ClassVar[Type] = Type.DATA
    data: bytes
    end: bool


class Note(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Asks the controller to keep a note durably."""

    type: ClassVar[Type] = Type.NOTE
    note: bytes


class Noted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The note is durable."""

    type: ClassVar[Type] = Type.NOTED


class Bye(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The controller needs nothing more."""

    type: ClassVar[Type] = Type.BYE


Message = (
    Hello
    | Welcome
    | Call
    | Result
    | Part
    | Failure
    | Declined
    | Progress
    | PagesWanted
    | Pages
    | RangesWanted
    | Data
    | Note
    | Noted
    | Bye
)

_CLASSES: Final[Mapping[int, Any]] = {
    kind.type: kind
    for kind in (
        *(Hello, Welcome, Call, Result, Part, Failure, Declined, Progress),
        *(PagesWanted, Pages, RangesWanted, Note, Noted, Bye),
    )
}
_decoders: dict[int, msgspec.msgpack.Decoder[Any]] = {}
_encoder = msgspec.msgpack.Encoder()


def encode(message: Message) -> bytes:
    """Give a message's payload; ``Data`` gives its bytes as they are."""
    return message.data if isinstance(message, Data) else _encoder.encode(message)


def decode(kind: int, payload: bytes) -> Message:
    """Give the message of a payload whose frames are all there.

    Raises:
        FormatError: The type is unknown, or the payload is not what its type says.
    """
    if kind == Type.DATA:
        return Data(payload, end=True)
    decoder = _decoders.get(kind)
    if decoder is None:
        known = _CLASSES.get(kind)
        if known is None:
            text = f"message type {kind} is unknown to wire version {PROTOCOL_VERSION}"
            raise FormatError(text)
        decoder = _decoders[kind] = msgspec.msgpack.Decoder(known)
    try:
        message: Message = decoder.decode(payload)
    except UNDECODABLE as error:
        text = f"message {Type(kind).name} is malformed: {error}"
        raise FormatError(text) from error
    return message


def check_wants(wants: tuple[Want, ...]) -> None:
    """Refuse ranges that no honest peer asks for; whether a path belongs to the snapshot is the source's to check.

    Raises:
        FormatError: A length or an offset is out of range.
    """
    for want in wants:
        sizes = (want.offset, want.base_offset, want.base_length)
        if want.length < 1 or min(sizes) < 0 or max(*sizes, want.length) >= 1 << 63 or len(want.path) > MAX_PATH_BYTES:
            text = f"the host asked for an impossible range of {want.path[:256]!r}"
            raise FormatError(text)
