"""Every case of the corpus for MySQL, really executed and taken back, step by step, by a real MariaDB or MySQL."""

from collections.abc import Iterator
from contextlib import closing, suppress
from itertools import count

import pymysql
import pytest

from pdelta.databases.base import Database
from pdelta.databases.mysql.address import Address
from pdelta.databases.mysql.database import MysqlDatabase
from pdelta.databases.mysql.settings import Settings
from pdelta.sql.derive.result import Derived
from pdelta.sql.piece import GUARD, LOSS_GUARD, Piece
from pdelta.sql.token import Dialect
from tests.fixtures.corpus import Case, base, cases, states
from tests.fixtures.derived import check, check_refused, derived
from tests.fixtures.derived_mariadb import MariadbBench
from tests.fixtures.mariadb import MariaDB, is_mysql

pytestmark = pytest.mark.integration
CASES = [case for case in cases("mysql") if case.mysql != "only" or is_mysql()]
STATES = states("mysql")
BASE = base("mysql")
_FRESH = count(1)


@pytest.fixture(scope="module")
def served(mariadb: MariaDB) -> Iterator[tuple[MariaDB, Database]]:
    with MysqlDatabase(Settings("corpus", (Address(mariadb.url()),), patterns=("derived_*",))) as database:
        yield mariadb, database


@pytest.mark.sampled(3)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_delta_when_executed_and_reversed_then_the_tenant_is_what_it_was(
    case: Case, served: tuple[MariaDB, Database]
) -> None:
    result = derived(case, Dialect.MYSQL)
    if case.outcome == "refused":
        check_refused(case, result)
        return
    server, database = served
    if server.is_mysql and case.mysql not in {"", "only"}:
        if case.mysql == "lacks":
            pytest.skip("MySQL has no such statement")
        case = case._replace(outcome="guarded", reason=case.mysql)
    name = f"derived_{next(_FRESH)}"
    with closing(MariadbBench(server, database, name, BASE, STATES[case.state], case.setup)) as bench:
        check_scope(result, bench)
        check(case, result, bench)


def check_scope(result: Derived, bench: MariadbBench) -> None:
    """No question about the catalogue makes the server look through all databases, which may be thousands."""
    for piece in result.pieces:
        asked = [text for text in piece.before if text.startswith((GUARD, LOSS_GUARD))]
        for text in (
            *asked,
            *(f"SELECT {one}" for one in (piece.undo, piece.late_undo, piece.calculated and piece.statement) if one),
        ):
            # What names something that an earlier piece makes can't be explained yet.
            with suppress(pymysql.MySQLError):
                told = [str(row[-1]) for row in bench.ask(f"EXPLAIN {text}")]
                assert not [one for one in told if "Scanned all databases" in one], text


def test_check_scope_when_all_databases_are_looked_through_then_fails(served: tuple[MariaDB, Database]) -> None:
    server, database = served
    if server.is_mysql:
        pytest.skip("MySQL keeps its catalogue in tables, with indexes by the schema")
    asked = Piece("SELECT 1", undo="(SELECT count(*) FROM information_schema.columns)")
    bench = MariadbBench(server, database, f"derived_{next(_FRESH)}", BASE)
    with closing(bench), pytest.raises(AssertionError, match=r"information_schema\.columns"):
        check_scope(Derived((asked,)), bench)
