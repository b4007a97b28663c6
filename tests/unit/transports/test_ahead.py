"""Compressing ahead: the order stays, buffers come back."""

import random

import pytest

from pdelta.transports.ahead import Ahead
from pdelta.wire.frames import HEADER, Decoder, Frame


def test_payloads_when_compressed_ahead_then_come_out_in_their_order() -> None:
    ahead, decoder = Ahead(), Decoder()
    chance = random.Random(5)
    wanted: list[bytes] = []
    got: list[Frame] = []
    for _ in range(40):
        pieces = [chance.randbytes(chance.randrange(200_000)) for _ in range(chance.randrange(4))]
        filled = 0
        for piece in pieces:
            assert len(ahead.gather(filled, piece)) == filled + len(piece)
            filled += len(piece)
        ahead.put(filled)
        wanted.append(b"".join(pieces))
        while ahead.full:
            got += decoder.feed(b"".join(ahead.take().frame(10, end=False)))
    while ahead.waiting:
        got += decoder.feed(b"".join(ahead.take().frame(10, end=not ahead.waiting)))
    ahead.close()
    assert [frame.payload for frame in got] == wanted
    assert [frame.flags for frame in got] == [0] * 39 + [2]


def test_payloads_when_forgotten_then_their_buffers_serve_again() -> None:
    ahead = Ahead()
    for _ in range(3):
        ahead.gather(0, b"first" * 1000)
        ahead.put(5000)
    ahead.clear()
    assert not ahead.waiting
    ahead.gather(0, b"second")
    ahead.put(6)
    (frame,) = Decoder().feed(b"".join(ahead.take().frame(10, end=True)))
    ahead.close()
    assert frame.payload == b"second"
    assert frame.wire_bytes > HEADER.size


def test_payload_when_longer_than_a_frame_then_is_refused() -> None:
    ahead = Ahead()
    with pytest.raises(ValueError, match="assignment"):
        ahead.gather(0, bytes((4 << 20) + 1))
    ahead.close()
