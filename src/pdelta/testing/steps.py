"""The part of the contract of databases about deltas that go step by step; ``database`` has the rest."""

import msgspec

from pdelta.databases.base import Move
from pdelta.errors import Cause
from pdelta.sql.ledger import EMPTY_HEAD, Applied, State, Way
from pdelta.sql.piece import Piece
from pdelta.testing.bench import (
    DELETE_ONE,
    INSERT_ONE,
    LOCK_TIMEOUT_MS,
    at_step,
    back,
    forward,
    head_after,
    refusal,
    staleness,
)
from pdelta.testing.rehearsal import RehearsalContract


class StepsContract(RehearsalContract):
    """What every adapter keeps of rows that are journals; ``DatabaseContract`` derives from it."""

    def test_record_when_a_delta_goes_step_by_step_then_the_row_is_its_journal(self) -> None:
        """Each step is durable, and the head that comes back is the ledger's."""
        with self._stage() as stage:
            tenant = stage.bench.tenants[-1]
            steps = [at_step(State.APPLYING, 0), at_step(State.APPLYING, 1), at_step(State.APPLIED, 2)]
            former: Applied | None = None
            for now in steps:
                head = stage.record(tenant, now, former)
                assert stage.ledger(tenant) == [now]
                assert head == head_after([now])
                seen = stage.glance(tenant)
                assert seen.managed
                assert seen.head in ({None, head} if now.state is not State.APPLIED else {head})
                former = now
            assert stage.history(tenant) == []

    def test_commit_when_it_is_a_step_of_a_journal_then_no_trace_of_the_step_before(self) -> None:
        """The history has what left, and not how far a delta got meanwhile."""
        with self._stage() as stage:
            before, after = at_step(State.APPLYING, 0), at_step(State.APPLYING, 1)
            stage.record(stage.tenant, before, None)
            stage.commit(stage.work(stage.tenant, [Move(Way.APPLY, after, (Piece(INSERT_ONE),), replaces=True)]))
            assert (stage.ledger(stage.tenant), stage.history(stage.tenant)) == ([after], [])

    def test_record_when_taken_back_then_the_row_ends_in_the_history(self) -> None:
        """None removes the row; what it said last stays."""
        with self._stage() as stage:
            applied, leaving = at_step(State.APPLIED, 2), at_step(State.REVERSING, 1)
            stage.record(stage.tenant, applied, None)
            stage.record(stage.tenant, leaving, applied)
            assert stage.record(stage.tenant, None, leaving, "run:back", "o'reilly@example") == EMPTY_HEAD
            assert stage.history(stage.tenant) == [(Way.REVERSE, leaving)]
            assert stage.left(stage.tenant) == [("run:back", "o'reilly@example")]
            assert stage.agrees(stage.tenant) == EMPTY_HEAD

    def test_record_when_the_version_before_comes_back_then_the_one_that_goes_is_kept(self) -> None:
        """Nobody sees a ledger that has neither of them."""
        with self._stage() as stage:
            leaving, before = at_step(State.REVERSING, 2), at_step(State.APPLIED, 2)
            before = msgspec.structs.replace(before, digest="e" * 64, run="run:before")
            stage.record(stage.tenant, at_step(State.APPLIED, 2), None)
            stage.record(stage.tenant, leaving, at_step(State.APPLIED, 2))
            stage.record(stage.tenant, before, leaving, "run:back", "o'reilly@example")
            assert stage.history(stage.tenant) == [(Way.REVERSE, leaving)]
            assert stage.left(stage.tenant) == [("run:back", "o'reilly@example")]
            assert stage.ledger(stage.tenant) == [before]

    def test_record_when_an_applied_row_is_begun_anew_then_it_is_kept(self) -> None:
        """The reverse of the former one must not be lost."""
        with self._stage() as stage:
            applied = at_step(State.APPLIED, 2)
            anew = msgspec.structs.replace(at_step(State.APPLYING, 0), digest="e" * 64)
            stage.record(stage.tenant, applied, None)
            stage.record(stage.tenant, anew, applied, "run:anew", "o'reilly@example")
            assert stage.history(stage.tenant) == [(Way.APPLY, applied)]
            assert stage.left(stage.tenant) == [("run:anew", "o'reilly@example")]

    def test_record_when_the_former_row_is_another_then_stale(self) -> None:
        """Two programs that carry on the same delta do not both believe that they do."""
        with self._stage() as stage:
            begun = at_step(State.APPLYING, 0)
            staleness(stage.record, stage.tenant, at_step(State.APPLYING, 1), begun)
            stage.record(stage.tenant, begun, None)
            staleness(stage.record, stage.tenant, begun, None)
            staleness(stage.record, stage.tenant, None, at_step(State.APPLYING, 1))
            assert stage.ledger(stage.tenant) == [begun]

    def test_alone_when_called_then_done_without_the_ledger(self) -> None:
        """One statement, durable by itself; a failure says why."""
        with self._stage() as stage, stage.bench.database() as database:
            tenant = stage.bench.tenants[-1]
            session = database.session(database.lane(tenant))
            session.alone(tenant, "CREATE TABLE others (id INTEGER)", lock_timeout_ms=LOCK_TIMEOUT_MS)
            assert stage.bench.rows(tenant, "SELECT count(*) FROM others") == [(0,)]
            again = "CREATE TABLE others (id INTEGER)"
            error = refusal(session.alone, tenant, again, lock_timeout_ms=LOCK_TIMEOUT_MS)
            assert error.cause is Cause.REFUSED
            session.close()
            assert stage.ledger(tenant) == []

    def test_fingerprint_when_what_bears_a_name_changes_then_another_and_else_the_same(self) -> None:
        """Neither rows nor a ledger of ours change it, nor the session that asks, nor what has other names."""
        with self._stage() as stage:
            for tenant in stage.bench.tenants:
                before, nothing = stage.fingerprint(tenant, "bodies", "notes"), stage.fingerprint(tenant)
                stage.commit(stage.work(tenant, [forward("a", INSERT_ONE)]))
                stage.bench.run(tenant, "CREATE TABLE others (id INTEGER)")
                stage.bench.run(tenant, "CREATE INDEX ids ON others (id)")
                assert stage.fingerprint(tenant, "bodies", "notes") == before
                stage.bench.run(tenant, "CREATE INDEX bodies ON notes (body)")
                after = stage.fingerprint(tenant, "bodies", "notes")
                assert after != before
                stage.commit(stage.work(tenant, [back("a", DELETE_ONE)]))
                assert (stage.fingerprint(tenant, "bodies", "notes"), stage.fingerprint(tenant)) == (after, nothing)
