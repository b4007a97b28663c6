"""SQL in a comment, told from prose."""

import pytest

from pdelta.sql.shape import looks_like_sql
from pdelta.sql.token import Dialect


@pytest.mark.parametrize(
    "text",
    [
        "ALTER TABLE users DROP COLUMN a;",
        "drop index concurrently i",
        'DROP TABLE "users"',
        "CREATE UNIQUE INDEX i ON t (a)",
        "UPDATE users SET a = 'it''s'",
        "delete from users",
        "GRANT SELECT ON t TO r;",
        "TRUNCATE users;",
        "INSERT INTO t VALUES ('a",
        "CREATE TABLE t (a text DEFAULT 'don't",
    ],
)
def test_text_when_it_begins_as_a_statement_then_it_is_sql(text: str) -> None:
    assert looks_like_sql(text, Dialect.POSTGRESQL)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "drop it",
        "DROP TABLE",
        "drop the column by hand",
        "update the users' table in the evening",
        "delete what was added",
        "grant them time",
        "is not possible; ask the owner",
        "select another one",
        "'; DROP TABLE users;",
    ],
)
def test_text_when_it_is_prose_then_it_is_not_sql(text: str) -> None:
    assert not looks_like_sql(text, Dialect.POSTGRESQL)
