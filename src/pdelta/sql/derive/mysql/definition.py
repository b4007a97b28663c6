"""What the catalogue says about a column, an index, a key or a view, as expressions of what brings it back."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from pdelta.sql.derive.mysql.text import (
    CALCULATED,
    MARIADB,
    UNCUT,
    Name,
    by_server,
    column_row,
    each,
    guard,
    index_rows,
    literal,
    one,
    quoted_name,
    quoted_value,
    said,
    same_table,
    when,
)

_STRING: Final = "'[^']*'"
_QUOTE: Final = "replace({}, _utf8mb4 x'5c27', '''')"
"""MySQL gives expressions of columns and checks with a backslash before each of their quotes."""
_WIDE: Final = "length(coalesce({0}, '')) <> char_length(coalesce({0}, ''))"
_GENERATED: Final = by_server("c.generation_expression", _QUOTE.format("c.generation_expression"))
LATER: Final = f"(NOT {MARIADB} AND c.extra LIKE '%DEFAULT_GENERATED%')"
"""The condition that a column's default is an expression, which MySQL alone tells apart."""
_GIVEN: Final = f"CASE WHEN {LATER} THEN {_QUOTE.format('c.column_default')} ELSE c.column_default END"
DEFAULT: Final = (
    f"CASE WHEN {MARIADB} OR c.data_type IN ('bit', 'binary', 'varbinary') OR ({LATER}"
    f" AND c.column_default LIKE 'CURRENT_TIMESTAMP%') THEN c.column_default WHEN {LATER} THEN"
    f" concat('(', {_GIVEN}, ')') ELSE {quoted_value('c.column_default')} END"
)
"""The expression of a column's default, where that is not NULL: MySQL gives values without their quotes."""
_CHECK: Final = by_server(
    "coalesce((SELECT concat(' CHECK (', k.check_clause, ')') FROM information_schema.check_constraints k"
    " WHERE k.constraint_schema = database() AND k.table_name = c.table_name AND k.level = 'Column'"
    " AND k.constraint_name = c.column_name), '')",
    "''",
)
BACKSLASH: Final = "a comment or a default holds a backslash, which means one thing or another"
_GARBLED: Final = "holds letters that the catalogue does not give as they are"


def _definition(default: str) -> str:
    """Give the expression of a column's definition, whose default is this where it has none."""
    return (
        "concat(c.column_type,"
        " CASE WHEN c.collation_name IS NULL THEN ''"
        " ELSE concat(' CHARACTER SET ', c.character_set_name, ' COLLATE ', c.collation_name) END,"
        f" CASE WHEN {CALCULATED.format('c')} THEN concat(' GENERATED ALWAYS AS (', {_GENERATED}, ') ',"
        " CASE WHEN c.extra LIKE '%STORED%' THEN 'STORED' ELSE 'VIRTUAL' END,"
        f" CASE WHEN NOT {MARIADB} AND c.is_nullable = 'NO' THEN ' NOT NULL' ELSE '' END)"
        " ELSE concat(CASE c.is_nullable WHEN 'NO' THEN ' NOT NULL' ELSE ' NULL' END,"
        f" CASE WHEN c.column_default IS NULL THEN {default} ELSE concat(' DEFAULT ', {DEFAULT}) END,"
        " CASE WHEN c.extra LIKE '%auto_increment%' THEN ' AUTO_INCREMENT' ELSE '' END,"
        " CASE WHEN c.extra LIKE '%on update%' THEN concat(' ', substr(c.extra, locate('on update', c.extra),"
        " locate(')', concat(c.extra, ')'), locate('on update', c.extra)) - locate('on update', c.extra) + 1)) ELSE"
        " '' END) END,"
        " CASE WHEN c.extra LIKE '%INVISIBLE%' THEN ' INVISIBLE' ELSE '' END,"
        f" CASE c.column_comment WHEN '' THEN '' ELSE concat(' COMMENT ', {quoted_value('c.column_comment')}) END,"
        f" {_CHECK})"
    )


