"""Which SQLite files a section means, however it is written; on the command line."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from pdelta.databases.sqlite.database import SqliteDatabase
from pdelta.errors import Cause, DatabaseError
from tests.fixtures.cli import Cli
from tests.fixtures.tenants import ORIGIN
from tests.fixtures.users import NOBODY, as_root, in_child

NAMES = ["tenants/a.sqlite", "tenants/b.sqlite", "tenants/deep/c.sqlite"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "deltas").mkdir()
    (tmp_path / "deltas" / "delta_20250315_add_last_login.sql").write_text(ORIGIN)
    for name in NAMES:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with closing(sqlite3.connect(path)) as tenant:
            tenant.execute("CREATE TABLE users (id integer PRIMARY KEY)")
    return tmp_path


@pytest.mark.parametrize(
    ("glob", "names"),
    [
        ("tenants/*.sqlite", NAMES[:2]),
        ("./tenants/*.sqlite", NAMES[:2]),
        ("{folder}/tenants/*.sqlite", NAMES[:2]),
        ("tenants/deep/../*.sqlite", NAMES[:2]),
        ("tenants/**/*.sqlite", NAMES),
        ("**/c.sqlite", NAMES[2:]),
        ("./tenants/a.sqlite", NAMES[:1]),
    ],
)
def test_files_when_a_glob_is_written_in_any_way_then_its_files_are_tenants(
    folder: Path, cli: Cli, glob: str, names: list[str]
) -> None:
    where = ("--deltas", "deltas", "--tenants", f"files={glob.format(folder=folder)}", "--json")
    told = cli("sql", "apply", *where, cwd=folder).json()
    assert sorted(result["tenant"] for result in told["results"]) == names
    new = "tenants/c.sqlite" if "*." in glob else ""
    if new:
        (folder / "deltas" / "delta_20250101_users.sql").write_text("CREATE TABLE users (id integer PRIMARY KEY);\n")
        made = cli("sql", "provision", new, *where, cwd=folder).json()
        assert made["made"] == [new]
        assert cli("sql", "status", *where, cwd=folder, status=None).json()["tenants"] == len(names) + 1


def test_provision_when_the_name_is_the_glob_itself_then_refused_since_it_would_hide_the_others(
    folder: Path, cli: Cli
) -> None:
    where = ("--deltas", "deltas", "--tenants", "files=tenants/*.sqlite")
    result = cli("sql", "provision", "tenants/*.sqlite", *where, cwd=folder, status=2)
    assert "nothing was made" in result.err
    assert sorted(path.name for path in (folder / "tenants").glob("*.sqlite")) == ["a.sqlite", "b.sqlite"]
    assert cli("sql", "status", *where, "--json", cwd=folder, status=4).json()["tenants"] == 2


def test_provision_when_the_name_is_not_as_it_would_be_listed_then_refused_before_anything_is_made(
    folder: Path, cli: Cli
) -> None:
    around = f"../{folder.name}/tenants"
    for glob, name in [
        ("tenants/*.sqlite", f"{around}/n.sqlite"),
        (f"{folder}/tenants/*.sqlite", f"{around}/n.sqlite"),
        (f"{around}/*.sqlite", "tenants/n.sqlite"),
        (".*/n.sqlite", "../n.sqlite"),
    ]:
        where = ("--deltas", "deltas", "--tenants", f"files={glob}")
        assert "nothing was made" in cli("sql", "provision", name, *where, cwd=folder, status=2).err
    # Not below the folder above: other tests keep trees there that are too deep to be walked.
    assert not [*folder.rglob("n.sqlite"), *folder.parent.glob("n.sqlite")]
    (folder / "deltas" / "delta_20250101_users.sql").write_text("CREATE TABLE users (id integer PRIMARY KEY);\n")
    where = ("--deltas", "deltas", "--tenants", f"files={around}/*.sqlite")
    told = cli("sql", "provision", f"{around}/n.sqlite", *where, "--json", cwd=folder).json()
    assert told["made"] == [f"{around}/n.sqlite"]


def test_provision_when_something_else_is_there_then_it_says_so_and_what_was_made(folder: Path, cli: Cli) -> None:
    (folder / "tenants" / "dir.sqlite").mkdir()
    (folder / "tenants" / "link.sqlite").symlink_to("/nowhere/at/all")
    (folder / "deltas" / "delta_20250101_users.sql").write_text("CREATE TABLE users (id integer PRIMARY KEY);\n")
    words = ("provision", "--deltas", "deltas", "--tenants", "files=tenants/**/*.sqlite")
    for name in ("tenants/dir.sqlite", "tenants/link.sqlite", "tenants/a.sqlite/b.sqlite"):
        result = cli("sql", *words, name, cwd=folder, status=69)
        assert (
            f"error: {name} was not made: something else than a file, or than a folder above it, is there" in result.err
        )
        assert "take another name" in result.err
    result = cli("sql", *words, "tenants/new.sqlite", "tenants/dir.sqlite", cwd=folder, status=69)
    assert "is there; tenants/new.sqlite made before, and empty yet" in result.err
    told = cli("sql", *words, "tenants/new.sqlite", "--json", cwd=folder).json()
    assert (told["made"], len(told["results"][0]["deltas"])) == ([], 2)


@as_root
def test_provision_when_the_folder_is_not_writable_then_it_says_so(folder: Path) -> None:
    (folder / "tenants").chmod(0o555)

    def tried() -> None:
        with SqliteDatabase("test", folder, ("tenants/*.sqlite",)) as database:
            with pytest.raises(DatabaseError, match=r"new\.sqlite was not made: Permission denied") as caught:
                database.create("tenants/new.sqlite")
            assert (caught.value.cause, caught.value.hint) == (Cause.DENIED, "the folder must be writable")

    folder.chmod(0o755)
    for parent in list(folder.parents)[:3]:
        parent.chmod(parent.stat().st_mode | 0o011)
    in_child(tried, NOBODY)


def test_apply_when_it_goes_on_without_what_it_could_not_read_then_that_is_no_success(folder: Path, cli: Cli) -> None:
    (folder / "tenants" / "b.sqlite").write_text("no database, though it is called one" * 30)
    words = ("apply", "--deltas", "deltas", "--tenants", "files=tenants/*.sqlite")
    assert "b.sqlite: file is not a database" in cli("sql", *words, cwd=folder, status=3).err
    result = cli("sql", *words, "--on-failure", "continue", cwd=folder, status=8)
    assert "1 delta applied in 1 of 2 tenants" in result.out
    assert "1 tenant could not be read" in result.err
    for _ in range(2):
        result = cli("sql", *words, "--on-failure", "continue", cwd=folder, status=8)
        assert "nothing to do in 1 tenant, and 1 could not be read" in result.out
    told = cli("sql", *words, "--on-failure", "continue", "--json", cwd=folder, status=8).json()
    assert (told["exit_status"], told["tenants"], told["settled"], told["unread"]) == (8, 2, 1, 1)
    cli("sql", "rollback", *words[1:], "--only", "tenants/a.sqlite", cwd=folder)
    result = cli("sql", *words, "--on-failure", "continue", "--rehearse", cwd=folder, status=3)
    assert "error: 1 tenant could not be read; nothing was changed" in result.err


def test_adopt_when_tenants_cannot_be_read_then_they_are_left_out_in_one_group(folder: Path, cli: Cli) -> None:
    for name in NAMES[1:]:
        (folder / name).write_text("no database, though it is called one" * 30)
    words = ("adopt", "--deltas", "deltas", "--tenants", "files=tenants/**/*.sqlite")
    told = cli("sql", *words, "--up-to", "delta_20250315_add_last_login", "--json", cwd=folder, status=4).json()
    assert told["left_out"] == [{"tenants": NAMES[1:], "reason": "file is not a database"}]
    result = cli("sql", *words, "--from", "flyway", cwd=folder, status=4)
    assert "nothing to do in 0 tenants" in result.out
    assert "2 tenants left out: file is not a database\n" in result.out


def test_adopt_when_entries_are_to_be_ignored_and_no_tool_is_named_then_refused(folder: Path, cli: Cli) -> None:
    words = ("adopt", "--deltas", "deltas", "--tenants", "files=tenants/*.sqlite", "--like", NAMES[0])
    result = cli("sql", *words, "--ignore", "auth.*", cwd=folder, status=2)
    assert "--ignore means nothing without --from" in result.err


def test_create_when_folders_are_made_as_well_then_each_is_durable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []
    real = os.fsync

    def watched(descriptor: int) -> None:
        real(descriptor)
        synced.append(str(Path(f"/proc/self/fd/{descriptor}").readlink().relative_to(tmp_path)))

    monkeypatch.setattr(os, "fsync", watched)
    with SqliteDatabase("test", tmp_path, ("**/*.sqlite",)) as database:
        assert database.create("a/b/c.sqlite")
        assert synced == ["a/b/c.sqlite", "a/b", "a", "."]
        synced.clear()
        assert database.create("a/d.sqlite")
        assert synced == ["a/d.sqlite", "a"]


@pytest.mark.parametrize("verb", ["status", "apply", "plan", "drift", "rollback"])
def test_fleet_when_its_glob_finds_nothing_then_a_warning_says_so(tmp_path: Path, cli: Cli, verb: str) -> None:
    (tmp_path / "pdelta.toml").write_text(
        '[databases.app]\ndeltas = "."\ntenants = { files = "tenant/*.sqlite", exclude = ["a"] }\n'
    )
    (tmp_path / "delta_20250315_add_last_login.sql").write_text(ORIGIN)
    result = cli("sql", verb, cwd=tmp_path, status=None)
    warning = "warning: databases.app has no tenants: files = tenant/*.sqlite finds none that is not excluded\n"
    assert result.err.count(warning) == 1
    assert result.status == (2 if verb == "rollback" else 0)
