"""Planned moves -> what a database executes in one tenant: checks become guards, and reverses are cut into pieces."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from pdelta.databases.base import Move
from pdelta.errors import PdeltaError
from pdelta.formats.sql_moves import PlannedMove
from pdelta.sql.alone import needs_no_transaction
from pdelta.sql.ledger import Applied, Proved, State, Way
from pdelta.sql.mark import Mark, encode_mark
from pdelta.sql.naming import may_change_rows, names_in
from pdelta.sql.piece import GUARD, LOSS_GUARD, NO_WAY_HINT, Piece
from pdelta.sql.split import Statement, split
from pdelta.sql.token import Dialect, Mode

CHECK: str = "its check does not hold before"
VERIFY: str = "its verify does not hold after"


class Limits(NamedTuple):
    """How long a statement waits for a lock, and how long it may take; 0 for as long as it does.

    By the names that sessions have for them.
    """

    lock_timeout_ms: int
    statement_timeout_ms: int = 0


class Imprint(msgspec.Struct, frozen=True):
    """What a run leaves in every row that it writes.

    Attributes:
        run: Its id.
        who: Who asked for it.
        at: When it began, in UTC, as ``2026-01-31T23:59:59Z``.
        tool: Program and version.
        proved: The ids of deltas whose reverse was proved.
    """

    run: str
    who: str
    at: str
    tool: str
    proved: frozenset[str] = frozenset()


class Workshop:
    """Makes moves for tenants of one dialect; what is equal for all of them is made once.

    Args:
        dialect: How the SQL is read.
        modes: What the server changes about that.
        imprint: What the run leaves in rows.
    """

    def __init__(self, dialect: Dialect, modes: frozenset[Mode], imprint: Imprint) -> None:
        """Begin with nothing made."""
        self.dialect = dialect
        self._modes = modes
        self._imprint = imprint
        self._made: dict[int, tuple[PlannedMove, Move]] = {}
        self._reversed: dict[int, tuple[PlannedMove, Applied, Move]] = {}
        self._named: dict[int, tuple[PlannedMove, frozenset[str], bool]] = {}

    @property
    def run(self) -> str:
        """In the name of which run it makes them."""
        return self._imprint.run

    @property
    def who(self) -> str:
        """Who asked for that."""
        return self._imprint.who

    @property
    def tool(self) -> str:
        """Which program and version makes them."""
        return self._imprint.tool

    def applying(self, planned: PlannedMove) -> Move:
        """Give the move that applies a delta.

        Raises:
            PdeltaError: Its statements are not known.
        """
        if planned.underived:
            raise PdeltaError(
                f"{planned.id} can't be applied again: what it does is not known here",
                hint="apply it: pdelta sql apply",
            )
        kept = self._made.get(id(planned))
        if kept is None:
            kept = self._made[id(planned)] = (planned, self._applying(planned))
        return kept[1]

    def recording(self, planned: PlannedMove) -> Move:
        """Give the move that records a delta whose effect was there already, so that there is nothing to take back."""
        row = msgspec.structs.replace(self._row(planned, ""), irreversible="", captured=encode_mark(Mark(found=True)))
        return Move(Way.APPLY, row, (), replaces=bool(planned.former))

    def reversing(self, planned: PlannedMove, row: Applied, tenant: str) -> Move:
        """Give the move that takes a delta back as this tenant's own row says.

        Raises:
            PdeltaError: The row holds no reverse.
        """
        _refuse_irreversible(planned, row, tenant)
        kept = self._reversed.get(id(planned))
        if kept is None or kept[1] != row:
            # The last one alone: tenants that got a delta in one run have equal rows, and others each their own.
            pieces = self._reverse_pieces(planned, row)
            move = Move(Way.REVERSE, row, pieces, run=self._imprint.run, who=self._imprint.who)
            kept = self._reversed[id(planned)] = (planned, row, move)
        return kept[2]

    def restoring(self, planned: PlannedMove, going: Sequence[Applied], former: Applied | None, tenant: str) -> Move:
        """Give the move that takes a repeatable delta back, version by version.

        Args:
            planned: As it was planned.
            going: The tenant's row, and the versions that go with it, the newest first.
            former: The row that comes back; None for none.
            tenant: Whose.

        Raises:
            PdeltaError: A version holds no reverse.
        """
        for row in going:
            _refuse_irreversible(planned, row, tenant)
        pieces = tuple(piece for row in going for piece in self._reverse_pieces(planned, row))
        way, row = (Way.REVERSE, going[0]) if former is None else (Way.APPLY, former)
        return Move(way, row, pieces, replaces=former is not None, run=self._imprint.run, who=self._imprint.who)

    def reverse_pieces(self, text: str, *, accept_loss: bool) -> tuple[Piece, ...]:
        """Give a reverse's statements; guards stand before the statement that they are about."""
        pieces: list[Piece] = []
        guards: list[str] = []
        end = 0
        for statement in split(text, self.dialect, modes=self._modes):
            gap, end = text[end : statement.offset], statement.tokens[-1].end
            if LOSS_GUARD in gap:
                if not accept_loss:
                    guards.append(f"{LOSS_GUARD} {statement.text}")
            elif GUARD in gap:
                guards.append(f"{GUARD} {statement.text}")
            else:
                pieces.append(Piece(statement.text, before=tuple(guards), number=len(pieces) + 1))
                guards = []
        if guards:
            # What is asked after the last statement.
            last = pieces[-1] if pieces else Piece("SELECT 1")
            pieces[-1:] = [msgspec.structs.replace(last, after=(*last.after, *guards))]
        return tuple(pieces)

    def reverse_text(self, rows: Iterable[Applied]) -> str:
        """Give one reverse of several, each cut by itself and ended as all are, with its guards."""
        pieces = (piece for row in rows for piece in self.reverse_pieces(row.reverse, accept_loss=False))
        texts = (text for piece in pieces for text in (*piece.before, piece.statement, *piece.after))
        return "".join(f"{text};\n" for text in texts)

    def holds(self, text: str) -> str:
        """Give the SELECT of 1 or 0 that says whether what a check asks is true."""
        return f"SELECT CASE WHEN {_value(text, self.dialect)} THEN 1 ELSE 0 END"

    def names(self, planned: PlannedMove) -> frozenset[str]:
        """Give all that a delta and its written reverse name, in small letters."""
        return self._told(planned)[0]

    def may_change_rows(self, planned: PlannedMove) -> bool:
        """Say whether a delta may change, or lose, rows that were there before."""
        return planned.derived == "rows" or self._told(planned)[1]

    def commits(self, pieces: Iterable[Piece]) -> str:
        """Give what about these pieces can't stand in a transaction; empty where all can."""
        return next((why for one in self._statements(pieces) if (why := needs_no_transaction(one, self.dialect))), "")

    def _statements(self, pieces: Iterable[Piece]) -> Iterator[Statement]:
        return (one for piece in pieces for one in split(piece.statement, self.dialect, modes=self._modes))

    def _told(self, planned: PlannedMove) -> tuple[frozenset[str], bool]:
        kept = self._named.get(id(planned))
        if kept is None:
            forward = list(self._statements(planned.pieces))
            back = split(planned.reverse, self.dialect, modes=self._modes)
            changes = any(map(may_change_rows, forward))
            kept = self._named[id(planned)] = (planned, names_in((*forward, *back)), changes)
        return kept[1:]

    def _reverse_pieces(self, planned: PlannedMove, row: Applied) -> tuple[Piece, ...]:
        if planned.recorded:
            return ()
        return self.reverse_pieces(row.reverse, accept_loss=planned.accept_loss)

    def _applying(self, planned: PlannedMove) -> Move:
        row = self._row(planned, planned.reverse)
        checks = tuple(self._guard(text, f"{planned.id}: {CHECK}: {_short(text)}") for text in planned.check)
        verifies = tuple(self._guard(text, f"{planned.id}: {VERIFY}: {_short(text)}") for text in planned.verify)
        pieces = list(planned.pieces)
        if pieces:
            pieces[0] = msgspec.structs.replace(pieces[0], before=(*checks, *pieces[0].before))
            pieces[-1] = msgspec.structs.replace(pieces[-1], after=(*pieces[-1].after, *verifies))
        return Move(Way.APPLY, row, tuple(pieces), replaces=bool(planned.former))

    def _guard(self, select: str, refusal: str) -> str:
        quoted = "'" + refusal.replace("\\", "/").replace("'", "''") + "'"
        return f"{GUARD} SELECT CASE WHEN {_value(select, self.dialect)} THEN '' ELSE {quoted} END"

    def _row(self, planned: PlannedMove, reverse: str) -> Applied:
        imprint = self._imprint
        return Applied(
            id=planned.id,
            digest=planned.digest,
            state=State.APPLIED,
            reverse=reverse,
            captured=planned.captured,
            irreversible=planned.irreversible,
            proof=Proved.SCHEMA.value if planned.id in imprint.proved else "",
            run=imprint.run,
            who=imprint.who,
            at=imprint.at,
            tool=imprint.tool,
        )


