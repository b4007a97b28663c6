"""What the server says of one tenant's tables, views and stored programs, as one value that compares.

Only for telling whether a statement that was cut off has happened. Tables by what would make them again, which is all
that the server knows of them; how far their numbers have counted is no part of it.
"""

import re
from hashlib import sha256
from typing import Final

from pdelta.databases.mysql.connection import MysqlConnection
from pdelta.databases.mysql.quoting import name

_COUNTED: Final = re.compile(r" AUTO_INCREMENT=\d+")
# The words of what is made again depend on both; what a delta has set comes back afterwards.
_PLAIN: Final = (
    "SET @pdelta_mode = @@sql_mode, @pdelta_quote = @@sql_quote_show_create, sql_mode = '', sql_quote_show_create = 1"
)
_AS_BEFORE: Final = "SET sql_mode = @pdelta_mode, sql_quote_show_create = @pdelta_quote"
_TABLES: Final = (
    "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()"
    " AND TABLE_TYPE NOT IN ('VIEW', 'SYSTEM VIEW') AND TABLE_NAME NOT LIKE 'pdelta\\\\_%'"
    " ORDER BY CAST(TABLE_NAME AS BINARY)"
)
_OTHERS: Final = (
    (
        "SELECT DEFAULT_CHARACTER_SET_NAME, DEFAULT_COLLATION_NAME FROM information_schema.SCHEMATA"
        " WHERE SCHEMA_NAME = DATABASE()"
    ),
    (
        "SELECT TABLE_NAME, VIEW_DEFINITION, CHECK_OPTION, DEFINER, SECURITY_TYPE FROM information_schema.VIEWS"
        " WHERE TABLE_SCHEMA = DATABASE() ORDER BY CAST(TABLE_NAME AS BINARY)"
    ),
    (
        "SELECT TRIGGER_NAME, EVENT_MANIPULATION, EVENT_OBJECT_TABLE, ACTION_ORDER, ACTION_TIMING, ACTION_STATEMENT,"
        " SQL_MODE, DEFINER FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = DATABASE()"
        " ORDER BY CAST(TRIGGER_NAME AS BINARY)"
    ),
    (
        "SELECT ROUTINE_TYPE, ROUTINE_NAME, DTD_IDENTIFIER, ROUTINE_DEFINITION, IS_DETERMINISTIC, SQL_DATA_ACCESS,"
        " SECURITY_TYPE, SQL_MODE, ROUTINE_COMMENT, DEFINER FROM information_schema.ROUTINES"
        " WHERE ROUTINE_SCHEMA = DATABASE() ORDER BY ROUTINE_TYPE, CAST(ROUTINE_NAME AS BINARY)"
    ),
    (
        "SELECT ROUTINE_TYPE, SPECIFIC_NAME, ORDINAL_POSITION, PARAMETER_MODE, PARAMETER_NAME, DTD_IDENTIFIER"
        " FROM information_schema.PARAMETERS WHERE SPECIFIC_SCHEMA = DATABASE()"
        " ORDER BY ROUTINE_TYPE, CAST(SPECIFIC_NAME AS BINARY), ORDINAL_POSITION"
    ),
    (
        "SELECT EVENT_NAME, EVENT_DEFINITION, EVENT_TYPE, EXECUTE_AT, INTERVAL_VALUE, INTERVAL_FIELD, STARTS, ENDS,"
        " STATUS, ON_COMPLETION, SQL_MODE, EVENT_COMMENT, DEFINER FROM information_schema.EVENTS"
        " WHERE EVENT_SCHEMA = DATABASE() ORDER BY CAST(EVENT_NAME AS BINARY)"
    ),
)


def fingerprint(connection: MysqlConnection, tenant: str) -> str:
    """Give a hash of all of it; the connection is in the tenant's database.

    Raises:
        DatabaseError: As its ``cause`` says.
    """
    told: list[object] = []
    connection.run(_PLAIN, about=tenant)
    try:
        for (table,) in connection.rows(_TABLES, about=tenant):
            (row,) = connection.rows(f"SHOW CREATE TABLE {name(str(table))}", about=tenant)
            told.append(_COUNTED.sub("", str(row[1])))
        told += [connection.rows(text, about=tenant) for text in _OTHERS]
    finally:
        if connection.is_open:
            connection.run(_AS_BEFORE, about=tenant)
    return sha256(repr(told).encode()).hexdigest()
