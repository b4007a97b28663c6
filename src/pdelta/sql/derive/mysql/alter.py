"""What takes back an ALTER TABLE in MySQL and MariaDB, clause by clause."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Final

from pdelta.sql.derive.mysql import columns, definition, own_rows
from pdelta.sql.derive.mysql.draft import Change, Delta, Turn
from pdelta.sql.derive.mysql.schema import SPECIAL_INDEXES, add_index, first_column, own_index_goes, refuse_key
from pdelta.sql.derive.mysql.text import (
    MARIADB,
    UNCUT,
    MysqlReader,
    Name,
    guard,
    index_rows,
    joined,
    literal,
    one,
    quoted_value,
    said,
    same_table,
    when,
)
from pdelta.sql.derive.result import RefusedError
from pdelta.sql.split import Statement
from pdelta.sql.token import Kind

_UNNAMED: Final = "what the server names can't be told apart afterwards"
_NAME_IT: Final = "give it a name"
_APART: Final = "rename in a statement of its own"


def alter(delta: Delta, statement: Statement) -> Change:
    """Take every clause back, the last one first; the statement itself stays one.

    Raises:
        RefusedError: A clause is of a form that is not derived.
    """
    reader = MysqlReader(statement)
    reader.expect("ALTER")
    reader.take_one("ONLINE", "OFFLINE")
    reader.take("IGNORE")
    reader.expect("TABLE")
    if reader.take("IF", "EXISTS"):
        raise RefusedError("ALTER TABLE IF EXISTS is not derived")
    table = reader.table()
    if reader.take_one("WAIT", "NOWAIT"):
        reader.at += reader.tokens[reader.at].kind is Kind.NUMBER
    key = delta.tables.get(table)
    changes = [_clause(delta, table, reader)]
    while reader.take(","):
        changes.append(_clause(delta, table, reader))
    if not reader.is_over:
        raise RefusedError(f"{reader.next_text} in an ALTER TABLE is not derived")
    _refuse_together(reader, changes)
    columns.renamed(delta, table, [change.renames for change in changes if change.renames])
    last_first = changes[::-1]
    last_first.sort(key=lambda change: change.turn)
    whole = Change(
        before=tuple(dict.fromkeys((*(text for change in changes for text in change.before), *_asked(table, changes)))),
        undo=_undo(table, last_first),
        late=joined(change.late for change in last_first),
        first=tuple(piece for change in changes for piece in change.first),
        rows=any(change.rows for change in changes),
    )
    if key is None:
        return whole
    (new,) = (name for name, known in delta.tables.items() if known == key)
    return own_rows.altered(table, new, key, whole)


def _undo(table: Name, last_first: Sequence[Change]) -> str:
    parts = [(change.turn, change.undo) for change in last_first]
    parts.extend((Turn.GUARD, change.guards) for change in last_first)
    dropped = [change.drops for change in last_first if change.drops]
    if clauses := [change.clause for change in last_first if change.clause]:
        plain, calculated = definition.columns_back(table, clauses, dropped)
        parts += ((Turn.COLUMN, plain), (Turn.VALUE, calculated))
    if dropped:
        parts.insert(0, (Turn.INDEX, columns.indexes(table, dropped)))
        others = [change.index for change in last_first if change.index]
        parts.append((Turn.KEY, definition.checks_about(table, dropped, others)))
    if keys := [change.key for change in last_first if change.key]:
        gone = [change.index for change in last_first if change.index]
        parts.append((Turn.INDEX, definition.own_again(table, keys, gone)))
    return joined(text for _, text in sorted(parts, key=lambda part: part[0]))


def _refuse_together(reader: MysqlReader, changes: Sequence[Change]) -> None:
    """Refuse clauses of one statement that can't be taken back one by one.

    Raises:
        RefusedError: There are such.
    """
    words = [token.word for token in reader.tokens]
    if {("RENAME", "INDEX"), ("RENAME", "KEY")} & set(pairwise(words)) and any(change.drops for change in changes):
        raise RefusedError("an index that is renamed may go with a column that is dropped beside it", _APART)
    if "AUTO_INCREMENT" in words and any(change.turn in {Turn.ADDED_KEY, Turn.ADDED_INDEX} for change in changes):
        raise RefusedError(
            "a column that counts by itself can't be without the key that the same statement adds",
            "write PRIMARY KEY or UNIQUE into the column's definition, or add the key in a statement before",
        )
    renamed = {name.folded for change in changes if change.renames for name in change.renames}
    others = {name.folded for change in changes for name in (change.adds, change.drops) if name}
    if both := sorted(renamed & others):
        raise RefusedError(f"{both[0]} stands for two columns, whose indexes can't be told apart", _APART)


def _asked(table: Name, changes: Sequence[Change]) -> Iterator[str]:
    """Give the guards before clauses that get into each other's way in some tenants alone."""
    dropped = [literal(change.index.name) for change in changes if change.index]
    if dropped and any(change.turn in {Turn.ADDED_KEY, Turn.ADDED_INDEX} for change in changes):
        why = literal(f"a foreign key may need an index of {table.name} that is replaced: add the new one before")
        keys = (
            "information_schema.key_column_usage u WHERE u.table_schema = database() AND"
            f" (({same_table(table, column='u.table_name')} AND u.referenced_table_name IS NOT NULL"
            " AND u.column_name = s.column_name) OR (u.referenced_table_schema = database()"
            f" AND u.referenced_table_name = {literal(table.name)} AND u.referenced_column_name = s.column_name))"
        )
        lost = (
            f"information_schema.statistics s WHERE {same_table(table, column='s.table_name')}"
            f" AND s.index_name IN ({', '.join(dropped)}) AND s.seq_in_index = 1 AND EXISTS (SELECT 1 FROM {keys})"
        )
        yield guard(f"CASE WHEN EXISTS (SELECT 1 FROM {lost}) THEN {why} END")
    if dropped and (gone := [change.drops for change in changes if change.drops]):
        why = literal(f"an index of {table.name} goes with a column that is dropped beside it: drop it before")
        index = f"s.index_name IN ({', '.join(dropped)}) AND s.index_name IN ({columns.indexes_of(table, *gone)})"
        where = same_table(table, column="s.table_name")
        found = f"SELECT 1 FROM information_schema.statistics s WHERE {where} AND {index}"
        yield guard(f"CASE WHEN NOT {MARIADB} AND EXISTS ({found}) THEN {why} END")
    renamed = [literal(change.renames[0].name) for change in changes if change.renames]
    if not renamed:
        return
    mine = f"FROM information_schema.columns c WHERE {same_table(table, column='c.table_name')}"
    named = f"c.column_name IN ({', '.join(renamed)})"
    if any(change.drops for change in changes):
        why = literal(f"the key of {table.name} is renamed where a column is dropped, whose values are found by it")
        yield guard(f"CASE WHEN EXISTS (SELECT 1 {mine} AND {named} AND c.column_key = 'PRI') THEN {why} END")
    if any(change.turn is Turn.ADDED_INDEX for change in changes):
        why = literal(f"a column of a foreign key of {table.name} is renamed where an index is added")
        keys = (
            "EXISTS (SELECT 1 FROM information_schema.key_column_usage c WHERE"
            f" {same_table(table, column='c.table_name')} AND c.referenced_table_name IS NOT NULL AND {named})"
        )
        yield guard(f"CASE WHEN {keys} THEN {why} END")


