"""What is remembered of delta files: believed while nothing has changed, and lost where anything is wrong with it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pdelta.app.context import Context
from pdelta.app.sql.memory import Known, Memory, states_of
from pdelta.app.sql.scripts import Files
from pdelta.databases.base import Database
from pdelta.databases.sqlite.database import SqliteDatabase
from pdelta.formats.database import DatabaseSection, Of, Tenants
from pdelta.sql.ledger import Head, head_of
from pdelta.sql.scope import Scope
from pdelta.sql.token import Dialect, Mode

FILES = Files({"delta_20250101_a": b"SELECT 1;", "delta_20250102_b": b"SELECT 2;"})
KNOWN = (
    Known("delta_20250101_a", "delta_20250101_a", "1" * 64, Scope.TENANT),
    Known("second", "delta_20250102_b", "2" * 64, Scope.TENANT),
)
Remember = Callable[..., Memory]


def head_with(*deltas: Known) -> Head:
    return head_of((known.id, known.digest, "applied") for known in deltas)


class Mysql(SqliteDatabase):
    """As far as reading files goes, another engine."""

    dialect = Dialect.MYSQL

    def __init__(self, modes: frozenset[Mode]) -> None:
        super().__init__("app", ".", ())
        self.modes = modes


@pytest.fixture
def remember(context: Context, tmp_path: Path) -> Remember:
    def made(files: Files = FILES, *, name: str = "app", database: Database | None = None) -> Memory:
        section = DatabaseSection(name=name, tenants=Tenants(Of.FILES, ("*.sqlite",)))
        return Memory(section, database or SqliteDatabase(name, tmp_path, ()), files, context)

    return made


def test_head_when_the_files_are_the_same_then_it_is_that_of_a_ledger_with_all(remember: Remember) -> None:
    assert remember().heads() == ()
    remember().learn(KNOWN)
    assert remember().heads() == (head_with(*KNOWN),)


@pytest.mark.parametrize("last", ["delta_20250101_a", "delta_20250101_a.sql"])
def test_head_when_asked_up_to_one_then_later_ones_are_left_out(remember: Remember, last: str) -> None:
    remember().learn(KNOWN)
    assert remember().heads(last) == (head_with(KNOWN[0]),)
    assert remember().heads("second") == remember().heads("delta_20250102_b.sql") == remember().heads()
    assert remember().heads("third") == ()


def test_heads_when_there_are_baselines_then_one_for_each_way_to_begin(remember: Remember) -> None:
    first, second = (Known(name, name, "3" * 64, Scope.TENANT, baseline=True) for name in ("old", "new"))
    remember().learn((KNOWN[0], first, KNOWN[1], second))
    assert set(remember().heads()) == {head_with(*KNOWN), head_with(*KNOWN, first), head_with(*KNOWN, second)}
    assert set(remember().heads("old")) == {head_with(KNOWN[0]), head_with(KNOWN[0], first)}
    remember().learn((first,))
    assert remember().heads() == (head_with(first),)


@pytest.mark.parametrize(
    "files",
    [
        Files({}),
        Files({"delta_20250101_a": b"SELECT 1;"}),
        Files({**FILES.texts, "delta_20250102_b": b"SELECT 3;"}),
        Files({**FILES.texts, "delta_20250103_c": b""}),
        Files({"delta_20250101_a": b"SELECT 1;", "delta_20250102_c": b"SELECT 2;"}),
        # The border between a name and its text counts too.
        Files({"delta_20250101_a": b"SELECT 1;", "delta_20250102_": b"bSELECT 2;"}),
        Files(FILES.texts, {"delta_20250102_b": b""}),
    ],
)
def test_head_when_any_file_changed_then_nothing_is_known(remember: Remember, files: Files) -> None:
    remember().learn(KNOWN)
    assert remember(files).heads() == ()


def test_head_when_the_files_are_read_otherwise_then_nothing_is_known(remember: Remember) -> None:
    remember().learn(KNOWN)
    assert remember(database=Mysql(frozenset())).heads() == ()
    remember(database=Mysql(frozenset())).learn(KNOWN)
    assert remember(database=Mysql(frozenset())).heads() != ()
    assert remember(database=Mysql(frozenset({Mode.ANSI_QUOTES}))).heads() == ()


def test_head_when_another_section_has_these_files_then_each_knows_its_own(remember: Remember) -> None:
    remember().learn(KNOWN)
    assert remember(name="other").heads() == ()


def test_head_when_a_delta_is_for_servers_then_nothing_is_known(remember: Remember) -> None:
    """Whether a server has it, no tenant's head says."""
    remember().learn((*KNOWN, Known("third", "third", "3" * 64, Scope.ONCE)))
    assert remember().heads() == ()


@pytest.mark.parametrize("place", [0, 30, -1])
def test_head_when_what_was_kept_is_damaged_then_nothing_is_known(
    remember: Remember, tmp_path: Path, place: int
) -> None:
    remember().learn(KNOWN)
    (path,) = (tmp_path / "cache" / "deltas").iterdir()
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)
    assert remember().heads() == ()
    remember().learn(KNOWN)
    assert remember().heads() != ()


def test_learn_when_the_cache_can_not_be_written_then_nothing_is_kept_and_nobody_is_told(
    remember: Remember, tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("in the way")
    remember().learn(KNOWN)
    assert remember().heads() == ()


def test_trusts_when_the_journal_or_its_log_changed_then_no_more(remember: Remember, tmp_path: Path) -> None:
    journal = tmp_path / "journal.sqlite"
    assert remember().trusts(states_of(journal))
    journal.write_bytes(b"one")
    assert not remember().trusts(states_of(journal))
    remember().learn(KNOWN)
    remember().learn_ended(states_of(journal))
    assert remember().trusts(states_of(journal))
    (tmp_path / "journal.sqlite-wal").write_bytes(b"")
    assert not remember().trusts(states_of(journal))
    remember().learn_ended(states_of(journal))
    assert remember().trusts(states_of(journal))
    journal.write_bytes(b"other")
    assert not remember().trusts(states_of(journal))
