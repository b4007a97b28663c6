"""One tenant, or a batch of them, brought where a delta ends: what to do is decided from the ledger, on one session."""

import threading
from collections.abc import Callable, Sequence
from itertools import takewhile, zip_longest
from typing import Final

import msgspec

from pdelta.databases.base import Database, Glance, Move, Session, Work
from pdelta.errors import Cause, DatabaseError, GuardError, NeedsOperatorError, PdeltaError, StaleError
from pdelta.formats.sql_moves import PlannedMove
from pdelta.model.fleet import Arrival
from pdelta.model.operation import Standing
from pdelta.model.run import Direction
from pdelta.operations.sql.lanes import Job, standing_of
from pdelta.operations.sql.reckon import head_after, left, remaining, standing
from pdelta.operations.sql.stamped import edited_by_hand, lacking
from pdelta.operations.sql.task import Task
from pdelta.operations.sql.versions import along, history_of
from pdelta.operations.sql.work import CHECK, Workshop, lock_timeout_ms, segments
from pdelta.sql.ledger import Applied, Proved, State, Way, head_of_rows

_RIGHT_A_WRONG: Final = 16
"""To read a ledger takes a sixteenth of what it takes to find that it is another, and to do the work again."""
_READ_AHEAD: Final = 100
"""Ledgers that are read at once: a round trip for a hundred costs little more than one, and rows may be large."""