def _clause(delta: Delta, table: Name, reader: MysqlReader) -> Change:
    word = reader.word
    handler = _CLAUSES.get(word)
    if handler is None:
        raise RefusedError(f"ALTER TABLE … {reader.next_text} is not derived")
    reader.at += 1
    return handler(delta, table, reader)


def _add(delta: Delta, table: Name, reader: MysqlReader) -> Change:
    if reader.take_one("INDEX", "KEY"):
        return _add_index(table, reader)
    if reader.take_one(*SPECIAL_INDEXES):
        reader.take_one("INDEX", "KEY")
        return _add_index(table, reader)
    if reader.word in {"CONSTRAINT", "PRIMARY", "FOREIGN", "CHECK"}:
        return _add_constraint(table, reader)
    if reader.word in {"PARTITION", "SYSTEM", "PERIOD"}:
        raise RefusedError(f"ADD {reader.word} is not derived")
    reader.take("COLUMN")
    return columns.add(delta, table, reader)


def _add_index(table: Name, reader: MysqlReader) -> Change:
    missing_ok = reader.take("IF", "NOT", "EXISTS")
    if reader.word in {"(", "USING"}:
        raise RefusedError(_UNNAMED, _NAME_IT)
    name = reader.plain_name()
    first = first_column(reader)
    reader.skip_to_comma()
    return add_index(table, name, first, missing_ok=missing_ok)


