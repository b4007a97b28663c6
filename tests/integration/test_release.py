"""Release mode: DEST is a link to a whole release, and a push, a rollback or a repair switches it."""

import fcntl
import os
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from pdelta.errors import IntegrityError, LockedError
from pdelta.filesystem.address import follow_links
from pdelta.filesystem.release import Place, is_release
from pdelta.formats.report import Retention
from tests.fixtures.cli import Cli
from tests.fixtures.desk import TARGET, Desk, NoNotes, ignoring
from tests.fixtures.release import ReleaseDesk
from tests.fixtures.sshd import Sshd
from tests.fixtures.trees import Directory, HardLink, Sparse, Symlink, Tree, tree_state

MakeTree = Callable[[str, Tree], Path]

BIG = os.urandom(100_000)


@pytest.fixture
def desk(tmp_path: Path) -> ReleaseDesk:
    return ReleaseDesk(tmp_path)


@pytest.fixture
def pushed(desk: ReleaseDesk) -> ReleaseDesk:
    """Two releases are pushed: the first in ``1``, the second in ``2``."""
    desk.write({"version": "one", "big": BIG, "folder": {"same": "same", "gone": "gone"}})
    desk.push()
    (desk.source / "folder" / "gone").unlink()
    desk.write({"version": "two!", "folder": {"new": "new"}})
    desk.push()
    return desk


def test_push_when_first_then_dest_is_a_link_to_an_exact_release(desk: ReleaseDesk) -> None:
    desk.write(
        {
            "file": "content",
            "other": HardLink("file"),
            "big": BIG,
            "hole": Sparse(200_000, {100_000: b"x"}),
            "link": Symlink("nowhere"),
            "closed": Directory({"inside": "x", "deep": Directory({"y": "y"}, mode=0o500)}, mode=0o555),
            "empty": {},
            b"\xff\xfe": "name",
        }
    )
    done = desk.push()
    assert done.refusals == []
    assert desk.state() == desk.source_state()
    assert os.readlink(desk.dest) == ".dest.pdelta/releases/1"
    assert desk.changes() == []
    assert desk.push().facts is None


def test_push_when_second_then_only_changes_travel_and_the_first_release_is_untouched(desk: ReleaseDesk) -> None:
    desk.write({"big": BIG, "small": "s", "moved": BIG[:50_000]})
    desk.push()
    first = desk.state()
    inode = (desk.dest / "big").stat().st_ino
    (desk.source / "moved").rename(desk.source / "there")
    desk.write({"small": "changed"})
    done = desk.push()
    assert done.fetched_bytes == len("changed")
    assert desk.state() == desk.source_state()
    assert tree_state(desk.container / "releases" / "1") == first
    assert (desk.dest / "big").stat().st_ino != inode
    assert (desk.dest / "big").stat().st_nlink == 1


def test_push_when_the_destination_is_in_release_mode_then_it_goes_on_without_the_option(pushed: ReleaseDesk) -> None:
    pushed.write({"version": "three"})
    assert pushed.push(release=False).refusals == []
    assert (pushed.current, pushed.read("version")) == (3, "three")


def test_container_when_made_then_releases_can_be_read_and_state_cannot(pushed: ReleaseDesk) -> None:
    modes = {
        name: stat.S_IMODE((pushed.container / name).stat().st_mode) for name in (".", "releases", "shared", "state")
    }
    assert modes == {".": 0o755, "releases": 0o755, "shared": 0o755, "state": 0o700}


def test_readers_when_switching_then_dest_is_never_missing_nor_mixed(pushed: ReleaseDesk) -> None:
    stop, reads = threading.Event(), 0
    failures: list[Exception] = []
    path, folder = os.fsencode(pushed.dest / "version"), os.fsencode(pushed.dest / "folder")

    def read() -> None:
        nonlocal reads
        while not stop.is_set():
            try:
                with open(path, "rb") as file:
                    content = file.read()
                names = set(os.listdir(folder))
            except OSError as error:
                failures.append(error)
            else:
                reads += 1
                if content not in {b"one", b"two!"} or names not in ({b"same", b"gone"}, {b"same", b"new"}):
                    failures.append(ValueError(content, names))

    reader = threading.Thread(target=read)
    reader.start()
    for _ in range(50):
        assert pushed.rollback().facts is not None
    stop.set()
    reader.join()
    assert not failures
    assert reads > 50
    assert pushed.releases() == {1, 2}


