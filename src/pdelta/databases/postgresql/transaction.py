"""One transaction as one string: whose each statement is, so that a failure can be told by its place.

Called by ``session``, which sends it. What stands in it, and in which order, is decided here alone.
"""

from collections.abc import Iterable, Iterator, Sequence
from enum import StrEnum
from itertools import groupby
from typing import Final, NamedTuple, Protocol

from pdelta.databases.base import Move, Work
from pdelta.databases.postgresql import ledger
from pdelta.databases.postgresql.ledger import Place
from pdelta.databases.postgresql.quoting import literal, name
from pdelta.databases.postgresql.statement import Text, look_over, single
from pdelta.errors import ScriptError
from pdelta.sql.ledger import Applied, Way
from pdelta.sql.piece import GUARD, LOSS_GUARD

WAIT_MS: Final = 10_000
"""How long what is no delta waits for a lock: a row of the ledger, a question."""

MARK: Final = "pdelta.transaction"
"""A setting of our own, which is gone when its transaction is: what is set no more was ended under us."""

REFUSED: Final = "pdelta guard "
"""Begins what a guard fails with."""


class Role(StrEnum):
    """What a statement of the string is there for."""

    FRAME = "frame"
    LEDGER = "ledger"
    """Takes, makes or reads the ledger: fails where the tenant is gone or busy."""
    HEAD = "head"
    """Fails where the ledger is not as it must be, which its message or its code tells."""
    GUARD = "guard"
    PIECE = "piece"
    VALUE = "value"
    """Gives a value that the caller asked for."""


class Line(NamedTuple):
    """One statement of the string.

    Attributes:
        text: Without what ends it.
        role: What it is there for.
        tenant: In which tenant; empty for all.
        delta: The id of the delta that it belongs to; empty for none.
        number: Of the delta's statement, from 1; 0 for none.
    """

    text: str
    role: Role = Role.FRAME
    tenant: str = ""
    delta: str = ""
    number: int = 0


class _Maker(Protocol):
    """Makes the lines of one move."""

    def __call__(self, text: str, role: Role = ..., number: int = ...) -> Line:
        """Make one."""
        ...


class Script:
    """Statements in the order in which they are executed."""

    def __init__(self, lines: Iterable[Line] = ()) -> None:
        self.lines = list(lines)

    def add(self, *texts: str) -> None:
        """Add statements that are there for the transaction itself."""
        self.lines.extend(map(Line, texts))

    @property
    def text(self) -> str:
        """The string that is sent."""
        return ";\n".join(line.text for line in self.lines)

    def position(self, index: int, position: int) -> int:
        """Give where in its statement a position of the string is, both in characters from 1; 0 for unknown."""
        inside = position - sum(len(line.text) + 2 for line in self.lines[:index])
        return inside if 0 < inside <= len(self.lines[index].text) else 0


def begin(lock_timeout_ms: int, statement_timeout_ms: int) -> list[Line]:
    """Give what every transaction begins with; whatever it sets ends with it."""
    return [
        Line("BEGIN ISOLATION LEVEL READ COMMITTED"),
        Line(f"SET LOCAL lock_timeout = {lock_timeout_ms}"),
        Line(f"SET LOCAL statement_timeout = {statement_timeout_ms}"),
        Line(f"SET LOCAL {MARK} = 'open'"),
    ]


def read_only(place: Place, text: str, statement_timeout_ms: int = 0) -> Script:
    """Give a transaction around one statement that is to read, which can't write, and is rolled back.

    Raises:
        ScriptError: It is none, or more than one.
    """
    script = Script([Line("BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY")])
    script.add(f"SET LOCAL lock_timeout = {WAIT_MS}", f"SET LOCAL statement_timeout = {statement_timeout_ms}")
    script.lines += enter(place)
    script.lines.append(Line(single(text), Role.VALUE, place.tenant))
    script.add(*roll_back())
    return script


def roll_back() -> tuple[str, ...]:
    """Give what ends a transaction without a trace; these two things of a session would survive it.

    In one string with it, because behind a pooler the next one may be executed in another session.
    """
    return ("ROLLBACK", "DEALLOCATE ALL", "SELECT pg_advisory_unlock_all()")


def enter(place: Place) -> list[Line]:
    """Give what makes a tenant the one in which names are looked for."""
    if not place.path:
        return []
    return [Line(f"SET LOCAL search_path TO {', '.join(map(name, place.path))}", Role.FRAME, place.tenant)]


def take(place: Place) -> list[Line]:
    """Give what holds a tenant's ledger until the transaction ends; it is made first where there was none."""
    made = () if place.managed else ledger.create(place)
    return [Line(text, Role.LEDGER, place.tenant) for text in (*made, ledger.lock(place))]


