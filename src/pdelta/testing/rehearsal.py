"""The part of the contract of databases that tries deltas and leaves no trace; ``database`` has the rest."""

import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from pdelta.databases.rows import RowsAsked
from pdelta.errors import Cause
from pdelta.sql.ledger import Head
from pdelta.testing.bench import (
    DELETE_ONE,
    INSERT_ONE,
    INSERT_TWO,
    LOCK_TIMEOUT_MS,
    NOTES,
    RENAME_ONE,
    Bench,
    Stage,
    forward,
    refusal,
    row,
    staleness,
)


class RehearsalContract(ABC):
    """What every adapter keeps that can take back what it did; ``DatabaseContract`` derives from it."""

    @abstractmethod
    def bench(self, folder: Path) -> Bench:
        """Give fresh tenants; the folder is empty, and of nobody else."""

    def test_rehearse_when_done_then_values_and_nothing_changed(self) -> None:
        """The texts see what the work did; afterwards nobody does."""
        with self._stage() as stage, stage.bench.database() as database:
            session = database.session(database.lane(stage.tenant))
            work = stage.work(stage.tenant, [forward("a", INSERT_ONE, INSERT_TWO)])
            texts = ["SELECT count(*) FROM notes", "SELECT max(body) FROM notes"]
            values = session.rehearse([work], texts, lock_timeout_ms=LOCK_TIMEOUT_MS)
            assert [list(one) for one in values] == [[2, "two"]]
            stage.untouched(stage.tenant)
            bad = stage.work(stage.tenant, [forward("a", INSERT_ONE, "DELETE FROM nowhere")])
            refusal(session.rehearse, [bad], texts, lock_timeout_ms=LOCK_TIMEOUT_MS)
            late = msgspec.structs.replace(work, before=Head(7, "0" * 64))
            staleness(session.rehearse, [late], texts, lock_timeout_ms=LOCK_TIMEOUT_MS)
            stage.untouched(stage.tenant)
            session.commit([work], lock_timeout_ms=LOCK_TIMEOUT_MS)
            session.close()
            assert stage.ledger(stage.tenant) == [row("a")]

    def test_rehearse_when_rows_are_asked_for_then_their_digests_tell_what_differs_and_what_does_not(self) -> None:
        """Neither their order matters nor pdelta's own tables; a row that differs does, and is told by its hash."""
        with self._stage() as stage, stage.bench.database() as database:
            tenant = stage.tenant
            session = database.session(database.lane(tenant))
            stage.bench.run(tenant, INSERT_ONE)
            stage.bench.run(tenant, INSERT_TWO)
            there = stage.work(tenant, [])
            twice = stage.work(tenant, [forward("a", DELETE_ONE, INSERT_ONE)])
            works = [there, twice, stage.work(tenant, [forward("b", RENAME_ONE)], rows=[row("a")])]
            (first,), (same,), (changed,) = session.rehearse(works, [RowsAsked()], lock_timeout_ms=LOCK_TIMEOUT_MS)
            assert first == same
            assert first["notes"].count == changed["notes"].count == 2
            assert first["notes"].digest != changed["notes"].digest
            assert not [table for table in first if table.startswith("pdelta_")]
            for named in ("notes", "nothing"):
                asked = RowsAsked(below_bytes=-1, named=frozenset({named}), listed=frozenset({"notes"}))
                (held,), (later,) = session.rehearse([there, twice], [asked], lock_timeout_ms=LOCK_TIMEOUT_MS)
                assert (held["notes"] is None) == (named == "nothing")
                assert held["notes"] is None or len({*held["notes"].hashes, *later["notes"].hashes}) == 2
            session.close()
            assert stage.ledger(tenant) == []
            assert stage.notes(tenant) == [(1, "one"), (2, "two")]

    def test_rehearse_when_there_is_ddl_then_gone_with_the_rest_or_refused(self) -> None:
        """Where DDL would commit by itself nothing is rehearsed, rather than done."""
        with self._stage() as stage, stage.bench.database() as database:
            session = database.session(database.lane(stage.tenant))
            work = stage.work(stage.tenant, [forward("a", "CREATE TABLE others (id INTEGER)")])
            if database.transactional:
                texts = ["SELECT count(*) FROM others"]
                assert list(session.rehearse([work], texts, lock_timeout_ms=LOCK_TIMEOUT_MS)[0]) == [0]
            else:
                error = refusal(session.rehearse, [work], [], lock_timeout_ms=LOCK_TIMEOUT_MS)
                assert error.cause is Cause.REFUSED
            session.close()
            stage.untouched(stage.tenant)
            stage.bench.run(stage.tenant, "CREATE TABLE others (id INTEGER)")

    @contextmanager
    def _stage(self) -> Iterator["Stage"]:
        with tempfile.TemporaryDirectory() as folder:
            bench = self.bench(Path(folder))
            try:
                for tenant in bench.tenants:
                    bench.run(tenant, NOTES)
                yield Stage(bench)
            finally:
                bench.close()
