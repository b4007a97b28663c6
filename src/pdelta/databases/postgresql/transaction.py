"""What one transaction does in its tenants, as one string.

Called by ``session``, which sends it. What stands in it, and in which order, is decided here alone.
"""

from collections.abc import Iterator
from itertools import groupby
from typing import Final, NamedTuple

from pdelta.databases.base import Move, Work
from pdelta.databases.postgresql import ledger
from pdelta.databases.postgresql.ledger import Place
from pdelta.databases.postgresql.quoting import literal
from pdelta.databases.postgresql.script import Line, Role, Script, enter
from pdelta.databases.postgresql.statement import Text, look_over, single
from pdelta.errors import ScriptError
from pdelta.sql.ledger import Applied, Way, way_out
from pdelta.sql.piece import GUARD, LOSS_GUARD

MARK: Final = "pdelta.transaction"
"""A setting of our own, which is gone when its transaction is: what is set no more was ended under us."""

_IDLE: Final = "SET LOCAL idle_in_transaction_session_timeout = '1min'"
"""Where the client compares before it commits: one that is gone without a word holds no lock for longer."""

REFUSED: Final = "pdelta guard "
"""Begins what a guard fails with."""


class Limits(NamedTuple):
    """How long a transaction's statements may wait, and take.

    Attributes:
        lock_timeout_ms: How long each waits for a lock; 0 for ever.
        statement_timeout_ms: How long each may take; 0 for ever.
    """

    lock_timeout_ms: int
    statement_timeout_ms: int = 0


class Transaction:
    """A transaction while it is written; whatever it sets ends with it.

    Args:
        limits: For its statements.
        is_followed: Whether another comes behind it in the same string, whose COMMIT makes this one durable too.
        is_told: Whether the ledgers are compared by the client, before it sends the COMMIT.
        is_steady: Whether it is not to see what others commit meanwhile.
        comes_to_nothing: Whether it is rolled back at the end, so that no COMMIT asks for deferred constraints.

    Attributes:
        script: What is to be sent.
        sets: Whether a delta may have set something, be it for the transaction alone.
        leaves: Whether one may have left something in the session.
    """

    def __init__(
        self,
        limits: Limits,
        *,
        is_followed: bool = False,
        is_told: bool = False,
        is_steady: bool = False,
        comes_to_nothing: bool = False,
    ) -> None:
        level = "REPEATABLE READ" if is_steady else "READ COMMITTED"
        self.script = Script([Line(f"BEGIN ISOLATION LEVEL {level}")])
        self._settings = (
            f"SET LOCAL lock_timeout = {limits.lock_timeout_ms}",
            f"SET LOCAL statement_timeout = {limits.statement_timeout_ms}",
            f"SET LOCAL {MARK} = 'open'",
        )
        if is_followed:
            self.script.add("SET LOCAL synchronous_commit = off")
        self.script.add(*self._settings)
        if is_told:
            self.script.add(_IDLE)
        self._is_told = is_told
        self._asks_each = comes_to_nothing
        self._tenants = 0
        self.sets = False
        self.leaves = False

    def work(self, work: Work, place: Place, *, is_last: bool) -> None:
        """Add all that happens in one tenant, except its stamp.

        That the ledger was as ``before`` says is proved at the end: rows that are added can't have been there, those
        that are taken out must have been, and after that the head is the one that must be. (To calculate it from the
        rows is the largest part of what pdelta costs in a tenant, and so done once.) Who fails earlier may fail of a
        ledger that is another: ``session`` looks then.

        Args:
            work: What.
            place: Where the ledger is.
            is_last: Whether no other tenant comes after it.

        Raises:
            ScriptError: A piece can't be read, or would end the transaction.
        """
        lines = self.script.lines
        if self.sets:
            # What a delta has set is not meant for the next tenant.
            self.script.add(*self._settings)
        lines += enter(place)
        lines += take(place)
        if any(move.replaces for move in work.moves):
            # What is replaced is not said by the move: the head at the end would not tell whether it was another.
            lines.append(Line(ledger.expect(place, work.before, ledger.STALE), Role.HEAD, place.tenant))
        writing = _Writing(place)
        for is_plain, moves in groupby(work.moves, _is_plain):
            writing.add(tuple(moves), is_plain=is_plain)
        lines += writing.lines
        lines += (Line(text, Role.FRAME, place.tenant) for text in _tidy(writing.texts))
        self._tenants += 1
        if self._asks_each or (is_last and self._tenants == 1):
            lines += _look_at_constraints(place, work, is_last=is_last)
        elif is_last:
            # Whose constraint it was nobody can say.
            lines.append(Line(_LOOK, Role.PIECE))
        if self._is_told:
            if any(text.sets for text in writing.texts):
                # The next tenant's settings would hide that the mark is gone.
                lines.append(marked(place.tenant))
            lines.append(Line(ledger.tell(place), Role.TOLD, place.tenant))
        else:
            lines.append(Line(ledger.expect(place, work.after, ledger.WRONG, mark=MARK), Role.HEAD, place.tenant))
        self.sets |= any(text.sets for text in writing.texts)
        self.leaves |= any(text.leaves or text.role for text in writing.texts)

    def commit(self) -> list[Line]:
        """Give what leaves nothing in the session, and then commits."""
        return [*map(Line, ending(leaves=self.leaves))]


