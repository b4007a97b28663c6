"""MariaDB's packages, through the command line: one statement each, and what is said where the server reads none."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from tests.fixtures.cli import Cli
from tests.fixtures.mariadb import MariaDB
from tests.fixtures.sql_desk import Desk
from tests.fixtures.tenants import MysqlFleet

pytestmark = pytest.mark.integration
VECTORS: Final = json.loads((Path(__file__).parents[1] / "vectors/sql-delta/statements.json").read_text())
PACKAGES: Final = [
    statement
    for vector in VECTORS
    for _, statement in vector.get("statements", ())
    # Without sql_mode=ORACLE MariaDB reads packages from 11.4 on.
    if ("PACKAGE" in statement or " IS x" in statement) and " q " not in statement and "DROP" not in statement
]
DELTA: Final = """SET sql_mode=ORACLE;
CREATE PACKAGE people AS
  PROCEDURE fire(one INT);
END;
CREATE PACKAGE BODY people AS
  PROCEDURE fire(one INT) AS
    named INT := one;
  BEGIN
    DELETE FROM users WHERE id = named;
  END;
END;
-- Reversible delta
-- SET sql_mode=ORACLE;
-- DROP PACKAGE people;
"""
ROUTINES: Final = "SELECT routine_type FROM information_schema.routines WHERE routine_schema = database() ORDER BY 1"


@pytest.fixture
def desk(tmp_path: Path, cli: Cli, mariadb: MariaDB) -> Iterator[Desk]:
    fleet = MysqlFleet(tmp_path, ["a", "b"], mariadb)
    yield Desk(fleet, cli)
    fleet.drop()


@pytest.mark.parametrize("delimiter", ["", "//"])
def test_package_when_the_delta_sets_the_mode_then_made_and_taken_back(desk: Desk, delimiter: str) -> None:
    desk("apply")
    text = DELTA
    if delimiter:
        text = text.replace(";\nCREATE", f";\nDELIMITER {delimiter}\nCREATE", 1).replace(
            "\nEND;\n", f"\nEND{delimiter}\n"
        )
        text = text.replace("-- Reversible", "DELIMITER ;\n-- Reversible")
    desk.project.write("delta_20250401_package", text)
    desk("apply")
    for tenant in desk.fleet.names:
        assert desk.fleet.sql(tenant, ROUTINES) == [("PACKAGE",), ("PACKAGE BODY",)]
    desk("rollback")
    assert desk.fleet.sql(desk.fleet.names[0], ROUTINES) == []


def test_package_when_the_server_reads_none_then_the_mode_is_named(desk: Desk) -> None:
    desk.project.write("delta_20250401_package", DELTA.replace("SET sql_mode=ORACLE;\n", "", 1))
    result = desk("apply", status=8)
    assert "before 11.4 reads them with sql_mode=ORACLE alone" in result.out + result.err


@pytest.mark.parametrize("text", PACKAGES)
def test_package_when_it_is_a_vector_then_the_server_takes_it(mariadb: MariaDB, text: str) -> None:
    with mariadb.fresh_database() as name:
        made = ["CREATE TABLE t (a int)"]
        if "BODY" in text:
            made.append("CREATE PACKAGE p AS FUNCTION b(i INT) RETURN INT; END")
        mariadb.sql("SET sql_mode=ORACLE", *made, text, database=name)
