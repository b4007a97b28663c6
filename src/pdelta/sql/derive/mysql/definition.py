"""What MariaDB's catalogue says about a column, an index, a key or a view, as expressions of what brings it back."""

from typing import Final

from pdelta.sql.derive.mysql.text import (
    Name,
    column_row,
    each,
    index_rows,
    literal,
    one,
    quoted_name,
    quoted_value,
    said,
    same_table,
)

_CHECK: Final = (
    "coalesce((SELECT concat(' CHECK (', k.check_clause, ')') FROM information_schema.check_constraints k"
    " WHERE k.constraint_schema = database() AND k.table_name = c.table_name AND k.level = 'Column'"
    " AND k.constraint_name = c.column_name), '')"
)
COLUMN: Final = (
    "concat(c.column_type,"
    " CASE WHEN c.collation_name IS NULL THEN ''"
    " ELSE concat(' CHARACTER SET ', c.character_set_name, ' COLLATE ', c.collation_name) END,"
    " CASE WHEN c.is_generated = 'ALWAYS' THEN concat(' GENERATED ALWAYS AS (', c.generation_expression, ') ',"
    " CASE WHEN c.extra LIKE '%STORED%' THEN 'STORED' ELSE 'VIRTUAL' END)"
    " ELSE concat(CASE c.is_nullable WHEN 'NO' THEN ' NOT NULL' ELSE ' NULL' END,"
    " CASE WHEN c.column_default IS NULL THEN '' ELSE concat(' DEFAULT ', c.column_default) END,"
    " CASE WHEN c.extra LIKE '%auto_increment%' THEN ' AUTO_INCREMENT' ELSE '' END,"
    " CASE WHEN c.extra LIKE '%on update%' THEN concat(' ', substr(c.extra, locate('on update', c.extra),"
    " locate(')', concat(c.extra, ')'), locate('on update', c.extra)) - locate('on update', c.extra) + 1)) ELSE"
    " '' END) END,"
    " CASE WHEN c.extra LIKE '%INVISIBLE%' THEN ' INVISIBLE' ELSE '' END,"
    f" CASE c.column_comment WHEN '' THEN '' ELSE concat(' COMMENT ', {quoted_value('c.column_comment')}) END,"
    f" {_CHECK})"
)
"""The expression of a column's definition; its row is called ``c``."""

PLACE: Final = (
    "coalesce((SELECT concat(' AFTER ', " + quoted_name("p.column_name") + ") FROM information_schema.columns p"
    " WHERE p.table_schema = database() AND p.table_name = c.table_name"
    " AND p.ordinal_position = c.ordinal_position - 1), ' FIRST')"
)
"""The expression of where a column stands."""

UNFIT: Final = "locate(_utf8mb4 x'5c', concat(c.column_comment, coalesce(c.column_default, ''))) > 0"
"""The condition that a definition holds a backslash, which means one thing or another."""


def index(table: Name, *, create: str = "CREATE ", extra: str = "") -> str:
    """Give the expression of the statement that creates an index again; its rows, called ``s``, are grouped.

    Args:
        table: Whose.
        create: What it begins with.
        extra: What stands between INDEX and the name.
    """
    listed = (
        f"group_concat({quoted_name('s.column_name')}, CASE WHEN s.sub_part IS NULL THEN ''"
        " ELSE concat('(', s.sub_part, ')') END, CASE s.collation WHEN 'D' THEN ' DESC' ELSE '' END"
        " ORDER BY s.seq_in_index SEPARATOR ', ')"
    )
    kind = (
        "CASE WHEN max(s.index_type) IN ('FULLTEXT', 'SPATIAL') THEN concat(max(s.index_type), ' ')"
        " WHEN max(s.non_unique) = 0 THEN 'UNIQUE ' ELSE '' END"
    )
    said_of_it = quoted_value("max(s.index_comment)")
    comment = f"CASE max(s.index_comment) WHEN '' THEN '' ELSE concat(' COMMENT ', {said_of_it}) END"
    return said(
        create,
        (kind,),
        f"INDEX {extra}",
        (quoted_name("max(s.index_name)"),),
        f" ON {table} (",
        (listed,),
        ")",
        (comment,),
        ";",
    )


