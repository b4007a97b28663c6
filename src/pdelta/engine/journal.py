"""How far did this attempt get: an append-only database kept with the operator.

The executor, rollback and recovery write it through ``RunLog``; nothing else
does. ``docs/formats/journal.md`` is the specification.
"""

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from types import TracebackType
from typing import Final, Self

import msgspec

from pdelta.engine.claim import Claims
from pdelta.engine.runlog import RunLog
from pdelta.errors import FilesystemError, FormatError, IntegrityError, LockedError, PdeltaError, UsageError
from pdelta.formats.journal import APPLICATION_ID, VERSION, decode_record, link
from pdelta.formats.plan import decode_plan, encode_plan
from pdelta.model.failpoint import FailPoint, never
from pdelta.model.plan import Plan
from pdelta.model.run import RUN_PREFIX, AnyRecord, Direction, Opened, RunPhase, RunState
from pdelta.sqlite import sqlite3

_BUSY_TIMEOUT_S: Final = 10.0

_SCHEMA: Final = f"""
BEGIN IMMEDIATE;
CREATE TABLE plans (id TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE runs (
    number INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    plan TEXT NOT NULL REFERENCES plans (id)
);
CREATE TABLE records (
    run INTEGER NOT NULL REFERENCES runs (number),
    position INTEGER NOT NULL,
    body BLOB NOT NULL,
    link BLOB NOT NULL,
    PRIMARY KEY (run, position)
) WITHOUT ROWID;
CREATE TABLE ends (run INTEGER PRIMARY KEY REFERENCES runs (number), phase TEXT NOT NULL);
CREATE TRIGGER records_are_final BEFORE UPDATE ON records BEGIN SELECT RAISE(ABORT, 'records are final'); END;
CREATE TRIGGER runs_are_final BEFORE UPDATE ON runs BEGIN SELECT RAISE(ABORT, 'runs are final'); END;
CREATE TRIGGER plans_are_final BEFORE UPDATE ON plans BEGIN SELECT RAISE(ABORT, 'plans are final'); END;
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {VERSION};
COMMIT;
"""


class RunSummary(msgspec.Struct, frozen=True):
    """One line about a run.

    Attributes:
        id: The run.
        opened: Its first record.
        phase: Where it ended; None while it is open.
    """

    id: str
    opened: Opened
    phase: RunPhase | None


