"""The contract of databases, as a suite that every adapter binds to.

A test module derives a class from ``DatabaseContract`` and gives it ``bench``: a server, or a folder of files, with
tenants that are there and empty. Any runner that collects ``test_`` methods runs it; the suite itself knows no runner
and no engine. Its statements are SQL that all of them read, and what differs it takes from the bench::

    class TestPostgresql(DatabaseContract):
        @pytest.fixture(autouse=True)
        def _server(self, postgresql: PostgreSQL) -> None:
            self._postgresql = postgresql

        def bench(self, folder: Path) -> Bench:
            return PostgresqlBench(self._postgresql)

A bench looks at tenants, and changes them, through a connection of its own, behind the adapter's back. Where an engine
has no transactions for its DDL (``Database.transactional``), the suite keeps to INSERT, UPDATE and DELETE in them.
"""

import threading
from collections.abc import Sequence
from functools import partial
from typing import Final

import msgspec

from pdelta.databases.base import Move
from pdelta.errors import Cause, DatabaseError, GuardError, StaleError
from pdelta.sql.ledger import EMPTY_HEAD, Head, Way
from pdelta.sql.piece import GUARD, LOSS_GUARD, Piece
from pdelta.testing.bench import (
    DELETE_ONE,
    HOSTILE,
    INSERT_MANY,
    INSERT_ONE,
    INSERT_TWO,
    LOCK_TIMEOUT_MS,
    MANY_NOTES,
    RENAME_BACK,
    RENAME_ONE,
    SELECT_NOTES,
    back,
    counted,
    each,
    forward,
    raises,
    refusal,
    repeatedly,
    row,
    staleness,
    within_s,
)
from pdelta.testing.steps import StepsContract

SHORT_MS: Final = 300
RACES: Final = 8
PATIENCE_S = 10.0
"""Within this time ends what must end; generous, for machines that are busy."""

_IF_NOTES: Final = "CASE WHEN count(*) > 0 THEN 'there are notes' END FROM notes"