# -- rollback and retention -----------------------------------------------------------------------------------------


def test_rollback_when_the_release_is_kept_then_the_link_switches_and_nothing_is_copied(pushed: ReleaseDesk) -> None:
    second = pushed.state()
    done = pushed.rollback()
    assert done.facts is not None
    assert (done.fetched_bytes, done.facts["reused_bytes"], pushed.current) == (0, 0, 1)
    assert pushed.read("version") == "one"
    assert [entry.verb for entry in pushed.history()] == ["push", "push", "rollback"]
    assert pushed.rollback(2).facts is not None
    assert (pushed.current, pushed.state()) == (2, second)


def test_rollback_when_the_kept_release_is_damaged_then_it_is_staged_anew_from_the_others(pushed: ReleaseDesk) -> None:
    first = pushed.container / "releases" / "1"
    wanted = tree_state(first)
    (first / "folder" / "same").write_text("spoilt")
    done = pushed.rollback()
    assert done.facts is not None
    assert done.fetched_bytes == 0
    assert (pushed.current, pushed.state()) == (3, wanted)


def test_rollback_when_damaged_content_is_nowhere_else_then_dest_stays(pushed: ReleaseDesk) -> None:
    before = pushed.state()
    (pushed.container / "releases" / "1" / "folder" / "gone").write_text("lost")
    with pytest.raises(IntegrityError) as caught:
        pushed.rollback()
    assert "kept: 1" in caught.value.hint
    assert (pushed.current, pushed.state()) == (2, before)


def test_rollback_when_its_release_is_collected_then_it_is_refused_with_what_is_left(pushed: ReleaseDesk) -> None:
    pushed.write({"version": "three"})
    pushed.push()
    with pushed.operation() as operation:
        operation.collect(Retention(keep=1))
    done = pushed.rollback(1)
    assert done.refusals == ["undo"]
    assert b"folder/gone" in {finding.subject for finding in done.findings}
    assert "kept: 2" in done.findings[0].hint
    assert pushed.rollback(2).refusals == []


def test_rollback_when_to_before_the_first_then_dest_leads_to_an_empty_release(pushed: ReleaseDesk) -> None:
    pushed.rollback(0)
    assert (pushed.current, pushed.names()) == (3, set())
    pushed.rollback()
    assert (pushed.current, pushed.read("version")) == (2, "two!")


def test_collect_when_limited_then_old_releases_go_and_the_current_one_stays(pushed: ReleaseDesk) -> None:
    for text in ("three", "four", "five"):
        pushed.write({"version": text})
        pushed.push()
    (pushed.container / "releases" / "99").mkdir()
    with pushed.operation() as operation:
        report = operation.collect(Retention(keep=2))
    assert report.entries == (1, 2, 3)
    assert pushed.releases() == {3, 4, 5}
    assert (pushed.current, pushed.read("version"), pushed.changes()) == (5, "five", [])
    with pushed.operation() as operation:
        operation.collect(Retention(keep=0, newest=True))
        assert operation.examine() == []
    assert pushed.releases() == {5}


def test_push_when_no_undo_is_kept_then_only_the_new_release_remains(pushed: ReleaseDesk) -> None:
    pushed.write({"version": "three"})
    pushed.push(undo=False)
    assert (pushed.current, pushed.releases()) == (3, {1, 3})


def test_reverse_when_executed_then_the_link_is_back(pushed: ReleaseDesk) -> None:
    before = pushed.state()
    pushed.write({"version": "three"})
    done = pushed.push()
    with pushed.operation() as operation:
        operation.reverse(done.delta, TARGET, NoNotes())
    assert (pushed.current, pushed.state()) == (2, before)


# -- drift ----------------------------------------------------------------------------------------------------------


def test_drift_when_refused_then_the_path_is_named_and_dest_stays(pushed: ReleaseDesk) -> None:
    (pushed.dest / "folder" / "same").write_text("edited on the host")
    pushed.write({"version": "three"})
    done = pushed.push()
    assert done.refusals == ["drift"]
    assert pushed.current == 2
    assert pushed.changes() == [("changed", b"folder/same")]


def test_drift_when_overwritten_then_rollback_finds_the_edited_release(pushed: ReleaseDesk) -> None:
    (pushed.dest / "folder" / "same").write_text("edited on the host")
    pushed.write({"version": "three"})
    assert pushed.push(drift="overwrite").refusals == []
    assert (pushed.current, pushed.read("folder/same")) == (3, "same")
    pushed.rollback()
    assert (pushed.current, pushed.read("folder/same")) == (2, "edited on the host")
    assert pushed.changes() == []


