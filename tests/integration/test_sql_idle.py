"""Finding out that there is nothing to do: quick, and never wrong about it."""

import subprocess
import sys
import time
from collections.abc import Sequence

import pytest

from pdelta.app.sql.fleet import ASKING, CARRYING
from pdelta.app.sql.rollback import REVERSING
from pdelta.engine.journal import Journal
from tests.fixtures import sql_child
from tests.fixtures.cli import Cli
from tests.fixtures.tenants import ORIGIN, Fleet, Project

NAME = "delta_20250315_add_last_login"
SECOND = "CREATE TABLE visits (id integer);\n-- Reversible delta\n-- DROP TABLE visits;\n"
NEEDLESS = (
    *("pdelta.app.sql.rollout", "pdelta.engine.executor", "pdelta.sql.tokens", "pdelta.formats.sql_delta", "sqlite3"),
    *("pdelta.sql.script", "pdelta.sql.piece", "pdelta.sql.catalogue", "pdelta.model.plan", "pdelta.model.run"),
    *("pdelta.cli.render.results", "pdelta.cli.render.document"),
)
"""What is not needed where nothing is to be done."""
LARGE = (
    *("ast", "gettext", "hashlib", "inspect", "locale", "platform", "signal", "socket", "string", "subprocess"),
    *("tempfile", "textwrap", "urllib.parse", "pdelta.databases.postgresql.transaction"),
)
"""What takes milliseconds, and only a driver in Python needs."""


class Desk:
    """A fleet that has its only delta."""

    def __init__(self, fleet: Fleet, cli: Cli) -> None:
        self.fleet = fleet
        self.cli = cli
        self.project = Project(fleet.folder, fleet.section)
        self.project.write(NAME, ORIGIN)
        self.touched()

    def touched(self, *words: str, status: int = 0) -> int:
        """Apply; give in how many tenants something was done."""
        return len(self.cli("sql", "apply", "--json", *words, cwd=self.fleet.folder, status=status).json()["results"])

    def imported(
        self,
        *words: str,
        command: str = "apply",
        of: Sequence[str] = (),
        said: str = "nothing to do in 12 tenants",
    ) -> set[str]:
        """Do something, and import nothing while waiting; give what was imported of what nothing to do does not need.

        Args:
            words: Further ones of the command.
            command: Which.
            of: Give which of these modules it imported instead.
            said: What it is to say.
        """
        asked = of or (NEEDLESS if self.fleet.engine == "mysql" else (*NEEDLESS, *LARGE))
        code = (
            "import sys, pdelta.idle; from pdelta.cli.main import main; pdelta.idle.expect = lambda modules, **_: None;"
            f"main(['sql', {command!r}, *sys.argv[1:]]); print(*set({asked!r}) & set(sys.modules))"
        )
        words = (sys.executable, "-c", code, *words)
        done = subprocess.run(
            words, cwd=self.fleet.folder, env=self.cli.env, check=True, capture_output=True, text=True
        )
        assert said in done.stdout
        return set(done.stdout.splitlines()[-1].split())


@pytest.fixture
def desk(fleet: Fleet, cli: Cli) -> Desk:
    return Desk(fleet, cli)


@pytest.mark.parametrize("words", [(), ("--to", NAME), ("--dry-run",), ("--only", "*")])
def test_apply_when_nothing_is_to_do_then_nothing_is_imported_that_does_it(desk: Desk, words: tuple[str, ...]) -> None:
    # The head that stands for some of the deltas is calculated, that for all of them is remembered.
    assert desk.imported(*words) <= ({"hashlib"} if "--to" in words else set())


def test_apply_when_something_is_to_do_then_it_needs_whatever_is_imported_while_it_waits(desk: Desk) -> None:
    desk.project.write("delta_20250316_visits", SECOND)
    expected = (*ASKING, *CARRYING) if desk.fleet.engine == "postgresql" else CARRYING
    assert desk.imported(of=expected, said="1 delta applied in 12 of 12 tenants") == set(expected)


def test_rollback_when_it_waits_then_it_needs_whatever_is_imported_meanwhile(desk: Desk) -> None:
    expected = (*CARRYING, REVERSING)
    found = desk.imported(command="rollback", of=expected, said="1 delta reversed in 12 of 12 tenants")
    assert found == set(expected)


def test_apply_when_the_memory_is_lost_then_it_is_made_again(desk: Desk) -> None:
    for path in (desk.cli.home / ".cache" / "pdelta" / "deltas").iterdir():
        path.unlink()
    assert "pdelta.sql.tokens" in desk.imported()
    assert desk.imported() == set()


def test_apply_when_only_the_layout_of_a_file_changed_then_nothing_is_to_do(desk: Desk) -> None:
    desk.project.write(NAME, "-- another comment\n" + ORIGIN)
    assert "pdelta.sql.tokens" in desk.imported()
    assert desk.imported() == set()


def test_apply_when_a_file_was_edited_then_it_is_refused_again_and_again(desk: Desk) -> None:
    desk.project.write(NAME, ORIGIN.replace("TIMESTAMP", "DATE"))
    for _ in range(2):
        assert "was edited" in desk.cli("sql", "apply", cwd=desk.fleet.folder, status=3).err
    desk.project.write(NAME, ORIGIN)
    assert desk.touched() == 0


def test_apply_when_a_file_is_added_then_everybody_gets_it(desk: Desk) -> None:
    desk.project.write("delta_20250316_visits", SECOND)
    assert desk.touched() == 12
    assert desk.touched() == 0
    desk.cli("sql", "rollback", "--only", desk.fleet.names[5], cwd=desk.fleet.folder)
    assert desk.touched("--to", NAME) == 0
    assert desk.touched() == 1


def test_apply_when_a_tenant_has_more_than_there_are_files_then_that_is_no_reason_to_do_anything(desk: Desk) -> None:
    path = desk.project.write("delta_20250316_visits", SECOND)
    desk.touched()
    path.unlink()
    assert desk.touched() == 0
    assert desk.touched() == 0


def test_apply_when_a_run_died_before_its_end_was_recorded_then_it_is_ended_all_the_same(desk: Desk) -> None:
    desk.project.write("delta_20250316_visits", SECOND)
    sql_child.die(desk.cli, desk.fleet.folder, "end", "apply")
    assert len(open_runs(desk)) == 1
    assert desk.fleet.having("id", "visits") == desk.fleet.names
    assert desk.touched() == 0
    assert open_runs(desk) == []
    assert desk.imported() == set()


def open_runs(desk: Desk) -> list[str]:
    with Journal(desk.fleet.folder / ".pdelta-runs" / "journal.sqlite", clock=time.time_ns) as journal:
        return journal.open_runs()
