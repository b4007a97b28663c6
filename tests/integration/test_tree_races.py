"""What somebody does to the destination while a push is under way, and what collecting leaves for later."""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from pdelta.errors import DriftError, ExecutionError, FilesystemError, NeedsOperatorError, StaleError
from pdelta.formats.report import Retention
from pdelta.model.failpoint import never
from pdelta.testing.failpoints import SimulatedCrash
from tests.fixtures.desk import Desk

ORIGINAL = "precious" * 2000


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """Nothing is pushed yet."""
    return Desk(tmp_path)


def meanwhile(desk: Desk, point: str, action: Callable[[], object]) -> None:
    """Act once, when a push passes a fail point."""
    done: list[str] = []

    def failpoint(name: str, /) -> None:
        if name == point and not done:
            done.append(name)
            action()

    desk.failpoint = failpoint


def collect(desk: Desk, limits: Retention | None = None) -> None:
    with desk.operation() as operation:
        operation.collect(limits or Retention())


def kept_originals(desk: Desk) -> list[Path]:
    return [path for path in desk.dest.rglob("*") if path.is_file() and path.read_bytes() == ORIGINAL.encode()]


def test_collect_when_the_destination_has_extras_then_the_next_push_works(desk: Desk) -> None:
    desk.write_dest({"extra": "x" * 9000})
    desk.write({"a": "1"})
    desk.push()
    collect(desk)
    (desk.source / "b").write_text("2")
    assert desk.push().refusals == []
    assert desk.names() == {"a", "b", "extra"}


@pytest.mark.parametrize("extras", [False, True])
def test_collect_when_a_push_is_calculated_then_no_entry_names_pages_that_are_gone(desk: Desk, *, extras: bool) -> None:
    """A killed push left pages that no entry names: the next one need not fetch them, and counts on them."""
    if extras:
        desk.write_dest({"extra": "mine"})
    desk.write({"many": {f"{number}": f"{number}" for number in range(600)}})
    desk.push()
    desk.write({"many": {"7": "changed"}})

    def die(name: str, /) -> None:
        if name == "ledger.pages":
            raise InterruptedError

    desk.failpoint = die
    with pytest.raises(InterruptedError):
        desk.push()
    desk.failpoint = never
    desk.at_execute = lambda: collect(desk)
    with pytest.raises(StaleError, match="collected"):
        desk.push()
    assert desk.read("many/7") == "7"
    desk.at_execute = lambda: None
    assert desk.push().refusals == []
    assert desk.read("many/7") == "changed"
    assert desk.changes() == []


def test_collect_when_a_rollback_is_calculated_then_it_is_refused_and_the_tree_stays(desk: Desk) -> None:
    desk.write({"many": {f"{number}": f"{number}" for number in range(600)}})
    desk.push()
    desk.write_dest({"many": {"7": "edited on the host"}})
    desk.write({"many": {"7": "changed"}})
    desk.push(drift="overwrite")
    desk.at_execute = lambda: collect(desk, Retention(keep=0, newest=True))
    with pytest.raises(StaleError, match="collected"):
        desk.rollback()
    assert desk.read("many/7") == "changed"
    assert desk.changes() == []


def test_push_when_somebody_else_wrote_to_the_ledger_and_no_page_went_then_it_goes_on(desk: Desk) -> None:
    desk.write({"a": "a"})
    desk.push()
    desk.write({"a": "new", "b": "b"})
    desk.at_execute = lambda: collect(desk)
    assert desk.push().refusals == []
    assert desk.names() == {"a", "b"}
    assert desk.changes() == []


def test_collect_when_a_folder_was_kept_without_what_moved_out_then_push_and_rollback_work(desk: Desk) -> None:
    desk.write({"d": {"a": "1" * 5000, "b": "2" * 5000}})
    desk.push()
    before = desk.state()
    os.rename(desk.source / "d/a", desk.source / "a")
    shutil.rmtree(desk.source / "d")
    desk.push(yes=True)
    collect(desk)
    (desk.source / "n").write_text("n" * 7000)
    assert desk.push().refusals == []
    assert desk.rollback(to=1).refusals == []
    assert desk.state() == before


def test_removed_folder_when_changed_while_staging_then_nothing_is_removed(desk: Desk) -> None:
    desk.write({"old": {"f": "f" * 5000}, "k": "k"})
    desk.push()
    shutil.rmtree(desk.source / "old")
    meanwhile(desk, "stage.synced", lambda: (desk.dest / "old/unknown").write_text("a user's file"))
    with pytest.raises(DriftError):
        desk.push(yes=True)
    assert desk.read("old/unknown") == "a user's file"
    assert len(desk.history()) == 1


def test_times_when_the_file_was_rewritten_while_staging_then_the_change_is_not_hidden(desk: Desk) -> None:
    desk.write({"f": "A" * 5000})
    desk.push()
    os.utime(desk.source / "f", ns=(1, 1_600_000_000_000_000_000))
    meanwhile(desk, "stage.synced", lambda: (desk.dest / "f").write_text("B" * 5000))
    with pytest.raises(ExecutionError):
        desk.push()
    assert desk.read("f") == "B" * 5000
    assert desk.changes() != []


def test_link_when_replaced_while_staging_then_the_push_is_reversed(desk: Desk) -> None:
    desk.source.mkdir(exist_ok=True)
    os.symlink("one", desk.source / "l")
    desk.push()
    os.unlink(desk.source / "l")
    os.symlink("two", desk.source / "l")

    def replace() -> None:
        os.unlink(desk.dest / "l")
        os.symlink("host-made", desk.dest / "l")

    meanwhile(desk, "stage.synced", replace)
    with pytest.raises(ExecutionError):
        desk.push()
    assert os.readlink(desk.dest / "l") == "host-made"


