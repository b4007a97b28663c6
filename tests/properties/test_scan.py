"""Laws of scanning over random trees and random edits of them."""

import os
import shutil
import sqlite3
import stat
import tempfile
import time
from contextlib import ExitStack
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pdelta.chunking.chunker import chunk_bytes
from pdelta.filesystem.batch import BatchCalls, batch_calls
from pdelta.filesystem.batch.pure import PureCalls
from pdelta.filesystem.fingerprint import FINGERPRINT_BYTES, Fingerprint
from pdelta.filesystem.index import Index
from pdelta.filesystem.safe import Directory
from pdelta.filesystem.scan import Scan, ScanOptions, scan
from pdelta.formats.page import build_content, build_directory, build_links, encode_root
from pdelta.model.event import silent
from pdelta.model.snapshot import LINKED, Chunking, Entry, Kind, Root, Selection
from pdelta.testing.pages import MemoryPages

if TYPE_CHECKING:
    from collections.abc import Callable

CHUNKING = Chunking(average=256, minimum=64, maximum=1024)
FAR_NS = 7 * 10**18  # in 2191: nothing that is made during the tests is racy
OPTIONS = ScanOptions(now_ns=FAR_NS, chunking=CHUNKING, selection=Selection(holes=False))
TICK_S = 0.011  # longer than a kernel tick, since nothing is racy for this clock
NAMES = st.sampled_from([b"a", b"b", b"c", b"\xff\n", "é".encode(), b"-", b"A" * 255])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(b"/".join)
CONTENTS = st.one_of(st.binary(max_size=40), st.integers(1, 9).map(lambda n: bytes(range(256)) * n * 8))
EDITS = st.one_of(
    st.tuples(st.just("write"), PATHS, CONTENTS),
    st.tuples(st.just("mkdir"), PATHS),
    st.tuples(st.just("symlink"), PATHS, PATHS),
    st.tuples(st.just("link"), PATHS, PATHS),
    st.tuples(st.just("move"), PATHS, PATHS),
    st.tuples(st.just("remove"), PATHS),
    st.tuples(st.just("chmod"), PATHS, st.sampled_from([0o600, 0o755, 0o4711])),
    st.tuples(st.just("touch"), PATHS, st.integers(-(10**15), 10**18)),
    st.tuples(st.just("overwrite"), PATHS, st.binary(min_size=1, max_size=1)),
)


def apply(root: Path, edit: tuple[object, ...]) -> None:
    """Make one edit, or none where the tree does not allow it."""
    verb, where, *rest = edit
    path = os.fsencode(root) + b"/" + where  # type: ignore[operator]
    other = os.fsencode(root) + b"/" + rest[0] if rest and isinstance(rest[0], bytes) else b""
    actions: dict[object, Callable[[], object]] = {
        "write": lambda: Path(os.fsdecode(path)).write_bytes(rest[0]),  # type: ignore[arg-type]
        "mkdir": lambda: os.makedirs(path, exist_ok=True),
        "symlink": lambda: os.symlink(rest[0], path),  # type: ignore[arg-type]
        "link": lambda: os.link(path, other, follow_symlinks=False),
        "move": lambda: os.rename(path, other),
        "remove": lambda: shutil.rmtree(path) if os.path.isdir(path) else os.unlink(path),
        "chmod": lambda: None if os.path.islink(path) else os.chmod(path, rest[0]),  # type: ignore[arg-type]
        "touch": lambda: os.utime(path, ns=(0, rest[0]), follow_symlinks=False),  # type: ignore[arg-type]
        "overwrite": lambda: _overwrite(path, rest[0]),  # type: ignore[arg-type]
    }
    try:
        actions[verb]()
    except OSError:
        return


def _overwrite(path: bytes, byte: bytes) -> None:
    """Change a byte and keep size and mtime."""
    status = os.lstat(path)
    with open(os.open(path, os.O_RDWR | os.O_NOFOLLOW), "r+b") as file:
        if status.st_size:
            file.write(byte)
    os.utime(path, ns=(0, status.st_mtime_ns), follow_symlinks=False)


