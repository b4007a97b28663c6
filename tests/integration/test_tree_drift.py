"""A destination that is not what its record says: refused, overwritten or kept, and always told."""

import os
from pathlib import Path

import pytest

from pdelta.filesystem.index import Index, Known
from tests.fixtures.desk import Desk, ignoring
from tests.fixtures.trees import File, Symlink

OLD = 1_600_000_000_000_000_000


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def edit_silently(path: Path, content: bytes) -> None:
    """Change a file's bytes and leave its size and modification time."""
    before = path.stat()
    assert before.st_size == len(content)
    with path.open("r+b") as file:
        file.write(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


@pytest.fixture
def pushed(desk: Desk) -> Desk:
    """One push is done; file ``a`` changes at the source and was edited at the destination."""
    desk.write({"a": "old", "b": "b", "folder": {"c": "c"}})
    desk.push()
    desk.write({"a": "new"})
    desk.write_dest({"a": "edited on the host"})
    return desk


def test_drift_when_refused_then_the_path_is_named_and_nothing_changes(pushed: Desk) -> None:
    before = pushed.state()
    done = pushed.push()
    assert done.refusals == ["drift"]
    assert [finding.subject for finding in done.findings] == [b"a"]
    assert pushed.state() == before
    assert len(pushed.history()) == 1


def test_drift_when_overwritten_then_rollback_brings_the_drifted_content_back(pushed: Desk) -> None:
    before = pushed.state()
    assert pushed.push(drift="overwrite").refusals == []
    assert pushed.read("a") == "new"
    pushed.rollback()
    assert pushed.state() == before
    assert pushed.changes() == []
    pushed.rollback(0)
    assert pushed.names() == set()


def test_drift_when_kept_then_the_record_tells_the_truth_and_the_next_push_says_so_again(pushed: Desk) -> None:
    pushed.write({"b": "changed too"})
    done = pushed.push(drift="keep")
    assert (done.refusals, done.warnings) == ([], ["drift-kept"])
    assert (pushed.read("a"), pushed.read("b")) == ("edited on the host", "changed too")
    assert pushed.changes() == []
    again = pushed.push()
    assert pushed.read("a") == "edited on the host"
    assert again.refusals == ["drift"]
    assert pushed.push(drift="keep").warnings == ["drift-kept"]
    assert pushed.push(drift="overwrite").refusals == []
    assert pushed.read("a") == "new"
    assert pushed.changes() == []


def test_file_when_only_its_ctime_differs_then_it_is_no_drift(pushed: Desk) -> None:
    pushed.write_dest({"a": "old"})
    os.chmod(pushed.dest / "a", 0o600)
    os.chmod(pushed.dest / "a", 0o644)
    done = pushed.push()
    assert done.findings == []
    assert pushed.read("a") == "new"


def test_file_when_it_was_replaced_by_an_equal_one_then_it_is_no_drift(desk: Desk) -> None:
    content = File("old", 0o644, OLD)
    desk.write({"a": content})
    desk.push()
    (desk.dest / "a").unlink()
    desk.write_dest({"a": content})
    desk.write({"a": "new"})
    assert desk.push().findings == []
    assert desk.read("a") == "new"


def test_file_when_missing_and_wanted_otherwise_then_it_is_drift(pushed: Desk) -> None:
    (pushed.dest / "a").unlink()
    done = pushed.push()
    assert (done.refusals, done.findings[0].message) == (["drift"], "'a' is not as pdelta left it: missing")
    pushed.push(drift="overwrite")
    assert pushed.read("a") == "new"
    pushed.rollback()
    assert pushed.names() == {"b", "folder"}


def test_file_when_missing_and_kept_then_it_stays_away_until_it_is_overwritten(pushed: Desk) -> None:
    (pushed.dest / "a").unlink()
    assert pushed.push(drift="keep").refusals == []
    assert pushed.names() == {"b", "folder"}
    assert pushed.changes() == []
    pushed.push(drift="overwrite")
    assert pushed.read("a") == "new"


@pytest.mark.parametrize("check", ["trust", "stat"])
def test_file_when_a_folder_took_its_place_and_another_is_wanted_then_keep_spares_all_of_it(
    desk: Desk, check: str
) -> None:
    desk.write({"a": "a", "b": "a file"})
    desk.push()
    (desk.source / "b").unlink()
    desk.write({"a": "new", "b": {"f": "wanted", "g": "wanted"}})
    (desk.dest / "b").unlink()
    desk.write_dest({"b": {"f": "mine", "mine": {"x": "x"}}})
    assert set(desk.push(yes=True, check=check).refusals) == {"drift"}
    for turn in range(2):
        done = desk.push(drift="keep", yes=True, check=check)
        assert (done.refusals, set(done.warnings)) == ([], {"drift-kept"}), turn
        assert (desk.read("a"), desk.names("b"), desk.read("b/f")) == ("new", {"f", "mine"}, "mine")
        assert desk.changes() == []
    assert desk.push(drift="overwrite", yes=True, check=check).refusals == []
    assert (desk.read("b/f"), desk.names("b")) == ("wanted", {"f", "g", "mine"})
    assert desk.changes() == []
    assert desk.rollback().refusals == []
    assert (desk.read("b/f"), desk.names("b")) == ("mine", {"f", "mine"})


def test_file_when_missing_and_to_be_deleted_then_nothing_is_left_to_say(desk: Desk) -> None:
    desk.write({"a": "a", "b": "b"})
    desk.push()
    (desk.dest / "a").unlink()
    (desk.source / "a").unlink()
    assert desk.push(yes=True).refusals == []
    assert desk.names() == {"b"}


def test_file_when_it_already_is_what_is_wanted_then_it_is_no_drift(desk: Desk) -> None:
    desk.write({"a": "old"})
    desk.push()
    new = File("new", 0o644, OLD)
    desk.write({"a": new})
    desk.write_dest({"a": new})
    done = desk.push()
    assert (done.refusals, done.fetched_bytes) == ([], 0)
    assert desk.changes() == []


@pytest.mark.parametrize("kind", ["folder", "link", "fifo"])
def test_file_when_something_else_took_its_place_then_it_is_drift(pushed: Desk, kind: str) -> None:
    path = pushed.dest / "a"
    path.unlink()
    match kind:
        case "folder":
            path.mkdir()
            (path / "inside").write_text("mine")
        case "link":
            path.symlink_to("/etc/passwd")
        case _:
            os.mkfifo(path)
    before = pushed.state()
    done = pushed.push()
    assert done.refusals
    assert pushed.state() == before
    if kind == "fifo":
        assert "special" in pushed.push(drift="overwrite").refusals
        return
    assert pushed.push(drift="overwrite", yes=True).refusals == []
    assert pushed.read("a") == "new"
    pushed.rollback()
    assert pushed.state() == before


def test_folder_when_a_link_took_its_place_then_nothing_is_written_through_it(desk: Desk, tmp_path: Path) -> None:
    desk.write({"folder": {"a": "a"}})
    desk.push()
    (desk.dest / "folder/a").unlink()
    (desk.dest / "folder").rmdir()
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "a").write_text("not yours")
    (desk.dest / "folder").symlink_to(outside)
    desk.write({"folder": {"a": "new", "b": "b"}})
    assert "drift" in desk.push().refusals
    desk.push(drift="overwrite", yes=True)
    assert (outside / "a").read_text() == "not yours"
    assert {entry.name for entry in outside.iterdir()} == {"a"}
    assert desk.read("folder/b") == "b"
    desk.rollback()
    assert (desk.dest / "folder").is_symlink()


