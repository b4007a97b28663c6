"""The suite itself: an adapter that breaks one promise fails it."""

import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from pdelta.databases.base import Database, Glance, Move, Session, Work
from pdelta.databases.rows import RowsAsked
from pdelta.databases.sqlite.database import SqliteDatabase
from pdelta.errors import DatabaseError, PdeltaError, StaleError
from pdelta.sql.ledger import Applied, Head
from pdelta.sql.lint.finding import TableSize
from pdelta.testing.bench import Bench
from pdelta.testing.database import DatabaseContract
from tests.contracts.test_sqlite import COUNTING, SqliteBench
from tests.fixtures.around import AroundSession


class Around(AroundSession):
    """The same, which knows its database."""

    def __init__(self, inner: Session, database: SqliteDatabase) -> None:
        super().__init__(inner)
        self.database = database


class Rewriting(Around):
    """A session that changes the moves on their way; what it changes, each of its kind says."""

    def rewritten(self, move: Move) -> Move:
        return move

    def commit(self, works: Sequence[Work], *, lock_timeout_ms: int, statement_timeout_ms: int = 0) -> None:
        changed = [msgspec.structs.replace(work, moves=tuple(map(self.rewritten, work.moves))) for work in works]
        super().commit(changed, lock_timeout_ms=lock_timeout_ms, statement_timeout_ms=statement_timeout_ms)


class ForgetsGuards(Rewriting):
    def rewritten(self, move: Move) -> Move:
        pieces = tuple(msgspec.structs.replace(piece, before=()) for piece in move.pieces)
        return msgspec.structs.replace(move, pieces=pieces)


class ForgetsLateUndo(Rewriting):
    def rewritten(self, move: Move) -> Move:
        pieces = tuple(msgspec.structs.replace(piece, late_undo="") for piece in move.pieces)
        return msgspec.structs.replace(move, pieces=pieces)


class UndoesInOrder(Rewriting):
    def rewritten(self, move: Move) -> Move:
        undos = [piece.undo for piece in move.pieces]
        pieces = [
            msgspec.structs.replace(piece, undo=undo) for piece, undo in zip(move.pieces, reversed(undos), strict=True)
        ]
        return msgspec.structs.replace(move, pieces=tuple(pieces))


class CutsTexts(Rewriting):
    def rewritten(self, move: Move) -> Move:
        reverse = move.row.reverse.encode("ascii", "replace").decode()
        return msgspec.structs.replace(move, row=msgspec.structs.replace(move.row, reverse=reverse))


class GoesByTheLedgerOfNow(Around):
    """Does not compare anything: takes the ledger as it is for the one that was planned from."""

    def commit(self, works: Sequence[Work], *, lock_timeout_ms: int, statement_timeout_ms: int = 0) -> None:
        for work in works:
            had = self.inner.query(work.tenant, "SELECT name FROM sqlite_master WHERE name = 'pdelta_applied'")
            if had:
                self.inner.alone(work.tenant, "DELETE FROM pdelta_applied", lock_timeout_ms=lock_timeout_ms)
        super().commit(works, lock_timeout_ms=lock_timeout_ms, statement_timeout_ms=statement_timeout_ms)


class RemembersLedgers(Around):
    """Gives what it read of a tenant once, whoever wrote there since."""

    def __init__(self, inner: Session, database: SqliteDatabase) -> None:
        super().__init__(inner, database)
        self.read: dict[str, Sequence[Applied] | None] = {}

    def ledger(self, tenant: str, *, lock_timeout_ms: int) -> Sequence[Applied] | None:
        if tenant not in self.read:
            self.read[tenant] = super().ledger(tenant, lock_timeout_ms=lock_timeout_ms)
        return self.read[tenant]


