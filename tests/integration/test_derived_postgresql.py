"""Every case of the corpus, really executed and taken back: nothing of the tenant may differ afterwards."""

import re
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from pdelta.errors import GuardError
from pdelta.sql.derive import Derived, derive
from pdelta.sql.split import split
from pdelta.sql.token import Dialect
from tests.fixtures.corpus import Case, base, cases, states
from tests.fixtures.derived_postgresql import ID, Tenant
from tests.fixtures.postgresql import PostgreSQL
from tests.fixtures.postgresql_state import State, positions, tenant_state

psycopg2: Any = pytest.importorskip("psycopg2")
pytestmark = pytest.mark.integration
CASES = cases("postgresql")
STATES = states("postgresql")
BASE = base("postgresql")
_FRESH = count(1)
_OURS = re.compile(r"_pdelta_park_|pdelta_kept_")


@pytest.fixture(scope="module")
def connection(postgresql: PostgreSQL) -> Iterator[Any]:
    with postgresql.fresh_database() as name:
        connection = psycopg2.connect(postgresql.url(name))
        with connection.cursor() as cursor:
            cursor.execute("SET client_min_messages TO warning")
            cursor.execute("DO $$ BEGIN CREATE ROLE reader; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
            cursor.execute("DO $$ BEGIN CREATE ROLE writer; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
        connection.commit()
        yield connection
        connection.close()


def derived(case: Case) -> Derived:
    rows = next((int(option.removeprefix("rows=")) for option in case.options if option.startswith("rows=")), 100_000)
    return derive(
        split(case.forward, Dialect.POSTGRESQL),
        Dialect.POSTGRESQL,
        delta=ID,
        park="no-park" not in case.options,
        once="once" in case.options,
        rows_at_most=rows,
    )


def differences(one: State, other: State) -> list[str]:
    keys = sorted(one.keys() | other.keys())
    return [f"{key}: {one.get(key)} -> {other.get(key)}" for key in keys if one.get(key) != other.get(key)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_delta_when_executed_and_reversed_then_the_tenant_is_what_it_was(case: Case, connection: Any) -> None:
    result = derived(case)
    if case.outcome == "refused":
        assert result.refusals
        assert re.search(case.reason, result.refusals[0].reason), result.refusals
        return
    assert not result.refusals
    connection.rollback()
    tenant = Tenant(connection, f"case_{next(_FRESH)}")
    tenant.make(BASE, STATES[case.state], case.setup)
    before = tenant_state(tenant.query)
    stood = positions(tenant.query)
    plain = plainly(tenant, case.forward)
    stand(tenant, stood)
    only_since = plainly(tenant, case.since)
    stand(tenant, stood)
    if case.outcome == "guarded":
        with pytest.raises((GuardError, psycopg2.Error), match=case.reason):
            tenant.apply(result.pieces)
        assert differences(before, tenant_state(tenant.query)) == []
        return
    reverse = tenant.apply(result.pieces)
    after = tenant_state(tenant.query)
    assert bool(differences(before, after)) == case.changes, differences(before, after)
    if isinstance(plain, dict) and "clock" not in case.options:
        assert differences(plain, without_ours(after, plain)) == []
    if case.since:
        check_since(tenant, case, only_since, stood)
        return
    tenant.reverse()
    left = differences(before, tenant_state(tenant.query))
    assert left == [], f"{left} after {reverse}"
    if not result.rows:
        assert differences(stood, positions(tenant.query)) == []
    if not case.is_first:
        return
    stand(tenant, stood)
    tenant.apply(result.pieces)
    assert "clock" in case.options or differences(after, tenant_state(tenant.query)) == []
    tenant.reverse()
    assert differences(before, tenant_state(tenant.query)) == []


def check_since(tenant: Tenant, case: Case, expected: State | str, stood: State) -> None:
    """Let others work on the tenant, then reverse: what they did stays, or the reverse refuses and changes nothing."""
    stand(tenant, stood)
    tenant.query(case.since)
    tenant.connection.commit()
    after = tenant_state(tenant.query)
    if case.outcome in {"lost", "held"}:
        with pytest.raises((GuardError, psycopg2.Error), match=case.reason):
            tenant.reverse()
        assert differences(after, tenant_state(tenant.query)) == []
        if case.outcome == "lost":
            tenant.reverse(accept_loss=True)
        return
    tenant.reverse()
    assert isinstance(expected, dict)
    assert differences(expected, tenant_state(tenant.query)) == []


def plainly(tenant: Tenant, text: str) -> State | str:
    """Give what the tenant is after this SQL as it is written, or why the server does not take it."""
    if not text.strip():
        return ""
    try:
        tenant.query(text)
        return tenant_state(tenant.query)
    except psycopg2.Error as error:
        return str(error)
    finally:
        tenant.connection.rollback()


def stand(tenant: Tenant, where: State) -> None:
    """Set sequences back to where they stood."""
    for key, value in where.items():
        name = key.removeprefix("position ")
        tenant.query(f"SELECT setval('\"{name}\"', {'1, false' if value == 'None' else value})")
    tenant.connection.commit()


def without_ours(state: State, plain: State) -> State:
    """Give a state as if what is parked were gone; tables with parked columns have the rows of the plain state."""
    left = {key: value for key, value in state.items() if not _OURS.search(key) and not _OURS.search(value)}
    columns = sorted(key for key in left if key.startswith("column "))
    parked = {key.removeprefix("column ")[:-5] for key in state if key.startswith("column ") and key not in left}
    values = {key: left.pop(key) for key in columns}
    for key, value in values.items():
        place = 1 + sum(other[:-5] == key[:-5] for other in columns[: columns.index(key)])
        left[f"{key[:-5]}.{place:04}"] = value
    return {**left, **{f"rows {table}": plain[f"rows {table}"] for table in parked if f"rows {table}" in plain}}


def test_corpus_when_counted_then_it_is_as_large_as_promised() -> None:
    assert len({case.name for case in CASES}) >= 200
    assert len({case.form for case in CASES}) >= 40
    assert {case.state for case in CASES} >= {"empty", "rows", "nulls", "duplicates", "foreign_keys", "triggers"}