def test_drift_when_kept_then_the_new_release_holds_it(pushed: ReleaseDesk) -> None:
    (pushed.dest / "folder" / "same").write_text("edited on the host")
    pushed.write({"version": "three"})
    done = pushed.push(drift="keep")
    assert done.warnings == ["drift-kept"]
    assert (pushed.read("version"), pushed.read("folder/same")) == ("three", "edited on the host")
    assert pushed.changes() == []


def test_unknown_names_when_pushed_then_they_come_along_and_a_rollback_leaves_them(pushed: ReleaseDesk) -> None:
    (pushed.dest / "written-by-the-app").write_text("x")
    pushed.write({"version": "three"})
    pushed.push()
    assert pushed.read("written-by-the-app") == "x"
    pushed.rollback(1)
    assert (pushed.read("version"), "written-by-the-app" in pushed.names()) == ("one", False)


def test_repair_when_the_current_release_is_damaged_then_a_whole_one_takes_its_place(pushed: ReleaseDesk) -> None:
    before = pushed.state()
    (pushed.dest / "big").write_bytes(b"spoilt")
    (pushed.dest / "folder" / "new").unlink()
    assert pushed.repair().facts is not None
    assert pushed.changes() == []
    assert pushed.read("folder/new") == "new"
    assert set(pushed.state()) == set(before)


def test_repair_when_names_are_unknown_then_they_come_along_and_are_told(pushed: ReleaseDesk) -> None:
    (pushed.dest / "big").write_bytes(b"spoilt")
    pushed.write_dest({"written-by-the-app": "x", "own": {"y": "y"}})
    done = pushed.repair()
    assert done.refusals == []
    assert {finding.subject for finding in done.findings if finding.code == "extra"} == {b"own", b"written-by-the-app"}
    assert (pushed.read("written-by-the-app"), pushed.read("own/y")) == ("x", "y")


def test_repair_when_its_source_moved_on_then_it_is_refused_by_name(pushed: ReleaseDesk) -> None:
    current = pushed.current
    (pushed.dest / "folder" / "new").write_bytes(b"spoilt")
    (pushed.source / "folder" / "new").unlink()
    done = pushed.repair()
    assert done.refusals == ["source-moved-on"]
    assert done.findings[-1].message.endswith("of 1 path: 'folder/new'")
    assert (pushed.current, pushed.read("folder/new")) == (current, "spoilt")


# -- converting and sharing -----------------------------------------------------------------------------------------


def test_convert_when_the_folder_is_unmanaged_then_it_becomes_a_release_and_ignored_paths_are_shared(
    desk: ReleaseDesk,
) -> None:
    desk.write({"file": "new", "app": {"code": BIG}})
    desk.write_dest({"file": "old", "app": {"code": BIG, "cache": {"c": "c"}}, "logs": {"l": "l"}, "own": "own"})
    before = desk.state()
    logs = (desk.dest / "logs").stat().st_ino
    rules = ignoring(b"logs/", b"cache")
    assert desk.push(rules).refusals == ["release-unconverted"]
    assert not desk.dest.is_symlink()
    assert not desk.container.exists()
    done = desk.push(rules, convert=True)
    assert done.warnings == ["release-sharing"]
    assert done.fetched_bytes == len("new")
    assert (desk.releases(), desk.current) == ({0, 1}, 1)
    assert {path: desk.read(path) for path in ("file", "own", "logs/l", "app/cache/c")} == {
        "file": "new",
        "own": "own",
        "logs/l": "l",
        "app/cache/c": "c",
    }
    assert (desk.container / "shared" / "logs").stat().st_ino == logs
    assert os.readlink(desk.dest / "logs") == "../../shared/logs"
    assert desk.changes() == []
    desk.rollback()
    assert (desk.current, desk.read("file"), desk.read("logs/l")) == (0, "old", "l")
    assert {p: f for p, f in desk.state().items() if f.kind == "file"} == {
        p: f for p, f in before.items() if f.kind == "file" and p not in {b"logs/l", b"app/cache/c"}
    }