class KeepsNoHistory(Around):
    def commit(self, works: Sequence[Work], *, lock_timeout_ms: int, statement_timeout_ms: int = 0) -> None:
        super().commit(works, lock_timeout_ms=lock_timeout_ms, statement_timeout_ms=statement_timeout_ms)
        self.inner.alone(works[0].tenant, "DELETE FROM pdelta_history", lock_timeout_ms=lock_timeout_ms)

    def record(self, tenant: str, row: Applied | None, *, former: Applied | None, glance: Glance, **by: str) -> Head:
        head = super().record(tenant, row, former=former, glance=glance, **by)
        self.inner.alone(tenant, "DELETE FROM pdelta_history", lock_timeout_ms=1000)
        return head


class CommitsPieceByPiece(Around):
    """What a client does that runs a script statement by statement, and keeps the ledger afterwards."""

    def commit(self, works: Sequence[Work], *, lock_timeout_ms: int, statement_timeout_ms: int = 0) -> None:  # noqa: ARG002 - nothing is kept
        for work in works:
            for move in work.moves:
                for piece in move.pieces:
                    self.inner.alone(work.tenant, piece.statement, lock_timeout_ms=lock_timeout_ms)
            bare = tuple(msgspec.structs.replace(move, pieces=()) for move in work.moves)
            super().commit([msgspec.structs.replace(work, moves=bare)], lock_timeout_ms=lock_timeout_ms)


class TriesAgain(Around):
    """Believes that what was not done because it was done already must be done."""

    def commit(self, works: Sequence[Work], *, lock_timeout_ms: int, statement_timeout_ms: int = 0) -> None:
        try:
            super().commit(works, lock_timeout_ms=lock_timeout_ms, statement_timeout_ms=statement_timeout_ms)
        except StaleError:
            return


class GoesOn(Around):
    """Does the works behind one that failed too."""

    def commit_each(
        self, works: Sequence[Work], *, lock_timeout_ms: int, statement_timeout_ms: int = 0
    ) -> Sequence[PdeltaError | None]:
        limits = {"lock_timeout_ms": lock_timeout_ms, "statement_timeout_ms": statement_timeout_ms}
        return [outcome for work in works for outcome in self.inner.commit_each([work], **limits)]


class TellsNothingOfFailures(Around):
    def commit_each(
        self, works: Sequence[Work], *, lock_timeout_ms: int, statement_timeout_ms: int = 0
    ) -> Sequence[PdeltaError | None]:
        limits = {"lock_timeout_ms": lock_timeout_ms, "statement_timeout_ms": statement_timeout_ms}
        return [None for _ in super().commit_each(works, **limits)]


class WaitsForEver(Around):
    def commit(self, works: Sequence[Work], *, lock_timeout_ms: int, statement_timeout_ms: int = 0) -> None:
        super().commit(works, lock_timeout_ms=lock_timeout_ms + 30_000, statement_timeout_ms=statement_timeout_ms)


class KnowsNoTimeout(Around):
    def commit(self, works: Sequence[Work], *, lock_timeout_ms: int, statement_timeout_ms: int = 0) -> None:  # noqa: ARG002 - that is the fault
        super().commit(works, lock_timeout_ms=lock_timeout_ms)


class RehearsesForEver(Around):
    def rehearse(
        self,
        works: Sequence[Work],
        texts: Sequence[str | RowsAsked],
        *,
        lock_timeout_ms: int,
        statement_timeout_ms: int = 0,  # noqa: ARG002 - that is the fault
    ) -> list[Any]:
        return super().rehearse(works, texts, lock_timeout_ms=lock_timeout_ms)


class RehearsesForGood(Around):
    def rehearse(
        self,
        works: Sequence[Work],
        texts: Sequence[str | RowsAsked],
        *,
        lock_timeout_ms: int,
        statement_timeout_ms: int = 0,
    ) -> list[Any]:
        values = super().rehearse(
            works, texts, lock_timeout_ms=lock_timeout_ms, statement_timeout_ms=statement_timeout_ms
        )
        self.commit(works, lock_timeout_ms=lock_timeout_ms)
        return values


class AsksAndWrites(Around):
    def query(self, tenant: str, text: str, *, statement_timeout_ms: int = 0) -> list[tuple[Any, ...]]:
        try:
            return super().query(tenant, text, statement_timeout_ms=statement_timeout_ms)
        except DatabaseError:
            self.inner.alone(tenant, text, lock_timeout_ms=1000)
            raise


