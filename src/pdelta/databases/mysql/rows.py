"""Digests of the rows of a tenant's tables, which the server calculates, table by table.

Each value is hashed as the server writes it, then those of a row; the hashes of rows are added up, so that their order
does not matter.
"""

from collections import defaultdict
from typing import Final

from pdelta.databases.catalogue.ours import is_ours
from pdelta.databases.mysql.connection import MysqlConnection
from pdelta.databases.mysql.quoting import name
from pdelta.databases.rows import Rows, RowsAsked, RowsHeld

_TABLES: Final = (
    "SELECT TABLE_NAME, COALESCE(DATA_LENGTH, 0) FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()"
    " AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')"
)
_COLUMNS: Final = (
    "SELECT TABLE_NAME, COLUMN_NAME, DATA_TYPE FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE()"
    " ORDER BY TABLE_NAME, ORDINAL_POSITION"
)
_WRITTEN: Final = {"timestamp": "UNIX_TIMESTAMP({})", "float": "({} + 0e0)"}
"""What would otherwise depend on a setting, or be cut after six digits."""
_HALF: Final = "COALESCE(SUM(CAST(CONV({}(h, 16), 16, 10) AS UNSIGNED)), 0)"


def rows_held(connection: MysqlConnection, tenant: str, asked: RowsAsked) -> RowsHeld:
    """Give the rows of the tables of the database that the connection is in.

    Raises:
        DatabaseError: As its ``cause`` says.
    """
    columns: dict[str, list[str]] = defaultdict(list)
    for table, column, kind in connection.rows(_COLUMNS, about=tenant):
        value = _WRITTEN.get(str(kind).lower(), "{}").format(name(str(column)))
        columns[str(table)].append(f"IFNULL(SHA2({value}, 256), '-')")
    held: dict[str, Rows | None] = {}
    for table, size in connection.rows(_TABLES, about=tenant):
        if is_ours(table, parked=False):
            continue
        read = asked.reads(table, size)
        held[table] = _rows(connection, tenant, table, columns[table], asked) if read else None
    return held


def _rows(connection: MysqlConnection, tenant: str, table: str, values: list[str], asked: RowsAsked) -> Rows:
    hashes = f"SELECT SHA2(CONCAT({', '.join(values)}), 256) AS h FROM {name(table)}"
    digest = f"SELECT COUNT(*), {_HALF.format('LEFT')}, {_HALF.format('RIGHT')} FROM ({hashes}) AS x"
    ((count, first, second),) = connection.rows(digest, about=tenant)
    listed = connection.rows(hashes, about=tenant) if table in asked.listed else ()
    return Rows(int(count), f"{first} {second}", tuple(str(one) for (one,) in listed))