def test_convert_when_the_folder_has_a_history_then_it_goes_on(tmp_path: Path) -> None:
    plain = Desk(tmp_path)
    plain.write({"file": "one"})
    plain.push()
    plain.write({"file": "two!"})
    plain.push()
    desk = ReleaseDesk.__new__(ReleaseDesk)
    desk.__dict__.update(plain.__dict__)
    done = desk.push(convert=True)
    assert done.warnings == ["release-undo"]
    assert (desk.releases(), desk.current, desk.read("file")) == ({2, 3}, 3, "two!")
    assert [(entry.number, str(entry.undo)) for entry in desk.history()] == [
        (1, "collected"),
        (2, "collected"),
        (3, "kept"),
    ]
    assert not (desk.container / "releases" / "2" / ".pdelta").exists()
    desk.rollback()
    assert (desk.current, desk.changes()) == (2, [])
    desk.write({"file": "three"})
    desk.push(release=False)
    assert (desk.current, desk.read("file")) == (5, "three")


def test_sharing_when_the_app_makes_an_ignored_path_then_every_later_release_has_it(desk: ReleaseDesk) -> None:
    rules = ignoring(b"uploads/", b"*.log")
    desk.write({"file": "one"})
    desk.push(rules)
    (desk.dest / "uploads").mkdir()
    (desk.dest / "uploads" / "photo").write_text("photo")
    (desk.dest / "app.log").write_text("log")
    desk.write({"file": "two!"})
    desk.push(rules)
    assert (desk.read("uploads/photo"), desk.read("app.log")) == ("photo", "log")
    (desk.dest / "uploads" / "second").write_text("second")
    desk.rollback()
    assert (desk.current, desk.read("uploads/second")) == (1, "second")
    desk.write({"file": "three"})
    desk.push(rules)
    assert (desk.read("uploads/second"), desk.changes()) == ("second", [])


def test_sharing_when_a_person_puts_an_ignored_path_there_then_the_next_release_links_to_it(desk: ReleaseDesk) -> None:
    rules = ignoring(b"/etc/secret.conf")
    desk.write({"file": "one"})
    desk.push(rules)
    (desk.container / "shared" / "etc").mkdir()
    (desk.container / "shared" / "etc" / "secret.conf").write_text("secret")
    desk.write({"file": "two!"})
    desk.push(rules)
    assert desk.read("etc/secret.conf") == "secret"
    desk.write({"file": "three", "etc": {"plain.conf": "plain"}})
    desk.push(rules)
    assert (desk.read("etc/secret.conf"), desk.read("etc/plain.conf")) == ("secret", "plain")
    assert (desk.dest / "etc" / "secret.conf").is_symlink()
    assert desk.state()[b"etc"].mtime_ns == desk.source_state()[b"etc"].mtime_ns


def test_sharing_when_a_held_path_becomes_ignored_then_the_shared_folder_gets_a_copy(desk: ReleaseDesk) -> None:
    desk.write({"file": "one", "conf": {"local": "local"}})
    desk.push()
    desk.write({"file": "two!"})
    rules = ignoring(b"/conf")
    desk.push(rules)
    assert (desk.read("conf/local"), (desk.dest / "conf").is_symlink()) == ("local", True)
    assert (desk.container / "releases" / "1" / "conf" / "local").read_text() == "local"
    desk.rollback()
    assert (desk.current, (desk.dest / "conf").is_symlink(), desk.changes()) == (1, False, [])


def test_sharing_when_a_path_stands_in_both_then_it_is_refused(desk: ReleaseDesk) -> None:
    rules = ignoring(b"logs")
    desk.write({"file": "one"})
    desk.push(rules)
    (desk.container / "shared" / "logs").mkdir()
    (desk.dest / "logs").mkdir()
    desk.write({"file": "two!"})
    assert desk.push(rules).refusals == ["release-shared"]


# -- refusals -------------------------------------------------------------------------------------------------------


