"""Laws of pushing and rolling back, over random trees and random edits of them."""

import os
import random
import shutil
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from hypothesis import given
from hypothesis import strategies as st

from pdelta.formats.history import PushWish, encode_wish
from pdelta.model.snapshot import Chunking
from pdelta.model.target import Target
from tests.fixtures.tree_runs import (
    CHUNKING,
    difference,
    numbers,
    open_up,
    opened,
    push,
    roll_back,
    scanned,
    state_of,
    troubles,
)

NAMES: Final = st.sampled_from(
    [b"a", b"b", b"c", b"new\nline", b"\xff\xfe", b"-rf", "🦀é".encode(), b"L" * 255, b" ", b"~", b"old-x"]
)
PATHS: Final = st.lists(NAMES, min_size=1, max_size=3).map(b"/".join)
SIZES: Final = st.sampled_from([0, 1, 2, 1023, 1024, 5000, 16384, 16385, 40_000, 300 * 1024])
SEEDS: Final = st.integers(0, 3)
MODES: Final = st.sampled_from([0o444, 0o555, 0o600, 0o644, 0o755, 0o700, 0o4711, 0o1777, 0o2755])
TIMES: Final = st.integers(-(10**15), 2 * 10**18)
EDITS: Final = st.one_of(
    st.tuples(st.just("write"), PATHS, SIZES, SEEDS),
    st.tuples(st.just("mkdir"), PATHS),
    st.tuples(st.just("symlink"), PATHS, PATHS),
    st.tuples(st.just("link"), PATHS, PATHS),
    st.tuples(st.just("move"), PATHS, PATHS),
    st.tuples(st.just("copy"), PATHS, PATHS),
    st.tuples(st.just("remove"), PATHS),
    st.tuples(st.just("chmod"), PATHS, MODES),
    st.tuples(st.just("touch"), PATHS, TIMES),
    st.tuples(st.just("patch"), PATHS, st.integers(0, 300_000), SEEDS),
    st.tuples(st.just("insert"), PATHS, st.integers(0, 300_000)),
    st.tuples(st.just("sparse"), PATHS, st.integers(0, 5), SEEDS),
)
ROUND: Final = st.lists(EDITS, min_size=1, max_size=14)
START: Final = ROUND.map(lambda edits: [("mkdir", b"first"), *edits])  # an empty source makes no first entry
CHUNKINGS: Final = st.sampled_from([CHUNKING, Chunking()])
Edit = tuple[Any, ...]


def content(size: int, seed: int) -> bytes:
    """Give bytes that share their beginning with every other content of the same seed."""
    return random.Random(seed).randbytes(size)


def apply(root: Path, edit: Edit) -> None:
    """Make one edit, or none where the tree does not allow it; makes the folders that it needs."""
    verb, where, *rest = edit
    top = os.fsencode(root) + b"/"
    path = top + where
    with suppress(OSError):
        os.makedirs(os.path.dirname(path), exist_ok=True)
    with suppress(OSError, shutil.Error):
        _VERBS[verb](top, path, *rest)


def _write(_top: bytes, path: bytes, size: int, seed: int) -> None:
    _replace(path, content(size, seed))


def _replace(path: bytes, data: bytes) -> None:
    """Write a file: one that is there keeps its inode, and so its other names; anything else gives way."""
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    elif os.path.islink(path):
        os.unlink(path)
    with open(path, "wb") as file:
        file.write(data)


def _symlink(_top: bytes, path: bytes, to: bytes) -> None:
    if os.path.lexists(path):
        _remove(_top, path)
    os.symlink(to, path)


def _remove(_top: bytes, path: bytes) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path)
    else:
        os.unlink(path)


def _copy(top: bytes, path: bytes, to: bytes) -> None:
    if os.path.isdir(path) and not os.path.islink(path):
        if not (top + to).startswith(path + b"/"):
            shutil.copytree(os.fsdecode(path), os.fsdecode(top + to), symlinks=True, copy_function=shutil.copyfile)
    else:
        shutil.copyfile(path, top + to, follow_symlinks=False)


