"""What stands in and around a release and is not pdelta's: it comes along, or the push is refused and says why."""

import os
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pdelta.errors import DriftError, FilesystemError, IntegrityError, PreflightError, UsageError
from pdelta.filesystem.release import release_around
from pdelta.filesystem.safe import Directory
from pdelta.filesystem.state import remove
from pdelta.formats.report import Retention
from pdelta.testing.failpoints import CrashAt, SimulatedCrash
from tests.fixtures.desk import Desk, ignoring
from tests.fixtures.release import ReleaseDesk
from tests.fixtures.tree_runs import open_up
from tests.fixtures.trees import Directory as Folder
from tests.fixtures.trees import build_tree, tree_state
from tests.fixtures.users import NOBODY, as_root, in_child

UPLOADS = ignoring(b"uploads/")


@pytest.fixture
def desk(tmp_path: Path) -> ReleaseDesk:
    """A first release is pushed."""
    desk = ReleaseDesk(tmp_path)
    desk.write({"file": "one", "folder": {"same": "same"}})
    desk.push()
    return desk


@contextmanager
def mounted(place: Path) -> Iterator[None]:
    done = subprocess.run(["mount", "-t", "tmpfs", "none", place], check=False, capture_output=True)
    if done.returncode:
        pytest.skip("this user may not mount")
    try:
        yield
    finally:
        subprocess.run(["umount", place], check=True)


# -- ignored paths --------------------------------------------------------------------------------------------------


def test_sharing_when_a_push_forgets_to_ignore_then_the_application_keeps_its_path(desk: ReleaseDesk) -> None:
    (desk.dest / "uploads").mkdir()
    (desk.dest / "uploads/mine").write_text("mine")
    desk.push(UPLOADS)
    for content in ("two", "three"):
        desk.write({"file": content})
        assert desk.push().refusals == []
        assert desk.read("uploads/mine") == "mine"
        assert desk.changes() == []
    desk.rollback(1)
    assert desk.read("file") == "one"
    desk.write({"uploads": {"theirs": "pushed"}})
    desk.push()
    assert desk.names("uploads") == {"theirs"}
    assert (desk.container / "shared/uploads/mine").read_text() == "mine"


def test_sharing_when_the_link_was_removed_then_it_stays_away(desk: ReleaseDesk) -> None:
    (desk.dest / "uploads").mkdir()
    desk.push(UPLOADS)
    (desk.dest / "uploads").unlink()
    desk.write({"file": "two"})
    desk.push()
    assert desk.names() == {"file", "folder"}


def test_sharing_when_a_push_is_cut_off_then_the_next_one_copies_what_the_application_wrote_since(
    desk: ReleaseDesk,
) -> None:
    desk.write({"data": {"db": "first", "old": "old"}})
    desk.push()
    (desk.dest / "data/db").write_text("second")
    desk.write({"file": "two"})

    def crash(name: str) -> None:
        if name == "release.copied":
            raise SimulatedCrash

    desk.failpoint = crash
    with pytest.raises(SimulatedCrash):
        desk.push(ignoring(b"data/"))
    assert desk.read("data/db") == "second"
    (desk.dest / "data/db").write_text("third")
    (desk.dest / "data/old").unlink()
    desk.failpoint = CrashAt(0)
    desk.push(ignoring(b"data/"))
    assert (desk.read("data/db"), desk.names("data"), desk.read("file")) == ("third", {"db"}, "two")
    assert not (desk.container / "state/copies").exists()


# -- addresses ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spelling", ["{container}/releases/1", "./.dest.pdelta/releases/1", ".dest.pdelta//releases/1/"]
)
def test_push_when_a_person_switched_the_link_then_however_it_is_spelled_it_leads_to_a_release(
    desk: ReleaseDesk, spelling: str
) -> None:
    desk.write({"file": "two"})
    desk.push()
    first = tree_state(desk.container / "releases/1")
    desk.dest.unlink()
    desk.dest.symlink_to(spelling.format(container=desk.container))
    desk.write({"file": "three"})
    done = desk.push(release=False, drift="overwrite")
    assert done.refusals == []
    assert (os.readlink(desk.dest), desk.read("file")) == (".dest.pdelta/releases/3", "three")
    assert tree_state(desk.container / "releases/1") == first


def switch_by_hand(desk: ReleaseDesk, number: int) -> None:
    desk.dest.unlink()
    desk.dest.symlink_to(f".dest.pdelta/releases/{number}")


