"""SQLite files that a query lists, asked of a control database of each engine."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.fixtures.cli import Cli
from tests.fixtures.sql_desk import NAME, Desk
from tests.fixtures.tenants import SqliteFleet

if TYPE_CHECKING:
    from tests.fixtures.mariadb import MariaDB
    from tests.fixtures.postgresql import PostgreSQL

CUSTOMERS = (
    "CREATE TABLE customers (path varchar(99), plan varchar(99), bytes integer, region varchar(9))",
    "INSERT INTO customers VALUES ('tenants/a.sqlite', 'beta,eu', 300, 'eu')",
    "INSERT INTO customers VALUES ('tenants/b.sqlite', NULL, 100, 'us'), ('tenants/c.sqlite', 'beta', 200, NULL)",
)
SELECT = "SELECT path, plan AS tags, bytes AS size, region FROM customers"


@pytest.fixture
def files(tmp_path: Path) -> SqliteFleet:
    """Four files, of which three are customers'."""
    return SqliteFleet(tmp_path, ["a", "b", "c", "not_listed"])


@pytest.fixture(params=["sqlite", "postgresql", "mysql"])
def url(request: pytest.FixtureRequest, files: SqliteFleet) -> Iterator[str]:
    if request.param == "sqlite":
        control(files.folder, *CUSTOMERS)
        yield "sqlite:///control.db"
    elif request.param == "postgresql":
        server: PostgreSQL = request.getfixturevalue("postgresql")
        database = request.getfixturevalue("pg_database")
        server.sql("; ".join(CUSTOMERS), database)
        yield server.url(database)
    else:
        mariadb: MariaDB = request.getfixturevalue("mariadb")
        mariadb.sql("CREATE DATABASE control_of_files")
        mariadb.sql(*CUSTOMERS, database="control_of_files")
        yield mariadb.url("control_of_files")
        mariadb.sql("DROP DATABASE control_of_files")


def control(folder: Path, *texts: str) -> None:
    with closing(sqlite3.connect(folder / "control.db")) as database, database:
        for text in texts:
            database.execute(text)


def desk_of(files: SqliteFleet, cli: Cli, url: str, query: str = SELECT, more: str = "") -> Desk:
    (files.folder / "url").write_text(url)
    files.section = (
        f'[databases.app]\nurl = "file:url"\ndeltas = "deltas"\n'
        f'tenants = {{ query = "{query}", of = "files"{more} }}\n'
        'values = { "tenants/c*" = { region = "asia" } }\n'
    )
    return Desk(files, cli)


def test_apply_when_a_query_lists_the_files_then_they_alone_are_tenants_with_its_sizes_tags_and_values(
    files: SqliteFleet, cli: Cli, url: str
) -> None:
    desk = desk_of(files, cli, url)
    desk.project.write(
        "delta_20250316_region", "UPDATE users SET name = ${region};\n-- Reversible delta\n-- SELECT 1;\n"
    )
    told = desk.done("apply", "--waves", "a=1,b=1,rest")
    assert [result["tenant"] for result in told["results"]] == [f"tenants/{name}.sqlite" for name in "bca"]
    assert desk.having() == [f"tenants/{name}.sqlite" for name in "abc"]
    regions = {name: files.sql(name, "SELECT DISTINCT name FROM users") for name in desk.having()}
    assert list(regions.values()) == [[("eu",)], [("us",)], [("asia",)]]
    assert desk.done("apply")["settled"] == 3
    back = desk.done("rollback", "--to", "0", "--only", "tag:beta")
    assert sorted(result["tenant"] for result in back["results"]) == ["tenants/a.sqlite", "tenants/c.sqlite"]


def test_status_when_a_listed_file_is_not_there_then_it_is_named(files: SqliteFleet, cli: Cli) -> None:
    control(files.folder, *CUSTOMERS, "INSERT INTO customers VALUES ('tenants/gone.sqlite', NULL, NULL, 'eu')")
    desk = desk_of(files, cli, "sqlite:///control.db")
    desk.project.write(NAME, "CREATE TABLE visits (id integer PRIMARY KEY);\n")
    assert "tenants/gone.sqlite" in desk("apply", status=3).err
    assert desk.done("provision", "tenants/gone.sqlite")["made"] == ["tenants/gone.sqlite"]
    assert "no tenant of app" in desk("provision", "tenants/other.sqlite", status=2).err


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("SELECT path FROM customers UNION ALL SELECT './tenants/a.sqlite'", "gives tenants/a.sqlite twice"),
        ("SELECT bytes FROM customers", "where a name must be"),
        ("SELECT missing FROM customers", "no such column: missing"),
        ("DELETE FROM customers RETURNING path", "control.db"),
    ],
)
def test_status_when_the_query_is_wrong_then_it_says_why_and_nothing_is_written(
    files: SqliteFleet, cli: Cli, query: str, told: str
) -> None:
    control(files.folder, *CUSTOMERS)
    result = desk_of(files, cli, "sqlite:///control.db", query)("status", status=None)
    assert result.status in {2, 3, 8, 65, 69}, result.status
    assert told in result.err
    with closing(sqlite3.connect(files.folder / "control.db")) as database:
        assert database.execute("SELECT count(*) FROM customers").fetchone() == (3,)


def test_status_when_files_are_excluded_then_the_query_does_not_bring_them_back(files: SqliteFleet, cli: Cli) -> None:
    control(files.folder, *CUSTOMERS)
    desk = desk_of(files, cli, "sqlite:///control.db", more=', exclude = "tenants/b*"')
    desk.done("apply")
    assert desk.having() == ["tenants/a.sqlite", "tenants/c.sqlite"]
    assert desk.had() == {NAME: 2}
