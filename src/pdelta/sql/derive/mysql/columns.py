"""What takes back the clauses of ALTER TABLE that are about one column."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from pdelta.sql.derive.mysql import definition
from pdelta.sql.derive.mysql.draft import Change, Delta, Fresh, Turn, column_loss_guard
from pdelta.sql.derive.mysql.text import (
    CALCULATED,
    COLUMN,
    MARIADB,
    UNCUT,
    MysqlReader,
    Name,
    amount,
    at_most,
    column_row,
    guard,
    has_triggers,
    joined,
    key_is_calculated,
    listed,
    literal,
    one,
    primary_parts,
    said,
    same_key,
    same_table,
    when,
)
from pdelta.sql.derive.result import RefusedError
from pdelta.sql.piece import LOSS_GUARD, Piece
from pdelta.sql.token import Kind

_INTEGERS: Final = ("TINYINT", "SMALLINT", "MEDIUMINT", "INT", "BIGINT")
_SYNONYMS: Final = {"INTEGER": "INT", "BOOL": "TINYINT", "BOOLEAN": "TINYINT", "DEC": "DECIMAL", "NUMERIC": "DECIMAL"}
_SPATIAL: Final = (
    "'geometry', 'point', 'linestring', 'polygon', 'multipoint', 'multilinestring', 'multipolygon', 'geomcollection'"
)
_NUMBERS: Final = frozenset({*_INTEGERS, "DECIMAL", "FLOAT", "DOUBLE", "REAL", "BIT"})


def add(delta: Delta, table: Name, reader: MysqlReader) -> Change:
    """Drop it again, if it was not there before.

    Raises:
        RefusedError: Several are added in brackets, or one with a foreign key.
    """
    missing_ok = reader.take("IF", "NOT", "EXISTS")
    if reader.word == "(":
        raise RefusedError("several columns in brackets are not derived", "write ADD COLUMN before each of them")
    column = reader.plain_name()
    start = reader.at
    kind = reader.word
    reader.skip_to_comma()
    words = [token.word for token in reader.tokens[start : reader.at]]
    if "REFERENCES" in words:
        raise RefusedError("a column with a foreign key is not derived", "add the key with a name of its own")
    dropped = f"ALTER TABLE {table} DROP COLUMN {column};"
    if {"GENERATED", "AS"} & set(words):
        fresh = None
    else:
        default = _default(reader, start, words)
        is_number = _SYNONYMS.get(kind, kind) in _NUMBERS
        fresh = Fresh(table, column, default, is_number=is_number, key=delta.names.own())
    if not missing_ok:
        if fresh is not None:
            delta.columns[table, column.folded] = fresh
        return Change(undo=said(dropped), turn=Turn.ADDED_COLUMN, adds=column)
    text = (column_loss_guard(fresh) if fresh is not None else "") + dropped
    missing = f"NOT EXISTS (SELECT 1 FROM {column_row(table, column)})"
    return Change(undo=when(missing, said(text)), turn=Turn.ADDED_COLUMN, adds=column)


def _default(reader: MysqlReader, start: int, words: list[str]) -> str | None:
    """Give the default of a definition where that is a constant; NULL for none, None where it is not known."""
    if "AUTO_INCREMENT" in words:
        return None
    if "DEFAULT" not in words:
        return None if ("NOT", "NULL") in pairwise(words) else "NULL"
    at = start + words.index("DEFAULT") + 1
    end = at + (2 if reader.tokens[at].word in {"+", "-"} else 1)
    token = reader.tokens[end - 1]
    constant = token.kind in {Kind.STRING, Kind.NUMBER} or token.word in {"NULL", "TRUE", "FALSE"}
    return reader.text(at, end) if constant else None


def drop(delta: Delta, table: Name, reader: MysqlReader) -> Change:
    """Add it where it was, as it was, with its values, which are kept in a table, and with its indexes.

    Raises:
        RefusedError: Parking is switched off.
    """
    missing_ok = reader.take("IF", "EXISTS")
    column = reader.plain_name()
    reader.take_one("RESTRICT", "CASCADE")
    if not delta.terms.park:
        raise RefusedError("what it held would be lost, and parking is switched off")
    if missing_ok:
        raise RefusedError("DROP COLUMN IF EXISTS is not derived")
    delta.columns.pop((table, column.folded), None)
    kept = Name(delta.names.kept())
    limit = delta.terms.rows_at_most
    first = Piece(
        said(
            f"CREATE TABLE {kept} (PRIMARY KEY (",
            primary_parts(table),
            ")) AS SELECT ",
            listed(table, COLUMN, keys=True),
            f", {column} FROM {table}",
        ),
        before=(
            UNCUT,
            guard(_drop_question(table, column)),
            at_most(table, limit, f"{table.name} has more than {limit} rows, and no more are kept"),
        ),
        undo=said(f"DROP TABLE {kept};"),
        alone=True,
        calculated=True,
    )
    rows = f"{column_row(table, column)} AND {definition.UNFILLED} AND NOT ({CALCULATED.format('c')})"
    emptied = one(said(f"ALTER TABLE {table} ALTER COLUMN {column} DROP DEFAULT;"), rows)
    return Change(
        first=(first,),
        undo=joined([_values(table, column, kept), emptied]),
        turn=Turn.VALUE,
        guards=_ownerless(table, column, kept),
        clause=definition.column_clause(table, column, "ADD COLUMN ", filled=True),
        drops=column,
    )


def _drop_question(table: Name, column: Name) -> str:
    shown = f"{table.name}.{column.name}"
    where = same_table(table, column="c.table_name")
    keyed = f"EXISTS (SELECT 1 FROM information_schema.columns c WHERE {where} AND c.column_key = 'PRI')"
    of_it = f"s.index_name IN ({indexes_of(table, column)})"
    return (
        f"CASE WHEN c.column_key = 'PRI' THEN {literal(f'{shown} is of the primary key')}"
        f" WHEN NOT {keyed} THEN {literal(f'{table.name} has no primary key, by which values could be found again')}"
        f" WHEN c.extra LIKE '%auto_increment%' THEN {literal(f'{shown} counts by itself')}"
        f" WHEN {key_is_calculated(table)} THEN {literal(f'the primary key of {table.name} is calculated from others')}"
        f"{definition.unfit(shown)}"
        f" WHEN {definition.LATER} AND locate('`', c.column_default) > 0 THEN"
        f" {literal(f'the default of {shown} is made of other columns')}"
        f" WHEN NOT {MARIADB} AND c.data_type IN ({_SPATIAL}) THEN"
        f" {literal(f'{shown} is spatial, and of which system is not brought back')}"
        f"{definition.unfit_checks(table, definition.is_about(column))}"
        f" WHEN {definition.is_unfit(table, of_it)} THEN"
        f" {literal(f'the comment of an index of {shown} holds a backslash, which means one thing or another')}"
        f" WHEN {definition.is_calculated(table, of_it)} THEN"
        f" {literal(f'an index over an expression is of {column.name} too')}"
        f" WHEN {has_triggers(table)} THEN"
        f" {literal(f'{table.name} has triggers, and bringing values back would fire them')}"
        f" END FROM {column_row(table, column)}"
    )


def _values(table: Name, column: Name, kept: Name) -> str:
    """Give the expression of the UPDATE that brings values back; what sets itself on an update stays as it is."""
    where = same_table(table, column="k.table_name")
    selves = (
        f"coalesce((SELECT group_concat(concat(', t.', {COLUMN}, ' = t.', {COLUMN}) SEPARATOR '')"
        f" FROM information_schema.columns k WHERE {where} AND k.extra LIKE '%on update%'"
        f" AND k.column_name <> {literal(column.name)}), '')"
    )
    text = said(
        f"UPDATE {table} t JOIN {kept} k ON ",
        same_key(table, "t", "k"),
        f" SET t.{column} = k.{column}",
        (selves,),
        ";",
    )
    return one(text, f"{column_row(table, column)} AND NOT ({CALCULATED.format('c')})")


def _ownerless(table: Name, column: Name, kept: Name) -> str:
    """Give the expression of the guard that counts values whose row has another key by now, as far as can be told.

    A row that is gone has none to give its value to; that is no loss where no other row has come in its place.
    """
    what = amount(
        table.name,
        f"is not found by its key, and its {column.name} would be lost",
        f"are not found by their key, and their {column.name} would be lost",
    )
    same = same_key(table, "t", "k")
    text = said(
        f"{LOSS_GUARD} SELECT CASE WHEN count(*) > 0 THEN {what} END FROM {kept} k"
        f" WHERE k.{column} IS NOT NULL AND NOT EXISTS (SELECT 1 FROM {table} t WHERE ",
        same,
        f") AND (SELECT count(*) FROM {table}) > (SELECT count(*) FROM {kept} k JOIN {table} t ON ",
        same,
        ");",
    )
    return one(text, f"{column_row(table, column)} AND NOT ({CALCULATED.format('c')})")


def indexes(table: Name, dropped: Sequence[Name]) -> str:
    """Give the expression of the statements that bring back the indexes that dropped columns were of.

    Those of other columns too have lost these alone, and are there under their names.
    """
    return definition.indexes(table, f"s.index_name IN ({indexes_of(table, *dropped)})", dropped=dropped)


def indexes_of(table: Name, *columns: Name) -> str:
    """Give the question for the names of the indexes that one of these columns is of."""
    named = ", ".join(literal(column.name) for column in columns)
    where = same_table(table, column="z.table_name")
    return f"SELECT z.index_name FROM information_schema.statistics z WHERE {where} AND z.column_name IN ({named})"


def modify(_delta: Delta, table: Name, reader: MysqlReader) -> Change:
    """Define it as it was defined."""
    reader.take("COLUMN")
    return _redefined(table, reader, renames=False)


def change(_delta: Delta, table: Name, reader: MysqlReader) -> Change:
    """Define it, and call it, as it was."""
    reader.take("COLUMN")
    return _redefined(table, reader, renames=True)


def _redefined(table: Name, reader: MysqlReader, *, renames: bool) -> Change:
    if reader.take("IF", "EXISTS"):
        raise RefusedError("MODIFY and CHANGE IF EXISTS are not derived")
    old = reader.plain_name()
    new = reader.plain_name() if renames else old
    start = reader.at
    reader.skip_to_comma()
    words = {token.word for token in reader.tokens[start : reader.at]}
    why = literal(f"MySQL makes a check of {table.name} by itself of that in the new definition: add it by name")
    shown = f"{table.name}.{old.name}"
    checked = f" WHEN NOT {MARIADB} THEN {why}" if "CHECK" in words else ""
    if {"GENERATED", "AS"} & words:
        gone = literal(f"the values of {shown} would be others, and calculated from then on")
        checked += f" WHEN NOT ({CALCULATED.format('c')}) THEN {gone}"
    if "AUTO_INCREMENT" in words:
        counted = literal(f"values of {shown} may change where it counts by itself")
        checked += f" WHEN c.extra NOT LIKE '%auto_increment%' THEN {counted}"
    question = (
        f"CASE{definition.unfit(shown)}{checked} WHEN NOT ({_holds(reader, start)}) THEN concat("
        f"{literal(f'{table.name}.{old.name} is ')}, c.column_type, {literal(', and values may not come back from ')},"
        f" {literal(reader.text(start, start + _type_length(reader, start)))}) END FROM {column_row(table, old)}"
    )
    return Change(
        before=(UNCUT, guard(question)),
        guards=_fits(table, old, new),
        clause=definition.column_clause(table, old, f"CHANGE COLUMN {new} "),
        rows=True,
        renames=(old, new) if new != old else None,
    )


def _type_length(reader: MysqlReader, start: int) -> int:
    """Give how many tokens the type of a definition has."""
    end = start + 1
    if end < len(reader.tokens) and reader.tokens[end].word == "(":
        while reader.tokens[end].word != ")":
            end += 1
        end += 1
    while end < len(reader.tokens) and reader.tokens[end].word in {"UNSIGNED", "SIGNED", "ZEROFILL"}:
        end += 1
    return end - start


def _holds(reader: MysqlReader, start: int) -> str:
    """Give the condition that the type of a definition holds every value of the column's type, in ``c``."""
    tokens = reader.tokens[start : start + _type_length(reader, start)]
    word = _SYNONYMS.get(tokens[0].word, tokens[0].word)
    numbers = [int(token.text) for token in tokens if token.kind is Kind.NUMBER and token.text.isdecimal()]
    sign = "LIKE" if any(token.word == "UNSIGNED" for token in tokens) else "NOT LIKE"
    same_sign = f"c.column_type {sign} '%unsigned%'"
    kind = word.lower()
    if word in _INTEGERS:
        smaller = ", ".join(literal(one.lower()) for one in _INTEGERS[: _INTEGERS.index(word) + 1])
        return f"c.data_type IN ({smaller}) AND {same_sign}"
    if word == "DECIMAL" and len(numbers) == 2:
        digits, scale = numbers
        return (
            f"c.data_type = 'decimal' AND {same_sign} AND c.numeric_scale <= {scale}"
            f" AND c.numeric_precision - c.numeric_scale <= {digits - scale}"
        )
    if word == "VARCHAR" and len(numbers) == 1:
        return (
            f"c.data_type = 'varchar' AND c.character_maximum_length <= {numbers[0]} AND {_same_charset(reader, start)}"
        )
    if word in {"TEXT", "MEDIUMTEXT", "LONGTEXT"}:
        texts = {"TEXT": "'varchar', 'text'", "MEDIUMTEXT": "'varchar', 'text', 'mediumtext'"}
        kinds = texts.get(word, "'varchar', 'text', 'mediumtext', 'longtext'")
        return f"c.data_type IN ({kinds}) AND {_same_charset(reader, start)}"
    shown = "".join(token.text for token in tokens).lower()
    return f"c.column_type = {literal(shown)} OR (c.data_type = {literal(kind)} AND c.column_type = {literal(kind)})"