@pytest.mark.parametrize("limits", [Retention(), Retention(keep=0), Retention(keep=0, newest=True)])
def test_collect_when_a_person_switched_the_link_then_nothing_goes(desk: ReleaseDesk, limits: Retention) -> None:
    """Where it leads is on the list of undo data, and the newest release is on none."""
    desk.write({"file": "two"})
    desk.push()
    newest = desk.current
    switch_by_hand(desk, 1)
    before = desk.releases()
    with desk.operation() as operation, pytest.raises(PreflightError, match="somebody switched it") as caught:
        operation.collect(limits)
    assert f"ln -sfn .dest.pdelta/releases/{newest}" in caught.value.hint
    assert (desk.current, desk.releases()) == (1, before)
    switch_by_hand(desk, newest)
    with desk.operation() as operation:
        operation.collect(limits)
    assert desk.current in desk.releases()
    assert desk.changes() == []


def test_every_command_when_the_ledger_of_releases_is_lost_then_refused_and_all_releases_stay(
    desk: ReleaseDesk,
) -> None:
    desk.write({"file": "two"})
    desk.push()
    before, ledger = desk.releases(), desk.container / "state/ledger.sqlite"
    kept = ledger.read_bytes()
    for damage in (ledger.unlink, ledger.touch):
        damage()
        for command in (desk.push, desk.rollback, desk.repair, desk.history):
            with pytest.raises(IntegrityError, match=r"the ledger of .* is gone"):
                command()
        with desk.operation() as operation:
            assert [finding.code for finding in operation.examine()] == [IntegrityError.code]
    assert desk.releases() == before
    ledger.write_bytes(kept)
    assert desk.push().refusals == []
    assert desk.rollback(to=1).refusals == []


def test_convert_when_the_folder_and_the_releases_have_histories_then_refused_until_one_is_away(
    desk: ReleaseDesk, tmp_path: Path
) -> None:
    desk.write({"file": "two"})
    desk.push()
    before = desk.releases()
    desk.dest.unlink()
    (tmp_path / "second").mkdir()
    other = Desk(tmp_path / "second", dest=desk.dest)
    other.write({"file": "other"})
    other.push(run="run:other")
    assert desk.push(convert=True, drift="overwrite").refusals == ["release-history"]
    assert desk.releases() == before
    desk.container.rename(tmp_path / "away")
    assert desk.push(convert=True).refusals == []
    assert desk.dest.is_symlink()
    assert [entry.run for entry in desk.history()] == ["run:other", ""]


def test_push_when_addressed_inside_of_a_release_then_refused_by_the_name_of_its_destination(
    desk: ReleaseDesk, tmp_path: Path
) -> None:
    alias = tmp_path / "alias"
    alias.symlink_to(desk.container / "releases/1")
    before = tree_state(desk.container / "releases/1")
    for dest in (alias, desk.dest / "folder", desk.container / "releases/1/new"):
        with pytest.raises(UsageError, match=f"in a release of '{desk.dest}'"):
            ReleaseDesk(Path(tempfile.mkdtemp(dir=tmp_path)), dest=dest).push(release=False)
    assert tree_state(desk.container / "releases/1") == before
    (desk.container / "shared/free").mkdir()
    assert release_around(os.fsencode(desk.container / "shared/free")) is None


# -- what would stay behind -----------------------------------------------------------------------------------------


def test_push_when_the_application_writes_while_it_is_staged_then_dest_stays_until_the_next_one(
    desk: ReleaseDesk,
) -> None:
    def write(name: str) -> None:
        if name == "stage.synced":
            (desk.dest / "order").write_text("precious")

    desk.write({"file": "two"})
    desk.failpoint = write
    with pytest.raises(DriftError, match="'order' changed while the new release was staged"):
        desk.push()
    assert (desk.current, desk.read("file")) == (1, "one")
    desk.failpoint = CrashAt(0)
    desk.push()
    assert (desk.read("file"), desk.read("order")) == ("two", "precious")


def test_convert_when_somebody_writes_while_it_is_staged_then_the_folder_stays(tmp_path: Path) -> None:
    desk = ReleaseDesk(tmp_path)
    desk.write({"file": "new", "other": "new"})
    desk.write_dest({"file": "old!", "mine": "mine"})

    def write(name: str) -> None:
        if name == "stage.synced":
            (desk.dest / "mine").write_text("changed meanwhile")

    desk.failpoint = write
    with pytest.raises(DriftError, match="'mine' changed"):
        desk.push(convert=True, drift="overwrite")
    assert not desk.dest.is_symlink()
    desk.failpoint = CrashAt(0)
    desk.push(convert=True, drift="overwrite")
    assert desk.read("mine") == "changed meanwhile"


