"""What a delta for SQLite has made so far, and the guards before it is taken away again."""

from functools import reduce
from typing import Final

import msgspec

from pdelta.sql import own_rows
from pdelta.sql.derive.draft import Draft, Terms
from pdelta.sql.derive.sqlite.text import Name, amount, columns, joined, listed, literal, said
from pdelta.sql.piece import GUARD, LOSS_GUARD, Piece


class Change(msgspec.Struct, frozen=True):
    """What is executed around a statement; see ``Piece``.

    Attributes:
        before: Guards, and what keeps rows.
        undo: An expression, evaluated before the statement.
        late: An expression, evaluated after it.
        after: What ends the keeping, and guards.
        rows: Whether the reverse depends on rows.
    """

    before: tuple[str, ...] = ()
    undo: str = ""
    late: str = ""
    after: tuple[str, ...] = ()
    rows: bool = False


class Look(msgspec.Struct, frozen=True):
    """Where a delta that goes step by step looks at what something fresh holds, before a statement and behind it.

    Attributes:
        place: The number of the statement's piece.
        table: What the table is called there.
        column: What the column is called there; empty for a whole table.
        fills: Whether the statement puts content there; otherwise rows that hold it come and go with it, and its own
            reverse sees to them.
    """

    place: int
    table: Name
    column: Name
    fills: bool


class Fresh(msgspec.Struct):
    """A table or a column that the delta has made for certain, and that its reverse drops.

    Attributes:
        table: The table's name when its content was last given by the delta.
        piece: The number of the piece that did that.
        column: The column's name then; empty for a whole table.
        default: The expression of a value that is no loss.
        filled: Whether the delta itself has put content there.
        looks: Where no transaction holds the delta: the pieces that did so behind the one that made it, each with the
            names that it has then, and those with which rows may come and go that hold it; the other attributes stay
            what they were when it was made.
    """

    table: Name
    piece: int
    column: Name = Name("", "")
    default: str = "NULL"
    filled: bool = False
    looks: list[Look] = []


