"""What one statement, or one command of an ALTER TABLE, asks for around it; and what a delta has made so far."""

from collections.abc import Iterable
from typing import Final

import msgspec

from pdelta.sql import own_rows
from pdelta.sql.derive.draft import Draft, Terms
from pdelta.sql.derive.postgresql.text import NOTHING, Name, Sql, amount, identifier, joined, said, when
from pdelta.sql.piece import GUARD, LOSS_GUARD, Piece

EXCLUSIVE: Final = "ACCESS EXCLUSIVE"
NO_WRITERS: Final = "SHARE ROW EXCLUSIVE"
"""The lock that keeps others from changing rows, and not from reading them."""


class Look(msgspec.Struct, frozen=True):
    """Where a delta that goes step by step looks at what something fresh holds, before a statement and behind it.

    Attributes:
        place: The number of the statement's piece.
        table: What the table is called there.
        column: What the column is called there; empty for a whole table.
        mode: Of the lock that keeps others away meanwhile.
        fills: Whether the statement puts content there that its own reverse leaves there.
        moves: Whether rows that hold it may come and go with the statement, and its own reverse sees to them; where it
            does neither, it makes what is there look another way.
    """

    place: int
    table: Name
    column: str
    mode: str
    fills: bool = False
    moves: bool = False


class Fresh(msgspec.Struct):
    """A table or column that the delta has made for certain, and that its reverse drops.

    Attributes:
        table: The table's name when its content was last given by the delta; step by step, when it was made.
        column: The column's name then; empty for a whole table.
        default: The expression of a value that is no loss; None where any value is one.
        filled: Whether the delta itself has put content there.
        piece: The number of the piece that gave it its content; step by step, that made it.
        looks: The pieces behind that, step by step.
        kind: Its type, if that may have a default which rows get.
    """

    table: Name
    column: str = ""
    default: str | None = None
    filled: bool = False
    piece: int = -1
    looks: list[Look] = []
    kind: Name | None = None


class Change(msgspec.Struct, frozen=True):
    """What is executed around a statement; see ``Piece``.

    Attributes:
        before: Guards, and what keeps rows.
        undo: An expression, evaluated before the statement.
        late: An expression, evaluated after it.
        after: Guards.
        statement: What is executed in place of the statement; None for itself.
        rows: Whether the reverse depends on rows.
        fresh: What it makes.
    """

    before: tuple[str, ...] = ()
    undo: str = ""
    late: str = ""
    after: tuple[str, ...] = ()
    statement: str | None = None
    rows: bool = False
    fresh: tuple[Fresh, ...] = ()

    def piece(self, statement: str, *, alone: bool = False) -> Piece:
        """Give the piece of this statement."""
        return Piece(
            statement=statement if self.statement is None else self.statement,
            before=self.before,
            undo="" if self.undo == NOTHING else self.undo,
            late_undo="" if self.late == NOTHING else self.late,
            after=self.after,
            alone=alone,
        )


def together(changes: Iterable[Change]) -> Change:
    """Give the change of commands that one statement executes in this order; what comes last is undone first."""
    held = list(changes)
    return Change(
        before=tuple(text for one in held for text in one.before),
        undo=joined(one.undo for one in reversed(held)),
        late=joined(one.late for one in reversed(held)),
        after=tuple(text for one in held for text in one.after),
        rows=any(one.rows for one in held),
        fresh=tuple(fresh for one in held for fresh in one.fresh),
    )