def ending(*, leaves: bool) -> tuple[str, ...]:
    """Give what ends a transaction; before that what takes back what may be left in the session."""
    if not leaves:
        return ("COMMIT",)
    # RESET also takes back what a pooler has set for its client; the encoding is the part that matters.
    forget = ("CLOSE ALL", "DEALLOCATE ALL", "UNLISTEN *", "SELECT pg_advisory_unlock_all()", "RESET ALL")
    return (*forget, "SET client_encoding TO 'UTF8'", "COMMIT")


def fits(work: Work) -> bool:
    """Say whether the two heads can be of one ledger; only then the second proves the first."""
    arriving = sum(move.way is Way.APPLY and not move.replaces for move in work.moves)
    leaving = sum(move.way is Way.REVERSE for move in work.moves)
    return work.before.count + arriving - leaving == work.after.count


def take(place: Place) -> list[Line]:
    """Give what holds a tenant's ledger until the transaction ends; it is made first where there was none."""
    made = () if place.managed else ledger.create(place)
    return [Line(text, Role.LEDGER, place.tenant) for text in (*made, ledger.lock(place))]


def record_lines(place: Place, row: Applied | None, former: Applied | None, run: str = "", who: str = "") -> list[Line]:
    """Give what changes one row of the ledger and nothing else, and last what reads the new head.

    A row whose place another takes goes into the history too, as does one that is removed.

    Args:
        place: Of the ledger.
        row: The row to be; None for none.
        former: The row that must be there; None for none.
        run: In which run that happens, for the history.
        who: Who asked for it.

    Raises:
        ValueError: There is neither a row nor a former one, or they are of two deltas.
    """
    texts: tuple[str, ...]
    match row, former:
        case None, Applied(id=id):
            texts = ledger.take_out(place, Move(Way.REVERSE, former, (), run=run, who=who), Way.REVERSE)
        case Applied(id=id), None:
            texts = (ledger.insert(place, (row,)),)
        case Applied(id=id), Applied(id=same) if id == same:
            way = way_out(former, row)
            if way is None:
                texts = (ledger.update(place, row),)
            else:
                # What takes the former one back must not be lost.
                gone = Move(way, former, (), replaces=way is Way.APPLY, run=run, who=who)
                texts = (*ledger.take_out(place, gone), ledger.insert(place, (row,)))
        case _:
            raise ValueError("a record is about one row")
    return [
        *take(place),
        Line(ledger.expect_row(place, id, former), Role.HEAD, place.tenant, id),
        *(Line(text, Role.HEAD, place.tenant, id) for text in texts),
        Line(ledger.look(place), Role.VALUE, place.tenant, id),
        Line(ledger.number(place), Role.VALUE, place.tenant, id),
    ]


