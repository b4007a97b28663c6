"""Push, diff, history, rollback and verify between two folders of one machine, as a user types them."""

import fcntl
import json
import os
import re
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.cli import Cli
from tests.fixtures.trees import Directory, Fifo, File, HardLink, Symlink, Tree, tree_state

MakeTree = Callable[[str, Tree], Path]

APP: Tree = {
    "bin": {"run": File(b"#!/bin/sh\n", mode=0o755)},
    "conf": {"app.ini": File(b"[app]\ndebug = no\n" * 500), "empty": Directory({})},
    "data": {"large": File(bytes(range(256)) * 4000), "copy": HardLink("data/large")},
    "current": Symlink("conf/app.ini"),
    "dangling": Symlink("nowhere"),
    b"caf\xe9\n\x1b[31m": File(b"bytes"),
}


def test_push_when_nothing_is_there_then_the_destination_equals_the_source(cli: Cli, tree: MakeTree) -> None:
    source = tree("app", APP)
    destination = source.with_name("live")
    result = cli("push", source, destination)
    assert tree_state(destination) == tree_state(source)
    assert "pdelta rollback" in result.out
    assert "\x1b" not in result.out


def test_destination_when_it_is_a_link_or_below_one_then_the_tree_behind_it_is_changed(
    cli: Cli, tree: MakeTree
) -> None:
    source = tree("app", {"a": "a"})
    real, link = source.with_name("real"), source.with_name("live")
    (real / "below").mkdir(parents=True)
    link.symlink_to("real")
    for named, place in ((link, real), (link / "below", real / "below"), (link / "new", real / "new")):
        (source / "a").write_text("a")
        cli("push", "--yes", source, named)
        (source / "a").write_text("b")
        cli("push", "--yes", source, named)
        assert (place / "a").read_text() == "b"
        cli("rollback", named)
        assert link.is_symlink()
        assert (place / "a").read_text() == "a"


def test_push_when_run_twice_then_the_second_does_nothing(cli: Cli, tree: MakeTree) -> None:
    source = tree("app", APP)
    destination = source.with_name("live")
    cli("push", source, destination)
    told = cli("push", "--json", source, destination).json()
    assert (told["changed"], told["sent_bytes"], told["change_count"]) == (False, 0, 0)
    assert len(cli("history", "--json", destination).json()["entries"]) == 1


def test_push_when_little_changed_then_little_is_sent(cli: Cli, tree: MakeTree) -> None:
    source = tree("app", APP)
    destination = source.with_name("live")
    cli("push", source, destination)
    (source / "conf" / "app.ini").write_text("[app]\n")
    (source / "data").rename(source / "assets")
    told = cli("push", "--json", source, destination).json()
    assert tree_state(destination) == tree_state(source)
    assert told["sent_bytes"] < 1000
    assert "destination trusted since" in told["trusted"]


def test_diff_when_equal_then_exit_is_0_and_when_different_4(cli: Cli, tree: MakeTree) -> None:
    source = tree("app", APP)
    destination = source.with_name("live")
    cli("diff", source, destination, status=4)
    assert not destination.exists()
    cli("push", source, destination)
    cli("diff", source, destination, status=0)
    (source / "new").write_text("x")
    told = cli("diff", "--json", source, destination, status=4).json()
    assert [(change["action"], change["path"]) for change in told["changes"]] == [("add", "new")]
    assert re.search(
        r"^a push would copy 1 B of 2\.1 MB( \(.*\))?$", cli("diff", source, destination, status=4).out, re.MULTILINE
    )
    assert not (destination / "new").exists()


def test_dry_run_when_asked_then_nothing_is_changed(cli: Cli, tree: MakeTree) -> None:
    source = tree("app", APP)
    destination = source.with_name("live")
    assert "would push" in cli("push", "--dry-run", source, destination).out
    assert not destination.exists()


def test_rollback_when_taken_then_the_former_tree_is_back_and_can_be_left_again(cli: Cli, tree: MakeTree) -> None:
    source = tree("app", APP)
    destination = source.with_name("live")
    cli("push", source, destination)
    first = tree_state(destination)
    (source / "bin" / "run").unlink()
    (source / "conf" / "app.ini").write_text("other")
    (source / "current").unlink()
    cli("push", "--yes", source, destination)
    second = tree_state(destination)
    source.rename(source.with_name("away"))
    cli("rollback", destination)
    assert tree_state(destination) == first
    cli("rollback", destination)
    assert tree_state(destination) == second
    assert [entry["verb"] for entry in cli("history", "--json", destination).json()["entries"]] == [
        "push",
        "push",
        "rollback",
        "rollback",
    ]


