from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
import pytest
from blake3 import blake3

from pdelta.errors import FormatError, IntegrityError
from pdelta.formats.page import (
    MAX_PAGE_BYTES,
    MAX_PAGE_ITEMS,
    PagedTree,
    PageType,
    build_content,
    build_directory,
    build_links,
    check_name,
    check_page,
    child_ids,
    decode_entries,
    decode_refs,
    decode_root,
    encode_root,
    page_level,
    page_type,
)
from pdelta.model.snapshot import Chunking, Entry, Kind, PageRef, Root, Rule, Selection

ID = bytes(range(32))
encode = msgspec.msgpack.encode


class Pages:
    """Pages in memory, each checked as it arrives."""

    def __init__(self, pages: Iterable[tuple[bytes, bytes]]) -> None:
        self.pages: dict[bytes, bytes] = {}
        for id_, data in pages:
            check_page(id_, data)
            self.pages[id_] = data

    def read_pages(self, ids: Iterable[bytes]) -> Mapping[bytes, bytes]:
        return {id_: self.pages[id_] for id_ in ids if id_ in self.pages}


def run(seed: int, length: int, count: int = 1) -> bytes:
    return blake3(b"%d" % seed).digest() + length.to_bytes(4, "big") + count.to_bytes(4, "big")


def file(name: bytes, size: int = 5, **fields: Any) -> Entry:
    values: dict[str, Any] = {"kind": 1, "mode": 0o644, "mtime_ns": 7, "size": size, "content": run(1, size)} | fields
    return Entry(name=name, **values)


def check(items: Any, *, type_: str = "d", level: int = 1) -> None:
    data = encode([type_, level, items])
    check_page(blake3(data).digest(), data)


def test_directory_when_empty_then_is_one_leaf_without_items() -> None:
    id_, pages = build_directory([])
    assert [data for _, data in pages] == [b"\x93\xa1d\x01\x90"]
    assert list(PagedTree(Pages(pages)).directory(id_)) == []


def test_directory_when_large_then_reads_back_and_one_change_costs_one_page_a_level() -> None:
    entries = [file(b"asset-%06d" % number) for number in range(70_000)]
    id_, pages = build_directory(entries)
    tree = PagedTree(Pages(pages))
    assert list(tree.directory(id_)) == entries
    assert [entry for leaf in tree.leaves(id_) for entry in tree.entries(leaf)] == entries
    top = page_level(dict(pages)[id_])
    assert 150 < len(tree.leaves(id_)) < 500
    entries[33_333] = file(b"asset-033333", 6)
    changed = {other for other, _ in build_directory(entries)[1]} - {other for other, _ in pages}
    assert len(changed) == top


def test_directory_when_names_never_cut_then_pages_end_at_their_bounds() -> None:
    names = sorted(name for name in (b"%05d" % number for number in range(9000)) if blake3(name).digest()[-1])[:8500]
    _, pages = build_directory([file(name) for name in names])
    counts = [len(decode_entries(data)) for _, data in pages[:-1]]
    assert sum(counts) == 8500
    assert all(len(data) <= MAX_PAGE_BYTES for _, data in pages)
    wide = [file(name, extra={"x": [[b"user.big", b"v" * 60_000]]}) for name in names[:20]]
    id_, pages = build_directory(wide)
    assert [len(decode_entries(data)) for _, data in pages[:-1]] == [4] * 5
    assert list(PagedTree(Pages(pages)).directory(id_)) == wide


