"""Whoever is stopped while opening or locking something does not keep out himself afterwards."""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from pdelta.filesystem import ledger
from pdelta.filesystem.safe import Directory
from pdelta.filesystem.state import StateFolder
from pdelta.filesystem.transaction import transaction


def stopped(action: Callable[[], object]) -> BaseException:
    """Give the interrupt, whose traceback keeps alive whatever was open."""
    with pytest.raises(KeyboardInterrupt) as info:
        action()
    return info.value


def interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def test_ledger_when_its_making_is_stopped_then_it_opens_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = os.fsencode(tmp_path / "ledger")
    with monkeypatch.context() as patched:
        patched.setattr(ledger, "SqlitePages", interrupt)
        kept = stopped(lambda: ledger.Ledger(path, create=True))
    real = sqlite3.connect
    # Held by the one that was stopped, it would be busy, and be waited for.
    monkeypatch.setattr(sqlite3, "connect", lambda *words, **options: real(*words, **{**options, "timeout": 0}))
    with ledger.Ledger(path, create=True) as opened:
        assert opened.newest() is None
    assert kept.__traceback__ is not None


def test_lock_when_stopped_then_it_can_be_taken_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with Directory.open_root(os.fsencode(tmp_path)) as root, closing(StateFolder(root, create=True)) as folder:
        with monkeypatch.context() as patched:
            patched.setattr(os, "ftruncate", interrupt)
            stopped(lambda: folder.lock(0))
        folder.lock(0)


@pytest.fixture
def table(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(tmp_path / "file", isolation_level=None)) as made:
        made.execute("CREATE TABLE t (n)")
        yield made


def test_transaction_when_the_block_is_stopped_then_nothing_of_it_is_there(table: sqlite3.Connection) -> None:
    def write() -> None:
        with transaction(table):
            table.execute("INSERT INTO t VALUES (1)")
            interrupt()

    stopped(write)
    assert not table.in_transaction
    assert table.execute("SELECT count(*) FROM t").fetchone() == (0,)


def test_transaction_when_the_connection_is_closed_in_it_then_only_the_stop_is_told(
    table: sqlite3.Connection, tmp_path: Path
) -> None:
    def write() -> None:
        with transaction(table):
            table.execute("INSERT INTO t VALUES (1)")
            table.close()
            interrupt()

    stopped(write)
    with closing(sqlite3.connect(tmp_path / "file")) as again:
        assert again.execute("SELECT count(*) FROM t").fetchone() == (0,)


def test_transaction_when_it_ends_then_all_of_it_is_there(table: sqlite3.Connection) -> None:
    with transaction(table):
        table.execute("INSERT INTO t VALUES (1)")
    assert not table.in_transaction
    assert table.execute("SELECT count(*) FROM t").fetchone() == (1,)


def test_transaction_when_there_is_one_already_then_that_stays(table: sqlite3.Connection) -> None:
    with transaction(table):
        table.execute("INSERT INTO t VALUES (1)")
        with pytest.raises(sqlite3.OperationalError), transaction(table):
            pass
    assert table.execute("SELECT count(*) FROM t").fetchone() == (1,)
