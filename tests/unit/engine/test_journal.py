import os
import sqlite3
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pdelta.engine.claim import Claims
from pdelta.engine.executor import execute
from pdelta.engine.journal import Journal
from pdelta.engine.recovery import recover
from pdelta.errors import FilesystemError, FormatError, IntegrityError, LockedError
from pdelta.model.operation import Standing
from pdelta.model.run import Direction, Finished, Noted, RunPhase, Started, StepPhase
from pdelta.testing.clock import FakeClock
from tests.unit.engine.scripted import Scripted, operations, plan_of

RUN = "run:1"


def reopen(path: Path) -> Journal:
    return Journal(path, clock=FakeClock(), durable=False)


def filled(path: Path, kind: Scripted) -> None:
    with reopen(path) as journal:
        execute(plan_of(kind, "a", "b"), operations(kind), journal, run=RUN)


def test_journal_when_not_flushed_then_forgotten(path: Path, kind: Scripted) -> None:
    with reopen(path) as journal, journal.open_run(RUN, plan_of(kind, "a")):
        pass
    with reopen(path) as journal:
        assert list(journal.runs()) == []


def log_note(at_ns: int) -> Noted:
    return Noted(at_ns=at_ns, step="1", note=b"")


def test_notes_when_recorded_then_read_after_a_restart(path: Path, kind: Scripted) -> None:
    with reopen(path) as journal, journal.open_run(RUN, plan_of(kind, "a")) as log:
        log.started("1", Direction.EXECUTE)
        log.notes("1").record(b"one")
        log.notes("1").record(b"two")
    with reopen(path) as journal, journal.resume(RUN) as log:
        assert log.notes("1").read() == (b"one", b"two")
        log.finished("1", Standing.AFTER)
        log.closed(RunPhase.DONE)
    with (
        reopen(path) as journal,
        journal.open_run("run:2", plan_of(kind, "a"), direction=Direction.REVERSE, of=RUN) as log,
    ):
        log.started("1", Direction.REVERSE)
        log.notes("1").record(b"three")
        assert log.notes("1").read() == (b"one", b"two", b"three")


def test_append_when_the_table_forbids_it_then_refused_and_unchanged(journal: Journal, kind: Scripted) -> None:
    with journal.open_run(RUN, plan_of(kind, "a")) as log:
        with pytest.raises(ValueError, match="cannot be noted"):
            log.append(log_note(0))
        with pytest.raises(ValueError, match="while step '1' is pending"):
            log.closed(RunPhase.DONE)
        log.started("1", Direction.EXECUTE)
    assert journal.open_runs() == [RUN]


def test_records_when_steps_begin_and_finish_alike_then_one_tells_of_all(journal: Journal, kind: Scripted) -> None:
    with journal.open_run(RUN, plan_of(kind, "a", "b", "c", "d")) as log:
        log.started_all(("1", "2", "3"), Direction.EXECUTE)
        log.finished("2", Standing.AFTER, {"batch": 2})
        log.finished("1", Standing.AFTER, {"batch": 2})
        assert {id for id, step in log.state.steps.items() if step.phase is StepPhase.DONE} == {"1", "2"}
        log.finished("3", Standing.AFTER, {"batch": 1})
        log.started("4", Direction.EXECUTE)
        log.finished("4", Standing.BEFORE)
        log.closed(RunPhase.STOPPED)
    _, state, records = journal.read(RUN)
    told = [(type(one), one.steps) for one in records if isinstance(one, Started | Finished)]
    assert told == [
        (Started, ("1", "2", "3")),
        (Finished, ("2", "1")),
        (Finished, ("3",)),
        (Started, ("4",)),
        (Finished, ("4",)),
    ]
    assert [step.facts for step in state.steps.values()] == [{"batch": 2}, {"batch": 2}, {"batch": 1}, {}]
    assert [step.standing for step in state.steps.values()] == [Standing.AFTER] * 3 + [Standing.BEFORE]