@pytest.mark.parametrize("command", ["push", "rollback"])
def test_changes_when_there_are_many_then_20_are_listed_unless_more_are_asked_for(
    cli: Cli, tree: MakeTree, command: str
) -> None:
    source = tree("app", {"stays": File(b"stays"), **{f"file {number:02}": File(b"x") for number in range(30)}})
    destination = source.with_name("live")
    plain = ("push", source, destination) if command == "push" else ("rollback", destination)
    if command == "rollback":
        cli("push", source, destination)
    told = cli(*plain, "--dry-run", "--yes") if command == "push" else cli(*plain, "--dry-run")
    assert told.out.count("file ") == 20
    assert "more" in told.out
    assert "30" in told.out or "31" in told.out, "the counts are complete"
    assert cli(*plain, "--dry-run", "-v").out.count("file ") == 30
    assert len(cli(*plain, "--dry-run", "--json").json()["changes"]) == 31


def test_verify_when_a_byte_is_damaged_then_it_is_named_with_exit_4(cli: Cli, tree: MakeTree) -> None:
    source = tree("app", APP)
    destination = source.with_name("live")
    cli("push", source, destination)
    assert cli("verify", "--json", destination).json()["equal"]
    victim = destination / "conf" / "app.ini"
    status = victim.stat()
    with victim.open("r+b") as stream:
        stream.write(b"X")
    os.utime(victim, ns=(status.st_atime_ns, status.st_mtime_ns))
    told = cli("verify", "--json", destination, status=4).json()
    assert told["changed"] == [{"path": "conf/app.ini"}]


def test_verify_when_repaired_from_the_source_then_the_tree_is_as_recorded(cli: Cli, tree: MakeTree) -> None:
    source = tree("app", APP)
    destination = source.with_name("live")
    cli("push", source, destination)
    (destination / "conf" / "app.ini").write_text("damaged")
    (destination / "bin" / "run").unlink()
    told = cli("verify", "--repair-from", source, destination).out
    assert f"\nrepaired  {source} → {destination}   entry 2\n" in told
    assert "1 added · 1 changed" in told
    assert re.search(r"\n  scanned 2\.1 MB in \d files.* · sent 8\.5 kB \(0\.4\d* %\) · ", told), told
    assert f"\n  take it back: pdelta rollback {destination}\n\nas recorded  {destination} equals entry 2\n" in told
    assert tree_state(destination) == tree_state(source)
    (destination / "bin" / "run").unlink()
    told = cli("verify", "--json", "--repair-from", source, destination).json()["repaired"]
    assert (told["number"], told["counts"]["added"], told["changed_bytes"]) == (3, 1, told["changes"][0]["size_bytes"])
    assert cli("verify", "--repair-from", source, destination).out.startswith("as recorded")
    cli("rollback", destination)
    assert not (destination / "bin" / "run").exists()


def test_push_when_the_destination_drifted_then_it_is_refused_by_name(cli: Cli, tree: MakeTree) -> None:
    source = tree("app", APP)
    destination = source.with_name("live")
    cli("push", source, destination)
    (destination / "conf" / "app.ini").write_text("edited on the host")
    (source / "conf" / "app.ini").write_text("new release")
    refused = cli("push", source, destination, status=3)
    assert "app.ini" in refused.err
    assert (destination / "conf" / "app.ini").read_text() == "edited on the host"
    cli("push", "--drift", "overwrite", source, destination)
    assert (destination / "conf" / "app.ini").read_text() == "new release"


def test_first_push_when_other_files_are_there_then_they_stay_unless_delete(cli: Cli, tree: MakeTree) -> None:
    source = tree("app", {"mine": "1"})
    destination = tree("live", {"theirs": "2"})
    cli("push", source, destination)
    assert (destination / "theirs").read_text() == "2"
    assert "1 of 2 files would be deleted" in cli("push", "--delete", source, destination, status=3).err
    cli("push", "--delete", "--yes", source, destination)
    assert not (destination / "theirs").exists()


