"""Digests of the rows of a tenant's tables, which the server calculates, table by table.

Each value is hashed as the server writes it, then those of a row; the hashes of rows are added up, so that their order
does not matter.
"""

from collections import defaultdict
from collections.abc import Collection
from typing import Final

from pdelta.databases.catalogue.ours import is_ours
from pdelta.databases.mysql.connection import MysqlConnection
from pdelta.databases.mysql.quoting import name
from pdelta.databases.rows import Rows, RowsAsked, RowsHeld
from pdelta.sql.naming import plain

_TABLES: Final = (
    "SELECT TABLE_NAME, COALESCE(DATA_LENGTH, 0) FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE()"
    " AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')"
)
_COLUMNS: Final = (
    "SELECT TABLE_NAME, COLUMN_NAME, DATA_TYPE FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = DATABASE()"
    " ORDER BY TABLE_NAME, ORDINAL_POSITION"
)
_PARTITIONS: Final = (
    "SELECT TABLE_NAME, PARTITION_NAME, COALESCE(SUBPARTITION_NAME, PARTITION_NAME) FROM information_schema.PARTITIONS"
    " WHERE TABLE_SCHEMA = DATABASE() AND PARTITION_NAME IS NOT NULL"
)
_WRITTEN: Final = {"timestamp": "UNIX_TIMESTAMP({})", "float": "({} + 0e0)"}
"""What would otherwise depend on a setting, or be cut after six digits."""
_HALF: Final = "COALESCE(SUM(CAST(CONV({}(h, 16), 16, 10) AS UNSIGNED)), 0)"


def rows_held(connection: MysqlConnection, tenant: str, asked: RowsAsked) -> RowsHeld:
    """Give the rows of the tables of the database that the connection is in.

    Raises:
        DatabaseError: As its ``cause`` says.
    """
    columns = _columns(connection, tenant)
    held: dict[str, Rows | None] = {}
    for table, size in connection.rows(_TABLES, about=tenant):
        if is_ours(table, parked=False):
            continue
        read = asked.reads(table, size)
        held[table] = (
            _rows(connection, tenant, name(table), columns[table], lists=table in asked.listed) if read else None
        )
    return held


def partition_and_table(connection: MysqlConnection, tenant: str, names: Collection[str]) -> tuple[str, str] | None:
    """Give digests of what a partition and the table that takes its place hold; None where they are not found.

    Args:
        connection: In the tenant's database.
        tenant: Named in errors.
        names: Of both, and of the partition's table, in small letters; others do no harm.

    Raises:
        DatabaseError: As its ``cause`` says.
    """
    found = connection.rows(_PARTITIONS, about=tenant)
    divided = {table for table, *_ in found}
    partitions = [
        (table, part) for table, *parts in found for part in dict.fromkeys(parts) if plain(str(part)) in names
    ]
    partitions = [(table, part) for table, part in partitions if plain(str(table)) in names]
    tables = [table for table, _ in connection.rows(_TABLES, about=tenant) if plain(str(table)) in names]
    others = [table for table in tables if table not in divided]
    if len(partitions) != 1 or len(others) != 1:
        return None
    columns = _columns(connection, tenant)
    ((table, part),), (other,) = partitions, others
    places = ((table, f"{name(table)} PARTITION ({name(part)})"), (other, name(other)))
    first, second = (_rows(connection, tenant, place, columns[of]) for of, place in places)
    return f"{first.count} {first.digest}", f"{second.count} {second.digest}"


def _columns(connection: MysqlConnection, tenant: str) -> dict[str, list[str]]:
    """Give, by table, what makes a text of each column."""
    columns: dict[str, list[str]] = defaultdict(list)
    for table, column, kind in connection.rows(_COLUMNS, about=tenant):
        value = _WRITTEN.get(str(kind).lower(), "{}").format(name(str(column)))
        columns[str(table)].append(f"IFNULL(SHA2({value}, 256), '-')")
    return columns


def _rows(connection: MysqlConnection, tenant: str, place: str, values: list[str], *, lists: bool = False) -> Rows:
    hashes = f"SELECT SHA2(CONCAT({', '.join(values)}), 256) AS h FROM {place}"
    digest = f"SELECT COUNT(*), {_HALF.format('LEFT')}, {_HALF.format('RIGHT')} FROM ({hashes}) AS x"
    ((count, first, second),) = connection.rows(digest, about=tenant)
    listed = connection.rows(hashes, about=tenant) if lists else ()
    return Rows(int(count), f"{first} {second}", tuple(str(one) for (one,) in listed))
