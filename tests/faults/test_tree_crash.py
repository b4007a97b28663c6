"""A crash at every durable write of a local tree, and again at every one of its recovery.

The process is simulated (see ``tests.faults.test_tree_killed`` for real ones): a fail point raises, and
everything that the dead process held is closed. What every next command must find: the tree is the old
or the new state exactly, the history says which, its undo data works, and the same push ends at the new.
"""

import errno
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from pdelta.errors import ExecutionError, FilesystemError
from pdelta.filesystem.commit import Committer
from pdelta.filesystem.safe import Directory as SafeDirectory
from pdelta.filesystem.state import remove as remove_kept
from pdelta.filesystem.syscalls import UnsupportedError
from pdelta.formats.report import Retention
from pdelta.model.failpoint import FailPoint, never
from pdelta.operations.tree import inplace, retention
from pdelta.testing.failpoints import CrashAt, SimulatedCrash
from tests.fixtures.depth import SOAKING, by_depth
from tests.fixtures.tree_runs import difference, numbers, opened, push, roll_back, state_of, troubles
from tests.fixtures.trees import Directory, Fact, File, HardLink, Sparse, Symlink, Tree, build_tree
from tests.properties.test_tree_laws import content

LARGE: Final = content(60_000, 1)
EDITED: Final = LARGE[:20_000] + b"inserted" + LARGE[20_000:]
HUGE: Final = content(inplace.LEAST_BYTES + 150_000, 2)
LINKED: Final = content(inplace.LEAST_BYTES + 100_000, 3)


class Pair(NamedTuple):
    """Two states of one tree, and whether large files are patched on the way."""

    old: Tree
    new: Tree
    inplace: bool = False


PAIRS: Final = {
    "files": Pair(
        {"same": b"s", "edited": LARGE, "gone": b"g", "mode": File(b"m", 0o644), "time": File(b"t", 0o644, 5)},
        {"same": b"s", "edited": EDITED, "new": b"n", "mode": File(b"m", 0o444), "time": File(b"t", 0o644, 6)},
    ),
    "kinds": Pair(
        {"a": b"file", "b": {"in": b"folder", "deep": {"er": LARGE}}, "c": Symlink("a"), "d": {"x": b"x"}, "e": b"e"},
        {"a": {"in": b"new folder"}, "b": b"file", "c": b"file", "d": Symlink("nowhere"), "e": Symlink("b")},
    ),
    "moves": Pair(
        {"from": {"one": LARGE, "two": b"2", "sub": {"three": b"3"}}, "file": b"moves", "edit": LARGE + b"1"},
        {
            "to": {"one": LARGE, "two": b"2", "sub": {"three": b"3"}},
            "sub": {"file": File(b"moves", 0o600, 77)},
            "edit2": EDITED,
            "copy": {"one": LARGE, "two": b"2", "sub": {"three": b"3"}},
        },
    ),
    "links": Pair(
        {"a": b"shared", "b": HardLink("a"), "c": HardLink("a"), "alone": b"alone",
         "s": Sparse(200_000, {70_000: b"x"})},
        {"a": b"changed", "b": HardLink("a"), "c": b"split", "alone": b"alone", "d": HardLink("alone"), "f": {}},
    ),
    "folders": Pair(
        {"keep": Directory({"x": b"x"}, 0o555), "drop": Directory({"y": b"y"}, 0o500),
         "moved": Directory({"z": b"z"}, 0o555)},
        {"keep": Directory({"x": b"X", "n": b"n"}, 0o750), "else": Directory({"z": b"z"}, 0o555),
         "new": Directory({}, 0o555)},
    ),
    "setgid": Pair(
        {"shared": Directory({"x": b"x", "sub": {"y": b"y"}}, 0o2775), "plain": b"p"},
        {"shared": Directory({"x": b"changed", "sub": b"file", "more": {"m": b"m"}}, 0o2775), "plain": b"q"},
    ),
    "patches": Pair(
        {"huge": HUGE, "a": LINKED, "in": {"b": HardLink("a")}, "small": b"s", "gone": b"g"},
        {
            "huge": HUGE[:9000] + b"patch" + HUGE[9005:400_000] + bytes(40_000) + HUGE[440_000:] + b"longer",
            "a": b"first" + LINKED[5:-70_000], "in": {"b": HardLink("a")}, "small": b"S", "new": b"n",
        },
        inplace=True,
    ),
}  # fmt: skip