@pytest.mark.parametrize("check", ["trust", "stat", "bytes"])
def test_unknown_file_when_it_is_in_the_way_then_it_is_drift_and_rollback_brings_it_back(
    desk: Desk, check: str
) -> None:
    same = File("the same", 0o644, OLD)
    desk.write({"a": "a"})
    desk.push()
    desk.write({"new": "wanted", "folder": {"new": "wanted too", "equal": same}})
    desk.write_dest({"new": "mine", "folder": {"new": "mine", "equal": same}})
    before = desk.state()
    refused = desk.push(check=check)
    assert {finding.subject for finding in refused.findings if finding.blocks} == {b"new", b"folder/new"}
    desk.push(drift="overwrite", check=check)
    assert (desk.read("new"), desk.read("folder/new")) == ("wanted", "wanted too")
    desk.rollback()
    assert desk.state() == before


def test_unknown_file_when_it_is_in_the_way_and_kept_then_it_counts_as_an_extra(desk: Desk) -> None:
    desk.write({"a": "a"})
    desk.push()
    desk.write({"new": "wanted"})
    desk.write_dest({"new": "mine"})
    assert desk.push(drift="keep").refusals == []
    assert desk.read("new") == "mine"
    assert desk.changes() == []
    # It was never pdelta's: when the source no longer wants it, it stays.
    (desk.source / "new").unlink()
    desk.push(yes=True)
    assert desk.read("new") == "mine"


