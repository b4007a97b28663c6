"""How large the tables of one file are, without reading them.

Called by ``database``. SQLite keeps no count of rows: the distance from the first to the last rowid is what they can be
at most, and costs two looks into a tree. Of a table that can hold few rows the pages are counted; of any other the
file is no smaller, which is enough to know that it is not small. A table WITHOUT ROWID is passed over.
"""

from contextlib import suppress

from pdelta.databases.sqlite.connection import SqliteConnection
from pdelta.errors import DatabaseError
from pdelta.sql.lint.finding import SMALL_ROWS, TableSize

_TABLES = (
    "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'table' AND NOT wr"
    " AND name NOT LIKE 'pdelta\\_%' ESCAPE '\\' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
)
_FILE = "SELECT page_count * page_size FROM pragma_page_count, pragma_page_size"


def read(connection: SqliteConnection) -> dict[str, TableSize]:
    """Give the sizes of a file's tables.

    Raises:
        DatabaseError: The file can't be read.
    """
    ((whole,),) = connection.rows(_FILE)
    found = {}
    for (name,) in connection.rows(_TABLES):
        table = '"' + name.replace('"', '""') + '"'
        # Two questions: SQLite answers each from one end of the tree, and both in one by reading all of it.
        asked = f"SELECT (SELECT max(_rowid_) FROM {table}), (SELECT min(_rowid_) FROM {table})"
        ((last, first),) = connection.rows(asked)
        if last is None:
            found[name] = TableSize(0, 0)
        elif isinstance(last, int) and isinstance(first, int):
            rows = last - first + 1
            found[name] = TableSize(rows, _pages(connection, name, whole) if rows <= SMALL_ROWS else whole)
    return found


def _pages(connection: SqliteConnection, name: str, whole: int) -> int:
    """Give the length of a table's pages, where this SQLite can tell; else that of the file, which is no shorter."""
    with suppress(DatabaseError):
        ((length,),) = connection.rows("SELECT sum(pgsize) FROM dbstat WHERE name = ?", (name,))
        return int(length or 0)
    return whole
