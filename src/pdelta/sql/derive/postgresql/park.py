"""Dropping a column or a table by renaming it, so that its reverse brings back everything that it held.

What would get in the way of others is taken off and recorded: NOT NULL, defaults, constraints, indexes and triggers;
what has a name in the schema gets another. Both directions come from one query in the tenant, whose rows hold a number,
the statement that goes forward and the one that comes back.
"""

from collections.abc import Sequence
from typing import Final

from pdelta.sql.derive.kept import PARKED
from pdelta.sql.derive.postgresql import catalogue
from pdelta.sql.derive.postgresql.change import Change, Delta, guard
from pdelta.sql.derive.postgresql.table import Table
from pdelta.sql.derive.postgresql.text import Sql, block, identifier, literal, said
from pdelta.sql.derive.result import RefusedError

OFF: Final = "what it held would be lost, and parking is switched off"
_ON: Final = "c.conrelid::regclass::text"
IS_PARKED: Final = f"LIKE {literal(PARKED.replace('_', '!_') + '%')} ESCAPE '!'"


def park_column(delta: Delta, table: Table, column: str, *, missing_ok: bool) -> Change:
    """Rename a column out of sight; its reverse renames it back and restores what was taken off.

    Refused in a tenant where a plain DROP COLUMN would be, or where something outside of the table depends on it.
    """
    if not delta.terms.park:
        raise RefusedError(OFF)
    parked = delta.names.parked(column)
    queries = (
        _constraints_of(table, column),
        _indexes_of(table, column),
        _statistics_of(table, column),
        _default_of(table, column),
        _not_null_of(table, column),
        _sequences_of(table, column, parked),
        _itself(table, column, parked),
    )
    fresh = delta.columns.pop((table.name, column), None)
    if fresh is not None:
        delta.columns[table.name, parked] = fresh
    return Change(
        before=(*table.locks(), guard(_column_question(table, column, missing_ok=missing_ok))),
        statement=executed(queries),
        undo=undone(queries),
    )


def executed(queries: Sequence[str]) -> str:
    """Give the statement that goes forward through these queries, each of a number, an OID and both statements."""
    actions = " UNION ALL ".join(f"({query})" for query in queries)
    text = f"coalesce((SELECT string_agg(p.go, '' ORDER BY p.turn, p.oid) FROM ({actions}) p(turn, oid, go, back)), '')"
    return block(f" BEGIN EXECUTE {text}; END ")


def undone(queries: Sequence[str]) -> Sql:
    """Give the expression of the statements that come back, in the opposite order."""
    actions = " UNION ALL ".join(f"({query})" for query in queries)
    return Sql(
        "coalesce((SELECT string_agg(p.back, '' ORDER BY p.turn DESC, p.oid)"
        f" FROM ({actions}) p(turn, oid, go, back)), '')"
    )


def _number(table: Table, column: str) -> str:
    return f"(SELECT a.attnum FROM {catalogue.column(table.oid, column)})"


def _constraints_of(table: Table, column: str) -> str:
    go = said("ALTER TABLE ", Sql(_ON), " DROP CONSTRAINT ", Sql("quote_ident(c.conname)"), ";")
    # Coming back, foreign keys are last: they may point to a key of the same table.
    return (
        f"SELECT CASE c.contype WHEN 'f' THEN 1 WHEN 'c' THEN 2 ELSE 3 END, c.oid, {go},"
        f" {catalogue.constraint()} FROM pg_constraint c"
        f" WHERE c.conrelid = {table.oid} AND c.contype <> 'n' AND {_number(table, column)} = ANY (c.conkey)"
    )


def _indexes_of(table: Table, column: str) -> str:
    go = said("DROP INDEX ", Sql("i.indexrelid::regclass::text"), ";")
    return (
        f"SELECT 4, i.indexrelid, {go}, {catalogue.index('i.indexrelid')} FROM pg_index i WHERE i.indrelid ="
        f" {table.oid}"
        " AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid AND c.conrelid = i.indrelid)"
        f" AND {_depends('i.indexrelid', catalogue.CLASS, table, column)}"
    )


def _statistics_of(table: Table, column: str) -> str:
    name = Sql(
        "(SELECT quote_ident(n.nspname) || '.' || quote_ident(s.stxname) FROM pg_namespace n WHERE n.oid ="
        " s.stxnamespace)"
    )
    return (
        f"SELECT 5, s.oid, {said('DROP STATISTICS ', name, ';')}, {catalogue.statistics(name)} FROM pg_statistic_ext s"
        f" WHERE s.stxrelid = {table.oid} AND {_depends('s.oid', _class('pg_statistic_ext'), table, column)}"
    )


def _class(name: str) -> str:
    return f"'{name}'::regclass"


def _depends(oid: str, catalogue_oid: str, table: Table, column: str) -> str:
    return (
        f"EXISTS (SELECT FROM pg_depend d WHERE d.classid = {catalogue_oid} AND d.objid = {oid}"
        f" AND d.refclassid = {catalogue.CLASS} AND d.refobjid = {table.oid}"
        f" AND d.refobjsubid = {_number(table, column)})"
    )


def _default_of(table: Table, column: str) -> str:
    alter = f"ALTER TABLE {table.name} ALTER COLUMN {identifier(column)} "
    back = said(f"{alter}SET DEFAULT ", Sql("pg_get_expr(d.adbin, d.adrelid)"), ";")
    return (
        f"SELECT 7, d.oid, {said(f'{alter}DROP DEFAULT;')}, {back} FROM pg_attrdef d JOIN pg_attribute a"
        f" ON a.attrelid = d.adrelid AND a.attnum = d.adnum WHERE d.adrelid = {table.oid}"
        f" AND d.adnum = {_number(table, column)} AND a.attgenerated = ''"
    )


