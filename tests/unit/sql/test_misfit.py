"""What can stand in no delta, told before a tenant is touched."""

import pytest

from pdelta.sql.misfit import misfit, refused
from pdelta.sql.split import split
from pdelta.sql.token import Dialect


@pytest.mark.parametrize(
    ("text", "dialect", "word"),
    [
        ("START TRANSACTION", Dialect.MYSQL, "START TRANSACTION"),
        ("/*!40000 LOCK TABLES t WRITE */", Dialect.MYSQL, "LOCK"),
        ("CALL p()", Dialect.MYSQL, "CALL"),
        ("SET STATEMENT max_statement_time = 1 FOR CALL p()", Dialect.MYSQL, "CALL"),
        ("rollback to s", Dialect.MYSQL, "ROLLBACK"),
        ("ALTER TABLE t ADD c INT", Dialect.MYSQL, ""),
        ("SET @a = 1", Dialect.MYSQL, ""),
        ("COMMIT", Dialect.POSTGRESQL, "COMMIT"),
        ("PREPARE TRANSACTION 'x'", Dialect.POSTGRESQL, "PREPARE TRANSACTION"),
        ("ROLLBACK TO s", Dialect.POSTGRESQL, ""),
        ("CALL p()", Dialect.POSTGRESQL, ""),
        ("attach 'x' as y", Dialect.SQLITE, "ATTACH"),
        ("SAVEPOINT s", Dialect.SQLITE, "SAVEPOINT"),
        ("PRAGMA user_version = 3", Dialect.SQLITE, ""),
    ],
)
def test_misfit_when_no_delta_can_hold_it_then_its_word_is_told(text: str, dialect: Dialect, word: str) -> None:
    (statement,) = split(text, dialect)
    why = misfit(statement, dialect)
    assert why.partition(" can't")[0].partition(" may")[0] == word
    assert bool(refused(statement, dialect)) == (bool(word) and word != "CALL")
