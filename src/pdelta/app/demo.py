"""``pdelta demo``: a push, an edit, a damage, a repair and a rollback on real files, each proved by hashing.

The interpreter's own standard library plays the application; ``demo_fleet`` goes on with databases. Everything happens
in one temporary folder.
"""

import hashlib
import os
import shutil
import stat
import sysconfig
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from pdelta.app.context import Context, Link
from pdelta.app.demo_fleet import FleetStep, run_fleet
from pdelta.app.options import PushOptions, SourceOptions
from pdelta.app.outcome import TreeOutcome
from pdelta.app.push import push_tree
from pdelta.app.rollback import RollbackOptions, roll_back
from pdelta.app.verify import repair_tree, verify_tree

Tell = Callable[[str], None]
STATE: Final = ".pdelta"
_LEFT_OUT: Final = shutil.ignore_patterns("site-packages", "dist-packages", "__pycache__", "config-*", "*.so", "*.a")


class DemoStep(msgspec.Struct, frozen=True):
    """One thing that the demo did.

    Attributes:
        title: What.
        changed_files: How many paths it changed.
        tree_bytes: Size of the whole application; 0 where it plays no part.
        sent_bytes: How much of it was sent.
        duration_s: Wall time.
        proof: What was proved, in words.
        holds: Whether it was.
    """

    title: str
    changed_files: int
    tree_bytes: int
    sent_bytes: int
    duration_s: float
    proof: str
    holds: bool


class DemoReport(msgspec.Struct, frozen=True):
    """What the demo did.

    Attributes:
        steps: With files.
        fleet: With databases.
        proved: Whether all of it was proved.
    """

    steps: tuple[DemoStep, ...]
    fleet: tuple[FleetStep, ...]
    proved: bool


def run_demo(context: Context, tell: Tell) -> DemoReport:
    """Run the tour in a temporary folder, and remove that folder.

    Args:
        context: The command's surroundings; its places are replaced by the temporary folder.
        tell: Shows a line as soon as there is one.

    Raises:
        PdeltaError: Something failed that should not.
    """
    folder = Path(tempfile.mkdtemp(prefix="pdelta-demo-"))
    try:
        places = {name: folder / name for name in ("cache", "state", "runs", "control")}
        surroundings = msgspec.structs.replace(context, **places, hosts={})
        steps = _Tour(folder, surroundings, tell).run()
        fleet = run_fleet(folder / "shop", surroundings, tell)
        proved = all(step.holds for step in steps) and all(step.holds for step in fleet)
        return DemoReport(steps, fleet, proved)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Tour:
    """One run of the demo."""

    def __init__(self, folder: Path, context: Context, tell: Tell) -> None:
        self._context = context
        self._tell = tell
        self._app = folder / "app"
        self._live = folder / "live"
        self._steps: list[DemoStep] = []

    def run(self) -> tuple[DemoStep, ...]:
        library = Path(sysconfig.get_path("stdlib"))
        self._tell(f"The application: Python's standard library, copied from {library}")
        shutil.copytree(library, self._app, symlinks=True, ignore=_LEFT_OUT)
        self._first_push()
        before = tree_digest(self._live)
        self._second_push()
        after = tree_digest(self._live)
        self._damage()
        self._repair(after)
        self._go_back(before)
        return tuple(self._steps)

    def _first_push(self) -> None:
        outcome = self._push("first push")
        self._tell("Everything is new, so everything is sent.")
        self._add("first push", outcome, "equals the source", holds=self._equal())

    def _second_push(self) -> None:
        self._tell("")
        self._tell("Now a release: one line of a module edited, a package renamed, a file added, a file removed.")
        module = self._app / "argparse.py"
        text = module.read_bytes()
        middle = text.index(b"\n", len(text) // 2) + 1
        module.write_bytes(text[:middle] + b"# pdelta was here\n" + text[middle:])
        (self._app / "json").rename(self._app / "json_renamed")
        (self._app / "RELEASE.txt").write_text("2.0\n")
        (self._app / "this.py").unlink()
        outcome = self._push("release")
        self._tell("Only the changed ranges were sent; the renamed package cost nothing.")
        self._add("edit, rename, add, delete", outcome, "equals the source", holds=self._equal())

    def _damage(self) -> None:
        self._tell("")
        self._tell("Damage: 16 bytes of a file on the destination are overwritten; size and times stay.")
        victim = self._live / "inspect.py"
        status = victim.stat()
        with victim.open("r+b") as stream:
            stream.seek(status.st_size // 2)
            stream.write(b"\0" * 16)
        os.utime(victim, ns=(status.st_atime_ns, status.st_mtime_ns))
        self._tell("$ pdelta verify live")
        result = verify_tree(str(self._live), self._context, Link(), jobs=0)
        found = result.changed == (b"inspect.py",)
        self._tell(f"changed: {', '.join(os.fsdecode(path) for path in result.changed) or 'nothing'}")
        proof = "damage found by name" if found else "damage not found"
        self._steps.append(DemoStep("damage, verify", 1, result.bytes, 0, result.duration_s, proof, found))

    def _repair(self, wanted: str) -> None:
        self._tell("$ pdelta verify --repair-from app live")
        result = repair_tree(str(self._live), SourceOptions(str(self._app)), self._context, Link(), jobs=0)
        holds = result.equal and tree_digest(self._live) == wanted
        sent = result.repaired.sent_bytes if result.repaired is not None else 0
        self._tell("Only the damaged range came from the source.")
        proof = "equals the release" if holds else "DIFFERS from the release"
        self._steps.append(DemoStep("repair", 1, result.bytes, sent, result.duration_s, proof, holds))

    def _go_back(self, wanted: str) -> None:
        self._tell("")
        self._tell("And back to the state after the first push, without the source:")
        self._tell("$ pdelta rollback --to 1 live")
        moved = self._app.with_name("app-is-away")
        self._app.rename(moved)
        outcome = roll_back(str(self._live), RollbackOptions(to=1), self._context, Link())
        holds = tree_digest(self._live) == wanted
        proof = "equals the first push" if holds else "DIFFERS from the first push"
        self._add("rollback", outcome, proof, holds=holds)

    def _push(self, note: str) -> TreeOutcome:
        self._tell("$ pdelta push app live")
        options = PushOptions(note=note)
        return push_tree(SourceOptions(str(self._app)), str(self._live), options, self._context, Link())

    def _equal(self) -> bool:
        return tree_digest(self._app) == tree_digest(self._live)

    def _add(self, title: str, outcome: TreeOutcome, proof: str, *, holds: bool) -> None:
        counts = outcome.counts
        changed = counts.added + counts.changed + counts.deleted + counts.moved + counts.metadata
        tree_bytes = outcome.scanned_bytes or self._steps[-1].tree_bytes
        told = proof if holds else f"NOT TRUE: {proof}"
        self._steps.append(DemoStep(title, changed, tree_bytes, outcome.sent_bytes, outcome.duration_s, told, holds))


def tree_digest(folder: Path) -> str:
    """Give one hash over names, kinds, modes, times and contents of everything below a folder, in a way of its own.

    The state folder is left out, and so is the time of the folder itself, which the state folder changes.
    """
    digest = hashlib.sha256()
    for parent, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name != STATE)
        for name in sorted([*folders, *files]):
            path = Path(parent, name)
            status = path.lstat()
            told = f"{path.relative_to(folder)}\0{status.st_mode}\0{status.st_mtime_ns}\0"
            digest.update(os.fsencode(told))
            if stat.S_ISLNK(status.st_mode):
                digest.update(os.fsencode(path.readlink()))
            elif stat.S_ISREG(status.st_mode):
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