def test_unknown_equal_file_when_it_is_wanted_then_it_is_adopted_without_a_word(desk: Desk) -> None:
    desk.write({"a": "a"})
    desk.push()
    same = File("the same", 0o644, OLD)
    desk.write({"new": same, "folder": {"new": same}})
    desk.write_dest({"new": same, "folder": {"new": same, "mine": "mine"}})
    inode = (desk.dest / "new").stat().st_ino
    done = desk.push()
    assert (done.findings, done.fetched_bytes) == ([], 0)
    assert (desk.dest / "new").stat().st_ino == inode
    assert desk.names("folder") == {"new", "mine"}
    assert desk.changes() == []


@pytest.mark.parametrize("fate", ["deleted", "moved"])
def test_folder_when_it_goes_and_something_inside_drifted_then_the_push_refuses(desk: Desk, fate: str) -> None:
    desk.write({"keep": "k", "folder": {"a": "a", "sub": {"b": "some content"}}})
    desk.push()
    desk.write_dest({"folder": {"sub": {"b": "edited on the host"}}})
    before = desk.state()
    if fate == "moved":
        (desk.source / "folder").rename(desk.source / "elsewhere")
    else:
        (desk.source / "folder/sub/b").unlink()
        (desk.source / "folder/sub").rmdir()
        (desk.source / "folder/a").unlink()
        (desk.source / "folder").rmdir()
    assert desk.push(yes=True).refusals == ["drift"]
    assert desk.state() == before
    desk.push(drift="overwrite", yes=True)
    assert desk.state() == desk.source_state()
    desk.rollback()
    assert desk.state() == before


def test_folder_when_it_goes_and_something_inside_drifted_and_is_kept_then_that_stays(desk: Desk) -> None:
    desk.write({"keep": "k", "folder": {"a": "a", "sub": {"b": "b"}}})
    desk.push()
    desk.write_dest({"folder": {"sub": {"b": "edited on the host"}}})
    (desk.source / "folder/sub/b").unlink()
    (desk.source / "folder/sub").rmdir()
    (desk.source / "folder/a").unlink()
    (desk.source / "folder").rmdir()
    done = desk.push(drift="keep", yes=True)
    assert done.refusals == []
    assert desk.names("folder") == {"sub"}
    assert desk.read("folder/sub/b") == "edited on the host"
    assert desk.changes() == []


def test_untouched_drift_when_trusted_then_the_result_says_what_was_trusted(desk: Desk) -> None:
    desk.write({"a": "a", "b": "b"})
    desk.push()
    desk.write_dest({"b": "edited on the host"})
    desk.write({"a": "new"})
    done = desk.push()
    assert (done.findings, done.body.trusted) == ([], "destination trusted since entry 1")
    assert desk.history()[-1].trusted == "destination trusted since entry 1"
    assert desk.read("b") == "edited on the host"


def test_untouched_drift_when_the_destination_is_checked_then_it_is_found(desk: Desk) -> None:
    desk.write({"a": "a", "b": "b", "folder": {"c": "c"}, "gone": "g"})
    desk.push()
    desk.write_dest({"b": "edited on the host", "folder": {"c": "edited too"}, "unknown": "mine"})
    (desk.dest / "gone").unlink()
    os.chmod(desk.dest / "folder", 0o700)
    desk.write({"a": "new"})
    done = desk.push(check="stat")
    assert set(done.refusals) == {"drift"}
    assert {finding.subject for finding in done.findings if finding.blocks} == {b"b", b"folder", b"folder/c", b"gone"}
    assert desk.push(check="stat", drift="overwrite").refusals == []
    assert desk.names() == {"a", "b", "folder", "gone", "unknown"}
    assert (desk.read("b"), desk.read("folder/c"), desk.read("gone")) == ("b", "c", "g")
    assert (desk.dest / "folder").stat().st_mode & 0o777 == 0o755
    assert desk.changes() == []


