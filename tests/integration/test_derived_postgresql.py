"""Every case of the corpus, really executed and taken back: nothing of the tenant may differ afterwards."""

from collections.abc import Iterator
from contextlib import closing
from itertools import count
from typing import Any

import psycopg2
import pytest

from pdelta.databases.base import Database, Session
from pdelta.databases.postgresql.address import Address
from pdelta.databases.postgresql.database import PostgresqlDatabase
from pdelta.databases.postgresql.settings import Kind, Settings
from pdelta.sql.token import Dialect
from tests.fixtures.corpus import Case, base, cases, states
from tests.fixtures.derived import check, check_refused, derived
from tests.fixtures.derived_postgresql import PostgresqlBench, prepare
from tests.fixtures.postgresql import PostgreSQL

pytestmark = pytest.mark.integration
CASES = cases("postgresql")
STATES = states("postgresql")
BASE = base("postgresql")
ROLES = ("reader", "writer")
_FRESH = count(1)


@pytest.fixture(scope="module")
def served(postgresql: PostgreSQL) -> Iterator[tuple[Any, Database, Session]]:
    """Give a plain connection to a database of its own, and the adapter for its schemas."""
    with postgresql.fresh_database() as name:
        connection = psycopg2.connect(postgresql.url(name))
        with connection.cursor() as cursor:
            cursor.execute("SET client_min_messages TO warning")
            for role in ROLES:
                cursor.execute(f"DO $$ BEGIN CREATE ROLE {role}; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
        prepare(connection)
        address = Address(postgresql.url(name))
        database = PostgresqlDatabase(Settings("corpus", (address,), kind=Kind.SCHEMAS, patterns=("case_*",)))
        with database, closing(database.session(address.server)) as session:
            yield connection, database, session
        connection.close()


@pytest.mark.sampled(3)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_delta_when_executed_and_reversed_then_the_tenant_is_what_it_was(
    case: Case, served: tuple[Any, Database, Session]
) -> None:
    result = derived(case, Dialect.POSTGRESQL)
    if case.outcome == "refused":
        check_refused(case, result)
        return
    check(case, result, PostgresqlBench(*served, f"case_{next(_FRESH)}", BASE, STATES[case.state], case.setup))


def test_corpus_when_counted_then_it_is_as_large_as_promised() -> None:
    assert len({case.name for case in CASES}) >= 200
    assert len({case.form for case in CASES}) >= 40
    assert {case.state for case in CASES} >= {"empty", "rows", "nulls", "duplicates", "foreign_keys", "triggers"}