def test_push_when_many_files_would_go_then_the_refusal_names_20_unless_more_are_asked_for(
    cli: Cli, tree: MakeTree
) -> None:
    source = tree("app", {f"f{number:02}": "x" for number in range(40)})
    destination = source.with_name("live")
    cli("push", source, destination)
    for number in range(30):
        (source / f"f{number:02}").unlink()
    told = cli("push", source, destination, status=3).err
    assert "'f19' … 10 more (-v lists them)\n" in told
    for option in ("-v", "--json"):
        told = cli("push", option, source, destination, status=3).err
        assert "'f28', 'f29'\n" in told
    assert "more" not in told


def test_push_when_the_source_is_empty_then_deleting_needs_yes(cli: Cli, tree: MakeTree) -> None:
    source = tree("app", {"a": "1", "b": "2"})
    destination = source.with_name("live")
    cli("push", source, destination)
    (source / "a").unlink()
    (source / "b").unlink()
    refused = cli("push", source, destination, status=3)
    assert "empty" in refused.err
    assert (destination / "a").exists()
    cli("push", "--yes", source, destination)
    assert not (destination / "a").exists()


def test_dry_run_when_the_push_would_be_refused_then_it_says_why_and_exit_is_3(cli: Cli, tree: MakeTree) -> None:
    source = tree("app", dict.fromkeys("abc", "1"))
    destination = source.with_name("live")
    cli("push", source, destination)
    for name in "abc":
        (source / name).unlink()
    before = tree_state(destination)
    dry = cli("push", "--dry-run", source, destination, status=3)
    assert dry.err == cli("push", source, destination, status=3).err
    assert "loss: 3 of 3 files would be deleted" in dry.err
    assert "empty-source:" in dry.err
    assert "  - a\n" in dry.out
    assert "would be refused" in dry.out
    told = cli("push", "--dry-run", "--json", source, destination, status=3).json()
    assert [finding["code"] for finding in told["findings"] if finding["blocks"]] == ["loss", "empty-source"]
    assert (told["counts"]["deleted"], told["dry_run"]) == (3, True)
    assert "would push" in cli("push", "--dry-run", "--yes", source, destination).out
    cli("diff", source, destination, status=4)
    assert tree_state(destination) == before


def test_rollback_dry_run_when_the_rollback_would_be_refused_then_exit_is_3(cli: Cli, tree: MakeTree) -> None:
    source = tree("app", {"a": "1"})
    destination = source.with_name("live")
    cli("push", source, destination)
    (destination / "a").write_text("edited on the host")
    assert "drift: 'a'" in cli("rollback", "--dry-run", destination, status=3).err
    assert (destination / "a").read_text() == "edited on the host"
    assert "would roll back" in cli("rollback", "--dry-run", "--drift", "overwrite", destination).out


def test_push_when_paths_are_ignored_then_they_are_neither_sent_nor_deleted(cli: Cli, tree: MakeTree) -> None:
    source = tree("app", {"a.log": "1", "keep.log": "2", "app": "3"})
    destination = source.with_name("live")
    cli("push", source, destination)
    cli("push", "--ignore", "*.log", "--include", "keep.log", source, destination)
    assert sorted(os.listdir(destination)) == [".pdelta", "a.log", "app", "keep.log"]
    (source / "keep.log").unlink()
    (source / "a.log").unlink()
    cli("push", "--ignore", "*.log", "--include", "keep.log", "--max-delete", "1", source, destination)
    assert sorted(os.listdir(destination)) == [".pdelta", "a.log", "app"]


def _bury(top: Path, name: str) -> None:
    """Make a file whose path below the top is longer than any system call takes, so that nobody can read it."""
    folder = os.open(top, os.O_RDONLY)
    for _ in range(17):
        os.mkdir("d" * 250, dir_fd=folder)
        below = os.open("d" * 250, os.O_RDONLY, dir_fd=folder)
        os.close(folder)
        folder = below
    os.close(os.open(name, os.O_CREAT | os.O_WRONLY, dir_fd=folder))
    os.close(folder)


def test_push_when_a_path_cannot_be_read_then_the_rest_is_pushed_and_exit_is_4(cli: Cli, tree: MakeTree) -> None:
    source = tree("app", {"a": "1", "deep": {}})
    destination = source.with_name("live")
    _bury(source / "deep", "unreadable")
    pushed = cli("push", source, destination, status=4)
    assert (destination / "a").read_text() == "1"
    last = pushed.err.splitlines()[-2:]
    assert last[0].startswith("error: 1 path of the source was left out; all else was pushed")
    assert last[1] == "hint: the same command pushes it once it can be read"
    again = cli("push", "--json", source, destination, status=4)
    assert [problem["kind"] for problem in again.json()["problems"]] == ["unreadable"]
    assert not again.json()["changed"]
    assert "no difference in what could be read" in cli("diff", source, destination, status=4).out
    cli("push", "--dry-run", source, destination, status=4)
    assert "unreadable: deep/d" in cli("push", "--on-error", "stop", source, destination, status=3).err
    shutil.rmtree(source / "deep" / ("d" * 250))
    cli("push", source, destination)


