"""A string that is no UTF-8: msgspec answers with an error that is not its own, and nobody may meet it."""

from collections.abc import Callable

import pytest

from pdelta.errors import FormatError
from pdelta.formats.history import decode_history_entry, decode_wish
from pdelta.formats.journal import decode_record
from pdelta.formats.plan import decode_plan
from pdelta.formats.report import decode_body
from pdelta.wire import messages


@pytest.mark.parametrize("decode", [decode_body, decode_history_entry, decode_plan, decode_record, decode_wish])
@pytest.mark.parametrize("data", [b"\x95\xa1\x80", b"\x81\xa1\x80\x01", b"\xa1\x80"])
def test_bytes_when_a_string_in_them_is_no_utf8_then_a_format_error(
    decode: Callable[[bytes], object], data: bytes
) -> None:
    with pytest.raises(FormatError):
        decode(data)


@pytest.mark.parametrize("kind", [kind for kind in messages.Type if kind is not messages.Type.DATA])
def test_message_when_a_string_in_it_is_no_utf8_then_a_format_error(kind: messages.Type) -> None:
    with pytest.raises(FormatError):
        messages.decode(kind, b"\x95\xa1\x80")
