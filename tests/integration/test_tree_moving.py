"""Moves, copies and duplicates: no byte of content that the destination has comes from the source again."""

import os
import random
import shutil
from pathlib import Path

import pytest

from tests.fixtures.desk import Desk, ignoring


def content(seed: int, size: int = 60_000) -> bytes:
    return random.Random(seed).randbytes(size)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A tree with some content is pushed."""
    desk = Desk(tmp_path)
    desk.write(
        {
            "a": content(1),
            "b": content(2),
            "log": content(3),
            "log.1": content(4),
            "log.2": content(5),
            "folder": {"one": content(6), "two": content(7), "sub": {"three": content(8), "small": "small"}},
            "other": {"x": content(9)},
        }
    )
    desk.push()
    return desk


def finish(desk: Desk, *, fetched_at_most: int = 0, undo: bool = True) -> None:
    """Push, prove what it cost and that it is exact; then take it back and prove that too."""
    before = desk.state()
    done = desk.push(yes=True)
    assert done.refusals == []
    assert isinstance(done.fetched_bytes, int)
    assert done.fetched_bytes <= fetched_at_most
    assert desk.state() == desk.source_state()
    assert desk.changes() == []
    if undo:
        taken_back = desk.rollback()
        assert (taken_back.refusals, taken_back.fetched_bytes) == ([], 0)
        assert desk.state() == before
        assert desk.changes() == []
        again = desk.rollback()
        assert (again.refusals, again.fetched_bytes) == ([], 0)
        assert desk.state() == desk.source_state()


def test_file_when_renamed_then_nothing_is_fetched_and_its_inode_stays(desk: Desk) -> None:
    inode = (desk.dest / "a").stat().st_ino
    (desk.source / "a").rename(desk.source / "z")
    finish(desk, undo=False)
    assert (desk.dest / "z").stat().st_ino == inode


def test_file_when_moved_to_another_folder_then_nothing_is_fetched(desk: Desk) -> None:
    (desk.source / "a").rename(desk.source / "other/a")
    finish(desk)


def test_file_when_moved_and_edited_then_only_the_edit_is_fetched(desk: Desk) -> None:
    (desk.source / "a").rename(desk.source / "other/a")
    with (desk.source / "other/a").open("r+b") as file:
        file.seek(30_000)
        file.write(b"edited")
    finish(desk, fetched_at_most=3 * 16384)


def test_folder_when_renamed_then_nothing_is_fetched_and_it_is_one_move(desk: Desk) -> None:
    (desk.source / "folder").rename(desk.source / "renamed")
    before = desk.state()
    done = desk.push(yes=True)
    assert [(c.action, c.subject, c.origin) for c in done.delta.changes if c.action != "metadata"] == [
        ("move", b"renamed", b"folder")
    ]
    assert done.fetched_bytes == 0
    assert desk.state() == desk.source_state()
    desk.rollback()
    assert desk.state() == before


def test_folder_when_renamed_with_one_edited_file_then_only_that_is_fetched(desk: Desk) -> None:
    (desk.source / "folder").rename(desk.source / "renamed")
    (desk.source / "renamed/one").write_bytes(content(66, 10_000))
    finish(desk, fetched_at_most=10_000)


def test_folder_when_renamed_over_an_ignored_file_then_that_stays(desk: Desk) -> None:
    desk.push(ignoring(b"*.tmp"))
    desk.write_dest({"folder": {"sub": {"x.tmp": "mine"}}})
    (desk.source / "folder").rename(desk.source / "renamed")
    done = desk.push(ignoring(b"*.tmp"), yes=True)
    assert (done.refusals, done.fetched_bytes) == ([], 0)
    assert desk.names("folder/sub") == {"x.tmp"}
    assert (desk.dest / "renamed/sub/three").read_bytes() == content(8)
    desk.rollback()
    assert desk.names("folder/sub") == {"three", "small", "x.tmp"}
    assert desk.changes() == []


def test_folder_when_copied_then_nothing_is_fetched(desk: Desk) -> None:
    shutil.copytree(desk.source / "folder", desk.source / "copy")
    finish(desk)


def test_file_when_duplicated_then_nothing_is_fetched(desk: Desk) -> None:
    for name in ("c1", "c2", "other/c3"):
        shutil.copy2(desk.source / "a", desk.source / name)
    finish(desk)


def test_duplicates_when_they_are_all_new_then_each_is_fetched_once_at_most(desk: Desk) -> None:
    desk.write({"n1": content(50), "n2": content(50), "other": {"n3": content(50)}})
    before = desk.state()
    done = desk.push()
    assert done.fetched_bytes == 60_000
    assert desk.state() == desk.source_state()
    desk.rollback()
    assert desk.state() == before


def test_duplicates_when_each_is_one_chunk_then_each_is_fetched_once_at_most(desk: Desk) -> None:
    desk.write({"n1": content(50, 9000), "n2": content(50, 9000), "other": {"n3": content(50, 9000), "n4": "else"}})
    finish(desk, fetched_at_most=9004)


def test_copies_when_what_they_are_made_of_is_damaged_then_that_alone_is_fetched(desk: Desk) -> None:
    damaged = desk.dest / "folder/two"
    status = damaged.stat()
    damaged.write_bytes(content(77))
    os.utime(damaged, ns=(status.st_atime_ns, status.st_mtime_ns))
    shutil.copytree(desk.source / "folder", desk.source / "copy")
    done = desk.push()
    assert (done.refusals, done.fetched_bytes) == ([], 60_000)
    for name in ("one", "two", "sub/three", "sub/small"):
        assert (desk.dest / "copy" / name).read_bytes() == (desk.source / "copy" / name).read_bytes()


def test_files_when_swapped_then_nothing_is_fetched(desk: Desk) -> None:
    (desk.source / "a").rename(desk.source / "t")
    (desk.source / "b").rename(desk.source / "a")
    (desk.source / "t").rename(desk.source / "b")
    finish(desk)


def test_folders_when_swapped_then_nothing_is_fetched(desk: Desk) -> None:
    (desk.source / "folder").rename(desk.source / "t")
    (desk.source / "other").rename(desk.source / "folder")
    (desk.source / "t").rename(desk.source / "other")
    finish(desk)


def test_logs_when_rotated_then_only_the_new_one_is_fetched(desk: Desk) -> None:
    (desk.source / "log.2").rename(desk.source / "log.3")
    (desk.source / "log.1").rename(desk.source / "log.2")
    (desk.source / "log").rename(desk.source / "log.1")
    desk.write({"log": content(33, 5_000)})
    finish(desk, fetched_at_most=5_000)


def test_file_when_renamed_onto_an_existing_name_then_nothing_is_fetched(desk: Desk) -> None:
    (desk.source / "a").rename(desk.source / "b")
    finish(desk)


def test_folder_when_moved_into_a_new_one_then_nothing_is_fetched(desk: Desk) -> None:
    (desk.source / "new/deep").mkdir(parents=True)
    (desk.source / "folder").rename(desk.source / "new/deep/folder")
    finish(desk)


def test_folder_when_moved_into_its_own_name_then_nothing_is_fetched(desk: Desk) -> None:
    (desk.source / "folder").rename(desk.source / "t")
    (desk.source / "folder").mkdir()
    (desk.source / "t").rename(desk.source / "folder/folder")
    finish(desk)


def test_inner_folder_when_it_takes_the_place_of_its_parent_then_nothing_is_fetched(desk: Desk) -> None:
    (desk.source / "folder/sub").rename(desk.source / "t")
    shutil.rmtree(desk.source / "folder")
    (desk.source / "t").rename(desk.source / "folder")
    finish(desk)


def test_files_when_they_leave_a_folder_that_goes_then_nothing_is_fetched(desk: Desk) -> None:
    (desk.source / "folder/one").rename(desk.source / "one")
    (desk.source / "folder/sub/three").rename(desk.source / "other/three")
    shutil.rmtree(desk.source / "folder")
    finish(desk)


def test_folder_when_it_becomes_a_file_that_was_in_it_then_nothing_is_fetched(desk: Desk) -> None:
    (desk.source / "folder/one").rename(desk.source / "t")
    shutil.rmtree(desk.source / "folder")
    (desk.source / "t").rename(desk.source / "folder")
    finish(desk)


def test_file_when_it_becomes_a_folder_with_itself_inside_then_nothing_is_fetched(desk: Desk) -> None:
    (desk.source / "a").rename(desk.source / "t")
    (desk.source / "a").mkdir()
    (desk.source / "t").rename(desk.source / "a/a")
    finish(desk)


def test_move_when_its_mode_and_time_change_too_then_nothing_is_fetched(desk: Desk) -> None:
    (desk.source / "a").rename(desk.source / "z")
    os.chmod(desk.source / "z", 0o600)
    os.utime(desk.source / "z", ns=(1, 1_650_000_000_000_000_001))
    (desk.source / "folder").rename(desk.source / "renamed")
    os.chmod(desk.source / "renamed", 0o700)
    finish(desk)


def test_everything_when_moved_at_once_then_nothing_is_fetched(desk: Desk) -> None:
    (desk.source / "deep/er").mkdir(parents=True)
    (desk.source / "folder").rename(desk.source / "deep/folder")
    (desk.source / "deep/folder/sub").rename(desk.source / "deep/er/sub")
    (desk.source / "other/x").rename(desk.source / "deep/folder/one2")
    (desk.source / "deep/folder/one").rename(desk.source / "other/x")
    (desk.source / "a").rename(desk.source / "deep/er/sub/a")
    os.link(desk.source / "b", desk.source / "deep/b2")
    (desk.source / "log").unlink()
    (desk.source / "log").symlink_to("log.1")
    finish(desk)


def test_hard_links_when_groups_change_then_nothing_is_fetched(desk: Desk) -> None:
    os.link(desk.source / "a", desk.source / "a2")
    os.link(desk.source / "a", desk.source / "other/a3")
    finish(desk)
    (desk.source / "a2").unlink()
    shutil.copy2(desk.source / "a", desk.source / "a2")
    os.link(desk.source / "a2", desk.source / "a4")
    (desk.source / "other/a3").rename(desk.source / "other/a5")
    finish(desk)


def test_symbolic_link_with_a_name_in_a_folder_and_one_outside_when_it_comes_back_then_it_is_one_again(
    desk: Desk,
) -> None:
    (desk.source / "links").mkdir()
    (desk.source / "link").symlink_to("a")
    os.link(desk.source / "link", desk.source / "links/link", follow_symlinks=False)
    desk.push()
    assert (desk.dest / "link").lstat().st_ino == (desk.dest / "links/link").lstat().st_ino
    desk.rollback()
    desk.rollback()
    assert (desk.dest / "link").lstat().st_ino == (desk.dest / "links/link").lstat().st_ino
    assert desk.state() == desk.source_state()