COLUMN: Final = _definition("''")
"""The expression of a column's definition; its row is called ``c``."""

UNFILLED: Final = "c.is_nullable = 'NO' AND c.column_default IS NULL AND c.data_type IN ('date', 'datetime')"
"""The condition that a column of rows can't be added without a default: the server would take one that it refuses."""
_FILLED: Final = _definition(f"CASE WHEN {UNFILLED} THEN ' DEFAULT ''1970-01-01''' ELSE '' END")

_LATER: Final = "NULL /* later */"
"""Stands for the names of the columns that come back together, of which the calculated ones come last."""
_PLACE: Final = (
    "coalesce((SELECT concat(' AFTER ', " + quoted_name("p.column_name") + ") FROM information_schema.columns p"
    " WHERE p.table_schema = database() AND p.table_name = c.table_name AND p.ordinal_position < c.ordinal_position"
    f" AND NOT (coalesce(p.column_name IN ({_LATER}), false) AND {CALCULATED.format('p')}"
    f" AND NOT {CALCULATED.format('c')}) ORDER BY p.ordinal_position DESC LIMIT 1), ' FIRST')"
)
"""The expression of where a column stands."""

_CLAUSE: Final = by_server("k.check_clause", _QUOTE.format("k.check_clause"))
_CHECKED: Final = (
    " CHECK (",
    (_CLAUSE,),
    ")",
    (by_server("''", "CASE t.enforced WHEN 'NO' THEN ' NOT ENFORCED' ELSE '' END"),),
    ";",
)
_UNFIT: Final = (
    f"locate(_utf8mb4 x'5c', concat(c.column_comment, coalesce({_GIVEN}, ''), coalesce({_GENERATED}, ''))) > 0"
    " OR (locate(_utf8mb4 x'5c', c.column_type) > 0 AND @@sql_mode LIKE '%NO_BACKSLASH_ESCAPES%')"
)
_LOST: Final = (
    # The catalogue knows no letters of four bytes, and MySQL's garbles all but ASCII's in expressions.
    "locate('?', concat(c.column_type, coalesce(c.generation_expression, ''))) > 0"
    f" OR (NOT {MARIADB} AND (locate('?', coalesce(c.column_default, '')) > 0"
    f" OR {_WIDE.format('c.generation_expression')} OR ({LATER} AND {_WIDE.format('c.column_default')})))"
)
_CUT: Final = (
    f"NOT {MARIADB} AND c.data_type IN ('binary', 'varbinary') AND c.column_default IS NOT NULL AND NOT {LATER}"
)


def unfit(column: str) -> str:
    """Give what refuses, behind a CASE, where the definition of a column is not known as it is."""
    return (
        f" WHEN {_UNFIT} THEN {literal(BACKSLASH)} WHEN {_LOST} THEN {literal(f'{column} {_GARBLED}')}"
        f" WHEN {_CUT} THEN {literal(f'{column} has a binary default, which the catalogue may cut')}"
    )


class _Index(NamedTuple):
    """The expressions of what an index is made of; its rows, called ``s``, are grouped."""

    kind: str
    name: str
    columns: str
    ending: str


