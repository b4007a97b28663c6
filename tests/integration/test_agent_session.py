"""Both halves of a session against each other: every verb, every callback, in one process."""

import hashlib
import os
import random
import sys
import time
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from blake3 import blake3

from pdelta.app import serve
from pdelta.app.peer import batch_wants
from pdelta.errors import FormatError, LockedError, PdeltaError, PreflightError, SourceChangedError, TransportError
from pdelta.model.delta import Delta
from pdelta.model.operation import Standing
from pdelta.model.source import Want
from pdelta.operations.remote import BULK_BYTES
from pdelta.transports.subprocess import SubprocessChannel
from pdelta.wire.compression import Compress
from tests.fixtures.fake_tree import TARGET, FakeSource, KeptNotes, connect, start_agent

if TYPE_CHECKING:
    from pdelta.model.event import Event

DELTA = Delta("tree", b"before", b"after")


def _ranges(wants: list[Want], after: bytes = b"after") -> Delta:
    return Delta("tree", b"before", after, body=msgspec.msgpack.encode(wants))


def test_each_verb_when_forwarded_then_gives_what_the_operation_gives() -> None:
    channel, thread, failures = start_agent()
    page = bytes(300_000)
    source = FakeSource(pages=(page, b"small"))
    tree = connect(channel, source)
    delta = tree.calculate(TARGET, blake3(page).digest() + blake3(b"small").digest())
    assert delta.after == page + b"small"
    assert tree.verify(DELTA, TARGET) is Standing.AFTER
    fake: Any = tree  # the fake's facts and reports are its own
    assert fake.describe().root == b"/srv/app"
    assert fake.check(jobs=3) == [3]
    assert [change.subject for change in tree.show(1234)] == [b"path %d" % at for at in range(1234)]
    assert tree.reverse(DELTA, TARGET, KeptNotes()).facts == {}
    assert tree.sent_bytes > 0
    assert tree.received_bytes > 1000
    tree.close()
    tree.close()
    thread.join(5)
    assert failures == []


def test_facts_when_nothing_was_asked_yet_then_they_are_those_of_the_agents_first_words() -> None:
    channel, _, _ = start_agent()
    tree: Any = connect(channel, None)
    before = tree.sent_bytes
    assert tree.describe() == tree.describe()
    assert tree.sent_bytes == before
    tree.check(jobs=1)
    after = tree.sent_bytes
    assert tree.describe().root == b"/srv/app"
    assert tree.sent_bytes > after, "a call may have changed them"
    tree.close()


