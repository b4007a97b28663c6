"""Statements of SQLite read by their tokens, and the expressions of SQL that a file evaluates for their reverse."""

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Final

import msgspec

from pdelta.sql.derive import expression
from pdelta.sql.derive.expression import merged, quoted
from pdelta.sql.derive.reader import Reader, unquoted
from pdelta.sql.derive.result import RefusedError
from pdelta.sql.token import Kind, Token

NOTHING: Final = "''"
"""The expression of no text."""


class Name(msgspec.Struct, frozen=True):
    """The name of a table, an index, a view or a trigger.

    Attributes:
        name: Without quotes.
        text: As it is written.
    """

    name: str
    text: str

    def __str__(self) -> str:
        return quoted(self.name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Name) and folded(self.name) == folded(other.name)

    def __hash__(self) -> int:
        return hash(folded(self.name))

    @property
    def row(self) -> str:
        """The source of its row in the file's schema."""
        return f"main.sqlite_master WHERE name = {literal(self.name)} COLLATE NOCASE"


class SqliteReader(Reader):
    """Reads names as SQLite does: words, quoted names, and strings."""

    names = frozenset({Kind.WORD, Kind.QUOTED, Kind.STRING})

    def plain_name(self) -> Name:
        """Read a name without a schema.

        Raises:
            RefusedError: None comes next.
        """
        token = self.name_token()
        return Name(unquoted(token), token.text)

    def name(self) -> Name:
        """Read a name that may have a schema.

        Raises:
            RefusedError: None comes next, or it is of another file or of the connection.
        """
        found = self.plain_name()
        if not self.take("."):
            return found
        if folded(found.name) != "main":
            raise RefusedError(f"{found.text} is another file than the tenant's", "leave the name of the schema out")
        return self.plain_name()


def folded(name: str) -> str:
    """Give a name as SQLite compares it: the case of ASCII letters means nothing."""
    return name.encode("utf-8", "surrogatepass").lower().decode("utf-8", "surrogatepass")


def literal(text: str) -> str:
    """Give text as a string of SQL."""
    return "'" + text.replace("'", "''") + "'"


amount: Final = partial(expression.amount, literal=literal)
"""As ``expression`` has it, in this dialect."""


def said(*parts: str | tuple[str]) -> str:
    """Give the expression of these parts in order: text as it stands, and expressions, each in a tuple of its own."""
    return " || ".join(merged((part if isinstance(part, str) else (f"({part[0]})",) for part in parts), literal))


def joined(expressions: Iterable[str]) -> str:
    """Give the expression of the texts of these expressions, one after the other; empty for none."""
    return " || ".join(f"({one})" for one in expressions if one and one != NOTHING)


def listed(expression: str, source: str, separator: str = "") -> str:
    """Give the expression of this text for each row of a source, in its order."""
    return f"coalesce((SELECT group_concat({expression}, {literal(separator)}) FROM {source}), '')"


def columns(table: Name, *, keys: bool = False) -> str:
    """Give a source of the columns of a table that can be written, in order: ``n`` in quotes, and its definition.

    Args:
        table: Which.
        keys: Those of the primary key alone.
    """
    chosen = "WHERE pk > 0 ORDER BY pk" if keys else "ORDER BY cid"
    named = "'`' || replace(name, '`', '``') || '`'"
    return f"(SELECT *, {named} AS n FROM pragma_table_info({literal(table.name)}) {chosen})"


def may_be_null(table: Name) -> str:
    """Give the condition that rows of a table may have NULL in their primary key, and then share it with others.

    SQLite lets them, but for a key that is NOT NULL, or the number of the row, for which there is no index.
    """
    name = literal(table.name)
    return (
        f'(EXISTS (SELECT 1 FROM pragma_table_info({name}) WHERE pk > 0 AND NOT "notnull")'
        f" AND EXISTS (SELECT 1 FROM pragma_index_list({name}) WHERE origin = 'pk'))"
    )


def words_of(tokens: Sequence[Token]) -> list[str]:
    """Give the words and symbols of these tokens."""
    return [token.word for token in tokens]