def _index() -> _Index:
    listed = (
        f"group_concat({quoted_name('s.column_name')}, CASE WHEN s.sub_part IS NULL OR s.index_type = 'SPATIAL' THEN ''"
        " ELSE concat('(', s.sub_part, ')') END, CASE s.collation WHEN 'D' THEN ' DESC' ELSE '' END"
        " ORDER BY s.seq_in_index SEPARATOR ', ')"
    )
    kind = (
        "CASE WHEN max(s.index_type) IN ('FULLTEXT', 'SPATIAL') THEN concat(max(s.index_type), ' ')"
        " WHEN max(s.non_unique) = 0 THEN 'UNIQUE ' ELSE '' END"
    )
    said_of_it = quoted_value("max(s.index_comment)")
    comment = f"CASE max(s.index_comment) WHEN '' THEN '' ELSE concat(' COMMENT ', {said_of_it}) END"
    unused = by_server(
        "CASE max(s.ignored) WHEN 'YES' THEN ' IGNORED' ELSE '' END",
        "CASE max(s.is_visible) WHEN 'NO' THEN ' INVISIBLE' ELSE '' END",
    )
    return _Index(kind, quoted_name("max(s.index_name)"), listed, f"concat(')', {comment}, {unused}, ';')")


def _created(table: Name, *, how: str = "", missing: Sequence[tuple[str]] = ()) -> str:
    """Give the expression of the statement that creates an index again.

    Args:
        table: Whose.
        how: What stands behind CREATE.
        missing: What stands behind INDEX.
    """
    index = _index()
    return said(
        f"CREATE {how}",
        (index.kind,),
        "INDEX ",
        *missing,
        (index.name,),
        f" ON {table} (",
        (index.columns,),
        (index.ending,),
    )


def _replaced(table: Name, dropped: Sequence[Name]) -> str:
    """Give the expression of what puts an index in the place of what is left of it, in one step.

    A foreign key may need it. Where all of its columns are among those that were dropped, nothing is left.
    """
    index = _index()
    gone = f"s.column_name IN ({', '.join(literal(column.name) for column in dropped) or 'NULL'})"
    left = f"CASE WHEN coalesce(min({gone}), 0) THEN '' ELSE concat('DROP INDEX ', {index.name}, ', ') END"
    mysql = said(
        f"ALTER TABLE {table} ",
        (left,),
        "ADD ",
        (index.kind,),
        "INDEX ",
        (index.name,),
        " (",
        (index.columns,),
        (index.ending,),
    )
    return when(MARIADB, _created(table, how="OR REPLACE "), mysql)


def _created_where_missing(table: Name) -> str:
    """Give the same for an index that on MariaDB may be there by then; MySQL can't be asked that."""
    return _created(table, missing=[(when(MARIADB, "'IF NOT EXISTS '"),)])


def has_index(table: Name, *conditions: str) -> str:
    """Give the condition that a table has an index of which all of these are true; its rows are called ``s``."""
    where = " AND ".join((same_table(table, column="s.table_name"), *conditions))
    return f"EXISTS (SELECT 1 FROM information_schema.statistics s WHERE {where})"


def is_calculated(table: Name, condition: str) -> str:
    """Give the condition that such an index is made of expressions, which the catalogue gives as no column."""
    return has_index(table, "s.column_name IS NULL", condition)


def fit_index(table: Name, name: Name) -> tuple[str, ...]:
    """Give the guards before an index goes that is to come back."""
    why = literal(f"{name.name} is an index of {table.name} over an expression")
    mine = f"s.index_name = {literal(name.name)}"
    told = literal(f"the comment of {name.name} holds a backslash, which means one thing or another")
    asked = f"CASE WHEN {is_calculated(table, mine)} THEN {why} WHEN {is_unfit(table, mine)} THEN {told} END"
    return UNCUT, guard(asked)


def is_unfit(table: Name, condition: str) -> str:
    """Give the condition that the comment of such an index holds a backslash."""
    return has_index(table, condition, "locate(_utf8mb4 x'5c', s.index_comment) > 0")


def indexes(table: Name, condition: str, *, dropped: Sequence[Name] = ()) -> str:
    """Give the expression of the statements that create those indexes of a table that are missing by then.

    Args:
        table: Whose.
        condition: On the rows of an index, called ``s``.
        dropped: Columns without which they are there by then, and which they get again.
    """
    where = same_table(table, column="s.table_name")
    text = _replaced(table, dropped) if dropped else _created_where_missing(table)
    inner = (
        f"(SELECT {text} AS text, max(s.index_name) AS name"
        f" FROM information_schema.statistics s WHERE {where} AND s.index_name <> 'PRIMARY' AND {condition}"
        " GROUP BY s.index_name) i"
    )
    return each("i.text", inner, "i.name")


