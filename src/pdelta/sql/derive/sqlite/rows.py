"""What takes back INSERT, UPDATE and DELETE in SQLite: triggers of ours keep each row as it was and as it became.

Foreign keys are not enforced while a delta runs, and a table with triggers of its own is refused, so that a statement
changes rows of its table alone.
"""

from typing import Final

from pdelta.sql.derive.reader import unquoted
from pdelta.sql.derive.result import RefusedError
from pdelta.sql.derive.sqlite.counters import change_counter, is_counters
from pdelta.sql.derive.sqlite.draft import Change, Delta, guard
from pdelta.sql.derive.sqlite.schema import table_question
from pdelta.sql.derive.sqlite.text import (
    Name,
    SqliteReader,
    amount,
    columns,
    listed,
    literal,
    may_be_null,
    said,
    words_of,
)
from pdelta.sql.piece import GUARD
from pdelta.sql.split import Statement
from pdelta.sql.token import Token

VERBS: Final = frozenset({"INSERT", "REPLACE", "UPDATE", "DELETE"})


def verb_of(statement: Statement) -> int:
    """Give the place of the word that says what a statement does to rows, behind its WITH; -1 where it only reads."""
    depth = 0
    for place, token in enumerate(statement.tokens):
        depth += {"(": 1, ")": -1}.get(token.word, 0)
        if not depth and token.word in VERBS:
            return place
        if not depth and token.word in {"SELECT", "VALUES"}:
            return -1
    return -1


def change_rows(delta: Delta, statement: Statement) -> Change:
    """Take away the rows that came, and bring back those that were there; refused where they have changed since.

    Raises:
        RefusedError: It may end the transaction, or can't be read.
    """
    reader = SqliteReader(statement)
    reader.at = verb_of(statement)
    verb = reader.word
    reader.at += 1
    if reader.take("OR"):
        if reader.word == "ROLLBACK":
            raise RefusedError("OR ROLLBACK ends the transaction that the delta shares with its row of the ledger")
        reader.at += 1
    reader.take("FROM" if verb == "DELETE" else "INTO")
    table = reader.name()
    if is_counters(table):
        return change_counter(delta, verb, reader)
    if _is_fresh(delta, table, _set_columns(statement.tokens[reader.at :]) if verb == "UPDATE" else None):
        return Change(before=(guard(table_question(table)), guard(_triggers(table))))
    return _kept(delta, table)


def _is_fresh(delta: Delta, table: Name, columns: list[Name] | None) -> bool:
    """Say whether what is changed goes as a whole with the reverse; it is filled from now on."""
    touched = [delta.tables[table]] if table in delta.tables else []
    if columns is not None and all((table, column) in delta.columns for column in columns):
        touched += [delta.columns[table, column] for column in columns]
    if table in delta.tables and columns is None:
        touched += [fresh for (holder, _), fresh in delta.columns.items() if holder == table]
    named = {id(fresh): column for (holder, column), fresh in delta.columns.items() if holder == table}
    for fresh in touched:
        delta.filled(fresh, table, named.get(id(fresh), Name("", "")))
    return bool(touched)


def _set_columns(tokens: tuple[Token, ...]) -> list[Name] | None:
    """Give the columns that an UPDATE sets; None where that can't be told."""
    words = words_of(tokens)
    if "SET" not in words:
        return None
    found: list[Name] = []
    depth, is_target = 0, True
    for place in range(words.index("SET") + 1, len(tokens)):
        word = words[place]
        depth += {"(": 1, ")": -1}.get(word, 0)
        if not depth and word in _ENDS and words[place - 1] != "DISTINCT":
            break
        if word == "=" and not depth:
            is_target = False
        elif word == "," and not depth:
            is_target = True
        elif is_target and word not in {"(", ")", ","}:
            found.append(Name(unquoted(tokens[place]), tokens[place].text))
    return found


_ENDS: Final = frozenset({"FROM", "WHERE", "RETURNING", "ORDER", "LIMIT"})


def _triggers(table: Name) -> str:
    return (
        f"CASE WHEN EXISTS (SELECT 1 FROM main.sqlite_master WHERE type = 'trigger'"
        f" AND tbl_name = {literal(table.name)} COLLATE NOCASE) OR EXISTS (SELECT 1 FROM temp.sqlite_master WHERE"
        f" type = 'trigger' AND tbl_name = {literal(table.name)} COLLATE NOCASE)"
        f" THEN {literal(f'{table.name} has triggers, and what they change is not kept')} END"
    )


def _rowless(table: Name) -> str:
    """Ask whether rows have the number that triggers find them by."""
    return (
        "CASE WHEN sql LIKE '%WITHOUT%ROWID%' THEN"
        f" {literal(f'{table.name} may be WITHOUT ROWID, and its rows are not kept')}"
        f" WHEN EXISTS (SELECT 1 FROM pragma_table_info({literal(table.name)}) WHERE lower(name) = '_rowid_')"
        f" THEN {literal(f'{table.name} has a column that hides the numbers of rows')} END FROM {table.row}"
    )


