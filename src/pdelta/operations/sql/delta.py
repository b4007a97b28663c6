"""A wish that was compared with a ledger, as a delta of the protocol; ``operation`` calls it once for all alike.

Values in, values out: nothing is asked of a server.
"""

from collections.abc import Sequence
from typing import Final

from pdelta.errors import StaleError
from pdelta.formats.sql_moves import PlannedMove, SqlBody, SqlWish, encode_body
from pdelta.model.change import Change, Reversibility
from pdelta.model.delta import Delta
from pdelta.operations.sql.reckon import Seen, alone_where_needed, head_after, reckon
from pdelta.operations.sql.target import KIND
from pdelta.operations.sql.versions import Histories
from pdelta.sql.ledger import Applied, Head, State, Way
from pdelta.sql.token import Dialect

RESUMED: Final = "resume"
"""What the change of a delta says that stopped half-way."""
RECORDED: Final = "record"
"""What that of a delta says of which only the ledger is written."""


def delta_of(
    head: Head, rows: tuple[Applied, ...], wish: SqlWish, dialect: Dialect, past: Histories
) -> tuple[Delta, Seen]:
    """Give what takes tenants with one ledger to a wish, and what was found on the way.

    Args:
        head: Of the ledger.
        rows: The ledger.
        wish: What is wished.
        dialect: How statements are read.
        past: What left the ledger, of the deltas that ``versioned`` names.

    Raises:
        StaleError: A delta is lacking of which no reverse was derived, because nobody lacked it before.
    """
    reckoning = reckon(rows, wish, past)
    moves = alone_where_needed(reckoning.moves, rows, dialect, past)
    for move in moves:
        if move.underived and move.way is Way.APPLY:
            raise StaleError(f"another run took {move.id} back meanwhile", hint="run the same command again")
    body = SqlBody(moves)
    changes = tuple(
        Change(
            move.way.value,
            move.id.encode(),
            Reversibility.NONE if move.irreversible else Reversibility.SCRIPT,
            detail=_detail(move, rows),
        )
        for move in moves
    )
    after = head_after(rows, moves)
    delta = Delta(
        KIND,
        str(head).encode(),
        str(after).encode(),
        encode_body(body) if moves else b"",
        changes,
        len(changes),
        reversible=not any(move.irreversible for move in moves),
    )
    return delta, Seen(head, rows, reckoning)


def _detail(move: PlannedMove, rows: Sequence[Applied]) -> str:
    if any(row.id == move.id and row.state is not State.APPLIED for row in rows):
        return RESUMED
    return RECORDED if move.way is Way.APPLY and not move.pieces else ""
