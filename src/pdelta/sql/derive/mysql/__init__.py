"""The derived reverse for MySQL and MariaDB: plain forms, read by their tokens."""

from pdelta.sql.derive.mysql.draft import Delta
from pdelta.sql.derive.mysql.statement import add_statement

__all__ = ["Delta", "add_statement"]
