"""Statements of MySQL and MariaDB read by their tokens, and the expressions that a tenant evaluates for a reverse."""

from collections.abc import Iterable
from functools import partial
from typing import Final

import msgspec

from pdelta.sql.derive import expression
from pdelta.sql.derive.expression import merged, quoted
from pdelta.sql.derive.reader import Reader, unquoted
from pdelta.sql.derive.result import RefusedError
from pdelta.sql.piece import GUARD
from pdelta.sql.token import Kind

NOTHING: Final = "''"
"""The expression of no text."""

MARIADB: Final = "version() LIKE '%MariaDB%'"
"""The condition that the server is MariaDB, whose catalogue gives defaults as they are written."""


class Name(msgspec.Struct, frozen=True):
    """The name of a table, or of a column, index or constraint of one.

    Attributes:
        name: Without quotes.
    """

    name: str

    def __str__(self) -> str:
        return quoted(self.name)

    @property
    def folded(self) -> str:
        """As the names of columns and indexes are compared."""
        return self.name.casefold()


class MysqlReader(Reader):
    """Reads names as MySQL does: words, and names in backticks or, with ``ANSI_QUOTES``, in double quotes."""

    names = frozenset({Kind.WORD, Kind.QUOTED})

    def plain_name(self) -> Name:
        """Read a name.

        Raises:
            RefusedError: None comes next.
        """
        return Name(unquoted(self.name_token()))

    def table(self) -> Name:
        """Read the name of a table.

        Raises:
            RefusedError: None comes next, or it says in which database.
        """
        found = self.plain_name()
        if self.word == ".":
            raise RefusedError(f"{found.name} is a database by name", "leave the name of the database out")
        return found


def literal(text: str) -> str:
    """Give text as a string of SQL, whatever the server's modes say of backslashes."""
    if "\\" in text:
        return f"_utf8mb4 x'{text.encode('utf-8', 'surrogatepass').hex()}'"
    return "'" + text.replace("'", "''") + "'"


amount: Final = partial(expression.amount, literal=literal, both="concat({}, {})")
"""As ``expression`` has it, in this dialect."""


def said(*parts: str | tuple[str]) -> str:
    """Give the expression of these parts in order: text as it stands, and expressions, each in a tuple of its own."""
    pieces = merged(parts, literal)
    return pieces[0] if len(pieces) == 1 else f"concat({', '.join(pieces)})"


def joined(expressions: Iterable[str]) -> str:
    """Give the expression of the texts of these expressions, one after the other; empty for none."""
    held = [one for one in expressions if one and one != NOTHING]
    return held[0] if len(held) == 1 else f"concat({', '.join(held)})" if held else ""


def one(text: str, source: str) -> str:
    """Give the expression of this text for the one row of a source; nothing where there is no row."""
    return f"coalesce((SELECT {text} FROM {source}), '')"


def each(text: str, source: str, order: str) -> str:
    """Give the expression of this text for each row of a source; the length is what the server's setting allows."""
    return f"coalesce((SELECT group_concat({text} ORDER BY {order} SEPARATOR '') FROM {source}), '')"


def when(condition: str, text: str, otherwise: str = NOTHING) -> str:
    """Give the expression that is ``text`` where a condition holds, and ``otherwise`` elsewhere."""
    return f"CASE WHEN {condition} THEN {text} ELSE {otherwise} END"


def guard(question: str) -> str:
    """Give the guard that asks this: a SELECT without its first word."""
    return f"{GUARD} SELECT {question}"


def by_server(mariadb: str, mysql: str) -> str:
    """Give text of which each server reads its own part, for what names something that only one of them has.

    Whom a comment is for, the servers agree upon: MariaDB passes over those of MySQL's versions from 5.7 on, and MySQL
    over those with an M. The parts must hold no name of a tenant's: a server that passes over one ends it where it
    could end, be that in quotes.
    """
    return f"/*M! {mariadb} *//*!80000 {mysql} */"


UNCUT: Final = guard(
    # MySQL is told with each question how long a text may be; its own setting is 1024.
    f"CASE WHEN {MARIADB} AND @@group_concat_max_len < 65536 THEN"
    " 'group_concat_max_len is below 65536, and definitions would be cut' END"
)
"""The guard that refuses where texts would be cut short."""

