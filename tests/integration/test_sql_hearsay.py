"""Comments on databases: whoever is said to lack something is connected to once, and nobody is believed to have all."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.cli import Cli
from tests.fixtures.postgresql import PostgreSQL
from tests.fixtures.tenants import ORIGIN, TABLES, Project

pytestmark = pytest.mark.integration

NAME = "delta_20250315_add_last_login"
SECOND = "CREATE TABLE visits (id integer);\n-- Reversible delta\n-- DROP TABLE visits;\n"
COMMENT = "SELECT shobj_description(oid, 'pg_database') FROM pg_database WHERE datname = '{}'"
COUNT = 6


class Databases:
    """Databases that have the first delta, and a second one to get."""

    def __init__(self, server: PostgreSQL, names: list[str], folder: Path, cli: Cli) -> None:
        self.server = server
        self.names = names
        self._folder = folder
        self._cli = cli
        (folder / "url").write_text(server.url())
        listed = ", ".join(f'"{name}"' for name in names)
        section = f'[databases.app]\nurl = "file:url"\ndeltas = "deltas"\ntenants = {{ databases = [{listed}] }}\n'
        project = Project(folder, section)
        for name in names:
            server.sql("; ".join(TABLES), name)
        project.write(NAME, ORIGIN)
        assert self.touched() == COUNT
        project.write("delta_20250316_visits", SECOND)

    def touched(self, *words: str) -> int:
        """Apply; give in how many something was done."""
        return len(self._cli("sql", "apply", "--json", *words, cwd=self._folder).json()["results"])

    def taken_back(self, *words: str) -> int:
        """Take the second delta back; give in how many something was done."""
        told = self._cli("sql", "rollback", "--to", NAME, "--json", *words, cwd=self._folder).json()
        return sum(result["touched"] for result in told["results"])

    def having(self) -> list[str]:
        found = "SELECT to_regclass('visits') IS NOT NULL"
        return [name for name in self.names if self.server.sql(found, name) == [["t"]]]

    def sessions(self) -> int:
        """How often anybody connected to one of them; the server counts when they have gone."""
        time.sleep(0.5)
        rows = self.server.sql("SELECT datname, sessions FROM pg_stat_database WHERE datname IS NOT NULL")
        return sum(int(count) for name, count in rows if name in self.names)

    def comment(self, name: str) -> str:
        return self.server.sql(COMMENT.format(name))[0][0]

    def say(self, name: str, comment: str) -> None:
        self.server.sql(f"COMMENT ON DATABASE {name} IS '{comment}'")


@pytest.fixture
def databases(postgresql: PostgreSQL, tmp_path: Path, cli: Cli) -> Iterator[Databases]:
    with contextlib.ExitStack() as stack:
        names = sorted(stack.enter_context(postgresql.fresh_database()) for _ in range(COUNT))
        yield Databases(postgresql, names, tmp_path, cli)


def test_apply_when_comments_say_who_is_behind_then_each_is_connected_to_once(databases: Databases) -> None:
    before = databases.sessions()
    assert databases.touched("--no-prove") == COUNT
    # One more reads the ledger that stands for all with its head.
    assert databases.sessions() - before == COUNT + 1
    assert databases.having() == databases.names


def test_apply_when_comments_say_that_nothing_is_to_do_then_each_is_asked_all_the_same(databases: Databases) -> None:
    databases.touched()
    before = databases.sessions()
    assert databases.touched() == 0
    assert databases.sessions() - before == COUNT
    before = databases.sessions()
    assert databases.touched("--trust-stamps") == 0
    assert databases.sessions() == before


def test_apply_when_a_comment_is_older_than_its_ledger_then_nothing_is_done_there(databases: Databases) -> None:
    name = databases.names[2]
    old = databases.comment(name)
    databases.touched()
    databases.say(name, old)
    assert databases.touched() == 0
    assert databases.having() == databases.names


def test_apply_when_a_comment_is_newer_than_its_ledger_then_it_gets_what_it_lacks(databases: Databases) -> None:
    first, second = databases.names[0], databases.names[1]
    databases.touched("--only", first)
    databases.say(second, databases.comment(first))
    assert databases.touched() == COUNT - 1
    assert databases.having() == databases.names


@pytest.mark.parametrize("comment", ["", "the customers of Berlin", "pdelta 1 1 0:x"])
def test_apply_when_a_comment_says_nothing_of_use_then_the_ledger_is_asked(databases: Databases, comment: str) -> None:
    databases.say(databases.names[3], comment)
    assert databases.touched() == COUNT
    assert databases.having() == databases.names


def test_rollback_when_comments_say_who_has_it_then_each_is_connected_to_once(databases: Databases) -> None:
    databases.touched()
    before = databases.sessions()
    assert databases.taken_back() == COUNT
    # One more reads the ledger that stands for all with its head.
    assert databases.sessions() - before == COUNT + 1
    assert databases.having() == []
    before = databases.sessions()
    assert databases.taken_back() == 0
    # Nobody is believed to have nothing of it.
    assert databases.sessions() - before == COUNT + 2


def test_rollback_when_a_run_is_named_then_each_ledger_is_read_once(
    databases: Databases, tmp_path: Path, cli: Cli
) -> None:
    run = cli("sql", "apply", "--json", "--only", databases.names[1], cwd=tmp_path).json()["run"]
    before = databases.sessions()
    told = cli("sql", "rollback", "--run", run, "--json", cwd=tmp_path).json()
    assert [result["tenant"] for result in told["results"]] == [databases.names[1]]
    # One more for each of the two heads that comments say, and one that works where something is to be taken back.
    assert databases.sessions() - before == COUNT + 3


@pytest.mark.parametrize("words", [(), ("--to", NAME)])
def test_rollback_when_a_row_was_removed_by_hand_then_it_is_not_taken_for_done(
    databases: Databases, words: tuple[str, ...], tmp_path: Path, cli: Cli
) -> None:
    databases.touched()
    bad = databases.names[3]
    databases.server.sql("DELETE FROM pdelta_applied WHERE id = 'delta_20250316_visits'", bad)
    result = cli("sql", "rollback", *words, "--on-failure", "continue", cwd=tmp_path, status=6)
    assert "its ledger has no row of delta_20250316_visits" in result.out
    assert databases.having() == [bad]


def test_rollback_when_a_comment_is_older_than_its_ledger_then_it_is_taken_back_all_the_same(
    databases: Databases,
) -> None:
    name = databases.names[2]
    old = databases.comment(name)
    databases.touched()
    databases.say(name, old)
    assert databases.taken_back() == COUNT
    assert databases.having() == []


def test_rollback_when_a_comment_is_newer_than_its_ledger_then_nothing_is_done_there(databases: Databases) -> None:
    first, second = databases.names[0], databases.names[1]
    databases.touched("--only", first)
    databases.say(second, databases.comment(first))
    assert databases.taken_back() == 1
    assert databases.having() == []


def test_rollback_when_a_ledger_is_in_another_schema_of_the_path_then_it_is_found(databases: Databases) -> None:
    databases.touched()
    name = databases.names[3]
    databases.server.sql("CREATE SCHEMA postgres", name)
    # It comes first from now on, and has none.
    assert databases.taken_back() == COUNT
    assert databases.having() == []
    assert databases.touched() == COUNT


def test_status_when_a_comment_is_left_of_a_ledger_that_is_gone_then_the_database_has_none(
    databases: Databases, tmp_path: Path, cli: Cli
) -> None:
    project = tmp_path / "pdelta.toml"
    project.write_text(f'{project.read_text()}search_path = ["public"]\n')
    name = databases.names[1]
    databases.server.sql("DROP TABLE pdelta_applied; DROP TABLE pdelta_history", name)
    told = cli("sql", "status", "--json", cwd=tmp_path, status=None).json()
    assert {row["id"]: row["tenants"] for row in told["deltas"]}[NAME] == COUNT - 1
    assert "transaction is aborted" not in str(told)


def test_apply_when_there_are_many_waves_then_no_more_connections_are_open_than_allowed(
    databases: Databases, tmp_path: Path, cli: Cli
) -> None:
    project = tmp_path / "pdelta.toml"
    project.write_text(f"{project.read_text()}connections = 2\n")
    count = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'pdelta%' AND datname <> 'postgres'"
    gate = f"psql -XAtc \"{count}\" '{databases.server.url()}' >> open"
    cli("sql", "apply", "--waves", "first=2,second=2,rest", "--gate", gate, cwd=tmp_path)
    assert databases.having() == databases.names
    assert (tmp_path / "open").read_text().split() == ["0", "0"]
