"""What one statement, or one command of an ALTER TABLE, asks for around it; and what a delta has made so far."""

from collections.abc import Iterable
from typing import Final

import msgspec

from pdelta.sql.derive.draft import Draft, Terms
from pdelta.sql.derive.postgresql.text import NOTHING, Name, Sql, amount, identifier, joined, said, when
from pdelta.sql.piece import GUARD, LOSS_GUARD, Piece

EXCLUSIVE: Final = "ACCESS EXCLUSIVE"


class Fresh(msgspec.Struct):
    """A table or column that the delta has made for certain, and that its reverse drops.

    Attributes:
        table: The table's name when its content was last given by the delta.
        column: The column's name then; empty for a whole table.
        default: The expression of a value that is no loss; None where any value is one.
        filled: Whether the delta itself has put content there.
        piece: The number of the piece that gave it its content.
        kind: Its type, if that may have a default which rows get.
    """

    table: Name
    column: str = ""
    default: str | None = None
    filled: bool = False
    piece: int = -1
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
        """Forget a table."""
        self.renamed(table, Name("", "dropped"))
        self.tables.pop(Name("", "dropped"), None)

    def finish(self) -> None:
        """Put a guard before whatever takes fresh things away, where what they hold then would be lost."""
        for fresh in [*self.columns.values(), *self.tables.values()]:
            piece = self.pieces[fresh.piece]
            self.pieces[fresh.piece] = msgspec.structs.replace(
                piece, late_undo=joined([loss_guard(fresh), piece.late_undo])
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
    table, value, where, what = _watched(fresh)
    total = f"count(*) || ' ' || coalesce(sum(hashtextextended({value}, 0)), 0)"
    lock = f"{locked(table)};"
    if not fresh.filled and (fresh.default is not None or not fresh.column):
        text = f"{lock}{LOSS_GUARD} SELECT CASE WHEN count(*) > 0 THEN {what} END FROM {table} pdelta_r WHERE {where};"
        return said(text)
    given = Sql(f"SELECT {total} FROM {table} pdelta_r WHERE {where}")
    return said(
        f"{lock}{LOSS_GUARD} SELECT CASE WHEN count(*) > 0 AND {total} <> '",
        given,
        f"' THEN {what} || CASE count(*) WHEN 1 THEN ', and it is not as the delta left it' ELSE"
        f" ', not all of them as the delta left them' END END FROM {table} pdelta_r WHERE {where};",
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
    if not fresh.column:
        return fresh.table, "pdelta_r::text", "true", amount(str(fresh.table), "would be lost", "would be lost")
    value = f"pdelta_r.{identifier(fresh.column)}::text"
    where = f"{value} IS DISTINCT FROM ({fresh.default or 'NULL'})::text"
    lost = f"a value in {fresh.column} that would be lost"
    return fresh.table, value, where, amount(str(fresh.table), f"has {lost}", f"have {lost}")