def reference(root: bytes) -> Root:
    """Give the root record by plain means: whole files, ``os.walk`` in mind, no index."""
    inodes: dict[int, list[bytes]] = {}
    for folder, folders, files in os.walk(root):
        for name in [*files, *folders]:
            path = folder + b"/" + name
            status = os.lstat(path)
            if not stat.S_ISDIR(status.st_mode):
                inodes.setdefault(status.st_ino, []).append(path[len(root) + 1 :])
    groups = [paths for paths in inodes.values() if len(paths) > 1]
    flagged = {path for paths in groups for path in paths}

    def entry(path: bytes, name: bytes) -> Entry:
        full = root + b"/" + path if path else root
        status = os.lstat(full)
        mode, extra = status.st_mode & 0o7777, {LINKED: True} if path in flagged else {}
        if stat.S_ISDIR(status.st_mode):
            below = [entry(path + b"/" + each if path else each, each) for each in sorted(os.listdir(full))]
            return Entry(name, Kind.DIRECTORY, mode, status.st_mtime_ns, 0, build_directory(below)[0])
        if stat.S_ISLNK(status.st_mode):
            target = os.readlink(full)
            return Entry(name, Kind.SYMLINK, 0, status.st_mtime_ns, len(target), target, extra)
        data = Path(os.fsdecode(full)).read_bytes()
        content = build_content(chunk_bytes(data, CHUNKING))[0]
        return Entry(name, Kind.FILE, mode, status.st_mtime_ns, len(data), content, extra)

    return Root(entry(b"", b""), build_links(groups)[0], CHUNKING, OPTIONS.selection)


@pytest.mark.parametrize("calls", [PureCalls(), batch_calls()], ids=["pure", "fastest"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(EDITS, max_size=14), st.lists(st.lists(EDITS, min_size=1, max_size=4), max_size=3))
def test_scan_of_any_tree_equals_a_plain_scan_and_repeats_without_reading(
    calls: BatchCalls, first: list[tuple[object, ...]], rounds: list[list[tuple[object, ...]]]
) -> None:
    pages = MemoryPages()
    connection = sqlite3.connect(":memory:", isolation_level=None)
    index = Index(connection)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)

        def run() -> Scan:
            with Directory.open_root(os.fsencode(root)) as directory:
                return scan(directory, OPTIONS, pages, index, silent, calls)

        for edits in [first, *rounds]:
            time.sleep(TICK_S)
            for edit in edits:
                apply(root, edit)
            found = run()
            assert found.snapshot == encode_root(reference(os.fsencode(root)))[0]
            again = run()
            assert (again.snapshot, again.read_bytes) == (found.snapshot, 0)
            assert not pages.missing_pages([found.root.top.content])
    connection.close()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(EDITS, max_size=20), st.lists(EDITS, max_size=3))
@example([("mkdir", b"a")], [("remove", b"a")])
def test_batch_calls_in_c_say_what_those_in_python_say(
    native_calls: BatchCalls, edits: list[tuple[object, ...]], more: list[tuple[object, ...]]
) -> None:
    native, pure = native_calls, PureCalls()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for edit in edits:
            apply(root, edit)
        with ExitStack() as stack:
            folders = []
            for parent, _, _ in os.walk(os.fsencode(root)):
                folders.append(os.open(parent, os.O_RDONLY))
                stack.callback(os.close, folders[-1])
            for fd in folders:
                if not os.fstat(fd).st_nlink:
                    for calls in native, pure:
                        with pytest.raises(FileNotFoundError):
                            calls.list(fd)
                    continue
                listing = native.list(fd)
                assert listing == pure.list(fd) == native.list(fd)
                names = [*filter(None, listing.names.split(b"/")), b"absent"]
                for edit in more:
                    apply(root, edit)
                assert native.look(fd, names) == pure.look(fd, names)
                fingerprints = listing.looks.fingerprints + bytes(FINGERPRINT_BYTES)
                sizes = [Fingerprint(listing.looks.fingerprint(place)).size for place in range(len(names) - 1)]
                one, other = bytearray(sum(sizes)), bytearray(sum(sizes))
                read = native.read(fd, names, fingerprints, one)
                assert read == pure.read(fd, names, fingerprints, other)
                for good, size, end in zip(read, sizes, accumulate(sizes), strict=False):
                    assert not good or one[end - size : end] == other[end - size : end]