def test_record_when_one_of_its_steps_may_not_then_nothing_is_changed(journal: Journal, kind: Scripted) -> None:
    with journal.open_run(RUN, plan_of(kind, "a", "b")) as log:
        log.started("1", Direction.EXECUTE)
        for steps in (("1", "2", "7"), ("2", "2")):
            with pytest.raises(ValueError, match=r"no step '7'|twice"):
                log.started_all(steps, Direction.REVERSE)
        assert [step.phase for step in log.state.steps.values()] == [StepPhase.EXECUTING, StepPhase.PENDING]


def test_flush_when_another_process_wrote_then_locked(path: Path, kind: Scripted) -> None:
    with reopen(path) as journal, journal.open_run(RUN, plan_of(kind, "a")) as log:
        log.started("1", Direction.EXECUTE)
        with reopen(path) as other:
            recover(RUN, operations(kind), other)
        log.finished("1", Standing.AFTER)
        with pytest.raises(LockedError, match="another process"):
            log.flush()
        assert journal.open_runs() == []


def test_claim_when_held_by_another_process_then_locked_until_it_is_killed(tmp_path: Path) -> None:
    script = (
        "import sys; from pdelta.engine.claim import Claims\n"
        "c = Claims(sys.argv[1]); c.claim('run:1'); print('held', flush=True); sys.stdin.read()"
    )
    claims = Claims(os.fspath(tmp_path / "lock"))
    command = [sys.executable, "-c", script, os.fspath(tmp_path / "lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(LockedError, match="run:1"):
            claims.claim("run:1")
        claims.claim("run:2")
        holder.kill()
        holder.wait()
    claims.claim("run:1")
    claims.release("run:1")
    claims.close()


@pytest.mark.parametrize("where", ["header", "middle"])
def test_journal_when_damaged_then_integrity_error_with_a_hint(path: Path, kind: Scripted, where: str) -> None:
    filled(path, kind)
    checkpoint(path)
    data = bytearray(path.read_bytes())
    start = 0 if where == "header" else 4096
    data[start : start + 3000] = os.urandom(3000)
    path.write_bytes(data)
    with pytest.raises(IntegrityError, match="damaged") as caught, reopen(path) as journal:
        journal.read(RUN)
    assert caught.value.exit_status == 66
    assert caught.value.hint


def test_journal_when_cut_short_then_integrity_error(path: Path, kind: Scripted) -> None:
    filled(path, kind)
    checkpoint(path)
    os.truncate(path, 4096 * 2)
    with pytest.raises(IntegrityError), reopen(path) as journal:
        journal.read(RUN)


def test_journal_when_a_torn_tail_in_the_log_then_a_legal_earlier_state(path: Path, kind: Scripted) -> None:
    filled(path, kind)
    wal = path.with_name(path.name + "-wal")
    size = wal.stat().st_size
    whole = wal.read_bytes()
    seen = set()
    for cut in range(0, size, 4120):
        wal.write_bytes(whole[: size - cut])
        path.with_name(path.name + "-shm").unlink(missing_ok=True)
        try:
            with reopen(path) as journal:
                runs = list(journal.runs())
                seen.add(runs[0].phase if runs else "none")
                for run in runs:
                    journal.read(run.id)
        except IntegrityError:
            seen.add("damaged")
    assert {None, RunPhase.DONE} <= seen


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM records WHERE position = 1",
        "DELETE FROM records WHERE position = 0",
        "DELETE FROM plans",
        "DROP TRIGGER records_are_final; UPDATE records SET body = zeroblob(9) WHERE position = 1",
        "DROP TRIGGER plans_are_final; UPDATE plans SET body = zeroblob(9)",
    ],
)
def test_read_when_rows_were_tampered_with_then_integrity_error(path: Path, kind: Scripted, statement: str) -> None:
    filled(path, kind)
    edit(path, statement)
    with reopen(path) as journal, pytest.raises(IntegrityError):
        journal.read(RUN)


