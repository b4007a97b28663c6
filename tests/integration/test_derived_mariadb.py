"""Every case of the corpus for MySQL, really executed and taken back, step by step, by a real MariaDB."""

from collections.abc import Iterator
from itertools import count

import pytest

from pdelta.databases.base import Database
from pdelta.databases.mysql.address import Address
from pdelta.databases.mysql.database import MysqlDatabase
from pdelta.databases.mysql.settings import Settings
from pdelta.sql.token import Dialect
from tests.fixtures.corpus import Case, base, cases, states
from tests.fixtures.derived import check, check_refused, derived
from tests.fixtures.derived_mariadb import MariadbBench
from tests.fixtures.mariadb import MariaDB, quoted

pytestmark = pytest.mark.integration
CASES = cases("mysql")
STATES = states("mysql")
BASE = base("mysql")
_FRESH = count(1)


@pytest.fixture(scope="module")
def served(mariadb: MariaDB) -> Iterator[tuple[MariaDB, Database]]:
    with MysqlDatabase(Settings("corpus", (Address(mariadb.url()),), patterns=("derived_*",))) as database:
        yield mariadb, database


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_delta_when_executed_and_reversed_then_the_tenant_is_what_it_was(
    case: Case, served: tuple[MariaDB, Database]
) -> None:
    result = derived(case, Dialect.MYSQL)
    if case.outcome == "refused":
        check_refused(case, result)
        return
    server, database = served
    tenant = f"derived_{next(_FRESH)}"
    database.tenants()
    try:
        check(case, result, MariadbBench(server, database, tenant, BASE, STATES[case.state], case.setup))
    finally:
        server.sql(f"DROP DATABASE {quoted(tenant)}")
