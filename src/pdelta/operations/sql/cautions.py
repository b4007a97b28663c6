"""What whoever applies deltas should know of them beforehand, told by the moves alone; nothing of it blocks."""

from collections.abc import Iterable, Iterator

from pdelta.formats.sql_moves import PlannedMove
from pdelta.model.finding import Finding
from pdelta.sql.ledger import Way


def cautions(moves: Iterable[PlannedMove]) -> Iterator[Finding]:
    """Give what can't be taken back, or only as its author has written it."""
    for move in moves:
        if move.way is not Way.APPLY:
            continue
        if move.irreversible:
            yield _caution("irreversible", move, f"{move.id} can't be taken back: {move.irreversible}")
        elif move.repeatable and move.former and move.reverse:
            text = f"{move.id} replaces another version: what brings that back is its written reverse, untried"
            yield _caution("untried", move, text)


def _caution(code: str, move: PlannedMove, text: str) -> Finding:
    return Finding(code, text, blocks=False, subject=move.id.encode())
