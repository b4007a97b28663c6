"""What a delta for MySQL has made so far, and the guards before it is taken away again."""

from enum import IntEnum

import msgspec

from pdelta.sql import own_rows
from pdelta.sql.derive.draft import Draft, Terms
from pdelta.sql.derive.mysql.text import Name, amount, joined, literal, said
from pdelta.sql.piece import LOSS_GUARD, Piece


class Turn(IntEnum):
    """When a clause of an ALTER TABLE is taken back: what was added goes before what was there comes."""

    GUARD = 0
    ADDED_KEY = 1
    ADDED_INDEX = 2
    ADDED_COLUMN = 3
    COLUMN = 4
    VALUE = 5
    INDEX = 6
    KEY = 7


class Change(msgspec.Struct, frozen=True):
    """What is executed around a statement; see ``Piece``.

    Attributes:
        before: Guards.
        undo: An expression, evaluated before the statement.
        late: An expression, evaluated after it.
        statement: What is executed in place of the statement; None for itself.
        calculated: Whether that is an expression whose value is executed.
        after: What comes last in the same transaction, of a statement that shares one.
        first: Pieces that come before.
        last: Pieces that come after.
        rows: Whether the reverse depends on rows.
        turn: When it is taken back, of several clauses of one statement, which have happened at once.
        guards: An expression of what is asked before any clause is taken back.
        clause: A query of ``place`` and ``text``: what takes a column back in one ALTER TABLE with the others, for what
            happened at once has no order in which names and places fit.
        renames: What a column is called before and after.
        adds: A column that is added.
        drops: A column that is dropped.
        index: An index that is dropped.
        key: A foreign key that is dropped.
    """

    before: tuple[str, ...] = ()
    undo: str = ""
    late: str = ""
    statement: str | None = None
    calculated: bool = False
    after: tuple[str, ...] = ()
    first: tuple[Piece, ...] = ()
    last: tuple[Piece, ...] = ()
    rows: bool = False
    turn: Turn = Turn.COLUMN
    guards: str = ""
    clause: str = ""
    renames: tuple[Name, Name] | None = None
    adds: Name | None = None
    drops: Name | None = None
    index: Name | None = None
    key: Name | None = None


class Fresh(msgspec.Struct):
    """A column that the delta has made for certain, and that its reverse drops.

    Attributes:
        table: Its table, when it was made.
        column: Its name then.
        default: The expression of a value that is no loss; None where any value is one.
        is_number: Whether its values are compared as numbers.
        key: By which its values are known in the reverse.
        piece: The number of the piece that made it.
        fills: The pieces by which the delta itself has put values there, each with the names that it has then.
    """

    table: Name
    column: Name
    default: str | None
    is_number: bool = False
    key: str = ""
    piece: int = -1
    fills: list[tuple[int, Name, Name]] = []


class Delta(Draft):
    """A delta for MySQL or MariaDB: it remembers which tables and columns are fresh.

    Args:
        terms: How it is derived.
    """

    def __init__(self, terms: Terms) -> None:
        super().__init__(terms)
        self.tables: dict[Name, str] = {}
        self.columns: dict[tuple[Name, str], Fresh] = {}

    def add(self, change: Change, statement: str, *, alone: bool) -> None:
        """Append the pieces of one statement."""
        self.rows |= change.rows
        self.pieces.extend(change.first)
        for fresh in self.columns.values():
            if fresh.piece < 0:
                fresh.piece = self.place
        text = statement if change.statement is None else change.statement
        self.pieces.append(
            Piece(
                text,
                change.before,
                change.undo,
                change.late,
                change.after,
                alone=alone,
                calculated=change.calculated,
            )
        )
        self.pieces.extend(change.last)

    def renamed(self, table: Name, new: Name) -> None:
        """Know a table by its new name."""
        if table in self.tables:
            self.tables[new] = self.tables.pop(table)
        for known in [known for known in self.columns if known[0] == table]:
            self.columns[new, known[1]] = self.columns.pop(known)

    def dropped(self, table: Name) -> None:
        """Forget a table."""
        self.tables.pop(table, None)
        for known in [known for known in self.columns if known[0] == table]:
            del self.columns[known]

    def finish(self) -> None:
        """Put a guard before whatever takes fresh columns away, where what they hold then would be lost."""
        for fresh in self.columns.values():
            self._surround(fresh.piece, late=_loss_guard(fresh))
            for place, table, column in fresh.fills:
                there = msgspec.structs.replace(fresh, table=table, column=column)
                begin, end = map(literal, own_rows.found(fresh.key))
                found = f"(SELECT concat({begin}, {_total(there)}, {end}) FROM {table} WHERE {_where(there)})"
                self._surround(place, undo=found, late=_left_guard(there))

    def _surround(self, place: int, *, undo: str = "", late: str = "") -> None:
        piece = self.pieces[place]
        self.pieces[place] = msgspec.structs.replace(
            piece, undo=joined([undo, piece.undo]), late_undo=joined([late, piece.late_undo])
        )


