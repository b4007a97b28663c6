"""Ignored paths at a destination: neither deleted, replaced nor restored, even if they were pushed before."""

from pathlib import Path

import pytest

from tests.fixtures.desk import Desk, ignoring


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_ignored_names_when_they_stand_at_the_destination_then_they_are_never_touched(desk: Desk) -> None:
    desk.write({"a": "a", "app.log": "the sender's", "cache": {"x": "the sender's"}})
    desk.write_dest({"app.log": "mine", "cache": {"y": "mine"}})
    rules = ignoring(b"*.log", b"cache/")
    done = desk.push(rules, delete=True, yes=True)
    assert done.refusals == []
    assert desk.names() == {"a", "app.log", "cache"}
    assert (desk.read("app.log"), desk.names("cache")) == ("mine", {"y"})
    assert desk.changes() == []


def test_path_when_pushed_before_and_ignored_now_then_it_is_released(desk: Desk) -> None:
    desk.write({"a": "a", "settings": "default", "data": {"x": "x", "y": "y"}})
    desk.push()
    desk.write_dest({"settings": "edited on the host"})
    desk.write({"a": "changed", "settings": "new default"})
    rules = ignoring(b"settings", b"data/")
    done = desk.push(rules)
    assert done.refusals == []
    assert done.body.released == (b"data", b"settings")
    assert desk.read("settings") == "edited on the host"
    assert desk.names("data") == {"x", "y"}
    assert desk.read("a") == "changed"
    assert desk.history()[-1].released == (b"data", b"settings")
    # Released paths belong to the host now: no later push knows them, and rules may go away again.
    (desk.source / "data/x").unlink()
    assert desk.push(rules).delta.empty
    assert desk.names("data") == {"x", "y"}


def test_rollback_when_it_would_overwrite_a_released_path_then_it_refuses_by_name(desk: Desk) -> None:
    desk.write({"a": "a", "settings": "default"})
    desk.push()
    desk.push(ignoring(b"settings"))
    desk.write_dest({"settings": "edited on the host"})
    done = desk.rollback()
    assert done.refusals == ["released"]
    assert "settings" in next(finding.message for finding in done.findings if finding.blocks)
    assert desk.read("settings") == "edited on the host"


def test_rollback_when_a_released_path_is_as_it_was_then_it_is_taken_back(desk: Desk) -> None:
    desk.write({"a": "a", "settings": "default", "data": {"x": "x"}})
    desk.push()
    before = desk.state()
    desk.write({"a": "changed"})
    desk.push(ignoring(b"settings", b"data/"))
    done = desk.rollback()
    assert (done.refusals, done.fetched_bytes) == ([], 0)
    assert desk.state() == before
    assert desk.changes() == []


def test_rollback_when_a_released_folder_was_changed_then_it_refuses_by_name(desk: Desk) -> None:
    desk.write({"a": "a", "data": {"x": "x", "sub": {"y": "y"}}})
    desk.push()
    desk.write({"a": "changed"})
    desk.push(ignoring(b"data/"))
    desk.write_dest({"data": {"sub": {"y": "edited on the host"}}})
    done = desk.rollback()
    assert set(done.refusals) == {"released"}
    assert "data/sub/y" in "".join(finding.message for finding in done.findings)
    assert desk.read("data/sub/y") == "edited on the host"
    assert desk.read("a") == "changed"


def test_folder_when_deleted_at_the_source_and_it_holds_a_released_file_then_it_stays(desk: Desk) -> None:
    desk.write({"keep": "k", "folder": {"a": "a", "b.log": "b"}})
    desk.push()
    for name in ("a", "b.log"):
        (desk.source / "folder" / name).unlink()
    (desk.source / "folder").rmdir()
    done = desk.push(ignoring(b"*.log"), yes=True)
    assert done.body.released == (b"folder/b.log",)
    assert "occupied" in done.warnings
    assert desk.names("folder") == {"b.log"}
    assert desk.changes() == []


def test_folder_when_renamed_at_the_source_and_it_holds_an_ignored_file_then_the_file_stays(desk: Desk) -> None:
    rules = ignoring(b"*.log")
    desk.write({"old": {"a": "some content", "sub": {"b": "other content"}}})
    desk.push(rules)
    desk.write_dest({"old": {"app.log": "mine", "sub": {"sub.log": "mine"}}})
    (desk.source / "old").rename(desk.source / "new")
    done = desk.push(rules, yes=True)
    assert (done.refusals, done.fetched_bytes) == ([], 0)
    assert desk.names("old") == {"app.log", "sub"}
    assert desk.names("old/sub") == {"sub.log"}
    assert desk.names("new") == {"a", "sub"}
    assert desk.changes() == []
    desk.rollback()
    assert desk.names() == {"old"}
    assert desk.names("old") == {"a", "app.log", "sub"}
    assert desk.names("old/sub") == {"b", "sub.log"}


@pytest.mark.parametrize("check", ["trust", "stat", "bytes"])
def test_folder_when_deleted_and_it_holds_unknown_ignored_files_then_they_survive_every_check(
    desk: Desk, check: str
) -> None:
    rules = ignoring(b"*.log")
    desk.write({"keep": "k", "folder": {"sub": {"a": "a"}}})
    desk.push(rules)
    desk.write_dest({"folder": {"sub": {"app.log": "mine"}}})
    (desk.source / "folder/sub/a").unlink()
    (desk.source / "folder/sub").rmdir()
    (desk.source / "folder").rmdir()
    desk.push(rules, yes=True, check=check)
    assert desk.read("folder/sub/app.log") == "mine"
    assert desk.names("folder/sub") == {"app.log"}


def test_first_push_when_it_deletes_extras_then_ignored_files_inside_them_survive(desk: Desk) -> None:
    desk.write({"keep": "k"})
    desk.write_dest({"own": {"sub": {"x": "x", "app.log": "mine"}}})
    desk.push(ignoring(b"*.log"), delete=True, yes=True)
    assert desk.names("own/sub") == {"app.log"}
    assert desk.changes() == []
