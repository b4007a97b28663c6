"""Calls on many names at once: what they say of every kind of name, and what becomes of them without a compiler."""

import errno
import os
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pdelta.filesystem.batch import BatchCalls, batch_calls, native
from pdelta.filesystem.batch.port import FACT
from pdelta.filesystem.batch.pure import PureCalls
from pdelta.filesystem.fingerprint import FINGERPRINT_BYTES, LAST_NS, pack_all, pack_file


@pytest.fixture(params=["native", "pure"])
def calls(request: pytest.FixtureRequest) -> BatchCalls:
    if request.param == "pure":
        return PureCalls()
    found: BatchCalls = request.getfixturevalue("native_calls")
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[int]:
    """One of every kind of name that a test may make without rights."""
    (tmp_path / "file").write_bytes(b"four")
    (tmp_path / "empty").touch()
    (tmp_path / "sub").mkdir()
    (tmp_path / "link").symlink_to("file")
    (tmp_path / "second").hardlink_to(tmp_path / "file")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / ("n" * 255)).touch()
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff\n")).touch()
    os.utime(tmp_path / "empty", ns=(0, -1))
    fd = os.open(tmp_path, os.O_RDONLY)
    yield fd
    os.close(fd)


def test_list_when_names_are_of_every_kind_then_each_is_what_lstat_says(calls: BatchCalls, folder: int) -> None:
    listing = calls.list(folder)
    names = listing.names.split(b"/")
    assert names == sorted(map(os.fsencode, os.listdir(folder)))
    statuses = [os.lstat(name, dir_fd=folder) for name in names]
    assert listing.looks.fingerprints == b"".join(pack_all(statuses))
    for place, status in enumerate(statuses):
        found = listing.looks.status_of(place)
        same = ("st_mode", "st_ino", "st_dev", "st_nlink", "st_uid", "st_gid", "st_blocks", "st_mtime_ns")
        assert [getattr(found, field) for field in same] == [getattr(status, field) for field in same]
    assert (listing.vanished, listing.linked) == ([], 2)
    kinds = {stat.S_IFMT(status.st_mode) >> 12 for status in statuses}
    assert listing.kinds == sum(1 << kind for kind in kinds)
    assert len(kinds) == 4
    assert calls.list(folder) == listing, "a second look begins from the first name again"


@pytest.mark.parametrize(
    ("time_ns", "counts_as"),
    [(LAST_NS, LAST_NS), (LAST_NS + 1, LAST_NS), (10**19, LAST_NS), (-(10**9) - 1, -(10**9) - 1)],
)
def test_list_when_a_time_is_far_then_it_counts_as_the_last_that_there_is(
    calls: BatchCalls, folder: int, time_ns: int, counts_as: int
) -> None:
    os.utime("file", ns=(0, time_ns), dir_fd=folder)
    if os.stat("file", dir_fd=folder).st_mtime_ns != time_ns:
        pytest.skip("this file system has no such time")
    listing = calls.list(folder)
    place = listing.names.split(b"/").index(b"file")
    assert listing.looks.status_of(place).st_mtime_ns == counts_as
    assert listing == PureCalls().list(folder)
    assert calls.look(folder, [b"file"]).fingerprint(0) == pack_file(os.stat("file", dir_fd=folder))
    assert calls.read(folder, [b"file"], listing.looks.fingerprint(place), bytearray(4)) == b"\1"


