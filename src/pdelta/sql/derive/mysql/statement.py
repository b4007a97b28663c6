"""One statement of MySQL or MariaDB -> the pieces that it is executed as."""

from typing import Final

from pdelta.sql.derive.mysql.alter import alter
from pdelta.sql.derive.mysql.draft import Change, Delta
from pdelta.sql.derive.mysql.schema import create, drop, rename
from pdelta.sql.derive.mysql.text import MysqlReader, Name, guard, has_triggers, literal, same_table
from pdelta.sql.derive.result import RefusedError
from pdelta.sql.split import Statement

_NOTHING: Final = frozenset({"ANALYZE", "OPTIMIZE", "CHECK"})
_ROWS: Final = "rows of a table that was there before are not kept"


def add_statement(delta: Delta, statement: Statement, *, alone: bool) -> None:
    """Append the pieces of one statement to its delta.

    Args:
        delta: What is known so far.
        statement: Of MySQL or MariaDB.
        alone: Whether it commits by itself.

    Raises:
        RefusedError: Its reverse can't be derived.
    """
    if any(token.text.startswith(("/*!", "/*M!")) for token in statement.tokens):
        raise RefusedError("what stands in a comment for some servers alone is not derived")
    for change in _changes(delta, statement):
        delta.add(change, statement.text, alone=alone)


def _changes(delta: Delta, statement: Statement) -> list[Change]:
    match statement.tokens[0].word:
        case "CREATE":
            return [create(delta, statement)]
        case "DROP":
            return drop(delta, statement)
        case "ALTER" if statement.tokens[1].word in {"TABLE", "ONLINE", "OFFLINE", "IGNORE"}:
            return [alter(delta, statement)]
        case "RENAME":
            return [rename(delta, statement)]
        case "INSERT" | "REPLACE" | "UPDATE" | "DELETE":
            return [_rows(delta, statement)]
        case word if word in _NOTHING:
            return [Change()]
        case word:
            shown = " ".join(token.text for token in statement.tokens[:2])
            raise RefusedError(f"{shown if word else statement.tokens[0].text} is not derived")


def _rows(delta: Delta, statement: Statement) -> Change:
    """Take nothing back: the reverse drops the table or the columns, which the delta itself has made.

    Raises:
        RefusedError: It has not.
    """
    reader = MysqlReader(statement)
    verb = reader.word
    reader.at += 1
    while reader.take_one("LOW_PRIORITY", "HIGH_PRIORITY", "DELAYED", "QUICK", "IGNORE", "INTO", "FROM"):
        pass
    table = reader.table()
    triggers = f"CASE WHEN {has_triggers(table)} THEN {literal(f'{table.name} has triggers')} END"
    if reader.word in {",", "USING", "JOIN", "INNER", "LEFT", "RIGHT", "CROSS", "STRAIGHT_JOIN"}:
        raise RefusedError("a statement that may change several tables is not derived")
    if table in delta.tables:
        return Change(before=(guard(triggers),))
    columns = _set_columns(reader) if verb == "UPDATE" else []
    if not columns or any((table, column.folded) not in delta.columns for column in columns):
        raise RefusedError(_ROWS)
    for column in columns:
        fresh = delta.columns[table, column.folded]
        fresh.table, fresh.column, fresh.piece, fresh.filled = table, column, delta.place, True
    selves = (
        f"CASE WHEN EXISTS (SELECT 1 FROM information_schema.columns WHERE {same_table(table)}"
        " AND extra LIKE '%on update%') THEN"
        f" {literal(f'{table.name} has a column that changes with every update')} END"
    )
    return Change(before=(guard(triggers), guard(selves)))


def _set_columns(reader: MysqlReader) -> list[Name]:
    """Give the columns that an UPDATE of one table sets.

    Raises:
        RefusedError: That can't be told.
    """
    reader.take("AS")
    if reader.word != "SET":
        reader.plain_name()
    reader.expect("SET")
    found: list[Name] = []
    while not found or reader.take(","):
        name = reader.plain_name()
        if reader.take("."):
            name = reader.plain_name()
        found.append(name)
        reader.expect("=")
        while not reader.is_over and reader.word not in {",", "WHERE", "ORDER", "LIMIT"}:
            if reader.word == "(":
                reader.skip_brackets()
            else:
                reader.at += 1
    return found
