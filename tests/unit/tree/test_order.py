"""Finding renames among what is deleted and added."""

from collections.abc import Iterable, Mapping

import pytest
from blake3 import blake3

from pdelta.formats.page import PagedTree, build_directory
from pdelta.model.snapshot import LINKED, Entry, Kind
from pdelta.tree.merge import Edit
from pdelta.tree.order import find_renames, is_below


class Pages(dict[bytes, bytes]):
    def read_pages(self, ids: Iterable[bytes]) -> Mapping[bytes, bytes]:
        return {id_: self[id_] for id_ in ids}


PAGES = Pages()


def file(path: str, content: str, **extra: object) -> Entry:
    run = blake3(content.encode()).digest() + len(content).to_bytes(4, "big") + (1).to_bytes(4, "big")
    name = path.rpartition("/")[2].encode()
    return Entry(name, Kind.FILE, 0o644, 5, len(content), run if content else b"", dict(extra))


def folder(path: str, *entries: Entry) -> Entry:
    id_, pages = build_directory(sorted(entries, key=lambda entry: entry.name))
    PAGES.update(pages)
    return Entry(path.rpartition("/")[2].encode(), Kind.DIRECTORY, 0o755, 5, 0, id_)


def renames(old: dict[str, Entry], new: dict[str, Entry], blocked: frozenset[bytes] = frozenset()) -> dict[str, str]:
    edits = [Edit(path.encode(), entry, None) for path, entry in old.items()]
    edits += [Edit(path.encode(), None, entry) for path, entry in new.items()]
    edits.sort(key=lambda edit: edit.path)
    return {found.old.decode(): found.new.decode() for found in find_renames(edits, PagedTree(PAGES), blocked=blocked)}


def test_renames_when_contents_are_equal_then_paired_once() -> None:
    assert renames({"a": file("a", "1")}, {"b": file("b", "1"), "c": file("c", "1")}) == {"a": "b"}


def test_renames_when_there_are_several_then_the_same_name_wins() -> None:
    old = {"x/a": file("a", "1"), "y/b": file("b", "1")}
    assert renames(old, {"z/b": file("b", "1")}) == {"y/b": "z/b"}


def test_renames_when_a_folder_moves_then_it_is_one_rename() -> None:
    inner = (file("a", "1"), file("b", "2"))
    assert renames({"old": folder("old", *inner)}, {"new": folder("new", *inner)}) == {"old": "new"}


def test_renames_when_a_moved_folder_was_edited_then_its_files_are_paired() -> None:
    old = folder("old", file("a", "1"), file("b", "2"))
    new = folder("new", file("a", "1"), file("b", "edited"))
    assert renames({"old": old}, {"new": new}) == {"old/a": "new/a"}


def test_renames_when_a_file_leaves_a_folder_that_goes_then_it_is_paired() -> None:
    assert renames({"d": folder("d", file("a", "1"))}, {"a": file("a", "1")}) == {"d/a": "a"}


@pytest.mark.parametrize("entry", [file("a", ""), file("a", "1", **{LINKED: True})])
def test_renames_when_empty_or_hard_linked_then_not_paired(entry: Entry) -> None:
    assert renames({"a": entry}, {"b": entry}) == {}


def test_renames_when_a_path_is_blocked_then_not_moved() -> None:
    inner = file("a", "1")
    found = renames({"old": folder("old", inner)}, {"new": folder("new", inner)}, frozenset({b"old"}))
    assert found == {"old/a": "new/a"}


@pytest.mark.parametrize(
    ("path", "expected"),
    [(b"a", True), (b"a/b", True), (b"a/b/c", True), (b"ab", False), (b"", False), (b"b/a", False)],
)
def test_is_below_when_asked_then_by_whole_components(path: bytes, *, expected: bool) -> None:
    assert is_below(path, {b"a"}) is expected
    assert is_below(path, set()) is False
