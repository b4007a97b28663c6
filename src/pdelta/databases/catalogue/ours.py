"""Names that are pdelta's own, and not the tenant's."""

from typing import Final

from pdelta.sql.derive.kept import KEPT, PARKED

LEDGER: Final = ("pdelta_applied", "pdelta_history", "pdelta_head")
"""The ledger's tables."""


def is_ours(table: str, *, parked: bool) -> bool:
    """Say whether a table is of pdelta's own making.

    Args:
        table: Its name.
        parked: Whether what is parked or kept counts as the tenant's.
    """
    return table in LEDGER or (not parked and table.startswith((PARKED, KEPT)))