def test_push_when_a_time_is_too_far_then_its_path_is_left_out_and_exit_is_4(cli: Cli, tree: MakeTree) -> None:
    source = tree("app", {"a": "1", "late": "2", "folder": {"b": "3"}})
    destination = source.with_name("live")
    os.utime(source / "folder", ns=(0, 10**19))
    if (source / "folder").stat().st_mtime_ns != 10**19:
        pytest.skip("this file system has no such time")
    os.utime(source / "late", ns=(0, 10**19))
    pushed = cli("push", "--json", source, destination, status=4)
    assert sorted(problem["path"] for problem in pushed.json()["problems"]) == ["folder", "late"]
    assert {path.name for path in destination.iterdir()} == {".pdelta", "a"}
    cli("verify", destination)
    os.utime(source / "late")
    os.utime(source / "folder")
    cli("push", source, destination)
    cli("verify", destination)


@pytest.mark.parametrize("end", ["source", "destination"])
def test_push_when_the_time_of_a_tree_itself_is_too_far_then_it_is_refused_with_a_way_out(
    cli: Cli, tree: MakeTree, end: str
) -> None:
    ends = {"source": tree("app", {"a": "1"}), "destination": tree("live", {})}
    os.utime(ends[end], ns=(0, 10**19))
    if ends[end].stat().st_mtime_ns != 10**19:
        pytest.skip("this file system has no such time")
    refused = cli("push", ends["source"], ends["destination"], status=3).err
    assert f"error: '{ends[end]}' cannot be recorded: its time is not between 1677-09-21 and 2262-04-11" in refused
    assert "nothing was changed\nhint: give the folder another time (touch)\n" in refused
    assert list(ends["destination"].iterdir()) == []
    os.utime(ends[end])
    cli("push", ends["source"], ends["destination"])


def test_push_when_only_a_fifo_is_left_out_then_exit_is_0(cli: Cli, tree: MakeTree) -> None:
    source = tree("app", {"a": "1", "pipe": Fifo()})
    pushed = cli("push", "--json", source, source.with_name("live"))
    assert [problem["kind"] for problem in pushed.json()["problems"]] == ["special"]


def test_changes_from_when_given_then_the_rest_of_the_source_is_not_looked_at(cli: Cli, tree: MakeTree) -> None:
    source = tree("app", {"one": {"a": "1"}, "two": {"b": "1"}})
    destination = source.with_name("live")
    cli("push", source, destination)
    (source / "one" / "a").write_text("changed")
    (source / "two" / "b").write_text("changed")
    cli("push", "--changes-from", "-", source, destination, stdin=b"./one/a\0")
    assert ((destination / "one/a").read_text(), (destination / "two/b").read_text()) == ("changed", "1")
    cli("push", source, destination)
    assert (destination / "two/b").read_text() == "changed"


def test_changes_from_when_the_folder_of_a_path_has_other_changes_then_they_go_along(cli: Cli, tree: MakeTree) -> None:
    source = tree("app", {"one": {"a": "1", "b": "1", "deep": {"x": "1"}}, "top": "1"})
    destination = source.with_name("live")
    cli("push", source, destination)
    for path in ("one/a", "one/b", "one/deep/x", "top"):
        (source / path).write_text("changed")
    cli("push", "--changes-from", "-", source, destination, stdin=b"one/a\0")
    beside = [(destination / path).read_text() for path in ("one/a", "one/b", "top", "one/deep/x")]
    assert beside == ["changed", "changed", "changed", "1"]
    cli("push", "--changes-from", "-", source, destination, stdin=b"one\0")
    assert (destination / "one/deep/x").read_text() == "changed"


def test_changes_from_when_an_earlier_look_found_a_change_then_it_goes_along(cli: Cli, tree: MakeTree) -> None:
    source = tree("app", {"one": {"a": "1"}, "two": {"b": "1"}})
    destination = source.with_name("live")
    cli("push", source, destination)
    (source / "two" / "b").write_text("changed")
    cli("diff", source, destination, status=4)
    cli("push", "--changes-from", "-", source, destination, stdin=b"one/a\0")
    assert (destination / "two/b").read_text() == "changed"


