"""What a push deletes, what it spares, and what it asks about first."""

from pathlib import Path

import pytest

from tests.fixtures.desk import Desk, ignoring
from tests.fixtures.trees import File, Symlink, Tree

MANY: Tree = {f"file{number}": f"content {number}" for number in range(120)}
KEPT: Tree = {f"k{number}": "x" for number in range(2000)}


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_first_push_when_the_destination_is_unmanaged_then_nothing_is_deleted_or_fetched_again(desk: Desk) -> None:
    same = File("the same content", 0o644, 1_700_000_000_000_000_000)
    desk.write({"same": same, "folder": {"same": same}, "new": "new"})
    desk.write_dest({"same": same, "folder": {"same": same, "extra": "mine"}, "extra": "mine too", "own": {"x": "y"}})
    inode = (desk.dest / "same").stat().st_ino
    done = desk.push()
    assert (done.refusals, done.fetched_bytes) == ([], len("new"))
    assert (desk.dest / "same").stat().st_ino == inode
    assert desk.names() == {"same", "folder", "new", "extra", "own"}
    assert desk.read("folder/extra") == "mine"


def test_adopted_extras_when_pushed_again_then_they_survive_and_once_wanted_names_go(desk: Desk) -> None:
    desk.write({"keep": "1", "folder": {"a": "a", "b": "b"}})
    desk.write_dest({"extra": "mine", "folder": {"extra": "mine"}, "own": {"deep": {"x": "y"}}})
    desk.push()
    (desk.source / "folder/a").unlink()
    done = desk.push(yes=True)
    assert done.body.deleted == 1
    assert desk.names("folder") == {"b", "extra"}
    assert desk.names() == {"keep", "folder", "extra", "own"}
    (desk.source / "folder/b").unlink()
    (desk.source / "folder").rmdir()
    assert desk.push(yes=True).body.deleted == 1
    assert desk.names("folder") == {"extra"}
    assert desk.changes() == []


def test_delete_when_given_then_adopted_extras_go_and_rollback_brings_them_back(desk: Desk) -> None:
    desk.write({"keep": "1"})
    desk.write_dest({"extra": "mine", "own": {"deep": {"x": "y"}, "link": Symlink("nowhere")}})
    before = desk.state()
    done = desk.push(delete=True, yes=True)
    assert [(change.action, change.subject) for change in done.delta.changes if change.action == "delete"] == [
        ("delete", b"extra"),
        ("delete", b"own"),
        ("delete", b"own/deep"),
        ("delete", b"own/deep/x"),
        ("delete", b"own/link"),
    ]
    assert desk.names() == {"keep"}
    desk.rollback()
    assert desk.state() == before


def test_extras_when_deleted_by_a_later_push_with_delete_then_they_are_gone(desk: Desk) -> None:
    desk.write({"keep": "1"})
    desk.write_dest({"extra": "mine", "own": {"deep": {"x": "y"}}})
    desk.push()
    desk.push(delete=True, yes=True)
    assert desk.names() == {"keep"}


def test_no_delete_when_given_then_names_stay_and_the_next_plain_push_deletes_them(desk: Desk) -> None:
    desk.write({"keep": "1", "gone": "2", "folder": {"x": "x"}})
    desk.push()
    (desk.source / "gone").unlink()
    (desk.source / "folder/x").unlink()
    (desk.source / "folder").rmdir()
    desk.write({"keep": "changed"})
    assert desk.push(delete=False).body.deleted == 0
    assert desk.names() == {"keep", "gone", "folder"}
    assert desk.changes() == []
    assert desk.push(yes=True).body.deleted == 2
    assert desk.names() == {"keep"}


def test_suspended_path_when_deleted_there_then_it_stays_until_a_clean_push(desk: Desk) -> None:
    desk.write({"keep": "1", "gone": "2", "locked": {"a": "a", "sub": {"b": "b"}}})
    desk.push()
    (desk.source / "gone").unlink()
    (desk.source / "locked/a").unlink()
    (desk.source / "locked/sub/b").unlink()
    desk.push(suspended=(b"locked",), yes=True)
    assert desk.names() == {"keep", "locked"}
    assert desk.names("locked") == {"a", "sub"}
    assert desk.names("locked/sub") == {"b"}
    assert desk.changes() == []
    desk.push(yes=True)
    assert desk.names("locked") == {"sub"}
    assert desk.names("locked/sub") == set()


def test_suspended_file_when_its_folder_vanished_too_then_only_the_file_and_its_folder_stay(desk: Desk) -> None:
    desk.write({"keep": "1", "folder": {"unread": "a", "other": "b"}})
    desk.push()
    (desk.source / "folder/unread").unlink()
    (desk.source / "folder/other").unlink()
    (desk.source / "folder").rmdir()
    desk.push(suspended=(b"folder/unread",), yes=True)
    assert desk.names("folder") == {"unread"}
    desk.push(yes=True)
    assert desk.names() == {"keep"}