def is_of_a_key(table: Name, *names: Name) -> str:
    """Give the condition that an index, whose rows are called ``s``, may be one that the server made for a foreign key.

    It has just the columns of one. Such an index goes where a later one will do, and the catalogue does not tell it.

    Args:
        table: Whose.
        names: The foreign keys that are meant; none for all of them.
    """
    keys = f"{same_table(table, column='u.table_name')} AND u.referenced_table_name IS NOT NULL"
    if names:
        keys += f" AND u.constraint_name IN ({', '.join(literal(name.name) for name in names)})"
    mine = f"{same_table(table, column='y.table_name')} AND y.index_name = s.index_name"
    columns = "group_concat({} ORDER BY {})"
    of_key = columns.format("u.column_name", "u.ordinal_position")
    of_index = columns.format("y.column_name", "y.seq_in_index")
    return (
        f"s.non_unique = 1 AND EXISTS (SELECT 1 FROM information_schema.key_column_usage u WHERE {keys}"
        f" GROUP BY u.constraint_name HAVING {of_key} = (SELECT {of_index} FROM information_schema.statistics y"
        f" WHERE {mine}))"
    )


def own_again(table: Name, keys: Sequence[Name], dropped: Sequence[Name]) -> str:
    """Give the expression of what makes the indexes of foreign keys anew before these come back.

    With them the server would make others in the place of those that it has made itself, of other names.

    Args:
        table: Whose.
        keys: The foreign keys.
        dropped: Indexes that are not there by then.
    """
    where = f"{same_table(table, column='s.table_name')} AND {is_of_a_key(table, *keys)}"
    named = ", ".join(literal(name.name) for name in (*keys, *dropped))
    inner = (
        f"(SELECT {_replaced(table, ())} AS text, max(s.index_name) AS name FROM information_schema.statistics s"
        f" WHERE {where} AND s.index_name NOT IN ({named}) GROUP BY s.index_name) i"
    )
    return each("i.text", inner, "i.name")


def named_index(table: Name, name: Name) -> str:
    """Give the expression of the statement that creates one index again; nothing where there is none.

    A column that was dropped with it may have brought it back already.
    """
    return one(_created_where_missing(table), f"{index_rows(table, name)} HAVING count(*) > 0")


def primary_key(table: Name) -> str:
    """Give the expression of the statement that adds the primary key again."""
    index = _index()
    return one(
        said(f"ALTER TABLE {table} ADD PRIMARY KEY (", (index.columns,), (index.ending,)),
        f"{index_rows(table, Name('PRIMARY'))} HAVING count(*) > 0",
    )


def foreign_key(table: Name, name: Name) -> str:
    """Give the expression of the statement that adds a foreign key again; nothing where there is none."""
    rows = f"information_schema.key_column_usage u WHERE {same_table(table, column='u.table_name')}"
    columns = f"group_concat({quoted_name('u.column_name')} ORDER BY u.ordinal_position SEPARATOR ', ')"
    schema = "max(u.referenced_table_schema)"
    others = f"group_concat({quoted_name('u.referenced_column_name')} ORDER BY u.ordinal_position SEPARATOR ', ')"
    rules = (
        "(SELECT concat(' ON DELETE ', r.delete_rule, ' ON UPDATE ', r.update_rule)"
        " FROM information_schema.referential_constraints r WHERE r.constraint_schema = database()"
        f" AND r.constraint_name = {literal(name.name)} AND r.table_name = max(u.table_name))"
    )
    return one(
        said(
            f"ALTER TABLE {table} ADD CONSTRAINT {name} FOREIGN KEY (",
            (columns,),
            ") REFERENCES ",
            (f"CASE WHEN {schema} = database() THEN '' ELSE concat({quoted_name(schema)}, '.') END",),
            (quoted_name("max(u.referenced_table_name)"),),
            " (",
            (others,),
            ")",
            (rules,),
            ";",
        ),
        f"{rows} AND u.constraint_name = {literal(name.name)} AND u.referenced_table_name IS NOT NULL HAVING"
        " count(*) > 0",
    )


