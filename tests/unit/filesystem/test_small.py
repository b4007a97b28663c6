"""Small files made many at a time: all of them, in order, and none after a failure."""

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from pdelta.filesystem.batch import batch_calls
from pdelta.filesystem.small import ROOM_BYTES, SmallFiles
from pdelta.model.snapshot import Entry, Kind

DICE = random.Random(11)


class Bench:
    """Two folders, and what was heard of files in them."""

    def __init__(self, folder: Path, *, threaded: bool) -> None:
        self.folder = folder
        self.heard: list[tuple[bytes, int]] = []
        self.made = SmallFiles(batch_calls(), self.hear, sync=False, threaded=threaded)
        for name in ("one", "other"):
            (folder / name).mkdir()

    def hear(self, slot: bytes, inode: int) -> None:
        """Take note."""
        self.heard.append((slot, inode))

    def add(self, folder: str, name: bytes, data: bytes) -> None:
        """Give a file, as staging does: the folder's descriptor is soon closed."""
        fd = os.open(self.folder / folder, os.O_RDONLY)
        entry = Entry(name, Kind.FILE, 0o640, 123_456_789_000, len(data), b"")
        try:
            self.made.room(fd, folder.encode(), len(data))[:] = data
            self.made.add(folder.encode() + b"/" + name, name, entry)
        finally:
            os.close(fd)


@pytest.fixture(params=[True, False], ids=["threaded", "alone"])
def bench(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(tmp_path, threaded=request.param)
    yield bench
    bench.made.close()


def test_files_when_given_folder_by_folder_then_all_are_made_and_told_in_order(bench: Bench) -> None:
    contents = {}
    for turn in range(6):
        folder = ("one", "other")[turn % 2]
        for number in range((3, 40, 1)[turn % 3]):
            name = b"%d-%d" % (turn, number)
            data = DICE.randbytes(DICE.choice([0, 10, 30_000, 200_000]))
            contents[folder.encode() + b"/" + name] = data
            bench.add(folder, name, data)
    bench.add("one", b"full", bytes(ROOM_BYTES))
    contents[b"one/full"] = bytes(ROOM_BYTES)
    bench.made.finish()
    assert [slot for slot, _ in bench.heard] == list(contents)
    for slot, inode in bench.heard:
        path = bench.folder / os.fsdecode(slot)
        assert path.read_bytes() == contents[slot]
        assert (path.stat().st_ino, path.stat().st_mode & 0o777, path.stat().st_mtime_ns) == (
            inode,
            0o640,
            123_456_789_000,
        )


def test_file_that_cannot_be_made_when_others_follow_then_the_failure_comes_before_anything_is_told(
    bench: Bench,
) -> None:
    (bench.folder / "one/05").write_bytes(b"taken")
    for number in range(20):
        bench.add("one", b"%02d" % number, b"data")
    with pytest.raises(FileExistsError) as caught:
        bench.made.finish()
    assert os.fsencode(caught.value.filename) == b"05"
    assert bench.heard == []
    assert (bench.folder / "one/05").read_bytes() == b"taken"
    assert not (bench.folder / "one/06").exists()


def test_files_when_they_are_given_up_then_no_descriptor_stays_open(bench: Bench) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for number in range(20):
        bench.add(("one", "other")[number // 10], b"%02d" % number, b"data")
    bench.made.close()
    assert len(os.listdir("/proc/self/fd")) == before


def test_room_when_it_was_asked_for_and_not_used_then_the_next_file_takes_it(bench: Bench) -> None:
    bench.add("one", b"first", b"first")
    fd = os.open(bench.folder / "one", os.O_RDONLY)
    bench.made.room(fd, b"one", 5)[:] = b"wrong"
    os.close(fd)
    bench.add("one", b"second", b"2nd")
    bench.made.finish()
    assert [slot for slot, _ in bench.heard] == [b"one/first", b"one/second"]
    assert (bench.folder / "one/second").read_bytes() == b"2nd"
