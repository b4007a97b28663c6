"""Attacks 13, 14, 22, 23, 24 and 30 on the wire: each is refused, and succeeds once its protection is off."""

import itertools
import os
import re
import struct
import subprocess
import time
import zlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from threading import Thread

import msgspec
import pytest
from backports.zstd import CompressionParameter, ZstdCompressor

from pdelta.errors import FormatError, PdeltaError, TransportError, UsageError
from pdelta.model.event import Event
from pdelta.model.source import Want
from pdelta.transports.address import RemoteAddress, parse_address
from pdelta.transports.base import Channel, HostFacts
from pdelta.transports.contact import Contact, read_facts
from pdelta.transports.ssh import SshOptions, build_command
from pdelta.transports.subprocess import SubprocessChannel
from pdelta.wire import messages, session, text
from pdelta.wire.frames import HEADER, MAX_PAYLOAD_BYTES, ZSTD, Decoder, Encoder
from pdelta.wire.messages import Type
from tests.fixtures.fake_tree import TARGET, FakeSource, connect, start_agent
from tests.fixtures.loopback import make_pair


class NoArchives:
    """A controller that has nothing to place."""

    def stage(self) -> bytes:
        """Give a stage that nobody executes."""
        return b"stage"

    def digests(self) -> dict[str, str]:
        """Give none."""
        return {}

    def archive(self, facts: HostFacts) -> bytes:
        """Have none."""
        raise TransportError(f"none for {facts.tag}", hint="pdelta agent fetch")


def _contact(
    host: Callable[[Callable[[bytes], None]], None], clock: Callable[[], float] = time.monotonic
) -> TransportError:
    """Let a host say what it wants to a contact of one second; give the refusal."""
    channel, other = make_pair()

    def run() -> None:
        try:
            host(lambda data: other.send([data]))
        except TransportError:
            return

    thread = Thread(target=run, daemon=True)
    thread.start()
    contact = Contact(channel, NoArchives(), nonce="0123456789abcdef", clock=clock, timeout_s=1)
    with pytest.raises(TransportError) as caught:
        contact.open([b"hello"])
    channel.close()
    thread.join(10)
    other.close()
    return caught.value


def test_attack_13_endless_noise_when_greeting_then_ends_at_64_kib() -> None:
    def shout(say: Callable[[bytes], None]) -> None:
        while True:
            say(b"x" * 4096)

    assert "64 KiB" in _contact(shout).message


def test_attack_13_endless_line_when_greeting_then_ends() -> None:
    def drawl(say: Callable[[bytes], None]) -> None:
        say(b"#pdelta-0123456789abcdef\tstate=")
        while True:
            say(b"x" * 4096)

    assert "64 KiB" in _contact(drawl).message


def test_attack_13_slow_stream_when_greeting_then_ends_in_time() -> None:
    ticks = itertools.count()

    def drip(say: Callable[[bytes], None]) -> None:
        while True:
            say(b".")
            time.sleep(0.01)

    # The clock runs a tenth of a second at each look: ten drops, and the second is over.
    assert "within 1 s" in _contact(drip, lambda: next(ticks) / 10).message


def test_attack_13_slow_stream_when_the_deadline_is_off_then_is_listened_to_for_ever() -> None:
    channel, other = make_pair()
    done = []

    def drip() -> None:
        for _ in range(50):
            other.send([b"."])
            time.sleep(0.002)
        done.append(True)
        other.close()

    thread = Thread(target=drip, daemon=True)
    thread.start()
    contact = Contact(channel, NoArchives(), nonce="0123456789abcdef", clock=lambda: 0.0, timeout_s=1)
    with pytest.raises(TransportError, match="ended"):
        contact.open([b""])
    thread.join(5)
    assert done == [True]
    channel.close()


def test_attack_13_endless_complaints_when_greeting_then_ends_in_time() -> None:
    channel = SubprocessChannel(["sh", "-c", "yes complaint >&2"])
    contact = Contact(channel, NoArchives(), nonce="0123456789abcdef", clock=time.monotonic, timeout_s=0.5)
    begin = time.monotonic()
    with pytest.raises(TransportError, match="within"):
        contact.open([b""])
    assert time.monotonic() - begin < 5
    channel.close(at_once=True)
    assert len(channel.complaints()) < 20_000


def _bomb() -> bytes:
    """Give a frame that declares 100 bytes and grows to 64 MiB from a few kilobytes."""
    huge = b"".join(map(bytes, Encoder()._compress([bytes(64 << 20)])))
    assert len(huge) < 100_000
    return HEADER.pack(Type.RESULT, ZSTD, 4 + len(huge)) + struct.pack(">I", 100) + huge


