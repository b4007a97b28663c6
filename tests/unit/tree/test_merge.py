"""Merging what is held with what is wanted, by golden cases.

In a case a text is a file's content, an object is a folder; ``!`` at the end of
a content marks what was found and never asked for. Edits are written as ``+``
added, ``-`` deleted, ``~`` changed, ``*`` metadata.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from pdelta.errors import FormatError
from pdelta.formats.page import PagedTree, build_directory
from pdelta.model.snapshot import ADOPTED, Chunking, Entry, Kind, Root, Selection
from pdelta.tree.merge import Edit, Merge, Policy, merge
from pdelta.tree.reader import walk

CASES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "golden/merge/cases.json").read_text(encoding="utf-8")
)


class Pages:
    """Pages in memory."""

    def __init__(self) -> None:
        self.held: dict[bytes, bytes] = {}

    def read_pages(self, ids: Iterable[bytes]) -> Mapping[bytes, bytes]:
        return {id_: self.held[id_] for id_ in ids}

    def write_pages(self, pages: Iterable[tuple[bytes, bytes]]) -> None:
        self.held.update(pages)


def file(name: str, content: str) -> Entry:
    plain = content.removesuffix("!")
    run = blake3(plain.encode()).digest() + len(plain).to_bytes(4, "big") + (1).to_bytes(4, "big")
    extra = {ADOPTED: True} if content != plain else {}
    return Entry(name.encode(), Kind.FILE, 0o644, 5, len(plain), run, extra)


def folder(pages: Pages, name: str, spec: Mapping[str, Any]) -> Entry:
    entries = [folder(pages, n, s) if isinstance(s, dict) else file(n, s) for n, s in spec.items()]
    id_, made = build_directory(sorted(entries, key=lambda entry: entry.name))
    pages.write_pages(made)
    return Entry(name.encode(), Kind.DIRECTORY, 0o755, 5, 0, id_)


def root(pages: Pages, spec: Mapping[str, Any]) -> Root:
    return Root(folder(pages, "", spec), b"", Chunking(), Selection())


def merged(pages: Pages, case: Mapping[str, Any]) -> Merge:
    raw = {key: {path.encode() for path in case.get(key, ())} for key in ("ignored", "unknown", "keep", "relink")}
    policy = Policy(
        ignored=lambda path, _directory: path in raw["ignored"],
        delete=case.get("delete", "ours"),
        suspended=tuple(path.encode() for path in case.get("suspended", ())),
        occupied=frozenset(raw["unknown"]),
        keep=frozenset(raw["keep"]),
        relink=frozenset(raw["relink"]),
    )
    held, wanted = root(pages, case["held"]), root(pages, case["wanted"])
    return merge(held, wanted, PagedTree(pages), policy, build_directory, pages)


def written(edit: Edit) -> str:
    sign = "+" if edit.before is None else "-" if edit.after is None else "~" if edit.content else "*"
    return sign + edit.path.decode()


def contents(pages: Pages, top: Entry) -> list[tuple[bytes, bytes]]:
    """Give paths and contents below a folder; folders by nothing, since extras below change their ids."""
    return [
        (path, b"" if entry.kind == Kind.DIRECTORY else entry.content)
        for path, entry in walk(PagedTree(pages), b"", top.content)
    ]


def flagged(pages: Pages, top: Entry) -> set[bytes]:
    """Give the files that are extras, by themselves or by a folder above them."""
    tree, found = PagedTree(pages), set()
    extras: set[bytes] = set()
    for path, entry in walk(tree, b"", top.content):
        if ADOPTED in entry.extra or path.rpartition(b"/")[0] in extras:
            extras.add(path)
            if entry.kind == Kind.FILE:
                found.add(path)
    return found


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_merge_when_golden_case_then_as_written(case: dict[str, Any]) -> None:
    pages = Pages()
    result = merged(pages, case)
    assert [written(edit) for edit in result.edits] == case["edits"]
    expected = folder(pages, "", case["after"])
    assert contents(pages, result.top) == contents(pages, expected)
    assert flagged(pages, result.top) == flagged(pages, expected)
    for field in ("released", "occupied", "conflicts"):
        assert sorted(path.decode() for path in getattr(result, field)) == case.get(field, []), field


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_merge_when_repeated_on_its_result_then_nothing_is_left_to_do(case: dict[str, Any]) -> None:
    if "relink" in case or "conflicts" in case:
        return
    pages = Pages()
    result = merged(pages, case)
    again = {**case, "held": {}, "released": []}
    held = Root(result.top, b"", Chunking(), Selection())
    raw = {key: {path.encode() for path in again.get(key, ())} for key in ("ignored", "keep", "unknown")}
    policy = Policy(
        ignored=lambda path, _directory: path in raw["ignored"],
        delete=case.get("delete", "ours"),
        suspended=tuple(path.encode() for path in case.get("suspended", ())),
        occupied=frozenset(raw["unknown"] | {path.encode() for path in case.get("occupied", ())}),
        keep=frozenset(raw["keep"]),
    )
    second = merge(held, root(pages, case["wanted"]), PagedTree(pages), policy, build_directory, pages)
    assert second.edits == []
    assert contents(pages, second.top) == contents(pages, result.top)


NAMES = st.sampled_from(["a", "b", "c", "d"])
SPECS: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.dictionaries(NAMES, st.sampled_from(["1", "2", "3", "x!"]), max_size=4),
    lambda inner: st.dictionaries(NAMES, st.one_of(st.sampled_from(["1", "2", "x!"]), inner), max_size=4),
    max_leaves=12,
)


def plain(spec: dict[str, Any]) -> dict[str, Any]:
    return {n: plain(s) if isinstance(s, dict) else s.removesuffix("!") for n, s in spec.items()}


@given(held=SPECS, wanted=SPECS)
def test_merge_when_everything_may_go_then_the_result_is_what_was_wanted(
    held: dict[str, Any], wanted: dict[str, Any]
) -> None:
    pages = Pages()
    result = merged(pages, {"held": held, "wanted": plain(wanted), "delete": "all"})
    assert result.top.content == folder(pages, "", plain(wanted)).content


@given(held=SPECS, wanted=SPECS)
def test_merge_when_deleting_by_default_then_every_wanted_name_and_every_extra_is_there(
    held: dict[str, Any], wanted: dict[str, Any]
) -> None:
    pages = Pages()
    result = merged(pages, {"held": held, "wanted": plain(wanted)})
    after = dict(walk(PagedTree(pages), b"", result.top.content))
    asked = dict(walk(PagedTree(pages), b"", folder(pages, "", plain(wanted)).content))
    for path, entry in asked.items():
        assert after[path].kind == entry.kind
        assert entry.kind == Kind.DIRECTORY or after[path].content == entry.content
    conflicts = set(result.conflicts)
    for path in flagged(pages, folder(pages, "", held)):
        above = {path[:position] for position in range(len(path)) if path[position : position + 1] == b"/"}
        assert path in after or conflicts & (above | {path})


@given(tree=SPECS)
def test_merge_when_a_tree_is_merged_with_itself_then_there_is_nothing_to_do(tree: dict[str, Any]) -> None:
    pages = Pages()
    result = merged(pages, {"held": plain(tree), "wanted": plain(tree)})
    assert (result.edits, result.directories) == ([], [])


def test_merge_when_metadata_alone_differs_then_content_is_left_alone() -> None:
    pages = Pages()
    held, wanted = root(pages, {"a": "1"}), root(pages, {"a": "1"})
    id_, made = build_directory([msgspec.structs.replace(file("a", "1"), mode=0o600)])
    pages.write_pages(made)
    wanted = msgspec.structs.replace(wanted, top=msgspec.structs.replace(wanted.top, content=id_, mtime_ns=6))
    policy = Policy(ignored=lambda _path, _directory: False)
    result = merge(held, wanted, PagedTree(pages), policy, build_directory, pages)
    assert [written(edit) for edit in result.edits] == ["*a"]
    assert [(edit.path, edit.content) for edit in result.directories] == [(b"", False)]


def chain(pages: Pages, levels: int, bottom: Mapping[str, Any]) -> Entry:
    entry = folder(pages, "d", bottom)
    for _ in range(levels - 1):
        id_, made = build_directory([entry])
        pages.write_pages(made)
        entry = msgspec.structs.replace(entry, content=id_)
    id_, made = build_directory([entry])
    pages.write_pages(made)
    return msgspec.structs.replace(entry, name=b"", content=id_)


def deep(held: Entry, wanted: Entry, pages: Pages, **policy: Any) -> Merge:
    selection = Selection()
    before, after = (Root(top, b"", Chunking(), selection) for top in (held, wanted))
    how = Policy(**{"ignored": lambda _path, _directory: False, **policy})
    return merge(before, after, PagedTree(pages), how, build_directory, pages)


BOTTOM = b"/".join([b"d"] * 2000)


def test_merge_when_a_tree_of_2000_levels_changes_at_the_bottom_then_all_folders_on_the_way_are_merged() -> None:
    pages = Pages()
    result = deep(chain(pages, 2000, {"a": "1"}), chain(pages, 2000, {"a": "2"}), pages)
    assert [edit.path for edit in result.edits] == [BOTTOM + b"/a"]
    assert result.top == chain(pages, 2000, {"a": "2"})


def test_merge_when_a_tree_of_2000_levels_goes_then_one_edit() -> None:
    pages = Pages()
    empty = folder(pages, "", {})
    result = deep(chain(pages, 2000, {"a": "1", "b": "2"}), empty, pages)
    assert [(edit.path, edit.after) for edit in result.edits] == [(b"d", None)]


@pytest.mark.parametrize("delete", ["ours", "none"])
def test_merge_when_something_ignored_is_at_the_bottom_then_every_folder_on_the_way_stays(delete: str) -> None:
    pages = Pages()
    held, empty = chain(pages, 2000, {"a": "1", "log": "2"}), folder(pages, "", {})
    result = deep(held, empty, pages, delete=delete, ignored=lambda path, _directory: path.endswith(b"/log"))
    assert result.released == [BOTTOM + b"/log"]
    assert [edit.path for edit in result.edits] == ([BOTTOM + b"/a"] if delete == "ours" else [])
    assert {edit.path for edit in result.directories if edit.path} == {BOTTOM[:end] for end in range(1, 4000, 2)}


def test_merge_when_a_path_is_relinked_at_the_bottom_then_made_anew() -> None:
    pages = Pages()
    top = chain(pages, 2000, {"a": "1", "b": "2"})
    result = deep(top, top, pages, relink=frozenset({BOTTOM + b"/b"}))
    assert [(edit.path, edit.content) for edit in result.edits] == [(BOTTOM + b"/b", True)]


def test_merge_when_an_added_path_is_too_long_then_refused() -> None:
    pages = Pages()
    with pytest.raises(FormatError, match="more than 4095"):
        deep(chain(pages, 2047, {}), chain(pages, 2047, {"abc": "1"}), pages)
