"""Every case of the corpus for MySQL, really executed and taken back, step by step, by a real MariaDB."""

from collections.abc import Iterator
from contextlib import closing
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
from tests.fixtures.mariadb import MariaDB

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
    name = f"derived_{next(_FRESH)}"
    with closing(MariadbBench(server, database, name, BASE, STATES[case.state], case.setup)) as bench:
        check(case, result, bench)
