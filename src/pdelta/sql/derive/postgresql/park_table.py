"""Dropping tables, sequences and types by renaming them; see ``park``."""

from collections.abc import Sequence

from pdelta.sql.derive.postgresql import catalogue
from pdelta.sql.derive.postgresql.change import Change, Delta, guard, locked
from pdelta.sql.derive.postgresql.park import IS_PARKED, OFF, executed, renamed_rows, undone
from pdelta.sql.derive.postgresql.text import Name, Sql, block, literal, said, when
from pdelta.sql.derive.result import RefusedError


def park_tables(delta: Delta, names: Sequence[Name], *, missing_ok: bool, cascade: bool) -> Change:
    """Rename tables out of sight, with their partitions and everything of theirs that has a name in the schema.

    Their triggers and foreign keys are dropped and come back; with CASCADE also the foreign keys that point to them.
    Refused in a tenant where a plain DROP TABLE would be, and where something else would go with it.
    """
    if not delta.terms.park:
        raise RefusedError(OFF)
    parked = [(name, delta.names.parked(name.name)) for name in names]
    for name in names:
        delta.dropped(name)
    array = f"ARRAY[{', '.join(f'{name.regclass}::oid' for name in names)}]"
    queries = (
        _foreign_keys(array),
        _triggers(array),
        _detached(array),
        *(query for name, new in parked for query in _renamed(name, new)),
    )
    if missing_ok:
        locks = tuple(
            block(f" BEGIN IF {name.regclass} IS NOT NULL THEN EXECUTE {literal(locked(name))}; END IF; END ")
            for name in names
        )
    else:
        locks = tuple(locked(name) for name in names)
    return Change(
        before=(*locks, guard(_question(names, array, cascade=cascade))),
        statement=executed(queries),
        undo=undone(queries),
    )


def _tree(name: Name) -> str:
    """Give a source of a table and its partitions, called ``f``, each with a number."""
    return (
        f"(SELECT p.relid::oid AS oid, row_number() OVER (ORDER BY p.relid::oid <> {name.regclass}::oid,"
        " p.relid::oid) AS n"
        f" FROM (SELECT {name.regclass} AS relid WHERE {name.regclass} IS NOT NULL"
        f" UNION SELECT t.relid FROM pg_partition_tree({name.regclass}) t WHERE t.relid IS NOT NULL) p) f"
    )


def _any(array: str) -> str:
    """Give what follows on ``=`` where something is one of these tables or of their partitions.

    The server takes a list of queries for a thousand rows, and reads the whole catalogue for them; not so an array.
    """
    return (
        f"ANY (ARRAY(SELECT u.oid FROM unnest({array}) u(oid) WHERE u.oid IS NOT NULL"
        f" UNION SELECT t.relid::oid FROM unnest({array}) u(oid), pg_partition_tree(u.oid::regclass) t))"
    )


def _foreign_keys(array: str) -> str:
    """From these tables and to them; those of partitions come and go with their parent's."""
    go = said(
        "ALTER TABLE ", Sql("c.conrelid::regclass::text"), " DROP CONSTRAINT ", Sql("quote_ident(c.conname)"), ";"
    )
    return (
        f"SELECT 1, c.oid, {go}, {catalogue.constraint()} FROM pg_constraint c WHERE c.contype = 'f'"
        f" AND c.conparentid = 0 AND {catalogue.constraint_of(_any(array))}"
    )


def _triggers(array: str) -> str:
    go = said("DROP TRIGGER ", Sql("quote_ident(g.tgname)"), " ON ", Sql("g.tgrelid::regclass::text"), ";")
    return (
        f"SELECT 2, g.oid, {go}, {catalogue.trigger()} FROM pg_trigger g WHERE NOT g.tgisinternal"
        f" AND g.tgparentid = 0 AND g.tgrelid = {_any(array)}"
    )


