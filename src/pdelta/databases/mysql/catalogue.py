"""What the server says of some of a tenant's things, as one value that compares.

Only for telling whether a statement that was cut off has happened. Tables and views by what would make them again,
without a temporary table, of which ``information_schema`` takes one or more for each thing that it is asked about.
"""

import re
from collections.abc import Collection, Iterator
from typing import Final

from pdelta.databases.mysql.connection import MysqlConnection
from pdelta.databases.mysql.quoting import literal, name
from pdelta.databases.mysql.rows import partition_and_table
from pdelta.errors import Cause, DatabaseError
from pdelta.sql.naming import plain
from pdelta.sql.sha import sha256_of

_COUNTED: Final = re.compile(r" AUTO_INCREMENT=\d+")
_QUOTED: Final = re.compile(r"`(?:[^`]|``)*`")
_PART: Final = "  "
"""Begins the line of a column, an index or a key."""
_PRIMARY: Final = f"{_PART}PRIMARY KEY"
_EXCHANGED: Final = frozenset({"exchange", "partition"})
_OF_ORDER: Final = frozenset({"after", "first"})
# The words of what is made again depend on both; what a delta has set comes back afterwards.
_PLAIN: Final = (
    "SET @pdelta_mode = @@sql_mode, @pdelta_quote = @@sql_quote_show_create, sql_mode = '', sql_quote_show_create = 1"
)
_AS_BEFORE: Final = "SET sql_mode = @pdelta_mode, sql_quote_show_create = @pdelta_quote"
_TABLES: Final = (
    "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()"
    " ORDER BY CAST(TABLE_NAME AS BINARY)"
)
_SINCE: Final = "SELECT CREATE_TIME FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = "
_KINDS: Final = frozenset({"database", "event", "function", "package", "procedure", "schema", "trigger"})
"""Words of statements about what ``_OTHERS`` tell."""
_OTHERS: Final = (
    (
        "SELECT word, DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA,"
        " (SELECT 'database' AS word UNION ALL SELECT 'schema') AS words WHERE SCHEMA_NAME = DATABASE() ORDER BY word"
    ),
    (
        "SELECT TRIGGER_NAME, EVENT_MANIPULATION, EVENT_OBJECT_TABLE, ACTION_ORDER, ACTION_TIMING, ACTION_STATEMENT,"
        " SQL_MODE, DEFINER FROM information_schema.TRIGGERS WHERE EVENT_OBJECT_SCHEMA = DATABASE()"
        " ORDER BY CAST(TRIGGER_NAME AS BINARY)"
    ),
    (
        "SELECT ROUTINE_NAME, ROUTINE_TYPE, DTD_IDENTIFIER, ROUTINE_DEFINITION, IS_DETERMINISTIC, SQL_DATA_ACCESS,"
        " SECURITY_TYPE, SQL_MODE, ROUTINE_COMMENT, DEFINER FROM information_schema.ROUTINES"
        " WHERE ROUTINE_SCHEMA = DATABASE() ORDER BY ROUTINE_TYPE, CAST(ROUTINE_NAME AS BINARY)"
    ),
    (
        "SELECT SPECIFIC_NAME, ROUTINE_TYPE, ORDINAL_POSITION, PARAMETER_MODE, PARAMETER_NAME, DTD_IDENTIFIER"
        " FROM information_schema.PARAMETERS WHERE SPECIFIC_SCHEMA = DATABASE()"
        " ORDER BY ROUTINE_TYPE, CAST(SPECIFIC_NAME AS BINARY), ORDINAL_POSITION"
    ),
    (
        "SELECT EVENT_NAME, EVENT_DEFINITION, EVENT_TYPE, EXECUTE_AT, INTERVAL_VALUE, INTERVAL_FIELD, STARTS, ENDS,"
        " STATUS, ON_COMPLETION, SQL_MODE, EVENT_COMMENT, DEFINER FROM information_schema.EVENTS"
        " WHERE EVENT_SCHEMA = DATABASE() ORDER BY CAST(EVENT_NAME AS BINARY)"
    ),
)
"""The name comes first; those of the database are the words for it."""


def fingerprint(connection: MysqlConnection, tenant: str, names: Collection[str]) -> str:
    """Give a hash of what bears these names; how far a table's numbers have counted is no part of it.

    Of a partition that a table is exchanged for nothing tells but their rows: it is two hashes then, with a colon
    between them, which change their places.

    Args:
        connection: In the tenant's database.
        tenant: Named in errors.
        names: As ``naming.concerned`` gives them.

    Raises:
        DatabaseError: As its ``cause`` says.
    """
    if _EXCHANGED.issubset(names) and (pair := partition_and_table(connection, tenant, names)):
        return ":".join(sha256_of(one.encode()) for one in pair)
    told: list[object] = []
    connection.run(_PLAIN, about=tenant)
    try:
        for (table,) in connection.rows(_TABLES, about=tenant):
            if plain(str(table)) in names:
                told += _made(connection, tenant, str(table), names)
        if not told or not _KINDS.isdisjoint(names):
            rows = (row for text in _OTHERS for row in connection.rows(text, about=tenant))
            told += [row for row in rows if plain(str(row[0])) in names]
    finally:
        if connection.is_open:
            connection.run(_AS_BEFORE, about=tenant)
    return sha256_of(repr(told).encode())


def _made(connection: MysqlConnection, tenant: str, table: str, names: Collection[str]) -> Iterator[object]:
    """Give what makes a table or a view again, or that it is there: a view takes a right of its own to be shown."""
    try:
        (row,) = connection.rows(f"SHOW CREATE TABLE {name(table)}", about=tenant)
    except DatabaseError as error:
        if error.cause not in {Cause.DENIED, Cause.REFUSED}:
            raise
        yield table, error.sqlstate
    else:
        if "rename" in names and "alter" not in names:
            # Of tables that swap their names each difference tells, and where there is none, since when they have them.
            yield _COUNTED.sub("", str(row[1]))
            yield from connection.rows(f"{_SINCE}{literal(table)}", about=tenant)
        else:
            yield from _meant(str(row[1]), names)


def _meant(text: str, names: Collection[str]) -> Iterator[str]:
    """Give the lines of a CREATE that are about more than other columns, indexes and keys than the named ones.

    A key or an index counts by its own name and by those of all its columns: the server may have named it.
    """
    former: list[str] = []
    for line in text.split("\n"):
        found = [plain(one) for one in _QUOTED.findall(line)]
        if line.startswith(_PRIMARY):
            found.insert(0, "primary")
        if not line.startswith(_PART):
            yield _COUNTED.sub("", line)
        elif found and (found[0] in names or (found[1:] and all(one in names for one in found[1:]))):
            yield line.rstrip(",")
            if not _OF_ORDER.isdisjoint(names):
                yield from former
        former = found[:1]
