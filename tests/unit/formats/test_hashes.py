"""``previous_hashes.json`` as the former tool wrote it."""

import hashlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdelta.errors import FormatError
from pdelta.formats.hashes import parse_hashes, render_hashes

HASH = "ab" * 32


def test_hashes_when_the_former_tool_wrote_them_then_they_are_read() -> None:
    assert parse_hashes(b'{"conf/app.ini": "' + HASH.upper().encode() + b'"}') == {b"conf/app.ini": HASH}


@given(
    st.dictionaries(
        st.binary(min_size=1, max_size=20).filter(lambda name: not {0, 47} & set(name) and name not in (b".", b"..")),
        st.binary(min_size=32, max_size=32).map(bytes.hex),
    )
)
def test_hashes_when_written_and_read_then_they_are_the_same(hashes: dict[bytes, str]) -> None:
    assert parse_hashes(render_hashes(hashes)) == hashes


def test_vector_when_read_and_written_then_it_is_the_same_bytes() -> None:
    data = (Path(__file__).parents[2] / "vectors" / "previous-hashes" / "example.json").read_bytes()
    hashes = parse_hashes(data)
    assert hashes[b"caf\xe9"] == hashlib.sha256(b"").hexdigest()
    assert hashes[b"conf/app.ini"] == hashlib.sha256(b"one").hexdigest()
    assert render_hashes(hashes) == data


@pytest.mark.parametrize("data", [b"[]", b'{"a": 1}', b'{"a": "xyz"}', b'{"../a": "' + HASH.encode() + b'"}', b"\xff"])
def test_hashes_when_malformed_then_they_are_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        parse_hashes(data)
