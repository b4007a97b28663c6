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
        "TRUNCATE ONLY users;",
        "DROP OWNED BY x;",
        "DO $$ BEGIN END $$;",
        "CALL s.p;",
        "REINDEX i;",
        "REFRESH MATERIALIZED VIEW v;",
        "SET a = 1; DROP TABLE b;",
        "WITH x AS (SELECT 1) DELETE FROM a;",
        "REVOKE ALL ON t FROM r;",
        "ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO x;",
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
        "select another one; see the wiki",
        "rename it; then drop",
        "drop it; see ticket 5",
        "update of the docs follows; see wiki",
        "update the settings and set x",
        "truncate the table;",
        "do it again;",
        "call the owner; he knows",
        "with care; see wiki",
        "'; DROP TABLE users;",
    ],
)
def test_text_when_it_is_prose_then_it_is_not_sql(text: str) -> None:
    assert not looks_like_sql(text, Dialect.POSTGRESQL)
