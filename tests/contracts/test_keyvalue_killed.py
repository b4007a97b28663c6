"""A real SIGKILL at every durable write, and again during recovery."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pdelta.engine.journal import Journal
from pdelta.errors import UsageError
from pdelta.model.failpoint import never
from pdelta.testing.clock import FakeClock
from pdelta.testing.failpoints import CrashAt, KillAt, SimulatedCrash, parse_failpoint
from pdelta.testing.keyvalue import FileDevice, readable

SCRIPT = """
import sys
from pathlib import Path
from pdelta.engine.executor import execute
from pdelta.engine.journal import Journal
from pdelta.engine.planner import plan
from pdelta.engine.recovery import recover
from pdelta.model.target import Target
from pdelta.testing.clock import FakeClock
from pdelta.testing.failpoints import parse_failpoint
from pdelta.testing.keyvalue import KIND, FileDevice, KeyValue, encode_state

folder, failpoint = Path(sys.argv[1]), parse_failpoint(sys.argv[2])
operations = {KIND: KeyValue({"t": FileDevice(folder / "target", failpoint)})}
with Journal(folder / "runs" / "journal.sqlite", clock=FakeClock(), failpoint=failpoint) as journal:
    for run in journal.open_runs():
        recover(run, operations, journal)
    wish = encode_state({b"a": b"new", b"b": b"new"})
    execute(plan(operations, [(Target(KIND, "t"), wish)]), operations, journal, run=f"run:{sys.argv[3]}")
"""
OLD = {b"a": b"old", b"c": b"old"}
NEW = {b"a": b"new", b"b": b"new"}


def run(folder: Path, failpoint: str, name: str) -> int:
    command = [sys.executable, "-c", SCRIPT, str(folder), failpoint, name]
    return subprocess.run(command, check=False, timeout=60).returncode


@pytest.mark.parametrize("second", [1, 2, 4])
def test_execute_when_killed_for_real_twice_then_the_next_command_finishes(tmp_path: Path, second: int) -> None:
    moment, status = 0, -signal.SIGKILL
    while status == -signal.SIGKILL:
        moment += second
        folder = tmp_path / str(moment)
        device = FileDevice(folder / "target")
        for key, value in OLD.items():
            device.put(key, value)
        status = run(folder, f":{moment}", "1")
        run(folder, f":{second}", "2")
        assert run(folder, "", "3") == 0
        assert readable(device.load()) == NEW
        with Journal(folder / "runs" / "journal.sqlite", clock=FakeClock()) as journal:
            assert journal.open_runs() == []
    assert status == 0
    assert moment > 8


def test_parse_failpoint_when_well_formed_then_that_point() -> None:
    assert parse_failpoint("") is never
    assert isinstance(parse_failpoint("journal.flushed:3"), KillAt)
    assert isinstance(parse_failpoint(":1"), KillAt)


@pytest.mark.parametrize("value", ["journal.flushed", "journal.flushed:", "x:0", "x:-1", "x:²"])
def test_parse_failpoint_when_malformed_then_refused(value: str) -> None:
    with pytest.raises(UsageError):
        parse_failpoint(value)


def test_crash_at_when_crashed_then_every_later_pass_crashes_too() -> None:
    failpoint = CrashAt(2, "b")
    failpoint("a")
    failpoint("b")
    with pytest.raises(SimulatedCrash):
        failpoint("b")
    with pytest.raises(SimulatedCrash):
        failpoint("a")
    assert failpoint.names == ["b", "b"]


def test_clock_when_read_then_it_moves() -> None:
    clock = FakeClock(start_ns=10, step_ns=5)
    assert (clock(), clock()) == (10, 15)
    clock.advance(-20)
    assert clock() == 0
