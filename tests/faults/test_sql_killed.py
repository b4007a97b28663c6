"""A real SIGKILL of the client at every step of a roll-out and at random: the same command again does what is left."""

import os
import random
import signal
import time
from typing import TYPE_CHECKING, Final

import pytest

from tests.fixtures import sql_child
from tests.fixtures.cli import Cli
from tests.fixtures.depth import by_depth
from tests.fixtures.tenants import ORIGIN, Fleet, Project

if TYPE_CHECKING:
    import subprocess

    from tests.fixtures.mariadb import MariaDB
    from tests.fixtures.postgresql import PostgreSQL

NAME: Final = "delta_20250315_add_last_login"
SERVERS: Final = {"postgresql": "postgresql", "mysql": "mariadb"}
"""Which fixture is the server of an engine."""
_FEWEST: Final = 12
SECOND: Final = """CREATE TABLE visits (id integer PRIMARY KEY, at integer);
INSERT INTO visits VALUES (1, 1);
-- Reversible delta
-- DROP TABLE visits;
"""


class Scene:
    """A fleet with two deltas to apply, and processes that die of it."""

    def __init__(self, fleet: Fleet, cli: Cli) -> None:
        self.fleet = fleet
        self.cli = cli
        project = Project(fleet.folder, fleet.section)
        project.write(NAME, ORIGIN)
        project.write("delta_20250316_visits", SECOND)

    def start(self, failpoint: str, *words: str) -> "subprocess.Popen[bytes]":
        return sql_child.begin(self.cli, self.fleet.folder, failpoint, *words)

    def die(self, failpoint: str, *words: str) -> int:
        return sql_child.die(self.cli, self.fleet.folder, failpoint, *words)[0]

    def check(self, *, applied: bool, told: str) -> None:
        """Every tenant is whole, in one of the two states; the ledger says which, and each delta came once."""
        everybody = self.fleet.names if applied else []
        assert self.fleet.having("last_login") == everybody, told
        assert self.fleet.having("at", "visits") == everybody, told
        asked = "SELECT count(*) FROM visits; SELECT id, state FROM pdelta_applied ORDER BY id"
        rows = [("1",), (NAME, "applied"), ("delta_20250316_visits", "applied")]
        assert self.fleet.each(everybody, asked) == dict.fromkeys(everybody, rows), told

    def die_reversing(self, *words: str) -> None:
        """Be killed when what was done in most tenants begins to be taken back."""
        child = self.start("", *words)
        most = 0
        while child.poll() is None:
            have = len(self.fleet.having("last_login"))
            if have < most:
                child.send_signal(signal.SIGKILL)
            most = max(most, have)
        child.communicate(timeout=120)

    def whole(self, told: str) -> None:
        """Every tenant is before or after both deltas, as its ledger says.

        Where each statement commits by itself, each delta counts for itself, and its row may say that it is in between.
        """
        if self.fleet.engine == "mysql":
            self._each_whole(told)
            return
        self.fleet.settle()
        have = self.fleet.having("last_login")
        assert self.fleet.having("at", "visits") == have, told
        managed = self.fleet.having("digest", "pdelta_applied")
        for name, count in self.fleet.each(managed, "SELECT count(*) FROM pdelta_applied").items():
            assert count == [("2" if name in have else "0",)], f"{told}: {name}"

    def _each_whole(self, told: str) -> None:
        for delta, column, table in ((NAME, "last_login", "users"), ("delta_20250316_visits", "at", "visits")):
            # The ledger first: what it says is done stays so, and what was begun before it was read may end meanwhile.
            asked = f"SELECT state FROM pdelta_applied WHERE id = '{delta}'"  # noqa: S608 - a name of ours
            managed = self.fleet.having("digest", "pdelta_applied")
            told_by = self.fleet.each(managed, asked)
            states = {name: told_by.get(name, []) for name in self.fleet.names}
            have = self.fleet.having(column, table)
            for name, state in states.items():
                if state in ([], [("applied",)]):
                    assert (name in have) is bool(state), f"{told}: {name}: {delta}"

    def apply(self) -> None:
        self.cli("sql", "apply", cwd=self.fleet.folder)

    def rollback(self) -> None:
        self.cli("sql", "rollback", "--to", "0", cwd=self.fleet.folder)