class Delta(Draft):
    """A delta for SQLite: it remembers which tables and columns are fresh.

    Args:
        terms: How it is derived.
    """

    def __init__(self, terms: Terms) -> None:
        super().__init__(terms)
        self.tables: dict[Name, Fresh] = {}
        self.columns: dict[tuple[Name, Name], Fresh] = {}
        self.gone: set[Name] = set()
        """Tables that the delta has dropped, and that its reverse creates again."""
        self._forgotten: list[Fresh] = []
        self.is_enforcement_told = False

    def add(self, change: Change, statement: str, *, alone: bool) -> None:
        """Append the piece of one statement."""
        self.rows |= change.rows
        self.pieces.append(
            Piece(statement, change.before, change.undo, change.late, change.after, alone)
            if not alone
            else Piece(statement, alone=True)
        )

    def renamed(self, table: Name, new: Name) -> None:
        """Know a table by its new name."""
        if table in self.tables:
            self.tables[new] = self.tables.pop(table)
        for known in [known for known in self.columns if known[0] == table]:
            self.columns[new, known[1]] = self.columns.pop(known)

    def dropped(self, table: Name) -> None:
        """Forget a table; where no transaction holds the delta, others may have put rows there before."""
        self.gone.add(table)
        lost = [self.tables.pop(table, None)]
        lost += [self.columns.pop(known) for known in [known for known in self.columns if known[0] == table]]
        if self.terms.stepwise:
            self._forgotten += [fresh for fresh in lost if fresh is not None]

    def filled(self, fresh: Fresh, table: Name, column: Name) -> None:
        """Know that the next piece puts content into something fresh, which has these names by now."""
        if self.terms.stepwise:
            fresh.looks.append(Look(self.place, table, column, fills=True))
        else:
            fresh.table, fresh.column, fresh.piece, fresh.filled = table, column, self.place, True

    def moved(self, table: Name) -> None:
        """Know that the next piece changes rows of a table that was there before, and that its reverse has kept."""
        if self.terms.stepwise:
            for (holder, column), fresh in self.columns.items():
                if holder == table:
                    fresh.looks.append(Look(self.place, table, column, fills=False))

    def finish(self) -> None:
        """Put a guard before whatever takes fresh things away, where what they hold then would be lost."""
        for fresh in [*self.columns.values(), *self.tables.values(), *self._forgotten]:
            if any(look.fills for look in fresh.looks):
                self._watch(fresh)
            else:
                late, after = self._given(fresh) if fresh.filled else self._empty(fresh)
                self._surround(fresh.piece, late=late, after=after)

    def _watch(self, fresh: Fresh) -> None:
        """Guard what the delta itself puts there behind each statement that does so, in place of the guard before.

        A guard of its own before the DROP knows how much that was: whatever others put there when the delta had not
        come to the statement yet, is more.
        """
        key = self.names.own()
        self._surround(fresh.piece, late=said(counting_guard(fresh, key)))
        if fresh.filled:
            late, after = self._given(fresh, key)
            self._surround(fresh.piece, late=late, after=after)
        for look in fresh.looks:
            there = msgspec.structs.replace(fresh, table=look.table, column=look.column)
            held = (_held(there),)
            begin, end = own_rows.found(key, move=not look.fills)
            undo = said(begin, held, end)
            begin, end = own_rows.left(key)
            late, after = self._given(there, key) if look.fills else (said(begin, held, end), ())
            self._surround(look.place, undo=undo, late=late, after=after)

    def _surround(self, place: int, *, undo: str = "", late: str = "", after: tuple[str, ...] = ()) -> None:
        piece = self.pieces[place]
        self.pieces[place] = msgspec.structs.replace(
            piece,
            undo=joined([undo, piece.undo]),
            late_undo=joined([late, piece.late_undo]),
            after=(*piece.after, *after),
        )

    def _empty(self, fresh: Fresh) -> tuple[str, tuple[str, ...]]:
        return said(loss_guard(fresh.table, fresh.column, fresh.default)), ()

    def _given(self, fresh: Fresh, key: str = "") -> tuple[str, tuple[str, ...]]:
        """Keep what the delta has given, and give the guard that counts what is not like it.

        Args:
            fresh: What it has given it to.
            key: By which a later guard takes the place of this one; empty where there is no other.
        """
        kept = self.names.kept() + "_b"
        table = fresh.table
        if fresh.column.name:
            keys = listed("'quote(' || n || '), '", columns(table, keys=True))
            chosen = (f"{keys} || {literal(f'quote({fresh.column})')}",)
            where = _where(fresh.column, fresh.default)
            other = f"a value in {fresh.column.name} that the delta did not give"
            what = amount(table.name, f"has {other}", f"have {other}", "n")
        else:
            chosen = (listed("'quote(' || n || ')'", columns(table), ", "),)
            where = ""
            what = amount(table.name, "is none that the delta put there", "are not those that the delta put there", "n")
        more = "" if fresh.column.name else _with_nothing_new(table)
        begin, end = own_rows.left(key)
        mark = ((said(begin, (_held(fresh),), end),),) if key else ()
        late = said(
            LOSS_GUARD,
            *mark,
            f" SELECT CASE WHEN n > 0 THEN {what} END FROM (SELECT count(*) AS n FROM (SELECT ",
            chosen,
            f" FROM {table}{where} EXCEPT SELECT ",
            chosen,
            f" FROM {kept}));",
        )
        gone = said(f"{own_rows.emptied(key) if key else ''}DROP TABLE {kept};")
        # Of a later guard that takes this one's place, what came since is asked as well.
        return joined([late, more, gone] if key else [more, late, gone]), (
            f"CREATE TABLE {kept} AS SELECT * FROM {table}",
            self.limited(kept, table),
        )

    def limited(self, kept: str, table: Name) -> str:
        """Give the guard that refuses to keep too much."""
        limit = self.terms.rows_at_most
        text = literal(f"it changes more than {limit} rows of {table.name}, and no more are kept")
        return guard(
            f"CASE WHEN (SELECT count(*) FROM (SELECT 1 FROM {kept} LIMIT {limit + 1})) > {limit} THEN {text} END"
        )


