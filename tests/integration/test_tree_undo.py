"""Undo data: how long it stays, what may damage it, and what a rollback says when it is gone."""

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from pdelta.errors import ExecutionError, IntegrityError, NeedsOperatorError, PreflightError
from pdelta.formats.history import UndoState
from pdelta.formats.report import CollectReport, Retention
from pdelta.operations.tree import preflight
from pdelta.testing.failpoints import CrashAt, SimulatedCrash
from tests.fixtures.desk import Desk
from tests.fixtures.trees import Directory, File


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Five entries; entry N wrote ``version N`` and a file of its own."""
    desk = Desk(tmp_path)
    for number in range(1, 6):
        desk.write({"a": f"version {number}", f"own{number}": f"{number}" * 1000})
        if number > 1:
            (desk.source / f"own{number - 1}").unlink()
        desk.push(yes=True)
    return desk


def collect(desk: Desk, **limits: object) -> CollectReport:
    with desk.operation() as operation:
        return operation.collect(Retention(**limits))  # type: ignore[arg-type]


def undo_states(desk: Desk) -> list[str]:
    return [entry.undo for entry in desk.history()]


def test_history_when_nothing_was_collected_then_every_state_can_be_reached(desk: Desk) -> None:
    assert undo_states(desk) == [UndoState.KEPT] * 5
    for number in (2, 4, 1, 5, 0):
        done = desk.rollback(number)
        assert (done.refusals, done.fetched_bytes) == ([], 0)
        assert desk.names() == ({"a", f"own{number}"} if number else set())
    entry = desk.history()[-1]
    assert (entry.verb, entry.to, entry.number) == ("rollback", 0, 10)


def test_collect_when_entries_are_limited_then_the_newest_stay(desk: Desk) -> None:
    report = collect(desk, keep=2)
    assert report.entries == (1, 2, 3)
    assert report.freed_bytes > 2000
    assert undo_states(desk) == [UndoState.COLLECTED] * 3 + [UndoState.KEPT] * 2
    assert not (desk.dest / ".pdelta/undo/3").exists()
    done = desk.rollback(2)
    assert done.refusals == ["undo"]
    finding = next(finding for finding in done.findings if finding.blocks)
    assert "own2" in finding.message
    assert "--to 3" in finding.hint
    assert desk.rollback(3).refusals == []
    assert desk.read("a") == "version 3"


def test_collect_when_bytes_are_limited_then_the_oldest_go_and_the_newest_stays(desk: Desk) -> None:
    assert collect(desk, max_bytes=2500).entries == (1, 2, 3)
    assert collect(desk, max_bytes=0).entries == (4,)
    assert undo_states(desk)[-1] == UndoState.KEPT
    assert collect(desk, max_bytes=0, newest=True).entries == (5,)
    assert collect(desk, keep=0, newest=True).entries == ()
    assert desk.changes() == []


def test_collect_when_age_is_limited_then_older_entries_go(desk: Desk) -> None:
    third = desk.history()[2].time_ns
    assert collect(desk, older_than_ns=third).entries == (1, 2)
    assert collect(desk, older_than_ns=1 << 62).entries == (3, 4)


def test_collect_when_undo_data_goes_then_pages_that_nobody_needs_go_too(desk: Desk) -> None:
    # The state before the first entry is needed by no other.
    assert collect(desk, keep=1).pages > 0
    with desk.operation() as operation:
        assert operation.examine() == []
    with pytest.raises(PreflightError, match="collected") as caught:
        desk.rollback(0)
    assert "--to 4" in caught.value.hint
    assert desk.rollback(4).refusals == []


def test_collect_when_a_run_left_staged_content_then_what_it_took_is_counted(desk: Desk) -> None:
    desk.write({"large": "x" * 50_000})
    desk.failpoint = CrashAt(1, "stage.synced")
    with pytest.raises(SimulatedCrash):
        desk.push()
    desk.failpoint = lambda _name: None
    report = collect(desk, keep=10)
    assert report.staged
    assert report.freed_bytes >= 50_000
    assert collect(desk, keep=10) == CollectReport(kept_bytes=report.kept_bytes)


def test_collect_when_the_oldest_that_may_go_is_young_then_later_ones_are_looked_at_too(desk: Desk) -> None:
    assert collect(desk, keep=5).entries == ()
    assert undo_states(desk) == [UndoState.KEPT] * 5


def test_retention_when_many_entries_are_made_then_old_undo_data_stays_while_there_is_room(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(6, 13):
        desk.write({"a": f"version {number}"})
        desk.push()
    assert undo_states(desk) == [UndoState.KEPT] * 12
    from pdelta.operations.tree import retention

    monkeypatch.setattr(retention, "UNDO_SHARE", 0)
    desk.write({"a": "one more"})
    desk.push()
    assert undo_states(desk) == [UndoState.COLLECTED] * 3 + [UndoState.KEPT] * 10


def test_no_undo_when_given_then_the_entry_says_that_it_is_not_reversible(desk: Desk) -> None:
    desk.write({"a": "version 6"})
    done = desk.push(undo=False)
    assert (done.delta.reversible, undo_states(desk)[-1]) == (False, UndoState.NONE)
    assert not (desk.dest / ".pdelta/undo/6").exists()
    refused = desk.rollback()
    assert refused.refusals == ["undo"]
    assert "no earlier state" in next(finding.hint for finding in refused.findings if finding.blocks)
    assert desk.read("a") == "version 6"


def test_limits_when_undo_data_would_break_them_then_the_push_refuses_unless_told_not_to_keep_it(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "UNDO_SHARE", 0)
    desk.write({"a": "version 6"})
    done = desk.push()
    assert done.refusals == ["undo-space"]
    assert desk.read("a") == "version 5"
    assert desk.push(undo=False).refusals == []
    monkeypatch.setattr(preflight, "FREE_SHARE", 100)
    desk.write({"a": "version 7"})
    assert desk.push().refusals == ["undo-space"]


def test_limits_when_undo_data_would_break_one_then_it_is_named_with_what_this_command_can_do(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(preflight, "UNDO_SHARE", 0)
    desk.write({"a": "version 6"})
    (pushed,) = (finding for finding in desk.push().findings if finding.blocks)
    assert pushed.message == "keeping 9 B of undo data would take more than 0 % of the file system, 0 B"
    assert "--no-undo" in pushed.hint
    (rolled,) = (finding for finding in desk.rollback().findings if finding.blocks)
    assert "--no-undo" not in rolled.hint
    monkeypatch.setattr(preflight, "UNDO_SHARE", 20)
    monkeypatch.setattr(preflight, "FREE_SHARE", 100)
    (pushed,) = (finding for finding in desk.push().findings if finding.blocks)
    assert "B free, less than 100 % of the file system, " in pushed.message


# -- damage -------------------------------------------------------------------------------------------------------


def kept_file(desk: Desk, number: int, size: int) -> Path:
    """Find the undo file of an entry by its size."""
    folder = desk.dest / f".pdelta/undo/{number}"
    return next(path for path in folder.rglob("*") if path.is_file() and path.stat().st_size == size)


@pytest.mark.parametrize("damage", ["bit flip", "truncated", "gone"])
def test_undo_data_when_damaged_then_it_is_never_restored_and_the_refusal_names_what_is_possible(
    desk: Desk, damage: str
) -> None:
    path = kept_file(desk, 4, 1000)
    times = path.stat()
    match damage:
        case "bit flip":
            data = bytearray(path.read_bytes())
            data[500] ^= 1
            path.write_bytes(data)
        case "truncated":
            os.truncate(path, 999)
        case _:
            path.unlink()
    if damage != "gone":
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    before = desk.state()
    if damage == "bit flip":
        with pytest.raises(IntegrityError, match="damaged") as caught:
            desk.rollback(3)
        hint = caught.value.hint
    else:
        done = desk.rollback(3)
        assert done.refusals == ["undo"]
        hint = next(finding.hint for finding in done.findings if finding.blocks)
    assert "--to 4" in hint
    assert desk.state() == before
    assert desk.rollback(4).refusals == []
    assert (desk.read("a"), desk.names()) == ("version 4", {"a", "own4"})


def test_undo_data_when_a_writer_held_the_file_open_then_rollback_refuses(desk: Desk) -> None:
    with (desk.dest / "a").open("r+") as writer:
        desk.write({"a": "version 6"})
        desk.push()
        writer.write("SCRIBBLE!")
        writer.flush()
    assert desk.read("a") == "version 6"
    before = desk.state()
    with pytest.raises(IntegrityError, match="damaged") as caught:
        desk.rollback()
    assert "no earlier state" in caught.value.hint
    assert desk.state() == before
    assert desk.changes() == []


def test_undo_data_when_a_writer_damaged_it_and_the_source_has_the_content_then_a_push_brings_it_back(
    desk: Desk,
) -> None:
    old = (desk.source / "a").stat()
    with (desk.dest / "a").open("r+") as writer:
        desk.write({"a": "version 6"})
        desk.push()
        writer.write("SCRIBBLE!")
    desk.write({"a": "version 5"})
    os.utime(desk.source / "a", ns=(old.st_atime_ns, old.st_mtime_ns))
    assert desk.push().fetched_bytes == len("version 5")
    assert desk.read("a") == "version 5"


# -- others who write meanwhile -----------------------------------------------------------------------------------


class EditAt:
    """A fail point that edits the destination once, at a name."""

    def __init__(self, name: str, edit: Callable[[], object], crash: str = "") -> None:
        self._name, self._edit, self._crash, self._done = name, edit, crash, False

    def __call__(self, name: str, /) -> None:
        if name == self._name and not self._done:
            self._done = True
            self._edit()
        if self._crash and name == self._crash and self._done:
            raise SimulatedCrash(name)


@pytest.mark.parametrize("moment", ["stage.record", "stage.file", "stage.synced", "intent.written"])
def test_file_when_edited_on_the_host_during_a_transfer_then_the_edit_survives(desk: Desk, moment: str) -> None:
    def edit() -> None:
        (desk.dest / "a").write_text("edited on the host")

    desk.write({"a": "version 6", "new": "n"})
    desk.failpoint = EditAt(moment, edit)
    with pytest.raises(ExecutionError, match="'a'"):
        desk.push()
    assert desk.read("a") == "edited on the host"
    assert desk.names() == {"a", "own5"}
    assert len(desk.history()) == 5
    assert desk.push().refusals == ["drift"]
    assert desk.push(drift="overwrite").refusals == []
    assert desk.state() == desk.source_state()
    desk.rollback()
    assert desk.read("a") == "edited on the host"


def test_file_when_edited_between_a_kill_and_the_recovery_then_it_is_left_and_named(desk: Desk) -> None:
    desk.write({"a": "version 6", "new": "n"})
    desk.failpoint = CrashAt(1, "intent.written")
    with pytest.raises(SimulatedCrash):
        desk.push()
    desk.failpoint = lambda _name: None
    (desk.dest / "a").write_text("edited on the host")
    with pytest.raises(NeedsOperatorError, match="'a'") as caught:
        desk.push()
    assert caught.value.exit_status == 6
    assert (desk.read("a"), desk.names()) == ("edited on the host", {"a", "new", "own5"})
    assert desk.history()[-1].foreign == (b"a",)
    assert desk.push().refusals == ["drift"]
    assert desk.push(drift="overwrite").refusals == []
    assert desk.state() == desk.source_state()
    assert desk.changes() == []
    desk.rollback()
    assert desk.read("a") == "edited on the host"


def test_push_when_killed_during_its_commit_then_the_next_command_finishes_it(desk: Desk) -> None:
    desk.write({"a": "version 6", "new": "n"})
    desk.failpoint = CrashAt(2, "commit.swap")
    pid = os.fork()
    if pid == 0:
        desk.failpoint = _Kill("intent.written")
        try:
            desk.push()
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL
    desk.failpoint = lambda _name: None
    with desk.operation() as operation:
        report = operation.recover()
    assert (report.found, report.direction, report.number) == ("commit", "forward", 6)
    assert desk.state() == desk.source_state()
    assert desk.changes() == []


class _Kill:
    def __init__(self, name: str) -> None:
        self._name = name

    def __call__(self, name: str, /) -> None:
        if name == self._name:
            os.kill(os.getpid(), signal.SIGKILL)


def _stop_a_move_with_a_new_time(desk: Desk) -> object:
    """Leave a push when its intent is written; give the state before it."""
    desk.write({"old": Directory({"z": File(bytes(range(256)) * 40, mtime_ns=77)}), "stays": "x"})
    desk.push()
    before = desk.state()
    (desk.source / "new").mkdir()
    (desk.source / "old/z").rename(desk.source / "new/z")
    (desk.source / "old").rmdir()
    os.utime(desk.source / "new/z", ns=(88, 88))
    desk.failpoint = CrashAt(1, "intent.written")
    with pytest.raises(SimulatedCrash):
        desk.push(yes=True)
    desk.failpoint = lambda _name: None
    return before


def test_moved_file_when_power_was_lost_after_its_time_and_before_its_rename_then_recovery_moves_it(
    desk: Desk,
) -> None:
    _stop_a_move_with_a_new_time(desk)
    os.utime(desk.dest / "old/z", ns=(88, 88))
    desk.push(yes=True)
    assert desk.state() == desk.source_state()


def test_moved_file_when_power_was_lost_while_its_move_was_taken_back_then_recovery_takes_back_its_time_too(
    desk: Desk,
) -> None:
    before = _stop_a_move_with_a_new_time(desk)
    # All was carried out and something failed; the final time is on the disk, and the rename there and back is not.
    (desk.dest / ".pdelta/intent").rename(desk.dest / ".pdelta/intent-backward")
    os.utime(desk.dest / "old/z", ns=(88, 88))
    with desk.operation() as operation:
        report = operation.recover()
    assert (report.direction, report.foreign) == ("backward", ())
    assert desk.state() == before
    assert desk.changes() == []