def test_changes_from_when_the_source_was_never_looked_at_then_all_of_it_is(cli: Cli, tree: MakeTree) -> None:
    source = tree("app", {"one": {"a": "1"}, "two": {"b": "1"}})
    destination = source.with_name("live")
    cli("push", "--changes-from", "-", source, destination, stdin=b"one/a\0")
    assert tree_state(destination) == tree_state(source)


@pytest.mark.parametrize("path", [b"/etc/passwd", b"../beside", b"one/../two", b"one//a", b"good\0\0good"])
def test_changes_from_when_a_path_is_not_below_the_source_then_exit_is_2(cli: Cli, tree: MakeTree, path: bytes) -> None:
    source = tree("app", {"one": {"a": "1"}})
    refused = cli("push", "--changes-from", "-", source, source.with_name("live"), stdin=path + b"\0", status=2)
    assert "is no path below SRC" in refused.err
    assert not source.with_name("live").exists()
    assert not (cli.home / ".cache" / "pdelta").exists()


@pytest.mark.parametrize("way", ["chmod", "chunk"])
def test_push_when_an_option_is_impossible_then_exit_is_2(cli: Cli, tree: MakeTree, way: str) -> None:
    source = tree("app", {"a": "1"})
    options = {"chmod": ("--chmod", "rubbish"), "chunk": ("--chunk-size", "3K")}[way]
    assert "error:" in cli("push", *options, source, source.with_name("live"), status=2).err


@pytest.mark.parametrize(
    ("option", "partner"),
    [("--as-written", "-f MANIFEST"), ("--write-deltas", "-f MANIFEST"), ("--convert", "--release")],
)
def test_push_when_an_option_lacks_the_one_that_it_belongs_to_then_exit_is_2_and_names_it(
    cli: Cli, tree: MakeTree, option: str, partner: str
) -> None:
    source = tree("app", {"a": "1"})
    destination = source.with_name("live")
    assert f"error: {option} belongs to {partner}" in cli("push", option, source, destination, status=2).err
    assert not destination.exists()


@pytest.mark.parametrize(
    ("option", "advice"), [("--become", "sudo pdelta"), ("--become=deploy", "sudo -u deploy pdelta")]
)
def test_become_when_the_destination_is_on_this_machine_then_exit_is_2(
    cli: Cli, tree: MakeTree, option: str, advice: str
) -> None:
    source = tree("app", {"a": "1"})
    destination = source.with_name("live")
    for command in (("push", source), ("diff", source), ("history",), ("rollback",), ("verify",), ("doctor",)):
        assert advice in cli(*command, destination, option, status=2).err
    assert not destination.exists()


def test_rollback_when_earlier_rules_ignore_more_then_what_is_released_is_named(cli: Cli, tree: MakeTree) -> None:
    source = tree("app", {"a.log": "1", "x": "1"})
    destination = source.with_name("live")
    cli("push", "--ignore", "*.log", source, destination)
    cli("push", source, destination)
    dry = cli("rollback", "--to", "1", "--dry-run", "--json", destination).json()
    back = cli("rollback", "--to", "1", destination)
    assert "  released: a.log is ignored now, and stays as it is\n" in back.out
    assert (destination / "a.log").read_text() == "1"
    assert dry["released"] == [{"path": "a.log"}]
    assert cli("show", "--json", destination).json()["released"] == [{"path": "a.log"}]
    assert "released: a.log" in cli("show", destination).out
    assert cli("history", "--json", destination).json()["entries"][0]["released"] == []


def test_push_when_rules_ignore_more_then_what_is_released_is_named(cli: Cli, tree: MakeTree) -> None:
    source = tree("app", {"a.log": "1", "x": "1"})
    destination = source.with_name("live")
    cli("push", source, destination)
    assert "released: a.log" in cli("diff", "--ignore", "*.log", source, destination).out
    assert "released: a.log" in cli("push", "--ignore", "*.log", source, destination).out
    assert cli("push", "--json", "--ignore", "*.log", source, destination).json()["released"] == []
    assert (destination / "a.log").exists()


