"""Catalogues of MariaDB's databases, and the way from one to another; or of MySQL's, where that is the server."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from pdelta.databases.catalogue.mysql import catalogue, statement
from pdelta.sql.bridge import bridge
from pdelta.sql.bridge.mysql_types import keeps_values
from pdelta.sql.bridge.result import Bridge
from pdelta.sql.catalogue import Catalogue, fingerprint
from pdelta.sql.difference import difference
from pdelta.sql.split import split
from pdelta.sql.token import Dialect
from tests.fixtures.catalogue_rows import MARIADB as ROWS
from tests.fixtures.mariadb import MariaDB

GOLDEN = Path(__file__).parents[1] / "golden/catalogue"
SCHEMA = (GOLDEN / "mariadb.sql").read_text()
CHANGES = list(json.loads((GOLDEN / "mariadb.json").read_text()))
TABLES = ("users", "orders", "parts")
ODD_NAME = "we`ird 'name'.x"


class Place:
    """A database of its own, empty at first."""

    def __init__(self, cursor: Any, name: str) -> None:
        self._cursor = cursor
        self._name = "`" + name.replace("`", "``") + "`"
        self.empty()

    def empty(self, *scripts: str) -> Catalogue:
        self._cursor.execute(f"DROP DATABASE IF EXISTS {self._name}")
        self._cursor.execute(f"CREATE DATABASE {self._name}")
        self._cursor.execute(f"USE {self._name}")
        return self.run(*scripts)

    def run(self, *scripts: str) -> Catalogue:
        for script in scripts:
            for one in split(script, Dialect.MYSQL):
                self._cursor.execute(one.text)
        return self.read()

    def cross(self, way: Bridge) -> Catalogue:
        for step in way.steps:
            self._cursor.execute(step.sql)
        return self.read()

    def cross_back(self, way: Bridge) -> Catalogue:
        for step in reversed(way.steps):
            self._cursor.execute(step.back)
        return self.read()

    def read(self, *, parked: bool = False) -> Catalogue:
        return catalogue(self.ask, parked=parked)

    def ask(self, text: str) -> list[tuple[Any, ...]]:
        self._cursor.execute(text)
        return [*self._cursor.fetchall()]

    def rows(self) -> dict[str, list[str]]:
        """Give the values of every column of the tables that have rows."""
        held = {}
        for table in TABLES:
            for name, kind, *_more, extra in self.ask(f"SHOW COLUMNS FROM {table}"):
                if "GENERATED" in extra:
                    continue
                # Equal numbers may have more zeros.
                shown = f"CAST(`{name}` AS double)" if kind.startswith("decimal") else f"CAST(`{name}` AS char)"
                values = self.ask(f"SELECT {shown} FROM {table}")  # noqa: S608 - of our own
                held[f"{table}.{name}"] = sorted(map(str, values))
        return held


@pytest.fixture
def place(mariadb: MariaDB) -> Iterator[Callable[[str], Place]]:
    with closing(mariadb.connect()) as connection, connection.cursor() as cursor:
        made = []

        def make(name: str) -> Place:
            made.append(Place(cursor, name))
            return made[-1]

        yield make
        for one in made:
            cursor.execute(f"DROP DATABASE IF EXISTS {one._name}")


def words(wanted: Catalogue, found: Catalogue) -> list[str]:
    return [str(one) for one in difference(wanted, found)]


def test_statement_when_explained_then_no_more_than_the_tenants_database_is_looked_through(
    mariadb: MariaDB, place: Callable[[str], Place]
) -> None:
    if mariadb.is_mysql:
        pytest.skip("MySQL keeps its catalogue in tables, with indexes by the schema")
    one = place("one")
    one.empty(SCHEMA)
    told = [str(row[-1]) for row in one.ask(f"EXPLAIN {statement(is_mariadb=True)}")]
    assert [extra for extra in told if "Scanned" in extra]
    assert not [extra for extra in told if "Scanned all databases" in extra]


@pytest.mark.sampled(3)
@pytest.mark.parametrize("change", CHANGES, ids=[change["there"][:60] for change in CHANGES])
def test_catalogue_when_something_changes_then_it_says_so_and_there_are_ways_to_and_fro(
    mariadb: MariaDB, place: Callable[[str], Place], change: dict[str, Any]
) -> None:
    said = change.get("mysql", change["said"]) if mariadb.is_mysql else change["said"]
    if said is None:
        pytest.skip("MySQL has nothing like it")
    here = place("cat_changes")
    before = here.empty(SCHEMA)
    after = here.run(change["there"])
    assert words(before, after) == said
    assert fingerprint(before) != fingerprint(after)
    again = here.run(change["back"])
    assert words(before, again) == []
    assert fingerprint(before) == fingerprint(again)
    for first, found, wanted in ((ROWS, before, after), (f"{ROWS}; {change['there']}", after, before)):
        here.empty(SCHEMA, first)
        held = here.rows()
        way = bridge(found, wanted, Dialect.MYSQL)
        arrived = here.cross(way)
        assert (fingerprint(arrived) == fingerprint(wanted)) == way.is_complete
        left = {name: values for name, values in here.rows().items() if name in held}
        assert left == {name: values for name, values in held.items() if name in left}
        assert set(held) - set(left) == set()
        assert bridge(arrived, wanted, Dialect.MYSQL).steps == ()
        backs = [bool(step.back) for step in way.steps]
        assert all(backs) or not any(backs)
        if any(backs):
            assert words(found, here.cross_back(way)) == []
            assert {name: values for name, values in here.rows().items() if name in held} == held


def test_bridge_when_the_database_is_empty_then_it_makes_everything(place: Callable[[str], Place]) -> None:
    here = place("cat_empty")
    wanted = here.empty(SCHEMA)
    way = bridge(here.empty(), wanted, Dialect.MYSQL)
    assert way.refused == ()
    assert words(wanted, here.cross(way)) == []


def test_bridge_when_something_stored_could_not_be_made_again_then_it_is_not_dropped_either(
    mariadb: MariaDB, place: Callable[[str], Place]
) -> None:
    if mariadb.is_mysql:
        pytest.skip("MySQL keeps no event that names another database")
    here = place("cat_stored")
    plain = here.empty(SCHEMA)
    other = here.run(
        "DROP TRIGGER stamped; CREATE TRIGGER stamped BEFORE INSERT ON users FOR EACH ROW"
        " SET new.age = (SELECT count(*) FROM cat_stored.parts);"
        "DROP EVENT nightly; CREATE EVENT nightly ON SCHEDULE AT '2038-01-01 00:00:00' DO DELETE FROM orders"
    )
    for found, wanted in ((plain, other), (other, plain)):
        way = bridge(found, wanted, Dialect.MYSQL)
        assert way.steps == ()
        assert sorted(one.words.partition(" has ")[0] for one in way.refused) == [
            "event nightly",
            "trigger users.stamped",
        ]


def test_fingerprint_when_databases_were_made_by_one_script_then_their_names_do_not_count(
    mariadb: MariaDB, place: Callable[[str], Place]
) -> None:
    script = """
    CREATE TABLE t (a varchar(20) DEFAULT 'cat_1.t', CHECK (a <> 'cat_1.u'));
    CREATE VIEW v AS SELECT t.a, 'cat_1.t' AS b FROM {0}.t;
    CREATE PROCEDURE p() BEGIN SELECT 'cat_1.t' FROM {0}.t; END
    """
    found = []
    # In the body of a procedure MySQL gives a backtick of a name as another text than that which it was given.
    for name in ("cat_1", "cat_2", ODD_NAME.replace("`", "") if mariadb.is_mysql else ODD_NAME):
        here = place(name)
        found.append(here.empty(SCHEMA, script.format("`" + name.replace("`", "``") + "`")))
    assert len({fingerprint(one) for one in found}) == 1
    item = found[1].get("procedure", "p")
    assert item is not None
    assert item.fact("body") == "BEGIN SELECT 'cat_1.t' FROM {tenant}.t; END"
    other = place("cat_2").empty(SCHEMA, script.replace("'cat_1.t'", "'cat_2.t'").format("cat_2"))
    assert len(words(found[0], other)) == 3


def test_catalogue_when_pdelta_has_tables_of_its_own_or_parked_something_then_they_do_not_count(
    place: Callable[[str], Place],
) -> None:
    here = place("cat_parked")
    gone = "ALTER TABLE users DROP score; ALTER TABLE orders DROP FOREIGN KEY orders_user; DROP TABLE parts"
    wanted = here.empty(SCHEMA, gone)
    here.empty(SCHEMA, "ALTER TABLE orders DROP FOREIGN KEY orders_user")
    found = here.run(
        "CREATE TABLE pdelta_applied (id varchar(9) PRIMARY KEY); CREATE TABLE pdelta_head (a int);"
        "ALTER TABLE users RENAME COLUMN score TO _pdelta_park_1_score, ADD KEY by_score (_pdelta_park_1_score);"
        "RENAME TABLE parts TO _pdelta_park_2_parts"
    )
    assert words(wanted, found) == []
    assert "additional table _pdelta_park_2_parts" in words(wanted, here.read(parked=True))


def test_bridge_when_the_server_is_not_strict_then_null_does_not_become_a_value(place: Callable[[str], Place]) -> None:
    here = place("cat_lax")
    wanted = here.empty("CREATE TABLE t (a int NOT NULL)")
    found = here.empty("CREATE TABLE t (a int); INSERT INTO t VALUES (NULL); SET sql_mode = ''")
    with pytest.raises(Exception, match="_pdelta_not_null"):
        here.cross(bridge(found, wanted, Dialect.MYSQL))
    assert here.ask("SELECT a FROM t") == [(None,)]
    assert words(found, here.read()) == []


def test_statement_when_the_server_is_mysql_then_it_asks_for_no_column_of_mariadb() -> None:
    text = statement(is_mariadb=False)
    for column in ("level", "ignored", "algorithm"):
        assert f" {column}" not in text
    assert "expression" in text
    assert next(iter(split(text, Dialect.MYSQL))).text == text


@pytest.mark.parametrize(
    ("old", "new", "kept"),
    [
        ("int(11)", "bigint(20)", True), ("bigint(20)", "int(11)", False), ("int(11)", "int(10) unsigned", False),
        ("int", "bigint", True), ("varchar(8)", "varchar(9)", True), ("varchar(9)", "varchar(8)", False),
        ("varchar(60)", "tinytext", True), ("varchar(64)", "tinytext", False), ("varchar(200)", "text", True),
        ("text", "mediumtext", True), ("text", "tinytext", False), ("text", "varchar(10)", False),
        ("decimal(10,2)", "decimal(12,3)", True), ("decimal(10,2)", "decimal(10,3)", False),
        ("float", "double", True), ("double", "float", False), ("enum('a')", "enum('a','b')", True),
        ("enum('a','b')", "enum('b','a')", False), ("datetime", "date", False), ("blob", "longblob", True),
        ("json", "longtext", False), ("datetime(6)", "datetime(6)", True), ("char(3)", "varchar(3)", False),
    ],
)  # fmt: skip
def test_keeps_values_when_types_differ_then_it_says_whether_every_value_stays(old: str, new: str, kept: bool) -> None:
    assert keeps_values(old, new) is kept
