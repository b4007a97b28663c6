"""Large files patched where they are: what stays, what is kept, who is refused, and the way back."""

import os
import random
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import pytest

from pdelta.errors import (
    DriftError,
    ExecutionError,
    FilesystemError,
    IntegrityError,
    NeedsOperatorError,
    TransportError,
)
from pdelta.filesystem.commit import Committer
from pdelta.formats.history import PushWish, encode_wish
from pdelta.formats.intent import Action, Move
from pdelta.model.finding import Finding
from pdelta.model.source import Source, Want
from pdelta.model.target import Target
from pdelta.testing.failpoints import SimulatedCrash
from tests.fixtures.tree_runs import fulfil, numbers, opened, push, roll_back, scanned, state_of, troubles
from tests.fixtures.trees import HardLink, Sparse, build_tree
from tests.fixtures.users import NOBODY, in_child

SIZE = 3 << 20


def noise(size: int, seed: int) -> bytes:
    return random.Random(seed).randbytes(size)


def edited(data: bytes, *edits: tuple[int, bytes]) -> bytes:
    changed = bytearray(data)
    for offset, new in edits:
        changed[offset : offset + len(new)] = new
    return bytes(changed)


OLD = noise(SIZE, 1)
NEW = edited(OLD, (0, b"first"), (SIZE // 2, b"middle"), (SIZE - 4, b"last"))


class Pair:
    """A source and a destination that holds it."""

    def __init__(self, folder: Path, data: bytes = OLD) -> None:
        self.source, self.dest = folder / "source", folder / "dest"
        build_tree(self.source, {"disk.img": data, "small": b"small"})
        push(self.source, self.dest)
        self.file = self.dest / "disk.img"
        self.inode = self.file.stat().st_ino

    def write(self, data: bytes, mtime_ns: int = 10**18) -> None:
        path = self.source / "disk.img"
        path.write_bytes(data)
        os.utime(path, ns=(mtime_ns, mtime_ns))

    def equal(self) -> bool:
        return state_of(self.source) == state_of(self.dest)


def kept_bytes(dest: Path) -> int:
    """Give how much space the undo data really takes."""
    return sum(
        os.lstat(os.path.join(folder, name)).st_blocks * 512
        for folder, _, names in os.walk(dest / ".pdelta" / "undo")
        for name in names
    )


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(tmp_path)


@pytest.mark.parametrize(
    "new",
    [
        NEW,
        OLD + b"appended",
        OLD + noise(400_000, 2),
        OLD[:-70_000],
        edited(OLD, (1000, b"edit"))[: SIZE - 5],
        edited(OLD, (100_000, bytes(300_000))),
    ],
    ids=["edits", "append", "append much", "cut", "edit and cut", "zeros"],
)
def test_push_when_in_place_then_the_inode_stays_and_rollback_restores_it(pair: Pair, new: bytes) -> None:
    before = state_of(pair.dest)
    pair.write(new)
    push(pair.source, pair.dest, inplace=True)
    assert pair.equal()
    assert pair.file.stat().st_ino == pair.inode
    assert kept_bytes(pair.dest) < SIZE // 4
    assert troubles(pair.dest) == []
    after = state_of(pair.dest)
    roll_back(pair.dest)
    assert state_of(pair.dest) == before
    assert pair.file.stat().st_ino == pair.inode
    roll_back(pair.dest)
    assert state_of(pair.dest) == after
    assert troubles(pair.dest) == []
    assert numbers(pair.dest) == [1, 2, 3, 4]


def test_push_when_in_place_many_times_then_every_state_comes_back(pair: Pair) -> None:
    states = [state_of(pair.dest)]
    for turn in range(4):
        pair.write(edited(OLD, (turn * 700_000, b"turn %d" % turn)), 10**18 + turn)
        push(pair.source, pair.dest, inplace=turn != 2)
        states.append(state_of(pair.dest))
    for number in (1, 3, 2, 5, 4, 1):
        roll_back(pair.dest, to=number)
        assert state_of(pair.dest) == states[number - 1], number
        assert troubles(pair.dest) == []


def test_push_when_in_place_then_only_ranges_are_written_and_a_reader_keeps_the_file(pair: Pair) -> None:
    pair.write(NEW)
    with pair.file.open("rb") as reader:
        outcome = push(pair.source, pair.dest, inplace=True)
        assert reader.read() == NEW
    assert outcome is not None
    facts = outcome.facts
    assert isinstance(facts["fetched_bytes"], int)
    assert facts["fetched_bytes"] < 100_000
    assert facts["reused_bytes"] == 0
    assert isinstance(facts["undo_bytes"], int)
    assert facts["undo_bytes"] < 100_000


def test_push_when_a_file_has_all_its_names_in_the_tree_then_all_are_patched(tmp_path: Path) -> None:
    source, dest = tmp_path / "source", tmp_path / "dest"
    build_tree(source, {"b": OLD, "a": HardLink("b"), "in": {"c": HardLink("b")}})
    push(source, dest)
    before, inode = state_of(dest), (dest / "a").stat().st_ino
    (source / "b").write_bytes(edited(OLD, (5, b"edit")) + b"longer")
    push(source, dest, inplace=True)
    assert state_of(dest) == state_of(source)
    assert {(dest / name).stat().st_ino for name in ("a", "b", "in/c")} == {inode}
    roll_back(dest)
    assert state_of(dest) == before
    assert (dest / "in" / "c").stat().st_ino == inode
    assert troubles(dest) == []


def findings_of(pair: Pair) -> list[Finding]:
    """Give what a push in place says of files that it replaces."""
    with scanned(pair.source) as (found, source), opened(pair.dest, source) as operation:
        target = Target("tree", "local")
        wish = PushWish(wanted=found.snapshot, inplace=True)
        delta = operation.calculate(target, encode_wish(wish))
        return [finding for finding in operation.preflight(delta, target) if finding.code == "inplace"]


def test_push_when_a_name_is_outside_the_tree_then_the_file_is_replaced_and_that_is_said(
    pair: Pair, tmp_path: Path
) -> None:
    os.link(pair.file, tmp_path / "outside")
    pair.write(NEW)
    (finding,) = findings_of(pair)
    assert "it has 2 names, and 1 of them is known" in finding.message
    assert not finding.blocks
    push(pair.source, pair.dest, inplace=True)
    assert pair.equal()
    assert (tmp_path / "outside").read_bytes() == OLD
    assert pair.file.stat().st_ino != pair.inode


def test_push_when_most_of_a_file_changes_then_it_is_replaced_and_that_is_said(pair: Pair) -> None:
    pair.write(b"shift" + OLD[: SIZE // 3] + noise(SIZE, 5))
    (finding,) = findings_of(pair)
    assert "most of it changes" in finding.message
    push(pair.source, pair.dest, inplace=True)
    assert pair.equal()
    assert pair.file.stat().st_ino != pair.inode


def test_push_when_a_file_is_small_then_it_is_replaced_without_a_word(pair: Pair) -> None:
    (pair.source / "small").write_bytes(b"other")
    inode = (pair.dest / "small").stat().st_ino
    assert findings_of(pair) == []
    push(pair.source, pair.dest, inplace=True)
    assert pair.equal()
    assert (pair.dest / "small").stat().st_ino != inode


def test_push_when_the_file_is_read_only_then_it_is_patched_and_is_read_only_again(pair: Pair) -> None:
    pair.file.chmod(0o444)
    (pair.source / "disk.img").chmod(0o644)
    pair.write(NEW)
    (pair.source / "disk.img").chmod(0o444)
    push(pair.source, pair.dest, inplace=True, drift="overwrite")
    assert pair.equal()
    assert pair.file.stat().st_ino == pair.inode


def test_push_when_somebody_writes_during_the_patch_then_everything_is_reversed(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The edit itself stays, wherever it is: between looking and patching it makes the path foreign."""
    pair.write(NEW)
    before = state_of(pair.dest)

    def interfere(committer: Committer, moves: list[Move]) -> list[bytes]:
        assert any(move.action == Action.PATCH for move in moves)
        with pair.file.open("r+b") as file:
            file.seek(2_000_000)
            file.write(b"foreign")
        return forward(committer, moves)

    forward = Committer.forward
    monkeypatch.setattr(Committer, "forward", interfere)
    with pytest.raises(ExecutionError, match=r"disk\.img"):
        push(pair.source, pair.dest, inplace=True)
    found = state_of(pair.dest)
    assert pair.file.read_bytes() == edited(OLD, (2_000_000, b"foreign"))
    assert {path for path in found if found[path] != before[path]} == {b"disk.img"}
    assert numbers(pair.dest) == [1]


@pytest.mark.parametrize("offset", [10, 2_000_000])
def test_push_when_somebody_writes_and_sets_the_time_back_then_it_is_seen_all_the_same(
    pair: Pair, monkeypatch: pytest.MonkeyPatch, offset: int
) -> None:
    """In place or not, and where the patch writes or not: size and time are those of the record, the ctime is not."""
    forward = Committer.forward

    def interfere(committer: Committer, moves: list[Move]) -> list[bytes]:
        with pair.file.open("r+b") as file:
            file.seek(offset)
            file.write(b"foreign")
        os.utime(pair.file, ns=(1, mtime_ns))
        return forward(committer, moves)

    mtime_ns = pair.file.stat().st_mtime_ns
    pair.write(NEW)
    for patched in (True, False):
        with monkeypatch.context() as patch:
            patch.setattr(Committer, "forward", interfere)
            with pytest.raises(ExecutionError, match=r"disk\.img"):
                push(pair.source, pair.dest, inplace=patched)
        assert pair.file.read_bytes() == edited(OLD, (offset, b"foreign"))
        pair.file.write_bytes(OLD)
        os.utime(pair.file, ns=(1, mtime_ns))


class Failing:
    """Lets a commit fail after its first patch, and the process die at a point of the reversal."""

    def __init__(self, meddle: Callable[[], None], fatal: str = "") -> None:
        self._meddle, self._fatal, self._failed = meddle, fatal, False

    def __call__(self, name: str, /) -> None:
        if name == "commit.patch" and not self._failed:
            self._failed = True
            self._meddle()
            raise FilesystemError("an error of the disk")
        if name == self._fatal:
            raise SimulatedCrash


@pytest.mark.parametrize("recovered", [False, True])
@pytest.mark.parametrize("offset", [SIZE // 2, 2_000_000], ids=["patched", "lasting"])
def test_reversal_when_somebody_wrote_to_the_patched_file_and_set_the_time_back_then_the_edit_stays(
    pair: Pair, offset: int, *, recovered: bool
) -> None:
    """The patch is done when it is reversed, here or by the next command: size and time are those of its after."""
    pair.write(NEW)
    failing = Failing(lambda: overwrite(pair.file, offset, hidden=True), "intent.backward" if recovered else "")
    with pytest.raises(SimulatedCrash if recovered else NeedsOperatorError):
        push(pair.source, pair.dest, failing, inplace=True)
    if recovered:
        with opened(pair.dest) as operation:
            assert operation.recover().foreign == (b"disk.img",)
    assert pair.file.read_bytes() == edited(NEW, (offset, b"foreign"))
    assert len(list((pair.dest / ".pdelta/undo/foreign-2").glob("ranges-*"))) == 1


def test_reversal_when_nobody_wrote_to_the_patched_file_then_it_is_as_before(pair: Pair) -> None:
    before = state_of(pair.dest)
    pair.write(NEW)
    failing = Failing(lambda: None)
    with pytest.raises(ExecutionError):
        push(pair.source, pair.dest, failing, inplace=True)
    assert state_of(pair.dest) == before
    assert troubles(pair.dest) == []


@pytest.mark.parametrize("fault", ["edited", "linked"])
def test_push_when_a_read_only_file_of_a_plain_user_is_not_patched_then_its_mode_stays(
    short_path: Path, fault: str
) -> None:
    def work() -> None:
        pair = Pair(short_path)
        pair.write(NEW)
        pair.file.chmod(0o444)
        (pair.source / "disk.img").chmod(0o444)
        forward = Committer.forward

        def interfere(committer: Committer, moves: list[Move]) -> list[bytes]:
            pair.file.chmod(0o644)
            if fault == "edited":
                overwrite(pair.file, 2_000_000, hidden=True)
            else:
                os.link(pair.file, short_path / "outside")
            pair.file.chmod(0o444)
            return forward(committer, moves)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Committer, "forward", interfere)
            with pytest.raises(ExecutionError, match=r"disk\.img"):
                push(pair.source, pair.dest, inplace=True, drift="overwrite")
        assert pair.file.read_bytes() == (edited(OLD, (2_000_000, b"foreign")) if fault == "edited" else OLD)
        assert pair.file.stat().st_mode & 0o777 == 0o444

    if os.geteuid() != 0:
        work()
        return
    os.chmod(short_path, 0o777)
    in_child(work, NOBODY)


def test_push_when_only_the_ctime_changes_during_the_commit_then_it_goes_on(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    forward = Committer.forward

    def touch(committer: Committer, moves: list[Move]) -> list[bytes]:
        status = pair.file.stat()
        pair.file.chmod(0o600)
        pair.file.chmod(status.st_mode & 0o7777)
        return forward(committer, moves)

    pair.write(NEW)
    monkeypatch.setattr(Committer, "forward", touch)
    push(pair.source, pair.dest, inplace=True)
    assert pair.equal()


def test_push_when_a_file_has_holes_then_they_are_kept_made_and_filled(tmp_path: Path) -> None:
    source, dest = tmp_path / "source", tmp_path / "dest"
    build_tree(source, {"f": Sparse(8 << 20, {0: OLD[:1_000_000], 3 << 20: OLD[:500_000], 6 << 20: OLD[:2_000_000]})})
    push(source, dest)
    before, inode = state_of(dest), (dest / "f").stat().st_ino
    blocks = (dest / "f").stat().st_blocks
    (source / "f").unlink()
    # The time is the same on both sides, so it cannot say how far the patch is.
    other = Sparse(8 << 20, {0: OLD[:1_000_000], 5 << 20: b"x" * 9, 6 << 20: OLD[:2_000_000]})
    build_tree(tmp_path / "other", {"f": other})
    (tmp_path / "other" / "f").rename(source / "f")
    push(source, dest, inplace=True)
    assert state_of(dest) == state_of(source)
    assert (dest / "f").stat().st_ino == inode
    assert (dest / "f").stat().st_blocks < blocks
    roll_back(dest)
    assert state_of(dest) == before
    assert (dest / "f").stat().st_blocks <= blocks + 8
    assert troubles(dest) == []


def test_rollback_when_displaced_ranges_are_damaged_then_it_is_refused(pair: Pair) -> None:
    pair.write(NEW)
    push(pair.source, pair.dest, inplace=True)
    after = state_of(pair.dest)
    (kept,) = (pair.dest / ".pdelta" / "undo" / "2").glob("ranges-*")
    with kept.open("r+b") as file:
        file.write(b"damage")
    with pytest.raises(IntegrityError, match="undo data"):
        roll_back(pair.dest)
    assert state_of(pair.dest) == after


class Broken:
    """A source whose connection breaks after some pieces."""

    def __init__(self, source: Source, pieces: int) -> None:
        self._source, self._left = source, pieces

    def read_pages(self, ids: Iterable[bytes]) -> Mapping[bytes, bytes]:
        return self._source.read_pages(ids)

    def read_ranges(self, wants: Iterable[Want]) -> Iterator[bytes | memoryview]:
        for want in wants:
            if not self._left:
                raise TransportError("cut")
            self._left -= 1
            yield from self._source.read_ranges([want])


def test_push_when_the_connection_breaks_then_the_next_one_asks_for_the_rest_alone(pair: Pair) -> None:
    pair.write(NEW)
    with scanned(pair.source) as (found, source):
        wish = PushWish(wanted=found.snapshot, inplace=True)
        with opened(pair.dest, Broken(source, 2)) as operation, pytest.raises(TransportError):
            fulfil(operation, wish)
        assert pair.file.read_bytes() == OLD
        with opened(pair.dest, source) as operation:
            outcome = fulfil(operation, wish)
    assert outcome is not None
    resumed, fetched = outcome.facts["resumed_bytes"], outcome.facts["fetched_bytes"]
    assert isinstance(resumed, int)
    assert isinstance(fetched, int)
    assert resumed > 0
    assert 0 < resumed + fetched < 100_000
    assert pair.equal()


def test_ledger_when_it_is_of_the_version_before_then_its_undo_data_is_used(pair: Pair) -> None:
    before = state_of(pair.dest)
    pair.write(NEW)
    push(pair.source, pair.dest)
    connection = sqlite3.connect(pair.dest / ".pdelta" / "ledger.sqlite")
    connection.execute("ALTER TABLE kept DROP COLUMN ranges")
    connection.execute("PRAGMA user_version=1")
    connection.commit()
    connection.close()
    roll_back(pair.dest)
    assert state_of(pair.dest) == before
    pair.write(edited(NEW, (7, b"again")))
    push(pair.source, pair.dest, inplace=True)
    assert pair.equal()


class Meddling:
    """A source during whose transfer somebody else writes to the destination."""

    def __init__(self, source: Source, meddle: Callable[[], None]) -> None:
        self._source, self._meddle = source, meddle

    def read_pages(self, ids: Iterable[bytes]) -> Mapping[bytes, bytes]:
        return self._source.read_pages(ids)

    def read_ranges(self, wants: Iterable[Want]) -> Iterator[bytes | memoryview]:
        self._meddle()
        yield from self._source.read_ranges(wants)


def overwrite(file: Path, offset: int, *, hidden: bool) -> None:
    """Write as somebody else does, who may set the time back."""
    status = file.stat()
    with file.open("r+b") as opened_file:
        opened_file.seek(offset)
        opened_file.write(b"foreign")
    if hidden:
        os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("offset", [10, SIZE // 4])
def test_push_when_somebody_writes_during_the_transfer_then_the_edit_stays(
    pair: Pair, offset: int, *, hidden: bool
) -> None:
    """Also where the patch would write: what is kept of the old content is not what the patch must find there."""
    pair.write(NEW)
    with scanned(pair.source) as (found, source):
        meddling = Meddling(source, lambda: overwrite(pair.file, offset, hidden=hidden))
        with opened(pair.dest, meddling) as operation, pytest.raises((DriftError, ExecutionError), match=r"disk\.img"):
            fulfil(operation, PushWish(wanted=found.snapshot, inplace=True))
    assert pair.file.read_bytes() == edited(OLD, (offset, b"foreign"))
    assert numbers(pair.dest) == [1]