def _add_constraint(table: Name, reader: MysqlReader) -> Change:
    name: Name | None = None
    if reader.take("CONSTRAINT"):
        if reader.take("IF", "NOT", "EXISTS"):
            raise RefusedError("ADD CONSTRAINT IF NOT EXISTS is not derived")
        if reader.word not in {"PRIMARY", "UNIQUE", "FOREIGN", "CHECK"}:
            name = reader.plain_name()
    kind = reader.take_one("PRIMARY", "UNIQUE", "FOREIGN", "CHECK")
    start = reader.at
    first = first_column(reader)
    reader.skip_to_comma()
    if kind == "PRIMARY":
        return _add_key(table, reader, start, first)
    if name is None:
        raise RefusedError(_UNNAMED, _NAME_IT)
    if kind == "UNIQUE":
        return add_index(table, name, first, missing_ok=False)
    if kind == "CHECK":
        return Change(undo=said(f"ALTER TABLE {table} DROP CONSTRAINT {name};"), turn=Turn.ADDED_KEY)
    taken = literal(f"{table.name} has an index {name.name}, and the foreign key might make one of that name")
    index = index_rows(table, name)
    # The server makes an index of the key's name where there is none that will do.
    made = when(f"EXISTS (SELECT 1 FROM {index})", said(f"DROP INDEX {name} ON {table};"))
    return Change(
        before=(
            guard(
                f"CASE WHEN EXISTS (SELECT 1 FROM {index}) THEN {taken}"
                f" WHEN {own_index_goes(table, first)} THEN {_gone(table)} END"
            ),
        ),
        late=joined([said(f"ALTER TABLE {table} DROP FOREIGN KEY {name};"), made]),
        turn=Turn.ADDED_KEY,
    )


def _gone(table: Name) -> str:
    return literal(
        f"an index of a foreign key of {table.name} may go, and would not come back: make one by name before"
    )


def _add_key(table: Name, reader: MysqlReader, start: int, first: Name | None) -> Change:
    """Refused where a column can be NULL: the key forbids that, and dropping it does not allow it again."""
    names = [
        literal(token.text.strip('`"'))
        for token in reader.tokens[start : reader.at]
        if token.kind is Kind.QUOTED
        or (token.kind is Kind.WORD and token.word not in {"KEY", "USING", "BTREE", "HASH"})
    ]
    why = literal(f"columns of the key of {table.name} can be NULL: make them NOT NULL first")
    question = (
        f"CASE WHEN EXISTS (SELECT 1 FROM information_schema.columns WHERE {same_table(table)} AND is_nullable = 'YES'"
        f" AND column_name IN ({', '.join(names)})) THEN {why}"
        f" WHEN {own_index_goes(table, first)} THEN {_gone(table)} END"
    )
    dropped = said(f"ALTER TABLE {table} DROP PRIMARY KEY;")
    return Change(before=(guard(question),), undo=dropped, turn=Turn.ADDED_KEY)


