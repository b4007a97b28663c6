"""Jobs spread over the sessions of their servers: many threads, few connections, the busy ones again at the end.

A lane is a server. Each of its threads has one session and takes what is next; what could not get its locks waits its
turn behind everything else, a little longer each time and by chance, so that two runs don't meet again and again.
"""

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Final

import msgspec

from pdelta.databases.base import Database, Session, worth_sessions
from pdelta.errors import Cause, DatabaseError, PdeltaError
from pdelta.model.fleet import Arrival
from pdelta.model.operation import Standing

_AGAIN: Final = frozenset({Cause.BUSY, Cause.LOST})
_TOLD_S: Final = 0.05
"""How old good news may become: to wake who waits for them at each tenant would cost a tenth of a roll-out."""
_LATER_S: Final = 0.03
"""How long another session waits where there are few jobs: they may be long."""
_BRIEF_S: Final = 0.05
"""How long jobs may take that a session takes at once: for so long a roll-out does not stop where it is halted."""
_GRACE_S: Final = 0.05
"""How long what is under way may take to end by itself before it is cancelled."""
_HEARD_S: Final = 5.0
"""How long it may take to end once it is cancelled."""


class Patience(msgspec.Struct, frozen=True):
    """How long to wait for locks.

    Attributes:
        first_ms: The first time, so that one locked tenant holds up a connection no longer than that.
        lock_timeout_ms: Each time after that, unless a delta says otherwise.
        statement_timeout_ms: How long a statement of a delta may take; 0 for as long as it does.
        attempts: How often in all.
        pause_s: The longest pause after the first attempt; it doubles with each.
    """

    first_ms: int = 10
    lock_timeout_ms: int = 2000
    statement_timeout_ms: int = 0
    attempts: int = 5
    pause_s: float = 0.5

    def timeout_ms(self, attempt: int) -> int:
        """Give how long the attempt of this number, from 0, waits for a lock."""
        return min(self.first_ms, self.lock_timeout_ms) if attempt == 0 else self.lock_timeout_ms


class Job(msgspec.Struct):
    """One tenant's share of the work.

    Attributes:
        number: Its place in what was asked for.
        tenant: Its name.
        attempt: How often it was tried.
        not_before_s: When it may be tried again, on the lanes' clock.
    """

    number: int
    tenant: str
    attempt: int = 0
    not_before_s: float = 0.0


Handle = Callable[[Session, Sequence[Job], int], "Sequence[Arrival | DatabaseError | None]"]
"""Does some jobs on a session; a ``BUSY`` or ``LOST`` error in a job's place puts it off: nothing was changed.

None stands for a job that was not begun, which is never the first. The number is the lock timeout in milliseconds.
"""


class Surroundings(msgspec.Struct, frozen=True):
    """What lanes need of the world.

    Attributes:
        clock: Seconds that only ever grow.
        chance: Gives a number from 0 to 1.
    """

    clock: Callable[[], float]
    chance: Callable[[], float]


