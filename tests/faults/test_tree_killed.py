"""A real SIGKILL, at named durable writes and at random moments, and again during recovery, on a tree of some size."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from pdelta.testing.failpoints import CrashAt
from tests.faults.test_tree_crash import Pair, Scene, check_push
from tests.fixtures.depth import by_depth
from tests.fixtures.tree_runs import memory_disk
from tests.fixtures.trees import HardLink, Node, Symlink
from tests.properties.test_tree_laws import content

CHILD: Final = str(Path(__file__).with_name("child.py"))
LARGE_BYTES: Final = 64 << 20


def _sizeable() -> Pair:
    """Give two states of some 2,000 files and one of 64 MiB."""
    old: dict[str | bytes, Node] = {}
    new: dict[str | bytes, Node] = {}
    for number in range(40):
        plain = [content(50 + 40 * each, number * 50 + each) for each in range(50)]
        old[f"folder{number}"] = {f"file{each}": data for each, data in enumerate(plain)}
        if number < 36:
            edited = [b"edited" if number % 9 == 0 and each % 10 == 7 else data for each, data in enumerate(plain)]
            name = f"folder{number}" if number > 4 else f"renamed{number}"
            new[name] = {f"file{each}": data for each, data in enumerate(edited)}
    new["added"] = {f"new{each}": content(3000, each) for each in range(200)}
    large = content(LARGE_BYTES, 7)
    old["large"] = large
    new["large"] = large[: 30 << 20] + b"inserted" + large[30 << 20 :]
    old["kind"], new["kind"] = b"file", {"sub": Symlink("../large")}
    old["one"], old["two"] = b"linked", HardLink("one")
    new["one"], new["two"] = b"split", b"linked"
    return Pair(old, new)


@pytest.fixture(scope="module")
def scene() -> Iterator[Scene]:
    with memory_disk() as folder:
        yield Scene(folder, _sizeable())


def start(verb: str, scene: Scene, failpoint: str = "") -> "subprocess.Popen[bytes]":
    command = [sys.executable, CHILD, scene.verb(verb), str(scene.source), str(scene.dest), failpoint]
    return subprocess.Popen(command, stdout=subprocess.PIPE)


def end(child: "subprocess.Popen[bytes]") -> int:
    child.communicate(timeout=120)
    return child.returncode


def kill_after(child: "subprocess.Popen[bytes]", seconds: float) -> int:
    """Kill a process some time after it began to act; it may have ended before."""
    assert child.stdout is not None
    child.stdout.readline()
    time.sleep(seconds)
    os.kill(child.pid, signal.SIGKILL)
    return end(child)


def durable_writes(scene: Scene) -> list[str]:
    """Give ``name:count`` of the first, a middle and the last passing of each fail point of a whole push."""
    seen = CrashAt(0)
    scene.reset()
    scene.push(seen)
    points = []
    for name in dict.fromkeys(seen.names):
        count = seen.names.count(name)
        points += [f"{name}:{each}" for each in sorted({1, (count + 1) // 2, count})]
    return points


def test_push_when_killed_for_real_at_a_durable_write_then_old_or_new(scene: Scene) -> None:
    chance = random.Random(1)
    points = durable_writes(scene)
    assert len(points) > 20
    for point in chance.sample(points, by_depth(brief=2, full=4, soak=len(points))):
        scene.reset()
        assert end(start("push", scene, point)) == -signal.SIGKILL, point
        again = f":{chance.randint(1, 300)}"
        end(start("recover", scene, again))
        check_push(scene, f"{point}, then {again}")


def test_push_when_killed_for_real_at_random_moments_then_old_or_new(scene: Scene) -> None:
    scene.reset()
    begun = time.monotonic()
    assert end(start("push", scene)) == 0
    whole_s = time.monotonic() - begun
    for seed in range(by_depth(brief=1, full=3, soak=60)):
        chance = random.Random(seed)
        scene.reset()
        first = kill_after(start("push", scene), chance.uniform(0.0, whole_s))
        second = kill_after(start(chance.choice(["recover", "push"]), scene), chance.uniform(0.0, whole_s))
        check_push(scene, f"seed {seed}, {first}, {second}")
