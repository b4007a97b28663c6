"""Whether a ledger is the one that its stamp speaks of: one that a person edited is not.

Called where a tenant seems to lack what it is to lose, and asks nothing before that.
"""

from collections.abc import Mapping, Sequence

from pdelta.databases.base import Database
from pdelta.errors import NeedsOperatorError
from pdelta.sql.ledger import Applied, head_of_rows


def edited_by_hand(database: Database, ledgers: Mapping[str, Sequence[Applied]]) -> frozenset[str]:
    """Give the tenants whose ledgers were changed by somebody else than pdelta, which writes both in one transaction.

    A stamp that is missing, or does not count, says nothing: an engine that has none tells of no tenant. What another
    run does meanwhile changes the ledger too, and is not taken for that.

    Args:
        database: Whose tenants.
        ledgers: What was read of them a moment ago.
    """
    stamps = database.stamps(list(ledgers))
    doubted = [name for name, stamp in stamps.items() if stamp != head_of_rows(ledgers[name])]
    again = database.ledgers(doubted) if doubted else {}
    return frozenset(
        name
        for name, rows in again.items()
        if not isinstance(rows, Exception) and head_of_rows(rows) == head_of_rows(ledgers[name])
    )


def lacking(tenant: str, ids: Sequence[str]) -> NeedsOperatorError:
    """Give the error that says that nothing can take these deltas back in a tenant whose ledger was edited.

    Args:
        tenant: Its name.
        ids: Of the deltas without a row, the newest first.
    """
    reason = f"its ledger has no row of {', '.join(ids)}, and is not as its stamp says: somebody changed it by hand"
    error = NeedsOperatorError(
        f"{tenant}: {reason}; nothing was changed there",
        hint=f"if it has what was made, record that, and take it back then: pdelta sql adopt --up-to {ids[0]} --only"
        f" {tenant}; if not, remove the stamp, as docs/formats/sql-ledger.md says",
    )
    error.reason = reason
    return error
