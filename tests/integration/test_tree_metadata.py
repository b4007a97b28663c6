"""Owners, groups, access lists, hard links, mounts and rights: what a push does to them and what it never does."""

import contextlib
import os
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from pdelta.errors import ExecutionError, FilesystemError, PdeltaError
from pdelta.filesystem.commit import Committer
from pdelta.formats.intent import Move
from tests.fixtures.desk import Desk, ignoring
from tests.fixtures.mounts import mounted_at, need
from tests.fixtures.trees import Directory, File, HardLink
from tests.fixtures.users import NOBODY, as_root, in_child


def run(*command: str | Path) -> str:
    return subprocess.run([str(part) for part in command], check=True, capture_output=True, text=True).stdout


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


@pytest.fixture
def mounted() -> Iterator[Callable[[Path], Path]]:
    """Mount an empty file system of its own at a folder; skip where that is not allowed."""
    with contextlib.ExitStack() as stack:
        yield lambda place: stack.enter_context(mounted_at(place))


# -- groups and access lists --------------------------------------------------------------------------------------


@as_root
def test_setgid_folder_when_files_come_and_go_then_new_ones_get_its_group(desk: Desk) -> None:
    desk.write({"folder": Directory({"a": "a", "b": "b"}, 0o2775)})
    desk.write_dest({"folder": Directory({"mine": "m"}, 0o2775)})
    os.chown(desk.dest / "folder", 0, 4242)
    os.chmod(desk.dest / "folder", 0o2775)
    desk.push()
    assert {(desk.dest / "folder" / name).stat().st_gid for name in ("a", "b")} == {4242}
    desk.write({"folder": Directory({"a": "changed", "c": "c", "sub": {"d": "d"}}, 0o2775)})
    (desk.source / "folder/b").unlink()
    before = desk.state()
    desk.push(yes=True)
    assert {(desk.dest / "folder" / name).stat().st_gid for name in ("a", "c", "sub", "sub/d")} == {4242}
    assert stat.S_IMODE((desk.dest / "folder").stat().st_mode) == 0o2775
    assert not list((desk.dest / "folder").glob(".pdelta*"))
    desk.rollback()
    assert desk.state() == before
    assert desk.changes() == []


@as_root
def test_default_access_list_when_a_file_is_new_then_it_has_what_it_would_have_had(desk: Desk) -> None:
    need("setfacl")
    desk.write({"folder": {"a": "a"}})
    desk.push()
    run("setfacl", "-d", "-m", f"u:{NOBODY}:rw", desk.dest / "folder")
    (desk.dest / "folder/made-here").write_text("x")
    expected = run("getfacl", "-cn", desk.dest / "folder/made-here").splitlines()
    desk.write({"folder": {"new": "n", "sub": {"deep": "d"}}})
    desk.push()
    named = f"user:{NOBODY}:rw-"
    assert any(line.startswith(named) for line in expected)
    assert any(line.startswith(named) for line in run("getfacl", "-cn", desk.dest / "folder/new").splitlines())
    assert f"default:{named}" in run("getfacl", "-cn", desk.dest / "folder/sub")
    assert any(line.startswith(named) for line in run("getfacl", "-cn", desk.dest / "folder/sub/deep").splitlines())


@as_root
def test_replaced_file_when_it_has_an_owner_and_access_list_then_the_new_one_has_them(desk: Desk) -> None:
    need("setfacl")
    desk.write({"a": "old"})
    desk.push()
    os.chown(desk.dest / "a", 1234, 4321)
    run("setfacl", "-m", "u:99:r", desk.dest / "a")
    os.chmod(desk.dest / "a", 0o644)
    desk.write({"a": "new content"})
    assert desk.push().refusals == []
    found = (desk.dest / "a").stat()
    assert (found.st_uid, found.st_gid, desk.read("a")) == (1234, 4321, "new content")
    assert "user:99:r--" in run("getfacl", "-cn", desk.dest / "a")
    desk.rollback()
    found = (desk.dest / "a").stat()
    assert (found.st_uid, found.st_gid, desk.read("a")) == (1234, 4321, "old")
    assert "user:99:r--" in run("getfacl", "-cn", desk.dest / "a")