def test_original_when_its_place_was_taken_during_a_reversal_then_it_is_saved_by_name(desk: Desk) -> None:
    desk.write({"a": ORIGINAL, "b": "b" * 5000})
    desk.push()
    (desk.source / "a").write_text("changed!" * 2500)
    (desk.source / "b").write_text("B" * 6000)

    def write_and_fail() -> None:
        with (desk.dest / "a").open("a") as file:
            file.write("more")
        raise FilesystemError("an error of the disk")

    meanwhile(desk, "commit.swap", write_and_fail)
    with pytest.raises(NeedsOperatorError, match="foreign-2"):
        desk.push()
    assert len(kept_originals(desk)) == 1
    desk.push(drift="overwrite")
    collect(desk)
    assert len(kept_originals(desk)) == 1


def quietly(path: Path, text: str) -> None:
    """Write over a file as somebody does who sets its time back."""
    status = path.stat()
    path.write_text(text)
    assert path.stat().st_size == status.st_size
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


INTERFERENCES: dict[str, tuple[str, Callable[[Path], object]]] = {
    "a name in a new folder": ("new/sub/theirs", lambda dest: (dest / "new/sub/theirs").write_text("theirs")),
    "a file in a new folder": ("new/sub/f", lambda dest: (dest / "new/sub/f").write_text("theirs, longer")),
    "a file in a new folder, quietly": ("new/sub/f", lambda dest: quietly(dest / "new/sub/f", "theirs!!")),
    "a new file": ("plain", lambda dest: (dest / "plain").write_text("theirs, longer")),
    "a new file, quietly": ("plain", lambda dest: quietly(dest / "plain", "theirs!!")),
    "a replaced file, quietly": ("a", lambda dest: quietly(dest / "a", "theirs!!")),
    "a folder in a file's place": ("b/theirs", lambda dest: (dest / "b/theirs").write_text("theirs")),
}


@pytest.mark.parametrize("recovered", [False, True])
@pytest.mark.parametrize("what", INTERFERENCES)
def test_reversal_when_somebody_wrote_to_what_was_brought_then_it_stays(
    desk: Desk, what: str, *, recovered: bool
) -> None:
    """It would go to staging, and with staging at the next push of anything else."""
    place, interfere = INTERFERENCES[what]
    desk.write({"a": ORIGINAL, "b": "a file", "z": "z" * 5000})
    desk.push()
    desk.write({"a": "new text", "new": {"sub": {"f": "new text"}}, "plain": "new text", "z": "Z" * 6000})
    (desk.source / "b").unlink()
    desk.write({"b": {"f": "new text"}})
    done: list[str] = []

    def failpoint(name: str, /) -> None:
        brought = [(desk.dest / path).exists() for path in ("new/sub/f", "plain", "b/f")]
        if not done and all(brought) and desk.read("a") == "new text":
            done.append(name)
            interfere(desk.dest)
            raise FilesystemError("an error of the disk")
        if name == "intent.backward" and recovered:
            raise SimulatedCrash

    desk.failpoint = failpoint
    with pytest.raises(SimulatedCrash if recovered else NeedsOperatorError):
        desk.push(yes=True)
    desk.failpoint = never
    if recovered:
        with desk.operation() as operation:
            assert operation.recover().foreign == (place.split("/")[0].encode(),)
    theirs = desk.read(place)
    assert theirs.startswith("theirs")
    assert desk.read("z") == "z" * 5000
    if place != "a":
        assert desk.read("a") == ORIGINAL
    collect(desk)
    desk.push(yes=True, drift="keep")
    assert desk.read(place) == theirs


@pytest.mark.parametrize("path", ["a", "gone", "folder/deep/f"])
def test_no_undo_when_somebody_writes_before_it_is_executed_and_sets_the_time_back_then_it_stays(
    desk: Desk, path: str
) -> None:
    """With undo data the edit would be in it; without, it would be nowhere."""
    desk.write({"a": "old text", "gone": "old text", "folder": {"deep": {"f": "old text"}}, "moves": "m" * 2000})
    desk.push()
    desk.write({"a": "new text"})
    (desk.source / "gone").unlink()
    shutil.rmtree(desk.source / "folder")
    (desk.source / "moves").rename(desk.source / "moved")
    desk.at_execute = lambda: quietly(desk.dest / path, "theirs!!")
    with pytest.raises(DriftError, match=path):
        desk.push(undo=False, yes=True)
    assert desk.read(path) == "theirs!!"
    assert len(desk.history()) == 1
    desk.at_execute = lambda: None
    assert desk.push(undo=False, yes=True, drift="overwrite").refusals == []
    assert desk.names() == {"a", "moved"}


def test_no_undo_when_staged_beside_the_final_place_then_nothing_is_left_there(desk: Desk) -> None:
    desk.write({"s": {"f": "A" * 5000, "g": "A" * 4000}})
    desk.push()
    for top in (desk.source, desk.dest):
        (top / "s").chmod(0o2755)
    (desk.source / "s/f").write_text("B" * 5001)
    (desk.source / "s/g").unlink()
    assert desk.push(undo=False, yes=True, drift="overwrite").refusals == []
    assert {path.name for path in (desk.dest / "s").iterdir()} == {"f"}


def test_special_file_when_in_the_way_then_refused_by_name(desk: Desk) -> None:
    desk.dest.mkdir(exist_ok=True)
    os.mkfifo(desk.dest / "f")
    desk.write({"f": "a file"})
    assert desk.push().refusals == ["special"]