def test_attack_14_decompression_bomb_when_received_then_is_refused() -> None:
    with pytest.raises(FormatError, match="100 bytes"):
        list(Decoder().feed(_bomb()))


def test_attack_14_decompression_bomb_when_the_bound_is_off_then_explodes() -> None:
    (frame,) = Decoder(bounded=False).feed(_bomb())
    assert len(frame.payload) == 64 << 20


def test_attack_14_window_larger_than_ours_when_received_then_is_refused() -> None:
    packer = ZstdCompressor(options={CompressionParameter.window_log: 27, CompressionParameter.compression_level: 1})
    data = packer.compress(os.urandom(1000)) + packer.flush(ZstdCompressor.FLUSH_BLOCK)
    with pytest.raises(FormatError, match="does not decompress"):
        list(Decoder().feed(HEADER.pack(1, ZSTD, 4 + len(data)) + struct.pack(">I", 1000) + data))


def test_attack_14_frame_longer_than_allowed_when_announced_then_nothing_is_kept_of_it() -> None:
    with pytest.raises(FormatError, match="declares"):
        list(Decoder().feed(HEADER.pack(1, 0, MAX_PAYLOAD_BYTES + 1)))


def test_attack_22_environment_when_hostile_then_the_loader_does_not_see_it(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("print('owned')\n")
    (tmp_path / "zlib.py").write_text("print('owned')\n")
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(tmp_path),
        "PYTHONHOME": "/nonexistent",
        "LC_ALL": "xx",
    }
    remote = build_command(RemoteAddress("web1", b"."), SshOptions())[-1]

    def run(command: str) -> bytes:
        stage = b"import sys,zlib;print(sys.flags.isolated,sys.flags.utf8_mode)"
        packed = zlib.compress(stage)
        return subprocess.run(
            ["sh", "-c", command],
            input=b"#pdelta-stage %d\n" % len(packed) + packed,
            capture_output=True,
            env=environment,
            cwd=tmp_path,
            check=False,
        ).stdout

    assert run(remote) == b"1 1\n"
    environment.pop("PYTHONHOME")
    assert b"owned" in run(remote.replace("-I -S -X utf8 ", ""))


def test_attack_23_host_that_is_an_option_when_parsed_then_is_refused() -> None:
    with pytest.raises(UsageError):
        parse_address("-oProxyCommand=touch owned:app")


def test_attack_23_host_that_is_an_option_when_the_checks_are_off_then_runs_a_command(tmp_path: Path) -> None:
    # Neither the parser nor the "--" before the host: this is what they are for.
    proof = tmp_path / "owned"
    subprocess.run(
        ["ssh", "-F", "none", f"-oProxyCommand=touch {proof}", "127.0.0.1", "true"], capture_output=True, check=False
    )
    assert proof.exists()
    proof.unlink()
    guarded = ["ssh", "-F", "none", "--", f"-oProxyCommand=touch {proof}", "true"]
    subprocess.run(guarded, capture_output=True, check=False)
    assert not proof.exists()


HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202egnp.exe"


def _hostile_agent(*answers: messages.Message) -> tuple[Channel, Thread]:
    """Greet, read one call, and then send these messages, whatever the session says."""
    controller, agent = make_pair()

    def run() -> None:
        encoder, decoder = Encoder(), Decoder()
        frames: list[object] = []

        def send(message: messages.Message) -> None:
            agent.send(encoder.encode(message.type, [messages.encode(message)]))

        try:
            while not frames:
                frames += decoder.feed(agent.receive() or b"")
            send(messages.Welcome(1))
            frames.clear()
            while not frames:
                frames += decoder.feed(agent.receive() or b"")
            for answer in answers:
                send(answer)
            while agent.receive():
                pass
        except PdeltaError:
            return

    thread = Thread(target=run, daemon=True)
    thread.start()
    return controller, thread


def test_attack_24_terminal_codes_when_a_host_sends_them_then_are_spelled_out() -> None:
    heard: list[Event] = []
    controller, _ = _hostile_agent(
        messages.Progress(Event("apply", message=HOSTILE, level="info")), messages.Failure("drift", HOSTILE, HOSTILE)
    )
    tree = connect(controller, None, observer=heard.append, fake=False)
    with pytest.raises(PdeltaError) as caught:
        tree.recover()
    facts = read_facts(b"state=unusable\twhy=" + HOSTILE.encode())
    for shown in (heard[0].message, caught.value.message, caught.value.hint, facts.why):
        assert "owned" in shown
        assert not set("\x1b\x07\x9b\u202e") & set(shown)
    tree.close()


def test_attack_24_terminal_codes_when_neutralising_is_off_then_reach_the_terminal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(text, "_UNSAFE", re.compile("(?!)"))
    controller, _ = _hostile_agent(messages.Failure("drift", HOSTILE))
    tree = connect(controller, None, fake=False)
    with pytest.raises(PdeltaError) as caught:
        tree.recover()
    assert "\x1b]0;owned\x07" in caught.value.message
    tree.close()


