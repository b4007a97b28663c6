"""A session over a channel: messages in, messages out, each checked and counted.

Used by both ends (``operations.remote`` and ``app.serve``); knows the order of
messages, not what verbs do.
"""

from collections import deque
from collections.abc import Sequence
from threading import Lock
from typing import Final

from pdelta.errors import FormatError
from pdelta.transports.base import Channel
from pdelta.wire import messages
from pdelta.wire.frames import END, Buffer, Decoder, Encoder, Frame, Packed
from pdelta.wire.messages import Data, Declined, Message, Pages, Type
from pdelta.wire.session import Role, Session, State

COMPRESS_FROM_BYTES: Final = 64
"""Shorter messages are sent as they are."""

REQUEST_TYPES: Final = frozenset({Type.PAGES_WANTED, Type.RANGES_WANTED, Type.NOTE, Type.PROGRESS})

FRAME_BYTES: Final = 1 << 20
"""A message is cut into frames of this size, so that none outgrows its limit when it does not compress."""


class Link:
    """One end of a session.

    Args:
        channel: Where bytes go and come from.
        role: Who this end is.
        level: zstd level of what this end sends.
        compress: Whether messages are compressed; ``Data`` is decided frame by frame.

    Attributes:
        sent_bytes: What was given to the channel so far.
        received_bytes: What came from it.
    """

    def __init__(self, channel: Channel, role: Role, *, level: int = 1, compress: bool = True) -> None:
        """Begin before ``Hello``."""
        self.channel = channel
        self.session = Session(role)
        self.sent_bytes = 0
        self.received_bytes = 0
        self._sending = Lock()
        self._compress = compress
        self._encoder = Encoder(level)
        self._decoder = Decoder()
        self._frames: deque[Frame] = deque()
        self._partial: list[bytes] = []
        self._partial_type = 0
        self._partial_bytes = 0

    def set_level(self, level: int) -> None:
        """Choose the zstd level of what is sent from now on."""
        self._encoder.set_level(level)

    def pack(self, message: Message) -> list[Buffer]:
        """Give the bytes of a message as if it had been sent, for a contact that sends them itself."""
        end, declines = _facts(message)
        self.session.send(message.type, end=end, declines=declines)
        payload = memoryview(messages.encode(message))
        compress = self._compress and len(payload) >= COMPRESS_FROM_BYTES
        parts: list[Buffer] = []
        for begin in range(0, max(len(payload), 1), FRAME_BYTES):
            piece = payload[begin : begin + FRAME_BYTES]
            last = begin + FRAME_BYTES >= len(payload)
            parts += self._encoder.encode(message.type, [piece], end=last, compress=compress)
        self.sent_bytes += sum(map(len, parts))
        return parts

    def send(self, message: Message) -> None:
        """Send a message; progress may come from other threads, so that one message is never inside another.

        Raises:
            FormatError: The session's state does not allow it.
            TransportError: The peer is gone.
        """
        with self._sending:
            self.channel.send(self.pack(message))

    def pack_data(self, pieces: Sequence[Buffer], *, end: bool, compress: bool) -> list[Buffer]:
        """Give one frame of raw bytes as if it had been sent; the caller gives it to the channel.

        Args:
            pieces: At most ``MAX_PAYLOAD_BYTES`` in all; the result refers to them.
            end: Whether the answer is complete.
            compress: Whether to send it through the zstd stream.
        """
        self.session.send(Type.DATA, end=end)
        parts = self._encoder.encode(Type.DATA, pieces, end=end, compress=compress)
        self.sent_bytes += sum(map(len, parts))
        return parts

    def pack_packed(self, payload: Packed, *, end: bool) -> list[Buffer]:
        """Give one frame of raw bytes that were compressed ahead; see ``pack_data``."""
        self.session.send(Type.DATA, end=end)
        parts = payload.frame(Type.DATA, end=end)
        self.sent_bytes += sum(map(len, parts))
        return parts

    def feed(self, data: bytes) -> None:
        """Take bytes that somebody else has read from the channel."""
        self.received_bytes += len(data)
        self._frames.extend(self._decoder.feed(data))

    def receive(self, timeout_s: float | None = None) -> Message | None:
        """Give the next message; None when none came in time.

        Raises:
            FormatError: The peer broke the protocol.
            TransportError: The peer is gone.
        """
        while True:
            while self._frames:
                message = self._assemble(self._frames.popleft())
                if message is not None:
                    return message
            data = self.channel.receive(timeout_s)
            if data is None:
                return None
            if not data:
                raise self.channel.explain()
            self.feed(data)

    @property
    def idle(self) -> bool:
        """Whether no call is under way."""
        return self.session.state is State.IDLE

    def _assemble(self, frame: Frame) -> Message | None:
        end = bool(frame.flags & END)
        if frame.type == Type.DATA:
            if self._partial:
                text = "data came in the middle of another message"
                raise FormatError(text)
            self.session.receive(Type.DATA, end=end)
            return Data(frame.payload, end=end)
        payload = self._join(frame, end=end)
        if payload is None:
            return None
        message = messages.decode(frame.type, payload)
        whole, declines = _facts(message)
        self.session.receive(message.type, end=whole, declines=declines)
        return message

    def _join(self, frame: Frame, *, end: bool) -> bytes | None:
        if not self._partial and end:
            return frame.payload
        if self._partial and frame.type != self._partial_type:
            text = f"message type {frame.type} came in the middle of type {self._partial_type}"
            raise FormatError(text)
        self._partial_type = frame.type
        self._partial.append(frame.payload)
        self._partial_bytes += len(frame.payload)
        # Empty frames count too: nobody may keep this end busy without ever ending a message.
        self._partial_bytes += 64
        limit = messages.MAX_REQUEST_BYTES if frame.type in REQUEST_TYPES else messages.MAX_MESSAGE_BYTES
        if self._partial_bytes > limit:
            text = f"a message of type {frame.type} is longer than {limit} bytes"
            raise FormatError(text)
        if not end:
            return None
        payload = b"".join(self._partial)
        self._partial, self._partial_bytes = [], 0
        return payload


def _facts(message: Message) -> tuple[bool, int]:
    """Give what the session needs to know of a message: whether it completes an answer, and what it declines."""
    if isinstance(message, Declined):
        return True, message.request
    if isinstance(message, Pages | Data):
        return (message.last if isinstance(message, Pages) else message.end), 0
    return True, 0