def test_commands_when_the_tree_has_no_history_then_they_say_so(cli: Cli, tmp_path: Path) -> None:
    told = f"{tmp_path} has no history: pdelta has not pushed there yet\n"
    for command in ("rollback", "verify", "show", "gc"):
        assert told in cli(command, tmp_path, status=2).err, command
    assert cli("history", "--json", tmp_path).json()["entries"] == []
    assert cli("history", tmp_path).out == told
    assert "history        pdelta has not pushed there yet\n" in cli("doctor", tmp_path).out
    assert cli("recover", tmp_path).out == f"nothing to recover  {told}"
    assert cli("recover", "--json", tmp_path).json()["managed"] is False
    for command in ("history", "recover"):
        assert f"{tmp_path}/none is not there" in cli(command, tmp_path / "none", status=2).err


def test_show_when_asked_then_it_lists_every_change(cli: Cli, tree: MakeTree) -> None:
    source = tree("app", {"a": "1", "b": "2"})
    destination = source.with_name("live")
    cli("push", "--note", "first", source, destination)
    (source / "a").write_text("changed")
    cli("push", source, destination)
    told = cli("show", "--json", destination, "2").json()
    assert [(change["action"], change["path"]) for change in told["changes"]] == [("change", "a")]
    assert cli("show", "--json", destination, "1").json()["note"] == "first"


def test_repair_when_names_are_unknown_then_they_are_told_before_and_after(cli: Cli, tree: MakeTree) -> None:
    source = tree("app", {"a": "1"})
    destination = source.with_name("live")
    cli("push", source, destination)
    (destination / "a").write_text("damaged")
    (destination / "extra").write_text("mine")
    repaired = cli("verify", "--repair-from", source, destination, status=4)
    assert "  ~ a " in repaired.out
    assert "1 path not recorded\n  extra\nas recorded, and more" in repaired.out
    assert "push --check-dest" in repaired.out
    told = cli("verify", "--json", destination, status=4).json()
    assert (told["extra"], told["changed"], told["equal"]) == ([{"path": "extra"}], [], False)
    cli("push", "--check-dest", source, destination)
    assert cli("verify", "--json", destination).json()["equal"]


def test_check_dest_when_names_are_unknown_then_it_names_what_it_takes_in(cli: Cli, tree: MakeTree) -> None:
    source = tree("app", {"a": "1"})
    destination = source.with_name("live")
    cli("push", source, destination)
    for number in range(25):
        (destination / f"own{number:02}").write_text("mine")
    dry = cli("push", "-n", "--check-dest", source, destination)
    assert dry.out.count("was unknown: it stays, and is recorded from now on\n") == 20
    assert "  note: 5 more unknown names stay, and are recorded from now on\n" in dry.out
    assert cli("push", "-n", "-v", "--check-dest", source, destination).out.count("was unknown") == 25
    found = cli("push", "--json", "--check-dest", source, destination).json()["findings"]
    assert [(one["code"], one["subject"]) for one in found][:1] == [("adopted", "own00")]
    assert len(found) == 25
    assert "unknown" not in cli("push", "--check-dest", source, destination).out


def test_check_dest_when_there_is_nothing_to_do_then_a_nested_destination_is_named_all_the_same(
    cli: Cli, tree: MakeTree
) -> None:
    source, inner = tree("app", {"a": "1"}), tree("inner", {"x": "1"})
    destination = source.with_name("live")
    cli("push", source, destination)
    cli("push", inner, destination / "inner")
    note = "  note: 'inner' is a managed tree of its own: it stays, and is not recorded here\n"
    looked = cli("push", "--check-dest", source, destination).out
    assert looked.startswith("nothing to do")
    assert note in looked
    assert cli("push", "--json", "--check-dest", source, destination).json()["findings"][0]["code"] == "nested"
    assert note not in cli("push", source, destination).out


def test_repair_when_the_source_moved_on_then_one_error_says_so(cli: Cli, tree: MakeTree) -> None:
    source = tree("app", {"changed": "1", "gone": "1"})
    destination = source.with_name("live")
    cli("push", source, destination)
    for name in ("changed", "gone"):
        (destination / name).write_text("damaged")
    (source / "changed").write_text("moved on")
    (source / "gone").unlink()
    refused = cli("verify", "--repair-from", source, destination, status=3).err
    assert "the source no longer has what entry 1 recorded of 2 paths: 'changed', 'gone'" in refused
    assert "nothing was changed" in refused
    assert "push the source" in refused
    assert (destination / "changed").read_text() == "damaged"