def work_lines(work: Work, place: Place) -> Iterator[Line]:
    """Give all that happens in one tenant, except its stamp.

    That the ledger was as ``before`` says is proved at the end: rows that are added can't have been there, those
    that are taken out must have been, and after that the head is the one that must be. (To calculate it from the rows
    is a third of what pdelta costs in a tenant, and so done once.) Who fails earlier may fail of a ledger that is
    another: ``session`` looks then.

    Raises:
        ScriptError: A piece can't be read, or would end the transaction.
    """
    yield from enter(place)
    yield from take(place)
    if any(move.replaces for move in work.moves):
        # What is replaced is not said by the move, so that the head at the end would not tell whether it was another.
        yield Line(ledger.expect(place, work.before, ledger.STALE), Role.HEAD, place.tenant)
    for is_plain, moves in groupby(work.moves, _is_plain):
        together = tuple(moves)
        if is_plain:
            rows = tuple(move.row for move in together)
            yield Line(ledger.insert(place, rows), Role.HEAD, place.tenant, rows[0].id)
        for move in together:
            yield from _move_lines(move, place)
    for text in _tidy(text for move in work.moves for text in _texts(move)):
        yield Line(text, Role.FRAME, place.tenant)
    # What is deferred fails here, where the tenant is known, and not at the COMMIT of all.
    yield Line("SET CONSTRAINTS ALL IMMEDIATE", Role.PIECE, place.tenant, work.moves[-1].row.id if work.moves else "")
    yield Line(ledger.expect(place, work.after, ledger.WRONG, mark=MARK), Role.HEAD, place.tenant)


def record_lines(place: Place, row: Applied | None, former: Applied | None) -> list[Line]:
    """Give what changes one row of the ledger and nothing else, and last what reads the new head.

    Raises:
        ValueError: There is neither a row nor a former one, or they are of two deltas.
    """
    texts: tuple[str, ...]
    match row, former:
        case None, Applied(id=id):
            texts = ledger.take_out(place, Move(Way.REVERSE, former, ()))
        case Applied(id=id), None:
            texts = (ledger.insert(place, (row,)),)
        case Applied(id=id), Applied(id=same) if id == same:
            texts = (ledger.update(place, row),)
        case _:
            raise ValueError("a record is about one row")
    return [
        *take(place),
        Line(ledger.expect_row(place, id, former), Role.HEAD, place.tenant, id),
        *(Line(text, Role.HEAD, place.tenant, id) for text in texts),
        Line(ledger.look(place), Role.VALUE, place.tenant, id),
        Line(ledger.number(place), Role.VALUE, place.tenant, id),
    ]


def end(works: Sequence[Work]) -> list[Line]:
    """Give what leaves nothing in the session, and then commits."""
    texts = [text for work in works for move in work.moves for text in _texts(move)]
    lines = []
    if any(text.settings or text.role for text in texts):
        # RESET also takes back what a pooler has set for its client; the encoding is the part that matters.
        forget = ("CLOSE ALL", "DEALLOCATE ALL", "UNLISTEN *", "SELECT pg_advisory_unlock_all()", "RESET ALL")
        lines = [*map(Line, forget), Line("SET client_encoding TO 'UTF8'")]
    return [*lines, Line("COMMIT")]


def _is_plain(move: Move) -> bool:
    """Say whether a move only adds its row, so that rows of several can be added at once."""
    return move.way is Way.APPLY and not move.replaces


def _move_lines(move: Move, place: Place) -> Iterator[Line]:
    def line(text: str, role: Role = Role.LEDGER, number: int = 0) -> Line:
        return Line(text, role, place.tenant, move.row.id, number)

    if not _is_plain(move):
        copy, remove = ledger.take_out(place, move)
        yield line(copy, Role.HEAD)
        yield line(remove)
    if move.replaces and move.way is Way.APPLY:
        yield line(ledger.insert(place, (move.row,)))
    try:
        for number, piece in enumerate(move.pieces, 1):
            for text in piece.before:
                yield from _statements(text, line, number)
            yield from _undo(piece.undo, place, move, line, number)
            yield from _statements(piece.statement, line, number)
            yield from _undo(piece.late_undo, place, move, line, number)
            for text in piece.after:
                yield from _statements(text, line, number)
    except ScriptError as error:
        raise ScriptError(error.problem, line=error.line, file=move.row.id, hint=error.hint) from error


def _statements(text: str, line: _Maker, number: int) -> Iterator[Line]:
    if _is_guard(text):
        yield line(_guard(single(text)), Role.GUARD, number)
    else:
        yield from (line(statement, Role.PIECE, number) for statement in look_over(text).statements)


def _undo(expression: str, place: Place, move: Move, line: _Maker, number: int) -> Iterator[Line]:
    """Add to the reverse of a delta that arrives; of one that goes nothing is kept."""
    if expression and move.way is Way.APPLY:
        single(f"SELECT ({expression}\n)")
        yield line(ledger.prepend(place, move.row.id, expression), Role.PIECE, number)


def _is_guard(text: str) -> bool:
    return text.lstrip().startswith((GUARD, LOSS_GUARD))


def _guard(text: str) -> str:
    """Give what fails with the guard's own words, behind their length: the server puts quotes around all of it."""
    words = f"({literal(REFUSED)} || length(said) || ' ' || said)::int"
    # OFFSET keeps the planner from calculating the cast of a constant before it knows whether there is a row.
    said = f"SELECT coalesce(said::text, '') AS said FROM ({text}\n) AS g (said) OFFSET 0"
    return f"SELECT CASE WHEN said = '' THEN 0 ELSE {words} END FROM ({said}) AS h"


def _texts(move: Move) -> Iterator[Text]:
    for piece in move.pieces:
        for text in (*piece.before, piece.statement, *piece.after):
            if not _is_guard(text):
                yield look_over(text)


def _tidy(texts: Iterable[Text]) -> Iterator[str]:
    """Give what takes back what would be in the way of the ledger, or of the next tenant."""
    held = list(texts)
    if any(text.role for text in held):
        yield from ("RESET SESSION AUTHORIZATION", "RESET ROLE")
    if any(text.temporary for text in held):
        yield "DISCARD TEMP"
