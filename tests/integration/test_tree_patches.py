"""Ranges asked for as patches: the tree is the same as without, whatever the answers are."""

import os
import random
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pdelta.chunking.fine import signature
from pdelta.errors import PdeltaError
from pdelta.filesystem.bases import BaseCache
from pdelta.filesystem.patching import BASED_BYTES
from pdelta.formats.history import PushWish
from pdelta.formats.page import PagedTree
from pdelta.model.snapshot import Chunking, Kind
from pdelta.model.source import Answer, Source, Want
from pdelta.tree.reader import walk
from tests.fixtures.tree_runs import fulfil, opened, scanned

HEADER = struct.Struct(">BI")
Tamper = Callable[[bytes], bytes]


class Peer:
    """A source that takes wants with signatures and bases, counts what it sends, and may lie."""

    def __init__(self, source: Source, patches: str, tamper: Tamper | None = None) -> None:
        self.patches = patches
        self.wants: list[Want] = []
        self.sent = 0
        self._source = source
        self._tamper = tamper

    def read_pages(self, ids: Iterable[bytes]) -> Mapping[bytes, bytes]:
        return self._source.read_pages(ids)

    def read_ranges(self, wants: Iterable[Want]) -> Iterator[bytes | memoryview]:
        asked = list(wants)
        self.wants += asked
        data = b"".join(self._source.read_ranges(asked))
        if self._tamper is not None and any(want.signature or want.base for want in asked):
            data = self._tamper(data)
        self.sent += len(data)
        for begin in range(0, len(data), 1000):
            yield data[begin : begin + 1000]