CALCULATED: Final = "coalesce({}.generation_expression, '') <> ''"
"""The condition that a column is calculated from others."""


def same_table(table: Name, *, column: str = "table_name") -> str:
    """Give the condition that a row of the catalogue is about this table of the tenant."""
    schema = column.replace("table_name", "table_schema")
    name = literal(table.name)
    return (
        f"{schema} = database() AND {column} = {name}"
        f" AND (@@lower_case_table_names > 0 OR BINARY {column} = BINARY {name})"
    )


def table_exists(table: Name) -> str:
    """Give the condition that the tenant has a table or view of this name."""
    return f"EXISTS (SELECT 1 FROM information_schema.tables WHERE {same_table(table)})"


def has_triggers(table: Name) -> str:
    """Give the condition that a table has triggers."""
    where = f"event_object_schema = database() AND event_object_table = {literal(table.name)}"
    return f"EXISTS (SELECT 1 FROM information_schema.triggers WHERE {where})"


def column_row(table: Name, column: Name) -> str:
    """Give the source of one column's row, called ``c``."""
    where = same_table(table, column="c.table_name")
    return f"information_schema.columns c WHERE {where} AND c.column_name = {literal(column.name)}"


def quoted_name(expression: str) -> str:
    """Give the expression of a name in backticks."""
    return f"concat('`', replace({expression}, '`', '``'), '`')"


COLUMN: Final = quoted_name("k.column_name")
"""What ``listed`` has for the name of a column, in backticks."""


def listed(table: Name, item: str, between: str = ", ", *, keys: bool = False) -> tuple[str]:
    """Give the expression of an item for each column of a table that is stored, as a part for ``said``.

    Args:
        table: Which.
        item: An expression about a column, whose row of the catalogue is ``k``.
        between: Stands between two of them.
        keys: Those of the primary key alone.
    """
    # What is calculated from others comes by itself.
    where = f"{same_table(table, column='k.table_name')} AND NOT ({CALCULATED.format('k')})"
    only = " AND k.column_key = 'PRI'" if keys else ""
    order = f"ORDER BY k.ordinal_position SEPARATOR {literal(between)}"
    return (f"(SELECT group_concat({item} {order}) FROM information_schema.columns k WHERE {where}{only})",)


def primary_parts(table: Name) -> tuple[str]:
    """Give the expression of the columns of a table's primary key, as they stand in its brackets."""
    where = same_table(table, column="s.table_name")
    part = f"concat({quoted_name('s.column_name')}, coalesce(concat('(', s.sub_part, ')'), ''))"
    rows = f"information_schema.statistics s WHERE {where} AND s.index_name = 'PRIMARY'"
    return (f"(SELECT group_concat({part} ORDER BY s.seq_in_index SEPARATOR ', ') FROM {rows})",)


def key_is_calculated(table: Name) -> str:
    """Give the condition that a column of the primary key is calculated: by the others rows can't be told apart."""
    where = f"{same_table(table, column='g.table_name')} AND g.column_key = 'PRI' AND {CALCULATED.format('g')}"
    return f"EXISTS (SELECT 1 FROM information_schema.columns g WHERE {where})"


def same_key(table: Name, one: str, other: str) -> tuple[str]:
    """Give the expression of the condition that two rows have the same primary key, that of this table."""
    return listed(table, f"concat('{one}.', {COLUMN}, ' <=> {other}.', {COLUMN})", " AND ", keys=True)


def at_most(table: Name, limit: int, many: str) -> str:
    """Give the guard that refuses with these words where a table has more rows than so many."""
    counted = f"(SELECT count(*) FROM (SELECT 1 FROM {table} LIMIT {limit + 1}) x)"
    return guard(f"CASE WHEN {counted} > {limit} THEN {literal(many)} END")


def index_rows(table: Name, index: Name) -> str:
    """Give the source of one index's rows, called ``s``."""
    where = same_table(table, column="s.table_name")
    return f"information_schema.statistics s WHERE {where} AND s.index_name = {literal(index.name)}"


def quoted_value(expression: str) -> str:
    """Give the expression of a value as a string of SQL; it must hold no backslash."""
    return f"concat('''', replace({expression}, '''', ''''''), '''')"
