"""The derived reverse for PostgreSQL: from the parser's tree of each statement.

Imported only where it is used: the parser is an extra, and takes 70 ms to import.
"""

from pdelta.sql.derive.postgresql.change import Delta
from pdelta.sql.derive.postgresql.statement import add_statement

__all__ = ["Delta", "add_statement"]
