"""The base cache: what was kept is there, and its loss or damage is an answer, not an error."""

import os
from pathlib import Path

import pytest

from pdelta.filesystem.bases import LARGE_BYTES, BaseCache


class Store:
    """Files by path that a cache can keep."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def add(self, name: str, data: bytes) -> tuple[bytes, bytes, int]:
        (self.folder / name).write_bytes(data)
        return name.encode(), b"content of " + name.encode(), len(data)

    def open(self, path: bytes) -> int:
        return os.open(os.fsencode(self.folder) + b"/" + path, os.O_RDONLY)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    (tmp_path / "src").mkdir()
    return Store(tmp_path / "src")


def cache_in(folder: Path, limit: int = 1 << 30, now: float = 1000.0) -> BaseCache:
    return BaseCache(folder / "bases", limit, lambda: now)


def test_contents_when_kept_then_any_range_is_given_by_a_later_process(tmp_path: Path, store: Store) -> None:
    large = os.urandom(LARGE_BYTES + 5)
    files = [store.add("a", b"small"), store.add("b", large), store.add("c", b"tiny")]
    first = cache_in(tmp_path)
    assert not first.knows([b"snapshot"])
    assert first.keep(b"snapshot", files, store.open) == len(large) + 9
    first.close()
    later = cache_in(tmp_path)
    assert later.knows([b"other", b"snapshot"])
    assert later.read(b"content of a", 1, 3) == b"mal"
    assert later.read(b"content of b", 10, 100) == large[10:110]
    assert later.read(b"content of c", 0, 4) == b"tiny"
    assert later.read(b"content of c", 0, 5) is None
    assert later.read(b"content of c", -1, 2) is None
    assert later.read(b"content of d", 0, 1) is None
    assert later.keep(b"snapshot", files, store.open) == 0
    later.close()


def test_budget_when_exceeded_then_what_was_not_used_for_the_longest_time_goes(tmp_path: Path, store: Store) -> None:
    size = LARGE_BYTES
    a, b, c = (store.add(name, name.encode() * size) for name in "abc")
    for now, files in ((1.0, [a]), (2.0, [b]), (3.0, [a, c])):
        cache = cache_in(tmp_path, 2 * size, now)
        cache.keep(b"%d" % now, files, store.open)
        cache.close()
    cache = cache_in(tmp_path, 2 * size)
    assert cache.read(b"content of b", 0, 1) is None
    assert cache.read(b"content of a", 0, 1) == b"a"
    assert cache.read(b"content of c", 0, 1) == b"c"
    cache.close()
    assert len(list((tmp_path / "bases").glob("*.pack"))) == 2


def test_budget_when_a_tree_is_larger_then_only_a_part_is_kept(tmp_path: Path, store: Store) -> None:
    cache = cache_in(tmp_path, 10)
    cache.keep(b"s", [store.add("a", b"12345678"), store.add("b", b"12345678")], store.open)
    assert cache.read(b"content of a", 0, 8) == b"12345678"
    assert cache.read(b"content of b", 0, 8) is None
    cache.close()


@pytest.mark.parametrize("damage", ["packs", "database", "folder"])
def test_cache_when_damaged_then_it_lacks_what_it_had_and_raises_nothing(
    tmp_path: Path, store: Store, damage: str
) -> None:
    files = [store.add("a", b"small")]
    cache = cache_in(tmp_path)
    cache.keep(b"s", files, store.open)
    cache.close()
    folder = tmp_path / "bases"
    for file in list(folder.iterdir()):
        if damage == "folder" or (damage == "packs") == (file.suffix == ".pack"):
            file.unlink()
    if damage == "database":
        (folder / "bases.sqlite").write_bytes(b"no database" * 1000)
    if damage == "folder":
        folder.rmdir()
        folder.write_text("a file is in its place")
    cache = cache_in(tmp_path)
    cache.knows([b"s"])
    assert cache.read(b"content of a", 0, 5) is None
    cache.keep(b"s2", files, store.open)
    cache.close()