class Pair:
    """A source folder and a destination that is pushed to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.source, self.dest = folder / "src", folder / "dest"
        self.source.mkdir(parents=True)

    def write(self, files: Mapping[str, bytes]) -> None:
        for name, data in files.items():
            (self.source / name).parent.mkdir(parents=True, exist_ok=True)
            (self.source / name).write_bytes(data)

    def push(self, patches: str = "", tamper: Tamper | None = None, bases: BaseCache | None = None) -> Peer:
        with scanned(self.source, Chunking()) as (found, source):
            source.bases = bases  # type: ignore[attr-defined]
            peer = Peer(source, patches, tamper)
            with opened(self.dest, peer) as operation:
                fulfil(operation, PushWish(wanted=found.snapshot, delete=True, yes=True, durable=False))
            if bases is not None:
                entries = walk(PagedTree(source), b"", found.root.top.content)
                files = [(path, it.content, it.size) for path, it in entries if it.kind == Kind.FILE]
                bases.keep(found.snapshot, files, source.open_file)  # type: ignore[attr-defined]
        assert self.contents(self.dest) == self.contents(self.source)
        return peer

    def contents(self, folder: Path) -> dict[str, bytes]:
        found = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
        return {name: path.read_bytes() for name, path in found.items() if not name.startswith(".pdelta")}


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(tmp_path)


@pytest.fixture
def bases(tmp_path: Path) -> Iterator[BaseCache]:
    cache = BaseCache(tmp_path / "bases", 1 << 30, lambda: 1.0)
    yield cache
    cache.close()


def edited(data: bytes, seed: int, count: int = 20) -> bytes:
    chance = random.Random(seed)
    result = bytearray(data)
    for _ in range(count):
        at = chance.randrange(len(result) + 1)
        result[at : at + chance.randrange(40)] = chance.randbytes(chance.randrange(60))
    return bytes(result)


DATA = random.Random(9).randbytes(400_000)


@pytest.mark.parametrize("patches", ["fine", "base"])
def test_small_edits_when_patched_then_a_fraction_is_sent(pair: Pair, bases: BaseCache, patches: str) -> None:
    kept = bases if patches == "base" else None
    pair.write({"large": DATA, "small": DATA[:9000]})
    pair.push(bases=kept)
    pair.write({"large": edited(DATA, 1, 5), "small": edited(DATA[:9000], 2, 1)})
    assert pair.push(patches, bases=kept).sent < (20_000 if patches == "fine" else 2000)


@pytest.mark.parametrize("patches", ["fine", "base"])
def test_file_when_renamed_and_edited_then_the_old_one_is_its_base(pair: Pair, bases: BaseCache, patches: str) -> None:
    kept = bases if patches == "base" else None
    pair.write({"old/app.c0ffee12.js": DATA[:50_000], "other": b"x" * 5000})
    pair.push(bases=kept)
    (pair.source / "old" / "app.c0ffee12.js").unlink()
    (pair.source / "old").rmdir()
    pair.write({"new/app.decade99.js": edited(DATA[:50_000], 3, 2)})
    assert pair.push(patches, bases=kept).sent < 10_000


def test_bases_when_lost_then_signatures_are_asked_for(pair: Pair) -> None:
    pair.write({"large": DATA})
    pair.push()
    pair.write({"large": edited(DATA, 4, 3)})
    peer = pair.push("base")
    assert peer.wants[0].base
    assert any(want.signature for want in peer.wants)
    assert peer.sent < 20_000


def test_bases_when_damaged_then_the_bytes_come_plainly(pair: Pair, bases: BaseCache, tmp_path: Path) -> None:
    pair.write({"large": DATA})
    pair.push(bases=bases)
    bases.close()
    for pack in (tmp_path / "bases").glob("*.pack"):
        data = pack.read_bytes()
        pack.write_bytes(data[7:] + data[:7])
    pair.write({"large": edited(DATA, 5, 3)})
    peer = pair.push("base", bases=bases)
    assert any(not want.base and not want.signature for want in peer.wants)


def test_patch_when_it_is_wrong_then_the_plain_bytes_are_asked_for_once(pair: Pair) -> None:
    def turned(data: bytes) -> bytes:
        kind, length = HEADER.unpack_from(data)
        assert kind == Answer.FINE
        body = bytearray(data)
        body[HEADER.size + length - 1] ^= 1
        return bytes(body)

    pair.write({"small": DATA[:9000]})
    pair.push()
    pair.write({"small": edited(DATA[:8000], 6, 1) + b"end"})
    peer = pair.push("fine", turned)
    plain = [want for want in peer.wants if not want.signature]
    assert len(peer.wants) == 2
    assert len(plain) == 1


@pytest.mark.parametrize(
    "answer",
    [
        HEADER.pack(Answer.PLAIN, 5) + b"12345",
        HEADER.pack(Answer.FINE, 1 << 30),
        HEADER.pack(Answer.JOINED, 6) + b"\0\1abcd",
        HEADER.pack(Answer.LOST, 0),
        HEADER.pack(9, 0),
        HEADER.pack(Answer.FINE, 3) + b"abc" + b"more than was asked for" * 1000,
        b"\0",
        b"",
    ],
)
def test_answer_when_it_is_none_that_was_asked_for_then_nothing_changes(pair: Pair, answer: bytes) -> None:
    pair.write({"small": DATA[:9000]})
    pair.push()
    before = pair.contents(pair.dest)
    pair.write({"small": edited(DATA[:9000], 7, 1)})
    with pytest.raises(PdeltaError):
        pair.push("fine", lambda _: answer)
    assert pair.contents(pair.dest) == before
    pair.push("fine")


@pytest.mark.parametrize("count", [0, 2, 65535])
def test_joined_answer_when_it_counts_other_wants_then_nothing_changes(pair: Pair, count: int) -> None:
    pair.write({"small": DATA[:9000]})
    pair.push()
    before = pair.contents(pair.dest)
    pair.write({"small": edited(DATA[:9000], 8, 1)})
    body = struct.pack(">H", count) + b"frame"
    with pytest.raises(PdeltaError):
        pair.push("base", lambda _: HEADER.pack(Answer.JOINED, len(body)) + body)
    assert pair.contents(pair.dest) == before


def test_patch_when_an_impossible_signature_is_sent_then_the_answer_is_plain(pair: Pair) -> None:
    pair.write({"small": b"bytes"})
    with scanned(pair.source) as (_, source):
        answer = b"".join(source.read_ranges([Want(b"small", 0, 5, signature=b"\xffnonsense")]))
        assert answer == HEADER.pack(Answer.PLAIN, 5) + b"bytes"


def test_patch_when_more_is_asked_for_than_may_be_then_it_is_refused(pair: Pair) -> None:
    pair.write({"small": b"bytes"})
    with scanned(pair.source) as (_, source), pytest.raises(PdeltaError):
        list(source.read_ranges([Want(b"small", 0, 1 << 40, signature=signature(b"old" * 1000))]))


@settings(max_examples=25)
@given(st.integers(0, 1 << 32), st.sampled_from(["fine", "base"]))
def test_patched_push_when_edits_are_random_then_equals_a_plain_one(
    tmp_path_factory: pytest.TempPathFactory, seed: int, patches: str
) -> None:
    folder = tmp_path_factory.mktemp("patched")
    chance = random.Random(seed)
    pair = Pair(folder)
    sizes = [0, 1, 200, 3000, 70_000, 300_000, BASED_BYTES + 70_000]
    files = {f"{index}.bin": chance.randbytes(chance.choice(sizes)) for index in range(6)}
    cache = BaseCache(folder / "bases", chance.choice([1 << 30, 400_000]), lambda: 1.0)
    kept = cache if patches == "base" else None
    pair.write(files)
    pair.push(bases=kept)
    for name in list(files):
        action = chance.choice(["edit", "edit", "delete", "move", "replace", "keep"])
        if action in {"delete", "move"}:
            (pair.source / name).unlink()
        if action not in {"keep", "delete"}:
            data = edited(files[name], seed + 1) if action != "replace" else chance.randbytes(5000)
            pair.write({("moved/" if action == "move" else "") + name: data})
    pair.push(patches, bases=kept)
    cache.close()
    for file in folder.rglob("*.bin"):
        os.unlink(file)
