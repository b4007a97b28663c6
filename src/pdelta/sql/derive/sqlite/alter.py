"""What takes back an ALTER TABLE in SQLite."""

from typing import Final

from pdelta.sql.derive.expression import quoted
from pdelta.sql.derive.result import RefusedError
from pdelta.sql.derive.sqlite.draft import Change, Delta, Fresh, as_left, guard
from pdelta.sql.derive.sqlite.schema import belongings, counting, definition, table_question
from pdelta.sql.derive.sqlite.text import Name, SqliteReader, amount, columns, listed, literal, may_be_null, said
from pdelta.sql.piece import LOSS_GUARD
from pdelta.sql.split import Statement
from pdelta.sql.token import Kind

_DROPS_COLUMNS: Final = "3.35"
_OLD: Final = (
    "CASE WHEN (CAST(substr(sqlite_version(), 3, instr(substr(sqlite_version(), 3), '.') - 1) AS INTEGER)) < 35"
    f" THEN 'this SQLite can drop no columns, as {_DROPS_COLUMNS} can' END"
)


def alter(delta: Delta, statement: Statement) -> Change:
    """Rename back, drop the column that was added, or build the table again with the one that was dropped.

    Raises:
        RefusedError: It is of a form that is not derived.
    """
    reader = SqliteReader(statement)
    reader.expect("ALTER", "TABLE")
    table = reader.name()
    if reader.take("RENAME", "TO"):
        return _rename_table(delta, table, reader)
    if reader.take("RENAME"):
        return _rename_column(delta, table, reader)
    if reader.take("ADD"):
        return _add(delta, table, reader, statement)
    if reader.take("DROP"):
        return _drop(delta, table, reader)
    raise RefusedError(f"ALTER TABLE … {reader.word} is not derived")


def _rename_table(delta: Delta, table: Name, reader: SqliteReader) -> Change:
    new = reader.plain_name()
    delta.renamed(table, new)
    back = f"ALTER TABLE {new.text} RENAME TO {table.text};"
    if new in delta.gone:
        # What refers to this name means the table that had it before, and that is created again next.
        back = f"PRAGMA legacy_alter_table = ON;{back}PRAGMA legacy_alter_table = OFF;"
    return Change(undo=said(back))


def _rename_column(delta: Delta, table: Name, reader: SqliteReader) -> Change:
    reader.take("COLUMN")
    old = reader.plain_name()
    reader.expect("TO")
    new = reader.plain_name()
    if (table, old) in delta.columns:
        delta.columns[table, new] = delta.columns.pop((table, old))
    # The name is written into the table's definition as it stands here.
    return Change(undo=said(f"ALTER TABLE {table.text} RENAME COLUMN {new.text} TO {old.text};"))


def _add(delta: Delta, table: Name, reader: SqliteReader, statement: Statement) -> Change:
    reader.take("COLUMN")
    column = reader.plain_name()
    default, generated = _default(reader, statement)
    if not generated:
        delta.columns[table, column] = Fresh(table, delta.place, column, default)
    return Change(before=(guard(_OLD),), undo=said(f"ALTER TABLE {table} DROP COLUMN {column};"))


def _default(reader: SqliteReader, statement: Statement) -> tuple[str, bool]:
    """Give the default of a column's definition, NULL for none, and whether the column is generated."""
    default, depth = "NULL", 0
    while not reader.is_over:
        word = reader.word
        depth += {"(": 1, ")": -1}.get(word, 0)
        if not depth and word in {"GENERATED", "AS"}:
            return default, True
        reader.at += 1
        if not depth and word == "DEFAULT" and not reader.is_over:
            start = reader.at
            if reader.word == "(":
                reader.skip_brackets()
            else:
                reader.at += 2 if reader.word in {"+", "-"} else 1
            tokens = reader.tokens[start : reader.at]
            default = statement.text[tokens[0].offset - statement.offset : tokens[-1].end - statement.offset]
            if tokens[0].kind is Kind.QUOTED:
                default = literal(default[1:-1])
    return default, False


def _drop(delta: Delta, table: Name, reader: SqliteReader) -> Change:
    reader.take("COLUMN")
    column = reader.plain_name()
    if not delta.terms.park:
        raise RefusedError("what it held would be lost, and parking is switched off")
    delta.columns.pop((table, column), None)
    kept = delta.names.kept()
    return Change(
        before=(
            guard(table_question(table)),
            guard(_keyless(table, column)),
            *counting(kept),
            f"CREATE TABLE {kept} AS SELECT * FROM {table}",
            delta.limited(kept, table),
        ),
        undo=f"{_ownerless(table, column, kept)} || {_rebuilt(table, column, kept)}",
        late=as_left(table),
    )


