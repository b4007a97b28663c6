"""How large tables are: one question for all databases of a server, by the statistics that it keeps."""

from collections.abc import Sequence
from typing import Final

from pdelta.databases.mysql.quoting import literal
from pdelta.databases.mysql.server import Server
from pdelta.sql.lint.finding import TableSize

_SIZES: Final = (
    "SELECT TABLE_NAME, MAX(TABLE_ROWS), MAX(DATA_LENGTH) FROM information_schema.TABLES"
    " WHERE TABLE_TYPE = 'BASE TABLE' AND TABLE_ROWS IS NOT NULL AND TABLE_NAME NOT LIKE 'pdelta\\\\_%'"
    " AND TABLE_SCHEMA IN ({}) GROUP BY TABLE_NAME"
)


def read(server: Server, names: Sequence[str]) -> dict[str, TableSize]:
    """Give the largest table of each name in these databases.

    Raises:
        DatabaseError: The server can't be reached.
    """
    rows = server.ask(_SIZES.format(", ".join(map(literal, names))))
    return {str(name): TableSize(int(count), int(length or 0)) for name, count, length in rows}
