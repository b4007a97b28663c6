"""The fingerprint index: rows, details, moves, and what damage does to it."""

import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from pdelta.errors import FilesystemError
from pdelta.filesystem.fingerprint import RACY, Fingerprint, Likeness, changed_at, compare, fields_of_file, pack_all
from pdelta.filesystem.index import Index, IndexRow, Totals, digest_items, fields_of, open_index, totals_of
from pdelta.model.snapshot import LINKED, Chunking, Entry, Kind, Selection

FIELDS = fields_of(Selection())


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    made = sqlite3.connect(":memory:", isolation_level=None)
    yield made
    made.close()


def item(name: bytes, number: int = 1, kind: Kind = Kind.FILE) -> tuple[bytes, Entry]:
    return bytes([number]) * 36, Entry(name, kind, 0o644, number, 3, b"c" * 32 if kind == Kind.DIRECTORY else b"")


def row(path: bytes, items: list[tuple[bytes, Entry]], inode: int = 7) -> IndexRow:
    return IndexRow(path, b"fs", inode, digest_items(FIELDS, items), b"p" * 32, FIELDS, totals_of(items))


def test_fingerprint_when_of_a_status_then_its_fields(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"four")
    os.utime(file, ns=(0, -1))
    status = file.lstat()
    mark = Fingerprint.of(status)
    assert (mark.size, mark.mtime_ns, mark.ctime_ns) == (4, -1, status.st_ctime_ns)
    assert (mark.inode, mark.mode) == (status.st_ino, status.st_mode)
    assert mark == pack_all([status])[0]
    assert changed_at(mark) == status.st_ctime_ns
    assert Fingerprint.of(tmp_path.lstat()).size == 0
    assert fields_of_file(mark) == (4, -1, status.st_mode)


