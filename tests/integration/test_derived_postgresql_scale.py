"""What a derived reverse asks of the catalogue costs the same in a database of thousands of tenants."""

import json
import re
from collections.abc import Iterator, Sequence
from typing import Any, Final

import psycopg2
import pytest

from pdelta.sql.piece import Piece
from pdelta.sql.token import Dialect
from tests.fixtures.corpus import Case, base, cases, states
from tests.fixtures.derived import derived
from tests.fixtures.derived_postgresql import prepare
from tests.fixtures.postgresql import PostgreSQL

pytestmark = pytest.mark.integration

BASE: Final = base("postgresql")
STATES: Final = states("postgresql")
CASES: Final = [*{case.name: case for case in cases("postgresql") if case.outcome == "derived"}.values()]
TENANTS: Final = 1000
OTHERS: Final = f"""
    DO $$ BEGIN FOR number IN 1..{TENANTS} LOOP
        EXECUTE format('CREATE SCHEMA t%1$s', number);
        EXECUTE format('CREATE TABLE t%1$s.a (id int PRIMARY KEY, b int REFERENCES t%1$s.a)', number);
    END LOOP; END $$;
    ANALYZE"""
EXPLAINED: Final = (
    "LOAD 'auto_explain'; SET auto_explain.log_min_duration = 0; SET auto_explain.log_nested_statements = on;"
    " SET auto_explain.log_analyze = on; SET auto_explain.log_timing = off; SET auto_explain.log_format = json"
)
PLAN: Final = re.compile(r"plan:\n(\{.*\})", re.DOTALL)


class Place:
    """A database with many tenants, in which what is asked is explained."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self._cursor = connection.cursor()

    def run(self, *texts: str) -> None:
        for text in texts:
            if text.strip():
                self._cursor.execute(text)

    def begin(self, *texts: str) -> None:
        self.run(
            "ROLLBACK",
            EXPLAINED,
            "DROP SCHEMA IF EXISTS one CASCADE; CREATE SCHEMA one; SET search_path TO one",
            *texts,
        )

    def read_whole(self, text: str) -> list[str]:
        """Execute a question; give what it reads about all tenants."""
        del self._connection.notices[:]
        self.run("SET client_min_messages TO log", text, "SET client_min_messages TO warning")
        plans = [found[1] for notice in self._connection.notices if (found := PLAN.search(notice))]
        return sorted({name for plan in plans for name in read_by(json.loads(plan)["Plan"])})

    def ask(self, pieces: Sequence[Piece]) -> list[tuple[str, list[str]]]:
        """Execute pieces in a transaction; give the questions that read about all tenants, and what they read."""
        self.run("BEGIN")
        found: list[tuple[str, list[str]]] = []
        for piece in pieces:
            before, after = (*piece.before, f"SELECT {piece.undo or 'NULL'}"), (f"SELECT {piece.late_undo or 'NULL'}",)
            found += [(text, self.read_whole(text)) for text in before]
            self.run(piece.statement)
            found += [(text, self.read_whole(text)) for text in (*after, *piece.after)]
        return [one for one in found if one[1]]


@pytest.fixture(scope="module")
def place(postgresql: PostgreSQL) -> Iterator[Place]:
    with postgresql.fresh_database() as name:
        connection = psycopg2.connect(postgresql.url(name))
        connection.autocommit = True
        found = Place(connection)
        found.run("SET client_min_messages TO warning")
        for role in ("reader", "writer"):
            found.run(f"DO $$ BEGIN CREATE ROLE {role}; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
        prepare(connection)
        found.run(OTHERS)
        yield found
        connection.close()


def read_by(node: dict[str, Any]) -> Iterator[str]:
    """Give the tables of which a plan has read so many rows that they can't be one tenant's."""
    rows = node["Actual Rows"] + node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    if "Relation Name" in node and rows * node["Actual Loops"] >= TENANTS:
        yield node["Relation Name"]
    for part in node.get("Plans", ()):
        yield from read_by(part)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_question_when_there_are_many_tenants_then_it_reads_about_its_own_alone(case: Case, place: Place) -> None:
    place.begin(BASE, STATES[case.state], case.setup)
    assert place.ask(derived(case, Dialect.POSTGRESQL).pieces) == []


def test_read_whole_when_all_tenants_are_read_then_named(place: Place) -> None:
    place.begin()
    of_foreign_keys = "SELECT count(*) FROM pg_constraint WHERE confrelid = 'pg_class'::regclass"
    assert place.read_whole(of_foreign_keys) == ["pg_constraint"]
    assert place.read_whole("DO 'BEGIN PERFORM count(*) FROM pg_depend; END'") == ["pg_depend"]
    assert place.read_whole("SELECT count(*) FROM pg_class WHERE oid = 'pg_class'::regclass") == []
