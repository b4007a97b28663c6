"""Messages: round trips, and refusal of everything else; errors, text and the choice of compression."""

import contextlib
import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdelta import errors
from pdelta.model.event import Event
from pdelta.model.source import Want
from pdelta.wire import messages
from pdelta.wire.compression import AGAIN_BYTES, WINDOW_BYTES, Chooser, Compress, shrinks
from pdelta.wire.failures import build_error, describe_failure
from pdelta.wire.text import MAX_CHARACTERS, neutralise

ALL: list[messages.Message] = [
    messages.Hello(1, "pdelta", "tree", b"/srv/\xff", 3),
    messages.Welcome(1, "pdelta", "host", b"/srv"),
    messages.Call("execute", b"\x91\x01", (b"a", b"b")),
    messages.Result(b"\x01"),
    messages.Part(b"\x91\x01"),
    messages.Failure("locked", "held", "wait", b"\xff", ("x",)),
    messages.Declined(9, messages.Failure("source-changed", "gone")),
    messages.Progress(Event("apply", 1, 2)),
    messages.PagesWanted((bytes(32),)),
    messages.Pages((b"page",), last=False),
    messages.RangesWanted((Want(b"a", 0, 1), Want(b"b", 1, 2, b"s", b"c", 3, 4))),
    messages.Data(b"raw", end=True),
    messages.Note(b"n"),
    messages.Noted(),
    messages.Bye(),
]


@pytest.mark.parametrize("message", ALL, ids=lambda it: type(it).__name__)
def test_message_when_decoded_then_equals_what_was_encoded(message: messages.Message) -> None:
    assert messages.decode(message.type, messages.encode(message)) == message


def test_types_when_listed_then_each_has_a_message() -> None:
    assert {message.type for message in ALL} == set(messages.Type)


@pytest.mark.parametrize("kind", [0, 16, 200, 255])
def test_type_when_unknown_then_is_refused_by_number(kind: int) -> None:
    with pytest.raises(errors.FormatError, match=f"message type {kind} is unknown to wire version 1"):
        messages.decode(kind, b"\x80")


@given(st.sampled_from([kind for kind in messages.Type if kind is not messages.Type.DATA]), st.binary(max_size=60))
def test_payload_when_garbage_then_is_refused(kind: messages.Type, data: bytes) -> None:
    with contextlib.suppress(errors.FormatError):
        messages.decode(kind, data)


def test_payload_when_deeply_nested_then_is_refused() -> None:
    with pytest.raises(errors.FormatError):
        messages.decode(messages.Type.RESULT, b"\x81\xa1x" + b"\x91" * 100_000)


@pytest.mark.parametrize(
    "want",
    [
        Want(b"a", 0, 0),
        Want(b"a", -1, 1),
        Want(b"a", 1 << 63, 1),
        Want(b"a", 0, 1, base_length=-1),
        Want(bytes(70_000), 0, 1),
    ],
)
def test_range_when_impossible_then_is_refused(want: Want) -> None:
    with pytest.raises(errors.FormatError, match="impossible range"):
        messages.check_wants((Want(b"a", 0, 1), want))


def test_requests_when_too_long_then_are_refused() -> None:
    for message in (messages.PagesWanted((bytes(32),) * 4097), messages.RangesWanted((Want(b"a", 0, 1),) * 4097)):
        with pytest.raises(errors.FormatError):
            messages.decode(message.type, messages.encode(message))
    with pytest.raises(errors.FormatError):
        messages.decode(messages.Type.PAGES_WANTED, messages.encode(messages.PagesWanted((bytes(31),))))


@pytest.mark.parametrize(
    "kind", [it for it in vars(errors).values() if isinstance(it, type) and issubclass(it, errors.PdeltaError)]
)
def test_error_when_it_crosses_the_wire_then_keeps_class_message_and_hint(kind: type[errors.PdeltaError]) -> None:
    back = build_error(describe_failure(kind("what happened", hint="do this")))
    assert type(back) is kind
    assert (back.message, back.hint) == ("what happened", "do this")


def test_error_when_its_code_is_unknown_then_is_a_plain_failure() -> None:
    error = build_error(messages.Failure("new-code", "text"), "web1")
    assert type(error) is errors.PdeltaError
    assert error.message == "web1: text"


@given(st.text())
def test_text_of_a_host_when_shown_then_cannot_drive_a_terminal(text: str) -> None:
    shown = neutralise(text)
    assert all(it in "\n\t" or it.isprintable() or it > "\x9f" for it in shown)
    assert not set("\x1b\x07\x9b\u202e\u2066\r\x00") & set(shown)


def test_text_of_a_host_when_endless_then_is_cut() -> None:
    assert len(neutralise("a" * 10_000_000)) <= MAX_CHARACTERS + 2


def test_sample_when_random_or_text_then_tells_them_apart() -> None:
    assert not shrinks(random.Random(1).randbytes(1 << 20))
    assert shrinks(b"the same words again " * 10_000)
    assert not shrinks(b"")


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


TEXT = b"words and words again " * 40_000


def _send(chooser: Chooser, clock: Clock, *, link: float, packer: float, total: int) -> list[bool]:
    """Send frames over a link and with a compressor of these speeds (bytes a second, ratio 5); give the choices."""
    choices = []
    for _ in range(total // len(TEXT)):
        compress = chooser.choose([TEXT])
        choices.append(compress)
        waited = len(TEXT) / 5 / link if compress else len(TEXT) / link
        clock.now += waited + (len(TEXT) / packer if compress else 0)
        chooser.sent(len(TEXT), waited)
    return choices


def test_auto_when_the_link_is_slow_then_always_compresses() -> None:
    clock = Clock()
    assert all(_send(Chooser(Compress.AUTO, clock), clock, link=1e6, packer=3e8, total=WINDOW_BYTES * 4))


def test_auto_when_the_link_is_fast_then_soon_stops_compressing_and_asks_again() -> None:
    clock = Clock()
    chooser = Chooser(Compress.AUTO, clock)
    choices = _send(chooser, clock, link=5e9, packer=3e8, total=WINDOW_BYTES * 8)
    assert choices[0]
    assert choices.count(True) <= WINDOW_BYTES // len(TEXT) + 1
    assert any(_send(chooser, clock, link=5e9, packer=3e8, total=AGAIN_BYTES))


@pytest.mark.parametrize(("wish", "expected"), [(Compress.ZSTD, True), (Compress.OFF, False)])
def test_wish_when_given_then_is_obeyed(wish: Compress, expected: bool) -> None:
    chooser = Chooser(wish, Clock())
    assert chooser.choose([random.Random(1).randbytes(10_000)]) is expected
    chooser.sent(1 << 30, 0.0)
    assert chooser.choose([TEXT]) is expected


def test_struct_when_a_field_is_unknown_then_is_refused_but_not_in_a_greeting() -> None:
    extra = msgspec.msgpack.encode({"verb": "check", "surprise": 1})
    with pytest.raises(errors.FormatError, match="surprise"):
        messages.decode(messages.Type.CALL, extra)
    hello = messages.decode(messages.Type.HELLO, msgspec.msgpack.encode({"version": 2, "surprise": 1}))
    assert isinstance(hello, messages.Hello)
    assert hello.version == 2