@as_root
def test_owner_when_asked_for_then_it_travels_and_comes_back(desk: Desk) -> None:
    chosen = ignoring(owner=True)
    desk.write({"a": "a", "folder": {"b": "b"}, "link": "x"})
    os.chown(desk.source / "a", 1000, 1001)
    os.chown(desk.source / "folder", 1002, 1003)
    desk.push(chosen)

    def owner(path: str) -> tuple[int, int]:
        found = (desk.dest / path).stat()
        return found.st_uid, found.st_gid

    assert (owner("a"), owner("folder"), owner("folder/b")) == ((1000, 1001), (1002, 1003), (0, 0))
    os.chown(desk.source / "a", 2000, 2001)
    done = desk.push(chosen)
    assert (done.body.counts.metadata, done.fetched_bytes, owner("a")) == (1, 0, (2000, 2001))
    desk.rollback()
    assert owner("a") == (1000, 1001)
    os.chown(desk.dest / "folder/b", 5, 5)
    assert ("metadata", b"folder/b") in desk.changes()


@as_root
def test_setuid_file_when_no_owner_is_given_then_the_push_refuses(desk: Desk) -> None:
    desk.write({"folder": {"tool": File("#!", 0o4755)}})
    assert desk.push().refusals == ["setuid"]
    assert not desk.dest.exists()
    assert desk.push(ignoring(owner=True)).refusals == []
    assert stat.S_IMODE((desk.dest / "folder/tool").stat().st_mode) == 0o4755


@pytest.mark.parametrize("size", [10, 300, 3000])
def test_attributes_when_asked_for_then_they_travel_and_come_back(desk: Desk, size: int) -> None:
    chosen = ignoring(xattrs=True)
    desk.write({"a": "a", "folder": {"b": "b"}})
    try:
        os.setxattr(desk.source / "a", "user.note", b"1" * size)
    except OSError as error:
        pytest.skip(f"no user attributes of {size} bytes here: {error}")
    os.setxattr(desk.source / "folder", "user.folder", b"f" * size)
    desk.push(chosen)
    assert os.getxattr(desk.dest / "a", "user.note") == b"1" * size
    assert os.getxattr(desk.dest / "folder", "user.folder") == b"f" * size
    os.setxattr(desk.source / "a", "user.note", b"2" * size)
    os.removexattr(desk.source / "folder", "user.folder")
    os.setxattr(desk.source / "folder/b", "user.new", b"n" * size)
    done = desk.push(chosen)
    assert (done.refusals, done.fetched_bytes) == ([], 0)
    assert os.getxattr(desk.dest / "a", "user.note") == b"2" * size
    assert os.listxattr(desk.dest / "folder") == []
    assert desk.changes() == []
    desk.rollback()
    assert os.getxattr(desk.dest / "a", "user.note") == b"1" * size
    assert os.getxattr(desk.dest / "folder", "user.folder") == b"f" * size
    assert os.listxattr(desk.dest / "folder/b") == []
    assert desk.changes() == []


@as_root
def test_access_lists_when_attributes_are_asked_for_then_they_travel_and_come_back(desk: Desk) -> None:
    need("setfacl")
    chosen = ignoring(xattrs=True)
    desk.write({"a": "a", "folder": {"b": "b"}})
    desk.push(chosen)
    run("setfacl", "-m", "u:99:rw", desk.source / "a")
    run("setfacl", "-d", "-m", "u:99:rwx", desk.source / "folder")
    desk.push(chosen)
    assert "user:99:rw-" in run("getfacl", "-cn", desk.dest / "a")
    assert "default:user:99:rwx" in run("getfacl", "-cn", desk.dest / "folder")
    assert desk.changes() == []
    desk.rollback()
    assert "99" not in run("getfacl", "-cn", desk.dest / "a") + run("getfacl", "-cn", desk.dest / "folder")


# -- names and inodes ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fate", ["changed", "deleted", "folder deleted", "kind changed"])
def test_hard_link_when_it_leaves_the_tree_then_the_outside_name_and_the_undo_data_are_apart(
    desk: Desk, tmp_path: Path, fate: str
) -> None:
    desk.write({"keep": "k", "folder": {"a": "shared content"}})
    desk.push()
    before = desk.state()
    outside = tmp_path / "outside"
    os.link(desk.dest / "folder/a", outside)
    inode = outside.stat().st_ino
    match fate:
        case "changed":
            desk.write({"folder": {"a": "new"}})
        case "deleted":
            (desk.source / "folder/a").unlink()
        case "folder deleted":
            shutil.rmtree(desk.source / "folder")
        case _:
            shutil.rmtree(desk.source / "folder")
            desk.write({"folder": "a file"})
    desk.push(yes=True)
    assert desk.changes() == []
    assert (outside.read_text(), outside.stat().st_nlink) == ("shared content", 1)
    with outside.open("r+") as file:
        file.write("WRITTEN")
    assert desk.rollback().refusals == []
    assert (desk.state(), desk.read("folder/a")) == (before, "shared content")
    assert (outside.stat().st_ino, (desk.dest / "folder/a").stat().st_nlink) == (inode, 1)


