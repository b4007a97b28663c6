"""A destination that runs out of space, is read-only, or forbids something half-way."""

import os
import random
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pdelta.errors import PdeltaError, PreflightError
from pdelta.formats.report import Retention
from pdelta.operations.tree import preflight
from tests.fixtures.desk import Desk
from tests.fixtures.trees import Sparse

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount")

SIZE = 3 << 20


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Desk]:
    """A desk whose destination is a file system of three MiB."""
    place = tmp_path / "small"
    place.mkdir()
    options = f"size={SIZE},mode=755"
    tried = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", place], check=False, capture_output=True)
    if tried.returncode:
        pytest.skip(f"cannot mount here: {tried.stderr.decode().strip()}")
    try:
        yield Desk(tmp_path, dest=place / "dest")
    finally:
        subprocess.run(["umount", "-l", place], check=False)


def fill(desk: Desk, leave: int) -> Path:
    """Take all space but so many bytes."""
    filler = desk.dest.parent / "filler"
    status = os.statvfs(desk.dest)
    filler.write_bytes(bytes(max(0, status.f_bavail * status.f_frsize - leave)))
    return filler


def content(seed: int) -> bytes:
    return random.Random(seed).randbytes(60_000)


def pushed(desk: Desk) -> PdeltaError | None:
    """Push against every advice; give the failure, if there is one."""
    try:
        desk.push(force=True, yes=True, durable=True)
    except PdeltaError as error:
        return error
    return None


@pytest.mark.parametrize("leave", [0, 8192, 16384, 40960, 65536, 81920, 98304, 131072, 147456, 180224, 262144])
def test_disk_when_it_fills_up_at_any_stage_then_the_tree_is_old_or_new_and_the_next_push_works(
    small: Desk, leave: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = small
    desk.write({"a": content(1), "b": content(2), "folder": {"c": content(3)}, "gone": "g"})
    desk.push()
    before = desk.state()
    desk.write({"a": content(4), "new": {"d": content(5)}})
    (desk.source / "gone").unlink()
    after = desk.source_state()
    filler = fill(desk, leave)
    failure = pushed(desk)
    if failure is None:
        assert desk.state() == after
    else:
        assert (failure.exit_status in {5, 69}, bool(failure.hint)) == (True, True)
        assert desk.state() in (before, after)
    filler.unlink()
    # The source may be behind a finished commit now: whatever happened, one more push settles it.
    assert desk.push(yes=True).refusals == []
    assert desk.state() == after
    assert desk.changes() == []
    monkeypatch.setattr(preflight, "FREE_SHARE", 0)
    monkeypatch.setattr(preflight, "UNDO_SHARE", 100)
    assert desk.rollback().refusals == []
    assert desk.state() == before


def test_space_when_it_is_too_little_then_preflight_refuses(small: Desk) -> None:
    desk = small
    desk.write({"a": content(1)})
    desk.push()
    desk.write({f"n{number}": content(number) for number in range(60)})
    before = desk.state()
    assert desk.push().refusals == ["space"]
    assert desk.state() == before


def test_space_when_a_file_is_mostly_holes_then_only_its_data_counts(small: Desk) -> None:
    desk = small
    desk.write({"hole": Sparse(64 << 20, {0: b"begin", (64 << 20) - 4096: b"end"})})
    assert desk.push().refusals == []
    assert (desk.dest / "hole").stat().st_size == 64 << 20
    assert (desk.dest / "hole").stat().st_blocks * 512 < 1 << 20


def test_undo_data_when_it_would_fill_the_disk_then_the_push_wants_to_be_told(small: Desk) -> None:
    desk = small
    desk.write({f"n{number}": content(number) for number in range(20)})
    desk.push()
    desk.write({f"n{number}": content(100 + number) for number in range(20)})
    assert desk.push().refusals == ["undo-space"]
    assert desk.push(undo=False).refusals == []
    assert desk.state() == desk.source_state()
    assert not (desk.dest / ".pdelta/undo/2").exists()


def test_destination_when_it_is_read_only_then_that_is_said_and_nothing_is_changed(small: Desk) -> None:
    desk = small
    desk.write({"a": "a"})
    desk.push()
    before = desk.state()
    desk.write({"a": "changed"})
    subprocess.run(["mount", "-o", "remount,ro", desk.dest.parent], check=True)
    try:
        with pytest.raises(PdeltaError) as caught:
            desk.push(force=True)
        assert caught.value.exit_status == 69
        assert desk.state() == before
    finally:
        subprocess.run(["mount", "-o", "remount,rw", desk.dest.parent], check=True)
    assert desk.push().refusals == []


def test_recover_and_collect_when_the_tree_is_read_only_then_they_refuse_by_its_name(small: Desk) -> None:
    desk = small
    desk.write({"a": "a"})
    desk.push()
    subprocess.run(["mount", "-o", "remount,ro", desk.dest.parent], check=True)
    try:
        with desk.operation() as operation, pytest.raises(PreflightError, match="mounted read-only") as caught:
            operation.recover()
        assert str(desk.dest) in caught.value.message
        with desk.operation() as operation, pytest.raises(PreflightError, match="mounted read-only"):
            operation.collect(Retention(keep=10))
    finally:
        subprocess.run(["mount", "-o", "remount,rw", desk.dest.parent], check=True)


def test_first_push_when_the_disk_is_full_then_the_next_one_begins_anew(small: Desk) -> None:
    desk = small
    desk.dest.mkdir()
    desk.write({"a": content(1)})
    filler = fill(desk, 0)
    with pytest.raises(PdeltaError):
        desk.push(force=True)
    assert desk.names() <= {"a"}
    filler.unlink()
    assert desk.push().refusals == []
    assert desk.state() == desk.source_state()
    shutil.rmtree(desk.dest)