def test_directory_when_items_are_tiny_then_a_page_holds_4096() -> None:
    content = [(blake3(b"%d" % number).digest(), 9) for number in range(40_000)]
    runs = [item for item in content if blake3(item[0] + b"\0\0\0\1").digest()[-1]]
    _, pages = build_content(runs)
    leaves = [data for _, data in pages if page_level(data) == 1]
    assert len(leaves) == -(-len(runs) // MAX_PAGE_ITEMS)


def test_entry_when_larger_than_a_page_then_is_refused() -> None:
    with pytest.raises(FormatError, match="does not fit"):
        build_directory([file(b"a", extra={"h": [[number, 1] for number in range(0, 200_000, 2)]})])


@pytest.mark.parametrize("count", [0, 1, 16])
def test_content_when_short_then_is_inline(count: int) -> None:
    content, pages = build_content((blake3(b"%d" % number).digest(), 100) for number in range(count))
    assert len(content) == 40 * count
    assert not pages


@pytest.mark.parametrize("count", [17, 300, 70_000])
def test_content_when_long_then_is_pages(count: int) -> None:
    chunks = [(blake3(b"%d" % number).digest(), 100 + number) for number in range(count)]
    content, pages = build_content(chunks)
    assert len(content) == 32
    size = sum(length for _, length in chunks)
    assert [(one.id, one.length) for one in PagedTree(Pages(pages)).runs(content, size)] == chunks
    with pytest.raises(FormatError, match="does not make up"):
        list(PagedTree(Pages(pages)).runs(content, size - 1))


def test_content_when_chunks_repeat_then_is_one_run() -> None:
    content, _ = build_content([(ID, 5)] * 1000 + [(ID, 6)])
    assert content == ID + b"\0\0\0\5\0\0\3\xe8" + ID + b"\0\0\0\6\0\0\0\1"


def test_links_when_built_then_are_sorted_under_their_least_path() -> None:
    assert build_links([]) == (b"", [])
    id_, pages = build_links([[b"z/b", b"a"], [b"m", b"c/d", b"k"]])
    links = [(link.leader, link.path) for link in PagedTree(Pages(pages)).links(id_)]
    assert links == [(b"a", b"a"), (b"a", b"z/b"), (b"c/d", b"c/d"), (b"c/d", b"k"), (b"c/d", b"m")]
    assert list(PagedTree(Pages([])).links(b"")) == []
    id_, pages = build_links([[b"a/%d" % number, b"b/%d" % number] for number in range(5000)])
    assert len(list(PagedTree(Pages(pages)).links(id_))) == 10_000


def test_children_when_asked_then_are_pages_of_folders_contents_and_levels() -> None:
    entries = [
        file(b"big", 10, content=b"B" * 32),
        Entry(b"dir", Kind.DIRECTORY, 0o755, 0, 0, b"D" * 32),
        Entry(b"link", Kind.SYMLINK, 0, 0, 32, b"L" * 32),
        file(b"small"),
    ]
    _, [(_, data)] = build_directory(entries)
    assert child_ids(data) == [b"B" * 32, b"D" * 32]
    id_, pages = build_directory([file(b"%06d" % number) for number in range(3000)])
    top = dict(pages)[id_]
    assert page_type(top) is PageType.DIRECTORY
    assert child_ids(top) == [ref.id for ref in decode_refs(top)]


def test_page_when_hash_differs_then_is_an_integrity_error() -> None:
    _, [(id_, data)] = build_directory([file(b"a")])
    with pytest.raises(IntegrityError):
        check_page(id_, data[:-1] + b"\x81")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x93",
        b"\x93\xa1d",
        b"\x93\xa1q\x01\x90",
        b"\x93\xa1d\x00\x90",
        b"\x93\xa1d\x7f\x90",
        b"\x93\xa1d\x02\x90",
        b"\x93\xa1l\x01\x90",
        b"\x93\xa1c\x01\x90",
        b"\x93\xa1c\x01\x91\xc4\x00",
        b"\x93\xa1d\x01\xdc\x00\x00",
        b"\x94\xa1d\x01\x90\x90",
        b"\x93\xa1d\x01\x90\x00",
        b"\x93\xa1d\x01" + b"\x91" * 100_000 + b"\xc0",
        bytes(MAX_PAGE_BYTES + 1),
    ],
)
def test_page_when_malformed_then_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        check_page(blake3(data).digest(), data)


def entry(**fields: Any) -> list[Any]:
    values = {"name": b"n", "kind": 1, "mode": 0, "mtime": 0, "size": 5, "content": run(1, 5), "extra": {}} | fields
    return list(values.values())