def _not_null_of(table: Table, column: str) -> str:
    """Rows that came in since have none; they get the default that they would have got, if there is one."""
    name = identifier(column)
    alter = f"ALTER TABLE {table.name} ALTER COLUMN {name} "
    filled = Sql(
        "CASE WHEN a.atthasdef THEN "
        f"{said(f'UPDATE {table.name} SET {name} = DEFAULT WHERE {name} IS NULL;')} ELSE '' END"
    )
    back = said(filled, f"{alter}SET NOT NULL;")
    return (
        f"SELECT 6, a.attrelid, {said(f'{alter}DROP NOT NULL;')}, {back} FROM {catalogue.column(table.oid, column)}"
        " AND a.attnotnull AND a.attidentity = '' AND a.attgenerated = ''"
    )


def _sequences_of(table: Table, column: str, parked: str) -> str:
    rank = "row_number() OVER (ORDER BY q.oid)"
    new = Sql(f"quote_ident({literal(parked)} || '_s' || {rank})")
    return renamed_rows(
        8,
        "SEQUENCE",
        new,
        f"pg_depend d JOIN pg_class q ON q.oid = d.objid AND q.relkind = 'S' WHERE d.classid = {catalogue.CLASS}"
        f" AND d.refclassid = {catalogue.CLASS} AND d.refobjid = {table.oid}"
        f" AND d.refobjsubid = {_number(table, column)} AND d.deptype IN ('a', 'i')",
    )


def renamed_rows(turn: int, kind: str, new: Sql, source: str) -> str:
    """Give the query of renaming what is called ``q`` in a source, and of renaming it back."""
    schema = Sql(
        "(SELECT CASE WHEN n.nspname = current_schema() THEN '' ELSE quote_ident(n.nspname) || '.' END FROM"
        " pg_namespace n WHERE n.oid = q.relnamespace)"
    )
    old = Sql("quote_ident(q.relname)")
    go = said(f"ALTER {kind} ", schema, old, " RENAME TO ", new, ";")
    back = said(f"ALTER {kind} ", schema, new, " RENAME TO ", old, ";")
    return f"SELECT {turn}, q.oid, {go}, {back} FROM {source}"


def _itself(table: Table, column: str, parked: str) -> str:
    name = identifier(column)
    go = said(f"ALTER TABLE {table.name} RENAME COLUMN {name} TO {parked};")
    back = said(f"ALTER TABLE {table.name} RENAME COLUMN {parked} TO {name};")
    return f"SELECT 9, a.attrelid, {go}, {back} FROM {catalogue.column(table.oid, column)}"


def _column_question(table: Table, column: str, *, missing_ok: bool) -> str:
    """Ask what a plain DROP COLUMN would be refused for, and what parking can't do."""
    shown = f"{table.name}.{column}"
    dependants = (
        "(SELECT string_agg(DISTINCT pg_describe_object(d.classid, d.objid, d.objsubid), ', ') FROM pg_depend d"
        f" WHERE d.refclassid = {catalogue.CLASS} AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum"
        f" AND NOT {_goes_along('a.attrelid', 'a.attnum')})"
    )
    missing = "NULL" if missing_ok else literal(f"there is no column {shown}")
    return (
        f"CASE WHEN {table.oid} IS NULL THEN NULL WHEN NOT {catalogue.column_exists(table.oid, column)} THEN {missing}"
        f" ELSE (SELECT CASE WHEN a.attinhcount > 0 THEN {literal(f'{shown} is inherited')}"
        " WHEN EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = a.attrelid) THEN "
        f"{literal(f'{table.name} has children or partitions, and dropping their columns is not derived')}"
        " WHEN EXISTS (SELECT FROM pg_type t WHERE t.oid = a.atttypid AND t.typnotnull)"
        f" THEN {literal(f'the type of {shown} is a domain without NULLs, and new rows would have none')}"
        f" WHEN {dependants} IS NOT NULL THEN {dependants} || {literal(f' depends on {shown}')} END"
        f" FROM {catalogue.column(table.oid, column)}) END"
    )


def _goes_along(relation: str, number: str) -> str:
    """Give the condition that a row of ``pg_depend`` is of what goes with a column, or is parked itself."""
    return (
        "CASE d.classid"
        f" WHEN {catalogue.CLASS} THEN EXISTS (SELECT FROM pg_class x WHERE x.oid = d.objid AND ("
        "(x.relkind IN ('i', 'I') AND EXISTS (SELECT FROM pg_index i WHERE i.indexrelid = x.oid AND i.indrelid"
        f" = {relation}))"
        " OR (x.relkind = 'S' AND d.deptype IN ('a', 'i'))))"
        f" WHEN {catalogue.CONSTRAINT} THEN EXISTS (SELECT FROM pg_constraint c WHERE c.oid = d.objid"
        f" AND c.conrelid = {relation} AND {number} = ANY (c.conkey))"
        f" WHEN {_class('pg_attrdef')} THEN EXISTS (SELECT FROM pg_attrdef f JOIN pg_attribute o ON o.attrelid ="
        " f.adrelid"
        f" AND o.attnum = f.adnum WHERE f.oid = d.objid AND f.adrelid = {relation}"
        f" AND (f.adnum = {number} OR o.attname {IS_PARKED}))"
        f" WHEN {_class('pg_statistic_ext')} THEN EXISTS (SELECT FROM pg_statistic_ext s WHERE s.oid = d.objid"
        f" AND s.stxrelid = {relation})"
        " ELSE false END"
    )