class Journal:
    """Runs, their plans and their records, in one SQLite file.

    Closing drops whatever was not flushed. A run of one step costs two durable
    commits; the file is closed without a checkpoint, which would cost three
    more syncs (measured with strace: 2 to 3 syncs against 6).

    Args:
        path: The database; it and its folder are made when missing. (A plain string
            inside: importing ``pathlib`` costs 5 ms of start-up, measured.)
        clock: Nanoseconds since the epoch.
        durable: Whether a flush survives power loss, or only the process.
        failpoint: Passed after each durable write.

    Raises:
        IntegrityError: The database is damaged.
        FormatError: It is no journal, or one of another version.
        FilesystemError: It cannot be opened.
        LockedError: Others kept it busy for ten seconds.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        clock: Callable[[], int],
        durable: bool = True,
        failpoint: FailPoint = never,
    ) -> None:
        """Open the database."""
        self._path = path = os.path.abspath(path)
        self._clock = clock
        self._failpoint = failpoint
        self._claims = Claims(f"{path}.lock")
        with _translated(path):
            _make_folder(os.path.dirname(path))
            self._database = sqlite3.connect(path, timeout=_BUSY_TIMEOUT_S, isolation_level=None)
        try:
            with _translated(path):
                self._prepare(durable=durable)
        except BaseException:
            self._database.close()
            raise

    def __enter__(self) -> Self:
        """Use the journal."""
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def open_run(
        self,
        run: str,
        plan: Plan,
        *,
        direction: Direction = Direction.EXECUTE,
        of: str = "",
        who: str = "",
        note: str = "",
    ) -> RunLog:
        """Begin a run; it is durable with its first flush.

        Raises:
            UsageError: The id does not begin with ``run:``.
            LockedError: The run is being carried on elsewhere.
        """
        if not run.startswith(RUN_PREFIX):
            text = f"{run!r} is no run id: it must begin with {RUN_PREFIX!r}"
            raise UsageError(text)
        earlier = self._notes_of(of) if of else {}
        self._claims.claim(run)
        state = RunState(step.id for step in plan.steps)
        log = self._log(run, plan, state, 0, run.encode(), earlier)
        log.append(Opened(at_ns=self._clock(), run=run, plan=plan.id, direction=direction, of=of, who=who, note=note))
        return log

    def resume(self, run: str) -> RunLog:
        """Carry on a run from its last durable record.

        Raises:
            UsageError: There is no such run.
            LockedError: It is being carried on elsewhere.
            IntegrityError: Its records are damaged.
        """
        self._claims.claim(run)
        try:
            plan, rows = self._rows(run)
            state, records = self._fold(run, plan, rows)
            of = state.opened.of if state.opened else ""
            earlier = self._notes_of(of) if of else {}
        except BaseException:
            self._claims.release(run)
            raise
        return self._log(run, plan, state, len(records), rows[-1][1], earlier)

    def read(self, run: str) -> tuple[Plan, RunState, list[AnyRecord]]:
        """Give a run's plan, state and records without claiming it.

        Raises:
            UsageError: There is no such run.
            IntegrityError: Its records are damaged.
        """
        plan, rows = self._rows(run)
        return plan, *self._fold(run, plan, rows)

    def open_runs(self) -> list[str]:
        """Give the ids of runs that have not ended, oldest first."""
        query = "SELECT id FROM runs WHERE number NOT IN (SELECT run FROM ends) ORDER BY number"
        with _translated(self._path):
            return [id for (id,) in self._database.execute(query)]

    def at_work(self, run: str) -> bool:
        """Say whether another process carries a run on at this moment."""
        try:
            self._claims.claim(run)
        except LockedError:
            return True
        self._claims.release(run)
        return False

    def runs(self) -> Iterator[RunSummary]:
        """Give every run, newest first.

        Raises:
            IntegrityError: A run's first record is damaged.
        """
        query = (
            "SELECT id, body, phase FROM runs JOIN records ON records.run = number AND position = 0 "
            "LEFT JOIN ends ON ends.run = number ORDER BY number DESC"
        )
        with _translated(self._path):
            for id, body, phase in self._database.execute(query):
                opened = decode_record(body)
                if not isinstance(opened, Opened):
                    raise _damaged(self._path, f"{id} does not begin with its opening")
                yield RunSummary(id, opened, RunPhase(phase) if phase else None)

    def close(self) -> None:
        """Let the file and all claims go; what was not flushed is dropped."""
        self._claims.close()
        # The last connection to close would checkpoint; a reader that closes after it cannot.
        with suppress(sqlite3.Error):
            reader = sqlite3.connect(_read_only(self._path), uri=True)
            with closing(reader):
                reader.execute("PRAGMA schema_version").fetchone()
                self._database.close()
        self._database.close()

    def _prepare(self, *, durable: bool) -> None:
        execute = self._database.execute
        _begin_wal(self._database)
        execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
        is_new = execute("PRAGMA application_id").fetchone()[0] == 0
        # Another process may have made it since: what is there shows below.
        if is_new and not execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]:
            self._create()
        if execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
            raise _no_journal(self._path)
        version = execute("PRAGMA user_version").fetchone()[0]
        if version != VERSION:
            text = f"{self._path} is a journal of version {version}; this pdelta knows version {VERSION}"
            older = "let the pdelta that wrote it finish its runs, then move the file away"
            raise FormatError(text, hint=older if version < VERSION else "use the pdelta that wrote it")

    def _create(self) -> None:
        try:
            self._database.executescript(_SCHEMA)
        except sqlite3.OperationalError:
            # Another process made it in the meantime.
            if self._database.in_transaction:
                self._database.execute("ROLLBACK")
            if self._database.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
                raise
        self._failpoint("journal.created")

    def _log(
        self,
        run: str,
        plan: Plan,
        state: RunState,
        position: int,
        previous: bytes,
        earlier: Mapping[str, Sequence[bytes]],
    ) -> RunLog:
        return RunLog(
            run=run,
            plan=plan,
            state=state,
            position=position,
            previous=previous,
            write=self._write,
            release=lambda: self._claims.release(run),
            clock=self._clock,
            earlier_notes=earlier,
        )

    def _write(self, log: RunLog, rows: Sequence[tuple[int, bytes, bytes]]) -> None:
        execute = self._database.execute
        with _translated(self._path):
            try:
                execute("BEGIN IMMEDIATE")
                if rows[0][0] == 0:
                    execute("INSERT OR IGNORE INTO plans VALUES (?, ?)", (log.plan.id, encode_plan(log.plan)))
                    execute("INSERT INTO runs (id, plan) VALUES (?, ?)", (log.run, log.plan.id))
                (number,) = execute("SELECT number FROM runs WHERE id = ?", (log.run,)).fetchone()
                self._database.executemany("INSERT INTO records VALUES (?, ?, ?, ?)", [(number, *row) for row in rows])
                if not log.state.open:
                    execute("INSERT INTO ends VALUES (?, ?)", (number, log.state.phase.value))
                execute("COMMIT")
            except sqlite3.IntegrityError as error:
                text = f"another process has written to {log.run}"
                raise LockedError(text) from error
            finally:
                if self._database.in_transaction:
                    execute("ROLLBACK")
        self._failpoint("journal.flushed")

    def _rows(self, run: str) -> tuple[Plan, list[tuple[bytes, bytes]]]:
        with _translated(self._path):
            found = self._database.execute(
                "SELECT number, plan, body FROM runs LEFT JOIN plans ON plans.id = plan WHERE runs.id = ?", (run,)
            ).fetchone()
            if found is None:
                text = f"{self._path} knows no run {run}"
                raise UsageError(text, hint="check the id and the folder of runs")
            number, plan_id, body = found
            query = "SELECT position, body, link FROM records WHERE run = ? ORDER BY position"
            rows = self._database.execute(query, (number,)).fetchall()
        if not rows or [row[0] for row in rows] != list(range(len(rows))):
            raise _damaged(self._path, f"{run} lacks records")
        plan = self._plan(run, plan_id, body)
        return plan, [(row[1], row[2]) for row in rows]

    def _plan(self, run: str, plan_id: str, body: bytes | None) -> Plan:
        try:
            plan = decode_plan(body or b"")
        except PdeltaError as error:
            raise _damaged(self._path, f"the plan of {run} cannot be read: {error}") from error
        if plan.id != plan_id:
            raise _damaged(self._path, f"{run} names plan {plan_id} and holds {plan.id}")
        return plan

    def _fold(self, run: str, plan: Plan, rows: Sequence[tuple[bytes, bytes]]) -> tuple[RunState, list[AnyRecord]]:
        state = RunState(step.id for step in plan.steps)
        records: list[AnyRecord] = []
        previous = run.encode()
        for body, kept in rows:
            previous = link(previous, body)
            if previous != kept:
                raise _damaged(self._path, f"record {len(records)} of {run} is not what was written")
            record = decode_record(body)
            try:
                state.advance(record)
            except ValueError as error:
                raise _damaged(self._path, f"record {len(records)} of {run}: {error}") from error
            records.append(record)
        return state, records

    def _notes_of(self, run: str) -> dict[str, list[bytes]]:
        _, state, _ = self.read(run)
        return {id: step.notes for id, step in state.steps.items() if step.notes}


def _begin_wal(database: sqlite3.Connection) -> None:
    """Switch to a write-ahead log; while another process does the same, SQLite answers "locked" without waiting."""
    deadline = time.monotonic() + _BUSY_TIMEOUT_S
    while True:
        try:
            database.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.02)
        else:
            return


@contextmanager
def _translated(path: str) -> Iterator[None]:
    """Turn what SQLite and the system raise into what pdelta raises."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF
        if code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
            raise _damaged(path, str(error)) from error
        if code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
            text = f"the journal {path} was kept busy for {_BUSY_TIMEOUT_S:.0f} s: {error}"
            raise LockedError(text, hint="try again once the other process is done") from error
        text = f"the journal {path} cannot be used: {error}"
        raise FilesystemError(text, hint="see to the disk, its free space and its permissions") from error
    except OSError as error:
        text = f"the journal {path} cannot be used: {error.strerror or error}"
        raise FilesystemError(text, hint="see to the disk, its free space and its permissions") from error


def _damaged(path: str, detail: str) -> IntegrityError:
    text = f"the journal {path} is damaged: {detail}"
    hint = "move it aside, then run pdelta recover on each target: targets keep their own records"
    return IntegrityError(text, hint=hint)


def _no_journal(path: str) -> FormatError:
    text = f"{path} is an SQLite file, but no pdelta journal"
    return FormatError(text, hint="name another folder for runs")


def _make_folder(folder: str) -> None:
    """Make the folder of the journal, and its name durable."""
    if os.path.isdir(folder):
        return
    os.makedirs(folder, mode=0o700, exist_ok=True)
    descriptor = os.open(os.path.dirname(folder), os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read_only(path: str) -> str:
    """Give the URI of a connection that cannot write."""
    for special in "%?#":
        path = path.replace(special, f"%{ord(special):02x}")
    return f"file:{path}?mode=ro"