@as_root
def test_push_when_a_file_of_the_release_cannot_be_read_then_refused_until_it_is_shared(short_path: Path) -> None:
    def work() -> None:
        desk = ReleaseDesk(short_path)
        desk.write({"file": "one"})
        desk.push()
        (desk.dest / "secret").write_text("of the application")
        (desk.dest / "secret").chmod(0)
        desk.write({"file": "two"})
        assert desk.push().refusals == ["release-unreadable"]
        assert desk.push(ignoring(b"/secret")).refusals == []
        (desk.container / "shared/secret").chmod(0o400)
        assert (desk.read("secret"), desk.read("file")) == ("of the application", "two")

    short_path.chmod(0o777)
    in_child(work, NOBODY)


@as_root
@pytest.mark.parametrize("held", [True, False])
def test_sharing_when_a_plain_user_owns_a_folder_that_is_not_writable_then_it_moves_all_the_same(
    short_path: Path, held: bool
) -> None:
    def work() -> None:
        desk = ReleaseDesk(short_path)
        desk.write({"file": "one", "folder": {"in": "it"}})
        desk.push()
        build_tree(desk.dest.resolve(), {"folder": {"up": Folder({"u": "u"}, mode=0o555)}})
        if held:
            desk.write({"file": "two"})
            desk.push()
        desk.write({"file": "three"})
        assert desk.push(ignoring(b"up/")).refusals == []
        up = desk.container / "shared/folder/up"
        assert (stat.S_IMODE(up.stat().st_mode), (up / "u").read_text()) == (0o555, "u")
        assert desk.read("folder/up/u") == "u"
        open_up(short_path)

    short_path.chmod(0o777)
    in_child(work, NOBODY)


def test_push_when_a_name_of_the_release_cannot_be_taken_along_then_refused(desk: ReleaseDesk) -> None:
    long = desk.dest / "/".join(["n" * 255] * 15)
    long.mkdir(parents=True)
    with Directory.open_root(os.fsencode(long)) as folder:
        folder.mkdir(b"m" * 254)
        with folder.open_directory(b"m" * 254) as below:
            below.mkdir(b"too long")
    desk.write({"file": "two"})
    assert desk.push().refusals == ["release-unreadable"]
    assert desk.push(ignoring(b"/" + b"n" * 255)).refusals == []
    assert desk.read("file") == "two"


def test_push_when_a_managed_tree_is_in_the_release_then_refused_until_it_is_shared(
    desk: ReleaseDesk, tmp_path: Path
) -> None:
    (tmp_path / "own").mkdir()
    own = Desk(tmp_path / "own", dest=tmp_path / "plugin")
    own.write({"a": "b"})
    own.push()
    own.dest.rename(desk.dest / "plugin")
    desk.write({"file": "two"})
    assert desk.push().refusals == ["nested"]
    assert desk.push(ignoring(b"/plugin")).refusals == []
    own.dest = desk.container / "shared/plugin"
    assert [entry.number for entry in own.history()] == [1]
    assert own.push().facts is None


def test_push_when_something_is_mounted_in_the_release_then_refused_until_it_is_mounted_in_the_shared_folder(
    desk: ReleaseDesk,
) -> None:
    place = desk.dest / "data"
    place.mkdir()
    with mounted(place.resolve()):
        (place / "live").write_text("live")
        desk.write({"file": "two"})
        assert "release-mount" in desk.push().refusals
        assert "release-mount" in desk.push(ignoring(b"/data")).refusals
    place.rmdir()
    (desk.container / "shared/data").mkdir()
    with mounted(desk.container / "shared/data"):
        (desk.container / "shared/data/live").write_text("live")
        assert desk.push(ignoring(b"/data")).refusals == []
        assert (desk.read("data/live"), desk.read("file")) == ("live", "two")


def test_collect_when_something_is_mounted_in_an_old_release_then_its_content_stays(desk: ReleaseDesk) -> None:
    desk.write({"file": "two"})
    desk.push()
    place = desk.container / "releases/1/data"
    place.mkdir()
    with mounted(place):
        (place / "live").write_text("live")
        with desk.operation() as operation, pytest.raises(FilesystemError, match="mounted at"):
            operation.collect(Retention(keep=0, newest=True))
        assert (place / "live").read_text() == "live"
    with desk.operation() as operation:
        operation.collect(Retention(keep=0, newest=True))
    assert desk.releases() == {2}


def test_remove_when_something_is_mounted_in_it_then_left(tmp_path: Path) -> None:
    place = tmp_path / "kept/folder"
    place.mkdir(parents=True)
    with mounted(place), Directory.open_root(os.fsencode(tmp_path)) as root:
        (place / "live").write_text("live")
        with pytest.raises(FilesystemError, match="mounted at"):
            remove(root, b"kept")
        assert (place / "live").read_text() == "live"
