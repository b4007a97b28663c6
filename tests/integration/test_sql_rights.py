"""The rights that SECURITY.md names are enough: for who rolls out, and for who only looks."""

from pathlib import Path

from tests.fixtures.cli import Cli
from tests.fixtures.mariadb import MariaDB, quoted
from tests.fixtures.postgresql import PASSWORD, PostgreSQL
from tests.fixtures.sql_desk import NAME, Desk
from tests.fixtures.tenants import MysqlFleet, SchemaFleet

SECURITY = " ".join((Path(__file__).parents[2] / "SECURITY.md").read_text().split())
SCHEMA_RIGHTS = "USAGE, CREATE"
SCHEMA_READS = "USAGE"
DATABASE_RIGHTS = "SELECT, INSERT, UPDATE, DELETE, CREATE, ALTER, DROP, INDEX"
DERIVED = "CREATE TABLE visits (id integer PRIMARY KEY);\n"


def test_rights_when_the_page_names_them_then_they_are_those_of_these_tests() -> None:
    for rights in (SCHEMA_RIGHTS, SCHEMA_READS, DATABASE_RIGHTS):
        assert f"`{rights}`" in SECURITY


def goes_through(desk: Desk) -> None:
    desk.project.write("delta_20250316_visits", DERIVED)
    desk.done("apply")
    assert desk.done("apply")["results"] == []
    desk.done("rollback", "--to", NAME)
    desk.done("apply")
    assert desk.having() == desk.fleet.names


def only_looks(desk: Desk) -> None:
    assert desk.had() == {NAME: 2, "delta_20250316_visits": 2}
    desk.project.write("delta_20250317_more", "CREATE TABLE more (id integer PRIMARY KEY);\n")
    assert desk.done("apply", "--dry-run")["dry_run"]
    assert "delta_20250317_more" in desk("plan", status=4).out
    assert desk("apply", status=None).status in {6, 8}
    assert desk.fleet.having("id", "more") == []


def test_schemas_when_the_rights_are_those_then_deltas_go_through(
    tmp_path: Path, postgresql: PostgreSQL, pg_database: str, cli: Cli
) -> None:
    fleet = SchemaFleet(tmp_path, ["one", "two"], postgresql, pg_database)
    desk = Desk(fleet, cli)
    for user in ("rights_deployer", "rights_reader"):
        postgresql.sql(f"CREATE ROLE {user} LOGIN PASSWORD '{PASSWORD}'", pg_database)
    try:
        for name in fleet.names:
            fleet.sql(name, f"GRANT {SCHEMA_RIGHTS} ON SCHEMA {name} TO rights_deployer")
            fleet.sql(name, "ALTER TABLE users OWNER TO rights_deployer")
        (tmp_path / "url").write_text(postgresql.url(pg_database, user="rights_deployer"))
        goes_through(desk)
        for name in fleet.names:
            fleet.sql(name, f"GRANT {SCHEMA_READS} ON SCHEMA {name} TO rights_reader")
            fleet.sql(name, "GRANT SELECT ON pdelta_applied TO rights_reader")
        (tmp_path / "url").write_text(postgresql.url(pg_database, user="rights_reader"))
        only_looks(desk)
    finally:
        postgresql.sql(
            "DROP OWNED BY rights_deployer, rights_reader CASCADE; DROP ROLE rights_deployer, rights_reader",
            pg_database,
        )


def test_databases_when_the_rights_are_those_then_deltas_go_through(tmp_path: Path, mariadb: MariaDB, cli: Cli) -> None:
    fleet = MysqlFleet(tmp_path, ["one", "two"], mariadb)
    desk = Desk(fleet, cli)
    try:
        for user, rights in (("rights_deployer", DATABASE_RIGHTS), ("rights_reader", "SELECT")):
            mariadb.sql(f"CREATE USER {user} IDENTIFIED BY 'a word'")
            for name in (*fleet.names, fleet.shared):
                mariadb.sql(f"GRANT {rights} ON {quoted(name)}.* TO {user}")
        (tmp_path / "url").write_text(mariadb.url(fleet.shared, user="rights_deployer", password="a word"))
        goes_through(desk)
        (tmp_path / "url").write_text(mariadb.url(fleet.shared, user="rights_reader", password="a word"))
        only_looks(desk)
    finally:
        mariadb.sql("DROP USER IF EXISTS rights_deployer", "DROP USER IF EXISTS rights_reader")
        fleet.drop()