def check(table: Name, name: Name) -> str:
    """Give the expression of the statement that adds a check of a table again; nothing where there is none."""
    return one(
        said(f"ALTER TABLE {table} ADD CONSTRAINT {name}", *_CHECKED),
        f"{checks_of(table)} AND k.constraint_name = {literal(name.name)}",
    )


def checks_about(table: Name, columns: Sequence[Name], others: Sequence[Name]) -> str:
    """Give the expression of the statements that add the checks again which go with columns.

    Args:
        table: Whose.
        columns: That go; the servers let those go that a check is about where that is about nothing else.
        others: Constraints that come back by themselves.
    """
    rows = f"{checks_of(table)} AND ({' OR '.join(map(is_about, columns))})"
    if others:
        rows += f" AND k.constraint_name NOT IN ({', '.join(literal(one.name) for one in others)})"
    added = said(f"ALTER TABLE {table} ADD CONSTRAINT ", (quoted_name("k.constraint_name"),), *_CHECKED)
    return each(added, rows, "k.constraint_name")


def is_about(column: Name) -> str:
    """Give the condition that a check names a column, be it in other letters; what stands in quotes is no name."""
    return f"locate(lower({literal(str(column))}), lower(regexp_replace({_CLAUSE}, {literal(_STRING)}, ''))) > 0"


def unfit_checks(table: Name, concerned: str) -> str:
    """Give what refuses, behind a CASE, where such a check of a table is not known as it is."""
    wide = _WIDE.format("k.check_clause")
    unfit = f"locate(_utf8mb4 x'5c5c', k.check_clause) > 0 OR {wide} OR locate('?', k.check_clause) > 0"
    why = literal(f"a check of {table.name} holds a backslash, or letters that the catalogue does not give as they are")
    found = f"{checks_of(table)} AND ({concerned} OR {wide}) AND ({unfit})"
    return f" WHEN NOT {MARIADB} AND EXISTS (SELECT 1 FROM {found}) THEN {why}"


def checks_of(table: Name) -> str:
    """Give the source of the checks of a table, called ``k``; those of a column alone, which MariaDB has, left out."""
    own = by_server("AND t.table_name = k.table_name AND k.level = 'Table'", "")
    return (
        "information_schema.check_constraints k JOIN information_schema.table_constraints t"
        f" ON t.constraint_schema = k.constraint_schema AND t.constraint_name = k.constraint_name {own}"
        f" WHERE k.constraint_schema = database() AND {same_table(table, column='t.table_name')}"
        " AND t.constraint_type = 'CHECK'"
    )


def column_clause(table: Name, name: Name, begin: str, *, filled: bool = False) -> str:
    """Give the query of the clause that makes a column what it is at this moment; no row where there is none.

    It gives the clause's ``place`` and ``text``, and whether the column is ``calculated``.

    Args:
        table: Whose.
        name: The column's, at this moment.
        begin: What stands before its name.
        filled: Whether it gets a default where rows can't do without.
    """
    text = said(begin, (quoted_name("c.column_name"),), " ", (_FILLED if filled else COLUMN,), (_PLACE,))
    kind = CALCULATED.format("c")
    return f"SELECT c.ordinal_position AS place, {text} AS text, {kind} AS calculated FROM {column_row(table, name)}"


def other_clause(text: str) -> str:
    """Give the same of a clause that is known as it is."""
    return f"SELECT 0 AS place, {literal(text)} AS text, false AS calculated"