def _detached(array: str) -> str:
    """A partition that is dropped alone leaves its parent."""
    parent, child = Sql("i.inhparent::regclass::text"), Sql("r.oid::regclass::text")
    go = said("ALTER TABLE ", parent, " DETACH PARTITION ", child, ";")
    back = said(
        "ALTER TABLE ", parent, " ATTACH PARTITION ", child, " ", Sql("pg_get_expr(r.relpartbound, r.oid)"), ";"
    )
    return (
        f"SELECT 3, r.oid, {go}, {back} FROM pg_class r JOIN pg_inherits i ON i.inhrelid = r.oid"
        f" WHERE r.relispartition AND r.oid = ANY ({array}) AND NOT i.inhparent = {_any(array)}"
    )


def _renamed(name: Name, new: str) -> tuple[str, ...]:
    tree = _tree(name)
    owned = (
        f"SELECT x.objid FROM pg_depend x WHERE x.classid = {catalogue.CLASS} AND x.refclassid = {catalogue.CLASS}"
        " AND x.refobjid = f.oid AND x.deptype IN ('a', 'i')"
    )
    sequence = "SELECT x.* FROM pg_class x WHERE x.oid = d.objid AND x.relkind = 'S'"
    statistics = (
        "SELECT x.oid, x.stxname AS relname, x.stxnamespace AS relnamespace FROM pg_statistic_ext x"
        " WHERE x.stxrelid = f.oid"
    )

    def numbered(letter: str) -> Sql:
        return Sql(f"quote_ident({literal(f'{new}_{letter}')} || row_number() OVER (ORDER BY q.oid))")

    return (
        renamed_rows(
            4,
            "INDEX",
            numbered("i"),
            f"{tree} {catalogue.of_each('i', 'SELECT x.indexrelid FROM pg_index x WHERE x.indrelid = f.oid')}"
            f" {catalogue.of_each('q', 'SELECT x.* FROM pg_class x WHERE x.oid = i.indexrelid')}",
        ),
        renamed_rows(
            5,
            "SEQUENCE",
            numbered("s"),
            f"{tree} {catalogue.of_each('d', owned)} {catalogue.of_each('q', sequence)}",
        ),
        renamed_rows(
            6,
            "STATISTICS",
            numbered("t"),
            f"{tree} {catalogue.of_each('q', statistics)}",
        ),
        _constraints(tree, numbered("c")),
        renamed_rows(
            7,
            "TABLE",
            Sql(f"quote_ident({literal(new)} || CASE f.n WHEN 1 THEN '' ELSE '_' || f.n END)"),
            f"{tree} {catalogue.of_each('q', 'SELECT x.* FROM pg_class x WHERE x.oid = f.oid')}",
        ),
    )


def _constraints(tree: str, new: Sql) -> str:
    """Those that have no index: a new table of the name is to give its own the names that it would give them."""
    table, old = Sql("f.oid::regclass::text"), Sql("quote_ident(q.conname)")
    found = "SELECT x.* FROM pg_constraint x WHERE x.conrelid = f.oid AND x.contype IN ('c', 'n') AND x.coninhcount = 0"
    go = said("ALTER TABLE ", table, " RENAME CONSTRAINT ", old, " TO ", new, ";")
    back = said("ALTER TABLE ", table, " RENAME CONSTRAINT ", new, " TO ", old, ";")
    return f"SELECT 6, q.oid, {go}, {back} FROM {tree} {catalogue.of_each('q', found)}"


