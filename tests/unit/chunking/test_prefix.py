"""Frames against kept bases: they come out as they went in, and nothing else is accepted."""

import contextlib
import random
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdelta.chunking.prefix import WINDOW_LOG, apply_frame, make_frame
from pdelta.errors import PdeltaError

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


@given(st.binary(max_size=3000), st.binary(max_size=3000))
def test_frame_when_applied_to_its_prefix_then_gives_the_new_bytes(old: bytes, new: bytes) -> None:
    assert apply_frame(old, make_frame(new, old), len(new)) == new


def test_frame_when_little_changed_then_is_small() -> None:
    old = random.Random(1).randbytes(3 << 20)
    new = old[:1000] + b"inserted" + old[5000 : 2 << 20] + old[(2 << 20) + 9 :]
    assert len(make_frame(new, old)) < 1000


def test_frame_when_the_prefix_is_another_then_never_gives_other_lengths() -> None:
    old, new = random.Random(2).randbytes(10_000), random.Random(2).randbytes(10_000) + b"x"
    frame = make_frame(new, old)
    with contextlib.suppress(PdeltaError):
        assert len(apply_frame(bytes(10_000), frame, len(new))) == len(new)


@pytest.mark.parametrize("length", [0, 999, 1001])
def test_frame_when_it_gives_another_length_than_wanted_then_is_refused(length: int) -> None:
    with pytest.raises(PdeltaError):
        apply_frame(b"", make_frame(bytes(1000), b""), length)


def test_bomb_when_applied_then_is_refused() -> None:
    with pytest.raises(PdeltaError):
        apply_frame(b"", zstd.compress(bytes(200 << 20), 3), 1000)


def test_frame_when_its_window_is_too_large_then_is_refused() -> None:
    parameter = zstd.CompressionParameter
    options: dict[int, int] = {parameter.window_log: WINDOW_LOG + 2, parameter.content_size_flag: 0}
    compressor = zstd.ZstdCompressor(options=options)
    frame = compressor.compress(bytes(100)) + compressor.flush()
    with pytest.raises(PdeltaError):
        apply_frame(b"", frame, 100)


@pytest.mark.parametrize("tail", [b"x", zstd.compress(b"")])
def test_frame_when_something_follows_then_is_refused(tail: bytes) -> None:
    with pytest.raises(PdeltaError):
        apply_frame(b"", make_frame(b"new", b"") + tail, 3)


def test_frame_when_more_than_a_window_is_given_then_is_not_made() -> None:
    with pytest.raises(ValueError, match="window"):
        make_frame(bytes(1 << 24), bytes(1 << 24))
