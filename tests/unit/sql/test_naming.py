"""By which names one sees whether a statement has happened."""

import pytest

from pdelta.sql.naming import concerned
from pdelta.sql.split import split
from pdelta.sql.token import Dialect


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CREATE TABLE IF NOT EXISTS s.`Users` (id INT)", {"users", "table"}),
        ("CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS i ON s.t (c)", {"i", "t", "index"}),
        ("CREATE DEFINER = CURRENT_USER PROCEDURE p() SELECT 1", {"p", "procedure"}),
        ("CREATE INDEX ON t (c)", {"create", "index", "on", "t", "c"}),
        ("CREATE", {"create"}),
        ("CREATE TABLE", {"create", "table"}),
        ("CREATE OR REPLACE TABLE t (c INT)", {"create", "or", "replace", "table", "t", "c", "int"}),
        ("DROP INDEX i ON `t``x`", {"drop", "index", "i", "on", "t`x"}),
        ("CREATE PACKAGE s.people AS FUNCTION f RETURN INT; END", {"package", "people"}),
        (
            "CREATE PACKAGE BODY IF NOT EXISTS people AS FUNCTION f RETURN INT AS BEGIN RETURN 1; END; END",
            {"package", "people"},
        ),
        ("CREATE PACKAGE body AS FUNCTION f RETURN INT; END", {"package", "body"}),
        ("RENAME TABLE a TO t, b TO a, t TO b", {"rename", "table", "a", "to", "t", "b"}),
        (
            "RENAME TABLE IF EXISTS s.A WAIT 5 TO s.t, `b` TO s.a, t TO b",
            {"rename", "table", "if", "exists", "s", "a", "wait", "to", "t", "b"},
        ),
        ("RENAME TABLE a TO old, new TO a", {"table", "a", "to", "old", "new"}),
        ("RENAME TABLE a TO b", {"table", "a", "to", "b"}),
        ('ALTER TABLE "t" ADD "z" INT', {"alter", "table", "t", "add", "z", "int"}),
        ('CREATE TABLE "T" (id INT)', {"table", "t"}),
    ],
)
def test_concerned_when_a_statement_makes_something_then_its_name_and_else_all(text: str, expected: set[str]) -> None:
    (statement,) = split(text, Dialect.MYSQL)
    assert concerned(statement, Dialect.MYSQL) == expected
    if "CREATE" in text and "index" in expected and "create" not in expected:
        assert concerned(statement, Dialect.POSTGRESQL) == expected - {"t"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Users", {"users"}),
        ("Äpfel", {"Äpfel", "äpfel"}),
        ('"Users"', {"Users"}),
        ('"[x]"', {"[x]"}),
        ('"q""x"', {'q"x'}),
        ('"`q"', {"`q"}),
        (r'U&"d\0061t\+000061""x\\y"', {'data"x\\y'}),
        (r'u&"\D83D\DE00"', {"\U0001f600"}),
    ],
)
def test_concerned_when_it_is_postgresql_then_the_names_that_its_catalogue_has(name: str, expected: set[str]) -> None:
    (made,) = split(f"CREATE INDEX CONCURRENTLY {name} ON t (c)", Dialect.POSTGRESQL)
    assert concerned(made, Dialect.POSTGRESQL) == {"index", *expected}
    (dropped,) = split(f"DROP INDEX CONCURRENTLY {name}", Dialect.POSTGRESQL)
    assert concerned(dropped, Dialect.POSTGRESQL) == {"drop", "index", "concurrently", *expected}


def test_concerned_when_a_name_has_escapes_of_its_own_then_these_count() -> None:
    (made,) = split("""CREATE TABLE U&"d!0061t\\0061!!" UESCAPE '!' (a int)""", Dialect.POSTGRESQL)
    assert concerned(made, Dialect.POSTGRESQL) == {"table", r"dat\0061!"}


def test_concerned_when_something_is_called_uescape_then_it_says_nothing_of_escapes() -> None:
    (made,) = split(r"""CREATE INDEX CONCURRENTLY U&"i\0061" ON uu (uescape)""", Dialect.POSTGRESQL)
    assert concerned(made, Dialect.POSTGRESQL) == {"index", "ia"}


def test_concerned_when_names_have_different_escapes_then_each_has_its_own() -> None:
    text = r"""ALTER TABLE U&"a!0062" UESCAPE '!' RENAME TO U&"c\0064!0065" """
    (made,) = split(text, Dialect.POSTGRESQL)
    assert {"ab", "cd!0065"} <= concerned(made, Dialect.POSTGRESQL)