def test_drift_when_found_by_a_check_and_kept_then_the_record_tells_the_truth(desk: Desk) -> None:
    desk.write({"a": "a", "b": "b", "gone": "g"})
    desk.push()
    desk.write_dest({"b": "edited on the host", "unknown": "mine"})
    (desk.dest / "gone").unlink()
    desk.write({"a": "new"})
    assert desk.push(check="stat", drift="keep").refusals == []
    assert (desk.read("b"), desk.names()) == ("edited on the host", {"a", "b", "unknown"})
    assert desk.changes() == []
    assert {finding.subject for finding in desk.push().findings if finding.blocks} == {b"b", b"gone"}


@pytest.mark.parametrize(("check", "found"), [("trust", False), ("stat", False), ("bytes", True)])
def test_content_when_changed_behind_equal_stat_data_then_reading_bytes_finds_it(
    desk: Desk, check: str, *, found: bool
) -> None:
    desk.write({"a": "a", "b": "original"})
    desk.push()
    edit_silently(desk.dest / "b", b"ORIGINAL")
    desk.write({"a": "new"})
    done = desk.push(check=check)
    # A changed ctime makes a stat check read the file too; only trust leaves it alone.
    assert (done.refusals == ["drift"]) == (found or check == "stat")


def test_adopted_extra_when_edited_and_checked_then_it_is_still_nobody_elses(desk: Desk) -> None:
    desk.write({"a": "a", "folder": {"b": "b"}})
    desk.write_dest({"extra": "mine", "folder": {"extra": "mine"}, "own": {"x": "x"}})
    desk.push()
    desk.write_dest({"extra": "edited", "folder": {"extra": "edited"}, "own": {"x": "edited", "y": "y"}})
    os.chmod(desk.dest / "own", 0o700)
    desk.write({"a": "new"})
    done = desk.push(check="stat")
    assert done.refusals == []
    desk.write({"a": "newer", "folder": {"b": "newer"}})
    assert desk.push(check="stat", yes=True).refusals == []
    assert desk.push(yes=True).refusals == []
    assert desk.names() == {"a", "extra", "folder", "own"}
    assert (desk.read("extra"), desk.read("folder/extra"), desk.read("own/y")) == ("edited", "edited", "y")
    assert desk.changes() == []


def test_drift_when_the_time_alone_differs_then_it_is_told_as_metadata(pushed: Desk) -> None:
    pushed.write_dest({"a": File("old", 0o644, OLD)})
    done = pushed.push()
    assert (done.refusals, done.findings[0].message) == (["drift"], "'a' is not as pdelta left it: mtime")


def test_drift_when_a_deleted_file_was_edited_then_keep_spares_it(desk: Desk) -> None:
    desk.write({"a": "a", "b": "b"})
    desk.push()
    (desk.source / "a").unlink()
    desk.write_dest({"a": "edited on the host"})
    assert desk.push(yes=True).refusals == ["drift"]
    assert desk.push(yes=True, drift="keep").refusals == []
    assert desk.read("a") == "edited on the host"
    assert desk.changes() == []


def test_rollback_when_a_path_drifted_then_it_refuses_or_keeps_that_content(pushed: Desk) -> None:
    pushed.push(drift="overwrite")
    pushed.write_dest({"a": "edited again"})
    assert pushed.rollback().refusals == ["drift"]
    assert pushed.rollback(drift="overwrite").refusals == []
    assert pushed.read("a") == "edited on the host"
    pushed.rollback()
    assert pushed.read("a") == "edited again"


def test_repair_when_the_tree_was_damaged_then_it_is_as_recorded_again(desk: Desk) -> None:
    desk.write({"a": "a", "b": "original", "folder": {"c": "c"}, "link": Symlink("a")})
    desk.push()
    before = desk.state()
    edit_silently(desk.dest / "b", b"ORIGINAL")
    (desk.dest / "folder/c").unlink()
    (desk.dest / "link").unlink()
    os.chmod(desk.dest / "a", 0o600)
    desk.write_dest({"extra": "mine"})
    desk.repair()
    (desk.dest / "extra").unlink()
    assert {path: fact for path, fact in desk.state().items() if path} == {p: f for p, f in before.items() if p}


