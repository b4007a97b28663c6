"""A table of SQLite built anew, with another that refers to it: what the way back does to that, as users are told."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Final

import pytest

from tests.fixtures.cli import Cli
from tests.fixtures.tenants import TABLES, Project

SECTION: Final = '[databases.app]\ndeltas = "deltas"\ntenants = { files = "*.sqlite" }\n'
FORWARD: Final = """CREATE TABLE users_new (id integer PRIMARY KEY, name text NOT NULL);
INSERT INTO users_new SELECT id, name FROM users;
DROP TABLE users;
ALTER TABLE users_new RENAME TO users;
"""
AGAIN: Final = """-- Reversible delta
-- CREATE TABLE users_new (id integer PRIMARY KEY, name varchar(40) NOT NULL);
-- INSERT INTO users_new SELECT id, name FROM users;
-- DROP TABLE users;
-- ALTER TABLE users_new RENAME TO users;
"""
MOVES: Final = """-- Reversible delta
-- ALTER TABLE users RENAME TO users_old;
-- CREATE TABLE users (id integer PRIMARY KEY, name varchar(40) NOT NULL);
-- INSERT INTO users SELECT id, name FROM users_old;
-- DROP TABLE users_old;
"""
LEGACY: Final = "PRAGMA legacy_alter_table = ON;\n"
MOVED: Final = "additional constraint FOREIGN KEY (user_id) REFERENCES users_old (id) on orders"


@pytest.fixture
def project(tmp_path: Path) -> Project:
    with closing(sqlite3.connect(tmp_path / "a.sqlite")) as tenant:
        tenant.executescript(";".join(TABLES))
    return Project(tmp_path, SECTION)


def state(project: Project) -> tuple[set[str], str]:
    with closing(sqlite3.connect(project.folder / "a.sqlite")) as tenant:
        parents = {row[2] for row in tenant.execute("PRAGMA foreign_key_list(orders)")}
        proof = tenant.execute("SELECT max(proof) FROM pdelta_applied").fetchone()
    return parents, str(proof[0] or "")


@pytest.mark.parametrize(
    "text",
    [FORWARD + AGAIN, LEGACY + FORWARD + MOVES.replace("delta\n", f"delta\n-- {LEGACY}")],
    ids=["again", "legacy"],
)
def test_reverse_when_it_leaves_the_key_of_the_other_table_alone_then_it_is_proved(
    project: Project, cli: Cli, text: str
) -> None:
    project.write("delta_20250401_rebuilt", text)
    assert "note" not in cli("sql", "apply", cwd=project.folder).err
    assert state(project) == ({"users"}, "rows")
    cli("sql", "rollback", cwd=project.folder)
    assert state(project)[0] == {"users"}


@pytest.mark.parametrize("before", ["", LEGACY], ids=["plain", "legacy"])
def test_reverse_when_it_is_written_and_moves_the_key_then_that_is_told_and_not_proved(
    project: Project, cli: Cli, before: str
) -> None:
    # What the delta sets for its connection, its reverse does not find.
    project.write("delta_20250401_rebuilt", before + FORWARD + MOVES)
    result = cli("sql", "apply", cwd=project.folder)
    assert MOVED in result.out + result.err
    assert state(project) == ({"users"}, "")
    cli("sql", "rollback", cwd=project.folder)
    assert state(project)[0] == {"users_old"}


def test_reverse_when_it_is_derived_then_it_leaves_the_key_of_the_other_table_alone(project: Project, cli: Cli) -> None:
    project.write("delta_20250401_rebuilt", FORWARD)
    assert "note" not in cli("sql", "apply", cwd=project.folder).err
    assert state(project) == ({"users"}, "rows")
    cli("sql", "rollback", cwd=project.folder)
    with closing(sqlite3.connect(project.folder / "a.sqlite")) as tenant:
        assert tenant.execute("SELECT sql FROM sqlite_schema WHERE name = 'orders'").fetchone()[0] == TABLES[1]
        assert tenant.execute("SELECT id, name FROM users").fetchall() == [(1, "ada"), (2, "bob")]


def test_delta_when_another_before_it_set_a_pragma_then_it_does_not_see_that(project: Project, cli: Cli) -> None:
    project.write(
        "delta_20250401_first", f"{LEGACY}CREATE TABLE one (id integer);\n-- Reversible delta\n-- DROP TABLE one;\n"
    )
    renames = "ALTER TABLE users RENAME TO people;\n-- Reversible delta\n-- ALTER TABLE people RENAME TO users;\n"
    project.write("delta_20250402_second", renames)
    cli("sql", "apply", cwd=project.folder)
    assert state(project)[0] == {"people"}