def lock_timeout_ms(moves: Iterable[PlannedMove], usual_ms: int) -> int:
    """Give how long a transaction of these moves may wait for a lock."""
    return max((move.lock_timeout_ms for move in moves if move.lock_timeout_ms), default=usual_ms)


def segments(moves: Sequence[PlannedMove], *, transactional: bool) -> list[tuple[bool, tuple[PlannedMove, ...]]]:
    """Cut moves into those that share one transaction, and those that have one for themselves or none.

    Returns:
        Pairs of whether a transaction holds them, and the moves.
    """
    cut: list[tuple[bool, tuple[PlannedMove, ...]]] = []
    for move in moves:
        # Where only the ledger changes, every engine has a transaction.
        writes = move.recorded or (move.way is Way.APPLY and not move.pieces and not move.underived)
        together = writes or (transactional and not move.alone)
        if together and cut and cut[-1][0] and not (move.apart or cut[-1][1][-1].apart):
            cut[-1] = (True, (*cut[-1][1], move))
        else:
            cut.append((together, (move,)))
    return cut


def unable(tenant: str, id: str, reason: str) -> PdeltaError:
    """Give the error of a tenant that can't take a delta back."""
    return PdeltaError(f"{tenant}: {id} can't be reversed: {reason}; it is still applied", hint=NO_WAY_HINT)


def _refuse_irreversible(planned: PlannedMove, row: Applied, tenant: str) -> None:
    if row.irreversible and not planned.recorded:
        raise unable(tenant, row.id, row.irreversible)


def _value(select: str, dialect: Dialect) -> str:
    """Give the expression of the one value that a SELECT gives; it is not true where there are several rows.

    SQLite takes the first row, where other engines refuse by themselves.
    """
    if dialect is not Dialect.SQLITE:
        return f"({select})"
    return f"(WITH pdelta_c(v) AS ({select}) SELECT count(*) = 1 AND max(v) FROM (SELECT v FROM pdelta_c LIMIT 2))"  # noqa: S608 - a delta's own check


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 80 else line[:79] + "…"
