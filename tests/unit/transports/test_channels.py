"""Channels: both ways at once, ends, stalls and limits."""

import os
import signal
import sys
import time
from threading import Thread

import pytest

from pdelta.errors import FormatError, TransportError
from pdelta.transports import subprocess
from pdelta.transports.limited import LimitedChannel
from pdelta.transports.link import FRAME_BYTES, Link
from pdelta.transports.pipe import PipeChannel
from pdelta.transports.subprocess import SubprocessChannel
from pdelta.wire import messages
from pdelta.wire.frames import Encoder
from pdelta.wire.session import Role
from tests.fixtures.loopback import make_pair


def test_two_ends_when_both_send_more_than_pipes_hold_then_neither_waits_for_ever() -> None:
    controller, agent = make_pair()
    size = 20 << 20
    received = bytearray()

    def run() -> None:
        agent.send([bytes(size)])
        while len(received) < size:
            received.extend(agent.receive(10) or b"?")

    thread = Thread(target=run, daemon=True)
    thread.start()
    controller.send([memoryview(bytes(size))])
    total = 0
    while total < size:
        total += len(controller.receive(10) or b"")
    thread.join(10)
    assert (len(received), total) == (size, size)


def test_peer_that_floods_when_nothing_is_read_then_waits_at_the_limit() -> None:
    controller, agent = make_pair(inbound_limit_bytes=1 << 20)
    controller.stall_timeout_s = 0.3
    thread = Thread(target=lambda: agent.send([bytes(8 << 20)]), daemon=True)
    thread.start()
    with pytest.raises(TransportError, match="took nothing"):
        controller.send([bytes(1 << 20)])
    assert controller._inbound_bytes < 2 << 20
    while thread.is_alive():
        controller.receive(0.1)
    controller.close()
    agent.close()


def test_receive_when_nothing_comes_then_gives_none_in_time_and_the_end_as_empty() -> None:
    controller, agent = make_pair()
    assert controller.receive(0) is None
    assert agent.receive(0.01) is None
    agent.close()
    assert controller.receive(1) == b""
    assert controller.receive(1) == b""
    with pytest.raises(TransportError, match="ended"):
        controller.send([b"x"])


def test_complaints_when_hostile_then_are_bounded_and_safe() -> None:
    reading, writing = os.pipe()
    error_read, error_write = os.pipe()
    channel = PipeChannel(writing, reading, error_read)
    for _ in range(10):
        os.write(error_write, b"\x1b[2J" + b"x" * 10_000)
        channel.receive(0)
    os.write(error_write, b"\x1b]0;title\x07last words")
    os.close(error_write)
    text = channel.complaints()
    assert text.endswith(("…", "last words"))
    assert "\x1b" not in text
    assert len(text) < 40_000
    channel.close()


def test_command_when_it_ends_badly_then_its_status_and_words_are_told() -> None:
    channel = SubprocessChannel([sys.executable, "-c", "import sys; sys.exit('last words')"])
    assert channel.receive(10) == b""
    error = channel.explain()
    assert "status 1" in error.message
    assert "last words" in error.message
    channel.close()


def test_command_when_closed_then_is_gone() -> None:
    channel = SubprocessChannel([sys.executable, "-c", "import time; time.sleep(60)"])
    begin = time.monotonic()
    channel.close(at_once=True)
    assert time.monotonic() - begin < 4
    with pytest.raises(ProcessLookupError):
        os.kill(channel.pid, 0)
    channel.close()


def test_command_when_this_process_ignores_the_request_to_end_then_the_command_does_not() -> None:
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        channel = SubprocessChannel([sys.executable, "-c", "import time; time.sleep(60)"])
    finally:
        signal.signal(signal.SIGTERM, before)
    channel.close(at_once=True)
    assert channel._wait_for_exit(0) == -signal.SIGTERM


def test_command_when_it_does_not_listen_then_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "CLOSE_TIMEOUT_S", 0.1)
    code = "import os, signal, time; signal.signal(15, signal.SIG_IGN); os.write(1, b'1'); time.sleep(60)"
    channel = SubprocessChannel([sys.executable, "-c", code])
    assert channel.receive(60) == b"1"
    channel.close(at_once=True)
    assert channel._wait_for_exit(60) == -signal.SIGKILL


def test_limited_channel_when_sending_then_takes_the_time_that_its_rate_asks() -> None:
    controller, agent = make_pair()
    now = [0.0]
    channel = LimitedChannel(
        controller, 1 << 20, clock=lambda: now[0], sleep=lambda left: now.__setitem__(0, now[0] + left)
    )
    left = [4 << 20]

    def run() -> None:
        while left[0]:
            left[0] -= len(agent.receive(5) or b"")

    thread = Thread(target=run, daemon=True)
    thread.start()
    channel.send([bytes(3 << 20), bytes(1 << 20)])
    assert 3.7 < now[0] < 4.0
    thread.join(10)
    channel.close()
    agent.close()


def _links() -> tuple[Link, Link]:
    controller, agent = make_pair()
    return Link(controller, Role.CONTROLLER), Link(agent, Role.AGENT)


def test_message_when_longer_than_a_frame_then_arrives_whole() -> None:
    controller, agent = _links()
    body = os.urandom(3 * FRAME_BYTES)
    controller.send(messages.Hello(1))
    assert isinstance(agent.receive(5), messages.Hello)
    agent.send(messages.Welcome(1))
    assert isinstance(controller.receive(5), messages.Welcome)
    thread = Thread(target=lambda: controller.send(messages.Call("check", body)), daemon=True)
    thread.start()
    call = agent.receive(5)
    thread.join(5)
    assert isinstance(call, messages.Call)
    assert call.arguments == body
    assert agent.received_bytes == controller.sent_bytes
    controller.channel.close()
    agent.channel.close()


def test_message_when_interrupted_by_another_then_is_refused() -> None:
    _, agent = _links()
    encoder = Encoder()
    first = encoder.encode(messages.Type.HELLO, [b"\x81"], end=False)
    agent.feed(b"".join([*first, *encoder.encode(messages.Type.BYE, [b"\x80"])]))
    with pytest.raises(FormatError, match="in the middle"):
        agent.receive(0)


def _feed(link: Link, frame: bytes, times: int) -> None:
    for _ in range(times):
        link.feed(frame)
        link.receive(0)


@pytest.mark.parametrize(("size", "frames", "times"), [(FRAME_BYTES, 1, 6), (0, 1000, 100)])
def test_message_without_end_when_fed_for_ever_then_is_refused_at_its_limit(size: int, frames: int, times: int) -> None:
    link = Link(make_pair()[0], Role.CONTROLLER)
    frame = b"".join(map(bytes, Encoder().encode(messages.Type.RANGES_WANTED, [bytes(size)], end=False)))
    with pytest.raises(FormatError, match="longer than"):
        _feed(link, frame * frames, times)