class DatabaseContract(StepsContract):
    """What every adapter keeps; derive from it and give it ``bench``."""

    def test_tenants_when_asked_then_sorted_and_all_there(self) -> None:
        """Names are in order, each once."""
        with self._stage() as stage, stage.bench.database() as database:
            names = [tenant.name for tenant in database.tenants()]
            assert names == sorted(set(names))
            assert set(stage.bench.tenants) <= set(names)
            assert all(database.width(database.lane(name)) >= 1 for name in names)

    def test_glance_when_nothing_was_done_then_unmanaged_and_no_ledger(self) -> None:
        """A fresh tenant has no ledger, and reading makes none."""
        with self._stage() as stage:
            for tenant in stage.bench.tenants:
                glance = stage.glance(tenant)
                assert not glance.managed
                assert glance.head in {None, EMPTY_HEAD}
                assert stage.ledger(tenant) == []
                assert not stage.glance(tenant).managed

    def test_create_when_there_is_none_then_an_empty_tenant_and_nothing_when_there_is(self) -> None:
        """What is made is listed, empty, and fit for a delta; what is there stays as it is."""
        with self._stage() as stage, stage.bench.database() as database:
            for tenant in stage.bench.tenants:
                assert database.covers(tenant)
                assert not database.create(tenant)
                assert stage.notes(tenant) == []
                stage.bench.drop(tenant)
                assert database.covers(tenant)
                assert database.create(tenant)
                assert not database.create(tenant)
                assert tenant in [one.name for one in database.tenants()]
                assert not stage.glance(tenant).managed
                stage.commit(stage.work(tenant, [forward("a")]))
                assert stage.ledger(tenant) == [row("a")]
            assert not database.covers("nobody")
            assert not database.covers("")

    def test_glance_when_a_tenant_is_gone_then_left_out(self) -> None:
        """What is not there is no error of the others."""
        with self._stage() as stage, stage.bench.database() as database:
            first, second, *_ = stage.bench.tenants
            stage.bench.drop(first)
            assert set(database.glance([first, second])) == {second}
            assert isinstance(database.ledgers([first, second])[second], Sequence)

    def test_commit_when_the_tenant_is_gone_then_missing(self) -> None:
        """A tenant that was dropped in mid-run is told as such."""
        with self._stage() as stage:
            work = stage.work(stage.tenant, [forward("a")])
            stage.bench.drop(stage.tenant)
            assert refusal(stage.commit, work).cause is Cause.MISSING

    def test_commit_when_applied_then_row_data_and_head_agree(self) -> None:
        """The row is what was given, in every field; other tenants are as they were."""
        with self._stage() as stage:
            for tenant in stage.bench.tenants:
                stage.commit(stage.work(tenant, [forward("a", INSERT_ONE)]))
                assert stage.ledger(tenant) == [row("a")]
                assert stage.notes(tenant) == [(1, "one")]
                stage.agrees(tenant)

    def test_commit_when_reversed_then_history_holds_the_whole_row(self) -> None:
        """Reversing copies the row before it goes; the tenant stays managed, without a delta."""
        with self._stage() as stage:
            for tenant in stage.bench.tenants:
                stage.commit(stage.work(tenant, [forward("a", INSERT_ONE)]))
                stage.commit(stage.work(tenant, [back("a", DELETE_ONE)]))
                assert stage.ledger(tenant) == []
                assert stage.notes(tenant) == []
                assert stage.history(tenant) == [(Way.REVERSE, row("a"))]
                assert stage.left(tenant) == [("run:back", "o'reilly@example")]
                assert stage.agrees(tenant) == EMPTY_HEAD

    def test_commit_when_gone_forward_back_forward_then_the_history_only_grows(self) -> None:
        """Nothing in the history is changed by what comes later."""
        with self._stage() as stage:
            for _ in range(2):
                stage.commit(stage.work(stage.tenant, [forward("a", INSERT_ONE)]))
                stage.commit(stage.work(stage.tenant, [back("a", DELETE_ONE)]))
            stage.commit(stage.work(stage.tenant, [forward("a", INSERT_ONE)]))
            assert stage.history(stage.tenant) == [(Way.REVERSE, row("a"))] * 2
            assert stage.ledger(stage.tenant) == [row("a")]

    def test_ledgers_when_one_delta_is_asked_for_then_its_row_alone(self) -> None:
        """Tenants that have it not, and those without a ledger, have no rows; an id is a value, and no SQL."""
        with self._stage() as stage, stage.bench.database() as database:
            first, second, third, *_ = stage.bench.tenants
            stage.commit(stage.work(first, [forward("a", INSERT_ONE), forward("b"), forward("c'--")]))
            stage.commit(stage.work(second, [forward("b")]))
            found = database.ledgers([first, second, third], delta="a")
            assert {name: list(rows) for name, rows in found.items() if not isinstance(rows, Exception)} == {
                first: [row("a")],
                second: [],
                third: [],
            }
            hostile = database.ledgers([first], delta="c'--")[first]
            assert not isinstance(hostile, Exception)
            assert list(hostile) == [row("c'--")]

    def test_ledger_when_read_ahead_of_a_commit_then_its_rows_and_nobody_is_held_up(self) -> None:
        """What a session gives, if anything, is the ledger; somebody who writes in between is not overwritten."""
        with self._stage() as stage, stage.bench.database() as database:
            first, second, *_ = stage.bench.tenants
            session = database.session(database.lane(first))
            try:
                assert not session.ledger(first, lock_timeout_ms=LOCK_TIMEOUT_MS)
                stage.commit(stage.work(first, [forward("a", INSERT_ONE)]))
                taken = stage.work(first, [back("a", DELETE_ONE)])
                held = session.ledger(first, lock_timeout_ms=LOCK_TIMEOUT_MS)
                assert held is None or list(held) == [row("a")]
                session.commit([taken], lock_timeout_ms=LOCK_TIMEOUT_MS)
                assert stage.agrees(first) == EMPTY_HEAD
                late = stage.work(first, [forward("b")])
                session.ledger(first, lock_timeout_ms=LOCK_TIMEOUT_MS)
                stage.commit(stage.work(first, [forward("a", INSERT_ONE)]))
                staleness(session.commit, [late], lock_timeout_ms=LOCK_TIMEOUT_MS)
                session.ledger(first, lock_timeout_ms=LOCK_TIMEOUT_MS)
                session.commit([stage.work(second, [forward("b")])], lock_timeout_ms=LOCK_TIMEOUT_MS)
                assert stage.ledger(first) == [row("a")]
                assert stage.ledger(second) == [row("b")]
            finally:
                session.close()

    def test_commit_when_a_row_is_replaced_then_the_former_is_in_the_history(self) -> None:
        """A delta that is applied anew leaves no trace of the former row but in the history."""
        with self._stage() as stage:
            stage.commit(stage.work(stage.tenant, [forward("a", INSERT_ONE)]))
            anew = msgspec.structs.replace(row("a"), digest="f" * 64, reverse="")
            stage.commit(stage.work(stage.tenant, [Move(Way.APPLY, anew, (Piece(INSERT_TWO),), replaces=True)]))
            assert stage.ledger(stage.tenant) == [anew]
            assert stage.history(stage.tenant) == [(Way.APPLY, row("a"))]
            stage.agrees(stage.tenant)

    def test_commit_when_several_moves_then_all_in_their_order(self) -> None:
        """One transaction takes a tenant over several deltas, both ways."""
        with self._stage() as stage:
            stage.commit(stage.work(stage.tenant, [forward("a", INSERT_ONE), forward("b", RENAME_ONE)]))
            assert stage.notes(stage.tenant) == [(1, "uno")]
            assert stage.ledger(stage.tenant) == [row("a"), row("b")]
            stage.commit(stage.work(stage.tenant, [back("b", RENAME_BACK), back("a", DELETE_ONE)]))
            assert [old for _, old in stage.history(stage.tenant)] == [row("b"), row("a")]
            assert stage.agrees(stage.tenant) == EMPTY_HEAD

    def test_commit_when_ddl_shares_the_transaction_then_it_comes_and_goes_with_the_ledger(self) -> None:
        """Where DDL is transactional, a failure takes back what it made; elsewhere it is refused before anything."""
        with self._stage() as stage:
            fails = forward("a", "CREATE TABLE others (id INTEGER)", "INSERT INTO nowhere VALUES (1)")
            assert refusal(stage.commit, stage.work(stage.tenant, [fails])).cause is Cause.REFUSED
            assert stage.ledger(stage.tenant) == []
            stage.bench.run(stage.tenant, "CREATE TABLE others (id INTEGER)")

    def test_commit_when_the_ledger_is_another_then_stale_and_nothing_changed(self) -> None:
        """What somebody else did in between is not overwritten; a repeat of the same work is just that."""
        with self._stage() as stage:
            for tenant in stage.bench.tenants:
                work = stage.work(tenant, [forward("a", INSERT_ONE)])
                stage.commit(work)
                for late in (work, msgspec.structs.replace(work, moves=(forward("b", INSERT_TWO),))):
                    assert tenant in staleness(stage.commit, late)
                assert stage.ledger(tenant) == [row("a")]
                assert stage.notes(tenant) == [(1, "one")]
                stage.agrees(tenant)

    def test_commit_when_the_row_to_reverse_is_another_then_stale_and_nothing_changed(self) -> None:
        """An equal head is not enough: the reverse that is about to run came from another row."""
        with self._stage() as stage:
            stage.commit(stage.work(stage.tenant, [forward("a", INSERT_ONE)]))
            stage.commit(stage.work(stage.tenant, [back("a", DELETE_ONE)]))
            other = msgspec.structs.replace(row("a"), reverse="DELETE FROM notes WHERE id = 2;", run="run:other")
            stage.commit(stage.work(stage.tenant, [Move(Way.APPLY, other, (Piece(INSERT_TWO),))]))
            staleness(stage.commit, stage.work(stage.tenant, [back("a", DELETE_ONE)], rows=[row("a")]))
            assert stage.ledger(stage.tenant) == [other]
            assert stage.notes(stage.tenant) == [(2, "two")]

    def test_commit_when_the_second_piece_fails_then_nothing_was_done(self) -> None:
        """A failure leaves a tenant as it was, and the session fit for the next."""
        with self._stage() as stage, stage.bench.database() as database:
            session = database.session(database.lane(stage.tenant))
            work = stage.work(stage.tenant, [forward("a", INSERT_ONE, "INSERT INTO nowhere VALUES (1)")])
            error = refusal(session.commit, [work], lock_timeout_ms=LOCK_TIMEOUT_MS)
            assert error.cause is Cause.REFUSED
            assert stage.tenant in error.message
            stage.untouched(stage.tenant)
            good = stage.work(stage.tenant, [forward("a", INSERT_ONE)])
            session.commit([good], lock_timeout_ms=LOCK_TIMEOUT_MS)
            session.close()
            assert stage.ledger(stage.tenant) == [row("a")]

    def test_commit_when_the_second_move_fails_then_nothing_of_the_first(self) -> None:
        """The transaction is the work's, not the move's."""
        with self._stage() as stage:
            moves = [forward("a", INSERT_ONE), forward("b", "INSERT INTO notes VALUES (1, 'again')")]
            refusal(stage.commit, stage.work(stage.tenant, moves))
            stage.untouched(stage.tenant)

    def test_commit_when_two_tenants_fail_alike_then_their_reasons_are_equal(self) -> None:
        """So that a thousand failures can be told as one."""
        with self._stage() as stage:
            reasons = {
                refusal(stage.commit, stage.work(name, [forward("a", "DELETE FROM nowhere")])).reason
                for name in stage.bench.tenants
            }
            assert len(reasons) == 1
            assert all(name not in reasons.pop() for name in stage.bench.tenants[:1])

    def test_commit_when_several_works_then_all_or_none(self) -> None:
        """Where one transaction takes several tenants, one that fails keeps back the others."""
        with self._stage() as stage, stage.bench.database() as database:
            first, second, third, *_ = stage.bench.tenants
            works = [stage.work(name, [forward("a", INSERT_ONE)]) for name in (first, second, third)]
            session = database.session(database.lane(first))
            if database.batch_limit is not None and database.batch_limit < len(works):
                raises(ValueError, session.commit, works, lock_timeout_ms=LOCK_TIMEOUT_MS)
            else:
                bad = [*works[:2], stage.work(third, [forward("a", "DELETE FROM nowhere")])]
                assert third in refusal(session.commit, bad, lock_timeout_ms=LOCK_TIMEOUT_MS).message
                stale = [*works[:2], msgspec.structs.replace(works[2], before=Head(7, "0" * 64))]
                assert third in staleness(session.commit, stale, lock_timeout_ms=LOCK_TIMEOUT_MS)
                for name in (first, second, third):
                    stage.untouched(name)
                session.commit(works, lock_timeout_ms=LOCK_TIMEOUT_MS)
                assert [stage.agrees(name) for name in (first, second, third)] == [works[0].after] * 3
            session.close()

    def test_commit_each_when_one_fails_then_those_before_it_are_done_and_those_behind_not_begun(self) -> None:
        """Each has a transaction of its own, and what became of it is told."""
        with self._stage() as stage, stage.bench.database() as database:
            tenants = stage.bench.tenants[:3]
            session = database.session(database.lane(tenants[0]))
            first = [stage.work(name, [forward("a", INSERT_ONE)]) for name in tenants]
            assert each(session, first) == [None] * 3
            assert [stage.agrees(name) for name in tenants] == [first[0].after] * 3
            more = [stage.work(name, [forward("b", INSERT_TWO)]) for name in tenants]
            bad = stage.work(tenants[1], [forward("b", "DELETE FROM nowhere")])
            *done, error = each(session, [more[0], bad, more[2]])
            assert done == [None]
            assert isinstance(error, DatabaseError)
            assert (error.cause, tenants[1] in error.message) == (Cause.REFUSED, True)
            stale = msgspec.structs.replace(more[1], before=Head(7, "0" * 64))
            *done, error = each(session, [stale, more[2]])
            assert done == []
            assert isinstance(error, StaleError)
            assert tenants[1] in error.message
            assert [len(stage.ledger(name)) for name in tenants] == [2, 1, 1]
            assert [len(stage.notes(name)) for name in tenants] == [2, 1, 1]
            assert each(session, more[1:]) == [None] * 2
            session.close()

    def test_commit_when_a_guard_refuses_then_its_words_and_nothing_changed(self) -> None:
        """A guard sees what the pieces before it did, and its text is the message."""
        with self._stage() as stage:
            for mark in (GUARD, LOSS_GUARD):
                guarded = Piece(INSERT_TWO, before=(f"{mark} SELECT {_IF_NOTES}",))
                move = Move(Way.APPLY, row("a"), (Piece(INSERT_ONE), guarded))
                error = raises(GuardError, stage.commit, stage.work(stage.tenant, [move]))
                assert str(error) == "there are notes"
                assert ("--accept-data-loss" in error.hint) == (mark is LOSS_GUARD)
                stage.untouched(stage.tenant)

    def test_commit_when_guards_say_nothing_then_they_let_pass(self) -> None:
        """NULL, an empty text and no row go on."""
        with self._stage() as stage:
            silent = tuple(f"{GUARD} SELECT {what}" for what in (_IF_NOTES, "''", "body FROM notes"))
            move = Move(Way.APPLY, row("a"), (Piece(INSERT_ONE, before=silent),))
            stage.commit(stage.work(stage.tenant, [move]))
            assert stage.notes(stage.tenant) == [(1, "one")]

    def test_commit_when_pieces_give_reverses_then_the_last_comes_first(self) -> None:
        """``undo`` sees the tenant before its statement, ``late_undo`` after it; each comes before the earlier ones."""
        with self._stage() as stage:
            pieces = (
                Piece(INSERT_ONE, undo=counted("1 before")),
                Piece(INSERT_TWO, undo=counted("2 before"), late_undo=counted("2 after")),
                Piece("DELETE FROM notes", undo="''", after=("INSERT INTO notes VALUES (3, 'last')",)),
            )
            given = msgspec.structs.replace(row("a"), reverse=HOSTILE)
            stage.commit(stage.work(stage.tenant, [Move(Way.APPLY, given, pieces)]))
            told = "2 after: some;2 before: some;1 before: none;" + HOSTILE
            assert stage.ledger(stage.tenant) == [msgspec.structs.replace(given, reverse=told)]
            assert stage.notes(stage.tenant) == [(3, "last")]

    def test_table_sizes_when_asked_then_each_table_as_where_it_is_largest(self) -> None:
        """Of several tenants' tables the largest is told, and none of pdelta's own; who is gone has none."""
        with self._stage() as stage:
            small, large, _ = stage.bench.tenants
            stage.commit(stage.work(small, [forward("a", INSERT_ONE)]))
            stage.bench.run(large, INSERT_MANY)
            every, alone = stage.sizes(*stage.bench.tenants), stage.sizes(small)
            assert set(every) == set(alone) == {"notes"}
            assert min(every["notes"].rows, every["notes"].bytes / 10) >= MANY_NOTES * 0.8
            assert alone["notes"].rows < MANY_NOTES
            stage.bench.drop(large)
            assert stage.sizes(*stage.bench.tenants)["notes"].rows < MANY_NOTES

    def test_query_when_it_selects_then_rows_and_when_it_writes_then_refused(self) -> None:
        """A question changes nothing, however it is asked."""
        with self._stage() as stage, stage.bench.database() as database:
            tenant = stage.bench.tenants[-1]
            stage.bench.run(tenant, INSERT_ONE)
            session = database.session(database.lane(tenant))
            assert [tuple(one) for one in session.query(tenant, SELECT_NOTES)] == [(1, "one")]
            for text in (INSERT_TWO, "CREATE TABLE others (id INTEGER)", "DROP TABLE notes", "DELETE FROM notes"):
                refusal(session.query, tenant, text)
            assert [tuple(one) for one in session.query(tenant, SELECT_NOTES)] == [(1, "one")]
            session.close()
            assert stage.notes(tenant) == [(1, "one")]

    def test_commit_when_two_race_then_exactly_once(self) -> None:
        """Two runners with the same work: one does it, the other learns of that."""
        with self._stage() as stage:
            for attempt in range(RACES):
                insert = f"INSERT INTO notes VALUES ({attempt}, 'once')"  # noqa: S608 - a number of ours
                work = stage.work(stage.tenant, [forward(f"d{attempt}", insert)])
                start = threading.Barrier(2)
                results: list[Exception | None] = [None, None]
                threads = [
                    threading.Thread(target=stage.race, args=(work, start, results, place)) for place in range(2)
                ]
                for thread in threads:
                    thread.start()
                for thread in threads:
                    thread.join()
                assert sum(result is None for result in results) == 1, results
                loser = next(result for result in results if result is not None)
                assert isinstance(loser, StaleError | DatabaseError), loser
                assert isinstance(loser, StaleError) or loser.cause is Cause.BUSY, loser
                assert len(stage.ledger(stage.tenant)) == attempt + 1
            assert len(stage.notes(stage.tenant)) == RACES
            stage.agrees(stage.tenant)

    def test_commit_when_the_tenant_is_held_then_busy_in_time_and_later_done(self) -> None:
        """Waiting ends when the time is over, and nothing sticks."""
        with self._stage() as stage:
            work = stage.work(stage.tenant, [forward("a", INSERT_ONE)])
            with stage.bench.held(stage.tenant):
                error = within_s(PATIENCE_S, lambda: refusal(stage.commit, work, lock_timeout_ms=SHORT_MS))
                assert error.cause is Cause.BUSY
            stage.untouched(stage.tenant)
            stage.commit(work)
            assert stage.ledger(stage.tenant) == [row("a")]

    def test_commit_when_a_statement_takes_too_long_then_ended_and_nothing_changed(self) -> None:
        """A statement that never ends does not hold the tenant for ever."""
        with self._stage() as stage, stage.bench.database() as database:
            session = database.session(database.lane(stage.tenant))
            work = stage.work(stage.tenant, [forward("a", INSERT_ONE, stage.bench.slow)])
            limits = {"lock_timeout_ms": LOCK_TIMEOUT_MS, "statement_timeout_ms": SHORT_MS}
            for act in (
                lambda: session.commit([work], **limits),
                lambda: session.rehearse([work], [], **limits),
                lambda: session.query(stage.tenant, stage.bench.slow, statement_timeout_ms=SHORT_MS),
            ):
                error = within_s(PATIENCE_S, partial(refusal, act))
                assert error.cause in {Cause.REFUSED, Cause.BUSY}
                stage.untouched(stage.tenant)
            assert session.query(stage.tenant, "SELECT 1") == [(1,)]
            session.close()

    def test_cancel_when_a_statement_runs_then_it_ends_and_nothing_changed(self) -> None:
        """What another thread executes is ended, and its session goes on to serve."""
        with self._stage() as stage, stage.bench.database() as database:
            session = database.session(database.lane(stage.tenant))
            work = stage.work(stage.tenant, [forward("a", INSERT_ONE, stage.bench.slow)])
            with repeatedly(session.cancel):
                within_s(PATIENCE_S, lambda: refusal(session.commit, [work], lock_timeout_ms=LOCK_TIMEOUT_MS))
            stage.untouched(stage.tenant)
            good = stage.work(stage.tenant, [forward("a", INSERT_ONE)])
            session.commit([good], lock_timeout_ms=LOCK_TIMEOUT_MS)
            session.close()
            assert stage.ledger(stage.tenant) == [row("a")]

    def test_commit_when_the_connection_breaks_then_lost_and_a_look_tells(self) -> None:
        """Nobody claims to know what became of it; the tenant is before, and the same command again does it."""
        with self._stage() as stage, stage.bench.database() as database:
            session = database.session(database.lane(stage.tenant))
            work = stage.work(stage.tenant, [forward("a", INSERT_ONE, stage.bench.slow)])
            tries: list[bool] = []

            def cut() -> None:
                tries.append(stage.bench.cut(stage.tenant))
                if len(tries) > 3 and not any(tries):
                    session.cancel()

            with repeatedly(cut):
                error = within_s(PATIENCE_S, lambda: refusal(session.commit, [work], lock_timeout_ms=LOCK_TIMEOUT_MS))
            session.close()
            assert error.cause is (Cause.LOST if any(tries) else Cause.REFUSED)
            stage.untouched(stage.tenant)
            stage.commit(stage.work(stage.tenant, [forward("a", INSERT_ONE)]))
            assert stage.ledger(stage.tenant) == [row("a")]

    def test_commit_when_the_ledger_was_edited_by_hand_then_it_is_believed_over_the_stamp(self) -> None:
        """A stamp may be outdated then, but no transaction goes by it, and the next one sets it right."""
        with self._stage() as stage:
            tenant = stage.tenant
            stage.commit(stage.work(tenant, [forward("a", INSERT_ONE), forward("b", INSERT_TWO)]))
            outdated = stage.work(tenant, [forward("c")])
            stage.bench.run(tenant, "DELETE FROM pdelta_applied WHERE id = 'a'")
            assert stage.ledger(tenant) == [row("b")]
            staleness(stage.commit, outdated)
            stage.commit(stage.work(tenant, [forward("c")]))
            assert stage.ledger(tenant) == [row("b"), row("c")]
            stage.agrees(tenant)
