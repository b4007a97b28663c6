"""The power goes anywhere during a push, a rollback, or the recovery of one: the tree is old or new exactly.

A real process is recorded (``pdelta.testing.recording``), then the disk is laid out as a power loss may
leave it (``pdelta.testing.powerloss`` explains the model), and the next command runs on it. SQLite's files are
recorded and lost like any other. What a record speaks of by inode number, the intent, is rewritten to the
numbers that the laid-out files have; fingerprints in the ledger are not, so contents are read again instead.
"""

import os
import random
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec
import pytest

from pdelta.errors import PdeltaError
from pdelta.formats.intent import decode_intent, encode_intent
from pdelta.testing.powerloss import Data, Loss, Sync, Translate
from pdelta.testing.recording import Recording, is_available, record
from tests.faults.test_tree_crash import PAIRS, Scene, check_push, check_rollback
from tests.fixtures.depth import IN_CI, SOAKING, by_depth
from tests.fixtures.tree_runs import Refused

CHILD: Final = str(Path(__file__).with_name("child.py"))
INTENTS: Final = frozenset({b".pdelta/intent", b".pdelta/intent.new", b".pdelta/intent-backward"})

pytestmark = pytest.mark.skipif(not is_available() and not IN_CI, reason="strace is not installed, or may not trace")


def renumbered(recording: Recording) -> Translate:
    """Give what rewrites the inode numbers of a recorded intent."""

    def translate(path: bytes, data: bytes, number_of: Callable[[int], int]) -> bytes:
        if path not in INTENTS:
            return data
        try:
            intent = decode_intent(data)
        except PdeltaError:
            return data

        def early(real: int) -> int:
            return number_of(recording.numbers.get(real) or recording.later.get(real, 0)) if real else 0

        def late(real: int) -> int:
            return number_of(recording.later.get(real) or recording.numbers.get(real, 0)) if real else 0

        replace = msgspec.structs.replace
        moves = []
        for move in intent.moves:
            both = move.before_inode == move.after_inode
            after = (
                early(move.after_inode) if both and move.after_inode in recording.numbers else late(move.after_inode)
            )
            before = after if both else early(move.before_inode)
            moves.append(replace(move, before_inode=before, after_inode=after))
        return encode_intent(replace(intent, moves=tuple(moves)))

    return translate


def losses(recording: Recording, seed: str, stride: int) -> "list[tuple[int, Loss, Data, random.Random]]":
    """Give moments and ways of losing power: each ``stride``-th moment in a way of its own, or all in all ways.

    A brief run takes a third of them.
    """
    chance = random.Random(seed)
    moments = range(len(recording.steps) + 1)
    stride *= by_depth(brief=3, full=1, soak=1)
    ways = [(loss, data) for loss in Loss for data in Data]
    if SOAKING:
        return [(moment, *way, random.Random(f"{seed}{moment}{way}")) for moment in moments for way in ways]
    begin = chance.randrange(stride)
    return [(moment, *chance.choice(ways), chance) for moment in moments[begin::stride]]


def lose_power(recording: Recording, dest: Path, moment: int, loss: Loss, data: Data, chance: random.Random) -> None:
    """Lay the disk out as it may be found after the power went."""
    if dest.exists():
        shutil.rmtree(dest)
    disk = recording.before.after(recording.steps[:moment], loss, data, chance)
    disk.lay_out(os.fsencode(dest), renumbered(recording))


def run(verb: str, scene: Scene) -> Recording:
    """Record one command in a process of its own."""
    command = [sys.executable, CHILD, scene.verb(verb), str(scene.source), str(scene.dest)]
    recording = record(command, os.fsencode(scene.dest))
    assert recording.status == 0
    return recording


@pytest.fixture(params=sorted(PAIRS))
def scene(request: pytest.FixtureRequest, disk: Path) -> "Scene":
    # Between making a staging folder in a folder of the tree and setting that one's time back is a moment that no
    # sync can close.
    return Scene(disk, PAIRS[request.param], [b"shared"] if request.param == "setgid" else [])


def test_push_when_power_is_lost_anywhere_then_old_or_new(scene: Scene, request: pytest.FixtureRequest) -> None:
    scene.reset()
    recording = run("push", scene)
    found = set()
    for moment, loss, data, chance in losses(recording, request.node.name, 3):
        where = f"after step {moment} {recording.steps[moment - 1 : moment]} {loss} {data}"
        lose_power(recording, scene.dest, moment, loss, data, chance)
        scene.recover()
        found.add(scene.standing(where))
        check_push(scene, where)
    assert found == {"old", "new"}


def test_rollback_when_power_is_lost_anywhere_then_old_or_new(scene: Scene, request: pytest.FixtureRequest) -> None:
    scene.reset(pushed=True)
    recording = run("rollback", scene)
    for moment, loss, data, chance in losses(recording, request.node.name, 7):
        where = f"after step {moment} {recording.steps[moment - 1 : moment]} {loss} {data}"
        lose_power(recording, scene.dest, moment, loss, data, chance)
        check_rollback(scene, where)


def test_recovery_when_power_is_lost_again_then_old_or_new(scene: Scene, request: pytest.FixtureRequest) -> None:
    """The machine comes up, the next command recovers, and the power goes a second time."""
    scene.reset()
    first = run("push", scene)
    chance = random.Random(request.node.name)
    for _ in range(by_depth(brief=2, full=4, soak=40)):
        moment = chance.randrange(len(first.steps) // 2, len(first.steps))
        lose_power(first, scene.dest, moment, chance.choice(list(Loss)), chance.choice(list(Data)), chance)
        second = run("recover", scene)
        for again, loss, data, dice in losses(second, f"{request.node.name}{moment}", 9):
            where = f"after step {moment}, then {again} {second.steps[again - 1 : again]} {loss} {data}"
            lose_power(second, scene.dest, again, loss, data, dice)
            check_push(scene, where)


def test_push_when_power_is_lost_during_the_first_one_then_nothing_or_all(disk: Path) -> None:
    """The state folder and its ledger are new too."""
    scene = Scene(disk, PAIRS["kinds"])
    scene.dest.mkdir()
    recording = run("push", scene)
    for moment, loss, data, chance in losses(recording, "first", 3):
        where = f"after step {moment} {recording.steps[moment - 1 : moment]} {loss} {data}"
        lose_power(recording, scene.dest, moment, loss, data, chance)
        scene.push()
        assert scene.standing(where) == "new", where


def test_push_when_nothing_was_synced_then_power_loss_breaks_it(disk: Path) -> None:
    """The same steps without their syncs: the model must be able to find what syncing prevents."""
    scene = Scene(disk, PAIRS["files"])
    scene.reset()
    recording = run("push", scene)
    reckless = recording._replace(steps=[step for step in recording.steps if not isinstance(step, Sync)])
    broken = 0
    for moment, loss, data, chance in losses(reckless, "reckless", 3):
        lose_power(reckless, scene.dest, moment, loss, data, chance)
        try:
            check_push(scene, "")
        except (AssertionError, PdeltaError, Refused):
            broken += 1
    assert broken