def _same_charset(reader: MysqlReader, start: int) -> str:
    """Another character set may lack characters; nothing is said of one where the table's is meant."""
    words = [token.word for token in reader.tokens[start : reader.at]]
    return "false" if {"CHARACTER", "CHARSET", "COLLATE"} & set(words) else "true"


def _fits(table: Name, old: Name, new: Name) -> str:
    """Give the expression of the guard that counts values that would be cut by the old type."""
    what = amount(table.name, f"has a {new.name} that would be cut", f"have a {new.name} that would be cut")
    begin = f"{LOSS_GUARD} SELECT CASE WHEN count(*) > 0 THEN {what} END FROM {table} WHERE "
    longer = said(begin + f"char_length({new}) > ", ("c.character_maximum_length",), ";")
    cut = said(
        begin + f"NOT ({new} <=> CAST({new} AS DECIMAL(", ("c.numeric_precision",), ",", ("c.numeric_scale",), ")));"
    )
    bits = (
        "CASE c.data_type WHEN 'tinyint' THEN 8 WHEN 'smallint' THEN 16 WHEN 'mediumint' THEN 24 WHEN 'int' THEN 32"
        " ELSE 64 END"
    )
    low = f"CASE WHEN c.column_type LIKE '%unsigned%' THEN 0 ELSE -pow(2, {bits} - 1) END"
    high = f"CASE WHEN c.column_type LIKE '%unsigned%' THEN pow(2, {bits}) - 1 ELSE pow(2, {bits} - 1) - 1 END"
    outside = said(begin + f"NOT ({new} BETWEEN ", (low,), " AND ", (high,), ");")
    return one(
        f"CASE WHEN c.data_type IN ('varchar', 'char') THEN {longer} WHEN c.data_type = 'decimal' THEN {cut}"
        f" WHEN c.data_type IN ('tinyint', 'smallint', 'mediumint', 'int') THEN {outside} ELSE '' END",
        column_row(table, old),
    )