def _patch(_top: bytes, path: bytes, offset: int, seed: int) -> None:
    with open(os.open(path, os.O_RDWR | os.O_NOFOLLOW), "r+b") as file:
        file.seek(min(offset, os.fstat(file.fileno()).st_size))
        file.write(content(7, seed + 100))


def _insert(_top: bytes, path: bytes, offset: int) -> None:
    data = bytearray(Path(os.fsdecode(path)).read_bytes())
    data[offset:offset] = b"inserted"
    _replace(path, bytes(data))


def _chmod(_top: bytes, path: bytes, mode: int) -> None:
    if not os.path.islink(path):
        # A setuid file without a stated owner is refused, which is not this law's matter.
        os.chmod(path, mode if os.path.isdir(path) else mode & 0o1777)


def _sparse(_top: bytes, path: bytes, pieces: int, seed: int) -> None:
    _replace(path, b"")
    with open(path, "r+b") as file:
        file.truncate(300_000)
        for piece in range(pieces):
            file.seek(piece * 65536)
            file.write(content(4096, seed))


_VERBS: Final[dict[str, Callable[..., object]]] = {
    "write": _write,
    "mkdir": lambda _top, path: os.mkdir(path),
    "symlink": _symlink,
    "link": lambda top, path, to: os.link(path, top + to, follow_symlinks=False),
    "move": lambda top, path, to: os.rename(path, top + to),
    "copy": _copy,
    "remove": _remove,
    "chmod": _chmod,
    "touch": lambda _top, path, mtime_ns: os.utime(path, ns=(0, mtime_ns), follow_symlinks=False),
    "patch": _patch,
    "insert": _insert,
    "sparse": _sparse,
}


def same(dest: Path, wanted: dict[bytes, object]) -> None:
    """Prove that a tree is exactly as dumped, and that its own record and undo data say so too."""
    assert difference(state_of(dest), wanted) == {}
    assert troubles(dest) == []


@given(START, ROUND, CHUNKINGS)
def test_push_when_trees_are_any_then_equal_and_each_rollback_exact(
    first: list[Edit], second: list[Edit], chunking: Chunking
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source, dest = Path(folder) / "source", Path(folder) / "dest"
        source.mkdir()
        try:
            for edit in first:
                apply(source, edit)
            push(source, dest, chunking=chunking)
            one = state_of(source)
            same(dest, one)
            assert push(source, dest, chunking=chunking) is None
            for edit in second:
                apply(source, edit)
            changed = push(source, dest, chunking=chunking) is not None
            two = state_of(source)
            same(dest, two)
            if changed:
                roll_back(dest)
                same(dest, one)
                roll_back(dest)
                same(dest, two)
            roll_back(dest, to=0)
            assert set(state_of(dest)) == {b""}
            assert troubles(dest) == []
            roll_back(dest, to=1)
            same(dest, one)
            assert numbers(dest) == list(range(1, numbers(dest)[-1] + 1))
        finally:
            open_up(Path(folder))


@given(START, st.lists(ROUND, min_size=2, max_size=4), st.data())
def test_rollback_to_when_history_is_long_then_that_state_exactly(
    first: list[Edit], rounds: list[list[Edit]], data: st.DataObject
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source, dest = Path(folder) / "source", Path(folder) / "dest"
        source.mkdir()
        states: dict[int, dict[bytes, object]] = {}
        try:
            for edits in [first, *rounds]:
                for edit in edits:
                    apply(source, edit)
                push(source, dest)
                states[numbers(dest)[-1]] = state_of(source)
            for number in data.draw(st.lists(st.sampled_from(sorted(states)), min_size=1, max_size=3)):
                roll_back(dest, to=number)
                same(dest, states[number])
        finally:
            open_up(Path(folder))


@given(START)
def test_calculate_when_unmanaged_but_equal_then_no_change(edits: list[Edit]) -> None:
    """An equal tree that no push has made is adopted as it is."""
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "source"
        source.mkdir()
        try:
            for edit in edits:
                apply(source, edit)
            with scanned(source) as (found, answers), opened(source, answers) as operation:
                delta = operation.calculate(Target("tree", "local"), encode_wish(PushWish(wanted=found.snapshot)))
                assert delta.change_count == 0
        finally:
            open_up(Path(folder))
