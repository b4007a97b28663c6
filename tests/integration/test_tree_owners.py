"""Owners that cannot be set are found before anything is staged: as a plain user, and in a user namespace."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.fixtures.cli import Cli
from tests.fixtures.desk import Desk, Done, ignoring
from tests.fixtures.release import ReleaseDesk
from tests.fixtures.users import IN_NAMESPACE, NOBODY, as_root, in_child, need_namespace

OWNERS = ignoring(owner=True)
KINDS = {"folder": Desk, "release": ReleaseDesk}


def _owner_findings(done: Done) -> list[str]:
    assert done.facts is None
    return [finding.message for finding in done.findings if finding.code == "owner" and finding.blocks]


@as_root
@pytest.mark.parametrize("kind", KINDS)
def test_owners_when_a_plain_user_may_not_give_files_away_then_refused_before_staging(
    short_path: Path, kind: str
) -> None:
    os.chmod(short_path, 0o777)

    def work() -> None:
        desk = KINDS[kind](short_path)
        desk.write({"mine": "1", "folder": {f"f{number}": "x" for number in range(9)}})
        os.seteuid(0)
        for number in range(9):
            os.chown(desk.source / "folder" / f"f{number}", 1234, 4321)
        os.seteuid(NOBODY)
        done = desk.push(OWNERS)
        (told,) = _owner_findings(done)
        assert told.startswith("9 paths cannot be given to user 1234, group 4321, as only root may")
        assert "'folder/f0', 'folder/f1'" in told
        assert told.endswith(" … 4 more")
        assert not desk.dest.exists()
        assert desk.push().refusals == []

    in_child(work, NOBODY)


@as_root
@pytest.mark.parametrize("kind", KINDS)
def test_owners_when_all_are_this_users_own_then_a_plain_user_carries_them(short_path: Path, kind: str) -> None:
    os.chmod(short_path, 0o777)

    def work() -> None:
        desk = KINDS[kind](short_path)
        desk.write({"mine": "1", "folder": {"a": "a"}})
        assert desk.push(OWNERS).refusals == []
        desk.write({"mine": "2"})
        assert desk.push(OWNERS).refusals == []
        assert desk.rollback().refusals == []
        assert desk.read("mine") == "1"

    in_child(work, NOBODY)


@as_root
def test_owners_when_only_an_old_file_belongs_to_others_then_what_changes_decides(short_path: Path) -> None:
    os.chmod(short_path, 0o777)
    desk = Desk(short_path)
    desk.write({"theirs": "1", "mine": "1"})
    for path in (desk.source, desk.source / "mine", desk.source / "theirs"):
        os.chown(path, NOBODY, 4321 if path.name == "theirs" else NOBODY)
    assert desk.push(OWNERS).refusals == []
    for path in (desk.dest, *desk.dest.glob(".pdelta/**/*"), desk.dest / ".pdelta"):
        os.chown(path, NOBODY, NOBODY)

    def work() -> None:
        (desk.source / "mine").write_text("2")
        assert desk.push(OWNERS).refusals == []
        os.chmod(desk.source / "theirs", 0o600)
        assert desk.push(OWNERS).refusals == [], "its group is what it was, so nothing need be given away"
        (desk.source / "theirs").write_text("2")
        (told,) = _owner_findings(desk.push(OWNERS))
        assert told == "1 path cannot be given to group 4321, as only root may give files to others: 'theirs'"

    in_child(work, NOBODY)


def _push_inside(cli: Cli, *arguments: str | Path) -> "subprocess.CompletedProcess[str]":
    """Push as root of a user namespace that knows root alone."""
    command = [*IN_NAMESPACE, *cli.command, "push", *map(str, arguments)]
    return subprocess.run(command, env=cli.env, cwd=cli.home, capture_output=True, text=True, check=False)


@as_root
@pytest.mark.parametrize("options", [(), ("--release",)], ids=KINDS)
def test_owners_when_a_user_namespace_does_not_know_them_then_refused_before_staging(
    cli: Cli, short_path: Path, options: tuple[str, ...]
) -> None:
    need_namespace()
    desk = Desk(short_path)
    desk.write({"mine": "1", "theirs": "1"})
    os.chown(desk.source / "theirs", 1234, 4321)
    refused = _push_inside(cli, *options, "--owner", desk.source, desk.dest)
    assert refused.returncode == 3
    assert "1 path cannot be given to user 65534, group 65534, of whom this user namespace" in refused.stderr
    assert "'theirs'" in refused.stderr
    assert not desk.dest.exists()
    assert _push_inside(cli, *options, desk.source, desk.dest).returncode == 0
    assert desk.read("theirs") == "1"


@as_root
@pytest.mark.parametrize("options", [(), ("--release",)], ids=KINDS)
def test_owners_when_a_user_namespace_cannot_keep_one_then_refused_before_staging(
    cli: Cli, short_path: Path, options: tuple[str, ...]
) -> None:
    need_namespace()
    desk = Desk(short_path)
    desk.write({"mine": "1", "theirs": "1"})
    assert _push_inside(cli, *options, desk.source, desk.dest).returncode == 0
    os.chown(desk.dest / "theirs", 1234, 0)
    desk.write({"theirs": "22"})
    refused = _push_inside(cli, *options, "--drift", "overwrite", desk.source, desk.dest)
    assert refused.returncode == 3
    assert "1 path cannot stay with user 65534 when a new file takes the place" in refused.stderr
    assert desk.read("theirs") == "1"