def test_repair_when_names_are_unknown_then_they_stay_unknown(desk: Desk) -> None:
    desk.write({"a": "a", "folder": {"b": "b"}})
    desk.write_dest({"adopted": "first"})
    desk.push()
    recorded = desk.history()[-1].held
    desk.write_dest({"a": "damaged", "adopted": "edited", "folder": {"extra": "mine"}, "own": {"x": "x"}})
    desk.repair()
    assert desk.history()[-1].held == recorded
    assert desk.read("a") == "a"
    told = {(action, path) for action, path in desk.changes() if path != b"folder"}
    assert told == {
        ("changed", b"adopted"), ("extra", b"folder/extra"), ("extra", b"own"), ("extra", b"own/x")
    }  # fmt: skip
    assert (desk.read("adopted"), desk.read("folder/extra"), desk.read("own/x")) == ("edited", "mine", "x")
    assert desk.repair().facts is None
    assert desk.push(check="stat").refusals == []
    assert desk.changes() == []


def test_repair_when_its_source_moved_on_then_every_path_is_named_and_nothing_changed(desk: Desk) -> None:
    large = os.urandom(100_000)
    desk.write({"changed": "1", "gone": "1", "large": large, "link": Symlink("a"), "replaced": "1", "same": "1"})
    desk.push()
    for name in ("changed", "gone", "replaced", "same"):
        (desk.dest / name).write_text("damaged")
    (desk.dest / "large").unlink()
    (desk.dest / "link").unlink()
    damaged = desk.state()
    (desk.source / "changed").write_text("2")
    (desk.source / "gone").unlink()
    (desk.source / "replaced").unlink()
    (desk.source / "replaced").mkdir()
    (desk.source / "large").write_bytes(large[:-1] + b"?")
    done = desk.repair()
    assert done.refusals == ["source-moved-on"]
    named = "recorded of 4 paths: 'changed', 'gone', 'large', 'replaced'"
    assert done.findings[-1].message.endswith(named)
    assert desk.state() == damaged
    assert len(desk.history()) == 1


def test_repair_when_its_source_changed_elsewhere_in_the_file_then_it_is_repaired(desk: Desk) -> None:
    large = os.urandom(200_000)
    desk.write({"large": large})
    desk.push()
    edit_silently(desk.dest / "large", b"damaged" + large[7:])
    (desk.source / "large").write_bytes(large[:-1] + b"?")
    assert desk.repair().refusals == []
    assert (desk.dest / "large").read_bytes() == large
    assert desk.changes() == []


def test_nested_managed_tree_when_pushed_over_then_it_is_never_touched_and_is_reported(
    desk: Desk, tmp_path: Path
) -> None:
    (tmp_path / "second").mkdir()
    inner = Desk(tmp_path / "second", dest=desk.dest / "folder/inner")
    inner.write({"x": "x"})
    desk.write({"folder": {"inner": {"x": "mine"}, "y": "y"}})
    desk.push()
    inner.push(drift="overwrite")
    before = inner.state()
    for path in ("folder/inner/x", "folder/y"):
        (desk.source / path).unlink()
    (desk.source / "folder/inner").rmdir()
    (desk.source / "folder").rmdir()
    done = desk.push(yes=True, drift="overwrite")
    assert "nested" in done.refusals
    assert inner.state() == before
    done = desk.push(ignoring(b"inner/"), yes=True)
    assert done.refusals == []
    assert desk.names("folder") == {"inner"}
    assert inner.state() == before
    assert inner.changes() == []


def test_nested_managed_tree_when_its_folder_goes_then_it_stays_whole_and_is_reported(
    desk: Desk, tmp_path: Path
) -> None:
    (tmp_path / "second").mkdir()
    desk.write({"keep": "k", "folder": {"y": "y"}})
    desk.push()
    inner = Desk(tmp_path / "second", dest=desk.dest / "folder/inner")
    inner.write({"x": "x"})
    inner.push()
    before = inner.state()
    (desk.source / "folder/y").unlink()
    (desk.source / "folder").rmdir()
    for check in ("trust", "stat"):
        done = desk.push(yes=True, check=check, delete=True)
        assert "nested" in {finding.code for finding in done.findings}, check
        assert inner.state() == before
    assert inner.changes() == []


