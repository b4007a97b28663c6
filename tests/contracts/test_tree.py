"""The tree kind keeps the contract of the five verbs."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from pdelta.formats.history import PushWish, encode_wish
from pdelta.model.failpoint import FailPoint
from pdelta.model.operation import Operation
from pdelta.model.target import Target
from pdelta.operations.tree import TreeOperation
from pdelta.testing.clock import FakeClock
from pdelta.testing.contract import OperationContract, Subject
from tests.fixtures.depth import by_depth
from tests.fixtures.tree_runs import memory_disk, push, scanned, state_of
from tests.fixtures.trees import HardLink, Symlink, Tree, build_tree

OLD: Tree = {
    "kept": b"k", "changed": b"before", "gone": {"deep": {"er": b"d"}}, "kind": b"file", "moved": b"m" * 3000,
    "a": b"shared", "b": HardLink("a"),
}  # fmt: skip
NEW: Tree = {
    "kept": b"k", "changed": b"after", "kind": {"in": Symlink("nowhere")}, "to": {"here": b"m" * 3000}, "a": b"split",
    "b": b"shared",
}  # fmt: skip


class TreeSubject:
    def __init__(self, folder: Path) -> None:
        self._source = folder / "source"
        self._dest = folder / "dest"
        old = build_tree(folder / "old", OLD)
        build_tree(self._source, NEW)
        push(old, self._dest)
        self._held = ExitStack()
        self._scan, self._answers = self._held.enter_context(scanned(self._source))
        self._clock = FakeClock()
        self._open: list[TreeOperation] = []
        self.target = Target("tree", str(self._dest))

    def operation(self, failpoint: FailPoint) -> Operation:
        self.crash()
        operation = TreeOperation(os.fsencode(self._dest), source=self._answers, clock=self._clock, failpoint=failpoint)
        self._open.append(operation)
        return operation

    def desired(self) -> bytes:
        return encode_wish(PushWish(wanted=self._scan.snapshot, yes=True))

    def seen(self) -> Any:
        return state_of(self._dest)

    def disturb(self) -> None:
        """Push something else, as another operator would."""
        self.crash()
        other = self._dest.parent / "other"
        if not other.exists():
            build_tree(other, {"changed": b"by somebody else"})
        push(other, self._dest)

    def crash(self) -> None:
        """Close what is open: the kernel frees locks likewise, and SQLite undoes what was not committed."""
        while self._open:
            self._open.pop().close()

    def close(self) -> None:
        self.crash()
        self._held.close()
        shutil.rmtree(self._dest)


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with memory_disk() as folder:
        monkeypatch.setattr(tempfile, "tempdir", str(folder))
        yield


class TestTree(OperationContract):
    stride = by_depth(brief=97, full=29, soak=1)

    def subject(self, folder: Path) -> Subject:
        return TreeSubject(folder)
