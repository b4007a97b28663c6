"""What ``pdelta sql diff --delta`` writes: linted, applied, compared and taken back as it stands, on every engine.

The changes are those of the catalogues' golden files and of ``tests/golden/bridge``: ``both`` is executed in both of
two tenants, ``there`` in one of them.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, Final, Protocol

import pytest

from pdelta.sql.split import split
from pdelta.sql.token import Dialect
from tests.fixtures import catalogue_rows
from tests.fixtures.catalogue_postgresql import ROLES, make, within
from tests.fixtures.cli import Cli, Result
from tests.fixtures.mariadb import MariaDB
from tests.fixtures.postgresql import PostgreSQL

GOLDEN: Final = Path(__file__).parents[1] / "golden"
NAME: Final = "delta_20260101_bridge"
NAMES: Final = ("t_wanted.sqlite", "t_found.sqlite")
Rows = Mapping[str, Sequence[str]]
UNREAL: Final = ("UNIQUE (name), CONSTRAINT", "'VIRTUAL', 'STORED'")
"""In changes of a file's words alone, which leave indexes and values in it that nothing says anything about."""
ORPHANS: Final = "RENAME TO people"
"""In a change after which rows of the other table would be without their parent: that is told, and refused."""


def changes(engine: str) -> list[Any]:
    listed = [
        pytest.param(one.get("both", ""), one["there"], forth, id=f"{one['there'][:60]}-{'there' if forth else 'back'}")
        for folder in ("catalogue", "bridge")
        for one in json.loads((GOLDEN / folder / f"{engine}.json").read_text())
        for forth in (True, False)
    ]
    return [one for one in listed if not any(words in str(one.values[1]) for words in UNREAL)]


class Pair(Protocol):
    """Two tenants of one engine.

    Attributes:
        filling: Rows for what both have.
        section: What the project file says of them.
        wanted: The name of the one that is as it should be.
        found: That of the other.
    """

    filling: str
    section: str
    wanted: str
    found: str

    def run(self, tenant: str, script: str) -> None:
        """Execute statements in one of them."""
        ...

    def rows(self) -> Rows:
        """Give all rows of the one that is found, by table; pdelta's own tables are left out."""
        ...


class Schemas:
    """Of PostgreSQL."""

    filling = catalogue_rows.POSTGRESQL
    wanted, found = "t_wanted", "t_found"

    def __init__(self, server: PostgreSQL, database: str, folder: Path) -> None:
        self._server, self._database = server, database
        (folder / "url").write_text(server.url(database))
        self.section = 'url = "file:url"\ntenants = { schemas = "t_*" }\n'
        gone = "".join(f"DROP SCHEMA IF EXISTS {name} CASCADE;" for name in (self.wanted, self.found))
        server.sql(f"{gone} DROP EXTENSION IF EXISTS pg_trgm CASCADE; {make(self.wanted)} {make(self.found)}", database)

    def run(self, tenant: str, script: str) -> None:
        self._server.sql(within(tenant, script.replace("{schema}", tenant)), self._database)

    def rows(self) -> Rows:
        listed = (
            "SELECT c.oid::regclass, c.relname FROM pg_class c WHERE c.relkind IN ('r', 'p') AND c.relnamespace = "
            "'{}'::regnamespace AND c.relname !~ '^_?pdelta_'"
        )
        asked = "SELECT t::text FROM ONLY {} t ORDER BY 1"
        tables = self._server.sql(listed.format(self.found), self._database)
        held = {name: self._server.sql(asked.format(table), self._database) for table, name in tables}
        return {name: [row[0] for row in rows] for name, rows in held.items()}


class Databases:
    """Of MariaDB."""

    filling = catalogue_rows.MARIADB

    def __init__(self, server: MariaDB, folder: Path) -> None:
        self._server = server
        self.wanted, self.found = "bridged_wanted", "bridged_found"
        for name in (self.wanted, self.found):
            server.sql(f"DROP DATABASE IF EXISTS {name}", f"CREATE DATABASE {name}")
            self.run(name, (GOLDEN / "catalogue/mariadb.sql").read_text())
        (folder / "url").write_text(server.url("mysql"))
        self.section = 'url = "file:url"\ntenants = { databases = "bridged_*" }\n'

    def run(self, tenant: str, script: str) -> None:
        if texts := [one.text for one in split(script, Dialect.MYSQL)]:
            self._server.sql(*texts, database=tenant)

    def rows(self) -> Rows:
        listed = (
            "SELECT table_name FROM information_schema.tables WHERE table_type = 'BASE TABLE' AND table_schema = '{}'"
            " AND table_name NOT LIKE 'pdelta%'"
        )
        asked = "SELECT * FROM `{}`.`{}`"
        tables = [row[0].replace("`", "``") for row in self._server.sql(listed.format(self.found))]
        return {name: sorted(map(repr, self._server.sql(asked.format(self.found, name)))) for name in tables}


