"""What takes back CREATE, DROP and RENAME of what a MySQL or MariaDB database holds."""

from typing import Final

from pdelta.sql.derive.mysql import definition, own_rows
from pdelta.sql.derive.mysql.draft import Change, Delta, Turn, table_loss_guard
from pdelta.sql.derive.mysql.text import (
    MARIADB,
    MysqlReader,
    Name,
    guard,
    has_triggers,
    index_rows,
    joined,
    literal,
    said,
    same_table,
    table_exists,
    when,
)
from pdelta.sql.derive.reader import unquoted
from pdelta.sql.derive.result import RefusedError
from pdelta.sql.split import Statement

_DO_NOTHING: Final = "'DO 0'"
SPECIAL_INDEXES: Final = ("UNIQUE", "FULLTEXT", "SPATIAL")


def create(delta: Delta, statement: Statement) -> Change:
    """Drop it, unless it was there before.

    Raises:
        RefusedError: It is of a kind that is not derived.
    """
    reader = MysqlReader(statement)
    reader.expect("CREATE")
    replaces = reader.take("OR", "REPLACE")
    if reader.word == "TEMPORARY":
        raise RefusedError("a temporary table belongs to the connection")
    reader.take_one("ONLINE", "OFFLINE")
    reader.take_one(*SPECIAL_INDEXES)
    _skip_view_options(reader)
    kind = reader.take_one("TABLE", "INDEX", "VIEW", "TRIGGER", "PROCEDURE", "FUNCTION")
    missing_ok = reader.take("IF", "NOT", "EXISTS")
    if kind == "VIEW":
        return _view(reader.table(), replaces=replaces, missing_ok=missing_ok)
    if not kind or replaces:
        raise RefusedError(f"this form of CREATE is not derived ({kind or reader.next_text})")
    if kind == "TABLE":
        is_filled = any(token.word == "SELECT" for token in reader.tokens)
        return _table(delta, reader.table(), missing_ok=missing_ok, is_filled=is_filled)
    if kind == "INDEX":
        return _index(reader, missing_ok=missing_ok)
    if missing_ok:
        raise RefusedError(f"CREATE {kind} IF NOT EXISTS is not derived")
    return Change(undo=said(f"DROP {kind} {reader.table()};"))


def _skip_view_options(reader: MysqlReader) -> None:
    """Go past ``ALGORITHM = … DEFINER = … SQL SECURITY …``."""
    start = reader.at
    if reader.word not in {"ALGORITHM", "DEFINER", "SQL"}:
        return
    while not reader.is_over and reader.word not in {"VIEW", "TRIGGER", "PROCEDURE", "FUNCTION", "EVENT"}:
        reader.at += 1
    if reader.is_over:
        reader.at = start


def _table(delta: Delta, name: Name, *, missing_ok: bool, is_filled: bool) -> Change:
    text = said(f"{table_loss_guard(name)}DROP TABLE {name};")
    if missing_ok:
        return Change(undo=when(f"NOT {table_exists(name)}", text))
    key = delta.tables[name] = delta.names.own()
    return own_rows.made(name, key, text) if is_filled else Change(undo=text)


def _view(name: Name, *, replaces: bool, missing_ok: bool) -> Change:
    dropped = said(f"DROP VIEW {name};")
    there = f"EXISTS (SELECT 1 FROM information_schema.views WHERE {same_table(name)})"
    if replaces:
        return Change(before=(definition.fit_view(name),), undo=when(there, definition.view(name), dropped))
    return Change(undo=when(f"NOT {table_exists(name)}", dropped) if missing_ok else dropped)


def _index(reader: MysqlReader, *, missing_ok: bool) -> Change:
    name = reader.plain_name()
    while not reader.is_over and reader.word != "ON":
        reader.at += 1
    reader.expect("ON")
    return add_index(reader.table(), name, first_column(reader), missing_ok=missing_ok)


def first_column(reader: MysqlReader) -> Name | None:
    """Give the column that an index begins with, whose columns come next; None for an expression."""
    opening = next((at for at in range(reader.at, len(reader.tokens)) if reader.tokens[at].word == "("), None)
    if opening is None or opening + 1 == len(reader.tokens):
        return None
    first = reader.tokens[opening + 1]
    return Name(unquoted(first)) if first.kind in reader.names else None


def own_index_goes(table: Name, first: Name | None) -> str:
    """Give the condition that an index which begins with this column may take the place of a foreign key's own."""
    if first is None:
        return "false"
    begins = f"s.seq_in_index = 1 AND s.column_name = {literal(first.name)}"
    return definition.has_index(table, definition.is_of_a_key(table), begins)