class Carrier:
    """Handles the jobs of one database: see ``lanes.Handle``.

    Args:
        database: Whose tenants.
        workshop: Makes the moves.
        tasks: By the number of their job.
        clock: Seconds, for how long things took.
        shares: Whether several jobs that are handled at once share a transaction.
        statement_ms: How long a statement of a delta may take; 0 for as long as it does.
    """

    def __init__(
        self,
        database: Database,
        workshop: Workshop,
        tasks: Sequence[Task],
        clock: Callable[[], float],
        *,
        shares: bool = False,
        statement_ms: int = 0,
    ) -> None:
        """Know what to do."""
        self._database = database
        self._workshop = workshop
        self._tasks = tasks
        self._clock = clock
        self._shares = shares
        self.statement_ms = statement_ms
        self._reading = threading.Lock()
        self._right = 0
        self._wrong = 0

    def handle(self, session: Session, jobs: Sequence[Job], lock_ms: int) -> Sequence[Arrival | DatabaseError | None]:
        """Do these jobs: in one transaction where that is asked for and can be, else each in its own, or only some."""
        tasks = [self._tasks[job.number] for job in jobs]
        if not (len(jobs) == 1 and self._read_beside(session, tasks[0], lock_ms)):
            self._read_ahead(jobs)
        outcomes: Sequence[Arrival | DatabaseError | None] = ()
        try:
            if len(tasks) > 1 and not self._shares:
                outcomes = self._in_turn(session, tasks, lock_ms)
            else:
                together = self._together(session, tasks, lock_ms) if len(tasks) > 1 else None
                outcomes = together or [self._one(session, task, lock_ms) for task in tasks]
            return outcomes
        finally:
            for task, outcome in zip_longest(tasks, outcomes):
                if outcome is not None:
                    # What was read becomes old, and thousands of ledgers are large.
                    task.rows = None

    def look(self, tenant: str) -> Sequence[Applied]:
        """Read one ledger.

        Raises:
            DatabaseError: It can't be read.
        """
        with self._reading:
            rows = self._database.ledgers([tenant]).get(tenant, ())
        if isinstance(rows, Exception):
            raise rows
        return rows

    def move(self, session: Session, planned: PlannedMove, row: Applied | None, task: Task, *, found: bool) -> Move:
        """Give the move that one tenant makes.

        Args:
            session: On the tenant's lane.
            planned: As it was planned.
            row: The tenant's of that delta; None for none.
            task: What is to happen there.
            found: Whether its effect was there already, so that it is only recorded.

        Raises:
            PdeltaError: The tenant's row can't be taken back.
        """
        if found:
            return self._workshop.recording(planned)
        if planned.way is Way.APPLY:
            move = self._workshop.applying(planned)
            if row is not None and planned.former and not planned.pieces:
                # The same delta, edited: what takes it back stays what was recorded when it was applied.
                kept = msgspec.structs.replace(row, digest=planned.digest)
                move = msgspec.structs.replace(move, row=kept)
            elif planned.id in task.proved:
                move = msgspec.structs.replace(move, row=msgspec.structs.replace(move.row, proof=Proved.ROWS.value))
            return move
        if row is None:
            raise PdeltaError(f"{task.tenant} has no row of {planned.id} to take back")
        self._refuse_foreign(planned, row, task)
        if planned.former or planned.through:
            return self._workshop.restoring(planned, *_versions(session, task.tenant, planned, row), task.tenant)
        return self._workshop.reversing(planned, row, task.tenant)

    def _read_beside(self, session: Session, task: Task, lock_ms: int) -> bool:
        """Read the ledger that a task needs on the session that will write it; say whether that was to be done so."""
        if not self._lacks_rows(task):
            return True
        try:
            task.rows = session.ledger(task.tenant, lock_timeout_ms=lock_timeout_ms(task.moves, lock_ms))
        except DatabaseError:
            # Looked at again, which says why.
            task.rows = ()
        return task.rows is not None

    def _read_ahead(self, jobs: Sequence[Job]) -> None:
        """Read the ledgers that these jobs need, and those of the next ones, many a round trip."""
        with self._reading:
            if not any(self._lacks_rows(self._tasks[job.number]) for job in jobs):
                return
            first = min(job.number for job in jobs)
            last = max(first + _READ_AHEAD, *(job.number + 1 for job in jobs), 0)
            self._read([task for task in self._tasks[first:last] if self._lacks_rows(task)])

    def _read(self, tasks: Sequence[Task]) -> None:
        found = self._database.ledgers([task.tenant for task in tasks])
        for task in tasks:
            rows = found.get(task.tenant, ())
            # One that can't be read is looked at again when its turn comes, and says why then.
            task.rows = () if isinstance(rows, Exception) else rows

    def _lacks_rows(self, task: Task) -> bool:
        return task.needs_rows and task.rows is None and not self._goes_by_likely(task)

    def _goes_by_likely(self, task: Task) -> bool:
        """Say whether the ledger is taken for one that was read, of a tenant that has the same.

        Tenants that got a delta in one run have equal rows. The transaction compares them, and where they differ, the
        ledger is read after all; where that happens too often, they are read first.
        """
        often = self._wrong * _RIGHT_A_WRONG > self._right + _RIGHT_A_WRONG
        return _is_guessed(task) and not often

    def _judge(self, guesses: int, *, is_right: bool) -> None:
        with self._reading:
            self._right += guesses * is_right
            self._wrong += guesses * (not is_right)

    def _known_work(self, session: Session, task: Task) -> Work | None:
        """Give what one transaction does, where what was seen already tells all of it; None where it does not."""
        glance, rows = task.glance, task.rows or ()
        if glance is None or glance.head != task.start or self._steps(task):
            return None
        if self._goes_by_likely(task):
            rows = task.likely
        elif task.needs_rows and head_of_rows(rows) != task.start:
            return None
        had = {row.id: row for row in rows}
        try:
            made = [self.move(session, move, had.get(move.id), task, found=False) for move in task.moves]
        except PdeltaError:
            return None
        return Work(task.tenant, task.start, task.goal, tuple(made), glance)

    def _together(self, session: Session, tasks: Sequence[Task], lock_ms: int) -> list[Arrival] | None:
        """Do all in one transaction; None where that can't be or failed, and nothing was changed."""
        works = [work for task in tasks if (work := self._known_work(session, task))]
        if len(works) < len(tasks):
            return None
        began = self._clock()
        try:
            self._execute(session, works, lock_timeout_ms(tasks[0].moves, lock_ms))
        except PdeltaError as error:
            if isinstance(error, DatabaseError) and error.cause is Cause.LOST:
                return [self._after_loss(task, error) for task in tasks]
            guessed = [task for task in tasks if _is_guessed(task)]
            if not guessed or not _may_be_of_rows(error):
                return None
            # One of them may have other rows, which cost the whole batch.
            self._judge(len(guessed), is_right=False)
            with self._reading:
                self._read(guessed)
            return self._together(session, tasks, lock_ms)
        self._judge(sum(map(_is_guessed, tasks)), is_right=True)
        took = {"duration_s": (self._clock() - began) / len(tasks), "batch": len(tasks)}
        return [Arrival(task.step, task.told(Standing.AFTER), facts=took) for task in tasks]

    def _in_turn(self, session: Session, tasks: Sequence[Task], lock_ms: int) -> list[Arrival | DatabaseError | None]:
        """Do each in its own transaction, as many as go without looking; None for those that were not begun."""
        wait_ms = lock_timeout_ms(tasks[0].moves, lock_ms)
        alike = takewhile(lambda task: lock_timeout_ms(task.moves, lock_ms) == wait_ms, tasks)
        works: list[Work] = []
        # Another lane may read ledgers meanwhile.
        guessed = [_is_guessed(task) for task in tasks]
        for task in alike:
            work = self._known_work(session, task)
            if work is None:
                break
            works.append(work)
        if not works:
            return [self._one(session, tasks[0], lock_ms), *[None] * (len(tasks) - 1)]
        began = self._clock()
        outcomes = session.commit_each(works, lock_timeout_ms=wait_ms, statement_timeout_ms=self.statement_ms)
        took = {"duration_s": (self._clock() - began) / len(outcomes)}
        told: list[Arrival | DatabaseError | None] = []
        for task, error, is_guess in zip(tasks, outcomes, guessed, strict=False):
            if error is None:
                self._judge(is_guess, is_right=True)
                told.append(Arrival(task.step, task.told(Standing.AFTER), facts=took))
            else:
                told.append(self._one(session, task, lock_ms, failed=(error, is_guess)))
        return told + [None] * (len(tasks) - len(outcomes))

    def _one(
        self, session: Session, task: Task, lock_ms: int, *, failed: tuple[PdeltaError, bool] | None = None
    ) -> Arrival | DatabaseError:
        """Do one; where its transaction failed already, by rows that were guessed or not, go on from there."""
        began = self._clock()
        try:
            facts = self._carry(session, task, lock_ms, failed)
        except DatabaseError as error:
            if error.cause is Cause.BUSY:
                return error
            arrival = self._after_loss(task, error)
            # A connection that broke before anything happened is worth another one.
            return error if error.cause is Cause.LOST and arrival.standing is task.told(Standing.BEFORE) else arrival
        except PdeltaError as error:
            return self._failed(task, error)
        if facts is None:
            return Arrival(task.step, task.told(Standing.AFTER), touched=False)
        return Arrival(task.step, task.told(Standing.AFTER), facts={"duration_s": self._clock() - began, **facts})

    def _carry(
        self, session: Session, task: Task, lock_ms: int, failed: tuple[PdeltaError, bool] | None
    ) -> dict[str, object] | None:
        """Do what is left; give facts about it, None where nothing was left."""
        is_guess, work = failed[1] if failed else _is_guessed(task), None
        try:
            if failed:
                raise failed[0]
            work = self._known_work(session, task)
            if work is not None:
                self._execute(session, [work], lock_timeout_ms(task.moves, lock_ms))
                self._judge(is_guess, is_right=True)
                return {}
        except StaleError:
            # Somebody was here since, or it has other rows: the ledger itself tells what is left.
            pass
        except (GuardError, DatabaseError) as error:
            # What was tried may be what another tenant's row says.
            is_check = isinstance(error, GuardError) and CHECK in error.message
            if not is_check and not (is_guess and _may_be_of_rows(error)):
                raise
        if failed or work is not None:
            self._judge(is_guess, is_right=False)
            # Nor is it a good guess for the next attempt.
            task.likely = ()
        return self._carry_on(session, task, lock_ms)

    def _carry_on(
        self, session: Session, task: Task, lock_ms: int, *, is_held: bool = False
    ) -> dict[str, object] | None:
        """Do what the ledger says is left; give facts about it, None where nothing was left."""
        rows = list(self.look(task.tenant))
        where = standing(rows, task.moves)
        if where is Standing.AFTER:
            self._refuse_edited(rows, task)
            ids = {move.id for move in task.moves}
            # Another run's, or this one's of which the record was lost.
            return {} if any(row.run == self._workshop.run for row in rows if row.id in ids) else None
        if where is Standing.FOREIGN:
            raise NeedsOperatorError(
                f"{task.tenant} has another version of what this plan is about; it was not touched",
                hint="compare it: pdelta sql status",
            )
        if where is Standing.BEFORE and head_of_rows(rows) != task.start:
            raise StaleError(
                f"{task.tenant} was changed by another run since this one was calculated; nothing was changed there",
                hint="run the same command again",
            )
        left = remaining(rows, task.moves)
        had = {row.id: row for row in rows}
        for move in left:
            self._refuse_foreign(move, had.get(move.id), task)
        if where is Standing.BEFORE:
            self._refuse_irreversible(session, rows, left, task)
        parts = list(segments(left, transactional=self._database.transactional))
        if not is_held and not all(together for together, _ in parts):
            with session.hold(task.tenant, lock_timeout_ms=lock_timeout_ms(task.moves, lock_ms)):
                # Another run may have been there meanwhile.
                return self._carry_on(session, task, lock_ms, is_held=True)
        facts: dict[str, object] = {}
        for together, moves in parts:
            if together:
                rows = self._commit(session, task, moves, rows, lock_ms, facts)
            else:
                rows = self._step_by_step(session, task, moves[0], rows, lock_ms, facts)
        return facts

    def _refuse_edited(self, rows: Sequence[Applied], task: Task) -> None:
        """Refuse to take for done what no ledger says was done: that a row is gone which was to be taken back.

        Raises:
            NeedsOperatorError: It is gone by hand.
        """
        had = {row.id for row in rows}
        gone = [move.id for move in task.moves if move.way is Way.REVERSE and move.id not in had]
        if not gone:
            return
        with self._reading:
            is_edited = edited_by_hand(self._database, {task.tenant: rows})
        if is_edited:
            raise lacking(task.tenant, gone)

    def _refuse_foreign(self, move: PlannedMove, row: Applied | None, task: Task) -> None:
        """Refuse to take back, where a run takes itself back, what is not of that run.

        Raises:
            PdeltaError: Another one has applied it.
        """
        is_back = task.direction is Direction.REVERSE and move.way is Way.REVERSE and not move.former
        if is_back and row is not None and row.state is State.APPLIED and row.run != self._workshop.run:
            raise PdeltaError(
                f"{task.tenant} has {row.id} from {row.run or 'elsewhere'}, which this run does not take back;"
                " nothing was changed there",
                hint=f"take back what this one did: pdelta sql rollback --run {self._workshop.run}",
            )

    def _refuse_irreversible(
        self, session: Session, rows: Sequence[Applied], moves: Sequence[PlannedMove], task: Task
    ) -> None:
        """Refuse what can't come back before anything else does, where no transaction would take that back.

        Raises:
            PdeltaError: A delta among them can't be taken back.
        """
        had = {row.id: row for row in rows}
        for move in moves:
            row = had.get(move.id)
            if move.way is Way.REVERSE and row is not None and (row.irreversible or move.through):
                self.move(session, move, row, task, found=False)

    def _step_by_step(
        self,
        session: Session,
        task: Task,
        move: PlannedMove,
        rows: Sequence[Applied],
        lock_ms: int,
        facts: dict[str, object],
    ) -> list[Applied]:
        """Make one move a statement at a time; give the ledger's rows then."""
        if move.way is Way.APPLY and all(row.id != move.id for row in rows):
            failing = next((text for text in move.check if not self._holds(session, task.tenant, text)), "")
            if failing and self._is_there(session, task.tenant, move):
                facts["found"] = [move.id]
                found = self._workshop.recording(move).row
                session.record(task.tenant, found, former=None, glance=Glance(managed=bool(rows), head=None))
                return [*rows, found]
            if failing:
                raise GuardError(f"{task.tenant}: {move.id}: {CHECK}: {failing}; nothing was changed there")
        from pdelta.operations.sql.stepwise import Stepwise  # few deltas are, and it brings what tells where they stand

        stepwise = Stepwise(
            self._database,
            self._workshop,
            session,
            tenant=task.tenant,
            rows=rows,
            lock_ms=lock_timeout_ms([move], lock_ms),
            statement_ms=self.statement_ms,
        )
        row = next((row for row in rows if row.id == move.id), None)
        if move.way is Way.REVERSE and (move.former or move.through) and row is not None:
            going, former = _versions(session, task.tenant, move, row)
            return stepwise.carry(move, going[1:], former)
        return stepwise.carry(msgspec.structs.replace(move, check=()))

    def _execute(self, session: Session, works: Sequence[Work], wait_ms: int) -> None:
        session.commit(works, lock_timeout_ms=wait_ms, statement_timeout_ms=self.statement_ms)

    def _is_there(self, session: Session, tenant: str, move: PlannedMove) -> bool:
        """Say whether the effect of a delta whose check refused is there already, by its verify."""
        try:
            return bool(move.verify) and all(self._holds(session, tenant, text) for text in move.verify)
        except DatabaseError as error:
            if error.cause is not Cause.REFUSED:
                raise
            # It asks for what the delta would have made: that the check refused is what is wrong.
            return False

    def _holds(self, session: Session, tenant: str, text: str) -> bool:
        answer = session.query(tenant, self._workshop.holds(text), statement_timeout_ms=self.statement_ms)
        return bool(answer and answer[0][0])

    def _commit(
        self,
        session: Session,
        task: Task,
        moves: Sequence[PlannedMove],
        rows: Sequence[Applied],
        lock_ms: int,
        facts: dict[str, object],
    ) -> list[Applied]:
        """Make these moves in one transaction; give the ledger's rows then."""
        wait_ms = lock_timeout_ms(moves, lock_ms)
        had = {row.id: row for row in rows}
        glance = task.glance or Glance(managed=bool(rows), head=None)
        found: set[str] = set()
        while True:
            made = [self.move(session, move, had.get(move.id), task, found=move.id in found) for move in moves]
            work = Work(task.tenant, head_of_rows(rows), head_after(rows, moves), tuple(made), glance)
            try:
                self._execute(session, [work], wait_ms)
                break
            except GuardError as error:
                settled = self._settled(session, task, moves, error)
                if settled is None or settled in found:
                    raise
                found.add(settled)
        if found:
            facts["found"] = sorted(found)
        for one in made:
            if one.way is Way.APPLY:
                had[one.row.id] = one.row
            else:
                had.pop(one.row.id, None)
        return list(had.values())

    def _settled(self, session: Session, task: Task, moves: Sequence[PlannedMove], error: GuardError) -> str | None:
        """Give the delta whose check refused because its effect is there already, as its verify says; None for none."""
        for move in moves:
            if move.way is Way.APPLY and f"{move.id}: {CHECK}" in error.message:
                return move.id if self._is_there(session, task.tenant, move) else None
        return None

    def _after_loss(self, task: Task, error: DatabaseError) -> Arrival:
        """Look where a tenant stands whose connection broke, or whose statement failed."""
        where = standing_of(error)
        if where is not None and not self._steps(task):
            return Arrival(task.step, task.told(where), error=error)
        return self._looked_at(task, error)

    def _failed(self, task: Task, error: PdeltaError) -> Arrival:
        if self._steps(task):
            return self._looked_at(task, error)
        if isinstance(error, NeedsOperatorError):
            return Arrival(task.step, Standing.FOREIGN, touched=False, error=error)
        return Arrival(task.step, task.told(Standing.BEFORE), touched=False, error=error)

    def _looked_at(self, task: Task, error: PdeltaError) -> Arrival:
        try:
            rows = self.look(task.tenant)
            where = standing(rows, task.moves)
        except PdeltaError:
            return Arrival(task.step, None, error=error)
        if where is Standing.AFTER and isinstance(error, NeedsOperatorError):
            # The ledger says so, and is what a person must see to.
            return Arrival(task.step, Standing.FOREIGN, touched=False, error=error)
        if where is Standing.BETWEEN and not isinstance(error, NeedsOperatorError):
            error.leaves(left(rows, task.moves))
        return Arrival(task.step, task.told(where), error=None if where is Standing.AFTER else error)

    def _steps(self, task: Task) -> bool:
        """Say whether this work can stop half-way."""
        if not self._database.transactional or any(move.alone for move in task.moves):
            return True
        return len(task.moves) > 1 and any(move.apart for move in task.moves)


def _is_guessed(task: Task) -> bool:
    """Say whether what is done in a tenant is done by rows that were read elsewhere, if it is not looked at first."""
    is_unread = task.needs_rows and task.rows is None
    # What replaced another is taken back by the history, too.
    return is_unread and bool(task.likely) and not any(move.former or move.through for move in task.moves)


def _versions(
    session: Session, tenant: str, planned: PlannedMove, row: Applied
) -> tuple[Sequence[Applied], Applied | None]:
    """Give the versions of a repeatable delta that go, the newest first, and the one that comes back; None for none."""
    digests = (*planned.through, *filter(None, [planned.former]))
    older = along(row, digests, history_of(session, tenant, planned.id), tenant)
    going = (row, *older[: len(planned.through)])
    return going, older[-1] if planned.former else None


def _may_be_of_rows(error: PdeltaError) -> bool:
    """Say whether a failure may come of what the tenant's own row does not say."""
    return isinstance(error, StaleError | GuardError) or (
        isinstance(error, DatabaseError) and error.cause is Cause.REFUSED
    )