@pytest.mark.parametrize("mode", [0o555, 0o444, 0o070])
def test_folder_when_it_takes_the_place_of_a_file_then_it_has_its_mode_though_its_owner_may_not_write(
    desk: Desk, mode: int
) -> None:
    desk.write({"a": "a file"})
    desk.push()
    (desk.source / "a").unlink()
    desk.write({"a": Directory({"inside": "x"}, mode=mode)})
    desk.push(yes=True)
    assert stat.S_IMODE((desk.dest / "a").stat().st_mode) == mode
    assert desk.state() == desk.source_state()
    os.chmod(desk.source / "a", 0o755)
    shutil.rmtree(desk.source / "a")
    desk.write({"a": "a file again"})
    desk.push(yes=True)
    desk.rollback()
    assert stat.S_IMODE((desk.dest / "a").stat().st_mode) == mode


def test_hard_links_when_pushed_then_groups_are_exact_and_come_back(desk: Desk) -> None:
    desk.write({"a": "content", "b": HardLink("a"), "folder": {"c": HardLink("a")}, "x": "x"})
    desk.push()
    before = desk.state()
    (desk.source / "b").unlink()
    desk.write({"b": "its own", "y": HardLink("x")})
    desk.push()
    assert desk.state() == desk.source_state()
    desk.rollback()
    assert desk.state() == before


# -- mounts -------------------------------------------------------------------------------------------------------


@as_root
def test_inner_mount_when_files_in_it_change_then_they_are_switched_there(
    desk: Desk, mounted: Callable[[Path], Path]
) -> None:
    desk.dest.mkdir()
    mounted(desk.dest / "media")
    desk.write({"a": "a", "media": {"one": "1", "two": "2", "sub": {"three": "3"}}})
    desk.push()
    first = desk.state()
    desk.write({"media": {"one": "changed", "new": "n"}})
    (desk.source / "media/two").unlink()
    (desk.source / "media/sub/three").unlink()
    (desk.source / "media/sub").rmdir()
    (desk.source / "a").rename(desk.source / "media/a")
    done = desk.push(yes=True)
    assert done.refusals == []
    assert desk.state() == desk.source_state()
    assert not list((desk.dest / "media").glob(".pdelta*"))
    desk.rollback()
    assert desk.state() == first
    assert desk.changes() == []


@as_root
@pytest.mark.parametrize("fate", ["deleted", "renamed", "replaced"])
def test_inner_mount_when_its_folder_goes_then_the_push_refuses(
    desk: Desk, mounted: Callable[[Path], Path], fate: str
) -> None:
    desk.dest.mkdir()
    mounted(desk.dest / "folder/media")
    desk.write({"keep": "k", "folder": {"media": {"one": "some content"}}})
    desk.push()
    before = desk.state()
    if fate == "renamed":
        (desk.source / "folder").rename(desk.source / "elsewhere")
    else:
        shutil.rmtree(desk.source / "folder")
    if fate == "replaced":
        desk.write({"folder": "a file"})
    done = desk.push(yes=True)
    assert "mount" in done.refusals
    assert desk.state() == before


# -- rights -------------------------------------------------------------------------------------------------------


def test_read_only_folders_when_pushed_as_a_plain_user_then_they_arrive_change_and_come_back(
    short_path: Path,
) -> None:
    def work() -> None:
        desk = Desk(short_path)
        desk.write({"locked": Directory({"a": "a", "sub": Directory({"b": "b"}, 0o500)}, 0o555), "free": {}})
        desk.push()
        assert desk.state() == desk.source_state()
        first = desk.state()
        os.chmod(desk.source / "locked", 0o755)
        desk.write({"locked": Directory({"a": "changed", "new": "n"}, 0o555)})
        done = desk.push()
        assert done.refusals == []
        assert desk.state() == desk.source_state()
        desk.rollback()
        assert desk.state() == first
        os.chmod(desk.source / "locked", 0o755)
        os.chmod(desk.source / "locked/sub", 0o755)
        shutil.rmtree(desk.source / "locked")
        assert desk.push(yes=True).refusals == []
        desk.rollback()
        assert desk.state() == first
        assert desk.changes() == []

    if os.geteuid() != 0:
        work()
        return
    os.chmod(short_path, 0o777)
    in_child(work, NOBODY)


