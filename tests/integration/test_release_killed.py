"""Release mode, killed at each durable write: DEST is the old release or the new one, and the next command finishes."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pdelta.errors import PdeltaError
from pdelta.model.delta import Delta
from pdelta.model.failpoint import never
from pdelta.model.target import Target
from pdelta.operations.tree.release_destination import DestinationOperation
from pdelta.testing.failpoints import CrashAt, KillAt, SimulatedCrash
from tests.fixtures.desk import TARGET, Done, NoNotes, ignoring
from tests.fixtures.release import ReleaseDesk
from tests.fixtures.trees import Fact, tree_state

RULES = ignoring(b"logs/")
LINKS = frozenset({b"logs"})
BIG = os.urandom(20_000)
MOST = 100


def pushed(folder: Path) -> ReleaseDesk:
    """One release is pushed, the application has made an ignored folder in it, and the source moved on."""
    folder.mkdir()
    desk = ReleaseDesk(folder)
    desk.write({"version": "one", "big": BIG, "folder": {"gone": "gone"}})
    desk.push(RULES)
    (desk.dest / "logs").mkdir()
    (desk.dest / "logs" / "log").write_text("log")
    change(desk)
    return desk


def unconverted(folder: Path) -> ReleaseDesk:
    """DEST is a folder that pdelta knows nothing of, and the source has something newer."""
    folder.mkdir()
    desk = ReleaseDesk(folder)
    desk.write_dest({"version": "one", "big": BIG, "folder": {"gone": "gone"}, "logs": {"log": "log"}})
    desk.write({"big": BIG})
    change(desk)
    return desk


def managed(folder: Path) -> ReleaseDesk:
    """DEST is a folder with a history of its own."""
    folder.mkdir()
    desk = ReleaseDesk(folder)
    desk.write({"version": "one", "big": BIG, "folder": {"gone": "gone"}})
    desk.push(RULES, release=False)
    desk.write_dest({"logs": {"log": "log"}})
    change(desk)
    return desk


def holding(folder: Path) -> ReleaseDesk:
    """One release is pushed, with a folder in it that the next push ignores."""
    folder.mkdir()
    desk = ReleaseDesk(folder)
    desk.write({"version": "one", "big": BIG, "folder": {"gone": "gone"}, "logs": {"log": "log"}})
    desk.push()
    change(desk)
    return desk


def change(desk: ReleaseDesk) -> None:
    """Make the source what the next push brings."""
    shutil.rmtree(desk.source / "folder", ignore_errors=True)
    desk.write({"version": "two!", "folder": {"new": "new"}})


def push(desk: ReleaseDesk) -> Done:
    """Push the source; convert where there is need to."""
    return desk.push(RULES, convert=True, delete=True, yes=True, drift="overwrite")


def content(folder: Path) -> dict[bytes, Fact]:
    """Dump what readers see, less what is shared."""
    return {
        path: fact
        for path, fact in tree_state(folder.resolve(), ignore=LINKS).items()
        if fact.kind != "directory" and path not in LINKS
    }


def log(desk: ReleaseDesk) -> str:
    """Give the ignored file, which no switch may lose."""
    return desk.read("logs/log")


def crashes(act: Callable[[CrashAt], ReleaseDesk]) -> Iterator[tuple[ReleaseDesk, str]]:
    """Do something again and again, each time with a crash one durable write later."""
    for count in range(1, MOST):
        failpoint = CrashAt(count)
        try:
            desk = act(failpoint)
        except SimulatedCrash:
            pytest.fail("the crash must be caught where the desk is known")
        desk.failpoint = never
        if not failpoint.crashed:
            assert count > 5
            return
        yield desk, f"{failpoint.names[-1]}, pass {count}"
    pytest.fail(f"more than {MOST} durable writes")


def crash(desk: ReleaseDesk, failpoint: CrashAt, act: Callable[[ReleaseDesk], object]) -> ReleaseDesk:
    """Do something that may crash."""
    desk.failpoint = failpoint
    try:
        act(desk)
    except SimulatedCrash:
        assert failpoint.crashed
    return desk


@pytest.mark.parametrize("start", [pushed, unconverted, managed, holding])
def test_push_when_killed_twice_at_each_durable_write_then_old_or_new_and_the_next_one_finishes(
    tmp_path: Path, start: Callable[[Path], ReleaseDesk]
) -> None:
    model = start(tmp_path / "model")
    old = content(model.dest)
    push(model)
    new = content(model.dest)
    assert old != new

    def act(failpoint: CrashAt) -> ReleaseDesk:
        return crash(start(tmp_path / f"try-{next(numbers)}"), failpoint, push)

    numbers = iter(range(1000))
    for desk, where in crashes(act):
        seen = content(desk.dest)
        assert seen in (old, new), where
        assert log(desk) == "log", where
        again = CrashAt(1)
        crash(desk, again, push)
        assert content(desk.dest) in (old, new), f"{where}, then {again.names}"
        desk.failpoint = never
        push(desk)
        assert (content(desk.dest), log(desk)) == (new, "log"), where
        assert desk.changes() == [], where
        assert (desk.source / "version").stat().st_mtime_ns == (desk.dest / "version").stat().st_mtime_ns
        rolled = desk.rollback()
        assert rolled.facts is not None, where
        assert (content(desk.dest), log(desk)) == (old, "log"), where


@pytest.mark.parametrize("start", [pushed, unconverted, holding])
def test_push_when_killed_and_reversed_then_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start: Callable[[Path], ReleaseDesk]
) -> None:
    model = start(tmp_path / "model")
    old = content(model.dest)
    deltas: list[Delta] = []
    calculate = DestinationOperation.calculate

    def remember(operation: DestinationOperation, target: Target, desired: bytes) -> Delta:
        deltas.append(calculate(operation, target, desired))
        return deltas[-1]

    def act(failpoint: CrashAt) -> ReleaseDesk:
        return crash(start(tmp_path / f"try-{next(numbers)}"), failpoint, push)

    monkeypatch.setattr(DestinationOperation, "calculate", remember)
    numbers = iter(range(1000))
    for desk, where in crashes(act):
        with desk.operation() as operation:
            operation.reverse(deltas[-1], TARGET, NoNotes())
        assert (content(desk.dest), log(desk)) == (old, "log"), where
        push(desk)
        assert (desk.read("version"), log(desk), desk.changes()) == ("two!", "log", []), where


def test_rollback_when_killed_at_each_durable_write_then_the_next_command_finishes(tmp_path: Path) -> None:
    model = pushed(tmp_path / "model")
    push(model)
    new = content(model.dest)
    model.rollback()
    old = content(model.dest)

    def act(failpoint: CrashAt) -> ReleaseDesk:
        desk = pushed(tmp_path / f"try-{next(numbers)}")
        push(desk)
        return crash(desk, failpoint, lambda desk: desk.rollback())

    numbers = iter(range(1000))
    for desk, where in crashes(act):
        assert content(desk.dest) in (old, new), where
        with desk.operation() as operation:
            operation.recover()
            unfinished = operation.describe().unfinished
        assert not unfinished
        assert content(desk.dest) in (old, new), where
        assert desk.changes() == [], where
        if len(desk.history()) == 2:
            desk.rollback()
        assert (content(desk.dest), desk.releases()) == (old, {1, 2}), where


@pytest.mark.parametrize("name", ["release.converted", "release.placed", "release.switched"])
def test_convert_when_really_killed_then_the_next_push_finishes(tmp_path: Path, name: str) -> None:
    desk = unconverted(tmp_path / "try")
    old = content(desk.dest)
    desk.failpoint = KillAt(1, name)
    child = os.fork()
    if child == 0:
        try:
            push(desk)
        finally:
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL
    desk.failpoint = never
    assert (content(desk.dest) == old) == (name != "release.switched")
    assert log(desk) == "log"
    push(desk)
    assert (desk.read("version"), desk.current, desk.changes()) == ("two!", 1, [])


def test_commit_when_it_fails_half_way_then_everything_is_reversed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = unconverted(tmp_path / "try")
    old = content(desk.dest)

    def fail(*_given: object, **_named: object) -> None:
        raise OSError(5, "the disk failed")

    monkeypatch.setattr("pdelta.filesystem.release.Place.switch", fail)
    with pytest.raises(PdeltaError, match="everything that this run did was reversed"):
        push(desk)
    assert (content(desk.dest), log(desk), desk.dest.is_symlink()) == (old, "log", False)
    monkeypatch.undo()
    done = push(desk)
    assert done.fetched_bytes == 0
    assert desk.read("version") == "two!"
