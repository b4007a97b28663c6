"""A hostile sender against the tree operation, and damage to what a tree keeps of itself.

Every attack is refused before anything that a reader of the tree can see has
changed. Each is made once more with its protection off, and then it succeeds:
the test is able to fail.
"""

import os
import random
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from blake3 import blake3

from pdelta.errors import FormatError, IntegrityError, PdeltaError, TransportError
from pdelta.filesystem import proved, stage
from pdelta.filesystem.answers import Answers
from pdelta.formats import intent as intent_format
from pdelta.formats.page import build_directory, encode_root
from pdelta.model.snapshot import Chunking, Entry, Kind, Root, Selection
from pdelta.model.source import Source, Want
from pdelta.operations.tree import fetch, preflight
from pdelta.operations.tree.calculate import Overlay
from pdelta.testing.failpoints import CrashAt, SimulatedCrash
from pdelta.tree import reader
from tests.fixtures.desk import Desk, ignoring
from tests.fixtures.trees import File

CONTENT = random.Random(7).randbytes(200_000)


class Liar:
    """A source that stands before another and may change what it says."""

    def __init__(self, honest: Source) -> None:
        self.honest = honest

    def read_pages(self, ids: Iterable[bytes]) -> Mapping[bytes, bytes]:
        return self.honest.read_pages(ids)

    def read_ranges(self, wants: Iterable[Want]) -> Iterator[bytes | memoryview]:
        return self.honest.read_ranges(wants)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    desk = Desk(tmp_path)
    desk.write({"a": "old", "folder": {"b": "b"}})
    desk.push()
    desk.write({"a": CONTENT, "new": "n"})
    return desk


def refused(desk: Desk, error: type[PdeltaError], match: str = "") -> None:
    """Push, be refused, and find the tree as it was; an honest push works afterwards."""
    before = desk.state()
    with pytest.raises(error, match=match):
        desk.push()
    assert desk.state() == before
    assert desk.changes() == []
    desk.wrap = lambda source: source
    assert desk.push().refusals == []
    assert desk.state() == desk.source_state()


# -- pages --------------------------------------------------------------------------------------------------------


def entry(**fields: Any) -> list[Any]:
    made = {
        "name": b"x",
        "kind": 1,
        "mode": 0o644,
        "mtime": 5,
        "size": 1,
        "content": blake3(b"1").digest() + (1).to_bytes(4, "big") + (1).to_bytes(4, "big"),
        "extra": {},
        **fields,
    }
    return list(made.values())


def page(*entries: list[Any], kind: str = "d", level: int = 1) -> tuple[bytes, bytes]:
    data = msgspec.msgpack.encode([kind, level, list(entries)])
    return blake3(data).digest(), data


def rooted(content: bytes) -> tuple[bytes, bytes]:
    top = Entry(b"", Kind.DIRECTORY, 0o755, 5, 0, content)
    return encode_root(Root(top, b"", Chunking(), Selection()))


class Pages:
    """A reader of forged pages."""

    def __init__(self, *pages: tuple[bytes, bytes]) -> None:
        self.pages = dict(pages)
        self.asked = 0

    def read_pages(self, ids: Iterable[bytes]) -> Mapping[bytes, bytes]:
        self.asked += 1
        return {id_: self.pages[id_] for id_ in ids if id_ in self.pages}


def bring(source: Pages, snapshot: bytes) -> Overlay:
    overlay = Overlay(None)
    fetch.fetch_pages(overlay, source, snapshot, fetch.MissingPages(None))
    return overlay


RUN = blake3(b"1").digest()
FORGED = {
    "empty name": [entry(name=b"")],
    "dot": [entry(name=b".")],
    "dot dot": [entry(name=b"..")],
    "slash": [entry(name=b"../../etc/cron.d/x")],
    "absolute": [entry(name=b"/etc/passwd")],
    "NUL": [entry(name=b"a\0b")],
    "overlong": [entry(name=b"x" * 256)],
    "the state folder": [entry(name=b".pdelta")],
    "the runs folder": [entry(name=b".pdelta-runs")],
    "a staging folder": [entry(name=b".pdelta-stage-1")],
    "unsorted": [entry(name=b"b"), entry(name=b"a")],
    "twice": [entry(name=b"a"), entry(name=b"a")],
    "unknown kind": [entry(kind=4)],
    "device bits": [entry(mode=0o60644)],
    "negative size": [entry(size=-1)],
    "chunks longer than the file": [entry(content=RUN + bytes((0, 0, 0, 2)) + bytes((0, 0, 0, 1)))],
    "chunks shorter than the file": [entry(size=2)],
    "hole beyond the end": [entry(extra={"h": [[0, 2]]})],
    "unknown critical field": [entry(extra={"Zone": 1})],
    "target with NUL": [entry(kind=3, mode=0, size=3, content=b"a\0b")],
    "too many items": [entry(name=b"%05d" % number) for number in range(5000)],
    "too many bytes": [entry(extra={"x": [[b"user.%d" % n, b"v" * 60_000] for n in range(5)]})],
}