@pytest.mark.parametrize("first", [True, False], ids=["first-push", "later"])
def test_nested_managed_tree_when_the_destination_is_looked_at_then_it_is_named_and_not_recorded(
    desk: Desk, tmp_path: Path, *, first: bool
) -> None:
    (tmp_path / "second").mkdir()
    desk.write({"keep": "k"})
    if not first:
        desk.push()
    desk.write_dest({"mine": {"own": "o"}})
    inner = Desk(tmp_path / "second", dest=desk.dest / "mine/inner")
    inner.write({"x": "x"})
    inner.push()
    done = desk.push(check="stat")
    assert done.refusals == []
    named = [(found.code, found.subject) for found in done.findings]
    assert [one for one in named if one[0] == "nested"] == [("nested", b"mine/inner")]
    assert [one[1] for one in named if one[0] != "nested"] == ([] if first else [b"mine", b"mine/own"])
    inner.write({"x": "new", "y": "y"})
    inner.push()
    assert desk.changes() == []
    before = inner.state()
    desk.push(check="stat", delete=True, yes=True)
    assert desk.names("mine") == {"inner"}
    assert inner.state() == before
    assert inner.changes() == []


def test_unknown_names_when_the_destination_is_looked_at_then_what_stays_is_named(desk: Desk) -> None:
    desk.write({"folder": {"a": "a"}})
    desk.push()
    desk.write_dest({"folder": {"b": "b"}, "own": {"x": "x", "both": "same"}, "equal": "e"})
    desk.write({"own": {"both": "same"}, "equal": "e"})
    os.utime(desk.source / "equal", ns=(0, (desk.dest / "equal").stat().st_mtime_ns))
    done = desk.push(check="stat")
    adopted = [finding.subject for finding in done.findings if finding.code == "adopted"]
    assert adopted == [b"folder/b", b"own/x"]
    assert not done.refusals
    assert desk.push(check="stat").warnings == []
    desk.write_dest({"new": "n"})
    assert desk.push(check="stat", delete=True, yes=True).warnings == []
    assert desk.names() == {"folder", "own", "equal"}


def test_unknown_names_when_there_are_many_then_the_first_are_named_and_the_rest_counted(desk: Desk) -> None:
    desk.write({"a": "a"})
    desk.push()
    desk.write_dest({"many": {f"{number:02}": "x" for number in range(30)}})
    told = [finding.message for finding in desk.push(check="stat", listed=3).findings]
    assert told[:2] == [
        "'many' was unknown: it stays, and is recorded from now on",
        "'many/00' was unknown: it stays, and is recorded from now on",
    ]
    assert told[3:] == ["28 more unknown names stay, and are recorded from now on"]


def test_ignored_drift_when_a_folder_is_checked_then_it_is_nothing(desk: Desk) -> None:
    rules = ignoring(b"*.log")
    desk.write({"a": "a", "folder": {"b": "b"}})
    desk.push(rules)
    desk.write_dest({"folder": {"app.log": "mine"}})
    desk.write({"a": "new"})
    assert desk.push(rules, check="bytes").findings == []


def test_folder_when_files_and_folders_alternate_in_it_then_its_index_is_loaded_once_a_pass(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.write({f"n{number}.js": "x" for number in range(30)})
    desk.write({f"n{number}": {"index": "y"} for number in range(30)})
    desk.push()
    for path in desk.source.rglob("*"):
        if path.is_file():
            os.utime(path, ns=(88, 88))
    loaded: list[bytes] = []
    details = Index.details

    def count(index: Index, path: bytes, digest: bytes | None = None) -> Known:
        loaded.append(path)
        return details(index, path, digest)

    monkeypatch.setattr(Index, "details", count)
    assert desk.push().refusals == []
    # The scan, the look for drift, and the commit's record of what is there now.
    assert loaded.count(b"") <= 3
    assert loaded.count(b"n7") <= 3