@pytest.mark.parametrize(
    "fields",
    [
        {"name": b""},
        {"name": b"."},
        {"name": b".."},
        {"name": b"a/b"},
        {"name": b"a\0"},
        {"name": b"x" * 256},
        {"name": b".pdelta"},
        {"name": b".pdelta-runs"},
        {"name": b".pdelta-stage-7"},
        {"name": "text"},
        {"kind": 0},
        {"kind": 4},
        {"mode": 0o10000},
        {"mode": -1},
        {"mtime": 1 << 63},
        {"mtime": 0.5},
        {"size": -5},
        {"size": 6},
        {"size": 0},
        {"content": b""},
        {"content": run(1, 5)[:-1]},
        {"content": run(1, 0), "size": 0},
        {"content": run(1, 5, 0), "size": 0},
        {"content": run(1, (16 << 20) + 1), "size": (16 << 20) + 1},
        {"content": run(1, 5) + run(1, 5), "size": 10},
        {"content": b"".join(run(number, 1) for number in range(17)), "size": 17},
        {"content": ID, "size": 0},
        {"kind": 2, "size": 0, "content": b""},
        {"kind": 2, "size": 1, "content": ID},
        {"kind": 3, "size": 5, "content": b"other size"},
        {"kind": 3, "size": 0, "content": b""},
        {"kind": 3, "size": 2, "content": b"a\0"},
        {"kind": 3, "mode": 1, "size": 1, "content": b"a"},
        {"kind": 3, "size": 4096, "content": b"a" * 4096},
        {"extra": {"Z": 1}},
        {"extra": {1: 1}},
        {"extra": {"l": False}},
        {"extra": {"a": 1}},
        {"extra": {"o": [1]}},
        {"extra": {"o": [1, -1]}},
        {"extra": {"o": [1, 0xFFFFFFFF]}},
        {"extra": {"o": [True, 1]}},
        {"extra": {"x": {}}},
        {"extra": {"x": [[b"b", b""], [b"a", b""]]}},
        {"extra": {"x": [["a", b""]]}},
        {"extra": {"h": [[0, 6]]}},
        {"extra": {"h": [[2, 1], [0, 1]]}},
        {"extra": {"h": [[0, 1], [1, 1]]}},
        {"extra": {"h": [[0, 0]]}},
        {"extra": {"q": [[[[[[1]]]]]]}},
        {"more": 1},
    ],
)
def test_entry_when_illegal_then_page_is_refused(fields: dict[str, Any]) -> None:
    check([entry()])
    with pytest.raises(FormatError):
        check([entry(**fields)])


@pytest.mark.parametrize(
    "fields",
    [
        {"size": 0, "content": b""},
        {"mtime": -(1 << 63)},
        {"name": b".pdelta-other"},
        {"name": b".pdeltaignore"},
        {"name": b"\xff\n-"},
        {"extra": {"q": [[1, {"k": None}]]}},
        {"extra": {"a": True, "h": [[0, 2], [3, 2]], "l": True, "o": [0, 0], "x": [[b"user.a", b""]]}},
        {"extra": {"x": []}},
    ],
)
def test_entry_when_unusual_but_legal_then_page_is_accepted(fields: dict[str, Any]) -> None:
    check([entry(**fields)])


def test_page_when_unsorted_repeated_or_not_canonical_then_is_refused() -> None:
    for names in ((b"b", b"a"), (b"a", b"a")):
        with pytest.raises(FormatError, match="sorted"):
            check([entry(name=name) for name in names])
    with pytest.raises(FormatError, match="canonical"):
        check([entry()[:-1]])
    with pytest.raises(FormatError, match="canonical"):
        check([entry(extra={"x": [[b"user.a", b""]], "l": True})])
    with pytest.raises(FormatError, match="at most"):
        check([entry(name=b"%05d" % number, size=0, content=b"") for number in range(MAX_PAGE_ITEMS + 1)])


@pytest.mark.parametrize(
    ("type_", "items"),
    [
        ("d", [[b"a", ID, 1]]),
        ("d", [[b"", ID, 0]]),
        ("d", [[b"a", b"", 0]]),
        ("d", [[b"..", ID, 0]]),
        ("d", [[b"b", ID, 0], [b"a", ID, 0]]),
        ("c", [[b"", ID, 0]]),
        ("c", [[b"a", ID, 1]]),
        ("l", [[b"a", ID, 0]]),
        ("l", [[b"a\0../b", ID, 0]]),
    ],
)
def test_references_when_illegal_then_are_refused(type_: str, items: Any) -> None:
    with pytest.raises(FormatError):
        check(items, type_=type_, level=2)


@pytest.mark.parametrize(
    "items",
    [
        [[b"b", b"a"]],
        [[b"a", b"../x"]],
        [[b"/a", b"/a"]],
        [[b"a", b"a"], [b"b", b"b"]],
        [[b"a", b"a"], [b"a", b"c"], [b"b", b"c"]],
        [[b"a", b"a"], [b"a", b"c"], [b"b", b"b"], [b"b", b"c"]],
        [[b"a", b"a"], [b"a", b"x" * 70_000]],
    ],
)
def test_link_names_when_illegal_then_are_refused(items: Any) -> None:
    with pytest.raises(FormatError):
        check(items, type_="l")