@pytest.fixture
def scene(fleet: Fleet, cli: Cli) -> Scene:
    return Scene(fleet, cli)


def test_apply_when_killed_at_any_step_then_the_same_command_does_the_rest(scene: Scene) -> None:
    passes = 2 * len(scene.fleet.names) + 8
    chance = random.Random(7)
    for count in sorted(chance.sample(range(1, passes), by_depth(brief=2, full=5, soak=passes - 1))):
        died = scene.die(f":{count}", "apply")
        assert died in {-signal.SIGKILL, 0}, count
        scene.whole(f"killed at {count}")
        again = chance.randint(1, passes)
        scene.die(f":{again}", "apply")
        scene.whole(f"killed at {count}, then at {again}")
        scene.apply()
        scene.check(applied=True, told=f"killed at {count}, then at {again}")
        scene.die(f":{chance.randint(1, passes)}", "rollback", "--to", "0")
        scene.whole("rollback killed")
        if scene.fleet.having("last_login"):
            scene.rollback()
        scene.check(applied=False, told="rolled back")


def test_apply_when_the_server_is_killed_at_any_step_then_the_same_command_does_the_rest(
    scene: Scene, request: pytest.FixtureRequest
) -> None:
    if scene.fleet.engine == "sqlite":
        pytest.skip("there is no server")
    server: PostgreSQL | MariaDB = request.getfixturevalue(SERVERS[scene.fleet.engine])
    passes = 2 * len(scene.fleet.names) + 8
    for count in by_depth(brief=(5,), full=(5, 18), soak=tuple(range(1, passes))):
        child = scene.start(f"wait:{count}", "apply", "--lock-timeout", "100ms")
        assert child.stdin is not None
        assert child.stdout is not None
        if child.stdout.readline() != b"waits\n":
            # Fewer steps than tenants, where many are done at one go: that was all of them.
            child.communicate(timeout=120)
            assert child.returncode == 0
            assert count > _FEWEST
            scene.check(applied=True, told="not killed")
            break
        server.kill()
        told = child.communicate(b"\n", timeout=120)
        assert child.returncode in {0, 6, 8}, (count, told)
        server.start()
        scene.whole(f"server killed at {count}")
        scene.apply()
        scene.check(applied=True, told=f"server killed at {count}")
        scene.rollback()
        scene.check(applied=False, told="rolled back")


def test_apply_when_killed_while_it_reverses_then_the_next_command_ends_that_first(scene: Scene) -> None:
    bad = scene.fleet.names[-1]
    scene.fleet.sql(bad, "CREATE TABLE visits (id integer)")
    names = len(scene.fleet.names)
    words = ("apply", "--on-failure", "reverse", "--waves", "all")
    for count in (2 * names + 6, 2 * names + 9):
        if scene.fleet.engine == "mysql":
            scene.die_reversing(*words)
        else:
            scene.die(f":{count}", *words)
        scene.cli("sql", *words, cwd=scene.fleet.folder, status=5)
        assert scene.fleet.having("last_login") == []


def test_apply_when_killed_at_random_moments_then_the_same_command_does_the_rest(scene: Scene) -> None:
    begun = time.monotonic()
    scene.apply()
    whole_s = time.monotonic() - begun
    scene.rollback()
    for seed in range(by_depth(brief=2, full=4, soak=300)):
        chance = random.Random(seed)
        child = scene.start("", "apply", "--batch", chance.choice(["1", "5"]))
        time.sleep(chance.uniform(whole_s * 0.3, whole_s * 1.1))
        os.kill(child.pid, signal.SIGKILL)
        child.communicate(timeout=120)
        if seed % 2:
            # Else the next run meets what the server still does for the dead one.
            scene.whole(f"seed {seed}")
        scene.apply()
        scene.check(applied=True, told=f"seed {seed}")
        scene.rollback()
        scene.check(applied=False, told=f"seed {seed}")