def _question(names: Sequence[Name], array: str, *, cascade: bool) -> str:
    """Ask what a plain DROP TABLE would be refused for, and what parking can't do."""
    others = (
        "(SELECT string_agg(DISTINCT pg_describe_object(d.classid, d.objid, d.objsubid), ', ') FROM pg_depend d"
        f" WHERE d.deptype IN ('n', 'a') AND ((d.refclassid = {catalogue.CLASS} AND d.refobjid = {_any(array)})"
        f" OR (d.refclassid = {catalogue.TYPE} AND d.refobjid = ANY ({catalogue.types_of(_any(array))})))"
        f" AND NOT {_goes_along(array, cascade=cascade)})"
    )
    shown = ", ".join(str(name) for name in names)
    wrong = (
        "(SELECT string_agg(r.oid::regclass::text, ', ') FROM pg_class r"
        f" WHERE r.oid = ANY ({array}) AND r.relkind NOT IN ('r', 'p'))"
    )
    inherits = (
        f"EXISTS (SELECT FROM pg_inherits i JOIN pg_class r ON r.oid = i.inhrelid WHERE NOT r.relispartition AND"
        f" (i.inhparent = {_any(array)} OR i.inhrelid = {_any(array)}))"
    )
    return (
        f"CASE WHEN {wrong} IS NOT NULL THEN {wrong} || ' is no table'"
        f" WHEN {inherits} THEN {literal(f'{shown}: tables that inherit, or are inherited from, are not parked')}"
        f" WHEN {others} IS NOT NULL THEN {others} || {literal(f' depends on {shown}')} END"
    )


def _goes_along(array: str, *, cascade: bool) -> str:
    """Give the condition that a row of ``pg_depend`` is of what goes with these tables, or is parked already."""
    any_of_them = _any(array)
    pointing = "true" if cascade else f"c.conrelid = {any_of_them}"
    return (
        "CASE d.classid"
        f" WHEN {catalogue.CLASS} THEN EXISTS (SELECT FROM pg_class x WHERE x.oid = d.objid AND (x.oid"
        f" = {any_of_them}"
        " OR (x.relkind IN ('i', 'I') AND EXISTS (SELECT FROM pg_index i WHERE i.indexrelid = x.oid AND"
        f" i.indrelid = {any_of_them}))"
        f" OR x.relkind = 't' OR (x.relkind = 'S' AND d.deptype IN ('a', 'i')) OR x.relname {IS_PARKED}"
        " OR EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = x.oid AND a.attnum = d.objsubid AND"
        f" a.attname {IS_PARKED})))"
        f" WHEN {catalogue.CONSTRAINT} THEN EXISTS (SELECT FROM pg_constraint c LEFT JOIN pg_class x ON x.oid ="
        " c.conrelid"
        f" WHERE c.oid = d.objid AND (c.conrelid = {any_of_them} OR (c.contype = 'f' AND {pointing}) OR"
        f" x.relname {IS_PARKED}))"
        " WHEN 'pg_attrdef'::regclass THEN EXISTS (SELECT FROM pg_attrdef f JOIN pg_class x ON x.oid = f.adrelid"
        f" WHERE f.oid = d.objid AND (f.adrelid = {any_of_them} OR x.relname {IS_PARKED}))"
        " WHEN 'pg_trigger'::regclass THEN EXISTS (SELECT FROM pg_trigger g WHERE g.oid = d.objid AND g.tgrelid"
        f" = {any_of_them})"
        " WHEN 'pg_policy'::regclass THEN EXISTS (SELECT FROM pg_policy y JOIN pg_class x ON x.oid = y.polrelid"
        f" WHERE y.oid = d.objid AND (y.polrelid = {any_of_them} OR x.relname {IS_PARKED}))"
        " WHEN 'pg_rewrite'::regclass THEN EXISTS (SELECT FROM pg_rewrite w WHERE w.oid = d.objid AND"
        f" w.ev_class = {any_of_them})"
        " WHEN 'pg_statistic_ext'::regclass THEN EXISTS (SELECT FROM pg_statistic_ext s WHERE s.oid = d.objid"
        f" AND s.stxrelid = {any_of_them})"
        f" WHEN {catalogue.TYPE} THEN EXISTS (SELECT FROM pg_type t WHERE t.oid = d.objid AND t.typrelid"
        f" = {any_of_them})"
        " ELSE false END"
    )