def columns_back(table: Name, clauses: Sequence[str], dropped: Sequence[Name]) -> tuple[str, str]:
    """Give the expressions of the ALTER TABLE that these clauses make, and of one that follows where values are back.

    From the values that a column has until then, others can't be calculated: a divisor would be 0.

    Args:
        table: Which.
        clauses: The queries for them.
        dropped: The columns that come back.
    """
    text = said(f"ALTER TABLE {table} ", ("group_concat(p.text ORDER BY p.place SEPARATOR ', ')",), ";")
    found = f"({' UNION ALL '.join(clauses)}) p"
    if not dropped:
        return one(text, found), ""
    names = ", ".join(literal(column.name) for column in dropped)
    found = found.replace(_LATER, names)
    return one(text, f"{found} WHERE NOT p.calculated"), one(text, f"{found} WHERE p.calculated")


def fit_view(name: Name, *others: Name) -> str:
    """Give the guard before a view goes that is to come back, beside others that go with it."""
    # The one server tells it in the comment, the other knows no columns of it then.
    same = same_table(name, column="b.table_name")
    told = f"information_schema.tables b WHERE {same} AND b.table_comment LIKE '%references invalid%'"
    mine, columns = _view_row(name), _view_columns(name)
    escaped = "locate(_utf8mb4 x'5c', v.view_definition) > 0 AND @@sql_mode LIKE '%NO_BACKSLASH_ESCAPES%'"
    unknown = f"EXISTS (SELECT 1 FROM {mine} AND (locate('?', v.view_definition) > 0 OR ({escaped})))"
    stands = " OR ".join(f"locate({literal(str(other))}, v.view_definition) > 0" for other in others) or "false"
    broken = (
        f"EXISTS (SELECT 1 FROM {told}) OR (EXISTS (SELECT 1 FROM {mine}) AND NOT EXISTS (SELECT 1 FROM {columns}))"
    )
    return guard(
        f"CASE WHEN {broken} THEN"
        f" {literal(f'what the view {name.name} stands on is gone by then: drop the view before that')}"
        f" WHEN {unknown} THEN {literal(f'the view {name.name} {_GARBLED}')}"
        f" WHEN EXISTS (SELECT 1 FROM {mine} AND ({stands})) THEN"
        f" {literal(f'the view {name.name} stands on another that is dropped with it: drop each by itself')} END"
    )


def _view_row(name: Name) -> str:
    return f"information_schema.views v WHERE {same_table(name, column='v.table_name')}"


def _view_columns(name: Name) -> str:
    return f"information_schema.columns q WHERE {same_table(name, column='q.table_name')}"


def view(name: Name) -> str:
    """Give the expression of the statement that creates a view again; nothing where there is none."""
    user = "substr(v.definer, 1, length(v.definer) - length(substring_index(v.definer, '@', -1)) - 1)"
    host = "substring_index(v.definer, '@', -1)"
    # MySQL's definition has no names of its columns but those that they have by themselves.
    names = f"group_concat({quoted_name('q.column_name')} ORDER BY q.ordinal_position SEPARATOR ', ')"
    listed = f"coalesce((SELECT concat(' (', {names}, ')') FROM {_view_columns(name)}), '')"
    return one(
        said(
            "CREATE OR REPLACE ALGORITHM=",
            (by_server("v.algorithm", "'UNDEFINED'"),),
            " DEFINER=",
            (quoted_name(user),),
            "@",
            (quoted_name(host),),
            " SQL SECURITY ",
            ("v.security_type",),
            f" VIEW {name}",
            (when(MARIADB, "''", listed),),
            " AS ",
            ("v.view_definition",),
            ("CASE v.check_option WHEN 'NONE' THEN '' ELSE concat(' WITH ', v.check_option, ' CHECK OPTION') END",),
            ";",
        ),
        _view_row(name),
    )
