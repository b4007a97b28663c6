"""Reads other tools' tables in tenants, and what these took back themselves; two questions each, nothing is written."""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from pdelta.databases.base import Database, Session
from pdelta.databases.by_lane import by_lane
from pdelta.errors import PdeltaError, UsageError
from pdelta.formats.foreign.tables import TABLES, Chronicle, ForeignTable, read_rows
from pdelta.sql.ledger import Way
from pdelta.sql.script import Tool
from pdelta.sql.token import Dialect

_NAME: Final = re.compile(r"[A-Za-z0-9_$-]{1,64}")
_COLUMNS: Final = {
    Dialect.SQLITE: "SELECT m.name, c.name FROM main.sqlite_master AS m, pragma_table_info(m.name) AS c"
    " WHERE m.type = 'table' AND lower(m.name) = '{}'",
    Dialect.POSTGRESQL: "SELECT c.relname, a.attname FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid"
    " WHERE c.relnamespace = (SELECT n.oid FROM pg_namespace AS n WHERE n.nspname = current_schema())"
    " AND c.relkind IN ('r', 'p') AND a.attnum > 0 AND NOT a.attisdropped AND lower(c.relname) = '{}'",
    Dialect.MYSQL: "SELECT table_name, column_name FROM information_schema.columns"
    " WHERE table_schema = database() AND lower(table_name) = '{}'",
}
"""Of the tenant's own tables: one that another schema shares with it says nothing of the tenant."""

_LEFT: Final = "SELECT id, way FROM pdelta_history ORDER BY number"


def read_chronicles(
    database: Database, tool: Tool, names: Sequence[str], *, table: str = ""
) -> Mapping[str, Chronicle | PdeltaError]:
    """Give what a tool says of each of these tenants, or why it says nothing.

    Args:
        database: Of the tenants.
        tool: Which.
        names: Of the tenants.
        table: What its table is called there; empty for what the tool calls it by itself.

    Raises:
        UsageError: No table is called so.
    """
    if table and not _NAME.fullmatch(table):
        raise UsageError(f"{table!r} is no name of a table", hint="name it without its schema, and without quotes")
    known = TABLES[tool]
    name = (table or known.name).lower()
    return {
        tenant: _read(session, database.dialect, tool, tenant, name) for tenant, session in by_lane(database, names)
    }


def read_taken_back(database: Database, names: Sequence[str]) -> Mapping[str, frozenset[str] | PdeltaError]:
    """Give the deltas that each of these tenants took back the last time that its history speaks of them.

    Those are none of which a row alone was taken out of the ledger, and nothing was executed.

    Args:
        database: Of the tenants.
        names: Theirs.
    """
    return {tenant: _taken_back(session, database.dialect, tenant) for tenant, session in by_lane(database, names)}


def _taken_back(session: Session, dialect: Dialect, tenant: str) -> frozenset[str] | PdeltaError:
    try:
        if not session.query(tenant, _COLUMNS[dialect].format("pdelta_history")):
            return frozenset()
        last = dict(session.query(tenant, _LEFT))
    except PdeltaError as error:
        return error
    return frozenset(id for id, way in last.items() if way == Way.REVERSE)


def _read(session: Session, dialect: Dialect, tool: Tool, tenant: str, name: str) -> Chronicle | PdeltaError:
    known = TABLES[tool]
    try:
        tables: dict[str, dict[str, str]] = {}
        for table, column in session.query(tenant, _COLUMNS[dialect].format(name)):
            tables.setdefault(str(table), {})[str(column).lower()] = str(column)
        if not tables:
            return PdeltaError(f"has no table {name} of {tool}")
        table, columns = min(tables.items())
        lacking = [column for column in known.columns if column not in columns]
        if lacking:
            return PdeltaError(f"has a table {name} without the column {lacking[0]}, which is not that of {tool}")
        other = next((column for column in known.unlike if column in columns), "")
        if other:
            return PdeltaError(f"has a table {name} with the column {other}, which is not that of {tool}")
        return read_rows(tool, session.query(tenant, _rows(known, table, columns, dialect)))
    except PdeltaError as error:
        return error


def _rows(known: ForeignTable, table: str, columns: Mapping[str, str], dialect: Dialect) -> str:
    quote = "`" if dialect is Dialect.MYSQL else '"'

    def quoted(name: str) -> str:
        return quote + name.replace(quote, 2 * quote) + quote

    wanted = ", ".join(quoted(columns[column]) for column in known.columns)
    return f"SELECT {wanted} FROM {quoted(table)} ORDER BY {quoted(columns[known.order])}"  # noqa: S608 - all are quoted