def test_unreadable_file_when_replaced_as_a_plain_user_then_undo_keeps_it(short_path: Path) -> None:
    def work() -> None:
        desk = Desk(short_path)
        desk.write({"a": "secret", "sticky": Directory({"x": "x"}, 0o1777)})
        desk.push()
        assert stat.S_IMODE((desk.dest / "sticky").stat().st_mode) == 0o1777
        desk.write({"a": File("new", 0o000)})
        os.chmod(desk.source / "a", 0o400)
        desk.push()
        os.chmod(desk.source / "a", 0o600)
        desk.write({"a": "newer", "sticky": {"x": "y"}})
        assert desk.push().refusals == []
        assert desk.read("a") == "newer"
        desk.rollback()
        assert desk.read("a") == "new"
        desk.rollback(1)
        assert desk.read("a") == "secret"

    if os.geteuid() != 0:
        work()
        return
    os.chmod(short_path, 0o777)
    in_child(work, NOBODY)


def test_unreadable_names_when_a_plain_users_push_is_reversed_then_all_is_as_before(short_path: Path) -> None:
    """What cannot be looked at on the way back must not stop it."""

    def work() -> None:
        desk = Desk(short_path)
        desk.write({"a": "old", "z": "old"})
        desk.push()
        before = desk.state()
        desk.write({"a": "new", "z": "new", "closed": {"f": "f"}, "secret": "s", "sub": {"in": {"f": "f"}}})
        closed = {"closed": 0o300, "secret": 0o200, "sub/in/f": 0o000, "sub/in": 0o100}
        real, modes = Committer.forward, closed.items()

        def fail(committer: Committer, moves: Sequence[Move]) -> list[bytes]:
            real(committer, moves)
            for path, mode in modes:
                os.chmod(desk.dest / path, mode)
            raise FilesystemError("an error of the disk")

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Committer, "forward", fail)
            with pytest.raises(ExecutionError):
                desk.push()
        assert desk.state() == before
        assert desk.push().refusals == []
        assert desk.read("a") == "new"

    if os.geteuid() != 0:
        work()
        return
    os.chmod(short_path, 0o777)
    in_child(work, NOBODY)


@as_root
def test_folder_when_it_belongs_to_somebody_else_then_a_plain_user_is_refused_before_anything_changes(
    short_path: Path,
) -> None:
    os.chmod(short_path, 0o777)
    dest = short_path / "dest"
    dest.mkdir()
    os.chown(dest, NOBODY, NOBODY)

    def work() -> None:
        desk = Desk(short_path)
        desk.write({"mine": "m", "theirs": {"a": "a"}})
        desk.push()

    in_child(work, NOBODY)
    os.chown(dest / "theirs", 0, 0)
    shutil.rmtree(short_path / "source")

    def again() -> None:
        desk = Desk(short_path)
        desk.write({"mine": "changed", "theirs": {"a": "changed", "b": "b"}})
        before = desk.state()
        assert "rights" in desk.push().refusals
        assert desk.state() == before

    in_child(again, NOBODY)


@as_root
def test_immutable_file_when_it_must_change_then_everything_is_reversed_and_the_error_says_why(desk: Desk) -> None:
    need("chattr")
    desk.write({"a": "a", "b": "b", "c": "c"})
    desk.push()
    first = desk.state()
    if subprocess.run(["chattr", "+i", desk.dest / "b"], check=False, capture_output=True).returncode:
        pytest.skip("this file system has no immutable flag")
    try:
        desk.write({"a": "1", "b": "2", "c": "3"})
        with pytest.raises(PdeltaError) as caught:
            desk.push()
        assert (caught.value.exit_status, "'b'" in caught.value.message) == (5, True)
        assert desk.state() == first
    finally:
        run("chattr", "-i", desk.dest / "b")
    assert desk.push().refusals == []
    assert desk.state() == desk.source_state()