class CannotBeCancelled(Around):
    def cancel(self) -> None:
        return


class RecordsBlindly(Around):
    def record(self, tenant: str, row: Applied | None, *, former: Applied | None, glance: Glance, **by: str) -> Head:
        try:
            return super().record(tenant, row, former=former, glance=glance, **by)
        except StaleError:
            return glance.head or Head(0, "")


class NamesTheTenantInTheReason(Around):
    def commit(self, works: Sequence[Work], *, lock_timeout_ms: int, statement_timeout_ms: int = 0) -> None:
        try:
            super().commit(works, lock_timeout_ms=lock_timeout_ms, statement_timeout_ms=statement_timeout_ms)
        except DatabaseError as error:
            error.reason = error.message
            raise


class Broken(SqliteDatabase):
    """SQLite's adapter with sessions of another kind."""

    kind: type[Around]

    def session(self, lane: str) -> Session:
        return self.kind(super().session(lane), self)


class RemembersHeads(Broken):
    """A glance that is not asked again: what was seen once is told for ever."""

    kind = Around
    seen: dict[str, Glance | Exception]

    def glance(self, names: Sequence[str]) -> Mapping[str, Glance | Exception]:
        for name, glance in super().glance(names).items():
            self.seen.setdefault(name, glance)
        return {name: self.seen[name] for name in names if name in self.seen}


class MakesLedgersWhenAsked(Broken):
    kind = Around

    def ledgers(self, names: Sequence[str], *, delta: str = "") -> Mapping[str, Sequence[Applied] | Exception]:
        for name in names:
            session = super().session("files")
            row = Applied("looked", "0" * 64)
            session.record(name, None, former=_recorded(session, name, row), glance=Glance(managed=False, head=None))
        return super().ledgers(names, delta=delta)


def _recorded(session: Session, name: str, row: Applied) -> Applied:
    session.record(name, row, former=None, glance=Glance(managed=False, head=None))
    return row


class SizesOfTheFirst(Broken):
    kind = Around

    def table_sizes(self, names: Sequence[str]) -> Mapping[str, TableSize]:
        return super().table_sizes(names[:1])


class SizesOfItsOwn(Broken):
    kind = Around

    def table_sizes(self, names: Sequence[str]) -> Mapping[str, TableSize]:
        return {**super().table_sizes(names), "pdelta_applied": TableSize(1, 1)}


class BrokenBench(SqliteBench):
    def __init__(self, folder: Path, make: Callable[[Path], Database]) -> None:
        super().__init__(folder)
        self._make = make

    def database(self) -> Database:
        return self._make(self.folder)


class _Contract(DatabaseContract):
    def __init__(self, fault: type[Around] | type[Broken]) -> None:
        kind = fault if issubclass(fault, Broken) else type("Made", (Broken,), {"kind": fault})
        if issubclass(kind, RemembersHeads):
            kind.seen = {}
        self._kind = kind

    def bench(self, folder: Path) -> Bench:
        return BrokenBench(folder, lambda where: self._kind("test", where, ("*.sqlite", "deep/*.sqlite")))


