"""The derived reverse for SQLite: plain forms, read by their tokens."""

from pdelta.sql.derive.sqlite.draft import Delta
from pdelta.sql.derive.sqlite.statement import add_statement

__all__ = ["Delta", "add_statement"]