class Files:
    """Of SQLite."""

    filling = catalogue_rows.SQLITE
    wanted, found = "t_wanted.sqlite", "t_found.sqlite"
    section = 'tenants = { files = "t_*.sqlite" }\n'

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        for name in (self.wanted, self.found):
            self.run(name, (GOLDEN / "catalogue/sqlite.sql").read_text())

    def run(self, tenant: str, script: str) -> None:
        with closing(sqlite3.connect(self._folder / tenant)) as connection:
            connection.executescript(script)

    def rows(self) -> Rows:
        with closing(sqlite3.connect(self._folder / self.found)) as connection:
            names = [row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            asked = 'SELECT * FROM "{}"'
            return {
                name: sorted(map(repr, connection.execute(asked.format(name.replace('"', '""')))))
                for name in names
                if not name.startswith("pdelta_") and name != "sqlite_sequence"
            }


@pytest.fixture(scope="module")
def database(postgresql: PostgreSQL) -> Iterator[str]:
    with postgresql.fresh_database() as name:
        postgresql.sql("".join(f"DROP ROLE IF EXISTS {role}; CREATE ROLE {role};" for role in ROLES), name)
        yield name
        postgresql.sql("".join(f"DROP OWNED BY {role};" for role in ROLES), name)


class Walk:
    """Takes one of two tenants to the other and back, by what the program writes of its own accord.

    Args:
        cli: The program.
        folder: Of the project.
    """

    def __init__(self, cli: Cli, folder: Path) -> None:
        self._cli, self._folder = cli, folder

    def sql(self, *words: str, status: int | None = 0) -> Result:
        return self._cli("sql", *words, status=status, cwd=self._folder)

    def stands(self, pair: Pair) -> tuple[str, Rows]:
        """Give all that there is of the one that is found."""
        (group,) = self.sql("drift", "--only", pair.found, "--json").json()["groups"]
        return group["fingerprint"], pair.rows()

    def prepare(self, pair: Pair, both: str, there: str, *, forth: bool) -> Any:
        """Make both, and write the delta; give what is said of it."""
        (self._folder / "pdelta.toml").write_text(f'[databases.app]\ndeltas = "deltas"\n{pair.section}')
        (self._folder / "deltas").mkdir()
        for tenant in (pair.wanted, pair.found):
            pair.run(tenant, both)
        pair.run(pair.found, "" if ORPHANS in there else pair.filling)
        pair.run(pair.wanted if forth else pair.found, there)
        said = self.sql("diff", "--delta", pair.wanted, pair.found, "--json", status=4).json()
        if said["delta"]:
            (self._folder / f"deltas/{NAME}.sql").write_text(said["delta"])
        return said

    def there_and_back(self, pair: Pair, both: str, there: str, *, forth: bool) -> None:
        said = self.prepare(pair, both, there, forth=forth)
        if not said["delta"]:
            assert said["left"]
            return
        self.sql("lint")
        before = self.stands(pair)
        assert "note" not in self.sql("apply", "--only", pair.found).err
        differences = self.sql("diff", pair.wanted, pair.found, "--json", status=None).json()["differences"]
        assert bool(differences) == bool(said["left"])
        self.sql("rollback", "--only", pair.found)
        assert self.stands(pair) == before


@pytest.fixture
def databases(mariadb: MariaDB, tmp_path: Path) -> Databases:
    if mariadb.is_mysql:
        pytest.skip("what MySQL's own server refuses is another question")
    return Databases(mariadb, tmp_path)


@pytest.fixture
def walk(cli: Cli, tmp_path: Path) -> Walk:
    return Walk(cli, tmp_path)


@pytest.mark.sampled(6)
@pytest.mark.parametrize(("both", "there", "forth"), changes("postgresql"))
def test_delta_when_schemas_differ_then_it_leads_there_and_back(
    walk: Walk, postgresql: PostgreSQL, database: str, tmp_path: Path, both: str, there: str, forth: bool
) -> None:
    walk.there_and_back(Schemas(postgresql, database, tmp_path), both, there, forth=forth)


@pytest.mark.sampled(6)
@pytest.mark.parametrize(("both", "there", "forth"), changes("mariadb"))
def test_delta_when_databases_differ_then_it_leads_there_and_back(
    walk: Walk, databases: Databases, both: str, there: str, forth: bool
) -> None:
    walk.there_and_back(databases, both, there, forth=forth)


@pytest.mark.sampled(3)
@pytest.mark.parametrize(("both", "there", "forth"), changes("sqlite"))
def test_delta_when_files_differ_then_it_leads_there_and_back(
    walk: Walk, tmp_path: Path, both: str, there: str, forth: bool
) -> None:
    walk.there_and_back(Files(tmp_path), both, there, forth=forth)


def test_delta_when_a_step_fails_then_those_before_it_are_taken_back(walk: Walk, databases: Databases) -> None:
    there = (
        "ALTER TABLE users DROP KEY users_email, ADD UNIQUE KEY by_feeling (feeling);"
        "DROP TRIGGER stamped; ALTER TABLE orders MODIFY note mediumtext FIRST"
    )
    said = walk.prepare(databases, "", there, forth=True)
    assert said["left"] == []
    before = walk.stands(databases)
    assert " as it was" in walk.sql("apply", "--only", databases.found, status=8).out
    assert walk.stands(databases) == before


def test_delta_when_it_is_written_to_a_file_then_that_has_every_character(walk: Walk, tmp_path: Path) -> None:
    pair = Files(tmp_path)
    there = "CREATE VIEW odd AS SELECT 'a\tb\u2028\x1bc' AS x,\n\tid FROM users"
    assert walk.prepare(pair, "", there, forth=True)["delta"] == walk.sql("diff", "--delta", *NAMES, status=4).out
    walk.sql("apply", "--only", pair.found)
    assert walk.sql("diff", *NAMES).out == "t_found.sqlite is made like t_wanted.sqlite\n"


def test_delta_when_there_is_nothing_to_apply_then_that_is_said_beside_it(walk: Walk, tmp_path: Path) -> None:
    said = walk.prepare(Files(tmp_path), "", "CREATE TABLE more (a)", forth=False)
    assert (said["delta"], said["left"]) == (
        "",
        [
            {
                "difference": "additional table more",
                "reason": "its rows would be lost",
                "statements": ["DROP TABLE more"],
            }
        ],
    )
    told = walk.sql("diff", "--delta", *NAMES, status=4)
    assert "-- left as it is: additional table more: its rows would be lost\n--   DROP TABLE more;\n" in told.out
    assert "there is nothing to apply in it" in told.err
