"""``pdelta sql lint`` as its user, a program and GitHub meet it."""

import sqlite3
from contextlib import closing
from pathlib import Path

from tests.fixtures.cli import Cli

DELTA = """-- pdelta: allow="rename: only the seed"
ALTER TABLE users RENAME COLUMN a TO b;
TRUNCATE cache;
-- Reversible delta
-- SELECT 'cache: 100%';
-- DELETE FROM users;
"""


def folder(tmp_path: Path) -> Path:
    (tmp_path / "pdelta.toml").write_text("[databases.a]\nurl = 'env:A'\ntenants = { schemas = 't_*' }\n")
    (tmp_path / "deltas").mkdir()
    (tmp_path / "deltas/delta_20250315_a.sql").write_text(DELTA)
    return tmp_path


def test_lint_when_errors_are_found_then_they_are_told_and_the_exit_is_4(cli: Cli, tmp_path: Path) -> None:
    here = folder(tmp_path)
    done = cli("sql", "lint", "--no-squawk", cwd=here, status=4)
    assert done.out.splitlines() == [
        "deltas/delta_20250315_a.sql:3: error truncate",
        "    TRUNCATE cache",
        "    why: all rows are gone; it waits for every reader, and in MySQL no transaction takes it back",
        "    instead: delete the rows by a WHERE, or say why by allow",
        "deltas/delta_20250315_a.sql:6: error write-without-where in the reverse",
        "    DELETE of every row of users; without statistics every table is taken as large",
        "    why: it changes every row, in one transaction that keeps them all locked",
        "    instead: say which rows by a WHERE (WHERE true where all are meant), and write large tables in pieces",
        "sizes of tables are not known: the environment has no A, and env:A takes a database's URL from it",
        "2 errors  in 1 file; 1 finding allowed by headers",
    ]
    assert "allowed: only the seed" in cli("sql", "lint", "--no-squawk", "-v", cwd=here, status=4).out
    assert cli("sql", "lint", "--no-squawk", "-q", cwd=here, status=4).out == ""


def test_lint_when_json_is_asked_for_then_both_ways_give_one_document(cli: Cli, tmp_path: Path) -> None:
    here = folder(tmp_path)
    found = cli("sql", "lint", "--no-squawk", "--json", cwd=here, status=4).json()
    assert cli("sql", "lint", "--no-squawk", "--format", "json", cwd=here, status=4).json() == found
    assert {key: found[key] for key in ("files", "errors", "warnings", "hints")} == {
        "files": 1,
        "errors": 2,
        "warnings": 0,
        "hints": 0,
    }
    rename = next(one for one in found["findings"] if one["rule"] == "rename")
    assert (rename["file"], rename["line"], rename["part"]) == ("deltas/delta_20250315_a.sql", 2, "forward")
    assert (rename["severity"], rename["allowed"]) == ("warning", "only the seed")


def test_lint_when_github_is_asked_for_then_each_line_is_a_command_of_its_workflows(cli: Cli, tmp_path: Path) -> None:
    lines = cli("sql", "lint", "--no-squawk", "--format", "github", cwd=folder(tmp_path), status=4).out.splitlines()
    begin = "::error file=deltas/delta_20250315_a.sql,line=3,title=truncate::TRUNCATE cache%0Awhy: all rows are gone"
    assert lines[0].startswith(begin)
    assert len(lines) == 2


def test_lint_when_only_warnings_are_found_then_strict_decides(cli: Cli, tmp_path: Path) -> None:
    here = folder(tmp_path)
    file = here / "deltas/delta_20250316_b.sql"
    file.write_text("DROP TABLE t;\n-- Reversible delta\n-- CREATE TABLE t ();\n")
    assert "1 warning  in 1 file" in cli("sql", "lint", "--no-squawk", file, cwd=here).out
    cli("sql", "lint", "--no-squawk", "--strict", file, cwd=here, status=4)
    file.write_text("SELECT 1;\n-- Reversible delta\n-- SELECT 2;\n")
    assert "nothing found  in 1 file" in cli("sql", "lint", "--strict", "--no-squawk", file, cwd=here).out


def test_lint_when_a_file_can_not_be_read_then_the_exit_is_65(cli: Cli, tmp_path: Path) -> None:
    here = folder(tmp_path)
    (here / "deltas/notes.sql").write_text("")
    (here / "deltas/delta_20250316_b.sql").write_text("SELECT 'a")
    found = cli("sql", "lint", "--json", cwd=here, status=65).json()
    assert found["error"]["code"] == "scripts"
    assert len(found["error"]["findings"]) == 2


def test_lint_when_the_database_can_be_asked_then_small_tables_make_rules_silent(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "pdelta.toml").write_text("[databases.a]\ntenants = { files = '*.db' }\n")
    (tmp_path / "deltas").mkdir()
    (tmp_path / "deltas/delta_20250315_a.sql").write_text(
        "UPDATE users SET a = 1;\n-- Reversible delta\n-- SELECT 1;\n"
    )
    words = ("sql", "lint", "--json")
    assert cli(*words, cwd=tmp_path, status=4).json()["unmeasured"] == "databases.a has no tenant"
    for number, rows in enumerate((1, 20_000)):
        with closing(sqlite3.connect(tmp_path / f"{number}.db")) as raw, raw:
            raw.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, a)")
            raw.executemany("INSERT INTO users VALUES (?, 0)", [(one,) for one in range(rows)])
        found = cli(*words, cwd=tmp_path, status=4 if number else 0).json()
        assert (found["statistics"], found["unmeasured"], found["errors"]) == (True, "", number)
    assert "20,000 rows" in found["findings"][0]["what"]
    offline = cli(*words, "--offline", cwd=tmp_path, status=4).json()
    assert (offline["statistics"], offline["unmeasured"]) == (False, "")
    assert "without statistics" in offline["findings"][0]["what"]


def test_lint_when_the_database_can_not_be_reached_then_it_says_so_and_the_exit_is_the_same(
    cli: Cli, tmp_path: Path
) -> None:
    here = folder(tmp_path)
    toml = here / "pdelta.toml"
    toml.write_text(toml.read_text().replace("env:A", "postgresql://u:hidden@127.0.0.1:1/d"))
    told = cli("sql", "lint", "--no-squawk", cwd=here, status=4).out
    assert "sizes of tables are not known: " in told
    assert "hidden" not in told
    assert "not known" not in cli("sql", "lint", "--no-squawk", "--offline", cwd=here, status=4).out
