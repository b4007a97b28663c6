"""What of a session another one is given, and what is lost."""

import pytest

from pdelta.sql import leaving
from pdelta.sql.split import Statement, split
from pdelta.sql.token import Dialect


def statements(text: str) -> list[Statement]:
    return list(split(text, Dialect.MYSQL))


@pytest.mark.parametrize(
    ("done", "expected"),
    [
        ("SET sql_mode = ''; INSERT INTO t VALUES (1)", ["SET sql_mode = ''"]),
        ("/*!40101 SET NAMES utf8mb4 */; SELECT 1", ["/*!40101 SET NAMES utf8mb4 */"]),
        ("SET sql_mode = CONCAT(@@sql_mode, ',ANSI')", ["SET sql_mode = CONCAT(@@sql_mode, ',ANSI')"]),
        ("SET STATEMENT max_statement_time = 9 FOR INSERT INTO t VALUES (1)", []),
        ("SET @n = (SELECT max(id) FROM t)", []),
        ("SET @n = (SELECT 1), sql_mode = ''", ["SET @n = (SELECT 1), sql_mode = ''"]),
    ],
)
def test_settings_when_statements_set_something_then_these_again(done: str, expected: list[str]) -> None:
    assert [one.text for one in leaving.settings(statements(done))] == expected


@pytest.mark.parametrize(
    ("done", "left"),
    [
        ("SET @n = (SELECT 1)", "INSERT INTO t VALUES (@N)"),
        ("SELECT a, b INTO @n, @m FROM t", "INSERT INTO t VALUES (@m)"),
        ("SELECT @n := max(id) FROM t", "SET @n = @n + 1"),
        ("DO @n := (SELECT 1)", "UPDATE t SET id = (@n := @n + 1)"),
        ("SET STATEMENT max_statement_time = 9 FOR SELECT 1 INTO @n", "SELECT @n"),
        ("SELECT 1 INTO @n; SET @m = @n", "SELECT @m"),
        ("CREATE TEMPORARY TABLE IF NOT EXISTS Kept (id INT)", "INSERT INTO t SELECT * FROM `kept`"),
        ("INSERT INTO t VALUES (1); CREATE TABLE u (id INT)", "INSERT INTO u VALUES (LAST_INSERT_ID())"),
        ("UPDATE t SET id = LAST_INSERT_ID(id + 1)", "SET @n = LAST_INSERT_ID()"),
    ],
)
def test_lost_when_what_is_left_needs_what_was_given_then_what_gave_it(done: str, left: str) -> None:
    first, *_ = statements(done)
    assert leaving.lost(statements(done), statements(left)) == first


@pytest.mark.parametrize(
    ("done", "left"),
    [
        ("SET @n = 0; UPDATE t SET id = (@n := @n + 1)", "SET @n = 0; UPDATE u SET id = (@n := @n + 1)"),
        ("SET @n = (SELECT 1)", "INSERT INTO t VALUES (1)"),
        ("SET @n = (SELECT 1)", "SET @n = (SELECT 2); SELECT @n"),
        ("SELECT 1 INTO @n", "SELECT 2 INTO @n; SELECT @n"),
        ("SELECT 1 INTO @n; SET @n = 5", "SELECT @n"),
        ("SET @n = 5, @old = @@sql_mode", "SELECT @n; SET sql_mode = @old"),
        (
            "UPDATE t, (SELECT @n := 0) v SET id = (@n := @n + 1)",
            "UPDATE t, (SELECT @n := 0) v SET id = (@n := @n + 1)",
        ),
        ("CREATE DEFINER = a@b TRIGGER g BEFORE INSERT ON t FOR EACH ROW SET @n := 1", "SELECT @n"),
        ("CREATE TEMPORARY TABLE kept (id INT); DROP TABLE kept", "CREATE TABLE kept (id INT)"),
        ("CREATE TEMPORARY TABLE kept (id INT)", "CREATE TABLE u (id INT)"),
        ("CREATE TABLE u (id INT)", "SELECT LAST_INSERT_ID()"),
        ("INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (2); SELECT LAST_INSERT_ID()"),
        ("", "SELECT 1"),
    ],
)
def test_lost_when_nothing_that_is_left_needs_it_then_nothing(done: str, left: str) -> None:
    assert leaving.lost(statements(done), statements(left)) is None


def test_held_when_statements_of_postgresql_set_something_then_what_still_holds() -> None:
    text = (
        "SET a.b = 1; SET LOCAL work_mem = '1MB'; SET SESSION work_mem = '2MB'; SET CONSTRAINTS ALL DEFERRED; RESET a.b"
    )
    done = list(split(f"{text}; SELECT 1", Dialect.POSTGRESQL))
    assert [one.text for one in leaving.held(done)] == ["SET a.b = 1", "SET SESSION work_mem = '2MB'", "RESET a.b"]
    after = list(split(f"{text}; DISCARD ALL; SET a.b = 2", Dialect.POSTGRESQL))
    assert [one.text for one in leaving.held(after)] == ["SET a.b = 2"]
