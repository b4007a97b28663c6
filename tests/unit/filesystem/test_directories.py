"""Open folders are kept, bounded, and known again."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pdelta.errors import FilesystemError
from pdelta.filesystem.directories import DirectoryCache
from pdelta.filesystem.safe import Directory


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """Give the path of a tree with a few folders."""
    for number in range(6):
        (tmp_path / "tree" / str(number) / "below").mkdir(parents=True)
    return tmp_path / "tree"


@pytest.fixture
def cache(base: Path) -> Iterator[DirectoryCache]:
    """Give a cache of three folders."""
    with Directory.open_root(os.fsencode(base)) as root, DirectoryCache(root, capacity=3) as opened:
        yield opened


def test_directory_when_asked_twice_then_the_same(cache: DirectoryCache, base: Path) -> None:
    first = cache.directory(b"1/below")
    assert cache.directory(b"1/below") is first
    parent, name = cache.parent(b"1/below/file")
    assert (parent, name) == (first, b"file")
    root, name = cache.parent(b"file")
    assert (root.same_as(base.stat()), name) == (True, b"file")


def test_directory_when_too_many_then_the_oldest_is_closed(cache: DirectoryCache) -> None:
    first, second = cache.directory(b"0"), cache.directory(b"1")
    cache.directory(b"2")
    cache.directory(b"0")
    cache.directory(b"3")
    assert first.fd >= 0
    assert second.fd == -1
    assert cache.directory(b"1").names() == [b"below"]


def test_close_when_done_then_all_but_the_root_are_closed(base: Path) -> None:
    held = len(os.listdir("/proc/self/fd"))
    with Directory.open_root(os.fsencode(base)) as root:
        with DirectoryCache(root, capacity=2) as cache:
            for number in range(6):
                cache.directory(b"%d/below" % number)
        assert root.names()
    assert len(os.listdir("/proc/self/fd")) == held


def test_verify_when_nothing_happened_then_gives_the_folder(cache: DirectoryCache) -> None:
    assert cache.verify(b"1") is cache.directory(b"1")
    assert cache.verify(b"").names()
    with cache.batch(b"1/below") as folder:
        folder.mkdir(b"new")
    assert cache.directory(b"1/below").names() == [b"new"]


def test_verify_when_removed_then_says_so_and_looks_again_next_time(cache: DirectoryCache, base: Path) -> None:
    cache.directory(b"1/below")
    (base / "1" / "below").rmdir()
    with pytest.raises(FilesystemError, match="moved, replaced or removed"):
        cache.verify(b"1/below")
    (base / "1" / "below").mkdir()
    cache.verify(b"1/below")


def test_verify_when_the_root_itself_moved_then_says_so(cache: DirectoryCache, base: Path) -> None:
    base.rename(base.with_name("elsewhere"))
    with pytest.raises(FilesystemError, match="moved, replaced or removed"):
        cache.verify(b"")
    base.mkdir()
    with pytest.raises(FilesystemError, match="moved, replaced or removed"):
        cache.verify(b"")


def test_forget_when_a_folder_was_renamed_then_it_and_all_below_are_closed(cache: DirectoryCache) -> None:
    folder, below, other = cache.directory(b"1"), cache.directory(b"1/below"), cache.directory(b"2")
    cache.forget(b"1")
    assert (folder.fd, below.fd) == (-1, -1)
    assert other.fd >= 0
    cache.forget(b"")
    assert other.fd == -1


def test_capacity_when_below_two_then_a_bug(base: Path) -> None:
    with Directory.open_root(os.fsencode(base)) as root, pytest.raises(ValueError, match="at least 2"):
        DirectoryCache(root, capacity=1)
