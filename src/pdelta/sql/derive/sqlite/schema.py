"""What takes back CREATE and DROP in SQLite."""

from typing import Final

from pdelta.sql.derive.result import RefusedError
from pdelta.sql.derive.sqlite.draft import Change, Delta, Fresh, guard, loss_guard
from pdelta.sql.derive.sqlite.text import Name, SqliteReader, columns, listed, literal, said
from pdelta.sql.split import Statement

_PLACEHOLDER: Final = "pdelta_missing"
"""The one column of a table that stands where ``DROP TABLE IF EXISTS`` finds none."""


def create(delta: Delta, statement: Statement) -> Change:
    """Drop it, unless it was there before.

    Raises:
        RefusedError: It is of a kind that is not derived.
    """
    reader = SqliteReader(statement)
    reader.expect("CREATE")
    if reader.word in {"TEMP", "TEMPORARY"}:
        raise RefusedError("what is temporary belongs to the connection")
    reader.take("UNIQUE")
    reader.take("VIRTUAL")
    kind = reader.word
    if kind not in {"TABLE", "INDEX", "VIEW", "TRIGGER"}:
        raise RefusedError(f"CREATE {kind} is not derived")
    reader.take(kind)
    missing_ok = reader.take("IF", "NOT", "EXISTS")
    name = reader.name()
    dropped = f"DROP {kind} {name};"
    if kind != "TABLE":
        return Change(undo=_unless_there(name, dropped) if missing_ok else said(dropped))
    if missing_ok:
        return Change(undo=_unless_there(name, loss_guard(name, Name("", ""), "NULL") + dropped))
    delta.tables[name] = Fresh(name, delta.place, filled=reader.word == "AS")
    return Change(undo=said(dropped))


def _unless_there(name: Name, text: str) -> str:
    return f"CASE WHEN EXISTS (SELECT 1 FROM {name.row}) THEN '' ELSE {said(text)} END"


def drop(delta: Delta, statement: Statement) -> Change:
    """Create it again as it was written; a table's rows are kept, and come back with it.

    Raises:
        RefusedError: It is of a kind that is not derived.
    """
    reader = SqliteReader(statement)
    reader.expect("DROP")
    kind = reader.word
    if kind not in {"TABLE", "INDEX", "VIEW", "TRIGGER"}:
        raise RefusedError(f"DROP {kind} is not derived")
    reader.take(kind)
    missing_ok = reader.take("IF", "EXISTS")
    name = reader.name()
    if kind == "TABLE":
        return _table(delta, name, missing_ok=missing_ok)
    again = listed("sql || ';'", f"{name.row} AND type = {literal(kind.lower())}")
    # Triggers of a view go with it.
    return Change(undo=f"{again} || {belongings(name)}" if kind == "VIEW" else again)


def _table(delta: Delta, name: Name, *, missing_ok: bool) -> Change:
    if not delta.terms.park:
        raise RefusedError("what it held would be lost, and parking is switched off")
    delta.dropped(name)
    kept = delta.names.kept()
    made = (f"CREATE TABLE IF NOT EXISTS {name} ({_PLACEHOLDER})",) if missing_ok else ()
    back = f"{definition(name)} || {filled(name, kept)} || {belongings(name)} || {literal(f'DROP TABLE {kept};')}"
    if missing_ok:
        was_missing = f"EXISTS (SELECT 1 FROM pragma_table_info({literal(name.name)}) WHERE name = '{_PLACEHOLDER}')"
        back = f"CASE WHEN {was_missing} THEN {literal(f'DROP TABLE {kept};')} ELSE {back} END"
    return Change(
        before=(
            *made,
            guard(table_question(name)),
            *counting(kept),
            f"CREATE TABLE {kept} AS SELECT * FROM {name}",
            delta.limited(kept, name),
        ),
        undo=back,
    )


def table_question(name: Name) -> str:
    """Ask whether it is a table whose rows can be copied."""
    return (
        f"CASE WHEN type <> 'table' THEN {literal(f'{name.name} is no table')}"
        f" WHEN sql LIKE 'CREATE VIRTUAL%' THEN {literal(f'{name.name} is a virtual table, and its rows are not kept')}"
        f" END FROM {name.row}"
    )


def definition(name: Name) -> str:
    """Give the expression of the statement that a table was created by."""
    return f"(SELECT sql || ';' FROM {name.row} AND type = 'table')"


def belongings(name: Name) -> str:
    """Give the expression of the statements that a table's indexes and triggers were created by."""
    return listed(
        "sql || ';'",
        f"(SELECT sql FROM main.sqlite_master WHERE tbl_name = {literal(name.name)} COLLATE NOCASE"
        " AND type IN ('index', 'trigger') AND sql IS NOT NULL ORDER BY rowid)",
    )


def filled(name: Name, kept: str) -> str:
    """Give the expression of the statements that bring a table's rows back, and the numbers it has given."""
    named = listed("n", columns(name), ", ")
    inserted = said(f"INSERT INTO {name} (", (named,), ") SELECT ", (named,), f" FROM {kept};")
    return f"{inserted} || {numbers(name)}"


def counting(kept: str) -> tuple[str, ...]:
    """Give the statements after which there is a table of the numbers that AUTOINCREMENT has given; there may be none.

    SQLite makes it with the first table that counts, and never takes it away.
    """
    return (f"CREATE TABLE {kept}_s (id INTEGER PRIMARY KEY AUTOINCREMENT)", f"DROP TABLE {kept}_s")


def numbers(name: Name) -> str:
    """Give the expression of the statements that let a table count on from where it is; nothing where it does not."""
    where = f"name = {literal(name.name)} COLLATE NOCASE"
    none = said(f"DELETE FROM sqlite_sequence WHERE {where};")
    return (
        f"coalesce((SELECT {none} || 'INSERT INTO sqlite_sequence VALUES (' || quote(name) || ', ' || seq || ');'"
        f" FROM sqlite_sequence WHERE {where}), (SELECT {none} FROM {name.row} AND sql LIKE '%AUTOINCREMENT%'), '')"
    )
