"""Tenants that rehearse: forward and back in a transaction that is rolled back, so that what would fail is known."""

from collections.abc import Callable, Sequence

import msgspec

from pdelta.databases.base import Database, Glance, Session
from pdelta.errors import Cause, DatabaseError, PdeltaError, UsageError
from pdelta.model.fleet import Arrival
from pdelta.model.operation import Standing
from pdelta.operations.sql.carry import Carrier
from pdelta.operations.sql.lanes import Job
from pdelta.operations.sql.proof import Proof, Trial, take_back, take_back_all, untried
from pdelta.operations.sql.reckon import head_after, remaining
from pdelta.operations.sql.task import Task
from pdelta.operations.sql.work import Limits, Workshop, lock_timeout_ms
from pdelta.sql.ledger import Proved, Way, head_of_rows


class Rehearsal:
    """Handles the jobs of one database: see ``lanes.Handle``.

    Args:
        database: Whose tenants.
        workshop: Makes the moves.
        tasks: By the number of their job.
        carrier: Knows what would be done.
        clock: Seconds, for how long things took.
    """

    def __init__(
        self,
        database: Database,
        workshop: Workshop,
        tasks: Sequence[Task],
        carrier: Carrier,
        clock: Callable[[], float],
    ) -> None:
        """Know what to do."""
        self._database = database
        self._workshop = workshop
        self._tasks = tasks
        self._carrier = carrier
        self._clock = clock

    def handle(self, session: Session, jobs: Sequence[Job], lock_ms: int) -> Sequence[Arrival | DatabaseError]:
        """Do these jobs one by one, and roll each back: what fails now would fail then.

        An arrival's facts say what of the tenant the reverse brings back (``proof``), what it does not (``lost``), and
        why that could not be tried (``untried``).
        """
        tasks = [self._tasks[job.number] for job in jobs]
        together = self._together(session, tasks, lock_ms) if len(tasks) > 1 else None
        return together or [self._rehearsed(session, task, lock_ms) for task in tasks]

    def _together(self, session: Session, tasks: Sequence[Task], lock_ms: int) -> list[Arrival] | None:
        """Try all in one transaction; None where that can't be or fails, so that each is to be tried alone."""
        began = self._clock()
        try:
            trials = [self._trial(session, task) for task in tasks]
            if any(untried(trial.moves) for trial in trials):
                return None
            limits = Limits(lock_timeout_ms(trials[0].moves, lock_ms), self._carrier.statement_ms)
            works = [msgspec.structs.replace(trial.work, asks=tuple(trial.asked)) for trial in trials]
            needed = any(trial.asked for trial in trials)
            told = session.rehearse(works, (), **limits._asdict()) if needed else [()] * len(trials)
            proofs = take_back_all(session, self._workshop, list(zip(trials, told, strict=True)), limits)
        except PdeltaError:
            return None
        took_s = (self._clock() - began) / len(tasks)
        return [_arrival(task, took_s, proof) for task, proof in zip(tasks, proofs, strict=True)]

    def _rehearsed(self, session: Session, task: Task, lock_ms: int) -> Arrival | DatabaseError:
        began = self._clock()
        before = task.told(Standing.BEFORE)
        try:
            proof = self._tried(session, task, lock_ms)
        except PdeltaError as failure:
            if isinstance(failure, DatabaseError) and failure.cause is Cause.BUSY:
                return failure
            return Arrival(task.step, before, touched=False, error=failure)
        return _arrival(task, self._clock() - began, proof)

    def _tried(self, session: Session, task: Task, lock_ms: int) -> Proof | None:
        """Go forward and back; give what came back, None where nothing is applied.

        Raises:
            PdeltaError: Going forward fails, or can't be tried.
        """
        trial = self._trial(session, task)
        moves = trial.moves
        limits = Limits(lock_timeout_ms(moves, lock_ms), self._carrier.statement_ms)
        # Who gets there and back gets there: only where a reverse is not known yet, or that fails, is it tried alone.
        proof = take_back(session, self._workshop, trial, (), limits) if not trial.asked else None
        if proof is not None and not (proof.fails or proof.reason):
            return proof
        (told,) = session.rehearse([trial.work], trial.asked, **limits._asdict())
        if all(move.way is Way.REVERSE for move in moves):
            return None
        return proof or take_back(session, self._workshop, trial, told, limits)

    def _trial(self, session: Session, task: Task) -> Trial:
        """Give what a tenant is to try.

        Raises:
            UsageError: It can't be tried in a transaction.
            PdeltaError: It can't be read.
        """
        rows = self._carrier.look(task.tenant)
        had = {row.id: row for row in rows}
        moves = remaining(rows, task.moves)
        made = [self._carrier.move(session, move, had.get(move.id), task, found=False) for move in moves]
        is_transactional = self._database.transactional
        pieces = [piece for one in made for piece in one.pieces]
        if any(move.alone for move in moves) or (not is_transactional and self._workshop.commits(pieces)):
            raise UsageError(f"{task.tenant}: what runs without a transaction can't be rehearsed")
        return Trial(
            task.tenant,
            moves,
            tuple(made),
            head_of_rows(rows),
            head_after(rows, moves),
            task.glance or Glance(managed=bool(rows), head=None),
            is_transactional,
        )


def _arrival(task: Task, duration_s: float, proof: Proof | None) -> Arrival:
    facts: dict[str, object] = {"duration_s": duration_s}
    if proof is not None:
        fails = (f"the reverse fails: {proof.fails}",) if proof.fails else ()
        facts["proof"] = _told(proof)
        facts["lost"] = (*fails, *proof.differences, *proof.rows)
        facts["untried"] = proof.reason
    return Arrival(task.step, task.told(Standing.BEFORE), touched=False, facts=facts)


def _told(proof: Proof) -> str:
    if proof.keeps_rows:
        return Proved.ROWS.value
    return Proved.SCHEMA.value if proof.holds and not proof.rows else ""