class Lanes:
    """Carries jobs of one database out.

    Args:
        database: Whose tenants.
        handle: Does the work.
        finish: Gives the arrival of a job that was not begun, or whose patience ended (with the error then).
        patience: How long to wait for locks.
        batch: How many jobs a session takes at once.
        series: How many it takes at once at most where ``batch`` is 1, as long as they are brief.
        surroundings: Clock, sleep and chance.
    """

    def __init__(
        self,
        database: Database,
        *,
        handle: Handle,
        finish: Callable[[Job, DatabaseError | None], Arrival],
        patience: Patience,
        batch: int,
        series: int = 1,
        surroundings: Surroundings,
    ) -> None:
        """Stand ready; nothing runs yet."""
        self._database = database
        self._handle = handle
        self._finish = finish
        self._patience = patience
        self._batch = batch
        self._series = series if batch == 1 else 1
        self._most = batch
        self._surroundings = surroundings
        self._arrived: queue.SimpleQueue[list[Arrival] | BaseException] = queue.SimpleQueue()
        self._untold: list[Arrival] = []
        self._told_s = 0.0
        self._left = 0
        self._turn = threading.Condition()
        self._waiting: dict[str, deque[Job]] = {}
        self._deferred: dict[str, list[Job]] = {}
        self._under_way: dict[str, int] = {}
        self._serving: dict[str, int] = {}
        self._sessions: list[Session] = []
        self._ended = False
        self._halted: Callable[[], bool] = lambda: False

    def run(self, jobs: Sequence[Job], halted: Callable[[], bool]) -> Iterator[Arrival]:
        """Give one arrival a job as they come; closing the iterator ends what is under way."""
        self._halted = halted
        self._left = len(jobs)
        for job in jobs:
            self._waiting.setdefault(self._database.lane(job.tenant), deque()).append(job)
        threads = []
        for lane, waiting in self._waiting.items():
            self._deferred[lane] = []
            self._under_way[lane] = self._serving[lane] = 0
            for number in range(min(self._database.width(lane), len(waiting))):
                pause_s = 0.0 if number < worth_sessions(len(waiting)) else number * _LATER_S
                thread = threading.Thread(target=self._serve, args=(lane, pause_s), name=f"lane {lane}", daemon=True)
                threads.append(thread)
                thread.start()
        try:
            told = 0
            while told < len(jobs):
                try:
                    arrived = self._arrived.get(timeout=_TOLD_S)
                except queue.Empty:
                    arrived = self._take_untold()
                if isinstance(arrived, BaseException):
                    raise arrived
                told += len(arrived)
                yield from arrived
        finally:
            self._end(threads)

    def _take_untold(self) -> list[Arrival]:
        with self._turn:
            untold, self._untold = self._untold, []
            return untold

    def _end(self, threads: Sequence[threading.Thread]) -> None:
        with self._turn:
            self._ended = True
            sessions = list(self._sessions)
            self._turn.notify_all()
        for thread in threads:
            thread.join(_GRACE_S)
        if not any(thread.is_alive() for thread in threads):
            return
        # Where no thread can be had, the server hears of it when the connections end with the process.
        with suppress(RuntimeError):
            for session in sessions:
                # Each by itself, as a server that has stopped does not hear it.
                threading.Thread(target=session.cancel, name="cancelling", daemon=True).start()
        deadline_s = time.monotonic() + _HEARD_S
        for thread in threads:
            # One that still waits for its server is left behind: what that does yet, the next run sees.
            thread.join(max(0.0, deadline_s - time.monotonic()))

    def _serve(self, lane: str, pause_s: float) -> None:
        if pause_s:
            with self._turn:
                self._turn.wait_for(lambda: self._ended or not self._waiting[lane], pause_s)
                if not self._waiting[lane] and not self._deferred[lane]:
                    return
        session = self._database.session(lane)
        with self._turn:
            self._sessions.append(session)
            self._serving[lane] += 1
        try:
            while jobs := self._take(lane):
                began_s = self._surroundings.clock()
                begun = self._work(session, lane, jobs)
                if self._series > 1 and begun:
                    each_s = max(self._surroundings.clock() - began_s, 1e-6) / begun
                    self._most = max(1, min(2 * self._most, self._series, int(_BRIEF_S / each_s)))
        except BaseException as error:  # noqa: BLE001 - raised again where the arrivals are wanted
            self._arrived.put(error)
        finally:
            session.close()

    def _work(self, session: Session, lane: str, jobs: Sequence[Job]) -> int:
        """Have these jobs done; give how many were begun."""
        if self._halted():
            self._done(lane, jobs, [self._finish(job, None) for job in jobs])
            return 0
        outcomes = self._handle(session, jobs, self._patience.timeout_ms(jobs[0].attempt))
        arrived: list[Arrival] = []
        deferred: list[Job] = []
        unbegun: list[Job] = []
        for job, outcome in zip(jobs, outcomes, strict=True):
            if outcome is None:
                unbegun.append(job)
            elif isinstance(outcome, Arrival):
                arrived.append(outcome)
            elif outcome.cause in _AGAIN and job.attempt + 1 < self._patience.attempts:
                pause = self._patience.pause_s * 2**job.attempt * self._surroundings.chance()
                job.attempt += 1
                job.not_before_s = self._surroundings.clock() + pause
                deferred.append(job)
            else:
                arrived.append(self._finish(job, outcome))
        self._done(lane, jobs, arrived, deferred, unbegun)
        return len(jobs) - len(unbegun)

    def _take(self, lane: str) -> list[Job]:
        """Give what is next, once there is something; nothing where nothing more will come."""
        with self._turn:
            while not self._ended:
                jobs, pause_s = self._next(lane)
                if jobs or (not self._deferred[lane] and not self._under_way[lane]):
                    self._under_way[lane] += len(jobs)
                    return jobs
                self._turn.wait(pause_s)
            return []

    def _next(self, lane: str) -> tuple[list[Job], float | None]:
        """Give jobs that may begin now, else for how long there are none; None for until another one is done."""
        waiting, deferred = self._waiting[lane], self._deferred[lane]
        if waiting:
            share = max(self._batch, len(waiting) // (2 * self._serving[lane]))
            return [waiting.popleft() for _ in range(min(self._most, share, len(waiting)))], None
        if not deferred:
            return [], None
        job = min(deferred, key=lambda one: one.not_before_s)
        pause_s = job.not_before_s - self._surroundings.clock()
        if pause_s > 0 and not self._halted():
            return [], pause_s
        deferred.remove(job)
        return [job], None

    def _done(
        self,
        lane: str,
        jobs: Sequence[Job],
        arrived: Sequence[Arrival],
        deferred: Sequence[Job] = (),
        unbegun: Sequence[Job] = (),
    ) -> None:
        now_s = self._surroundings.clock()
        with self._turn:
            self._under_way[lane] -= len(jobs)
            self._deferred[lane].extend(deferred)
            self._waiting[lane].extendleft(reversed(unbegun))
            self._untold += arrived
            self._left -= len(arrived)
            is_bad = any(arrival.error is not None for arrival in arrived)
            if is_bad or not self._left or now_s - self._told_s >= _TOLD_S:
                self._arrived.put(self._untold)
                self._untold, self._told_s = [], now_s
            self._turn.notify_all()


def standing_of(error: PdeltaError) -> Standing | None:
    """Give where a tenant stands after an error that its transaction ended with; None where that must be looked at."""
    if isinstance(error, DatabaseError) and error.cause in {Cause.LOST, Cause.UNREACHABLE, Cause.MISSING}:
        return None
    return Standing.BEFORE