@pytest.mark.parametrize(
    ("wish", "refused"),
    [
        ({}, True),
        ({"yes": True}, False),
        ({"max_delete": 119}, True),
        ({"max_delete": 120}, False),
        ({"max_delete": 5, "yes": True}, False),
    ],
)
def test_loss_when_more_than_a_hundred_files_go_then_it_must_be_confirmed(
    desk: Desk, wish: dict[str, object], *, refused: bool
) -> None:
    desk.write({"keep": KEPT, "many": MANY})
    desk.push()
    for name in MANY:
        (desk.source / "many" / str(name)).unlink()
    done = desk.push(listed=20, **wish)  # type: ignore[arg-type]
    assert done.refusals == (["loss"] if refused else [])
    if refused:
        message = next(found.message for found in done.findings if found.blocks)
        assert "'many/file0'" in message, "the paths are listed in every case"
        assert message.endswith("… 100 more (-v lists them)")
    assert (len(desk.names("many")) == 120) == refused


def test_loss_when_more_than_a_tenth_goes_then_the_refusal_lists_the_paths(desk: Desk) -> None:
    desk.write({f"f{number:02}": f"{number}" for number in range(30)})
    desk.push()
    for number in range(3):
        (desk.source / f"f{number:02}").unlink()
    assert desk.push().refusals == []
    for number in range(3, 6):
        (desk.source / f"f{number:02}").unlink()
    done = desk.push()
    assert done.refusals == ["loss"]
    message = next(finding.message for finding in done.findings)
    assert all(name in message for name in ("f03", "f04", "f05"))


def test_source_when_empty_then_the_push_must_be_confirmed(desk: Desk) -> None:
    desk.write({"a": "a", "b": "b"})
    desk.push()
    for name in ("a", "b"):
        (desk.source / name).unlink()
    assert desk.push().refusals == ["loss"]
    assert desk.names() == {"a", "b"}
    desk.push(yes=True)
    assert desk.names() == set()


def test_folder_when_it_holds_unknown_names_then_it_is_kept_and_reported(desk: Desk) -> None:
    desk.write({"keep": "1", "folder": {"a": "a", "sub": {"b": "b"}}})
    desk.push()
    desk.write_dest({"folder": {"sub": {"unknown": "not pdelta's"}}})
    (desk.source / "folder/a").unlink()
    (desk.source / "folder/sub/b").unlink()
    (desk.source / "folder/sub").rmdir()
    (desk.source / "folder").rmdir()
    done = desk.push(yes=True)
    assert done.refusals == []
    assert "occupied" in done.warnings
    assert desk.names("folder") == {"sub"}
    assert desk.names("folder/sub") == {"unknown"}
    # What stays is recorded as it stands: the unknown name is still unknown, and nothing else differs.
    assert {subject for action, subject in desk.changes() if action != "extra"} == set()


def test_folder_when_it_gives_way_to_a_file_and_holds_unknown_names_then_the_push_refuses(desk: Desk) -> None:
    desk.write({"thing": {"a": "a"}})
    desk.push()
    desk.write_dest({"thing": {"unknown": "not pdelta's"}})
    before = desk.state()
    (desk.source / "thing/a").unlink()
    (desk.source / "thing").rmdir()
    desk.write({"thing": "a file now"})
    done = desk.push(yes=True)
    assert "conflict" in done.refusals
    assert desk.state() == before


def test_folder_when_it_gives_way_to_a_file_and_holds_ignored_names_then_the_push_refuses(desk: Desk) -> None:
    desk.write({"thing": {"a": "a"}})
    desk.push(ignoring(b"*.log"))
    desk.write_dest({"thing": {"app.log": "precious"}})
    (desk.source / "thing/a").unlink()
    (desk.source / "thing").rmdir()
    desk.write({"thing": "a file now"})
    assert "conflict" in desk.push(ignoring(b"*.log"), yes=True).refusals
    assert desk.read("thing/app.log") == "precious"


def test_kinds_when_they_change_then_rollback_brings_the_old_ones_back(desk: Desk) -> None:
    desk.write({"one": {"a": "a", "sub": {"b": "b"}}, "two": "file", "three": Symlink("two"), "four": "file"})
    desk.push()
    before = desk.state()
    for path in ("one/a", "one/sub/b", "two", "three", "four"):
        (desk.source / path).unlink()
    (desk.source / "one/sub").rmdir()
    (desk.source / "one").rmdir()
    desk.write({"one": "file", "two": {"x": "x"}, "three": "file", "four": Symlink("three")})
    desk.push(yes=True)
    assert desk.state() == desk.source_state()
    desk.rollback()
    assert desk.state() == before