def test_repair_when_the_undo_data_is_damaged_too_then_the_error_says_that_nobody_has_the_bytes(
    cli: Cli, tree: MakeTree
) -> None:
    source = tree("app", {"a": "recorded", "b": "recorded"})
    destination = source.with_name("live")
    cli("push", source, destination)
    (source / "b").write_text("another")
    cli("push", source, destination)
    for kept in (destination / ".pdelta" / "undo").rglob("*"):
        if kept.is_file():
            kept.write_text("spoilt!!")
    (destination / "a").write_text("damaged")
    (source / "a").write_text("moved on")
    refused = cli("verify", "--repair-from", source, destination, status=66).err
    assert f"neither {destination} nor {source} has the recorded bytes: " in refused
    assert "nothing was changed" in refused
    assert (destination / "a").read_text() == "damaged"


def test_rollback_when_undo_data_is_damaged_then_it_is_named_and_nothing_is_left_behind(
    cli: Cli, tree: MakeTree
) -> None:
    source = tree("app", {"a": "1" * 500_000})
    destination = source.with_name("live")
    cli("push", source, destination)
    (source / "a").write_bytes(os.urandom(500_000))
    cli("push", source, destination)
    now = tree_state(destination)
    kept = next(path for path in (destination / ".pdelta/undo/2").iterdir() if path.stat().st_size == 500_000)
    with kept.open("r+b") as file:
        file.write(b"XXXX")
    refused = cli("rollback", destination, status=66).err
    assert f"the undo data '.pdelta/undo/2/{kept.name}' is damaged, so 'a' cannot be brought back" in refused
    assert "nothing was changed" in refused
    assert "push it from its source" in refused
    assert tree_state(destination) == now
    assert "nothing was interrupted" in cli("recover", destination).out


def test_rollback_when_undo_data_of_the_newest_entry_is_lost_then_an_older_state_that_is_whole_is_not_denied(
    cli: Cli, tree: MakeTree
) -> None:
    source = tree("app", {"a": "1"})
    destination = source.with_name("live")
    cli("push", source, destination)
    (source / "a").write_text("2")
    cli("push", source, destination)
    (source / "a").write_text("3")
    cli("push", "--no-undo", source, destination)
    assert "rollback --to N reaches one or refuses" in cli("rollback", destination, status=3).err
    cli("rollback", "--to", "1", destination)
    assert (destination / "a").read_text() == "1"


def test_recover_gc_and_doctor_when_all_is_well_then_they_say_so(cli: Cli, tree: MakeTree) -> None:
    source = tree("app", APP)
    destination = source.with_name("live")
    for number in range(3):
        (source / "number").write_text(str(number))
        cli("push", source, destination)
    assert cli("recover", "--json", destination).json()["found"] == "nothing"
    assert cli("doctor", "--json", destination).json()["healthy"]
    collected = cli("gc", "--keep", "1", "--json", destination).json()
    assert collected["entries"]
    assert not cli("history", "--json", destination).json()["entries"][0]["reversible"]


def test_push_when_a_host_of_the_project_file_is_unknown_then_it_is_refused(cli: Cli, tree: MakeTree) -> None:
    source = tree("app", {"a": "1"})
    assert "error:" in cli("push", "--", source, "-oProxyCommand=touch pwned:/srv", status=2).err
    assert not (cli.home / "pwned").exists()


def test_json_when_a_push_is_refused_then_standard_output_holds_one_error(cli: Cli, tmp_path: Path) -> None:
    told: Any = cli("push", "--json", tmp_path / "absent", tmp_path / "live", status=2).json()
    assert (told["error"]["code"], told["error"]["exit_status"]) == ("usage", 2)


def test_demo_when_run_then_every_claim_is_proved(cli: Cli) -> None:
    told = cli("demo", "--json").json()
    assert told["proved"], told


def test_push_when_killed_at_any_moment_then_the_same_command_ends_it(cli: Cli, tree: MakeTree) -> None:
    source = tree("app", APP)
    destination = source.with_name("live")
    cli("push", source, destination)
    for number in range(300):
        (source / "data" / f"file{number}").write_bytes(os.urandom(2000))
    for delay_s in (0.12, 0.18, 0.22, 0.26, 0.3, 0.35):
        process = cli.start("push", source, destination)
        time.sleep(delay_s)
        process.kill()
        process.communicate()
        (source / "number").write_text(str(delay_s))
    cli("push", source, destination)
    assert tree_state(destination) == tree_state(source)
    assert cli("verify", "--json", destination).json()["equal"]
    assert cli("doctor", "--json", destination).json()["healthy"]