def add_index(table: Name, name: Name, first: Name | None, *, missing_ok: bool) -> Change:
    """Drop an index; and bring back that of a foreign key, which the server drops where a new one will do.

    Args:
        table: Whose.
        name: Of the index.
        first: The column that it begins with; None for an expression.
        missing_ok: Whether nothing happens where there is one of that name.
    """
    why = literal(f"an index of a foreign key of {table.name} may go, and is brought back by MariaDB alone")
    question = f"CASE WHEN NOT {MARIADB} AND {own_index_goes(table, first)} THEN {why} END"
    own_before = when(MARIADB, definition.indexes(table, definition.is_of_a_key(table)))
    text = joined([own_before, said(f"DROP INDEX {name} ON {table};")])
    if missing_ok:
        text = when(f"NOT EXISTS (SELECT 1 FROM {index_rows(table, name)})", text)
    return Change(before=(guard(question),), undo=text, turn=Turn.ADDED_INDEX)


def drop(delta: Delta, statement: Statement) -> list[Change]:
    """Create it again, or rename it back.

    Raises:
        RefusedError: It is of a kind that is not derived.
    """
    reader = MysqlReader(statement)
    reader.expect("DROP")
    kind = reader.take_one("TABLE", "TABLES", "INDEX", "VIEW")
    if not kind:
        raise RefusedError(f"DROP {reader.next_text} is not derived")
    missing_ok = reader.take("IF", "EXISTS")
    names = [reader.table()]
    while reader.take(","):
        names.append(reader.table())
    if kind == "INDEX":
        reader.expect("ON")
        table = reader.table()
        refuse_key(names[0])
        return [Change(before=definition.fit_index(table, names[0]), undo=definition.named_index(table, names[0]))]
    if kind == "VIEW":
        undo = joined(definition.view(name) for name in reversed(names))
        before = (definition.fit_view(name, *(other for other in names if other != name)) for name in names)
        return [Change(before=tuple(before), undo=undo)]
    return [_parked(delta, name, missing_ok=missing_ok) for name in names]


def refuse_key(name: Name) -> None:
    """Refuse the primary key by the name of its index.

    Raises:
        RefusedError: It is.
    """
    if name.folded == "primary":
        raise RefusedError("the primary key by the name of its index is not derived", "write DROP PRIMARY KEY")


def _parked(delta: Delta, name: Name, *, missing_ok: bool) -> Change:
    if not delta.terms.park:
        raise RefusedError("what it held would be lost, and parking is switched off")
    delta.dropped(name)
    new = Name(delta.names.parked(name.name))
    keys = (
        "EXISTS (SELECT 1 FROM information_schema.key_column_usage u WHERE u.table_schema = database()"
        f" AND u.referenced_table_name IS NOT NULL AND (({same_table(name, column='u.table_name')})"
        f" OR (u.referenced_table_schema = database() AND u.referenced_table_name = {literal(name.name)})))"
    )
    other = f"{same_table(name)} AND table_type <> 'BASE TABLE'"
    view = f"EXISTS (SELECT 1 FROM information_schema.tables WHERE {other})"
    question = (
        f"CASE WHEN {view} THEN {literal(f'{name.name} is no table')}"
        f" WHEN {keys} THEN {literal(f'foreign keys lead from {name.name} or to it: drop them first')}"
        f" WHEN {has_triggers(name)} THEN {literal(f'{name.name} has triggers: drop them first')} END"
    )
    renamed = f"RENAME TABLE {name} TO {new}"
    return Change(
        before=(guard(question),),
        # MySQL has no IF EXISTS here; and a statement that begins with CASE would be read as a block.
        statement=f"concat({when(table_exists(name), literal(renamed), _DO_NOTHING)})" if missing_ok else renamed,
        calculated=missing_ok,
        undo=when(table_exists(name), said(f"RENAME TABLE {new} TO {name};")),
    )


def rename(delta: Delta, statement: Statement) -> Change:
    """Rename each table back, the last one first.

    Raises:
        RefusedError: It does not rename tables of the tenant.
    """
    reader = MysqlReader(statement)
    reader.expect("RENAME")
    if not reader.take_one("TABLE", "TABLES"):
        raise RefusedError(f"RENAME {reader.next_text} is not derived")
    if reader.word == "IF":
        raise RefusedError("RENAME TABLE IF EXISTS is not derived")
    pairs: list[tuple[Name, Name]] = []
    while not pairs or reader.take(","):
        old = reader.table()
        reader.expect("TO")
        pairs.append((old, reader.table()))
        delta.renamed(*pairs[-1])
    return Change(undo=said("".join(f"RENAME TABLE {new} TO {old};" for old, new in reversed(pairs))))