def test_agent_when_nobody_speaks_to_it_then_it_imports_what_a_push_needs(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in serve.AHEAD:
        assert find_spec(name) is not None, "the name is text, which nothing else would find wrong"
    monkeypatch.setattr(serve, "AHEAD", ("colorsys",))
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    channel, thread, failures = start_agent()
    tree = connect(channel, None)
    deadline = time.monotonic() + 10
    while "colorsys" not in sys.modules and time.monotonic() < deadline:
        time.sleep(0.01)
    assert "colorsys" in sys.modules
    tree.close()
    thread.join(5)
    assert failures == []


def test_findings_when_the_host_sends_terminal_codes_then_they_are_spelled_out() -> None:
    channel, _, _ = start_agent()
    tree = connect(channel, None)
    (finding,) = tree.preflight(DELTA, TARGET)
    assert finding.message == "too \\x1b]0;full\\x07"
    assert finding.subject == b"\xff"
    tree.close()


@pytest.mark.parametrize(
    ("body", "kind", "text"),
    [
        (b"refuse", PreflightError, "no"),
        (b"locked", LockedError, "run:1"),
        (b"bug", PdeltaError, "ZeroDivisionError: oops"),
    ],
)
def test_failure_when_the_operation_raises_then_its_class_comes_back_and_the_session_goes_on(
    body: bytes, kind: type[PdeltaError], text: str
) -> None:
    channel, _, _ = start_agent()
    tree = connect(channel, None)
    with pytest.raises(kind, match="web1") as caught:
        tree.preflight(Delta("tree", b"", b"", body=body), TARGET)
    assert text in caught.value.message
    assert "\x1b" not in caught.value.message
    if isinstance(caught.value, PreflightError):
        assert caught.value.findings == ("one", "two")
        assert caught.value.hint == "do this"
    assert tree.verify(DELTA, TARGET) is Standing.AFTER
    tree.close()


@pytest.mark.parametrize("compress", list(Compress))
@pytest.mark.parametrize("changed_bytes", [0, BULK_BYTES + 1], ids=["little", "much"])
def test_ranges_when_streamed_then_they_arrive_in_order_and_notes_and_pages_in_between(
    compress: Compress, changed_bytes: int
) -> None:
    channel, _, _ = start_agent()
    dice = random.Random(7)
    noise, text = dice.randbytes(5 << 20), b"all work and no play " * 400_000
    source = FakeSource({b"noise": noise, b"text": text})
    wants = [
        Want(b"noise", 0, len(noise)),
        *(Want(b"text", at * 100, 100) for at in range(3000)),
        Want(b"text", 0, len(text)),
    ]
    expected = noise + b"".join(text[at * 100 : at * 100 + 100] for at in range(3000)) + text
    heard: list[Event] = []
    tree = connect(channel, source, observer=heard.append, compress=compress)
    tree.expect(changed_bytes)
    notes = KeptNotes(b"earlier")
    outcome = tree.execute(_ranges(wants), TARGET, notes)
    assert outcome.facts == {"bytes": len(expected), "sha256": hashlib.sha256(expected).hexdigest(), "earlier": 1}
    assert notes.notes == [b"earlier", b"note 1", b"note 5"]
    assert heard
    assert source.asked == wants
    if compress is Compress.OFF:
        assert tree.sent_bytes > len(expected)
    elif compress is Compress.ZSTD:
        assert tree.sent_bytes < len(noise) * 1.1
    else:
        assert tree.sent_bytes < len(expected)
    tree.close()


@pytest.mark.parametrize("changed_bytes", [0, BULK_BYTES + 1], ids=["little", "much"])
def test_file_that_changed_when_asked_for_then_the_operation_learns_its_path_and_the_session_goes_on(
    changed_bytes: int,
) -> None:
    channel, _, _ = start_agent()
    tree = connect(channel, FakeSource({b"a": bytes(5000)}))
    tree.expect(changed_bytes)
    wants = [Want(b"a", 0, 5000), Want(b"gone\xff", 0, 1)] + [Want(b"a", 0, 1)] * 5000
    with pytest.raises(SourceChangedError) as caught:
        tree.execute(_ranges(wants), TARGET, KeptNotes())
    assert caught.value.path == b"gone\xff"
    assert tree.verify(DELTA, TARGET) is Standing.AFTER
    tree.close()


@pytest.mark.parametrize("compress", [Compress.OFF, Compress.ZSTD])
def test_operation_that_stops_early_when_data_is_on_its_way_then_the_session_goes_on(compress: Compress) -> None:
    channel, _, _ = start_agent()
    source = FakeSource({b"a": random.Random(1).randbytes(1 << 20)})
    tree = connect(channel, source, compress=compress)
    tree.expect(BULK_BYTES + 1)
    wants = [Want(b"a", 0, 1 << 20)] * 400
    with pytest.raises(LockedError, match="stopped early"):
        tree.execute(_ranges(wants, b"stop early"), TARGET, KeptNotes())
    assert len(source.asked) < 200
    assert tree.verify(DELTA, TARGET) is Standing.AFTER
    outcome = tree.execute(_ranges(wants[:3]), TARGET, KeptNotes())
    assert outcome.facts["bytes"] == 3 << 20
    tree.close()


def test_agent_in_another_process_when_both_ends_write_much_then_neither_waits_for_ever() -> None:
    # 60,000 wants with signatures go one way (7 MB) while 120 MB go the other.
    command = [sys.executable, "-m", "tests.fixtures.fake_tree"]
    channel = SubprocessChannel(command, environment={**os.environ, "PYTHONPATH": "."})
    content = random.Random(1).randbytes(2000)
    tree = connect(channel, FakeSource({b"a": content}))
    wants = [Want(b"a", 0, 2000, signature=bytes(8 * (at % 20))) for at in range(60_000)]
    outcome = tree.execute(_ranges(wants), TARGET, KeptNotes())
    assert outcome.facts["bytes"] == 120_000_000
    tree.close()


def test_agent_when_killed_then_the_next_verb_says_so() -> None:
    command = [sys.executable, "-m", "tests.fixtures.fake_tree"]
    channel = SubprocessChannel(command, environment={**os.environ, "PYTHONPATH": "."})
    tree = connect(channel, None)
    channel.terminate()
    # Until it is gone it may still answer.
    os.waitid(os.P_PID, channel.pid, os.WEXITED | os.WNOWAIT)
    with pytest.raises(TransportError, match="ended with status -15"):
        tree.verify(DELTA, TARGET)
    tree.close()


def test_agent_when_its_controller_vanishes_then_it_ends() -> None:
    channel, thread, failures = start_agent()
    connect(channel, None)
    channel.close()
    thread.join(5)
    assert not thread.is_alive()
    assert isinstance(failures[0], TransportError)


def test_agent_that_only_reads_when_its_controller_vanishes_then_ends_soon() -> None:
    command = [sys.executable, "-m", "tests.fixtures.fake_tree"]
    channel = SubprocessChannel(command, environment={**os.environ, "PYTHONPATH": "."})
    tree = connect(channel, None)
    tree._begin("verify", None, {"delta": Delta("tree", b"", b"", body=b"60"), "target": TARGET})
    channel.close()
    assert channel._status == 0


def test_agent_that_asks_when_nothing_was_pushed_then_it_is_refused() -> None:
    channel, _, _ = start_agent()
    tree = connect(channel, None)
    with pytest.raises(FormatError, match="nothing was pushed"):
        tree.calculate(TARGET, bytes(32))
    tree.close()


def test_page_that_is_missing_or_wrong_when_wanted_then_the_agent_names_it() -> None:
    channel, _, _ = start_agent()
    source = FakeSource()
    wanted = blake3(b"other").digest()
    source.pages[wanted] = b"not this"
    tree = connect(channel, source)
    with pytest.raises(PdeltaError, match=wanted.hex()):
        tree.calculate(TARGET, wanted)
    tree.close()


def test_batches_when_cut_then_each_fits_a_message() -> None:
    small = [Want(b"a", 0, 1)] * 2500
    assert [len(batch) for batch in batch_wants(small)] == [1000, 1000, 500]
    assert [len(batch) for batch in batch_wants([Want(b"a", 0, 16 << 20)] * 3)] == [1, 1, 1]
    heavy = list(batch_wants([Want(b"a", 0, 1, signature=bytes(100_000))] * 30))
    assert max(len(batch) for batch in heavy) == 11