def test_push_when_two_run_at_once_then_one_waits_and_both_arrive(cli: Cli, tree: MakeTree) -> None:
    sources = [tree(name, {name: os.urandom(20 << 20)}) for name in ("one", "two")]
    destination = sources[0].with_name("live")
    cli("push", tree("zero", {"zero": "0"}), destination)
    started = [cli.start("push", "--wait", "--no-delete", source, destination) for source in sources]
    said = [process.communicate(timeout=60)[1] for process in started]
    assert [process.returncode for process in started] == [0, 0], said
    assert sorted(os.listdir(destination)) == [".pdelta", "one", "two", "zero"]
    assert cli("doctor", "--json", destination).json()["healthy"]


def test_push_when_two_push_the_same_at_once_then_the_second_says_that_nothing_was_to_be_done(
    cli: Cli, tree: MakeTree
) -> None:
    source = tree("app", {"a": "1"})
    destination = source.with_name("live")
    cli("push", source, destination)
    (source / "a").write_text("2")
    with (destination / ".pdelta" / "lock").open("r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        started = [cli.start("push", "--json", "--wait", source, destination) for _ in range(2)]
        # Time to calculate; who comes later finds nothing to do anyway.
        time.sleep(1.5)
    told = [json.loads(process.communicate(timeout=60)[0]) for process in started]
    assert sorted(result["changed"] for result in told) == [False, True]
    assert [result["number"] for result in told] == [2, 2]
    assert [entry["number"] for entry in cli("history", "--json", destination).json()["entries"]] == [1, 2]


def test_push_when_another_run_holds_the_destination_then_exit_is_7(cli: Cli, tree: MakeTree) -> None:
    source = tree("app", {"a": "1"})
    destination = source.with_name("live")
    cli("push", source, destination)
    (source / "a").write_text("2")
    with (destination / ".pdelta" / "lock").open("r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        cli("push", source, destination, status=7)
        assert (destination / "a").read_text() == "1"
    cli("push", source, destination)
    assert (destination / "a").read_text() == "2"
    assert cli("doctor", "--json", destination).json()["healthy"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_push_when_stopped_then_it_names_the_destination_and_where_that_stands(
    cli: Cli, tree: MakeTree, number: signal.Signals
) -> None:
    source = tree("app", {"a": "1"})
    destination = source.with_name("live")
    cli("push", source, destination)
    (source / "a").write_text("2")
    with (destination / ".pdelta" / "lock").open("r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = cli.start("push", "--wait", source, destination)
        time.sleep(2)
        process.send_signal(number)
        said = process.communicate(timeout=60)[1].decode()
    assert process.returncode == 130, said
    assert f"error: stopped on request; {destination} is as it was" in said
    assert "hint: what was sent is kept there; the same command goes on" in said
    cli("push", source, destination)
    assert (destination / "a").read_text() == "2"
    assert cli("doctor", "--json", destination).json()["healthy"]


def test_push_when_stopped_before_its_run_begins_then_it_says_that_nothing_was_changed(
    cli: Cli, tree: MakeTree
) -> None:
    source = tree("app", {"a": "1"})
    destination = source.with_name("live")
    cli("push", source, destination)
    before = tree_state(destination)
    os.truncate(source / "a", 1 << 36)
    process = cli.start("push", source, destination)
    # Hashing that much takes longer than any test.
    time.sleep(1.5)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=60)[1].decode()
    assert process.returncode == 130, said
    assert f"error: stopped on request; nothing was changed at {destination}\n" in said
    assert "hint: the same command begins anew\n" in said
    assert tree_state(destination) == before


def test_run_id_when_given_instead_of_an_address_then_its_tree_is_meant(cli: Cli, tree: MakeTree) -> None:
    source = tree("app", {"a": "1"})
    destination = source.with_name("live")
    first = cli("push", "--json", source, destination).json()["run"]
    (source / "a").write_text("2")
    second = cli("push", "--json", source, destination).json()["run"]
    assert cli("recover", "--json", second).json()["found"] == "nothing"
    assert "--to 0" in cli("rollback", first, status=2).err
    cli("rollback", second)
    assert (destination / "a").read_text() == "1"
    assert "error:" in cli("recover", "run:20200101-000000-00000000", status=None).err