def guard(question: str) -> str:
    """Give the guard that asks this: a SELECT without its first word."""
    return f"{GUARD} SELECT {question}"


def loss_guard(table: Name, column: Name, default: str) -> str:
    """Give the text of the guard that counts what was empty when it was made."""
    if not column.name:
        what, where = amount(table.name, "would be lost", "would be lost"), ""
    else:
        lost = f"a value in {column.name} that would be lost"
        what = amount(table.name, f"has {lost}", f"have {lost}")
        where = _where(column, default)
    return f"{LOSS_GUARD} SELECT CASE WHEN count(*) > 0 THEN {what} END FROM {table}{where};"


def counting_guard(fresh: Fresh, key: str) -> str:
    """Give the text of the guard that counts what is there beside what the delta has put there."""
    what, where = amount(fresh.table.name, "would be lost", "would be lost", "n"), ""
    if fresh.column.name:
        lost = f"a value in {fresh.column.name} that would be lost"
        what = amount(fresh.table.name, f"has {lost}", f"have {lost}", "n")
        where = _where(fresh.column, fresh.default)
    counted = f"SELECT {own_rows.OWN} FROM {fresh.table}{where}"
    return f"{LOSS_GUARD}{own_rows.counting(key)} SELECT CASE WHEN n > 0 THEN {what} END FROM ({counted});"


def _held(fresh: Fresh) -> str:
    """Give the query of how much something fresh holds, as marks have it: in SQLite nothing makes a digest."""
    where = _where(fresh.column, fresh.default) if fresh.column.name else ""
    return f"(SELECT count(*) || ' 0' FROM {fresh.table}{where})"


def _where(column: Name, default: str) -> str:
    return f" WHERE {column} COLLATE BINARY IS NOT ({default})"


def as_left(table: Name) -> str:
    """Give the expression of the guard that names what of a table is not as it is when the expression is evaluated.

    That are its columns, indexes and triggers, and how they are written: what came since would go with the table, or be
    missing in it when it is created again. RENAME there and back changes quotes and the case of names.
    """
    made = reduce(lambda text, sign: f"replace({text}, {literal(sign)}, '')", _MEANINGLESS, "lower(sql)")
    return _compared(table, GUARD, made)


def _with_nothing_new(table: Name) -> str:
    """Give the same of the guard before a table is dropped for good, where only what it would lose counts."""
    return _compared(table, LOSS_GUARD, "''")


def _compared(table: Name, mark: str, made: str) -> str:
    name = literal(table.name)
    now = (
        f"SELECT 'column' AS kind, lower(name) AS name, '' AS made FROM pragma_table_xinfo({name}) UNION ALL SELECT"
        f" type, CASE WHEN type <> 'table' THEN lower(name) END, {made} FROM main.sqlite_master WHERE tbl_name = {name}"
        " COLLATE NOCASE AND type IN ('table', 'index', 'trigger') AND sql IS NOT NULL"
    )
    then = listed("'(' || quote(kind) || ', ' || quote(name) || ', ' || quote(made) || ')'", f"({now})", ", ")
    return said(
        f"{mark} WITH was (kind, name, made) AS (VALUES ",
        (then,),
        f"), now AS ({now}), other AS (SELECT * FROM (SELECT * FROM now EXCEPT SELECT * FROM was) UNION ALL SELECT *"
        " FROM (SELECT * FROM was EXCEPT SELECT * FROM now)) SELECT CASE WHEN count(*) > 0 THEN"
        f" {literal(f'{table.name} is not as the delta left it: ')} || group_concat(what, ', ') END FROM (SELECT"
        " DISTINCT coalesce(kind || ' ' || name, 'its definition') AS what FROM other ORDER BY 1);",
    )


_MEANINGLESS: Final = ('"', "'", "`", "[", "]", " ", "\n")
"""What two definitions may differ in after the one was renamed, or got a column and lost it again."""
