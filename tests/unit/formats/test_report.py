"""The body of a tree's delta."""

import msgspec
import pytest

from pdelta.errors import FormatError
from pdelta.formats.history import Counts, PushWish
from pdelta.formats.report import TreeBody, decode_body, encode_body
from pdelta.model.finding import Finding


def test_body_when_encoded_then_it_is_read_back() -> None:
    body = TreeBody(
        wish=PushWish(b"\1" * 32, drift="keep"),
        wanted=b"\1" * 32,
        recorded=b"\2" * 32,
        number=3,
        counts=Counts(added=1),
        findings=(Finding("drift", "text", hint="hint", subject=b"\xff"),),
        released=(b"a", b"b"),
        trusted="all of it",
        deleted=2,
        found=b"\3" * 32,
    )
    assert decode_body(encode_body(body)) == body


@pytest.mark.parametrize("data", [b"", b"\xc0", msgspec.msgpack.encode({"wish": {"type": "push", "wanted": b""}})])
def test_body_when_malformed_then_it_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        decode_body(data)