def table_loss_guard(table: Name) -> str:
    """Give the text of the guard that counts the rows of a table."""
    what = amount(table.name, "would be lost", "would be lost")
    return f"{LOSS_GUARD} SELECT CASE WHEN count(*) > 0 THEN {what} END FROM {table};"


def column_loss_guard(fresh: Fresh) -> str:
    """Give the text of the guard that counts values other than the default."""
    lost = f"a value in {fresh.column.name} that would be lost"
    what = amount(fresh.table.name, f"has {lost}", f"have {lost}")
    return f"{LOSS_GUARD} SELECT CASE WHEN count(*) > 0 THEN {what} END FROM {fresh.table} WHERE {_where(fresh)};"


def _where(fresh: Fresh) -> str:
    default = fresh.default or "NULL"
    if fresh.is_number:
        return f"NOT ({fresh.column} <=> {default})"
    # Bytes are compared: by its collation a value may be equal to another.
    return f"NOT (CAST({fresh.column} AS BINARY) <=> CAST({default} AS BINARY))"


def _loss_guard(fresh: Fresh) -> str:
    """Give the expression of the guard that counts what was there when the column was made, if only its default."""
    if fresh.default is None:
        return _left_guard(fresh)
    if not fresh.fills:
        return said(column_loss_guard(fresh))
    return said(_counting_guard(fresh))


def _counting_guard(fresh: Fresh) -> str:
    """Give the text of the guard that counts values beside those of the delta, right before the DROP.

    Other steps may part it from the guard behind a statement that fills the column.
    """
    lost = f"a value in {fresh.column.name} that would be lost"
    what = amount(fresh.table.name, f"has {lost}", f"have {lost}", "q.n")
    counted = f"SELECT {own_rows.OWN} FROM {fresh.table} WHERE {_where(fresh)}"
    return f"{LOSS_GUARD}{own_rows.counting(fresh.key)} SELECT CASE WHEN q.n > 0 THEN {what} END FROM ({counted}) q;"


def _left_guard(fresh: Fresh) -> str:
    """Give the expression of the guard that counts values, if they are others than the delta has left."""
    where = _where(fresh)
    lost = f"a value in {fresh.column.name} that would be lost"
    what = amount(
        fresh.table.name,
        f"has {lost}, and it is not as the delta left it",
        f"have {lost}, not all of them as the delta left them",
    )
    begin, end = own_rows.left(fresh.key)
    parts = said(
        LOSS_GUARD + begin,
        ("x.held",),
        f"{end} SELECT CASE WHEN count(*) > 0 AND {_total(fresh)} <> '",
        ("x.held",),
        f"' THEN {what} END FROM {fresh.table} WHERE {where};{own_rows.emptied(fresh.key)}",
    )
    return f"(SELECT {parts} FROM (SELECT {_total(fresh)} AS held FROM {fresh.table} WHERE {where}) x)"


def _total(fresh: Fresh) -> str:
    value = f"conv(left(sha2({fresh.column}, 256), 15), 16, 10)"
    return f"concat(count(*), ' ', coalesce(sum(CAST({value} AS DECIMAL(20))), 0))"