@pytest.mark.parametrize("attack", FORGED)
def test_page_when_forged_then_it_is_refused_unless_the_check_is_off(
    attack: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    id_, data = page(*FORGED[attack])
    snapshot, record = rooted(id_)
    source = Pages((id_, data), (snapshot, record))
    with pytest.raises(FormatError):
        bring(source, snapshot)
    monkeypatch.setattr(fetch, "check_page", lambda _id, _data: None)
    assert id_ in bring(source, snapshot).new


def test_page_when_it_is_another_than_was_asked_for_then_it_is_refused_unless_the_check_is_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    id_, _ = page(entry(name=b"good"))
    snapshot, record = rooted(id_)
    source = Pages((id_, page(entry(name=b"evil"))[1]), (snapshot, record))
    with pytest.raises(IntegrityError):
        bring(source, snapshot)
    monkeypatch.setattr(fetch, "check_page", lambda _id, _data: None)
    assert b"evil" in bring(source, snapshot).new[id_]


def test_page_when_the_source_withholds_it_then_that_is_an_error_with_a_name() -> None:
    id_, _ = page(entry(name=b"good"))
    snapshot, record = rooted(id_)
    with pytest.raises(IntegrityError, match="did not give page"):
        bring(Pages((snapshot, record)), snapshot)
    with pytest.raises(IntegrityError, match="did not give page"):
        bring(Pages(), snapshot)


def test_root_when_it_is_another_then_it_is_refused() -> None:
    id_, data = build_directory([])[1][0]
    snapshot, _ = rooted(id_)
    other = encode_root(Root(Entry(b"", Kind.DIRECTORY, 0o777, 5, 0, id_), b"", Chunking(), Selection()))[1]
    with pytest.raises(IntegrityError, match="another root record"):
        bring(Pages((id_, data), (snapshot, other)), snapshot)


@pytest.mark.parametrize(
    "change", [{"version": 2}, {"surprise": 1}, {"chunking": {"algorithm": "rabin"}}, {"top": [b"x", 1, 0, 0, 0, b""]}]
)
def test_root_when_its_version_or_a_field_is_unknown_then_it_is_refused(change: dict[str, Any]) -> None:
    id_, data = build_directory([])[1][0]
    snapshot, record = rooted(id_)
    forged = msgspec.msgpack.encode({**msgspec.msgpack.decode(record), **change})
    with pytest.raises(PdeltaError):
        bring(Pages((id_, data), (snapshot, forged)), snapshot)


def bomb(width: int, depth: int) -> tuple[bytes, dict[bytes, bytes]]:
    """A tree of few pages and width ** depth folders."""
    id_, data = page(entry())
    pages = {id_: data}
    for _ in range(depth):
        content = id_
        id_, data = page(
            *(entry(name=b"%04d" % number, kind=2, mode=0o755, size=0, content=content) for number in range(width))
        )
        pages[id_] = data
    return id_, pages


def test_tree_when_few_pages_name_each_other_a_million_times_over_then_it_is_refused_unless_the_limit_is_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    id_, pages = bomb(width=200, depth=6)
    snapshot, record = rooted(id_)
    source = Pages(*pages.items(), (snapshot, record))
    with pytest.raises(FormatError, match="more than"):
        bring(source, snapshot)
    monkeypatch.setattr(fetch, "PAGES_LIMIT", 1 << 62)
    bring(source, snapshot)


def test_tree_when_it_is_endlessly_deep_then_it_is_refused_unless_the_limit_is_off(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    id_, pages = bomb(width=1, depth=300)
    snapshot, record = rooted(id_)
    source = Pages(*pages.items(), (snapshot, record))
    monkeypatch.setattr(fetch, "DEPTH_LIMIT", 200)
    with pytest.raises(FormatError, match="below each other"):
        bring(source, snapshot)
    assert source.asked <= 202
    monkeypatch.setattr(fetch, "DEPTH_LIMIT", 1000)
    bring(source, snapshot)


def test_path_when_it_is_longer_than_any_then_it_is_refused_unless_the_check_is_off(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    content, pages = build_directory([])
    forged = dict(pages)
    for _ in range(2100):
        content, pages = build_directory([Entry(b"d", Kind.DIRECTORY, 0o755, 5, 0, content)])
        forged |= dict(pages)
    snapshot, record = encode_root(Root(Entry(b"", Kind.DIRECTORY, 0o755, 5, 0, content), b"", Chunking(), Selection()))
    forged[snapshot] = record

    class Forger(Liar):
        def read_pages(self, ids: Iterable[bytes]) -> Mapping[bytes, bytes]:
            return {id_: forged[id_] for id_ in ids}

    desk.wrap = Forger
    before = desk.state()
    with pytest.raises(FormatError, match="more than 4095"):
        desk.push(wanted=snapshot, yes=True)
    assert desk.state() == before
    monkeypatch.setattr(reader, "check_length", lambda _path: None)
    desk.push(wanted=snapshot, yes=True)
    assert "d" in desk.names()


def test_size_when_a_file_claims_more_than_any_disk_holds_then_preflight_refuses(desk: Desk) -> None:
    length = (1 << 22).to_bytes(4, "big") + (0xFFFFFFFF).to_bytes(4, "big")
    huge = entry(name=b"huge", size=(1 << 22) * 0xFFFFFFFF, content=RUN + length)
    id_, data = page(huge)
    snapshot, record = rooted(id_)
    pages = {id_: data, snapshot: record}

    class Forger(Liar):
        def read_pages(self, ids: Iterable[bytes]) -> Mapping[bytes, bytes]:
            return {id_: pages[id_] for id_ in ids}

    desk.wrap = Forger
    before = desk.state()
    assert "space" in desk.push(wanted=snapshot, yes=True).refusals
    assert desk.state() == before


def test_hard_links_when_one_group_has_two_contents_then_it_is_refused(desk: Desk) -> None:
    desk.write({"one": "1", "two": "2"})
    one = Entry(b"one", Kind.FILE, 0o644, 5, 1, blake3(b"1").digest() + bytes((0, 0, 0, 1) * 2), {"l": True})
    two = Entry(b"two", Kind.FILE, 0o644, 5, 1, blake3(b"2").digest() + bytes((0, 0, 0, 1) * 2), {"l": True})
    content, pages = build_directory([one, two])
    links = page([b"one", b"one"], [b"one", b"two"], kind="l")
    top = Entry(b"", Kind.DIRECTORY, 0o755, 5, 0, content)
    snapshot, record = encode_root(Root(top, links[0], Chunking(), Selection()))
    forged = {**dict(pages), links[0]: links[1], snapshot: record}

    class Forger(Liar):
        def read_pages(self, ids: Iterable[bytes]) -> Mapping[bytes, bytes]:
            return {id_: forged[id_] for id_ in ids}

    desk.wrap = Forger
    before = desk.state()
    with pytest.raises(FormatError, match="different contents"):
        desk.push(wanted=snapshot, yes=True)
    assert desk.state() == before


def test_setuid_when_smuggled_in_then_preflight_refuses_unless_the_check_is_off(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.write({"folder": {"deep": {"tool": File("#!/bin/sh", 0o6755)}}})
    assert desk.push().refusals == ["setuid"]
    assert "deep" not in desk.names("folder")
    monkeypatch.setattr(preflight, "_special_bits", lambda _calculation, _tree: [])
    desk.push()
    assert stat.S_IMODE((desk.dest / "folder/deep/tool").stat().st_mode) == 0o6755


def test_attribute_when_it_gives_rights_then_it_is_refused(desk: Desk) -> None:
    content = blake3(b"1").digest() + bytes((0, 0, 0, 1) * 2)
    tool = Entry(b"tool", Kind.FILE, 0o755, 5, 1, content, {"x": [[b"security.capability", b"\1\0\0\2" + bytes(16)]]})
    desk.write({"tool": "1"})
    directory, pages = build_directory([tool])
    top = Entry(b"", Kind.DIRECTORY, 0o755, 5, 0, directory)
    snapshot, record = encode_root(Root(top, b"", Chunking(), ignoring(xattrs=True)))
    forged = {**dict(pages), snapshot: record}

    class Forger(Liar):
        def read_pages(self, ids: Iterable[bytes]) -> Mapping[bytes, bytes]:
            return {id_: forged[id_] for id_ in ids}

    desk.wrap = Forger
    before = desk.state()
    with pytest.raises(PdeltaError, match="does not travel"):
        desk.push(wanted=snapshot, yes=True)
    assert desk.state() == before


# -- bytes --------------------------------------------------------------------------------------------------------


class Believed(bytes):
    """A digest that equals whatever it is compared with."""

    __slots__ = ()

    def __ne__(self, other: object) -> bool:
        return False

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = bytes.__hash__


class Credulous:
    """Stands for BLAKE3 when the protection is off."""

    def __init__(self, data: object) -> None:
        pass

    def digest(self) -> bytes:
        return Believed(32)


def forget_staged(desk: Desk) -> None:
    """Let the next push ask for everything again."""
    shutil.rmtree(desk.dest / ".pdelta/staging")


def corrupt(pieces: list[bytes]) -> Iterator[bytes]:
    data = bytearray(b"".join(pieces))
    data[len(data) // 2] ^= 1
    yield bytes(data)


def shuffle(pieces: list[bytes]) -> Iterator[bytes]:
    """Give the right bytes at the wrong offsets."""
    data = b"".join(pieces)
    yield data[1:] + data[:1]


@pytest.mark.parametrize("attack", [corrupt, shuffle])
def test_bytes_when_wrong_then_they_are_refused_unless_the_check_is_off(
    desk: Desk, attack: Callable[[list[bytes]], Iterator[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Forger(Liar):
        def read_ranges(self, wants: Iterable[Want]) -> Iterator[bytes | memoryview]:
            yield from attack([bytes(piece) for piece in self.honest.read_ranges(wants)])

    desk.wrap = Forger
    before = desk.state()
    with pytest.raises(IntegrityError, match="wrong bytes"):
        desk.push()
    assert desk.state() == before
    forget_staged(desk)
    monkeypatch.setattr(stage, "blake3", Credulous)
    desk.push()
    assert (desk.dest / "a").stat().st_size == len(CONTENT)
    assert (desk.dest / "a").read_bytes() != CONTENT
    monkeypatch.undo()
    # And a full check finds it, whatever was believed.
    assert ("changed", b"a") in desk.changes()


def test_bytes_when_too_few_then_the_push_can_go_on(desk: Desk) -> None:
    class Forger(Liar):
        def read_ranges(self, wants: Iterable[Want]) -> Iterator[bytes | memoryview]:
            yield b"".join(bytes(piece) for piece in self.honest.read_ranges(wants))[:-5]

    desk.wrap = Forger
    refused(desk, TransportError, "ended before")


def test_bytes_when_too_many_then_they_are_refused_unless_the_check_is_off(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Forger(Liar):
        def read_ranges(self, wants: Iterable[Want]) -> Iterator[bytes | memoryview]:
            yield from self.honest.read_ranges(wants)
            yield b"more"

    desk.wrap = Forger
    before = desk.state()
    with pytest.raises(IntegrityError, match="more than it was asked"):
        desk.push()
    assert desk.state() == before
    monkeypatch.setattr(Answers, "refuse_surplus", lambda _self: None)
    desk.push()
    assert desk.state() == desk.source_state()


def test_bytes_when_endless_then_memory_and_time_are_bounded_unless_the_check_is_off(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = 0

    class Forger(Liar):
        def read_ranges(self, wants: Iterable[Want]) -> Iterator[bytes | memoryview]:
            nonlocal given
            yield from self.honest.read_ranges(wants)
            for _ in range(200):
                given += 1
                yield bytes(1000)

    desk.wrap = Forger
    with pytest.raises(IntegrityError, match="more than it was asked"):
        desk.push()
    assert given <= 2
    given = 0
    forget_staged(desk)
    monkeypatch.setattr(Answers, "refuse_surplus", lambda _self: None)
    desk.push()
    assert given == 200


@pytest.mark.parametrize("files", [1, 100])
def test_source_when_it_dies_then_nothing_is_sent_again(desk: Desk, files: int) -> None:
    class Forger(Liar):
        def read_ranges(self, wants: Iterable[Want]) -> Iterator[bytes | memoryview]:
            left = 120_000
            for piece in self.honest.read_ranges(wants):
                yield piece[:left]
                left -= len(piece)
                if left <= 0:
                    raise TransportError("the connection broke")

    each = len(CONTENT) // files
    shutil.rmtree(desk.source)
    desk.write({f"n{number:03}": CONTENT[number * each : (number + 1) * each] for number in range(files)})
    desk.wrap = Forger
    before = desk.state()
    with pytest.raises(TransportError):
        desk.push(yes=True)
    assert desk.state() == before
    desk.wrap = lambda source: source
    done = desk.push(yes=True)
    assert done.facts is not None
    resumed, fetched = done.facts["resumed_bytes"], done.facts["fetched_bytes"]
    assert isinstance(resumed, int)
    assert isinstance(fetched, int)
    assert resumed > 90_000
    assert resumed + fetched == len(CONTENT)
    assert desk.state() == desk.source_state()


# -- what a tree keeps of itself ----------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["truncated", "emptied", "removed", "overwritten", "garbage"])
def test_ledger_when_damaged_then_that_is_said_and_nothing_is_changed(desk: Desk, damage: str) -> None:
    ledger = desk.dest / ".pdelta/ledger.sqlite"
    data = ledger.read_bytes()
    match damage:
        case "truncated":
            ledger.write_bytes(data[: len(data) // 2])
        case "emptied":
            ledger.write_bytes(b"")
        case "removed":
            ledger.unlink()
        case "overwritten":
            ledger.write_bytes(data[:4096] + random.Random(1).randbytes(len(data) - 4096))
        case _:
            ledger.write_bytes(random.Random(1).randbytes(len(data)))
    before = desk.state()
    with pytest.raises(PdeltaError) as caught:
        desk.push()
    assert caught.value.exit_status in {65, 66}
    assert desk.state() == before
    assert (desk.dest / ".pdelta/undo/1").exists()


def test_entry_when_one_byte_of_a_page_flipped_then_it_is_never_used(desk: Desk) -> None:
    ledger = desk.dest / ".pdelta/ledger.sqlite"
    data = bytearray(ledger.read_bytes())
    place = data.find(b"folder")
    assert place > 0
    while place > 0:
        data[place] ^= 0x20
        place = data.find(b"folder", place)
    ledger.write_bytes(bytes(data))
    before = desk.state()
    try:
        desk.push()
    except PdeltaError as error:
        assert error.exit_status in {65, 66}  # noqa: PT017 - either is right, a wrong tree is not
        assert desk.state() == before
    else:
        assert desk.state() == desk.source_state()


def stopped(desk: Desk) -> Path:
    """Stop a push right after its intent is written; give the intent."""
    desk.failpoint = CrashAt(1, "intent.written")
    with pytest.raises(SimulatedCrash):
        desk.push()
    desk.failpoint = lambda _name: None
    return desk.dest / ".pdelta/intent"


@pytest.mark.parametrize("position", [0, 15, 20, 40, 200, -1])
def test_intent_when_a_bit_flipped_then_nothing_is_done_by_it_unless_the_check_is_off(
    desk: Desk, position: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = desk.state()
    path = stopped(desk)
    good = path.read_bytes()
    data = bytearray(good)
    data[position] ^= 1
    path.write_bytes(data)
    with pytest.raises(PdeltaError) as caught:
        desk.push()
    assert caught.value.exit_status in {65, 66}
    assert desk.state() == before
    path.write_bytes(good)
    with desk.operation() as operation:
        assert operation.recover().found == "commit"
    assert desk.state() == desk.source_state()


def test_intent_when_forged_then_the_digest_alone_stops_it(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    path = stopped(desk)
    data = path.read_bytes()
    assert data.count(b"\xc4\x03new") > 0
    path.write_bytes(data.replace(b"\xc4\x03new", b"\xc4\x03own"))
    with pytest.raises(IntegrityError):
        desk.push()
    assert "own" not in desk.names()

    class Trusting:
        def __init__(self, _data: object) -> None:
            pass

        def update(self, _data: object) -> "Trusting":
            return self

        def digest(self) -> bytes:
            return Believed(32)

    monkeypatch.setattr(intent_format, "blake3", Trusting)
    with desk.operation() as operation:
        operation.recover()
    assert "own" in desk.names()


@pytest.mark.parametrize("length", [0, 10, 30, 100, -1])
def test_intent_when_truncated_then_nothing_is_done_by_it(desk: Desk, length: int) -> None:
    before = desk.state()
    path = stopped(desk)
    os.truncate(path, length if length >= 0 else path.stat().st_size - 1)
    with pytest.raises(PdeltaError) as caught:
        desk.push()
    assert caught.value.exit_status in {65, 66}
    assert desk.state() == before


def test_undo_data_when_a_bit_flipped_then_it_is_never_restored_unless_the_check_is_off(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.push()
    kept = next(p for p in (desk.dest / ".pdelta/undo/2").iterdir() if p.is_file() and p.stat().st_size == 3)
    times = kept.stat()
    kept.write_bytes(b"OLD")
    os.utime(kept, ns=(times.st_atime_ns, times.st_mtime_ns))
    before = desk.state()
    with pytest.raises(IntegrityError, match="damaged"):
        desk.rollback()
    assert desk.state() == before
    monkeypatch.setattr(proved, "blake3", Credulous)
    desk.rollback()
    assert desk.read("a") == "OLD"