def indexes(table: Name, condition: str, *, replaces: bool = False) -> str:
    """Give the expression of the statements that create those indexes of a table that are missing by then.

    Args:
        table: Whose.
        condition: On the rows of an index, called ``s``.
        replaces: Whether what has the name by then gives way, in one step: a foreign key may need it.
    """
    where = same_table(table, column="s.table_name")
    text = index(table, create="CREATE OR REPLACE ") if replaces else index(table, extra="IF NOT EXISTS ")
    inner = (
        f"(SELECT {text} AS text, max(s.index_name) AS name"
        f" FROM information_schema.statistics s WHERE {where} AND s.index_name <> 'PRIMARY' AND {condition}"
        " GROUP BY s.index_name) i"
    )
    return each("i.text", inner, "i.name")


def named_index(table: Name, name: Name) -> str:
    """Give the expression of the statement that creates one index again; nothing where there is none.

    A column that was dropped with it may have brought it back already.
    """
    return one(index(table, extra="IF NOT EXISTS "), f"{index_rows(table, name)} HAVING count(*) > 0")


def primary_key(table: Name) -> str:
    """Give the expression of the statement that adds the primary key again."""
    listed = (
        f"group_concat({quoted_name('s.column_name')}, CASE WHEN s.sub_part IS NULL THEN ''"
        " ELSE concat('(', s.sub_part, ')') END ORDER BY s.seq_in_index SEPARATOR ', ')"
    )
    return one(
        said(f"ALTER TABLE {table} ADD PRIMARY KEY (", (listed,), ");"),
        f"{index_rows(table, Name('PRIMARY'))} HAVING count(*) > 0",
    )


def foreign_key(table: Name, name: Name) -> str:
    """Give the expression of the statement that adds a foreign key again; nothing where there is none."""
    rows = f"information_schema.key_column_usage u WHERE {same_table(table, column='u.table_name')}"
    columns = f"group_concat({quoted_name('u.column_name')} ORDER BY u.ordinal_position SEPARATOR ', ')"
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
        said(f"ALTER TABLE {table} ADD CONSTRAINT {name} CHECK (", ("k.check_clause",), ");"),
        f"information_schema.check_constraints k WHERE k.constraint_schema = database()"
        f" AND k.table_name = {literal(table.name)} AND k.constraint_name = {literal(name.name)} AND k.level = 'Table'",
    )


def column_clause(table: Name, name: Name, begin: str) -> str:
    """Give the query of the clause that makes a column what it is at this moment; no row where there is none.

    Args:
        table: Whose.
        name: The column's, at this moment.
        begin: What stands before its definition.
    """
    return (
        f"SELECT c.ordinal_position AS place, {said(begin, (COLUMN,), (PLACE,))} AS text FROM {column_row(table, name)}"
    )


def view(name: Name) -> str:
    """Give the expression of the statement that creates a view again; nothing where there is none."""
    user = "substr(v.definer, 1, length(v.definer) - length(substring_index(v.definer, '@', -1)) - 1)"
    host = "substring_index(v.definer, '@', -1)"
    return one(
        said(
            "CREATE OR REPLACE ALGORITHM=",
            ("v.algorithm",),
            " DEFINER=",
            (quoted_name(user),),
            "@",
            (quoted_name(host),),
            " SQL SECURITY ",
            ("v.security_type",),
            f" VIEW {name} AS ",
            ("v.view_definition",),
            ("CASE v.check_option WHEN 'NONE' THEN '' ELSE concat(' WITH ', v.check_option, ' CHECK OPTION') END",),
            ";",
        ),
        f"information_schema.views v WHERE {same_table(name, column='v.table_name')}",
    )