class Delta(Draft):
    """A delta for PostgreSQL: it remembers which tables, columns and sequences are fresh.

    Args:
        terms: How it is derived.
    """

    def __init__(self, terms: Terms) -> None:
        super().__init__(terms)
        self.tables: dict[Name, Fresh] = {}
        self.columns: dict[tuple[Name, str], Fresh] = {}
        self.sequences: set[Name] = set()
        self.counting: set[tuple[Name, str]] = set()
        """Columns that were there, and have become identities."""
        self._gone: list[Fresh] = []

    def add(self, change: Change, statement: str, *, alone: bool = False) -> None:
        """Append the piece of one statement."""
        self.rows |= change.rows
        for fresh in change.fresh:
            fresh.piece = self.place
            if fresh.column:
                self.columns[fresh.table, fresh.column] = fresh
            else:
                self.tables[fresh.table] = fresh
        self.pieces.append(change.piece(statement, alone=alone))

    def renamed(self, table: Name, new: Name) -> None:
        """Know a table by its new name."""
        if table in self.tables:
            self.tables[new] = self.tables.pop(table)
        for known in [known for known in self.columns if known[0] == table]:
            self.columns[new, known[1]] = self.columns.pop(known)

    def dropped(self, table: Name) -> None:
        """Forget a table; step by step, others may have put rows there before."""
        self.renamed(table, Name("", "dropped"))
        gone = self.tables.pop(Name("", "dropped"), None)
        if gone is not None and self.terms.stepwise:
            self._gone.append(gone)

    def filled(self, fresh: Fresh, table: Name, column: str, *, mode: str) -> None:
        """Know that the next piece puts content into something fresh, which has these names by now."""
        if not self.terms.stepwise:
            fresh.table, fresh.column, fresh.piece, fresh.filled = table, column, self.place, True
        elif not fresh.looks or fresh.looks[-1].place != self.place:
            fresh.looks.append(Look(self.place, table, column, mode, fills=True))

    def moved(self, table: Name, *, mode: str) -> None:
        """Know that the next piece changes rows of a table that was there before, and that its reverse has kept."""
        if self.terms.stepwise:
            for (holder, column), fresh in self.columns.items():
                if holder == table:
                    fresh.looks.append(Look(self.place, table, column, mode, moves=True))

    def altered(self, table: Name, typed: Iterable[str]) -> None:
        """Know that the next piece alters a table, and gives these columns other types."""
        if self.terms.stepwise:
            known = [(self.tables.get(table), ""), *((self.columns.get((table, one)), one) for one in typed)]
            for fresh, column in known:
                if fresh is not None:
                    fresh.looks.append(Look(self.place, table, column, EXCLUSIVE))

    def finish(self) -> None:
        """Put a guard before whatever takes fresh things away, where what they hold then would be lost."""
        for fresh in [*self.columns.values(), *self.tables.values(), *self._gone]:
            while fresh.looks and not fresh.looks[-1].fills:
                fresh.looks.pop()
            if fresh.looks:
                self._watch(fresh, self.names.own())
            else:
                self._surround(fresh.piece, late=loss_guard(fresh))

    def _watch(self, fresh: Fresh, key: str) -> None:
        """Guard what the delta itself puts there behind each statement that does so, in place of the guard before.

        Other statements may part that guard from the DROP, and stand alone; so before that it is counted again.
        """
        self._surround(fresh.piece, late=_counting_guard(fresh, key))
        if fresh.filled or (fresh.column and (fresh.default is None or fresh.kind is not None)):
            self._surround(fresh.piece, late=_known_guard(fresh, key))
        for look in fresh.looks:
            there = Fresh(look.table, look.column, fresh.default, filled=True)
            held = _held(there)
            begin, end = own_rows.found(key, stay=not (look.fills or look.moves), move=look.moves)
            found = said(begin, held, end)
            begin, end = own_rows.left(key)
            late = _known_guard(there, key) if look.fills else said(begin, held, end)
            self._surround(look.place, before=locked(look.table, look.mode), undo=found, late=late)

    def _surround(self, place: int, *, before: str = "", undo: str = "", late: str = "") -> None:
        piece = self.pieces[place]
        self.pieces[place] = msgspec.structs.replace(
            piece,
            before=(before, *piece.before) if before else piece.before,
            undo=joined([undo, piece.undo]),
            late_undo=joined([late, piece.late_undo]),
        )


def guard(question: str) -> str:
    """Give the guard that asks this: a SELECT without its first word."""
    return f"{GUARD} SELECT {question}"


def locked(table: Name | str, mode: str = EXCLUSIVE) -> str:
    """Give the statement that keeps others away from a table until the transaction ends."""
    return f"LOCK TABLE {table} IN {mode} MODE"


def counted(query: str) -> Sql:
    """Give the expression of the number, called ``n``, that a query gives which only the tenant can write.

    Args:
        query: The expression of its text.
    """
    return Sql(f"substring(query_to_xml({query}, false, false, '')::text FROM '<n>([0-9]+)</n>')::bigint")