class Scene:
    """A source in its new state, a destination in the old one, both dumped."""

    def __init__(self, folder: Path, pair: Pair, untimed: Sequence[bytes] = ()) -> None:
        """Build it once; ``reset`` gives the destination back. Times of ``untimed`` paths are not looked at."""
        self._untimed = untimed
        self.inplace = pair.inplace
        self.source, self.dest = folder / "new", folder / "dest"
        self._pristine = folder / "pristine"
        old = build_tree(folder / "old", Directory(pair.old).entries)
        build_tree(self.source, pair.new)
        push(old, self._pristine)
        push(self.source, folder / "expected")
        self.old, self.new = self._dump(old), self._dump(self.source)
        shutil.rmtree(folder / "expected")

    def reset(self, *, pushed: bool = False) -> None:
        """Begin again; ``pushed`` with the push done."""
        if self.dest.exists():
            shutil.rmtree(self.dest)
        shutil.move(self._copy(), self.dest)
        if pushed:
            self.push()

    def verb(self, verb: str) -> str:
        """Give a verb as the child process takes it."""
        return "patch" if verb == "push" and self.inplace else verb

    def push(self, failpoint: FailPoint = never) -> None:
        """Bring the destination to the new state, as the pair says."""
        push(self.source, self.dest, failpoint, inplace=self.inplace)

    def _copy(self) -> Path:
        spare = self._pristine.with_name("spare")
        # A copy has other inodes, so its fingerprints are looked at anew; hard links must stay links.
        subprocess.run(["cp", "-a", str(self._pristine), str(spare)], check=True)
        return spare

    def standing(self, where: str) -> str:
        """Say which state the tree is in; it is an error if neither."""
        found = self._dump(self.dest)
        if found == self.new:
            return "new"
        assert difference(found, self.old) == {}, (where, "to new:", difference(found, self.new))
        return "old"

    def _dump(self, folder: Path) -> dict[bytes, object]:
        facts = state_of(folder)
        for path in self._untimed:
            fact = facts.get(path)
            facts[path] = fact._replace(mtime_ns=0) if isinstance(fact, Fact) else fact
        return facts

    def recover(self, failpoint: FailPoint = never) -> None:
        """Do what the next command does first."""
        with opened(self.dest, failpoint=failpoint) as operation:
            operation.recover()


def crash_twice(
    scene: Scene,
    act: Callable[[FailPoint], object],
    again: Callable[[FailPoint], object],
    check: Callable[[str], None],
    *,
    pushed: bool,
    stride: int,
) -> int:
    """Crash at every durable write, and for each at every ``stride``-th of the next command; give how many.

    A brief run crashes at every fourth.
    """
    first = done = 0
    while True:
        first += 1 if first == 0 else by_depth(brief=4, full=1, soak=1)
        second = 0
        while True:
            second += 1 if second == 0 else stride
            scene.reset(pushed=pushed)
            outer, inner = CrashAt(first), CrashAt(second)
            with suppress(SimulatedCrash):
                act(outer)
            if not outer.crashed:
                return done
            with suppress(SimulatedCrash):
                again(inner)
            done += 1
            check(f"crash {first} at {outer.names[-1]}, then {second} at {(inner.names or ['nothing'])[-1]}")
            if not inner.crashed:
                break


@pytest.fixture(params=sorted(PAIRS))
def scene(request: pytest.FixtureRequest, disk: Path) -> Scene:
    return Scene(disk, PAIRS[request.param])


def check_push(scene: Scene, where: str) -> None:
    """After a cut-off push: recovery, history, undo data, and the same push again."""
    scene.recover()
    standing = scene.standing(where)
    assert numbers(scene.dest) == ([1, 2] if standing == "new" else [1]), where
    scene.push()
    assert scene.standing(where) == "new", where
    assert numbers(scene.dest) == [1, 2], where
    assert troubles(scene.dest) == [], where
    roll_back(scene.dest)
    assert scene.standing(where) == "old", where
    assert troubles(scene.dest) == [], where


def test_push_when_killed_twice_at_each_durable_write_then_old_or_new(scene: Scene) -> None:
    done = crash_twice(
        scene,
        scene.push,
        scene.recover,
        lambda where: check_push(scene, where),
        pushed=False,
        stride=1 if SOAKING else 23,
    )
    assert done > by_depth(brief=5, full=20, soak=20)


def test_push_when_killed_and_pushed_again_at_each_durable_write_then_old_or_new(scene: Scene) -> None:
    """The next command is the same push, which dies too."""
    crash_twice(
        scene,
        scene.push,
        scene.push,
        lambda where: check_push(scene, where),
        pushed=False,
        stride=3 if SOAKING else 53,
    )


def check_rollback(scene: Scene, where: str) -> None:
    """After a cut-off rollback."""
    scene.recover()
    standing = scene.standing(where)
    assert numbers(scene.dest) == ([1, 2, 3] if standing == "old" else [1, 2]), where
    if standing == "new":
        roll_back(scene.dest)
    assert scene.standing(where) == "old", where
    assert troubles(scene.dest) == [], where
    roll_back(scene.dest)
    assert scene.standing(where) == "new", where
    assert troubles(scene.dest) == [], where