def test_preflight_when_the_parent_is_not_writable_then_it_says_what_to_run(
    desk: ReleaseDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.write({"file": "one"})
    monkeypatch.setattr(os, "access", lambda *_a, **_k: False)
    done = desk.push()
    assert done.refusals == ["release-parent"]
    assert "sudo setfacl -m u:" in done.findings[0].hint
    assert not desk.container.exists()


def test_preflight_when_something_is_mounted_at_dest_then_it_is_refused(
    desk: ReleaseDesk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.write({"file": "one"})
    desk.write_dest({"x": "x"})
    monkeypatch.setattr(Place, "is_mount", lambda _place: True)
    assert desk.push(convert=True).refusals == ["release-mount"]


@pytest.mark.parametrize(("path", "mounted"), [(b"/proc", True), (b"/usr/bin", False)])
def test_place_when_asked_for_a_mount_then_it_knows(path: bytes, mounted: bool) -> None:
    place = Place(path)
    assert place.is_mount() is mounted
    place.close()


def test_preflight_when_dest_is_a_link_elsewhere_then_it_is_refused(desk: ReleaseDesk, tmp_path: Path) -> None:
    desk.write({"file": "one"})
    (tmp_path / "elsewhere").mkdir()
    desk.dest.symlink_to("elsewhere")
    assert not is_release(os.fsencode(desk.dest))
    assert desk.push().refusals == ["release-foreign"]
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_open_when_others_may_write_to_the_container_then_it_is_refused(pushed: ReleaseDesk) -> None:
    pushed.container.chmod(0o777)
    with pushed.operation() as operation:
        assert [finding.code for finding in operation.examine()] == ["preflight"]


def test_push_when_the_link_is_lost_then_a_whole_release_is_made_again(pushed: ReleaseDesk) -> None:
    pushed.dest.unlink()
    pushed.write({"version": "three"})
    done = pushed.push()
    assert done.refusals == []
    assert (pushed.current, pushed.state()) == (3, pushed.source_state())


def test_push_when_the_link_was_replaced_by_a_folder_then_it_is_drift_to_convert(pushed: ReleaseDesk) -> None:
    pushed.dest.unlink()
    pushed.write_dest({"version": "by hand"})
    assert set(pushed.push().refusals) == {"drift", "release-unconverted"}
    assert pushed.push(convert=True, drift="overwrite").refusals == []
    assert (pushed.current, pushed.state()) == (4, pushed.source_state())
    pushed.rollback()
    assert (pushed.current, pushed.read("version")) == (3, "by hand")


def test_preflight_when_the_parent_does_not_exist_then_it_is_refused(tmp_path: Path) -> None:
    desk = ReleaseDesk(tmp_path, dest=tmp_path / "absent" / "dest")
    desk.write({"file": "one"})
    assert desk.push().refusals == ["parent"]


def test_push_when_another_run_holds_the_destination_then_it_waits_or_is_refused(pushed: ReleaseDesk) -> None:
    pushed.write({"version": "three"})
    lock = os.open(pushed.container / "state" / "lock", os.O_RDWR)
    fcntl.flock(lock, fcntl.LOCK_EX)
    with pytest.raises(LockedError):
        pushed.push()
    os.close(lock)
    assert pushed.push().facts is not None


# -- on the command line --------------------------------------------------------------------------------------------


def test_every_command_when_dest_is_a_release_on_a_host_then_it_works_there(
    cli: Cli, tree: MakeTree, sshd: Sshd, tmp_path: Path
) -> None:
    dest = tmp_path / "remote"
    options, address = ("--rsh", sshd.rsh_text), f"{sshd.host}:{dest}"
    source = tree("app", {"file": "one", "big": BIG})
    cli("push", *options, source, address)
    assert "--convert" in cli("push", *options, "--release", source, address, status=3).err
    cli("push", *options, "--release", "--convert", source, address)
    assert os.readlink(dest) == ".remote.pdelta/releases/2"
    first = tree_state(dest.resolve())
    (source / "file").write_text("two!")
    pushed = cli("push", "--json", *options, source, address).json()
    assert os.readlink(dest) == ".remote.pdelta/releases/3"
    assert pushed["sent_bytes"] < 20_000
    assert cli("verify", "--json", *options, address).json()["equal"]
    cli("doctor", *options, address)
    assert cli("rollback", "--json", *options, address).json()["sent_bytes"] < 10_000
    assert tree_state(dest.resolve()) == first
    cli("gc", *options, "--keep", "1", address)
    assert {path.name for path in (tmp_path / ".remote.pdelta" / "releases").iterdir()} == {"2", "3"}
    assert len(cli("history", "--json", *options, address).json()["entries"]) == 4


def test_agent_when_its_root_is_a_release_then_it_may_be_named(pushed: ReleaseDesk, tmp_path: Path) -> None:
    link = tmp_path / "through"
    link.symlink_to(pushed.dest.parent)
    assert follow_links(os.fsencode(link / "dest")) == os.fsencode(pushed.dest.parent.resolve() / "dest")
    assert follow_links(os.fsencode(link)) == os.fsencode(pushed.dest.parent.resolve())
