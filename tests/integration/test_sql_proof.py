"""What a reverse brings back, as its users are told: by the proof before an apply, and by a rehearsal everywhere."""

import contextlib
from pathlib import Path

import pytest

from tests.fixtures.cli import Cli
from tests.fixtures.postgresql import PostgreSQL
from tests.fixtures.tenants import ORIGIN, TABLES, Project

NAME = "delta_20250315_add_last_login"
HALF = (
    "CREATE TABLE one (id integer);\nCREATE SCHEMA more;\nCREATE TABLE more.two (id integer);\n"
    "-- Reversible delta\n-- DROP TABLE one;\n-- DROP TABLE more.two;\n"
)
PROOFS = "SELECT id, proof FROM pdelta_applied ORDER BY id"


@pytest.mark.integration
@pytest.mark.parametrize("single", [False, True], ids=["databases", "single"])
def test_proof_when_tenants_are_whole_databases_then_all_of_their_schemas_are_compared(
    postgresql: PostgreSQL, tmp_path: Path, cli: Cli, *, single: bool
) -> None:
    with contextlib.ExitStack() as stack:
        names = sorted(stack.enter_context(postgresql.fresh_database()) for _ in range(1 if single else 2))
        for name in names:
            postgresql.sql("; ".join(TABLES), name)
        (tmp_path / "url").write_text(postgresql.url(names[0] if single else "postgres"))
        tenants = "" if single else f'tenants = {{ databases = ["{names[0]}", "{names[1]}"] }}\n'
        project = Project(tmp_path, f'[databases.app]\nurl = "file:url"\ndeltas = "deltas"\n{tenants}')
        project.write(NAME, ORIGIN)
        cli("sql", "apply", cwd=tmp_path)
        assert [postgresql.sql(PROOFS, name) for name in names] == [[[NAME, "schema"]]] * len(names)
        project.write("delta_20250316_derived", "CREATE TABLE three (id integer);\n")
        assert "could not be proved" not in cli("sql", "apply", cwd=tmp_path).out
        project.write("delta_20250323_half", HALF)
        told = cli("sql", "apply", cwd=tmp_path).out
        assert f"after forward and reverse {names[0]} is another: additional schema more" in told
        proved = [[NAME, "schema"], ["delta_20250316_derived", "schema"], ["delta_20250323_half", ""]]
        assert postgresql.sql(PROOFS, names[0]) == proved