CASES: Final[list[tuple[type[Around] | type[Broken], str]]] = [
    (ForgetsGuards, "test_commit_when_a_guard_refuses_then_its_words_and_nothing_changed"),
    (ForgetsLateUndo, "test_commit_when_pieces_give_reverses_then_the_last_comes_first"),
    (UndoesInOrder, "test_commit_when_pieces_give_reverses_then_the_last_comes_first"),
    (CutsTexts, "test_commit_when_applied_then_row_data_and_head_agree"),
    (GoesByTheLedgerOfNow, "test_commit_when_the_ledger_is_another_then_stale_and_nothing_changed"),
    (GoesByTheLedgerOfNow, "test_commit_when_the_ledger_was_edited_by_hand_then_it_is_believed_over_the_stamp"),
    (RemembersLedgers, "test_ledger_when_read_ahead_of_a_commit_then_its_rows_and_nobody_is_held_up"),
    (KeepsNoHistory, "test_commit_when_reversed_then_history_holds_the_whole_row"),
    (KeepsNoHistory, "test_commit_when_gone_forward_back_forward_then_the_history_only_grows"),
    (KeepsNoHistory, "test_commit_when_a_row_is_replaced_then_the_former_is_in_the_history"),
    (KeepsNoHistory, "test_record_when_taken_back_then_the_row_ends_in_the_history"),
    (KeepsNoHistory, "test_record_when_an_applied_row_is_begun_anew_then_it_is_kept"),
    (CommitsPieceByPiece, "test_commit_when_the_second_piece_fails_then_nothing_was_done"),
    (CommitsPieceByPiece, "test_commit_when_the_second_move_fails_then_nothing_of_the_first"),
    (CommitsPieceByPiece, "test_commit_when_ddl_shares_the_transaction_then_it_comes_and_goes_with_the_ledger"),
    (TriesAgain, "test_commit_when_two_race_then_exactly_once"),
    (TriesAgain, "test_commit_when_the_row_to_reverse_is_another_then_stale_and_nothing_changed"),
    (GoesOn, "test_commit_each_when_one_fails_then_those_before_it_are_done_and_those_behind_not_begun"),
    (
        TellsNothingOfFailures,
        "test_commit_each_when_one_fails_then_those_before_it_are_done_and_those_behind_not_begun",
    ),
    (WaitsForEver, "test_commit_when_the_tenant_is_held_then_busy_in_time_and_later_done"),
    (KnowsNoTimeout, "test_commit_when_a_statement_takes_too_long_then_ended_and_nothing_changed"),
    (RehearsesForEver, "test_commit_when_a_statement_takes_too_long_then_ended_and_nothing_changed"),
    (CannotBeCancelled, "test_cancel_when_a_statement_runs_then_it_ends_and_nothing_changed"),
    (RehearsesForGood, "test_rehearse_when_done_then_values_and_nothing_changed"),
    (RehearsesForGood, "test_rehearse_when_there_is_ddl_then_gone_with_the_rest_or_refused"),
    (AsksAndWrites, "test_query_when_it_selects_then_rows_and_when_it_writes_then_refused"),
    (RecordsBlindly, "test_record_when_the_former_row_is_another_then_stale"),
    (NamesTheTenantInTheReason, "test_commit_when_two_tenants_fail_alike_then_their_reasons_are_equal"),
    (RemembersHeads, "test_commit_when_applied_then_row_data_and_head_agree"),
    (RemembersHeads, "test_record_when_a_delta_goes_step_by_step_then_the_row_is_its_journal"),
    (SizesOfTheFirst, "test_table_sizes_when_asked_then_each_table_as_where_it_is_largest"),
    (SizesOfItsOwn, "test_table_sizes_when_asked_then_each_table_as_where_it_is_largest"),
    (MakesLedgersWhenAsked, "test_glance_when_nothing_was_done_then_unmanaged_and_no_ledger"),
]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Wait less long for what takes long, and see it end: a thread that goes on hinders every test after this one."""
    monkeypatch.setattr("pdelta.testing.database.PATIENCE_S", 1.0)
    monkeypatch.setattr(SqliteBench, "slow", COUNTING.format(8_000_000))
    before = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - before:
        thread.join(60)
        assert not thread.is_alive()


@pytest.mark.parametrize(("fault", "test"), CASES)
def test_contract_when_a_promise_is_broken_then_it_fails(fault: type[Around] | type[Broken], test: str) -> None:
    with pytest.raises((AssertionError, PdeltaError, sqlite3.Error)):
        getattr(_Contract(fault), test)()


def test_contract_when_nothing_is_broken_then_it_holds() -> None:
    """The wrapper itself breaks nothing: each fault is its own."""
    for test in {name for _, name in CASES}:
        getattr(_Contract(Around), test)()