def _drop(delta: Delta, table: Name, reader: MysqlReader) -> Change:
    if reader.take("PRIMARY", "KEY"):
        counts = (
            f"information_schema.columns c WHERE {same_table(table, column='c.table_name')} AND c.column_key = 'PRI'"
            " AND c.extra LIKE '%auto_increment%'"
        )
        why = literal(f"a column of the primary key of {table.name} counts by itself, and can't be without it")
        asked = guard(f"CASE WHEN EXISTS (SELECT 1 FROM {counts}) THEN {why} END")
        fit = definition.fit_index(table, Name("PRIMARY"))
        return Change(before=(*fit, asked), undo=definition.primary_key(table), turn=Turn.KEY)
    if reader.take_one("INDEX", "KEY"):
        reader.take("IF", "EXISTS")
        name = reader.plain_name()
        refuse_key(name)
        fit = definition.fit_index(table, name)
        return Change(before=fit, undo=definition.named_index(table, name), turn=Turn.INDEX, index=name)
    if reader.take("FOREIGN", "KEY"):
        reader.take("IF", "EXISTS")
        name = reader.plain_name()
        return Change(before=(UNCUT,), undo=definition.foreign_key(table, name), turn=Turn.KEY, key=name)
    if reader.take_one("CONSTRAINT", "CHECK"):
        reader.take("IF", "EXISTS")
        name = reader.plain_name()
        refuse_key(name)
        held = [definition.check(table, name), definition.foreign_key(table, name), definition.named_index(table, name)]
        unfit = guard(f"CASE{definition.unfit_checks(table, f'k.constraint_name = {literal(name.name)}')} END")
        before = (*definition.fit_index(table, name), unfit)
        return Change(before=before, undo=joined(held), turn=Turn.KEY, index=name, key=name)
    if reader.word in {"PARTITION", "SYSTEM", "PERIOD"}:
        raise RefusedError(f"DROP {reader.word} is not derived")
    reader.take("COLUMN")
    return columns.drop(delta, table, reader)


def _rename(delta: Delta, table: Name, reader: MysqlReader) -> Change:
    what = reader.take_one("COLUMN", "INDEX", "KEY")
    if not what:
        reader.take_one("TO", "AS", "=")
        new = reader.table()
        if {token.text for token in reader.tokens} & {","}:
            raise RefusedError("RENAME TO beside other clauses is not derived", _APART)
        delta.renamed(table, new)
        return Change(undo=said(f"ALTER TABLE {new} RENAME TO {table};"))
    if reader.word == "IF":
        raise RefusedError(f"RENAME {what} IF EXISTS is not derived")
    old = reader.plain_name()
    reader.expect("TO")
    new = reader.plain_name()
    clause = definition.other_clause(f"RENAME {what} {new} TO {old}")
    return Change(clause=clause, renames=(old, new) if what == "COLUMN" else None)


def _comment(_delta: Delta, table: Name, reader: MysqlReader) -> Change:
    reader.take("=")
    reader.at += 1
    text = said(f"ALTER TABLE {table} COMMENT = ", (quoted_value("t.table_comment"),), ";")
    row = f"information_schema.tables t WHERE {same_table(table, column='t.table_name')}"
    unfit = f"CASE WHEN locate(_utf8mb4 x'5c', t.table_comment) > 0 THEN {literal(definition.BACKSLASH)} END FROM {row}"
    return Change(before=(guard(unfit),), undo=one(text, row))


def _nothing(_delta: Delta, _table: Name, reader: MysqlReader) -> Change:
    reader.skip_to_comma()
    return Change()


_CLAUSES: Final[Mapping[str, Callable[[Delta, Name, MysqlReader], Change]]] = {
    "ADD": _add,
    "DROP": _drop,
    "RENAME": _rename,
    "MODIFY": columns.modify,
    "CHANGE": columns.change,
    "ALTER": columns.change_default,
    "COMMENT": _comment,
    "ALGORITHM": _nothing,
    "LOCK": _nothing,
    "FORCE": _nothing,
}