def _kept(delta: Delta, table: Name) -> Change:
    delta.moved(table)
    kept = delta.names.kept()
    old, new = f"{kept}_o", f"{kept}_n"
    row = f"SELECT _rowid_, * FROM {table} WHERE _rowid_ ="
    came = f"INSERT INTO {new} {row} NEW._rowid_;"
    # What a statement changes twice was in the end what it was before the first time.
    went = (
        f"INSERT INTO {old} {row} OLD._rowid_ AND NOT EXISTS (SELECT 1 FROM {new} WHERE pdelta_row = OLD._rowid_);"
        f" DELETE FROM {new} WHERE pdelta_row = OLD._rowid_;"
    )
    triggers = {
        f"{kept}_i": f"AFTER INSERT ON {table} BEGIN {came} END",
        f"{kept}_u": f"BEFORE UPDATE ON {table} BEGIN {went} END",
        f"{kept}_v": f"AFTER UPDATE ON {table} BEGIN {came} END",
        f"{kept}_d": f"BEFORE DELETE ON {table} BEGIN {went} END",
    }
    return Change(
        before=(
            guard(table_question(table)),
            guard(_triggers(table)),
            guard(_rowless(table)),
            *(f"CREATE TABLE {one} AS SELECT _rowid_ AS pdelta_row, * FROM {table} WHERE 0" for one in (old, new)),
            # For the triggers, which look for a row of it at each row that changes.
            f"CREATE INDEX {kept}_r ON {new} (pdelta_row)",
            *(f"CREATE TRIGGER {name} {text}" for name, text in triggers.items()),
            # So that rows which REPLACE takes away are kept too.
            "PRAGMA recursive_triggers = ON",
        ),
        late=_restored(table, old, new),
        after=(
            "PRAGMA recursive_triggers = OFF",
            *(f"DROP TRIGGER {name}" for name in triggers),
            f"DROP INDEX {kept}_r",
            delta.limited(old, table),
            delta.limited(new, table),
        ),
        rows=True,
    )


def _restored(table: Name, old: str, new: str) -> str:
    """Give the expression of the reverse: by primary key where each row has its own, else by all that rows hold."""
    keyed = f"EXISTS (SELECT 1 FROM pragma_table_info({literal(table.name)}) WHERE pk > 0) AND NOT {may_be_null(table)}"
    named = listed("n", columns(table), ", ")
    # ABORT, so that no ON CONFLICT REPLACE of the table's own takes away what has come since.
    inserted = said(f"INSERT OR ABORT INTO {table} (", (named,), ") SELECT ", (named,), f" FROM {old};")
    still = said(f"{GUARD} SELECT {_triggers(table)};")
    dropped = literal(f"DROP TABLE {old};DROP TABLE {new};")
    return (
        f"{still} || CASE WHEN {keyed} THEN {_by_key(table, old, new)} ELSE {_as_multiset(table, new)} END"
        f" || {inserted} || {dropped}"
    )


def _changed(table: Name) -> str:
    what = amount(table.name, "was changed since", "were changed since")
    return f"{GUARD} SELECT CASE WHEN count(*) > 0 THEN {what} END FROM "


def _by_key(table: Name, old: str, new: str) -> str:
    """A row that came is known by its key, must be as it came, and goes."""

    def same(one: str, other: str, *, keys: bool) -> str:
        text = (
            f"'{one}.' || n || ' IS {other}.' || n"
            if keys
            else f"'quote({one}.' || n || ') = quote({other}.' || n || ')'"
        )
        return listed(text, columns(table, keys=keys), " AND ")

    again = amount(table.name, "is there again", "are there again")
    return said(
        # Each row of the table is looked for among those that came.
        f"CREATE INDEX {new}_k ON {new} (",
        (listed("n", columns(table, keys=True), ", "),),
        ");",
        _changed(table) + f"{new} n WHERE NOT EXISTS (SELECT 1 FROM {table} r WHERE ",
        (same("r", "n", keys=True),),
        " AND ",
        (same("r", "n", keys=False),),
        f");{GUARD} SELECT CASE WHEN count(*) > 0 THEN {again} END FROM {old} o JOIN {table} r ON ",
        (same("r", "o", keys=True),),
        f" WHERE NOT EXISTS (SELECT 1 FROM {new} n WHERE ",
        (same("r", "n", keys=True),),
        f");DELETE FROM {table} AS r WHERE EXISTS (SELECT 1 FROM {new} n WHERE ",
        (same("r", "n", keys=True),),
        ");",
    )


def _as_multiset(table: Name, new: str) -> str:
    """Of equal rows as many go as came."""
    content = listed("'quote(' || n || ')'", columns(table), " || ',' || ")

    def numbered(source: str, more: str) -> tuple[str]:
        return (
            said(
                "(SELECT ",
                (content,),
                " AS content, row_number() OVER (PARTITION BY ",
                (content,),
                f") AS number{more} FROM {source})",
            ),
        )

    there, came = numbered(str(table), ", _rowid_ AS place"), numbered(new, "")
    return said(
        _changed(table),
        came,
        " n LEFT JOIN ",
        there,
        " r USING (content, number) WHERE r.place IS NULL;",
        f"DELETE FROM {table} WHERE _rowid_ IN (SELECT r.place FROM ",
        came,
        " n JOIN ",
        there,
        " r USING (content, number));",
    )