@pytest.mark.parametrize("table", ["records", "runs", "plans"])
def test_journal_when_a_row_is_updated_then_the_database_refuses(path: Path, kind: Scripted, table: str) -> None:
    filled(path, kind)
    column = {"records": "position", "runs": "plan", "plans": "body"}[table]
    with pytest.raises(sqlite3.IntegrityError, match="are final"):
        edit(path, f"UPDATE {table} SET {column} = {column}")  # noqa: S608 - names from this file


def test_journal_when_another_application_s_then_refused(path: Path) -> None:
    path.parent.mkdir()
    edit(path, "CREATE TABLE mine (x)")
    with pytest.raises(FormatError, match="no pdelta journal"):
        reopen(path)


def test_journal_when_of_another_version_then_refused_naming_both(path: Path, kind: Scripted) -> None:
    filled(path, kind)
    edit(path, "PRAGMA user_version = 7")
    with pytest.raises(FormatError, match=r"version 7.*version 2") as later:
        reopen(path)
    assert later.value.hint == "use the pdelta that wrote it"
    edit(path, "PRAGMA user_version = 1")
    with pytest.raises(FormatError, match=r"version 1;.*version 2") as earlier:
        reopen(path)
    assert "move the file away" in earlier.value.hint


def test_journal_when_another_process_makes_it_at_the_same_moment_then_it_is_used(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(sqlite3.Connection):
        """Looks what kind of file it is; before it looks closer, somebody makes the journal."""

        def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
            if sql.startswith("SELECT count(*) FROM sqlite_schema"):
                monkeypatch.undo()
                reopen(path).close()
            return super().execute(sql, *values)

    monkeypatch.setattr(sqlite3, "connect", partial(sqlite3.connect, factory=Slow))
    with reopen(path) as journal:
        assert journal.open_runs() == []


def test_journal_when_the_folder_is_a_file_then_filesystem_error(tmp_path: Path) -> None:
    (tmp_path / "runs").write_bytes(b"")
    with pytest.raises(FilesystemError, match="cannot be used"):
        reopen(tmp_path / "runs" / "journal.sqlite")


def test_journal_when_one_step_runs_then_two_durable_writes(path: Path, kind: Scripted) -> None:
    names: list[str] = []
    reopen(path).close()
    with Journal(path, clock=FakeClock(), failpoint=names.append) as journal:
        execute(plan_of(kind, "a"), operations(kind), journal, run=RUN)
    assert names == ["journal.flushed"] * 2


def test_journal_when_closed_then_no_checkpoint(path: Path, kind: Scripted) -> None:
    """The log stays, so that closing costs no sync."""
    filled(path, kind)
    assert path.with_name(path.name + "-wal").stat().st_size > 0
    with reopen(path) as journal:
        assert [run.id for run in journal.runs()] == [RUN]


def edit(path: Path, statements: str) -> None:
    database = sqlite3.connect(path)
    try:
        database.executescript(statements)
        database.commit()
    finally:
        database.close()


def checkpoint(path: Path) -> None:
    edit(path, "PRAGMA wal_checkpoint(TRUNCATE)")


def test_journal_when_two_processes_make_it_at_once_then_both_write(tmp_path: Path) -> None:
    script = (
        "import sys, time\n"
        "from pdelta.engine.executor import execute\n"
        "from pdelta.engine.journal import Journal\n"
        "from tests.unit.engine.scripted import Scripted, operations, plan_of\n"
        "kind = Scripted()\n"
        "with Journal(sys.argv[1], clock=time.time_ns, durable=False) as journal:\n"
        "    execute(plan_of(kind, 'a'), operations(kind), journal, run=sys.argv[2])\n"
    )
    path = tmp_path / "new" / "journal.sqlite"
    root = Path(__file__).parents[3]
    writers = [
        subprocess.Popen([sys.executable, "-c", script, os.fspath(path), f"run:{number}"], cwd=root)
        for number in range(2)
    ]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    with reopen(path) as journal:
        assert {run.id for run in journal.runs()} == {"run:0", "run:1"}
        assert journal.open_runs() == []
