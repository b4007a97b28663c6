"""A destination that cannot be one is refused alike here and over ssh, for root and for a plain user."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from pdelta.errors import PdeltaError, PreflightError
from tests.fixtures.cli import Cli
from tests.fixtures.desk import Desk
from tests.fixtures.release import ReleaseDesk
from tests.fixtures.sshd import Sshd
from tests.fixtures.trees import Tree
from tests.fixtures.users import NOBODY, as_root, in_child

MakeTree = Callable[[str, Tree], Path]

CASES = {
    "file": (2, "file' is no folder"),
    "file/inside": (2, "file', on the way to '"),
    "dangling": (2, "is a link to 'nowhere', where nothing is"),
    "loop": (2, "leads through links"),
    "x" * 300: (2, "has 300 bytes, more than 255"),
    "absent/inside": (3, "does not exist, so"),
}
IDS = ["file", "inside a file", "dangling link", "loop", "long name", "parent missing"]


@pytest.fixture
def places(tmp_path: Path) -> Path:
    """A folder in which the cases stand."""
    folder = tmp_path / "places"
    folder.mkdir()
    (folder / "file").write_text("content")
    (folder / "dangling").symlink_to("nowhere")
    (folder / "loop").symlink_to("loop")
    return folder


@pytest.mark.parametrize("name", CASES, ids=IDS)
def test_push_when_the_destination_cannot_be_one_then_it_is_refused_before_anything_happens(
    cli: Cli, tree: MakeTree, places: Path, name: str
) -> None:
    status, told = CASES[name]
    source = tree("app", {"a": "1"})
    before = sorted(places.iterdir())
    for options in ((), ("--dry-run",), ("--release",)):
        refused = cli("push", *options, source, places / name, status=status)
        assert told in refused.err, options
        assert "nothing was changed" in refused.err
    if status == 2:
        for command in ("history", "verify", "rollback", "recover", "gc"):
            assert told in cli(command, places / name, status=2).err, command
    assert sorted(places.iterdir()) == before
    assert (places / "file").read_text() == "content"


@pytest.mark.parametrize("name", CASES, ids=IDS)
def test_push_over_ssh_when_the_destination_cannot_be_one_then_it_is_refused_alike(
    cli: Cli, tree: MakeTree, places: Path, sshd: Sshd, name: str
) -> None:
    status, told = CASES[name]
    before = sorted(places.iterdir())
    address = f"{sshd.host}:{places / name}"
    refused = cli("push", "--rsh", sshd.rsh_text, tree("app", {"a": "1"}), address, status=status)
    assert told in refused.err
    assert sorted(places.iterdir()) == before


def test_push_when_the_name_leaves_no_room_for_releases_then_exit_is_2(cli: Cli, tree: MakeTree, places: Path) -> None:
    source, name = tree("app", {"a": "1"}), "x" * 250
    assert "a release takes 247 at most" in cli("push", "--release", source, places / name, status=2).err
    cli("push", source, places / name)


@pytest.mark.parametrize("kind", ["long", "loop"])
def test_push_when_the_source_cannot_be_one_then_exit_is_2(cli: Cli, places: Path, kind: str) -> None:
    source = places / ("x" * 300 if kind == "long" else "loop")
    assert "can't be opened" in cli("push", source, places / "live", status=2).err


def _refusal(desk: Desk) -> PdeltaError | list[str]:
    try:
        return desk.push(drift="overwrite").refusals
    except PdeltaError as error:
        return error


@as_root
@pytest.mark.parametrize("kind", [Desk, ReleaseDesk])
@pytest.mark.parametrize("mode", [0o700, 0o644, 0o311, 0o555])
def test_push_when_a_plain_user_may_not_enter_or_write_then_preflight_refuses(
    short_path: Path, kind: type[Desk], mode: int
) -> None:
    os.chmod(short_path, 0o777)
    (short_path / "closed").mkdir()
    (short_path / "closed").chmod(mode)

    def work() -> None:
        desk = kind(short_path, dest=short_path / "closed" / "dest")
        desk.write({"a": "1"})
        refused = _refusal(desk)
        if isinstance(refused, PdeltaError):
            assert (refused.exit_status, "is closed to user" in refused.message) == (3, True)
        else:
            assert refused in (["rights"], ["release-parent"])

    in_child(work, NOBODY)
    assert list((short_path / "closed").iterdir()) == []


@as_root
def test_push_when_the_state_belongs_to_root_then_a_plain_user_is_refused(short_path: Path) -> None:
    os.chmod(short_path, 0o777)
    desk = Desk(short_path)
    desk.write({"a": "1"})
    desk.push()

    def work() -> None:
        desk.write({"a": "2"})
        with pytest.raises(PreflightError, match="closed to user"):
            desk.push()
        with pytest.raises(PreflightError, match="closed to user"):
            desk.history()

    os.chmod(desk.source, 0o777)
    os.chown(desk.source / "a", NOBODY, NOBODY)
    in_child(work, NOBODY)
    os.chown(desk.dest / ".pdelta", NOBODY, NOBODY)
    assert desk.push().refusals == []
    os.chmod(desk.dest / ".pdelta", 0o777)
    with pytest.raises(PreflightError, match="others may write"):
        desk.push()


@as_root
@pytest.mark.parametrize("kind", [Desk, ReleaseDesk])
def test_push_when_a_folder_inside_is_closed_then_it_is_named_and_not_a_bug(short_path: Path, kind: type[Desk]) -> None:
    os.chmod(short_path, 0o777)

    def work() -> None:
        desk = kind(short_path)
        desk.write({"a": "1", "sub": {"x": "1", "deep": {"y": "1"}}})
        desk.push()
        os.seteuid(0)
        os.chown(desk.dest / "sub", 0, 0)
        os.chmod(desk.dest / "sub", 0o700)
        os.seteuid(NOBODY)
        desk.write({"sub": {"x": "2", "deep": {"y": "2"}}})
        refused = _refusal(desk)
        assert isinstance(refused, PreflightError)
        assert "/sub" in refused.message
        with desk.operation() as operation:
            report = operation.check(jobs=1)
            assert report.changes == ()
            assert [finding.subject for finding in report.findings] == [b"sub"]

    in_child(work, NOBODY)


@pytest.mark.parametrize("inside", ["", "new"])
def test_push_when_the_file_system_is_read_only_then_that_is_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, inside: str
) -> None:
    (tmp_path / "mounted").mkdir()
    desk = Desk(tmp_path, dest=tmp_path / "mounted" / inside)
    desk.write({"a": "1"})
    real = os.statvfs(tmp_path)
    read_only = os.statvfs_result((*tuple(real)[:8], real.f_flag | os.ST_RDONLY, real.f_namemax))
    monkeypatch.setattr(os, "statvfs", lambda _place: read_only)
    done = desk.push()
    assert done.refusals == ["rights"]
    assert "mounted read-only" in done.findings[0].message