def test_list_when_the_folder_is_empty_or_none_then_nothing_or_an_error(calls: BatchCalls, tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    listing = calls.list(fd)
    os.close(fd)
    assert (listing.names, listing.looks.fingerprints, listing.kinds) == (b"", b"", 0)
    (tmp_path / "file").touch()
    file = os.open(tmp_path / "file", os.O_RDONLY)
    with pytest.raises(NotADirectoryError):
        calls.list(file)
    os.close(file)


def test_list_when_names_come_and_go_meanwhile_then_each_is_there_or_vanished(
    calls: BatchCalls, tmp_path: Path
) -> None:
    stays = [b"stays-%03d" % number for number in range(300)]
    for name in stays:
        (tmp_path / name.decode()).touch()
    stop = threading.Event()

    def disturb() -> None:
        while not stop.is_set():
            for number in range(20):
                (tmp_path / f"goes-{number}").touch()
            for number in range(20):
                (tmp_path / f"goes-{number}").unlink()

    thread = threading.Thread(target=disturb)
    thread.start()
    fd = os.open(tmp_path, os.O_RDONLY)
    try:
        for _ in range(100):
            listing = calls.list(fd)
            names = listing.names.split(b"/")
            assert len(listing.looks.fingerprints) == len(names) * FINGERPRINT_BYTES
            assert [name for name in names if name.startswith(b"stays")] == stays
            assert all(name.startswith(b"goes") for name in listing.vanished)
    finally:
        stop.set()
        thread.join()
        os.close(fd)


def test_look_when_a_name_is_not_there_then_its_fingerprint_is_zeros(calls: BatchCalls, folder: int) -> None:
    looks = calls.look(folder, [b"file", b"absent", b"link"])
    statuses = [os.lstat(name, dir_fd=folder) for name in ("file", "link")]
    first, last = pack_all(statuses)
    assert looks.fingerprints == first + bytes(FINGERPRINT_BYTES) + last
    assert looks.status_of(1).st_mode == 0
    assert calls.look(folder, []).fingerprints == b""


def test_look_when_the_folder_may_not_be_searched_then_an_error(calls: BatchCalls, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    fd = os.open(file, os.O_RDONLY)
    with pytest.raises(NotADirectoryError):
        calls.look(fd, [b"below"])
    os.close(fd)


def _read(calls: BatchCalls, fd: int, names: list[bytes], fingerprints: bytes, room: int) -> tuple[bytes, bytes]:
    buffer = bytearray(room)
    good = calls.read(fd, names, fingerprints, buffer)
    return good, bytes(buffer)


def test_read_when_all_stand_still_then_their_bytes_in_order(calls: BatchCalls, folder: int) -> None:
    names = [b"file", b"empty", b"second"]
    prints = calls.look(folder, names).fingerprints
    assert _read(calls, folder, names, prints, 9) == (b"\1\1\1", b"fourfour\0")


@pytest.mark.parametrize("change", ["shrink", "grow", "touch", "replace", "remove", "symlink", "fifo", "folder"])
def test_read_when_a_file_changed_since_it_was_looked_at_then_it_is_not_good(
    calls: BatchCalls, folder: int, tmp_path: Path, change: str
) -> None:
    names = [b"file", b"second"]
    (tmp_path / "second").unlink()
    (tmp_path / "second").write_bytes(b"2nd")
    prints = calls.look(folder, names).fingerprints
    file = tmp_path / "file"
    match change:
        case "shrink":
            file.write_bytes(b"f")
        case "grow":
            file.write_bytes(b"fours")
        case "touch":
            os.utime(file, ns=(1, 1))
        case "replace":
            (tmp_path / "fresh").write_bytes(b"four")
            (tmp_path / "fresh").rename(file)
        case "remove":
            file.unlink()
        case "symlink":
            file.rename(tmp_path / "moved")
            file.symlink_to("moved")
        case "fifo":
            file.unlink()
            os.mkfifo(file)
        case _:
            file.unlink()
            file.mkdir()
    good, data = _read(calls, folder, names, prints, 7)
    assert good == b"\0\1"
    assert data[4:] == b"2nd"


def test_read_when_it_is_no_regular_file_then_it_is_not_good(calls: BatchCalls, folder: int) -> None:
    names = [b"sub", b"fifo", b"link"]
    prints = calls.look(folder, names).fingerprints
    assert _read(calls, folder, names, prints, 4)[0] == b"\0\0\0"


def test_read_when_the_buffer_is_too_short_then_nothing_is_written_behind_it(calls: BatchCalls, folder: int) -> None:
    names = [b"file", b"second"]
    prints = calls.look(folder, names).fingerprints
    with pytest.raises(OSError, match="too large") as caught:
        calls.read(folder, names, prints, bytearray(7))
    assert caught.value.errno == errno.EOVERFLOW


@pytest.mark.parametrize("sync", [False, True])
def test_create_when_names_are_free_then_files_are_as_they_were_asked_for(
    calls: BatchCalls, tmp_path: Path, *, sync: bool
) -> None:
    wanted = [
        (b"empty", b"", 0, 0o600),
        (b"\xff\n", b"four", -1, 0o4711),
        (b"n" * 255, b"x" * 70_000, 1_800_000_000_123_456_789, 0o444),
        (b"-", b"last", -1_500_000_000, 0o000),
    ]
    data = bytearray(b"".join(content for _, content, _, _ in wanted) + b"behind")
    fd = os.open(tmp_path, os.O_RDONLY)
    facts = [FACT.pack(len(content), mtime_ns, mode) for _, content, mtime_ns, mode in wanted]
    inodes = calls.create(fd, [name for name, _, _, _ in wanted], facts, data, sync=sync)
    os.close(fd)
    assert len(os.listdir(tmp_path)) == 4
    for (name, content, mtime_ns, mode), inode in zip(wanted, inodes, strict=True):
        status = os.lstat(os.fsencode(tmp_path) + b"/" + name)
        assert (status.st_mtime_ns, status.st_atime_ns, status.st_ino) == (mtime_ns, mtime_ns, inode)
        assert stat.S_IMODE(status.st_mode) == mode
        assert stat.S_ISREG(status.st_mode)
        os.chmod(os.fsencode(tmp_path) + b"/" + name, 0o600)
        assert (tmp_path / os.fsdecode(name)).read_bytes() == content


def test_create_when_one_fails_then_it_is_named_and_those_before_it_are_whole(
    calls: BatchCalls, tmp_path: Path
) -> None:
    (tmp_path / "target").write_bytes(b"untouched")
    (tmp_path / "taken").symlink_to("target")
    fd = os.open(tmp_path, os.O_RDONLY)
    facts = [FACT.pack(3, 0, 0o644)] * 3
    with pytest.raises(FileExistsError) as caught:
        calls.create(fd, [b"first", b"taken", b"third"], facts, bytearray(b"onetwosix"), sync=False)
    assert os.fsencode(caught.value.filename) == b"taken"
    with pytest.raises(OSError, match="name too long") as caught_long:
        calls.create(fd, [b"n" * 256], facts[:1], bytearray(b"one"), sync=False)
    os.close(fd)
    assert caught_long.value.errno == errno.ENAMETOOLONG
    assert sorted(os.listdir(tmp_path)) == ["first", "taken", "target"]
    assert (tmp_path / "first").read_bytes() == b"one"
    assert (tmp_path / "target").read_bytes() == b"untouched"


def test_create_when_the_contents_are_too_short_then_nothing_behind_them_is_read(
    calls: BatchCalls, tmp_path: Path
) -> None:
    fd = os.open(tmp_path, os.O_RDONLY)
    facts = [FACT.pack(3, 0, 0o644), FACT.pack(4, 0, 0o644)]
    with pytest.raises(OSError, match="too large") as caught:
        calls.create(fd, [b"first", b"second"], facts, bytearray(b"sixsix"), sync=False)
    os.close(fd)
    assert caught.value.errno == errno.EOVERFLOW
    assert os.listdir(tmp_path) == ["first"]


@pytest.mark.parametrize("damage", ["missing", "garbage", "another library", "another version"])
def test_calls_when_the_library_is_not_the_right_one_then_those_in_python(
    damage: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "calls.so"
    match damage:
        case "garbage":
            file.write_bytes(b"no library")
        case "another library":
            file = Path("libc.so.6")
        case "another version":
            file = Path(native.FILE)
            monkeypatch.setattr(native, "VERSION", native.VERSION + 1)
        case _:
            pass
    monkeypatch.setattr(native, "FILE", str(file))
    native.load.cache_clear()
    try:
        assert isinstance(batch_calls(), PureCalls)
    finally:
        native.load.cache_clear()
