"""Which files a query names, where a SQLite file is the one that is asked: the control database of a product.

Called by ``app.compose``; other engines answer such a query through their own modules.
"""

from pdelta.databases.base import Tenant
from pdelta.databases.sqlite.connection import SqliteConnection
from pdelta.databases.sqlite.database import READ_TIMEOUT_MS
from pdelta.databases.sqlite.files import Files
from pdelta.databases.sqlite.statement import refused_as_query
from pdelta.formats.tenants import read_row


def list_by_query(folder: str, path: str, query: str) -> list[Tenant]:
    """Give the tenants that a query lists, in its order; it can't write.

    Args:
        folder: Where paths begin.
        path: Of the file that is asked.
        query: One SELECT, whose columns ``formats.tenants.read_row`` tells.

    Raises:
        DatabaseError: The file can't be read, or does not take the query.
        FormatError: A row has no name.
    """
    with SqliteConnection.opened(Files(folder), path, lock_timeout_ms=READ_TIMEOUT_MS, to_write=False) as connection:
        if reason := refused_as_query(query):
            raise connection.refusal(reason)
        connection.run("PRAGMA query_only = ON")
        columns, rows = connection.table(query)
    read = [read_row(columns, row) for row in rows]
    return [Tenant(one.name, tags=one.tags, size=one.size or 0, values=one.values) for one in read]
