"""Frames: what goes in comes out, and nothing else is accepted."""

import random
import struct
import sys
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdelta.errors import FormatError
from pdelta.wire.frames import END, HEADER, MAX_PAYLOAD_BYTES, RAW_LENGTH, WHOLE, ZSTD, Decoder, Encoder, pack_whole

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

WAYS = st.sampled_from(["plain", "stream", "whole"])
PAYLOADS = st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=3000), st.booleans(), WAYS), max_size=12)


@given(PAYLOADS, st.integers(1, 4000))
def test_frames_when_cut_anywhere_then_come_out_as_they_went_in(
    frames: list[tuple[int, bytes, bool, str]], step: int
) -> None:
    encoder, decoder = Encoder(), Decoder()
    stream = b"".join(
        b"".join(
            pack_whole(data).frame(kind, end=end)
            if way == "whole"
            else encoder.encode(kind, [data[:7], data[7:]], end=end, compress=way == "stream")
        )
        for kind, data, end, way in frames
    )
    out = [frame for at in range(0, len(stream), step) for frame in decoder.feed(stream[at : at + step])]
    assert [(it.type, it.payload, it.flags) for it in out] == [
        (kind, data, END if end else 0) for kind, data, end, _ in frames
    ]
    assert sum(it.wire_bytes for it in out) == len(stream)


def test_small_frames_when_compressed_in_one_stream_then_share_their_history() -> None:
    text = random.Random(3).randbytes(400).hex().encode()
    encoder = Encoder()
    first, second = (sum(map(len, encoder.encode(1, [text], compress=True))) for _ in range(2))
    assert second < first / 5


def test_level_when_changed_within_a_stream_then_frames_still_come_out_as_they_went_in() -> None:
    encoder, decoder = Encoder(), Decoder()
    payloads = [random.Random(at).randbytes(300).hex().encode() for at in range(8)]
    out = []
    for at, payload in enumerate(payloads):
        if at % 2:
            encoder.set_level(at)
            encoder.set_level(6)
        stream = b"".join(encoder.encode(1, [payload], compress=at != 3))
        out += [frame.payload for frame in decoder.feed(stream)]
    assert out == payloads


def test_part_when_two_streams_end_in_it_then_is_refused() -> None:
    ended = zstd.compress(b"") + zstd.compress(b"abc")
    payload = RAW_LENGTH.pack(3) + ended
    with pytest.raises(FormatError):
        list(Decoder().feed(HEADER.pack(1, ZSTD, len(payload)) + payload))


@pytest.mark.parametrize(
    ("flags", "length", "part"),
    [
        (WHOLE, 3, zstd.compress(b"abc")),
        (ZSTD | WHOLE, 3, zstd.compress(b"abc")[:-1]),
        (ZSTD | WHOLE, 3, zstd.compress(b"abc") + b"d"),
        (ZSTD | WHOLE, 3, zstd.compress(b"abc") + zstd.compress(b"")),
        (ZSTD | WHOLE, 2, zstd.compress(b"abc")),
        (ZSTD | WHOLE, 4, zstd.compress(b"abc")),
    ],
    ids=["not compressed", "torn", "more", "another frame", "too long", "too short"],
)
def test_part_when_it_is_no_frame_of_its_own_then_is_refused(flags: int, length: int, part: bytes) -> None:
    payload = RAW_LENGTH.pack(length) + part
    with pytest.raises(FormatError):
        list(Decoder().feed(HEADER.pack(1, flags, len(payload)) + payload))


def test_plain_payload_when_encoded_then_is_not_copied() -> None:
    data = bytearray(b"content")
    parts = Encoder().encode(1, [data])
    assert parts[1] is data


@given(st.binary(max_size=200))
def test_garbage_when_fed_then_is_refused_or_waits_but_never_grows(data: bytes) -> None:
    decoder = Decoder()
    with suppress(FormatError):
        for frame in decoder.feed(data):
            assert len(frame.payload) <= MAX_PAYLOAD_BYTES


@given(st.integers(0, 60))
def test_torn_stream_when_fed_then_gives_whole_frames_and_keeps_the_rest(cut: int) -> None:
    stream = b"".join(b"".join(Encoder().encode(5, [b"0123456789"])) for _ in range(4))
    decoder = Decoder()
    frames = list(decoder.feed(stream[:cut]))
    assert len(frames) == min(cut, len(stream)) // 16
    assert len(frames) + len(list(decoder.feed(stream[cut:]))) == 4


def test_length_beyond_the_limit_when_declared_then_is_refused_before_it_comes() -> None:
    with pytest.raises(FormatError, match="declares"):
        list(Decoder().feed(HEADER.pack(1, 0, MAX_PAYLOAD_BYTES + 1)))
    with pytest.raises(ValueError, match="at most"):
        Encoder().encode(1, [bytes(MAX_PAYLOAD_BYTES + 1)])


def test_unknown_flag_when_set_then_is_refused() -> None:
    with pytest.raises(FormatError, match="unknown flags 0x80"):
        list(Decoder().feed(HEADER.pack(1, 0x80, 0)))


@pytest.mark.parametrize(
    "payload", [b"", b"abc", struct.pack(">I", 5), struct.pack(">I", 5) + b"not zstd", struct.pack(">I", 1 << 31)]
)
def test_compressed_frame_when_damaged_then_is_refused(payload: bytes) -> None:
    with pytest.raises(FormatError, match="compressed frame"):
        list(Decoder().feed(HEADER.pack(1, ZSTD, len(payload)) + payload))


def test_declared_length_when_wrong_then_is_refused() -> None:
    for wrong in (9, 11):
        head, *rest = Encoder().encode(1, [b"0123456789"], compress=True)
        head = bytes(head)[:6] + struct.pack(">I", wrong)
        with pytest.raises(FormatError, match=f"to the {wrong} bytes"):
            list(Decoder().feed(b"".join([head, *rest])))