def loss_guard(fresh: Fresh) -> Sql:
    """Give the expression of the guard that counts what would be lost when something fresh is dropped.

    Values that the delta itself gave are no loss, nor are defaults; whoever changed one since has something to lose.
    """
    if fresh.kind is not None and not fresh.filled:
        plain, watched = (
            loss_guard(Fresh(fresh.table, fresh.column, fresh.default, filled=filled)) for filled in (False, True)
        )
        has_default = f"EXISTS (SELECT FROM pg_type t WHERE t.oid = {fresh.kind.regtype} AND t.typdefault IS NOT NULL)"
        return when(has_default, watched, plain)
    table, _, where, what = _watched(fresh)
    total = _total(fresh)
    lock = f"{locked(table)};"
    if not fresh.filled and (fresh.default is not None or not fresh.column):
        text = f"{lock}{LOSS_GUARD} SELECT CASE WHEN count(*) > 0 THEN {what} END FROM {table} pdelta_r WHERE {where};"
        return said(text)
    return said(
        f"{lock}{LOSS_GUARD} SELECT CASE WHEN count(*) > 0 AND {total} <> '",
        _held(fresh),
        f"' THEN {what} || {_NOT_AS_LEFT} END FROM {table} pdelta_r WHERE {where};",
    )


def _counting_guard(fresh: Fresh, key: str) -> Sql:
    """Give the expression of the guard that counts what is there beside what the delta has put there."""
    table, _, where, _ = _watched(fresh)
    what = _said_of(fresh, "q.n")
    return said(
        f"{locked(table)};{LOSS_GUARD}{own_rows.counting(key)} SELECT CASE WHEN q.n > 0 THEN {what} END"
        f" FROM (SELECT {own_rows.OWN} FROM {table} pdelta_r WHERE {where}) q;"
    )


def _known_guard(fresh: Fresh, key: str) -> Sql:
    """Give the expression of the guard that counts what is there, where it is not as the delta has left it."""
    table, _, where, what = _watched(fresh)
    begin, end = own_rows.left(key)
    text = said(
        f"{locked(table)};{LOSS_GUARD}{begin}",
        Sql("x.held"),
        f"{end} SELECT CASE WHEN count(*) > 0 AND {_total(fresh)} <> '",
        Sql("x.held"),
        f"' THEN {what} || {_NOT_AS_LEFT} END FROM {table} pdelta_r WHERE {where};{own_rows.emptied(key)}",
    )
    return Sql(f"SELECT {text} FROM ({_held(fresh)}) x(held)")


def _held(fresh: Fresh) -> Sql:
    """Give the query of what something fresh holds: the number of its rows that count, and a digest."""
    table, _, where, _ = _watched(fresh)
    return Sql(f"SELECT {_total(fresh)} FROM {table} pdelta_r WHERE {where}")


def _total(fresh: Fresh) -> str:
    _, value, _, _ = _watched(fresh)
    return f"count(*) || ' ' || coalesce(sum(hashtextextended({value}, 0)), 0)"


_NOT_AS_LEFT: Final = (
    "CASE count(*) WHEN 1 THEN ', and it is not as the delta left it' ELSE"
    " ', not all of them as the delta left them' END"
)


def made_just_now(number: str, relation: str) -> str:
    """Give the condition that this transaction has made a relation, or a column of it, and not found it there.

    Args:
        number: The expression of the column's number; that of a system column, which nobody alters, for a relation.
        relation: The expression of its OID.
    """
    return (
        f"EXISTS (SELECT FROM pg_attribute x WHERE x.attrelid = {relation} AND x.attnum = {number}"
        " AND x.xmin = pg_current_xact_id()::xid)"
    )


def plain_loss_guard(table: Name, column: str = "", default: str | None = None) -> str:
    """Give the text of the guard for what was empty when it was made, lock included."""
    _, _, where, what = _watched(Fresh(table, column, default))
    return (
        f"{locked(table)};{LOSS_GUARD} SELECT CASE WHEN count(*) > 0 THEN {what} END"
        f" FROM {table} pdelta_r WHERE {where};"
    )


def _watched(fresh: Fresh) -> tuple[Name, str, str, str]:
    """Give the table, the text that stands for a row's content, which rows count, and the text of what is said."""
    what = _said_of(fresh)
    if not fresh.column:
        return fresh.table, "pdelta_r::text", "true", what
    value = f"pdelta_r.{identifier(fresh.column)}::text"
    return fresh.table, value, f"{value} IS DISTINCT FROM ({fresh.default or 'NULL'})::text", what


def _said_of(fresh: Fresh, number: str = "count(*)") -> str:
    """Give the text of what is said where so many rows or values would be lost."""
    if not fresh.column:
        return amount(str(fresh.table), "would be lost", "would be lost", number)
    lost = f"a value in {fresh.column} that would be lost"
    return amount(str(fresh.table), f"has {lost}", f"have {lost}", number)
