"""Finding and replacing paths of a snapshot."""

from collections.abc import Iterable, Mapping
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pdelta.formats.page import PagedTree, build_directory
from pdelta.model.snapshot import Entry, Kind
from pdelta.tree.override import Finder, find, override
from pdelta.tree.reader import walk


class Pages:
    def __init__(self) -> None:
        self.held: dict[bytes, bytes] = {}

    def read_pages(self, ids: Iterable[bytes]) -> Mapping[bytes, bytes]:
        return {id_: self.held[id_] for id_ in ids}

    def write_pages(self, pages: Iterable[tuple[bytes, bytes]]) -> None:
        self.held.update(pages)


def link(name: bytes, target: bytes) -> Entry:
    return Entry(name, Kind.SYMLINK, 0, 5, len(target), target)


def folder(pages: Pages, name: bytes, spec: Mapping[bytes, Any]) -> Entry:
    entries = [folder(pages, n, s) if isinstance(s, dict) else link(n, s) for n, s in sorted(spec.items())]
    id_, made = build_directory(entries)
    pages.write_pages(made)
    return Entry(name, Kind.DIRECTORY, 0o755, 5, 0, id_)


SPEC: dict[bytes, Any] = {b"a": b"1", b"d": {b"b": b"2", b"e": {b"c": b"3"}}}


def replaced(changes: Mapping[bytes, Entry | None]) -> dict[bytes, bytes]:
    pages = Pages()
    top = override(PagedTree(pages), folder(pages, b"", SPEC), changes, build_directory, pages)
    return {
        path: b"" if entry.kind == Kind.DIRECTORY else entry.content
        for path, entry in walk(PagedTree(pages), b"", top.content)
    }


def test_override_when_paths_are_replaced_added_and_absent_then_so_is_the_snapshot() -> None:
    assert replaced({b"a": None, b"d/b": link(b"b", b"9"), b"d/e/n": link(b"n", b"8"), b"z": link(b"z", b"7")}) == {
        b"d": b"",
        b"d/b": b"9",
        b"d/e": b"",
        b"d/e/c": b"3",
        b"d/e/n": b"8",
        b"z": b"7",
    }


def test_override_when_a_parent_is_no_folder_then_the_path_is_left_out() -> None:
    assert replaced({b"a/x": link(b"x", b"9"), b"no/x": link(b"x", b"9"), b"d": None, b"d/b": link(b"b", b"9")}) == {
        b"a": b"1"
    }


def test_override_when_the_top_is_replaced_then_paths_are_below_the_new_one() -> None:
    pages = Pages()
    top = folder(pages, b"", SPEC)
    other = folder(pages, b"", {b"d": {}})
    made = override(PagedTree(pages), top, {b"": other, b"d/x": link(b"x", b"1")}, build_directory, pages)
    assert [path for path, _ in walk(PagedTree(pages), b"", made.content)] == [b"d", b"d/x"]


PATHS = st.lists(st.sampled_from([b"a", b"d", b"e", b"b", b"c", b"x"]), max_size=4).map(b"/".join)


@given(paths=st.lists(PATHS))
def test_finder_when_asked_for_any_paths_then_it_finds_what_find_does(paths: list[bytes]) -> None:
    pages = Pages()
    top = folder(pages, b"", SPEC)
    finder = Finder(PagedTree(pages), top)
    for path in paths:
        assert finder.find(path) == find(PagedTree(pages), top, path)


def test_finder_when_asked_for_a_lineage_then_it_gives_what_is_on_the_way() -> None:
    pages = Pages()
    finder = Finder(PagedTree(pages), folder(pages, b"", SPEC))
    assert [entry.name for entry in finder.lineage(b"d/e/no/where")] == [b"d", b"e"]
    assert finder.lineage(b"") == []


def test_override_when_2000_levels_down_then_every_folder_on_the_way_is_built_again() -> None:
    pages = Pages()
    top = folder(pages, b"d", {b"a": b"1"})
    for _ in range(2000):
        id_, made = build_directory([top])
        pages.write_pages(made)
        top = Entry(b"d", Kind.DIRECTORY, 0o755, 5, 0, id_)
    bottom = b"d/" * 2000
    changes = {bottom + b"a": None, bottom + b"b": link(b"b", b"2"), b"d/d/x": link(b"x", b"3")}
    made_top = override(PagedTree(pages), top, changes, build_directory, pages)
    finder = Finder(PagedTree(pages), made_top)
    assert (finder.find(bottom + b"a"), finder.find(bottom + b"b")) == (None, link(b"b", b"2"))
    assert len(finder.lineage(bottom + b"b")) == 2001
    assert finder.find(b"d/d/x") == link(b"x", b"3")