def change_default(_delta: Delta, table: Name, reader: MysqlReader) -> Change:
    """Set the default that it had, or none.

    Raises:
        RefusedError: It is of another form.
    """
    if reader.word in {"INDEX", "KEY", "CONSTRAINT"}:
        raise RefusedError(f"ALTER {reader.word} is not derived")
    reader.take("COLUMN")
    column = reader.plain_name()
    if not (reader.take("SET", "DEFAULT") or reader.take("DROP", "DEFAULT")):
        raise RefusedError(f"ALTER COLUMN … {reader.next_text} is not derived")
    reader.skip_to_comma()
    alter = f"ALTER TABLE {table} ALTER COLUMN {column} "
    whole = said(f"ALTER TABLE {table} MODIFY COLUMN {column} ", (definition.COLUMN,), ";")
    text = (
        # What is set with an update may go with the default.
        f"CASE WHEN c.data_type IN ('datetime', 'timestamp') THEN {whole}"
        f" WHEN c.column_default IS NOT NULL THEN {said(f'{alter}SET DEFAULT ', (definition.DEFAULT,), ';')}"
        # What MariaDB gives as a text, MySQL does not.
        f" WHEN NOT {MARIADB} AND c.is_nullable = 'YES' THEN {said(f'{alter}SET DEFAULT NULL;')}"
        f" ELSE {said(f'{alter}DROP DEFAULT;')} END"
    )
    unfit = f"CASE{definition.unfit(f'{table.name}.{column.name}')} END FROM {column_row(table, column)}"
    undo = one(text, column_row(table, column))
    return Change(before=(guard(unfit),), undo=undo, turn=Turn.VALUE)


def renamed(delta: Delta, table: Name, pairs: Sequence[tuple[Name, Name]]) -> None:
    """Know fresh columns by their new names; a statement gives all of them at once, so that two may swap theirs."""
    fresh = [(new, delta.columns.pop((table, old.folded), None)) for old, new in pairs]
    delta.columns.update({(table, new.folded): column for new, column in fresh if column is not None})
