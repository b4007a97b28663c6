"""The law of the cache: a glance says what the ledger says, whoever wrote the file in between, and however."""

import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Final

from hypothesis import given
from hypothesis import strategies as st

from pdelta.databases.base import Glance, Move, Work
from pdelta.databases.sqlite.database import SqliteDatabase
from pdelta.sql.ledger import Applied, Head, State, Way, head_of
from pdelta.sql.piece import Piece

NAME: Final = "a.sqlite"


class World:
    """One file, those who write it, and what is true of it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / NAME
        self.count = 0
        self.other = self.connect()
        self.other.execute("CREATE TABLE notes (id INTEGER PRIMARY KEY, body TEXT)")

    def close(self) -> None:
        self.other.close()

    def connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, isolation_level=None)

    def tenants(self) -> SqliteDatabase:
        return SqliteDatabase("test", self.folder, (NAME,), cache=self.folder / "cache")

    def truth(self) -> Head:
        with SqliteDatabase("test", self.folder, (NAME,)) as tenants:
            rows = tenants.ledgers([NAME])[NAME]
        assert not isinstance(rows, Exception), rows
        return head_of((row.id, row.digest, row.state) for row in rows)

    def looks(self) -> None:
        with self.tenants() as tenants:
            glance = tenants.glance([NAME])[NAME]
        assert isinstance(glance, Glance), glance
        assert glance.head == self.truth()

    def applies(self) -> None:
        self.count += 1
        row = Applied(f"d{self.count}", "0" * 64)
        with self.tenants() as tenants:
            had = tenants.ledgers([NAME])[NAME]
            assert not isinstance(had, Exception)
            told = [(one.id, one.digest, one.state) for one in had]
            after = head_of([*told, (row.id, row.digest, row.state)])
            move = Move(Way.APPLY, row, (Piece("DELETE FROM notes"),))
            work = Work(NAME, head_of(told), after, (move,), Glance(managed=True, head=None))
            tenants.session("files").commit([work], lock_timeout_ms=2000)

    def records(self) -> None:
        self.count += 1
        row = Applied(f"d{self.count}", "0" * 64, state=State.APPLYING)
        with self.tenants() as tenants:
            tenants.session("files").record(NAME, row, former=None, glance=Glance(managed=True, head=None))

    def stranger_writes(self) -> None:
        self.other.execute("INSERT INTO notes (body) VALUES ('x')")

    def stranger_edits_the_ledger(self) -> None:
        if self.other.execute("SELECT 1 FROM sqlite_master WHERE name = 'pdelta_applied'").fetchall():
            self.other.execute("DELETE FROM pdelta_applied WHERE id = (SELECT max(id) FROM pdelta_applied)")

    def stranger_drops_the_ledger(self) -> None:
        self.other.execute("DROP TABLE IF EXISTS pdelta_applied")
        self.other.execute("DROP TABLE IF EXISTS pdelta_history")

    def stranger_goes_and_another_comes(self) -> None:
        self.other.close()
        self.other = self.connect()

    def log_begins(self) -> None:
        self.other.execute("PRAGMA journal_mode = WAL")

    def log_ends(self) -> None:
        self.other.execute("PRAGMA journal_mode = DELETE")

    def journal_stays(self) -> None:
        self.other.execute("PRAGMA journal_mode = PERSIST")

    def is_vacuumed(self) -> None:
        self.other.execute("VACUUM")

    def is_copied(self) -> None:
        with closing(sqlite3.connect(self.folder / "copy")) as copy:
            self.other.backup(copy)

    def is_brought_back(self) -> None:
        if (self.folder / "copy").exists():
            self.other.close()
            # The log of the file that was there would be taken for the copy's.
            for suffix in ("-wal", "-shm", "-journal"):
                self.path.with_name(NAME + suffix).unlink(missing_ok=True)
            shutil.copy2(self.folder / "copy", self.path)
            self.other = self.connect()


ACTS: Final[list[Callable[[World], None]]] = [
    World.looks,
    World.applies,
    World.records,
    World.stranger_writes,
    World.stranger_edits_the_ledger,
    World.stranger_drops_the_ledger,
    World.stranger_goes_and_another_comes,
    World.log_begins,
    World.log_ends,
    World.journal_stays,
    World.is_vacuumed,
    World.is_copied,
    World.is_brought_back,
]


@given(st.lists(st.sampled_from(ACTS), max_size=14))
def test_glance_when_anything_happened_then_it_says_what_the_ledger_says(acts: list[Callable[[World], None]]) -> None:
    with tempfile.TemporaryDirectory() as folder, closing(World(Path(folder))) as world:
        for act in acts:
            act(world)
            world.looks()
            world.looks()
