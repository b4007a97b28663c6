"""Reads other tools' tables in tenants: two questions each, and nothing is written."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from pdelta.databases.base import Database, Session
from pdelta.errors import PdeltaError, UsageError
from pdelta.formats.foreign.tables import TABLES, Chronicle, ForeignTable, read_rows
from pdelta.sql.script import Tool
from pdelta.sql.token import Dialect

_NAME: Final = re.compile(r"[A-Za-z0-9_$-]{1,64}")
_COLUMNS: Final = {
    Dialect.SQLITE: "SELECT m.name, c.name FROM main.sqlite_master AS m, pragma_table_info(m.name) AS c"
    " WHERE m.type = 'table' AND lower(m.name) = '{}'",
    Dialect.POSTGRESQL: "SELECT c.relname, a.attname FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid"
    " WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p') AND a.attnum > 0"
    " AND NOT a.attisdropped AND lower(c.relname) = '{}'",
    Dialect.MYSQL: "SELECT table_name, column_name FROM information_schema.columns"
    " WHERE table_schema = database() AND lower(table_name) = '{}'",
}
"""Of the tenant's own tables: one that another schema shares with it says nothing of the tenant."""


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
    found: dict[str, Chronicle | PdeltaError] = {}
    for lane, group in _by_lane(database, names).items():
        session = database.session(lane)
        try:
            for tenant in group:
                found[tenant] = _read(session, database.dialect, tool, tenant, name)
        finally:
            session.close()
    return found


def _by_lane(database: Database, names: Iterable[str]) -> dict[str, list[str]]:
    lanes: dict[str, list[str]] = {}
    for name in names:
        lanes.setdefault(database.lane(name), []).append(name)
    return lanes


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
