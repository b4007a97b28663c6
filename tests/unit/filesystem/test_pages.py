"""Pages in SQLite."""

import sqlite3
from collections.abc import Iterator

import pytest
from blake3 import blake3

from pdelta.errors import FilesystemError, IntegrityError
from pdelta.filesystem.pages import SqlitePages
from pdelta.model.snapshot import PageStore
from pdelta.testing.pages import MemoryPages


def page(data: bytes) -> tuple[bytes, bytes]:
    whole = b"\x93" + data
    return blake3(whole).digest(), whole


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    made = sqlite3.connect(":memory:", isolation_level=None)
    yield made
    made.close()


@pytest.fixture(params=["sqlite", "memory"])
def store(request: pytest.FixtureRequest, connection: sqlite3.Connection) -> PageStore:
    return SqlitePages(connection) if request.param == "sqlite" else MemoryPages()


def test_pages_when_written_then_read_back(store: PageStore) -> None:
    pages = [page(b""), page(b"short"), page(b"long" * 60_000), *(page(b"%d" % n) for n in range(1500))]
    store.write_pages(iter(pages))
    store.write_pages(pages[:3])
    assert store.read_pages(id for id, _ in pages) == dict(pages)
    assert store.read_pages([]) == {}


def test_pages_when_some_missing_then_named_in_order(store: PageStore) -> None:
    pages = [page(b"%d" % n) for n in range(1200)]
    store.write_pages(pages[::2])
    assert store.missing_pages([id for id, _ in pages]) == [id for id, _ in pages[1::2]]
    with pytest.raises(IntegrityError, match=pages[1][0].hex()):
        store.read_pages([pages[0][0], pages[1][0]])


def test_pages_when_compressible_then_stored_smaller(connection: sqlite3.Connection) -> None:
    id_, data = page(b"long" * 60_000)
    SqlitePages(connection).write_pages([(id_, data)])
    ((stored,),) = connection.execute("SELECT data FROM pages").fetchall()
    assert len(stored) < 1000


@pytest.mark.parametrize("damage", [b"", b"\x93", b"\x28", b"\x28\xb5\x2f\xfd" + b"\0" * 20])
def test_pages_when_damaged_then_integrity_error(connection: sqlite3.Connection, damage: bytes) -> None:
    store = SqlitePages(connection)
    store.write_pages([page(b"x" * 1000)])
    connection.execute("UPDATE pages SET data = ?", (damage,))
    with pytest.raises(IntegrityError, match="damaged"):
        store.read_pages([page(b"x" * 1000)[0]])


def test_pages_when_frame_claims_too_much_then_not_unpacked(connection: sqlite3.Connection) -> None:
    store = SqlitePages(connection)
    id_, data = page(b"\0" * (2 << 20))
    store.write_pages([(id_, data)])
    with pytest.raises(IntegrityError, match="damaged"):
        store.read_pages([id_])


def test_pages_when_caller_rolls_back_then_gone(connection: sqlite3.Connection) -> None:
    store = SqlitePages(connection)
    connection.execute("BEGIN")
    store.write_pages([page(b"1")])
    connection.execute("ROLLBACK")
    store.write_pages([page(b"2")])
    assert not connection.in_transaction
    assert store.missing_pages([page(b"1")[0], page(b"2")[0]]) == [page(b"1")[0]]


def test_pages_when_database_unusable_then_filesystem_error(connection: sqlite3.Connection) -> None:
    store = SqlitePages(connection)
    connection.execute("PRAGMA query_only = 1")
    with pytest.raises(FilesystemError, match="pages"):
        store.write_pages([page(b"1")])
    connection.execute("PRAGMA query_only = 0")
    connection.execute("DROP TABLE pages")
    with pytest.raises(FilesystemError, match="no such table"):
        store.missing_pages([b"x"])
