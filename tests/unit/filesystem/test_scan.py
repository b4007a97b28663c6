"""A scan against real trees: every kind of entry, every kind of change, and what is reported."""

import os
import socket
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from pdelta.errors import PreflightError, UsageError
from pdelta.filesystem.batch import BatchCalls
from pdelta.filesystem.batch.pure import PureCalls
from pdelta.filesystem.failure import UnreadError
from pdelta.filesystem.fingerprint import pack_all
from pdelta.filesystem.index import Index
from pdelta.filesystem.read import Reader
from pdelta.filesystem.safe import Directory
from pdelta.filesystem.scan import Scan, ScanOptions, scan
from pdelta.formats.page import PagedTree
from pdelta.model.event import Event, silent
from pdelta.model.snapshot import HOLES, LINKED, OWNER, XATTRS, Entry, Kind, Rule, Selection
from pdelta.testing.pages import MemoryPages

LATER_NS = 10**10


class Bench:
    """A tree with its pages and its index."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.pages = MemoryPages()
        self.connection = sqlite3.connect(":memory:", isolation_level=None)
        self.index = Index(self.connection)
        self.selection = Selection()

    def scan(self, *, later_ns: int = LATER_NS, calls: BatchCalls | None = None, **options: Any) -> Scan:
        chosen = {"now_ns": time.time_ns() + later_ns, "selection": self.selection, **options}
        with Directory.open_root(os.fsencode(self.root)) as directory:
            return scan(directory, msgspec.convert(chosen, ScanOptions), self.pages, self.index, silent, calls)

    def fresh(self, **options: Any) -> Scan:
        other = Bench(self.root)
        other.selection = self.selection
        return other.scan(**options)

    def entries(self, found: Scan) -> dict[bytes, Entry]:
        tree = PagedTree(self.pages)
        entries = {b"": found.root.top}
        waiting = [(b"", found.root.top.content)]
        while waiting:
            parent, page = waiting.pop()
            for entry in tree.directory(page):
                path = parent + b"/" + entry.name if parent else entry.name
                entries[path] = entry
                if entry.kind == Kind.DIRECTORY:
                    waiting.append((path, entry.content))
        return entries


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    root = tmp_path / "tree"
    root.mkdir()
    made = Bench(root)
    yield made
    made.connection.close()


def fill(root: Path) -> None:
    (root / "a").mkdir()
    (root / "a/one").write_bytes(b"one")
    (root / "a/deep/er").mkdir(parents=True)
    (root / "a/deep/er/two").write_bytes(b"two" * 30_000)
    (root / "empty").mkdir()
    (root / "dangling").symlink_to("nowhere")
    (root / "big").write_bytes(os.urandom(3 << 20))


def test_scan_when_repeated_then_same_id_and_nothing_read(bench: Bench) -> None:
    fill(bench.root)
    first = bench.scan()
    second = bench.scan()
    assert second.snapshot == first.snapshot
    assert (first.files, first.directories, first.symlinks) == (3, 5, 1)
    assert first.bytes == first.read_bytes == 3 + 90_000 + (3 << 20)
    assert second.read_bytes == 0
    assert msgspec.structs.replace(second, read_bytes=first.read_bytes) == first


def test_scan_when_checksum_then_everything_is_read(bench: Bench) -> None:
    fill(bench.root)
    first = bench.scan()
    again = bench.scan(checksum=True)
    assert again.snapshot == first.snapshot
    assert again.read_bytes == first.bytes


def test_scan_when_names_are_raw_bytes_then_they_survive(bench: Bench) -> None:
    names = [b"new\nline", b"\xff\xfe", b"x" * 255, b"-rf", "😀".encode(), b"\xed\xb2\x80", b"\xf0\x90\x80\x80"]
    for name in names:
        Path(os.fsdecode(os.fsencode(bench.root) + b"/" + name)).write_bytes(name)
    entries = bench.entries(bench.scan())
    assert sorted(entries) == sorted([b"", *names])
    assert bench.scan().read_bytes == 0


def test_scan_when_content_changes_with_size_and_mtime_kept_then_it_is_seen(bench: Bench) -> None:
    fill(bench.root)
    file = bench.root / "a/one"
    status = file.stat()
    first = bench.scan()
    file.write_bytes(b"ONE")
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))
    second = bench.scan()
    assert second.snapshot != first.snapshot
    assert second.read_bytes == 3
    assert second.snapshot == bench.fresh().snapshot


def test_scan_when_touched_then_only_that_file_is_read(bench: Bench) -> None:
    fill(bench.root)
    first = bench.scan()
    os.utime(bench.root / "a/one", ns=(1, -5))
    second = bench.scan()
    assert second.read_bytes == 3
    assert bench.entries(second)[b"a/one"].mtime_ns == -5
    assert bench.entries(second)[b"a/one"].content == bench.entries(first)[b"a/one"].content


def test_scan_when_racy_then_read_again_until_old(bench: Bench) -> None:
    fill(bench.root)
    first = bench.scan(later_ns=0)
    second = bench.scan(later_ns=0)
    assert second.read_bytes == first.read_bytes
    assert bench.scan().read_bytes == first.read_bytes
    assert bench.scan().read_bytes == 0


def test_scan_when_folder_moved_then_proved_without_reading(bench: Bench) -> None:
    fill(bench.root)
    bench.scan()
    (bench.root / "a").rename(bench.root / "empty/moved")
    second = bench.scan()
    assert second.read_bytes == 0
    assert second.snapshot == bench.fresh().snapshot
    assert [row.path for row in bench.index.rows()] == [
        b"", b"empty", b"empty/moved", b"empty/moved/deep", b"empty/moved/deep/er",
    ]  # fmt: skip
    assert bench.scan().read_bytes == 0


def test_scan_when_folders_swap_names_then_equal_to_a_fresh_scan(bench: Bench) -> None:
    for name in ("a", "b"):
        (bench.root / name / "in").mkdir(parents=True)
        (bench.root / name / "in" / "file").write_text(name * 10)
    bench.scan()
    (bench.root / "a").rename(bench.root / "t")
    (bench.root / "b").rename(bench.root / "a")
    (bench.root / "t").rename(bench.root / "b")
    assert bench.scan().snapshot == bench.fresh().snapshot
    assert bench.scan().snapshot == bench.fresh().snapshot


@pytest.mark.parametrize("preload", [0, 2])
def test_scan_when_more_folders_than_memory_may_hold_then_the_same(bench: Bench, preload: int) -> None:
    fill(bench.root)
    bench.index = Index(bench.connection, preload=preload)
    first = bench.scan()
    assert first.snapshot == bench.fresh().snapshot
    assert bench.scan().read_bytes == 0
    (bench.root / "a").rename(bench.root / "empty/moved")
    second = bench.scan()
    assert second.read_bytes == 0
    assert second.snapshot == bench.fresh().snapshot


def test_scan_when_names_deleted_then_rows_go(bench: Bench) -> None:
    fill(bench.root)
    bench.scan()
    for path in ("a/deep/er/two", "a/one"):
        (bench.root / path).unlink()
    for path in ("a/deep/er", "a/deep", "a"):
        (bench.root / path).rmdir()
    second = bench.scan()
    assert second.snapshot == bench.fresh().snapshot
    assert [row.path for row in bench.index.rows()] == [b"", b"empty"]


def test_scan_when_hard_linked_then_groups_and_flags(bench: Bench) -> None:
    fill(bench.root)
    os.link(bench.root / "a/one", bench.root / "empty/uno")
    os.link(bench.root / "big", bench.root.parent / "outside")
    first = bench.scan()
    entries = bench.entries(first)
    assert entries[b"a/one"].extra == entries[b"empty/uno"].extra == {LINKED: True}
    assert entries[b"big"].extra == {}
    links = list(PagedTree(bench.pages).links(first.root.links))
    assert [(link.leader, link.path) for link in links] == [(b"a/one", b"a/one"), (b"a/one", b"empty/uno")]
    assert first.read_bytes == first.bytes - 3
    second = bench.scan()
    assert (second.snapshot, second.read_bytes) == (first.snapshot, 0)
    (bench.root / "empty/uno").unlink()
    third = bench.scan()
    assert third.root.links == b""
    assert third.snapshot == bench.fresh().snapshot


def test_scan_when_link_is_in_an_untouched_folder_then_both_flags_appear(bench: Bench) -> None:
    (bench.root / "x/y").mkdir(parents=True)
    (bench.root / "z").mkdir()
    (bench.root / "x/y/file").write_bytes(b"data")
    os.link(bench.root / "x/y/file", bench.root.parent / "outside")
    assert bench.scan().root.links == b""
    (bench.root.parent / "outside").rename(bench.root / "z/inside")
    second = bench.scan()
    assert second.root.links
    assert second.snapshot == bench.fresh().snapshot


def test_scan_when_many_linked_names_then_spilled_and_equal(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("p", "q/r"):
        (bench.root / folder).mkdir(parents=True)
    for number in range(30):
        (bench.root / f"p/{number}").write_text(str(number))
        os.link(bench.root / f"p/{number}", bench.root / f"q/r/{number}")
    expected = bench.fresh().snapshot
    monkeypatch.setattr("pdelta.filesystem.settle._FLUSH_ITEMS", 4)
    assert bench.scan().snapshot == expected
    second = bench.scan()
    assert (second.snapshot, second.read_bytes) == (expected, 0)


def test_scan_when_special_files_then_reported_and_left_out(bench: Bench) -> None:
    fill(bench.root)
    expected = bench.fresh().root.top.content
    os.mkfifo(bench.root / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        directory = os.open(bench.root, os.O_RDONLY)
        listening.bind(f"/proc/self/fd/{directory}/sock")
        os.close(directory)
    found = bench.scan()
    assert sorted((p.path, p.kind) for p in found.problems) == [(b"pipe", "special"), (b"sock", "special")]
    assert found.root.top.content == expected
    assert bench.scan().read_bytes == 0


def test_scan_when_times_are_too_far_for_a_snapshot_then_reported_and_left_out(bench: Bench) -> None:
    fill(bench.root)
    first = bench.scan()
    assert {b"a", b"a/one"} <= set(bench.entries(first))
    (bench.root / "link").symlink_to("nowhere")
    (bench.root / "late").mkdir()
    (bench.root / "late/below").touch()
    for name in ("link", "late", "a/one"):
        os.utime(bench.root / name, ns=(0, 10**19), follow_symlinks=False)
    if (bench.root / "late").stat().st_mtime_ns != 10**19:
        pytest.skip("this file system has no such time")
    found = bench.scan()
    far = [b"a/one", b"late", b"link"]
    assert sorted((p.path, p.kind) for p in found.problems) == [(path, "unreadable") for path in far]
    assert set(bench.entries(found)) == set(bench.entries(first)) - {b"a/one"}
    assert len(bench.scan().problems) == 3, "the index does not vouch for them"
    os.utime(bench.root, ns=(0, 10**19))
    with pytest.raises(PreflightError, match="its time is not between"):
        bench.scan()


def test_scan_when_reserved_names_then_never_seen_and_nested_reported(bench: Bench) -> None:
    for path in (".pdelta", "sub/.pdelta", "sub/.pdelta-stage-1", "sub/.pdelta-runs", "sub/.pdelta-x"):
        (bench.root / path).mkdir(parents=True)
    found = bench.scan()
    assert sorted(bench.entries(found)) == [b"", b"sub", b"sub/.pdelta-x"]
    assert found.nested == (b"sub",)
    assert found.problems == ()


def test_scan_when_sparse_then_long_holes_are_recorded(bench: Bench) -> None:
    with (bench.root / "sparse").open("wb") as file:
        file.seek(1 << 20)
        file.write(b"x" * 8192)
        file.truncate(2 << 20)
    first = bench.scan()
    entry = bench.entries(first)[b"sparse"]
    if not entry.extra:
        pytest.skip("this file system has no holes")
    assert entry.extra[HOLES][0] == [0, 1 << 20]
    assert sum(length for _, length in entry.extra[HOLES]) >= (2 << 20) - 65536
    bench.selection = Selection(holes=False)
    second = bench.scan()
    assert bench.entries(second)[b"sparse"].extra == {}
    assert second.read_bytes == 0
    assert second.snapshot == bench.fresh().snapshot


def test_scan_when_owner_and_chmod_chosen_then_entries_carry_them(bench: Bench) -> None:
    fill(bench.root)
    (bench.root / "a/one").chmod(0o640)
    bench.scan()
    bench.selection = Selection(owner=True, chmod="D2755,F644")
    second = bench.scan()
    entry = bench.entries(second)[b"a/one"]
    assert (entry.mode, entry.extra) == (0o644, {OWNER: [os.getuid(), os.getgid()]})
    assert bench.entries(second)[b"a"].mode == 0o2755
    assert second.read_bytes == 0
    assert second.snapshot == bench.fresh().snapshot


def test_scan_when_xattrs_chosen_then_all_of_them_are_part_of_the_entry(bench: Bench) -> None:
    fill(bench.root)
    try:
        os.setxattr(bench.root / "a/one", b"user.small", b"value")
        os.setxattr(bench.root / "a/one", b"user.large", b"v" * 2000)
        os.setxattr(bench.root / "a", b"user.folder", b"")
    except OSError:
        pytest.skip("this file system has no extended attributes")
    bench.selection = Selection(xattrs=True)
    found = bench.scan()
    pairs = bench.entries(found)[b"a/one"].extra[XATTRS]
    assert pairs == [[b"user.large", b"v" * 2000], [b"user.small", b"value"]]
    assert bench.entries(found)[b"a"].extra == {XATTRS: [[b"user.folder", b""]]}
    again = bench.scan()
    assert (again.snapshot, again.read_bytes) == (found.snapshot, 0)


def test_scan_when_rules_ignore_then_folders_are_pruned(bench: Bench) -> None:
    fill(bench.root)
    (bench.root / "a/.pdeltaignore").write_bytes(b"deep/\n# no\n\n*.o\n")
    (bench.root / "a/x.o").write_bytes(b"")
    (bench.root / "y.o").write_bytes(b"")
    bench.selection = Selection(rules=(Rule(b"big"),))
    found = bench.scan()
    assert sorted(bench.entries(found)) == [b"", b"a", b"a/.pdeltaignore", b"a/one", b"dangling", b"empty", b"y.o"]
    assert found.root.selection.rules == (Rule(b"deep/", b"a"), Rule(b"*.o", b"a"), Rule(b"big"))
    second = bench.scan()
    assert (second.snapshot, second.read_bytes) == (found.snapshot, 0)


def test_scan_when_changes_from_then_the_rest_is_taken_from_the_index(bench: Bench) -> None:
    fill(bench.root)
    os.link(bench.root / "a/one", bench.root / "a/deep/uno")
    first = bench.scan()
    (bench.root / "a/one").write_bytes(b"1")
    (bench.root / "a/deep/er/two").write_bytes(b"unseen")
    (bench.root / "empty/new").mkdir()
    (bench.root / "empty/new/file").write_bytes(b"new")
    second = bench.scan(changed=[b"empty/new"])
    assert second.read_bytes == 3
    assert (second.files, second.directories) == (first.files + 1, first.directories + 1)
    assert bench.entries(second)[b"a/deep/er/two"].size == 90_000
    third = bench.scan(changed=[b"a/one", b"a/deep/uno", b"a/deep/er/two"])
    assert third.snapshot == bench.fresh().snapshot


def test_scan_when_changes_from_and_the_rules_differ_then_everything_is_looked_at(bench: Bench) -> None:
    fill(bench.root)
    bench.scan()
    bench.selection = Selection(rules=(Rule(b"two"),))
    found = bench.scan(changed=[])
    assert found.snapshot == bench.fresh().snapshot


def test_scan_when_file_unreadable_then_reported_and_left_out(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(bench.root)
    real = os.open

    def refuse(path: object, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if path in {b"one", b"er"}:
            raise PermissionError(13, "Permission denied", path)
        return real(path, flags, mode, dir_fd=dir_fd)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", refuse)
    found = bench.scan(calls=PureCalls())
    assert sorted((p.path, p.kind) for p in found.problems) == [(b"a/deep/er", "unreadable"), (b"a/one", "unreadable")]
    assert sorted(bench.entries(found)) == [b"", b"a", b"a/deep", b"big", b"dangling", b"empty"]
    monkeypatch.undo()
    assert bench.scan().snapshot == bench.fresh().snapshot


def test_scan_when_a_linked_name_is_unreadable_then_it_is_in_no_group(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(bench.root)
    os.link(bench.root / "a/one", bench.root / "a/uno")
    real = os.open

    def refuse(path: object, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if path == b"one":
            raise OSError(5, "Input/output error", path)
        return real(path, flags, mode, dir_fd=dir_fd)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "open", refuse)
    found = bench.scan(calls=PureCalls())
    assert [(p.path, p.kind) for p in found.problems] == [(b"a/one", "unreadable")]
    assert found.root.links == b""
    assert bench.entries(found)[b"a/uno"].extra == {}
    monkeypatch.undo()
    assert bench.scan().snapshot == bench.fresh().snapshot


def test_scan_when_a_folders_attributes_are_unreadable_then_reported_and_kept(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(bench.root)
    bench.selection = Selection(xattrs=True)
    real = os.listxattr

    def refuse(path: int | bytes, *, follow_symlinks: bool = True) -> list[str]:
        if isinstance(path, bytes) and path.endswith(b"/deep"):
            raise OSError(13, "Permission denied", path)
        return real(path, follow_symlinks=follow_symlinks)

    monkeypatch.setattr(os, "listxattr", refuse)
    found = bench.scan()
    assert [(p.path, p.kind) for p in found.problems] == [(b"a/deep", "unreadable")]
    assert XATTRS not in bench.entries(found)[b"a/deep"].extra
    monkeypatch.undo()
    assert bench.scan().problems == ()


def test_scan_when_file_keeps_changing_then_reported_and_left_out(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(bench.root)
    real = os.readv
    target = bench.root / "a/one"

    def disturb(fd: int, buffers: list[memoryview]) -> int:
        if os.fstat(fd).st_ino == target.stat().st_ino:
            with target.open("ab") as file:
                file.write(b"+")
        return real(fd, buffers)

    monkeypatch.setattr(os, "readv", disturb)
    found = bench.scan(calls=PureCalls())
    assert [(p.path, p.kind) for p in found.problems] == [(b"a/one", "changing")]
    assert b"a/one" not in bench.entries(found)
    monkeypatch.undo()
    assert bench.scan().snapshot == bench.fresh().snapshot


def test_scan_when_file_changes_once_then_read_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(bench.root)
    real = os.readv
    left = [1]

    def disturb(fd: int, buffers: list[memoryview]) -> int:
        count = real(fd, buffers)
        if left and os.fstat(fd).st_size == 3:
            left.clear()
            (bench.root / "a/one").write_bytes(b"eins")
        return count

    monkeypatch.setattr(os, "readv", disturb)
    found = bench.scan(calls=PureCalls())
    assert found.problems == ()
    assert bench.entries(found)[b"a/one"].size == 4


def test_scan_when_pages_are_lost_then_read_anew(bench: Bench) -> None:
    fill(bench.root)
    first = bench.scan()
    bench.pages.pages.clear()
    second = bench.scan()
    assert second.snapshot == first.snapshot
    assert second.read_bytes == first.read_bytes
    assert bench.entries(second)


def test_scan_when_details_are_lost_then_equal(bench: Bench) -> None:
    fill(bench.root)
    first = bench.scan()
    bench.connection.execute("DELETE FROM details")
    (bench.root / "a/deep/er/three").write_bytes(b"3")
    second = bench.scan()
    assert second.snapshot != first.snapshot
    assert second.snapshot == bench.fresh().snapshot


def test_scan_when_tree_is_deep_then_few_descriptors_are_open(bench: Bench) -> None:
    fd = os.open(bench.root, os.O_RDONLY)
    for _ in range(1500):
        os.mkdir("d", dir_fd=fd)
        below = os.open("d", os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    os.close(fd)
    found = bench.scan()
    assert found.directories == 1501
    assert bench.scan().snapshot == found.snapshot


def test_scan_when_chmod_cannot_be_read_then_usage_error(bench: Bench) -> None:
    bench.selection = Selection(chmod="nonsense")
    with pytest.raises(UsageError, match="nonsense"):
        bench.scan()


def test_scan_when_observed_then_events_count_files(bench: Bench) -> None:
    fill(bench.root)
    heard: list[Event] = []
    with Directory.open_root(os.fsencode(bench.root)) as directory:
        scan(directory, ScanOptions(now_ns=0), bench.pages, bench.index, heard.append)
    assert heard[-1].done == 3


def test_reader_when_link_vanishes_then_unread(bench: Bench) -> None:
    options = ScanOptions(now_ns=0)
    reader = Reader(options.chunking, options.selection, bench.pages, 1)
    (bench.root / "link").symlink_to("x")
    status = (bench.root / "link").lstat()
    fd = os.open(bench.root, os.O_RDONLY)
    try:
        assert reader.symlink(fd, b"link", status).fingerprint == pack_all((status,))[0]
        (bench.root / "link").unlink()
        with pytest.raises(UnreadError) as caught:
            reader.symlink(fd, b"link", status)
        assert caught.value.kind == "vanished"
    finally:
        os.close(fd)