def _keyless(table: Name, column: Name) -> str:
    info = f"pragma_table_info({literal(table.name)})"
    return (
        f"CASE WHEN NOT EXISTS (SELECT 1 FROM {info} WHERE pk > 0)"
        f" THEN {literal(f'{table.name} has no primary key, by which values of {column.name} could be found again')}"
        f" WHEN EXISTS (SELECT 1 FROM {info} WHERE pk > 0 AND name = {literal(column.name)} COLLATE NOCASE)"
        f" THEN {literal(f'{column.name} is of the primary key')} END"
    )


def _rebuilt(table: Name, column: Name, kept: str) -> str:
    """Give the expression of building the table as it was, out of its rows as they are then and the values as kept."""
    now = f"{kept}_t"
    name = f"name = {literal(column.name)} COLLATE NOCASE"
    value = (
        f"CASE WHEN {name} THEN {literal(f'CASE WHEN k.pdelta_there THEN k.{quoted(column.name)} ELSE ')}"
        " || coalesce('(' || dflt_value || ')', 'NULL') || ' END' ELSE 'c.' || n END"
    )
    counts = f"(SELECT sql LIKE '%AUTOINCREMENT%' FROM {table.row} AND type = 'table')"
    where = f"name = {literal(table.name)} COLLATE NOCASE"
    saved = said(f"CREATE TABLE {kept}_s AS SELECT * FROM sqlite_sequence WHERE {where};")
    restored = said(
        f"DELETE FROM sqlite_sequence WHERE {where};INSERT INTO sqlite_sequence SELECT * FROM {kept}_s;DROP"
        f" TABLE {kept}_s;"
    )
    return said(
        (f"CASE WHEN {counts} THEN {saved} ELSE '' END",),
        f"CREATE TABLE {now} AS SELECT * FROM {table};DROP TABLE {table};",
        (definition(table),),
        f"INSERT INTO {table} (",
        (listed("n", columns(table), ", "),),
        ") SELECT ",
        (listed(value, columns(table), ", "),),
        " FROM ",
        (_rows(table, column, now),),
        " c LEFT JOIN ",
        (_rows(table, column, kept),),
        " k ON ",
        (_same(table),),
        ";",
        (f"CASE WHEN {counts} THEN {restored} ELSE '' END",),
        (belongings(table),),
        f"DROP TABLE {now};DROP TABLE {kept};",
    )


def _ownerless(table: Name, column: Name, kept: str) -> str:
    """Give the expression of the guard that counts values whose rows are not found again.

    Where no other row has come, they were deleted, and their values went with them; else their keys may have changed.
    """
    there, known = (_rows(table, column, source) for source in (str(table), kept))
    lost = f"had a value in {column.name} that would be lost"
    what = amount(table.name, f"{lost}: its key is not there any more", f"{lost}: their keys are not there any more")
    guard_text = said(
        f"{LOSS_GUARD} SELECT CASE WHEN count(*) > 0 AND EXISTS (SELECT 1 FROM ",
        (there,),
        " c LEFT JOIN ",
        (known,),
        " k ON ",
        (_same(table),),
        f" WHERE k.pdelta_there IS NULL) THEN {what} END FROM ",
        (known,),
        " k LEFT JOIN ",
        (there,),
        " c ON ",
        (_same(table),),
        f" WHERE c.pdelta_there IS NULL AND k.{quoted(column.name)} IS NOT ",
        ("coalesce('(' || dflt_value || ')', 'NULL')",),
        ";",
    )
    info = f"pragma_table_info({literal(table.name)}) WHERE name = {literal(column.name)} COLLATE NOCASE"
    return f"coalesce((SELECT {guard_text} FROM {info}), '')"


def _rows(table: Name, column: Name, source: str) -> str:
    """Give the expression of rows of a table, from it or a copy of it, with what else tells them apart.

    Those with NULL in the primary key are known by all that they hold beside the column, and equal ones are numbered:
    which of them is which means nothing.
    """
    nulls = listed("n || ' IS NULL'", columns(table, keys=True), " OR ")
    others = f"(SELECT n FROM {columns(table)} WHERE name <> {literal(column.name)} COLLATE NOCASE)"
    content = listed("'quote(' || n || ')'", others, " || ',' || ")
    number = said(
        "CASE WHEN ",
        (nulls,),
        " THEN ",
        (content,),
        " || ' ' || row_number() OVER (PARTITION BY ",
        (content,),
        ") END",
    )
    return said(
        "(SELECT *, 1 AS pdelta_there, ",
        (f"CASE WHEN {may_be_null(table)} THEN {number} ELSE 'NULL' END",),
        f" AS pdelta_same FROM {source})",
    )


def _same(table: Name) -> str:
    """Give the expression of the condition that two such rows, ``k`` and ``c``, are the same one."""
    keys = listed("'k.' || n || ' IS c.' || n", columns(table, keys=True), " AND ")
    return f"{keys} || CASE WHEN {may_be_null(table)} THEN ' AND k.pdelta_same IS c.pdelta_same' ELSE '' END"
