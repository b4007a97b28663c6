"""What a delta for SQLite has made so far, and the guards before it is taken away again."""

from functools import reduce
from typing import Final

import msgspec

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


class Fresh(msgspec.Struct):
    """A table or a column that the delta has made for certain, and that its reverse drops.

    Attributes:
        table: The table's name when its content was last given by the delta.
        piece: The number of the piece that did that.
        column: The column's name then; empty for a whole table.
        default: The expression of a value that is no loss.
        filled: Whether the delta itself has put content there.
    """

    table: Name
    piece: int
    column: Name = Name("", "")
    default: str = "NULL"
    filled: bool = False


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
        """Forget a table."""
        self.gone.add(table)
        self.tables.pop(table, None)
        for known in [known for known in self.columns if known[0] == table]:
            del self.columns[known]

    def finish(self) -> None:
        """Put a guard before whatever takes fresh things away, where what they hold then would be lost."""
        for fresh in [*self.columns.values(), *self.tables.values()]:
            piece = self.pieces[fresh.piece]
            late, after = self._given(fresh) if fresh.filled else self._empty(fresh)
            self.pieces[fresh.piece] = msgspec.structs.replace(
                piece, late_undo=joined([late, piece.late_undo]), after=(*piece.after, *after)
            )

    def _empty(self, fresh: Fresh) -> tuple[str, tuple[str, ...]]:
        return said(loss_guard(fresh.table, fresh.column, fresh.default)), ()

    def _given(self, fresh: Fresh) -> tuple[str, tuple[str, ...]]:
        """Keep what the delta has given, and give the guard that counts what is not like it."""
        kept = self.names.kept() + "_b"
        table = fresh.table
        if fresh.column.name:
            keys = listed("'quote(' || n || '), '", columns(table, keys=True))
            chosen = (f"{keys} || {literal(f'quote({fresh.column})')}",)
            where = f" WHERE {fresh.column} COLLATE BINARY IS NOT ({fresh.default})"
            other = f"a value in {fresh.column.name} that the delta did not give"
            what = amount(table.name, f"has {other}", f"have {other}", "n")
        else:
            chosen = (listed("'quote(' || n || ')'", columns(table), ", "),)
            where = ""
            what = amount(table.name, "is none that the delta put there", "are not those that the delta put there", "n")
        more = "" if fresh.column.name else _with_nothing_new(table)
        late = said(
            f"{LOSS_GUARD} SELECT CASE WHEN n > 0 THEN {what} END FROM (SELECT count(*) AS n FROM (SELECT ",
            chosen,
            f" FROM {table}{where} EXCEPT SELECT ",
            chosen,
            f" FROM {kept}));DROP TABLE {kept};",
        )
        return joined([more, late]), (f"CREATE TABLE {kept} AS SELECT * FROM {table}", self.limited(kept, table))

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
        where = f" WHERE {column} COLLATE BINARY IS NOT ({default})"
    return f"{LOSS_GUARD} SELECT CASE WHEN count(*) > 0 THEN {what} END FROM {table}{where};"


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
