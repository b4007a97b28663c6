"""Laws of pages: reading gives what was built, and equal items have equal pages."""

from collections.abc import Iterable, Mapping

from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st

from pdelta.errors import FormatError
from pdelta.formats.page import PagedTree, build_content, build_directory, build_links, check_page
from pdelta.model.names import is_reserved
from pdelta.model.snapshot import Entry, Kind

NAMES = st.binary(min_size=1, max_size=255).filter(
    lambda name: not ({0, 0x2F} & set(name) or name in {b".", b".."} or is_reserved(name))
)
EXTRAS = st.fixed_dictionaries(
    {}, optional={"a": st.just(True), "o": st.lists(st.integers(0, 1 << 31), min_size=2, max_size=2), "z": st.text()}
)


class Reader:
    """Pages in memory, each checked as it arrives."""

    def __init__(self, pages: Iterable[tuple[bytes, bytes]]) -> None:
        self.pages = dict(pages)
        for id_, data in self.pages.items():
            check_page(id_, data)

    def read_pages(self, ids: Iterable[bytes]) -> Mapping[bytes, bytes]:
        return {id_: self.pages[id_] for id_ in ids}


@st.composite
def entries(draw: st.DrawFn) -> list[Entry]:
    """Sorted entries of every kind."""
    found = []
    for name in sorted(draw(st.sets(NAMES, max_size=40))):
        kind = draw(st.sampled_from(Kind))
        size, mode, content = 0, draw(st.integers(0, 0o7777)), b"p" * 32
        if kind is Kind.FILE:
            size = draw(st.integers(0, 1 << 24))
            content = blake3(name).digest() + size.to_bytes(4, "big") + b"\0\0\0\1" if size else b""
        elif kind is Kind.SYMLINK:
            content = draw(st.binary(min_size=1, max_size=50).filter(lambda target: 0 not in target))
            size, mode = len(content), 0
        mtime = draw(st.integers(-(1 << 63), (1 << 63) - 1))
        found.append(Entry(name, int(kind), mode, mtime, size, content, draw(EXTRAS)))
    return found


@given(found=entries())
def test_directory_when_built_then_reads_back(found: list[Entry]) -> None:
    id_, pages = build_directory(found)
    assert list(PagedTree(Reader(pages)).directory(id_)) == found


@given(ids=st.lists(st.tuples(st.integers(0, 30), st.integers(1, 3)), max_size=200))
def test_content_when_built_then_reads_back(ids: list[tuple[int, int]]) -> None:
    chunks = [(blake3(b"%d" % seed).digest(), length) for seed, length in ids]
    content, pages = build_content(chunks)
    runs = PagedTree(Reader(pages)).runs(content, sum(length for _, length in ids))
    assert [(run.id, run.length) for run in runs for _ in range(run.count)] == chunks


@given(paths=st.sets(st.lists(NAMES, min_size=1, max_size=3).map(b"/".join), min_size=2, max_size=40))
def test_links_when_built_then_read_back(paths: set[bytes]) -> None:
    ordered = sorted(paths, key=lambda path: blake3(path).digest())
    groups = [ordered[at : at + 2] for at in range(0, len(ordered) - 1, 2)]
    id_, pages = build_links(groups)
    found: dict[bytes, list[bytes]] = {}
    for link in PagedTree(Reader(pages)).links(id_):
        found.setdefault(link.leader, []).append(link.path)
    assert found == {min(group): sorted(group) for group in groups}


@given(found=entries(), at=st.integers(0), bit=st.integers(0, 7))
def test_page_when_damaged_then_is_refused_or_another_legal_page(found: list[Entry], at: int, bit: int) -> None:
    data = bytearray(build_directory(found)[1][0][1])
    data[at % len(data)] ^= 1 << bit
    damaged = bytes(data)
    try:
        check_page(blake3(damaged).digest(), damaged)
    except FormatError:
        return
    list(PagedTree(Reader([(blake3(damaged).digest(), damaged)])).leaves(blake3(damaged).digest()))


@given(data=st.binary(max_size=200))
def test_page_when_garbage_then_is_refused_as_specified(data: bytes) -> None:
    for hostile in (data, b"\x93\xa1d\x01" + data, b"\x93\xa1l\x02" + data, b"\x93\xa1c\x01" + data):
        try:
            check_page(blake3(hostile).digest(), hostile)
        except FormatError:
            continue
