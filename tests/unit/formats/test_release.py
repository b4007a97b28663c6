"""The intent of a switch: what is written is read, and nothing else is."""

import pytest

from pdelta.errors import FormatError, IntegrityError
from pdelta.formats.release import SwitchIntent, decode_switch, encode_switch

INTENT = SwitchIntent(3, b"entry", 3, True, 2, False, (b"logs", b"\xff"), (b"logs",))


def test_intent_when_encoded_then_decoding_gives_it_back() -> None:
    assert decode_switch(encode_switch(INTENT)) == INTENT


@pytest.mark.parametrize("cut", [0, 15, 17, 40, -1])
def test_intent_when_torn_then_it_is_refused(cut: int) -> None:
    with pytest.raises((FormatError, IntegrityError)):
        decode_switch(encode_switch(INTENT)[:cut])


def test_intent_when_one_bit_is_wrong_then_it_is_refused() -> None:
    data = bytearray(encode_switch(INTENT))
    data[20] ^= 1
    with pytest.raises(IntegrityError):
        decode_switch(bytes(data))