def test_tree_when_pages_do_not_fit_together_then_is_refused() -> None:
    leaves = [build_directory([file(name)])[1][0] for name in (b"a", b"b")]
    wrong = [
        [PageRef(b"b", leaves[0][0])],
        [PageRef(b"a", leaves[0][0]), PageRef(b"c", leaves[1][0])],
        [PageRef(b"a", leaves[0][0]), PageRef(b"b", leaves[0][0])],
    ]
    for refs in wrong:
        data = encode(["d", 2, refs])
        id_ = blake3(data).digest()
        tree = PagedTree(Pages([*leaves, (id_, data)]))
        with pytest.raises(FormatError):
            list(tree.directory(id_))
        with pytest.raises(FormatError):
            [tree.entries(leaf) for leaf in tree.leaves(id_)]
    with pytest.raises(FormatError, match="type d where c"):
        list(PagedTree(Pages(leaves)).runs(leaves[0][0]))
    data = encode(["d", 3, [PageRef(b"a", leaves[0][0]), PageRef(b"b", leaves[1][0])]])
    with pytest.raises(FormatError, match="level"):
        list(PagedTree(Pages([*leaves, (blake3(data).digest(), data)])).directory(blake3(data).digest()))


def test_tree_when_a_page_is_missing_then_names_it() -> None:
    with pytest.raises(IntegrityError, match=ID.hex()[:16]):
        list(PagedTree(Pages([])).directory(ID))


def test_chunk_list_when_lengths_lie_then_is_refused_before_it_is_long() -> None:
    leaf = encode(["c", 1, [run(1, 1000)]])
    leaf_id = blake3(leaf).digest()
    pages = [(leaf_id, leaf)]
    below, length = leaf_id, 1000
    for level in range(2, 8):
        data = encode(["c", level, [PageRef(b"", below, length)] * 1000])
        below, length = blake3(data).digest(), length * 1000
        pages.append((below, data))
        if length * 1000 > 1 << 62:
            break
    with pytest.raises(FormatError, match="does not make up"):
        list(PagedTree(Pages(pages)).runs(below, 5000))


def root(**fields: Any) -> Root:
    values: dict[str, Any] = {
        "top": Entry(b"", Kind.DIRECTORY, 0o755, 1, 0, ID),
        "links": b"",
        "chunking": Chunking(),
        "selection": Selection(rules=(Rule(b"*.tmp"),)),
    }
    return Root(**(values | fields))


def test_root_when_encoded_then_reads_back() -> None:
    id_, data = encode_root(root())
    assert blake3(data).digest() == id_
    assert decode_root(data) == root()


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"version": 2}, "version 2"),
        ({"version": True}, "version True"),
        ({"later": 1}, "later"),
        ({"links": b"short"}, "links"),
        ({"chunking": {"algorithm": "rabin"}}, "malformed|canonical"),
        ({"chunking": msgspec.to_builtins(Chunking(algorithm="rabin"))}, "rabin"),
        ({"chunking": msgspec.to_builtins(Chunking()) | {"window": 3}}, "window"),
        ({"selection": msgspec.to_builtins(Selection()) | {"acl": True}}, "acl"),
        ({"top": 5}, "malformed"),
        ({"top": [b"", 1, 0, 0, 0, b"", {}]}, "top"),
        ({"top": [b"", 2, 0, 0, 0, ID, {"Z": 1}]}, "'Z'"),
    ],
)
def test_root_when_illegal_then_is_refused_by_name(change: dict[str, Any], named: str) -> None:
    fields = msgspec.msgpack.decode(encode_root(root())[1])
    with pytest.raises(FormatError, match=named):
        decode_root(encode(fields | change))


@pytest.mark.parametrize("data", [b"", b"\xc0", b"\x80", b"\x91" * 5000, bytes(2 << 20)])
def test_root_when_no_record_then_is_refused(data: bytes) -> None:
    with pytest.raises(FormatError):
        decode_root(data)


def test_root_when_not_canonical_then_is_refused() -> None:
    fields = msgspec.msgpack.decode(encode_root(root())[1])
    with pytest.raises(FormatError, match="canonical"):
        decode_root(encode(dict(reversed(fields.items()))))


def test_name_when_checked_alone_then_rules_are_the_same() -> None:
    check_name(b"x" * 255)
    for name in (b"", b"..", b"a/b", b".pdelta-stage-", b"x" * 256):
        with pytest.raises(FormatError):
            check_name(name)