def test_rollback_when_killed_twice_at_each_durable_write_then_old_or_new(scene: Scene) -> None:
    crash_twice(
        scene,
        lambda failpoint: roll_back(scene.dest, failpoint=failpoint),
        scene.recover,
        lambda where: check_rollback(scene, where),
        pushed=True,
        stride=1 if SOAKING else 23,
    )


@pytest.mark.parametrize("name", ["files", "kinds"])
def test_push_when_names_cannot_be_exchanged_and_killed_then_old_or_new(
    name: str, disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three steps stand for one call where a file system has no ``RENAME_EXCHANGE``."""

    def refuse(*_arguments: object) -> None:
        raise UnsupportedError(errno.EINVAL, "no exchange")

    monkeypatch.setattr(SafeDirectory, "exchange", refuse)
    scene = Scene(disk, PAIRS[name])
    crash_twice(
        scene,
        scene.push,
        scene.recover,
        lambda where: check_push(scene, where),
        pushed=False,
        stride=2 if SOAKING else 5,
    )


def test_push_when_killed_during_the_first_one_then_nothing_is_lost(disk: Path) -> None:
    """The folder, its state and its ledger are new too; what stood there before stays."""
    scene = Scene(disk, PAIRS["kinds"])
    for existing in (False, True):
        crash = CrashAt(1)
        while True:
            shutil.rmtree(scene.dest, ignore_errors=True)
            if existing:
                build_tree(scene.dest, {"mine": b"kept", "a": {"in": b"new folder"}})
            with suppress(SimulatedCrash):
                scene.push(crash)
            if not crash.crashed:
                break
            scene.push()
            assert (scene.dest / "mine").exists() is existing
            assert set(state_of(scene.dest)) == set(scene.new) | ({b"mine"} if existing else set())
            assert numbers(scene.dest) == [1]
            assert troubles(scene.dest) == []
            crash = CrashAt(crash.seen + 1)
        assert crash.seen > 10


def test_push_when_a_call_fails_half_way_then_reversed_exactly(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """And a process that dies while it takes back what failed is finished by the next command."""
    calls = [0, 0]
    real = Committer._look

    def fail(committer: Committer, path: bytes) -> object:
        calls[0] += 1
        if calls[0] == calls[1]:
            raise PermissionError(errno.EPERM, "refused by the test")
        return real(committer, path)

    monkeypatch.setattr(Committer, "_look", fail)
    for calls[1] in range(1, 200, by_depth(brief=12, full=4, soak=1)):
        for second in (0, 1, 2, 4, 8) if SOAKING else (0, 1 + calls[1] % 5):
            scene.reset()
            calls[0] = 0
            crash = CrashAt(0)
            try:
                scene.push(crash)
            except ExecutionError:
                assert scene.standing(f"call {calls[1]}") == "old"
                assert numbers(scene.dest) == [1]
            except FilesystemError:
                # The commit was recorded; what failed is the work after it.
                assert numbers(scene.dest) == [1, 2]
                calls[0] = 1000
                check_push(scene, f"call {calls[1]}, tidying")
                continue
            else:
                return
            backward = crash.names.index("intent.backward")
            if second:
                scene.reset()
                calls[0] = 0
                with suppress(SimulatedCrash, ExecutionError):
                    scene.push(CrashAt(backward + second))
            calls[0] = 1000
            check_push(scene, f"call {calls[1]}, crash {second} later")


def test_collect_when_killed_anywhere_then_done_by_the_next_one(disk: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The tree and its history stay; the space is free in the end."""
    scene = Scene(disk, PAIRS["kinds"])
    removed: list[CrashAt] = []
    real = remove_kept

    def remove(root: SafeDirectory, path: bytes) -> None:
        removed[0]("collect.before")
        real(root, path)
        removed[0]("collect.after")

    monkeypatch.setattr(retention, "remove", remove)
    count = 0
    while True:
        count += 1
        removed[:] = [CrashAt(count)]
        scene.reset(pushed=True)
        roll_back(scene.dest)
        roll_back(scene.dest)
        with suppress(SimulatedCrash), opened(scene.dest, failpoint=removed[0]) as operation:
            operation.collect(Retention(keep=1))
        crashed = removed[0].crashed
        removed[:] = [CrashAt(0)]
        assert scene.standing(f"crash {count}") == "new"
        assert numbers(scene.dest) == [1, 2, 3, 4]
        assert troubles(scene.dest) == []
        with opened(scene.dest) as operation:
            operation.collect(Retention(keep=1))
        assert os.listdir(scene.dest / ".pdelta" / "undo") == ["4"]
        assert troubles(scene.dest) == []
        roll_back(scene.dest)
        assert scene.standing(f"crash {count}") == "old"
        if not crashed:
            break
    assert count > 3