class _Writing:
    """The moves of one tenant while they are written."""

    def __init__(self, place: Place) -> None:
        self.lines: list[Line] = []
        self.texts: list[Text] = []
        self._place = place
        self._delta = ""
        self._number = 0

    def add(self, moves: tuple[Move, ...], *, is_plain: bool) -> None:
        """Add moves of one kind; the rows of those that only add theirs are added at once, and first."""
        if is_plain:
            self._delta = moves[0].row.id
            self._line(ledger.insert(self._place, tuple(move.row for move in moves)), Role.HEAD)
        for move in moves:
            if self.texts:
                # A delta that changed the search path did so for itself alone.
                self.lines += enter(self._place)
            self._delta, self._number = move.row.id, 0
            if not is_plain:
                self._replace(move)
            try:
                self._pieces(move)
            except ScriptError as error:
                raise ScriptError(error.problem, line=error.line, file=move.row.id, hint=error.hint) from error

    def _line(self, text: str, role: Role) -> None:
        self.lines.append(Line(text, role, self._place.tenant, self._delta, self._number))

    def _replace(self, move: Move) -> None:
        taken, *removed = ledger.take_out(self._place, move)
        self._line(taken, Role.HEAD)
        for text in removed:
            self._line(text, Role.LEDGER)
        if move.way is Way.APPLY:
            self._line(ledger.insert(self._place, (move.row,)), Role.HEAD)

    def _pieces(self, move: Move) -> None:
        for place, piece in enumerate(move.pieces, start=1):
            self._number = piece.number or place
            for text in piece.before:
                self._text(text)
            self._undo(piece.undo, move)
            self._text(piece.statement)
            self._undo(piece.late_undo, move)
            for text in piece.after:
                self._text(text)

    def _text(self, text: str) -> None:
        if text.lstrip().startswith((GUARD, LOSS_GUARD)):
            # What it is of, the failure tells by the line.
            mark = f"{LOSS_GUARD} " if LOSS_GUARD in text else ""
            self._line(mark + _guard(single(text)), Role.GUARD)
            return
        looked = look_over(text)
        self.texts.append(looked)
        for statement in looked.statements:
            self._line(statement, Role.PIECE)

    def _undo(self, expression: str, move: Move) -> None:
        """Add to the reverse of a delta that arrives; of one that goes nothing is kept."""
        if expression and move.way is Way.APPLY:
            single(f"SELECT ({expression}\n)")
            self._line(ledger.prepend(self._place, move.row.id, expression), Role.PIECE)


def marked(tenant: str) -> Line:
    """Give what fails unless it is still the transaction that was begun, after what was done in this tenant."""
    return Line(ledger.expect_mark(MARK), Role.HEAD, tenant)


def _is_plain(move: Move) -> bool:
    """Say whether a move only adds its row, so that rows of several can be added at once."""
    return move.way is Way.APPLY and not move.replaces


def _look_at_constraints(place: Place, work: Work, *, is_last: bool) -> Iterator[Line]:
    """Give what lets deferred constraints fail where the tenant is known, and not at the COMMIT.

    To ask for it changes how they are looked at from then on; so before another tenant comes, that is taken back. Where
    several tenants commit together, the last one asks for all: a failure undoes all, and whose it was is seen when
    they are done one by one.
    """
    asked = Line(_LOOK, Role.PIECE, place.tenant, work.moves[-1].row.id if work.moves else "")
    if is_last:
        yield asked
    else:
        frame = [Line(text, Role.FRAME, place.tenant) for text in _FOR_A_MOMENT]
        yield from (frame[0], asked, frame[1], frame[2])


_LOOK: Final = "SET CONSTRAINTS ALL IMMEDIATE"
_FOR_A_MOMENT: Final = ("SAVEPOINT pdelta", "ROLLBACK TO SAVEPOINT pdelta", "RELEASE SAVEPOINT pdelta")


def _guard(text: str) -> str:
    """Give what fails with the guard's own words, behind their length: the server puts quotes around all of it."""
    words = f"({literal(REFUSED)} || length(said) || ' ' || said)::int"
    # OFFSET keeps the planner from calculating the cast of a constant before it knows whether there is a row.
    said = f"SELECT coalesce(said::text, '') AS said FROM ({text}\n) AS g (said) OFFSET 0"
    return f"SELECT CASE WHEN said = '' THEN 0 ELSE {words} END FROM ({said}) AS h"


def _tidy(texts: list[Text]) -> Iterator[str]:
    """Give what takes back what would be in the way of the ledger, or of the next tenant."""
    if any(text.role for text in texts):
        yield from ("RESET SESSION AUTHORIZATION", "RESET ROLE")
    if any(text.temporary for text in texts):
        yield "DISCARD TEMP"
