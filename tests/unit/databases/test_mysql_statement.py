"""Which statements of a delta MySQL and MariaDB may be given, and where."""

import pytest

from pdelta.databases.mysql.failure import cause_of, failed
from pdelta.databases.mysql.quoting import literal, name
from pdelta.databases.mysql.statement import names_in, refused_alone, refused_as_query, refused_inside
from pdelta.errors import Cause
from pdelta.sql.token import Mode

NONE: frozenset[Mode] = frozenset()


@pytest.mark.parametrize(
    "text",
    [
        "ALTER TABLE t ADD c INT",
        "CREATE TABLE t (i INT)",
        "TRUNCATE t",
        "RENAME TABLE a TO b",
        "CREATE INDEX i ON t (c)",
        "/*!40000 ALTER TABLE t DISABLE KEYS */",
        "/* c */ -- c\nDROP TABLE t",
        "GRANT ALL ON x.* TO u",
        "ANALYZE TABLE t",
        "CALL p()",
        "EXECUTE s",
        "BEGIN NOT ATOMIC COMMIT; END",
        "HANDLER t OPEN",
        "SAVEPOINT s",
        "XA START 'x'",
        "INSERT INTO t VALUES (1); COMMIT",
        "",
        "USE other",
        "LOCK TABLES t WRITE",
        "SET autocommit = 1",
        "START TRANSACTION",
        "COMMIT AND CHAIN",
        "ROLLBACK TO s",
        "SET PASSWORD = 'x'",
        "'not closed",
    ],
)
def test_inside_when_it_may_commit_then_refused(text: str) -> None:
    assert refused_inside(text, NONE)


@pytest.mark.parametrize(
    "text",
    [
        "INSERT INTO t VALUES (1)",
        "update t set a = 'COMMIT'",
        "DELETE FROM t",
        "REPLACE INTO t VALUES (1)",
        "SELECT 1",
        "WITH x AS (SELECT 1) SELECT * FROM x",
        "SET @a = 1",
        "SET foreign_key_checks = 0",
        "(SELECT 1)",
        "DO 0",
    ],
)
def test_inside_when_it_can_be_taken_back_then_taken(text: str) -> None:
    assert not refused_inside(text, NONE)


def test_alone_when_it_commits_by_itself_then_taken_and_control_is_not() -> None:
    for text in ("ALTER TABLE t ADD c INT", "CALL p()", "BEGIN NOT ATOMIC SELECT 1; END", "TRUNCATE t", "SET @a = 1"):
        assert not refused_alone(text, NONE)
    for text in (
        "BEGIN",
        "COMMIT",
        "USE x",
        "LOCK TABLES t READ",
        "UNLOCK TABLES",
        "ROLLBACK TO s",
        "SELECT 1; SELECT 2",
    ):
        assert refused_alone(text, NONE)


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("SELECT 1", True),
        ("(SELECT 1) UNION (SELECT 2)", True),
        ("SHOW TABLES", True),
        ("DESCRIBE t", True),
        ("SELECT 1 INTO OUTFILE '/tmp/x'", False),
        ("SELECT 1 INTO @a", True),
        ("DELETE FROM t", False),
        ("CREATE TABLE t (i INT)", False),
        ("CALL p()", False),
        ("DO 0", False),
        ("SELECT 1; DROP TABLE t", False),
    ],
)
def test_query_when_it_only_asks_then_taken(text: str, taken: bool) -> None:
    assert (refused_as_query(text, NONE) == "") is taken


def test_modes_when_set_then_statements_are_read_by_them() -> None:
    ends_early = "INSERT INTO t VALUES ('\\'); DROP TABLE t; -- ')"
    assert not refused_inside(ends_early, NONE)
    assert refused_inside(ends_early, frozenset({Mode.NO_BACKSLASH_ESCAPES}))
    assert "t" in names_in('UPDATE "t" SET a = 1', frozenset({Mode.ANSI_QUOTES}))
    assert "t" not in names_in('UPDATE `x` SET a = "t"', NONE)


def test_quoting_when_anything_is_quoted_then_nothing_of_it_is_read() -> None:
    assert name("a`b") == "`a``b`"
    assert literal("") == "''"
    assert literal("'\\é") == "_utf8mb4 X'275cc3a9'"


@pytest.mark.parametrize(
    ("code", "words", "cause"),
    [
        (1205, "Lock wait timeout exceeded", Cause.BUSY),
        (1213, "Deadlock found", Cause.BUSY),
        (2006, "gone away", Cause.LOST),
        (2013, "Lost connection", Cause.LOST),
        (1927, "killed", Cause.LOST),
        (2003, "Can't connect", Cause.UNREACHABLE),
        (1040, "Too many connections", Cause.UNREACHABLE),
        (1044, "denied", Cause.DENIED),
        (1142, "denied", Cause.DENIED),
        (1227, "denied", Cause.DENIED),
        (1290, "read-only", Cause.DENIED),
        (1049, "Unknown database", Cause.MISSING),
        (1114, "table is full", Cause.FULL),
        (1021, "Disk full", Cause.FULL),
        (3, "Error writing file (Errcode: 28)", Cause.FULL),
        (1030, 'Got error 28 "No space left on device" from storage engine InnoDB', Cause.FULL),
        (1030, "Got error 168 from storage engine", Cause.REFUSED),
        (1064, "syntax", Cause.REFUSED),
    ],
)
def test_cause_when_the_server_gives_a_number_then_its_kind(code: int, words: str, cause: Cause) -> None:
    assert cause_of(code, words) is cause


def test_failed_when_the_server_names_the_tenant_then_the_reason_does_not() -> None:
    for words in ("Table 't.x' doesn't exist", "in `t`.`x`", "denied to database 't'"):
        error = failed(Exception(1, words), "t", state="so")
        assert "t." not in error.reason
        assert "'t'" not in error.reason
        assert "`t`" not in error.reason
        assert error.message == f"t: {words}; so"
    closed = failed(Exception(0, ""), "t", state="so")
    assert closed.cause is Cause.LOST