def park_sequence(delta: Delta, name: Name, *, missing_ok: bool) -> Change:
    """Rename a sequence out of sight."""
    if not delta.terms.park:
        raise RefusedError(OFF)
    delta.sequences.discard(name)
    new = delta.names.parked(name.name)
    others = (
        "(SELECT string_agg(DISTINCT pg_describe_object(d.classid, d.objid, d.objsubid), ', ') FROM pg_depend d"
        f" WHERE d.refclassid = {catalogue.CLASS} AND d.refobjid = {name.regclass} AND d.deptype IN ('n', 'a')"
        " AND NOT (d.classid = 'pg_attrdef'::regclass AND EXISTS (SELECT FROM pg_attrdef f JOIN pg_class x ON"
        " x.oid = f.adrelid"
        " JOIN pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum WHERE f.oid = d.objid AND"
        f" (x.relname {IS_PARKED} OR a.attname {IS_PARKED}))))"
    )
    owned = (
        f"EXISTS (SELECT FROM pg_depend d WHERE d.classid = {catalogue.CLASS} AND d.objid = {name.regclass}"
        f" AND d.refclassid = {catalogue.CLASS} AND d.deptype = 'i')"
    )
    question = (
        f"CASE WHEN {owned} THEN {literal(f'{name} belongs to an identity column')}"
        f" WHEN {others} IS NOT NULL THEN {others} || {literal(f' depends on {name}')} END"
    )
    exists = " IF EXISTS" if missing_ok else ""
    back = said(f"ALTER SEQUENCE {name.sibling(new)} RENAME TO {Name(name.name)};")
    return Change(
        before=(guard(question),),
        statement=f"ALTER SEQUENCE{exists} {name} RENAME TO {new}",
        undo=when(f"{name.regclass} IS NOT NULL", back),
    )


def park_type(delta: Delta, name: Name, kind: str, *, missing_ok: bool) -> Change:
    """Rename a type or a domain out of sight."""
    if not delta.terms.park:
        raise RefusedError(OFF)
    new = delta.names.parked(name.name)
    types = f"(SELECT unnest(ARRAY[t.oid, t.typarray]) FROM pg_type t WHERE t.oid = {name.regtype})"
    others = (
        "(SELECT string_agg(DISTINCT pg_describe_object(d.classid, d.objid, d.objsubid), ', ') FROM pg_depend d"
        f" WHERE d.refclassid = {catalogue.TYPE} AND d.refobjid IN {types} AND d.deptype = 'n'"
        f" AND NOT (d.classid = {catalogue.CLASS} AND EXISTS (SELECT FROM pg_class x LEFT JOIN pg_attribute a"
        f" ON a.attrelid = x.oid AND a.attnum = d.objsubid WHERE x.oid = d.objid AND (x.relname {IS_PARKED} OR"
        f" a.attname {IS_PARKED})))"
        " AND NOT (d.classid = 'pg_attrdef'::regclass AND EXISTS (SELECT FROM pg_attrdef f JOIN pg_class x ON"
        " x.oid = f.adrelid"
        f" WHERE f.oid = d.objid AND x.relname {IS_PARKED}))"
        f" AND NOT (d.classid = {catalogue.CONSTRAINT} AND EXISTS (SELECT FROM pg_constraint c JOIN pg_class x"
        " ON x.oid = c.conrelid"
        f" WHERE c.oid = d.objid AND x.relname {IS_PARKED})))"
    )
    question = f"CASE WHEN {others} IS NOT NULL THEN {others} || {literal(f' depends on {name}')} END"
    go = f"ALTER {kind} {name} RENAME TO {new}"
    if missing_ok:
        go = block(f" BEGIN IF {name.regtype} IS NOT NULL THEN EXECUTE {literal(go)}; END IF; END ")
    back = said(f"ALTER {kind} {name.sibling(new)} RENAME TO {Name(name.name)};")
    return Change(before=(guard(question),), statement=go, undo=when(f"{name.regtype} IS NOT NULL", back))