def test_compare_when_only_the_ctime_differs_then_it_says_so(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(b"four")
    before = Fingerprint.of(file.lstat())
    assert compare(before, Fingerprint.of(file.lstat())) == Likeness.SAME
    later = before[:16] + b"\1" * 8 + before[24:]
    assert compare(before, later) == Likeness.CTIME
    assert compare(before, b"\1" * 8 + before[8:]) == Likeness.DIFFERENT
    assert compare(RACY, before) == Likeness.DIFFERENT


def test_index_when_stored_then_loaded_by_another(connection: sqlite3.Connection) -> None:
    items = [item(b"a"), item(b"d", 2, Kind.DIRECTORY), item(b"\xff", 3)]
    kept = IndexRow(
        b"x/y", b"fs", (1 << 64) - 1, digest_items(FIELDS, items), b"p" * 32, FIELDS, Totals(2, 0, 6),
        ((b"a", 9, True),), b"*.o\n",
    )  # fmt: skip
    Index(connection).store([(kept, items)])
    other = Index(connection)
    assert other.load(b"x/y") == kept
    assert other.find_inode(b"fs", (1 << 64) - 1) == kept
    assert other.load(b"x") is None
    assert list(other.details(b"x/y").values()) == items
    assert other.details(b"x/y", b"other") == {}
    assert other.find(b"x/y/\xff") == (b"\3" * 36, items[2][1])
    assert other.find(b"x/y/none") is None
    assert other.find(b"top") is None


def test_index_when_not_preloaded_then_the_same_answers(connection: sqlite3.Connection) -> None:
    index = Index(connection, preload=0)
    index.store([(row(b"a", [item(b"f")], 5), [item(b"f")])])
    assert index.load(b"a") == index.find_inode(b"fs", 5) == row(b"a", [item(b"f")], 5)
    assert index.load(b"b") is None
    assert index.find_inode(b"other", 5) is None


def test_index_when_subtree_removed_then_only_that(connection: sqlite3.Connection) -> None:
    index = Index(connection)
    index.store([(row(path, []), []) for path in (b"", b"a", b"a!", b"a/b", b"a/b/c", b"a0", b"b")])
    index.remove([b"a"])
    assert [found.path for found in index.rows()] == [b"", b"a!", b"a0", b"b"]
    assert index.details(b"a/b") == {}
    assert [found.path for found in index.below(b"")] == [b"", b"a!", b"a0", b"b"]
    index.remove([b""])
    assert list(index.rows()) == []


def test_index_when_subtree_moved_then_everything_below_too(connection: sqlite3.Connection) -> None:
    index = Index(connection)
    items = [item(b"f")]
    index.store([(row(path, items), items) for path in (b"a", b"a/\xff", b"ab", b"new/old")])
    index.move(b"a", b"new")
    assert [found.path for found in index.rows()] == [b"ab", b"new", b"new/\xff"]
    assert index.find(b"new/\xff/f") == items[0]
    assert isinstance(next(iter(index.rows())).path, bytes)


def test_index_when_items_are_none_then_details_stay(connection: sqlite3.Connection) -> None:
    index = Index(connection)
    items = [item(b"f")]
    index.store([(row(b"a", items), items)])
    index.store([(row(b"a", items, 8), None)])
    assert index.load(b"a") == row(b"a", items, 8)
    assert index.find(b"a/f") == items[0]


def test_digest_when_anything_differs_then_it_differs() -> None:
    base = [item(b"a"), item(b"b", 2, Kind.DIRECTORY)]
    entry = base[0][1]
    flagged = Entry(entry.name, entry.kind, entry.mode, entry.mtime_ns, entry.size, entry.content, {LINKED: True})
    other_page = Entry(b"b", Kind.DIRECTORY, 0o644, 2, 3, b"d" * 32)
    variants = [
        base,
        [item(b"a", 3), base[1]],
        [item(b"A"), base[1]],
        [(base[0][0], flagged), base[1]],
        [base[0], (base[1][0], other_page)],
        base[:1],
        [],
    ]
    assert (
        len({digest_items(FIELDS, items) for items in variants} | {digest_items(b"other", base)}) == len(variants) + 1
    )
    assert digest_items(FIELDS, [(RACY, base[0][1])]) == b""


def test_find_when_racy_then_nothing_is_vouched_for(connection: sqlite3.Connection) -> None:
    index = Index(connection)
    items = [(RACY, item(b"f")[1])]
    index.store([(row(b"", items), items)])
    assert index.find(b"f") is None
    assert index.details(b"") == {b"f": items[0]}


def test_index_when_forgotten_then_digest_is_empty(connection: sqlite3.Connection) -> None:
    index = Index(connection)
    index.store([(row(b"a", [item(b"f")]), [item(b"f")])])
    index.forget([b"a"])
    found = index.load(b"a")
    assert found is not None
    assert found.digest == b""
    assert index.find(b"a/f") is not None


def test_prepare_when_chunking_differs_then_emptied(connection: sqlite3.Connection) -> None:
    index = Index(connection)
    assert not index.prepare(Chunking(), Selection())
    index.store([(row(b"a", []), [])])
    assert index.prepare(Chunking(), Selection())
    assert not index.prepare(Chunking(), Selection(owner=True))
    assert index.load(b"a") is not None
    assert not index.prepare(Chunking(), Selection())
    index.prepare(Chunking.of_average(1 << 20), Selection())
    assert index.load(b"a") is None


def test_index_when_version_is_foreign_then_rebuilt(connection: sqlite3.Connection) -> None:
    Index(connection).store([(row(b"a", []), [])])
    connection.execute("UPDATE meta SET value = '99' WHERE key = 'version'")
    assert Index(connection).load(b"a") is None


def test_index_when_tables_are_strange_then_rebuilt(connection: sqlite3.Connection) -> None:
    connection.execute("CREATE TABLE folders (what TEXT)")
    index = Index(connection)
    index.store([(row(b"a", []), [])])
    assert Index(connection).load(b"a") is not None
    connection.execute("UPDATE folders SET totals = x'ff'")
    assert Index(connection).load(b"a") is None


def test_index_when_inside_a_transaction_then_rolled_back_with_it(connection: sqlite3.Connection) -> None:
    index = Index(connection)
    connection.execute("BEGIN")
    index.store([(row(b"a", []), [])])
    connection.execute("ROLLBACK")
    assert Index(connection).load(b"a") is None


def test_index_when_not_writable_then_filesystem_error(connection: sqlite3.Connection) -> None:
    index = Index(connection)
    connection.execute("PRAGMA query_only = 1")
    with pytest.raises(FilesystemError, match="index"):
        index.store([(row(b"a", []), [])])


def test_open_index_when_file_is_garbage_then_begun_anew(tmp_path: Path) -> None:
    file = tmp_path / "index.sqlite"
    file.write_bytes(b"no database at all" * 100)
    index = open_index(os.fsencode(file))
    index.store([(row(b"a", []), [])])
    index.close()
    again = open_index(os.fsencode(file))
    assert again.load(b"a") is not None
    again.close()
    with pytest.raises(FilesystemError):
        open_index(os.fsencode(tmp_path / "none" / "index.sqlite"))
