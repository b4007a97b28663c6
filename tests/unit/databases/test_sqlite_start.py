"""What finding out that there is nothing to do may not pay for."""

import glob
import os
import subprocess
import sys
from pathlib import Path

import pytest

from pdelta.databases.sqlite.database import SqliteDatabase
from pdelta.sql.ledger import EMPTY_HEAD, head_of


def test_adapter_when_imported_then_what_it_rarely_needs_is_not() -> None:
    code = (
        "import sys, pdelta.databases.sqlite.database;"
        "print({'sqlite3', 'glob', 'urllib.parse', 'hashlib', 'pdelta.sql.catalogue'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "set()\n", done.stdout + done.stderr


@pytest.mark.parametrize(
    "module", ["pdelta.app.sql.apply", "pdelta.app.sql.rollback", "pdelta.app.sql.provision", "pdelta.app.sql.adopt"]
)
def test_sqlite_when_a_command_is_about_to_write_many_files_then_it_counts_no_memory(module: str) -> None:
    code = (
        f"import sys, {module}, pdelta.app.sql.rollout, pdelta.databases.sqlite.session, _sqlite3, ctypes;"
        "used = getattr(ctypes.CDLL(getattr(_sqlite3, '__file__', None)), 'sqlite3_memory_used', None);"
        "connection = sys.modules['sqlite3'].connect(':memory:');"
        "connection.execute('CREATE TABLE t (x)');"
        "print(used and used())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    if done.stdout == "None\n":
        pytest.skip("this Python does not let its SQLite be reached")
    assert done.stdout == "0\n", done.stdout + done.stderr


def test_head_when_there_are_no_rows_then_it_is_the_one_that_is_spelt_out() -> None:
    assert head_of(()) == EMPTY_HEAD


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with everything that a glob may meet."""
    top = tmp_path_factory.mktemp("top")
    (top / "t" / "deep").mkdir(parents=True)
    for name in ("a.db", "B.db", ".hidden.db", "c.db-wal", "c.db-journal", "ümlaut.db", "[x].db", "d.sqlite", "-.db"):
        for where in (top, top / "t", top / "t" / "deep"):
            (where / name).write_bytes(b"12345")
    (top / "t" / "folder.db").mkdir()
    (top / "t" / "link.db").symlink_to(top / "a.db")
    (top / "t" / "broken.db").symlink_to("nowhere")
    (top / "t" / "loop.db").symlink_to("loop.db")
    return top


@pytest.mark.parametrize(
    "pattern",
    ["*.db", "t/*.db", "./*.db", "./t/*.db", "t/../t/*", "t/.*", ".*.db", "t/[ab].db", "t/[!a].db", "t/?.db", "t/*.DB",
     "*/*.db", "t/**/*.db", "**/*.db", "**", "t/**", "nowhere/*.db", "t//*.db", "a.db/*.db", "t/[[]x].db",
     "{top}/t/*.db", "{top}/*.db", "{top}/../*/t/*.db"],
)  # fmt: skip
def test_tenants_when_a_glob_matches_then_they_are_what_the_library_of_globs_says(folder: Path, pattern: str) -> None:
    pattern = pattern.replace("{top}", str(folder))
    found = {
        os.path.relpath(name, folder) if os.path.isabs(name) else os.path.normpath(name)
        for name in glob.glob(pattern, root_dir=folder, recursive=True)
        if (folder / name).is_file() and not name.endswith(("-wal", "-journal", "-shm"))
    }
    tenants = SqliteDatabase("app", folder, (pattern,)).tenants()
    assert [tenant.name for tenant in tenants] == sorted(found)
    assert {tenant.size for tenant in tenants} <= {5}