@pytest.mark.parametrize(
    "answer",
    [
        messages.RangesWanted((Want(b"a", -5, 1),)),
        messages.RangesWanted((Want(b"a", 0, 0),)),
        messages.RangesWanted((Want(b"a", 0, 1),) * 5000),
        messages.PagesWanted((bytes(5),)),
        messages.Note(b"not wanted"),
        messages.Welcome(1),
        messages.Call("execute"),
        messages.Data(b"x", end=True),
        messages.Result(b"\xc1"),
        messages.Result(msgspec.msgpack.encode({"lies": True})),
        messages.Bye(),
    ],
    ids=lambda it: type(it).__name__,
)
def test_attack_24_lying_agent_when_it_answers_nonsense_then_the_call_ends(answer: messages.Message) -> None:
    controller, _ = _hostile_agent(answer)
    tree = connect(controller, FakeSource({b"a": b"short"}), fake=False)
    with pytest.raises(PdeltaError):
        tree.recover()
    tree.close()


def test_attack_24_agent_that_asks_without_end_when_nothing_is_read_then_the_session_ends() -> None:
    asks = [messages.RangesWanted((Want(b"a", 0, 1),)) for _ in range(2000)]
    controller, _ = _hostile_agent(*asks)

    class Slow(FakeSource):
        """Gives large pieces, so that requests pile up meanwhile."""

        def read_ranges(self, wants: Iterable[Want]) -> Iterator[bytes]:  # noqa: ARG002 - the port
            """Give much for little."""
            for _ in range(64):
                time.sleep(0.002)
                yield bytes(1 << 20)

    tree = connect(controller, Slow(), fake=False)
    with pytest.raises(FormatError, match="are open"):
        tree.recover()
    tree.close()


def test_attack_24_agent_that_asks_without_end_when_the_bound_is_off_then_fills_the_memory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(session, "MAX_OWED", 1 << 30)
    controller = session.Session(session.Role.CONTROLLER)
    for kind, step in ((Type.HELLO, controller.send), (Type.WELCOME, controller.receive), (Type.CALL, controller.send)):
        step(kind)
    for _ in range(100_000):
        controller.receive(Type.RANGES_WANTED)
    for _ in range(100_000):
        controller.send(Type.DATA)
    with pytest.raises(FormatError, match="nobody asked"):
        controller.send(Type.DATA)


@pytest.mark.parametrize(
    "struct_bytes",
    [
        (Type.CALL, {"verb": "check", "arguments": b"\x90", "force": True}),
        (Type.RESULT, {"value": b"", "next": 1}),
        (Type.FAILURE, {"code": "x", "message": "y", "retry": 1}),
    ],
)
def test_attack_30_unknown_field_when_received_then_is_refused_by_name(
    struct_bytes: tuple[int, dict[str, object]],
) -> None:
    kind, fields = struct_bytes
    with pytest.raises(FormatError, match="unknown field"):
        messages.decode(kind, msgspec.msgpack.encode(fields))


def test_attack_30_unknown_version_when_greeted_then_the_refusal_names_both(monkeypatch: pytest.MonkeyPatch) -> None:
    channel, thread, _ = start_agent()
    channel.send(
        Encoder().encode(Type.HELLO, [msgspec.msgpack.encode({"version": 9, "software": "pdelta 9.0", "new": 1})])
    )
    (frame,) = Decoder().feed(channel.receive(5) or b"")
    failure = messages.decode(frame.type, frame.payload)
    assert isinstance(failure, messages.Failure)
    assert "wire version 1" in failure.message
    assert "controller 9 (pdelta 9.0)" in failure.message
    thread.join(5)
    assert not thread.is_alive()
    channel.close()
    # Without the check the same greeting is welcomed.
    monkeypatch.setattr(messages, "PROTOCOL_VERSION", 9)
    channel, thread, _ = start_agent()
    channel.send(Encoder().encode(Type.HELLO, [msgspec.msgpack.encode({"version": 9, "new": 1})]))
    (frame,) = Decoder().feed(channel.receive(5) or b"")
    assert frame.type == Type.WELCOME
    channel.close()
    thread.join(5)


def test_verb_that_is_unknown_when_called_then_is_refused_by_name() -> None:
    channel, _, _ = start_agent()
    tree = connect(channel, None)
    tree._verbs = {**tree._verbs, "__class__": tree._verbs["verify"]}
    with pytest.raises(FormatError, match="no verb '__class__'"):
        tree._call("__class__", delta=b"", target=TARGET)
    tree.close()
