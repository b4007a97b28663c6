"""Pages that travel as differences: the asker ends with every page, and what stayed the same costs nothing."""

import random
from collections.abc import Iterable, Iterator, Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pdelta.errors import FormatError
from pdelta.formats.page import ChangedPages, build_content, build_directory, build_links, child_ids, encode_root
from pdelta.model.snapshot import Chunking, Entry, Kind, PageReader, Root, Selection
from pdelta.operations.tree.calculate import Overlay
from pdelta.operations.tree.fetch import MissingPages, fetch_pages
from pdelta.wire.page_patch import apply_page_patch, make_page_patch

Folder = dict[bytes, "int | Folder"]
"""Names; a number stands for a file of that content."""


class Store:
    """Pages in memory."""

    def __init__(self) -> None:
        self.pages: dict[bytes, bytes] = {}

    def read_pages(self, ids: Iterable[bytes]) -> Mapping[bytes, bytes]:
        """Give pages; a missing one is an error."""
        wanted = list(ids)
        if self.missing_pages(wanted):
            text = "a page is missing"
            raise FormatError(text)
        return {id_: self.pages[id_] for id_ in wanted}

    def write_pages(self, pages: Iterable[tuple[bytes, bytes]]) -> None:
        """Keep pages."""
        self.pages.update(pages)

    def missing_pages(self, ids: Iterable[bytes]) -> list[bytes]:
        """Say which are not here."""
        return [id_ for id_ in ids if id_ not in self.pages]


class Sender(Store):
    """Answers as the controller does, and counts what that takes."""

    def __init__(self) -> None:
        super().__init__()
        self.sent_bytes = self.requests = 0
        self.extra: dict[bytes, bytes] = {}

    def begin(self) -> None:
        """Begin a call."""
        self.walk = ChangedPages(self)
        self.sent_bytes = self.requests = 0

    def read_changed_pages(self, bases: Mapping[bytes, bytes], held: PageReader) -> Iterator[Mapping[bytes, bytes]]:
        """Send patches, as ``RemoteTree`` and ``PeerSource`` do together."""
        self.requests += 1
        for batch in self.walk.walk(bases):
            found = dict(self.extra)
            for changed in batch:
                patch = make_page_patch(changed.base_page, changed.page) if changed.base else b""
                self.sent_bytes += min(len(patch) or 1 << 30, len(changed.page))
                page = apply_page_patch(held.read_pages([changed.base])[changed.base], patch) if patch else changed.page
                found[changed.id] = page
            yield found


def build(tree: Folder, store: Store, time_ns: int = 0) -> tuple[bytes, bytes]:
    """Make the snapshot of a tree; give its id and its root record's bytes."""

    def folder(names: Folder) -> bytes:
        entries = []
        for name in sorted(names):
            below = names[name]
            if isinstance(below, dict):
                entries.append(Entry(name, Kind.DIRECTORY, 0o755, time_ns, 0, folder(below)))
                continue
            chance = random.Random(below)
            content, pages = build_content([(chance.randbytes(32), 1000 + below)] * 1 if below else [])
            store.pages.update(pages)
            entries.append(Entry(name, Kind.FILE, 0o644, time_ns + below, 1000 + below if below else 0, content))
        id_, pages = build_directory(entries)
        store.pages.update(pages)
        return id_

    links, pages = build_links([])
    store.pages.update(pages)
    root = Root(Entry(b"", Kind.DIRECTORY, 0o755, 0, 0, folder(tree)), links, Chunking(), Selection())
    id_, data = encode_root(root)
    store.pages[id_] = data
    return id_, data


def fetch(sender: Sender, receiver: Store, wanted: bytes, held: bytes = b"") -> None:
    """Bring a snapshot to the receiver, and prove that nothing of it is missing."""
    sender.begin()
    overlay = Overlay(receiver)
    before = overlay.read_root(held) if held else None
    fetch_pages(overlay, sender, wanted, MissingPages(receiver), before)
    receiver.pages.update(overlay.new)
    complete = Store()
    complete.pages = receiver.pages
    waiting = [overlay.read_root(wanted).top.content]
    while waiting:
        waiting += child_ids(complete.pages[waiting.pop()])


names = st.sampled_from([b"a", b"b", b"c", b"d", b"e"])
trees = st.recursive(
    st.dictionaries(names, st.integers(0, 9), max_size=4),
    lambda below: st.dictionaries(names, below | st.integers(0, 9), max_size=4),
    max_leaves=12,
)


@given(st.lists(trees, min_size=2, max_size=4))
def test_pages_when_brought_one_snapshot_after_another_then_none_is_missing(states: list[Folder]) -> None:
    sender, receiver = Sender(), Store()
    held = b""
    for number, tree in enumerate(states):
        wanted, _ = build(tree, sender, number)
        fetch(sender, receiver, wanted, held)
        held = wanted


def wide(count: int, start: int = 1) -> Folder:
    return {b"file-%05d" % number: number + start for number in range(count)}


def test_pages_when_a_deep_file_changes_then_one_request_brings_all() -> None:
    sender, receiver = Sender(), Store()
    deep: Folder = {b"x": wide(300), b"y": {b"z": {b"w": wide(300, 1000)}}}
    old, _ = build(deep, sender)
    fetch(sender, receiver, old)
    below = deep[b"y"]
    assert isinstance(below, dict)
    inner = below[b"z"]
    assert isinstance(inner, dict)
    inner[b"w"] = {**wide(300, 1000), b"file-00007": 9999}
    new, _ = build(deep, sender)
    fetch(sender, receiver, new, old)
    assert sender.requests == 1
    assert sender.sent_bytes < 500


def test_pages_when_a_folder_is_copied_with_new_times_then_the_copy_is_a_patch_of_the_original() -> None:
    sender, receiver = Sender(), Store()
    old, _ = build({b"assets": wide(2000)}, sender)
    fetch(sender, receiver, old)
    build({b"copy": wide(2000)}, sender, 10**15)
    new, _ = build({b"assets": wide(2000), b"copy": wide(2000)}, sender, 10**15)
    fetch(sender, receiver, new, old)
    assert sender.sent_bytes < 2 * 2000 * 15


def test_pages_when_the_sender_knows_nothing_of_what_is_held_then_they_come_whole() -> None:
    sender, other, receiver = Sender(), Sender(), Store()
    old, _ = build({b"a": wide(50)}, other)
    fetch(other, receiver, old)
    new, _ = build({b"a": wide(51)}, sender)
    fetch(sender, receiver, new, old)


def test_pages_when_one_comes_that_nobody_asked_for_then_it_is_refused() -> None:
    sender, receiver = Sender(), Store()
    old, _ = build({b"a": wide(50)}, sender)
    fetch(sender, receiver, old)
    new, _ = build({b"a": wide(51)}, sender)
    strange, pages = build_directory([Entry(b"strange", Kind.DIRECTORY, 0o755, 0, 0, bytes(32))])
    sender.extra = dict(pages)
    assert strange in sender.extra
    with pytest.raises(FormatError, match="nobody asked for"):
        fetch(sender, receiver, new, old)
