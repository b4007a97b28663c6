"""What SQLite files may be like, and what is done about each: links, journals, readers, rights, damage."""

import os
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path

import msgspec
import pytest

from pdelta.databases.base import Glance, Move, Work
from pdelta.databases.sqlite.database import SqliteDatabase
from pdelta.databases.sqlite.files import Files
from pdelta.errors import Cause, DatabaseError, GuardError
from pdelta.sql.ledger import EMPTY_HEAD, Applied, Head, State, Way, head_of
from pdelta.sql.piece import GUARD, Piece
from pdelta.testing.failpoints import CrashAt, SimulatedCrash
from tests.fixtures.users import NOBODY, as_root, in_child

ROW = Applied("delta_20250101_a", "a" * 64)
AFTER = head_of([(ROW.id, ROW.digest, ROW.state)])
TABLES = (
    "CREATE TABLE parents (id INTEGER PRIMARY KEY, name TEXT)",
    "CREATE TABLE children (id INTEGER PRIMARY KEY, parent INTEGER REFERENCES parents (id) ON DELETE CASCADE)",
    "INSERT INTO parents VALUES (1, 'one'), (2, 'two')",
    "INSERT INTO children VALUES (10, 1), (20, 2)",
)


def make(path: Path, *statements: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        for statement in statements or TABLES:
            connection.execute(statement)
    return path


def database(folder: Path, *patterns: str, cached: bool = True) -> SqliteDatabase:
    return SqliteDatabase("test", folder, patterns or ("*.sqlite",), cache=folder / "cache" if cached else "")


def apply(folder: Path, name: str, *statements: str, row: Applied = ROW, lock_timeout_ms: int = 500) -> None:
    move = Move(Way.APPLY, row, tuple(map(Piece, statements)))
    after = head_of([(row.id, row.digest, row.state)])
    with database(folder) as tenants:
        work = Work(name, EMPTY_HEAD, after, (move,), Glance(managed=False, head=EMPTY_HEAD))
        tenants.session("files").commit([work], lock_timeout_ms=lock_timeout_ms)


def head(folder: Path, name: str) -> Head | None:
    with database(folder) as tenants:
        glance = tenants.glance([name])[name]
    assert isinstance(glance, Glance), glance
    return glance.head


def failure(folder: Path, name: str) -> DatabaseError:
    with database(folder) as tenants:
        glance = tenants.glance([name])[name]
    assert isinstance(glance, DatabaseError), glance
    return glance


def rows(path: Path, text: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute(text).fetchall()


def opened_by(act: Callable[[], object]) -> list[str]:
    """Give which files are opened with SQLite meanwhile, as often as each is."""
    found: list[str] = []
    kept_open = Files.kept_open

    def noted(files: Files, name: str, *, to_write: bool) -> AbstractContextManager[str]:
        found.append(name)
        return kept_open(files, name, to_write=to_write)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Files, "kept_open", noted)
        act()
    return found


def opened(folder: Path, *names: str) -> list[str]:
    """Give which of these files a glance opens with SQLite; for the others it believes the cache."""
    with database(folder) as tenants:
        return opened_by(lambda: tenants.glance(names))


def test_commit_when_the_ledger_was_read_before_then_the_file_is_opened_once_and_known(tmp_path: Path) -> None:
    make(tmp_path / "a.sqlite")
    apply(tmp_path, "a.sqlite", "DELETE FROM children")
    move = Move(Way.REVERSE, ROW, (Piece("INSERT INTO children VALUES (10, 1)"),))
    work = Work("a.sqlite", AFTER, EMPTY_HEAD, (move,), Glance(managed=True, head=AFTER))

    def reverse() -> None:
        with database(tmp_path) as tenants:
            session = tenants.session("files")
            assert session.ledger("a.sqlite", lock_timeout_ms=500) == [ROW]
            session.commit([work], lock_timeout_ms=500)
            session.close()

    assert opened_by(reverse) == ["a.sqlite"]
    assert opened(tmp_path, "a.sqlite") == [], "our own commit is known without another look"
    assert head(tmp_path, "a.sqlite") == EMPTY_HEAD


def test_cancel_when_the_ledger_was_read_before_then_the_commit_is_ended(tmp_path: Path) -> None:
    make(tmp_path / "a.sqlite")
    with database(tmp_path) as tenants:
        session = tenants.session("files")
        session.ledger("a.sqlite", lock_timeout_ms=500)
        session.cancel()
        work = Work("a.sqlite", EMPTY_HEAD, AFTER, (Move(Way.APPLY, ROW, ()),), Glance(managed=False, head=None))
        with pytest.raises(DatabaseError, match="cancelled"):
            session.commit([work], lock_timeout_ms=500)
        session.commit([work], lock_timeout_ms=500)
        session.close()
    assert head(tmp_path, "a.sqlite") == AFTER


def test_session_when_closed_or_gone_on_elsewhere_then_no_file_is_open(tmp_path: Path) -> None:
    for name in ("a.sqlite", "b.sqlite"):
        make(tmp_path / name)

    def is_open(name: str) -> bool:
        return any(
            os.path.realpath(f"/proc/self/fd/{one}") == str(tmp_path / name) for one in os.listdir("/proc/self/fd")
        )

    with database(tmp_path) as tenants:
        session = tenants.session("files")
        session.ledger("a.sqlite", lock_timeout_ms=500)
        assert is_open("a.sqlite")
        session.query("b.sqlite", "SELECT 1")
        assert not is_open("a.sqlite")
        session.ledger("b.sqlite", lock_timeout_ms=500)
        session.close()
        assert not is_open("b.sqlite")


def test_tenants_when_globs_match_then_files_alone_by_their_relative_names(tmp_path: Path) -> None:
    for name in ("b.sqlite", "a.sqlite", "deep/er/c.sqlite", "x'?#% .sqlite"):
        make(tmp_path / name)
    (tmp_path / "folder.sqlite").mkdir()
    (tmp_path / "a.sqlite-journal").touch()
    (tmp_path / "nowhere.sqlite").symlink_to("gone")
    (tmp_path / "link.sqlite").symlink_to("a.sqlite")
    os.mkfifo(tmp_path / "pipe.sqlite")
    with database(tmp_path, "**/*.sqlite*") as tenants:
        found = tenants.tenants()
    names = [tenant.name for tenant in found]
    assert names == ["a.sqlite", "b.sqlite", "deep/er/c.sqlite", "link.sqlite", "x'?#% .sqlite"]
    assert all(tenant.size == (tmp_path / tenant.name).stat().st_size > 0 for tenant in found)


def test_tenants_when_named_then_taken_literally_and_even_if_missing(tmp_path: Path) -> None:
    make(tmp_path / "[ab].sqlite")
    make(tmp_path / "a.sqlite")
    outside = make(tmp_path.parent / f"{tmp_path.name}-outside.sqlite")
    patterns = ("[ab].sqlite", "gone.sqlite", str(outside))
    with database(tmp_path, *patterns) as tenants:
        names = [tenant.name for tenant in tenants.tenants()]
        assert names == [f"../{outside.name}", "[ab].sqlite", "gone.sqlite"]
        assert set(tenants.glance(names)) == {f"../{outside.name}", "[ab].sqlite"}


def test_tenants_when_some_are_excluded_then_they_are_none(tmp_path: Path) -> None:
    for name in ("a.sqlite", "b.sqlite", "template.sqlite"):
        make(tmp_path / name)
    with SqliteDatabase("test", tmp_path, ("*.sqlite",), exclude=("t*", "b.sqlite")) as tenants:
        assert [tenant.name for tenant in tenants.tenants()] == ["a.sqlite"]


def test_tenants_when_a_name_is_no_text_then_refused_by_it(tmp_path: Path) -> None:
    make(tmp_path / "a.sqlite")
    shutil.copy(tmp_path / "a.sqlite", os.path.join(tmp_path, os.fsdecode(b"caf\xe9.sqlite")))
    with database(tmp_path) as tenants, pytest.raises(DatabaseError, match=r"caf\\xe9"):
        tenants.tenants()


def test_glance_when_nothing_happened_since_then_no_file_is_opened(tmp_path: Path) -> None:
    make(tmp_path / "a.sqlite")
    assert opened(tmp_path, "a.sqlite") == ["a.sqlite"]
    assert opened(tmp_path, "a.sqlite") == []
    apply(tmp_path, "a.sqlite", "DELETE FROM children")
    assert opened(tmp_path, "a.sqlite") == [], "our own commit is known without another look"
    assert head(tmp_path, "a.sqlite") == AFTER


def test_glance_when_the_file_was_empty_then_the_first_commit_is_known(tmp_path: Path) -> None:
    (tmp_path / "a.sqlite").touch()
    apply(tmp_path, "a.sqlite", "CREATE TABLE t (x)")
    assert opened(tmp_path, "a.sqlite") == []
    assert head(tmp_path, "a.sqlite") == AFTER


def test_glance_when_others_commit_in_the_same_tick_then_seen_by_the_counter(tmp_path: Path) -> None:
    """Times and size of the file are put back, as if the clock had stood still: only the counter tells."""
    path = make(tmp_path / "a.sqlite")
    apply(tmp_path, "a.sqlite", "DELETE FROM children")
    facts = Files(str(tmp_path)).facts(str(path))
    assert facts is not None
    make(path, "DELETE FROM pdelta_applied")
    with pytest.MonkeyPatch.context() as patch:
        status = os.stat(path)
        seen = Files(str(tmp_path)).facts(str(path))
        assert seen is not None
        assert seen.counter == facts.counter + 1
        stopped = seen._replace(size=facts.size, mtime_ns=facts.mtime_ns, ctime_ns=facts.ctime_ns)
        patch.setattr(Files, "facts", lambda _files, _path: stopped)
        assert status.st_size == facts.size
        assert head(tmp_path, "a.sqlite") == EMPTY_HEAD


def test_glance_when_others_commit_right_after_us_then_not_taken_for_ours(tmp_path: Path) -> None:
    path = make(tmp_path / "a.sqlite")

    def meanwhile(point: str) -> None:
        if point == "sqlite.committed":
            make(path, "DELETE FROM pdelta_applied")

    move = Move(Way.APPLY, ROW, (Piece("DELETE FROM children"),))
    work = Work("a.sqlite", EMPTY_HEAD, AFTER, (move,), Glance(managed=False, head=None))
    with SqliteDatabase("test", tmp_path, ("*.sqlite",), cache=tmp_path / "cache", failpoint=meanwhile) as tenants:
        tenants.session("files").commit([work], lock_timeout_ms=500)
    assert head(tmp_path, "a.sqlite") == EMPTY_HEAD


def test_glance_when_a_file_is_brought_back_from_a_copy_then_read_again(tmp_path: Path) -> None:
    path = make(tmp_path / "a.sqlite")
    shutil.copy2(path, tmp_path / "backup")
    apply(tmp_path, "a.sqlite", "DELETE FROM children")
    shutil.copy2(tmp_path / "backup", path)
    assert head(tmp_path, "a.sqlite") == EMPTY_HEAD


@pytest.mark.parametrize("suffix", ["-journal", "-wal"])
def test_glance_when_a_journal_or_log_lies_beside_then_read_through_sqlite(tmp_path: Path, suffix: str) -> None:
    for number in range(8):  # enough for a listing of the folder
        make(tmp_path / f"{number}.sqlite")
        head(tmp_path, f"{number}.sqlite")
    (tmp_path / f"3.sqlite{suffix}").touch()
    assert opened(tmp_path, "3.sqlite") == ["3.sqlite"]
    assert opened(tmp_path, *(f"{number}.sqlite" for number in range(8))) == ["3.sqlite"]


def test_glance_when_there_is_a_log_then_its_commits_are_seen(tmp_path: Path) -> None:
    path = make(tmp_path / "a.sqlite", "PRAGMA journal_mode = WAL", *TABLES)
    apply(tmp_path, "a.sqlite", "DELETE FROM children")
    assert head(tmp_path, "a.sqlite") == AFTER
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("DELETE FROM pdelta_applied")
        before = path.stat()
        assert head(tmp_path, "a.sqlite") == EMPTY_HEAD
        assert path.stat().st_mtime_ns == before.st_mtime_ns, "the commit is in the log alone"
    assert head(tmp_path, "a.sqlite") == EMPTY_HEAD
    assert rows(path, "PRAGMA journal_mode") == [("wal",)]


def test_glance_when_a_writer_was_killed_then_its_half_is_rolled_back_and_not_believed(tmp_path: Path) -> None:
    path = make(tmp_path / "a.sqlite")
    apply(tmp_path, "a.sqlite", "DELETE FROM children")
    script = (
        "import os, sqlite3, sys\n"
        "c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "c.execute('PRAGMA cache_size = 1')\n"
        "c.execute('BEGIN IMMEDIATE')\n"
        "c.execute('DELETE FROM pdelta_applied')\n"
        "c.execute('CREATE TABLE big (x)')\n"
        "c.executemany('INSERT INTO big VALUES (?)', [('x' * 3000,)] * 500)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    assert subprocess.run([sys.executable, "-c", script, str(path)], check=False).returncode == -9
    assert (tmp_path / "a.sqlite-journal").stat().st_size > 0
    assert head(tmp_path, "a.sqlite") == AFTER
    assert not (tmp_path / "a.sqlite-journal").exists()
    assert rows(path, "PRAGMA integrity_check") == [("ok",)]


def test_facts_when_the_file_is_open_here_then_not_read_so_that_no_lock_is_lost(tmp_path: Path) -> None:
    path = make(tmp_path / "a.sqlite")
    (tmp_path / "link.sqlite").symlink_to("a.sqlite")
    files = Files(str(tmp_path))
    assert files.facts(str(path)) is not None
    with files.kept_open("link.sqlite", to_write=True):
        assert files.facts(str(path)) is None
    assert files.facts(str(path)) is not None


def test_commit_when_the_file_is_a_symbolic_link_then_the_real_file_is_written(tmp_path: Path) -> None:
    path = make(tmp_path / "real" / "a.db")
    (tmp_path / "a.sqlite").symlink_to("real/a.db")
    apply(tmp_path, "a.sqlite", "DELETE FROM children")
    assert head(tmp_path, "a.sqlite") == AFTER
    assert (tmp_path / "a.sqlite").is_symlink()
    assert rows(path, "SELECT id FROM pdelta_applied") == [(ROW.id,)]


def test_commit_when_the_file_has_two_names_then_refused_and_reading_goes_on(tmp_path: Path) -> None:
    path = make(tmp_path / "a.sqlite")
    (tmp_path / "b").hardlink_to(path)
    with pytest.raises(DatabaseError, match="2 hard links") as caught:
        apply(tmp_path, "a.sqlite", "DELETE FROM children")
    assert "symbolic link" in caught.value.hint
    assert head(tmp_path, "a.sqlite") == EMPTY_HEAD
    assert opened(tmp_path, "a.sqlite") == ["a.sqlite"], "a journal may lie beside the other name"


def test_commit_when_a_reader_stays_then_busy_and_nothing_changed(tmp_path: Path) -> None:
    """With a rollback journal it is the commit that waits for readers, not the beginning."""
    path = make(tmp_path / "a.sqlite")
    with closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM parents").fetchall()
        with pytest.raises(DatabaseError, match="locked") as caught:
            apply(tmp_path, "a.sqlite", "DELETE FROM children")
        assert caught.value.cause is Cause.BUSY
        assert caught.value.sqlstate.startswith("SQLITE_BUSY")
        assert reader.execute("SELECT count(*) FROM children").fetchall() == [(2,)]
    assert head(tmp_path, "a.sqlite") == EMPTY_HEAD
    apply(tmp_path, "a.sqlite", "DELETE FROM children")


def test_blockers_when_another_process_writes_then_named(tmp_path: Path) -> None:
    path = make(tmp_path / "a.sqlite")
    script = (
        "import sqlite3, sys\n"
        "c = sqlite3.connect(sys.argv[1], isolation_level=None)\n"
        "c.execute(sys.argv[2]); c.execute('SELECT * FROM parents').fetchall()\n"
        "print('held', flush=True); sys.stdin.read()\n"
    )
    for begin, what in (("BEGIN IMMEDIATE", "writes"), ("BEGIN", "reads")):
        with subprocess.Popen(
            [sys.executable, "-c", script, str(path), begin], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == b"held\n"
            with database(tmp_path) as tenants:
                (told,) = tenants.blockers("a.sqlite")
            assert str(other.pid) in told
            assert what in told
            other.communicate()
    with database(tmp_path) as tenants:
        assert tenants.blockers("a.sqlite") == []
        assert tenants.blockers("gone.sqlite") == []


@as_root
def test_commit_when_rights_are_missing_then_denied(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    for parent in list(tmp_path.parents)[:3]:
        parent.chmod(parent.stat().st_mode | 0o011)
    make(tmp_path / "a.sqlite")

    def work() -> None:
        for mode_of_file, mode_of_folder in ((0o444, 0o777), (0o666, 0o555)):
            with pytest.raises(DatabaseError) as caught:
                apply(tmp_path, "a.sqlite", "DELETE FROM children")
            assert caught.value.cause is Cause.DENIED, (mode_of_file, mode_of_folder)
            assert head(tmp_path, "a.sqlite") == EMPTY_HEAD

    for mode_of_file, mode_of_folder in ((0o444, 0o777), (0o666, 0o555)):
        (tmp_path / "a.sqlite").chmod(mode_of_file)
        tmp_path.chmod(mode_of_folder)
        in_child(work, NOBODY)
    (tmp_path / "a.sqlite").chmod(0)

    def look() -> None:
        assert failure(tmp_path, "a.sqlite").cause is Cause.DENIED

    in_child(look, NOBODY)


def test_commit_when_there_is_no_room_then_full_and_nothing_changed(tmp_path: Path) -> None:
    """A real limit of a real process: the kernel lets it write no larger file."""
    path = make(tmp_path / "a.sqlite")
    limit = path.stat().st_size + 8192

    def work() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        with pytest.raises(DatabaseError) as caught:
            apply(tmp_path, "a.sqlite", "DELETE FROM children", "CREATE TABLE t AS SELECT zeroblob(100000)")
        assert caught.value.cause is Cause.FULL

    in_child(work, os.geteuid())
    assert rows(path, "SELECT count(*) FROM children") == [(2,)]
    assert head(tmp_path, "a.sqlite") == EMPTY_HEAD


@pytest.mark.parametrize("content", [b"no database at all" * 100, b"SQLite format 3\0" + b"\xff" * 4080])
def test_glance_when_it_is_no_database_then_refused_by_name_and_left_alone(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.sqlite").write_bytes(content)
    make(tmp_path / "b.sqlite")
    error = failure(tmp_path, "a.sqlite")
    assert error.cause is Cause.REFUSED
    assert error.hint
    assert "a.sqlite" in error.message
    assert (tmp_path / "a.sqlite").read_bytes() == content
    assert head(tmp_path, "b.sqlite") == EMPTY_HEAD


def test_glance_when_it_is_a_folder_then_refused_and_a_pipe_too(tmp_path: Path) -> None:
    (tmp_path / "a.sqlite").mkdir()
    os.mkfifo(tmp_path / "b.sqlite")
    assert "no file" in failure(tmp_path, "a.sqlite").message
    assert "no file" in failure(tmp_path, "b.sqlite").message


def test_commit_when_the_file_is_damaged_then_refused_with_a_hint(tmp_path: Path) -> None:
    path = make(tmp_path / "a.sqlite", *TABLES)
    data = path.read_bytes()
    path.write_bytes(data[:4096] + b"\xff" * (len(data) - 4096))
    with pytest.raises(DatabaseError, match="malformed") as caught:
        apply(tmp_path, "a.sqlite", "DELETE FROM children")
    assert caught.value.cause is Cause.REFUSED
    assert "backup" in caught.value.hint


@pytest.mark.parametrize(
    "statement", ["COMMIT", "VACUUM", "ATTACH 'x.sqlite' AS x", "PRAGMA journal_mode = OFF", "SAVEPOINT s", "; END"]
)
def test_commit_when_a_statement_would_leave_the_transaction_then_refused(tmp_path: Path, statement: str) -> None:
    path = make(tmp_path / "a.sqlite")
    with pytest.raises(DatabaseError, match="can't stand in a") as caught:
        apply(tmp_path, "a.sqlite", "DELETE FROM children", statement)
    assert caught.value.cause is Cause.REFUSED
    assert rows(path, "SELECT count(*) FROM children") == [(2,)]
    assert sorted(one.name for one in tmp_path.iterdir() if "cache" not in one.name) == ["a.sqlite"]


def test_commit_when_a_conflict_rolls_back_by_itself_then_nothing_goes_on_outside(tmp_path: Path) -> None:
    path = make(tmp_path / "a.sqlite")
    with pytest.raises(DatabaseError):
        apply(tmp_path, "a.sqlite", "DELETE FROM children", "INSERT OR ROLLBACK INTO parents VALUES (1, 'again')")
    assert rows(path, "SELECT count(*) FROM children") == [(2,)]
    assert head(tmp_path, "a.sqlite") == EMPTY_HEAD


def test_commit_when_two_statements_stand_in_one_then_refused(tmp_path: Path) -> None:
    path = make(tmp_path / "a.sqlite")
    with pytest.raises(DatabaseError, match="one statement"):
        apply(tmp_path, "a.sqlite", "DELETE FROM children; COMMIT")
    assert rows(path, "SELECT count(*) FROM children") == [(2,)]


def test_commit_when_the_delta_edits_the_ledger_then_refused(tmp_path: Path) -> None:
    make(tmp_path / "a.sqlite")
    with pytest.raises(DatabaseError, match="changed the ledger itself"):
        apply(tmp_path, "a.sqlite", "UPDATE pdelta_applied SET digest = 'x'")
    assert head(tmp_path, "a.sqlite") == EMPTY_HEAD


def test_ledger_when_it_holds_what_no_pdelta_writes_then_said_and_not_guessed(tmp_path: Path) -> None:
    path = make(tmp_path / "a.sqlite")
    apply(tmp_path, "a.sqlite", "DELETE FROM children")
    make(path, "UPDATE pdelta_applied SET state = 'elsewhere'")
    with database(tmp_path) as tenants:
        found = tenants.ledgers(["a.sqlite", "gone.sqlite"])
        told, gone = found["a.sqlite"], found["gone.sqlite"]
    assert isinstance(told, DatabaseError)
    assert "elsewhere" in told.message
    assert isinstance(gone, DatabaseError)
    assert gone.cause is Cause.MISSING


def test_alone_when_vacuum_or_another_journal_then_done(tmp_path: Path) -> None:
    path = make(tmp_path / "a.sqlite")
    with database(tmp_path) as tenants:
        session = tenants.session("files")
        session.alone("a.sqlite", "VACUUM", lock_timeout_ms=500)
        session.alone("a.sqlite", "PRAGMA journal_mode = WAL", lock_timeout_ms=500)
        with pytest.raises(DatabaseError, match="BEGIN can't stand"):
            session.alone("a.sqlite", "BEGIN", lock_timeout_ms=500)
        move = Move(Way.APPLY, ROW, (Piece("VACUUM", alone=True),))
        work = Work("a.sqlite", EMPTY_HEAD, AFTER, (move,), Glance(managed=False, head=None))
        with pytest.raises(DatabaseError, match="stands alone"):
            session.commit([work], lock_timeout_ms=500)
    assert rows(path, "PRAGMA journal_mode") == [("wal",)]


def test_query_when_it_would_make_a_file_then_refused(tmp_path: Path) -> None:
    make(tmp_path / "a.sqlite")
    with database(tmp_path) as tenants:
        for text in (f"ATTACH '{tmp_path}/b.sqlite' AS b", f"VACUUM INTO '{tmp_path}/b.sqlite'"):
            with pytest.raises(DatabaseError, match="is no query"):
                tenants.session("files").query("a.sqlite", text)
        with pytest.raises(DatabaseError, match="readonly"):
            tenants.session("files").query("a.sqlite", "WITH x AS (SELECT 1) DELETE FROM parents")
    assert not (tmp_path / "b.sqlite").exists()


REBUILD = (
    "CREATE TABLE parents_new (id INTEGER PRIMARY KEY, name TEXT NOT NULL)",
    "INSERT INTO parents_new SELECT id, name FROM parents",
    "DROP TABLE parents",
    "ALTER TABLE parents_new RENAME TO parents",
)


@pytest.mark.parametrize("head_of_it", [(), ("PRAGMA foreign_keys = OFF",)])
def test_commit_when_a_table_is_rebuilt_then_its_children_stay(tmp_path: Path, head_of_it: tuple[str, ...]) -> None:
    path = make(tmp_path / "a.sqlite")
    apply(tmp_path, "a.sqlite", *head_of_it, *REBUILD)
    assert rows(path, "SELECT * FROM children ORDER BY id") == [(10, 1), (20, 2)]
    assert rows(path, "PRAGMA foreign_key_check") == []


def test_commit_when_rows_lose_their_parent_then_refused(tmp_path: Path) -> None:
    path = make(tmp_path / "a.sqlite")
    with pytest.raises(DatabaseError, match="1 of children, whose parent is parents") as caught:
        apply(tmp_path, "a.sqlite", "DELETE FROM parents WHERE id = 1")
    assert "cascade" in caught.value.hint
    assert rows(path, "SELECT count(*) FROM parents") == [(2,)]


def test_commit_when_the_delta_asks_for_it_then_sqlite_cascades(tmp_path: Path) -> None:
    path = make(tmp_path / "a.sqlite")
    apply(tmp_path, "a.sqlite", "PRAGMA foreign_keys = ON", "DELETE FROM parents WHERE id = 1")
    assert rows(path, "SELECT id FROM children") == [(20,)]


def test_commit_when_orphans_were_there_before_then_only_new_ones_count(tmp_path: Path) -> None:
    path = make(tmp_path / "a.sqlite", *TABLES, "INSERT INTO children VALUES (30, 99)")
    with pytest.raises(DatabaseError, match="1 of children"):
        apply(tmp_path, "a.sqlite", "DELETE FROM parents WHERE id = 1")
    apply(tmp_path, "a.sqlite", "UPDATE parents SET name = 'uno' WHERE id = 1")
    assert rows(path, "SELECT name FROM parents ORDER BY id") == [("uno",), ("two",)]
    assert head(tmp_path, "a.sqlite") == AFTER


def test_commit_when_a_key_fits_no_parent_at_all_then_that_is_no_new_fault(tmp_path: Path) -> None:
    make(
        tmp_path / "a.sqlite",
        *TABLES,
        "CREATE TABLE odd (x REFERENCES parents (name))",
        "INSERT INTO odd VALUES ('one')",
    )
    apply(tmp_path, "a.sqlite", "UPDATE parents SET name = 'uno' WHERE id = 1")
    assert head(tmp_path, "a.sqlite") == AFTER


def test_rehearse_when_rows_would_lose_their_parent_then_refused_as_well(tmp_path: Path) -> None:
    make(tmp_path / "a.sqlite")
    move = Move(Way.APPLY, ROW, (Piece("DELETE FROM parents WHERE id = 1"),))
    work = Work("a.sqlite", EMPTY_HEAD, AFTER, (move,), Glance(managed=False, head=None))
    with database(tmp_path) as tenants, pytest.raises(DatabaseError, match="without their parent"):
        tenants.session("files").rehearse([work], [], lock_timeout_ms=500)
    assert head(tmp_path, "a.sqlite") == EMPTY_HEAD


@pytest.mark.parametrize(("point", "after"), [("sqlite.executed", EMPTY_HEAD), ("sqlite.committed", AFTER)])
def test_commit_when_the_process_ends_then_before_or_after(tmp_path: Path, point: str, after: Head) -> None:
    make(tmp_path / "a.sqlite")
    move = Move(Way.APPLY, ROW, (Piece("DELETE FROM children"),))
    work = Work("a.sqlite", EMPTY_HEAD, AFTER, (move,), Glance(managed=False, head=None))
    tenants = SqliteDatabase("test", tmp_path, ("*.sqlite",), failpoint=CrashAt(1, point))
    with pytest.raises(SimulatedCrash):
        tenants.session("files").commit([work], lock_timeout_ms=500)
    assert head(tmp_path, "a.sqlite") == after


def test_guard_when_it_gives_a_number_then_that_is_its_text(tmp_path: Path) -> None:
    make(tmp_path / "a.sqlite")
    guard = f"{GUARD} SELECT count(*) FROM parents"  # noqa: S608 - text of our own
    move = Move(Way.APPLY, ROW, (Piece("SELECT 1", before=(guard,)),))
    work = Work("a.sqlite", EMPTY_HEAD, AFTER, (move,), Glance(managed=False, head=None))
    with database(tmp_path) as tenants, pytest.raises(GuardError, match=r"^2$"):
        tenants.session("files").commit([work], lock_timeout_ms=500)


def test_record_when_there_is_nothing_to_record_then_a_bug(tmp_path: Path) -> None:
    make(tmp_path / "a.sqlite")
    with database(tmp_path) as tenants, pytest.raises(ValueError, match="neither"):
        tenants.session("files").record("a.sqlite", None, former=None, glance=Glance(managed=False, head=None))
    begun = msgspec.structs.replace(ROW, state=State.APPLYING)
    with database(tmp_path) as tenants:
        given = tenants.session("files").record("a.sqlite", begun, former=None, glance=Glance(managed=False, head=None))
    assert given == head(tmp_path, "a.sqlite")
