"""A replica is equal to what it was made from, and shares nothing with it."""

import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pdelta.filesystem.replica import replicate
from pdelta.filesystem.safe import Directory
from pdelta.filesystem.state import remove
from tests.fixtures.chain import LETTERS, chain_state
from tests.fixtures.trees import Directory as Folder
from tests.fixtures.trees import Fifo, File, HardLink, Node, Symlink, build_tree, tree_state


@contextmanager
def few_descriptors() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 40, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Directory]:
    (tmp_path / "tree").mkdir()
    with Directory.open_root(os.fsencode(tmp_path / "tree")) as opened:
        yield opened


def test_replicate_when_a_folder_then_everything_in_it_is_equal_and_links_are_files(
    root: Directory, tmp_path: Path
) -> None:
    spec: dict[str | bytes, Node] = {
        "f": File("x" * 5000, 0o640),
        "g": HardLink("from/f"),
        "s": Symlink("f"),
        "d": Folder({"e": ""}, 0o500),
    }
    build_tree(tmp_path / "tree", {"from": Folder({**spec, "pipe": Fifo()}, 0o750)})
    replicate(root, b"from", root, b"to")
    (tmp_path / "tree/from/pipe").unlink()
    (tmp_path / "tree/from/g").write_bytes((tmp_path / "tree/from/f").read_bytes())
    made = tree_state(tmp_path / "tree/to")
    assert {path: fact._replace(names=()) for path, fact in made.items() if path not in {b"", b"f", b"g"}} == {
        path: fact._replace(names=())
        for path, fact in tree_state(tmp_path / "tree/from").items()
        if path not in {b"", b"f", b"g"}
    }
    assert [made[name].names for name in (b"f", b"g")] == [(), ()]
    assert (made[b""].mode, made[b"f"].mode, made[b"f"].size) == (0o750, 0o640, 5000)


def test_replicate_when_something_is_not_wanted_then_left_out(root: Directory, tmp_path: Path) -> None:
    build_tree(tmp_path / "tree", {"from": {"a": "1", "b": {"c": "2", "d": "3"}, "e": {"f": "4"}}})
    asked: list[bytes] = []

    def wanted(path: bytes) -> bool:
        asked.append(path)
        return path not in {b"from/e", b"from/b/c"}

    replicate(root, b"from", root, b"to", wanted)
    assert sorted(tree_state(tmp_path / "tree/to")) == [b"", b"a", b"b", b"b/d"]
    assert b"from/e/f" not in asked


def test_replicate_when_nothing_is_there_then_says_so(root: Directory) -> None:
    with pytest.raises(FileNotFoundError):
        replicate(root, b"none", root, b"to")
    assert root.names() == []


def test_replicate_and_remove_when_2000_levels_deep_then_few_descriptors_do(root: Directory, tmp_path: Path) -> None:
    LETTERS.build(tmp_path / "tree")
    with few_descriptors():
        root.mkdir(b"to")
        replicate(root, b"d", root, b"to/d")
        assert chain_state(tmp_path / "tree/to/d") == chain_state(tmp_path / "tree/d")
        remove(root, b"to")
        remove(root, b"d")
        remove(root, b"none/at/all")
    assert root.names() == []
