"""Partitions whose DETACH … CONCURRENTLY was cut off between its two transactions, through the command line."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.fixtures.cli import Cli
from tests.fixtures.postgresql import PostgreSQL
from tests.fixtures.tenants import Project, SchemaFleet

pytestmark = pytest.mark.integration
PARTITION: Final = "CREATE TABLE p{0} PARTITION OF p FOR VALUES IN ({0})"
DELTA: Final = """ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY;
ALTER TABLE p1 ADD COLUMN more integer;
-- Reversible delta
-- ALTER TABLE p1 DROP COLUMN more;
-- ALTER TABLE p ATTACH PARTITION p1 FOR VALUES IN (1);
"""
PENDING: Final = (
    "SELECT inhrelid::regclass, inhdetachpending FROM pg_inherits WHERE inhparent = 'p'::regclass ORDER BY 1"
)
BRIEFLY: Final = ("--lock-timeout", "50ms")


class Desk:
    """A tenant with a table in three partitions, and a delta that detaches one of them."""

    def __init__(self, folder: Path, server: PostgreSQL, database: str, cli: Cli) -> None:
        self.fleet = SchemaFleet(folder, ["one"], server, database)
        self.sql("CREATE TABLE p (id integer) PARTITION BY LIST (id)", *(PARTITION.format(one) for one in (1, 2, 3)))
        Project(folder, self.fleet.section).write("delta_20250401_detached", DELTA)
        self._server, self._database, self._cli = server, database, cli

    def sql(self, *texts: str) -> list[tuple[str, ...]]:
        return self.fleet.sql("one", "; ".join(texts))

    def __call__(self, *words: str, status: int = 0) -> str:
        result = self._cli("sql", *words, cwd=self.fleet.folder, status=status)
        return result.out + result.err

    @contextlib.contextmanager
    def read(self) -> Iterator[None]:
        """Have the table in use, for which the second transaction waits."""
        command = [str(self._server.programs / "psql"), "-XAtq", self._server.url(self._database)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as psql:
            assert psql.stdin is not None
            assert psql.stdout is not None
            psql.stdin.write("BEGIN; LOCK TABLE one.p IN ACCESS SHARE MODE;\n\\echo held\n")
            psql.stdin.flush()
            assert psql.stdout.readline() == "held\n"
            yield
            psql.stdin.close()


@pytest.fixture
def desk(tmp_path: Path, postgresql: PostgreSQL, pg_database: str, cli: Cli) -> Desk:
    return Desk(tmp_path, postgresql, pg_database, cli)


@pytest.mark.parametrize("verb", ["apply", "rollback"])
def test_detach_when_it_was_cut_off_then_the_next_command_ends_it_and_goes_on(desk: Desk, verb: str) -> None:
    with desk.read():
        desk("apply", *BRIEFLY, status=6)
        assert desk.sql(PENDING) == [("p1", "t"), ("p2", "f"), ("p3", "f")]
    desk(verb)
    if verb == "apply":
        assert desk.sql(PENDING) == [("p2", "f"), ("p3", "f")]
        assert desk.fleet.columns("one", "p1") == ["id", "more"]
        desk("rollback")
    assert desk.sql(PENDING) == [("p1", "f"), ("p2", "f"), ("p3", "f")]
    assert desk.fleet.columns("one", "p1") == ["id"]


def test_detach_when_somebody_elses_was_cut_off_before_then_that_stays_as_it_is(desk: Desk) -> None:
    with desk.read(), pytest.raises(RuntimeError, match="lock timeout"):
        desk.sql("SET lock_timeout = 50", "ALTER TABLE p DETACH PARTITION p3 CONCURRENTLY")
    # The server detaches one at a time.
    assert "already pending detach" in desk("apply", status=8)
    assert desk.sql(PENDING) == [("p1", "f"), ("p2", "f"), ("p3", "t")]
