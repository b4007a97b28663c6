"""What takes back the commands of ALTER TABLE that are about one column."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from pdelta.sql.derive.postgresql import catalogue
from pdelta.sql.derive.postgresql.change import (
    Change,
    Delta,
    Fresh,
    counted,
    guard,
    locked,
    loss_guard,
    made_just_now,
    plain_loss_guard,
)
from pdelta.sql.derive.postgresql.table import Table
from pdelta.sql.derive.postgresql.text import (
    Name,
    Node,
    Sql,
    amount,
    each,
    identifier,
    literal,
    name_of,
    one,
    printed,
    said,
    when,
)
from pdelta.sql.piece import GUARD, LOSS_GUARD

_SERIAL: Final = frozenset({"serial", "serial2", "serial4", "serial8", "bigserial", "smallserial"})
_LOSSLESS: Final = (
    ("int2", "int4"),
    ("int2", "int8"),
    ("int2", "numeric"),
    ("int4", "int8"),
    ("int4", "numeric"),
    ("int8", "numeric"),
    ("float4", "float8"),
    ("varchar", "text"),
    ("cidr", "inet"),
)
"""Pairs of types without modifiers of which the second holds every value of the first."""
_STORAGE: Final = (
    "CASE a.attstorage WHEN 'p' THEN 'PLAIN' WHEN 'e' THEN 'EXTERNAL' WHEN 'm' THEN 'MAIN' ELSE 'EXTENDED' END"
)
_COMPRESSION: Final = (
    "CASE to_jsonb(a) ->> 'attcompression' WHEN 'p' THEN 'pglz' WHEN 'l' THEN 'lz4' ELSE 'default' END"
)


def add_column(_delta: Delta, table: Table, command: Node) -> Change:
    """Drop it again, if it was not there before; what it holds by then is counted."""
    column = command.def_
    name = column.colname
    dropped = f"ALTER TABLE {table.name} DROP COLUMN {identifier(name)};"
    default, generated = default_of(column)
    if not command.missing_ok and not table.missing_ok:
        if not generated:
            return Change(undo=said(dropped), fresh=(Fresh(table.name, name, default, kind=_kind(column, default)),))
        return Change(undo=said(dropped))
    missing = f"{table.oid} IS NOT NULL AND NOT {catalogue.column_exists(table.oid, name)}"
    if generated or default is not None or table.missing_ok:
        guard = "" if generated else plain_loss_guard(table.name, name, default)
        return Change(undo=when(missing, said(guard + dropped)))
    number = f"(SELECT a.attnum FROM {catalogue.column(table.oid, name)})"
    given = loss_guard(Fresh(table.name, name, None, filled=True))
    return Change(undo=when(missing, said(dropped)), late=when(made_just_now(number, table.oid), given))


def _kind(column: Node, default: str | None) -> Name | None:
    """Give the type of a column that may have a default of its own, as domains do; None where that means nothing."""
    kind = column.typeName
    if default != "NULL" or kind.arrayBounds or kind.names[0].sval == "pg_catalog":
        return None
    if any(constraint.contype.name == "CONSTR_DEFAULT" for constraint in column.constraints or ()):
        return None
    return name_of(kind)


def default_of(column: Node) -> tuple[str | None, bool]:
    """Give the default of a column's definition where that is the same for every row, and whether it is generated.

    NULL where it has none; None where each row may get another value.
    """
    kind = column.typeName
    default: str | None = "NULL"
    if [part.sval for part in kind.names][-1] in _SERIAL:
        default = None
    for constraint in column.constraints or ():
        contype = str(constraint.contype.name)
        if contype == "CONSTR_GENERATED":
            return None, True
        if contype == "CONSTR_IDENTITY":
            default = None
        if contype == "CONSTR_DEFAULT":
            default = (
                f"({printed(constraint.raw_expr)})::{printed(kind)}" if _is_constant(constraint.raw_expr) else None
            )
    return default, False


def _is_constant(node: Node) -> bool:
    name = type(node).__name__
    if name == "TypeCast":
        # 'now'::timestamp is read anew in every statement.
        return _is_constant(node.arg) and not {"timestamp", "timestamptz", "date", "time", "timetz"} & {
            part.sval for part in node.typeName.names
        }
    return name == "A_Const" or (name == "A_ArrayExpr" and all(_is_constant(one) for one in node.elements or ()))


def change_default(_delta: Delta, table: Table, command: Node) -> Change:
    """Set the default that it had, in the table and in each of its children; or none."""
    name = identifier(command.name)
    old = Sql(
        "coalesce((SELECT 'SET DEFAULT ' || pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d"
        " WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum), 'DROP DEFAULT')"
    )
    return Change(undo=_in_family(table, command.name, said(_ONLY, _CHILD, f" ALTER COLUMN {name} ", old, ";")))


def set_not_null(_delta: Delta, table: Table, command: Node) -> Change:
    """Let it be NULL again where it could be, in the table and in each of its children."""
    return Change(undo=_nullability(table, command.name, wanted="true"))


def drop_not_null(_delta: Delta, table: Table, command: Node) -> Change:
    """Refuse NULL again where it was refused; the server checks every row."""
    return Change(undo=_nullability(table, command.name, wanted="false"), rows=True)


def _nullability(table: Table, column: str, *, wanted: str) -> Sql:
    """Give the expression of what was, where one of the family was not as wanted; parents drag their children along."""
    text = said(
        "ALTER TABLE ",
        _CHILD,
        f" ALTER COLUMN {identifier(column)} ",
        Sql("CASE WHEN a.attnotnull THEN 'SET' ELSE 'DROP' END"),
        " NOT NULL;",
    )
    # From PostgreSQL 18 on that is a constraint, with a name; a child may have it from its parent alone.
    added = said(
        "ALTER TABLE ",
        _CHILD,
        " ADD CONSTRAINT ",
        Sql("quote_ident(n.conname)"),
        " ",
        Sql("pg_get_constraintdef(n.oid)"),
        ";",
    )
    named = (
        f"(SELECT CASE WHEN n.conislocal THEN {added} ELSE '' END FROM pg_constraint n"
        " WHERE n.conrelid = f.oid AND n.contype = 'n' AND n.conkey = ARRAY[a.attnum])"
    )
    joined = _columns(table, column)
    changed = f"EXISTS (SELECT FROM {joined} WHERE a.attnotnull <> {wanted})"
    back = each(Sql(f"coalesce({named}, {text})"), joined, order="f.depth, f.oid")
    return Sql(f"CASE WHEN {changed} THEN {back} ELSE '' END")


def set_statistics(_delta: Delta, table: Table, command: Node) -> Change:
    """Set the target that it had."""
    if command.name is None:
        named, which = str(command.num), f"a.attnum = {int(command.num)}"
    else:
        named, which = identifier(command.name), f"a.attname = {literal(command.name)}"
    text = said(
        f"ALTER {table.kind} ",
        _CHILD,
        f" ALTER COLUMN {named} SET STATISTICS ",
        Sql("coalesce(a.attstattarget, -1)::text"),
        ";",
    )
    return Change(undo=_in_family(table, "", text, which))


def set_storage(_delta: Delta, table: Table, command: Node) -> Change:
    """Set the storage that it had."""
    text = said(_ONLY, _CHILD, f" ALTER COLUMN {identifier(command.name)} SET STORAGE ", Sql(_STORAGE), ";")
    return Change(undo=_in_family(table, command.name, text))


def set_compression(_delta: Delta, table: Table, command: Node) -> Change:
    """Set the compression that it had."""
    text = said(_ONLY, _CHILD, f" ALTER COLUMN {identifier(command.name)} SET COMPRESSION ", Sql(_COMPRESSION), ";")
    return Change(undo=_in_family(table, command.name, text))


def column_options(_delta: Delta, table: Table, command: Node) -> Change:
    """Set the options that are named to what they were."""
    name = identifier(command.name)
    named = [option.defname for option in command.def_]
    reset = ", ".join(identifier(one) for one in named)
    listed = ", ".join(literal(one) for one in named)
    old = Sql(
        f"coalesce((SELECT 'ALTER TABLE ' || a.attrelid::regclass || {literal(f' ALTER COLUMN {name} SET (')}"
        " || string_agg(quote_ident(o.option_name) || ' = ' || quote_literal(o.option_value), ', ') || ');'"
        f" FROM pg_options_to_table(a.attoptions) o WHERE o.option_name IN ({listed})), '')"
    )
    text = said("ALTER TABLE ", _CHILD, f" ALTER COLUMN {name} RESET ({reset});", old)
    return Change(undo=_in_family(table, command.name, text))


def change_type(_delta: Delta, table: Table, command: Node) -> Change:
    """Give it the type that it had; refused where a value would not come back as it was.

    Before anything is done every row is tried: its value as the new type gives it, turned back, must be the old one.
    """
    column, name = command.def_, identifier(command.name)
    new = printed(column.typeName)
    given = f"({printed(column.raw_default)})" if column.raw_default is not None else name
    old = Sql("format_type(a.atttypid, a.atttypmod)")
    source = catalogue.column(table.oid, command.name)
    asked = said(
        f"SELECT count(*) AS n FROM {table.name} WHERE (({given})::{new}::",
        old,
        f")::text IS DISTINCT FROM {name}::text",
    )
    gone = f"a {command.name} that would not come back from {new}"
    lost = amount(str(table.name), f"has {gone}", f"have {gone}", "q.n")
    question = (
        f"CASE WHEN q.n > 0 THEN {lost} END FROM (SELECT {counted(asked)} AS n FROM {source}"
        f" AND NOT ({_is_lossless(new, plain=column.raw_default is None)}) OFFSET 0) q"
    )
    shorter = f"a {command.name} that would be cut to "
    cut = amount(str(table.name), f"has {shorter}", f"have {shorter}")
    back = said(
        f"{locked(table.name)};",
        _unfit(table, command.name, new),
        f"{LOSS_GUARD} SELECT CASE WHEN count(*) > 0 THEN {cut} || ",
        Sql(f"quote_literal({old})"),
        f" END FROM {table.name} WHERE ({name}::",
        old,
        f"::{new})::text IS DISTINCT FROM {name}::text;",
        f"ALTER TABLE {table.name} ",
        _default_dropped(name),
        f"ALTER COLUMN {name} TYPE ",
        old,
        _COLLATION,
        f" USING {name}::",
        old,
        _default_set(name),
        ";",
        _kept_marks(name, str(table.name)),
    )
    before = (*table.locks(), guard(question))
    return Change(before=before, undo=one(back, source), rows=True)


def _unfit(table: Table, column: str, new: str) -> Sql:
    """Give the expression of the guard that counts values which the old type can't have at all.

    The server fails on them, and on the guard that compares them as well; so no loss of them can be accepted.
    """
    name = identifier(column)
    what = amount(str(table.name), f"has a {column} that is no ", f"have a {column} that is no ")
    old = Sql("format_type(a.atttypid, a.atttypmod)")
    begin = f"{GUARD} SELECT CASE WHEN count(*) > 0 THEN {what} || "
    change = "CASE count(*) WHEN 1 THEN ': change it first' ELSE ': change them first' END"
    head = (begin, Sql(f"quote_literal({old})"), f" || {change} END FROM {table.name} WHERE ")
    bits = "CASE a.atttypid WHEN 'int2'::regtype THEN 15 WHEN 'int4'::regtype THEN 31 ELSE 63 END"
    bound = Sql(f"trunc(2::numeric ^ ({bits}))::text")
    outside = said(*head, f"NOT ({name} >= -", bound, f" AND {name} < ", bound, ");")
    scale = "((((a.atttypmod - 4) & 2047) # 1024) - 1024)"
    digits = Sql(f"((((a.atttypmod - 4) >> 16) & 65535) - {scale})::text")
    long = said(*head, f"NOT (round(abs({name})::numeric, ", Sql(f"{scale}::text"), ") < 1e", digits, ");")
    number = f"CASE WHEN {name}::text ~ '^ *[+-]?[0-9]{{1,30}} *$' THEN {name}::text::numeric END"
    unread = said(
        *head,
        f"{name} IS NOT NULL AND NOT coalesce({number} >= -",
        bound,
        f" AND {number} < ",
        bound,
        ", false);",
    )
    unknown = said(*head, f"NOT ({name}::text = ANY (enum_range(NULL::", old, ")::text[]));")
    category = f"(SELECT t.typcategory FROM pg_type t WHERE t.oid = to_regtype({literal(new)}))"
    integer = "a.atttypid IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype)"
    is_enum = "(SELECT t.typtype FROM pg_type t WHERE t.oid = a.atttypid) = 'e'"
    return Sql(
        f"CASE WHEN {category} = 'N' AND {integer} THEN {outside} WHEN {category} = 'S' AND {integer} THEN {unread}"
        f" WHEN {category} = 'N' AND a.atttypid = 'numeric'::regtype AND a.atttypmod > 4 THEN {long}"
        f" WHEN {category} = 'S' AND {is_enum} THEN {unknown} ELSE '' END"
    )


_ONLY: Final = "ALTER TABLE ONLY "
_CHILD: Final = Sql("a.attrelid::regclass::text")
_DEFAULT: Final = "pg_attrdef d WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum AND a.attgenerated = ''"
_COLLATION: Final = Sql(
    "CASE WHEN a.attcollation IN (0, (SELECT t.typcollation FROM pg_type t WHERE t.oid = a.atttypid)) THEN ''"
    " ELSE ' COLLATE ' || a.attcollation::regcollation END"
)


def _default_dropped(name: str) -> Sql:
    return Sql(
        f"CASE WHEN EXISTS (SELECT FROM {_DEFAULT}) THEN {literal(f'ALTER COLUMN {name} DROP DEFAULT, ')} ELSE '' END"
    )


def _default_set(name: str) -> Sql:
    return one(said(f", ALTER COLUMN {name} SET DEFAULT ", Sql("pg_get_expr(d.adbin, d.adrelid)")), _DEFAULT)


def _kept_marks(name: str, table: str) -> Sql:
    """Give the expression of what a change of type resets, where it was not as the type has it."""
    alter = f"ALTER TABLE {table} ALTER COLUMN {name} "
    return Sql(
        "CASE WHEN a.attstorage = (SELECT t.typstorage FROM pg_type t WHERE t.oid = a.atttypid) THEN ''"
        f" ELSE {said(alter, 'SET STORAGE ', Sql(_STORAGE), ';')} END"
        " || CASE WHEN coalesce(to_jsonb(a) ->> 'attcompression', '') = '' THEN ''"
        f" ELSE {said(alter, 'SET COMPRESSION ', Sql(_COMPRESSION), ';')} END"
    )


def around_types(table: Table, changed: Sequence[str]) -> tuple[Change, Change]:
    """Give the changes around other types of columns: their reverses create and drop what is written with the columns.

    The server writes casts into conditions when a type changes, and leaves them there when it changes back. What the
    statement itself drops is not there any more, and comes back by itself.
    """
    named = f"a.attname IN ({', '.join(map(literal, changed))})"
    numbers = f"SELECT a.attnum FROM pg_attribute a WHERE a.attrelid = {table.oid} AND {named} AND NOT a.attisdropped"
    freed = f" AND c.conname NOT IN ({', '.join(map(literal, table.freed))})" if table.freed else ""
    checks = (
        f"pg_constraint c WHERE c.conrelid = {table.oid} AND c.contype = 'c' AND c.coninhcount = 0{freed}"
        f" AND c.conkey && ARRAY({numbers})"
    )
    indexes = (
        f"pg_index i WHERE i.indrelid = {table.oid} AND (i.indexprs IS NOT NULL OR i.indpred IS NOT NULL)"
        " AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid AND c.conrelid = i.indrelid)"
        " AND NOT EXISTS (SELECT FROM pg_inherits h WHERE i.indexrelid IN (h.inhrelid, h.inhparent))"
        f" AND EXISTS (SELECT FROM pg_depend d WHERE d.classid = {catalogue.CLASS} AND d.objid = i.indexrelid"
        f" AND d.refclassid = {catalogue.CLASS} AND d.refobjid = i.indrelid AND d.refobjsubid IN ({numbers}))"
    )
    no_check = said(f"ALTER TABLE {table.name} DROP CONSTRAINT ", Sql("quote_ident(c.conname)"), ";")
    no_index = said("DROP INDEX ", Sql("i.indexrelid::regclass::text"), ";")
    off = Sql(f"{each(no_check, checks, order='c.oid')} || {each(no_index, indexes, order='i.indexrelid')}")
    on = Sql(
        f"{each(catalogue.constraint(), checks, order='c.oid')}"
        f" || {each(catalogue.index('i.indexrelid'), indexes, order='i.indexrelid')}"
    )
    return Change(undo=on), Change(undo=off)


def default_given(table: Table, column: str) -> Change:
    """Give the change whose reverse takes off a default that is given beside another type: it has that type."""
    only = "" if table.recurses else "ONLY "
    return Change(undo=said(f"ALTER TABLE {only}{table.name} ALTER COLUMN {identifier(column)} DROP DEFAULT;"))


def _is_lossless(new: str, *, plain: bool) -> str:
    """Give the condition that the type holds every value of the old one, so that no row need be looked at."""
    if not plain:
        return "false"
    pairs = ", ".join(f"('{one}'::regtype, '{other}'::regtype)" for one, other in _LOSSLESS)
    kind = f"to_regtype({literal(new)})"
    unlimited = literal(new) if "(" not in new else "''"
    wider = "false"
    if new.startswith("varchar(") and new[8:-1].isdecimal():
        wider = f"a.atttypid = 'varchar'::regtype AND a.atttypmod BETWEEN 5 AND {int(new[8:-1]) + 4}"
    return f"({unlimited} <> '' AND (a.atttypid, {kind}) IN ({pairs})) OR ({wider})"


def _family(table: Table) -> str:
    if table.recurses:
        return catalogue.family(table.oid)
    return f"(SELECT {table.oid}::oid AS oid, 0 AS depth WHERE {table.oid} IS NOT NULL) f"


def _in_family(table: Table, column: str, text: Sql, condition: str = "true") -> Sql:
    """Give the expression of this text for the column of the table and of all its children, where a condition holds."""
    return each(text, f"{_columns(table, column)} WHERE {condition}", order="f.depth, f.oid")


def _columns(table: Table, column: str) -> str:
    """Give the source of the rows, called ``a``, of a column in the table and all its children; empty for all."""
    named = f" AND x.attname = {literal(column)}" if column else ""
    query = f"SELECT x.* FROM pg_attribute x WHERE x.attrelid = f.oid AND NOT x.attisdropped{named}"
    return f"{_family(table)} {catalogue.of_each('a', query)}"


Handler = Callable[[Delta, Table, Node], Change]


COLUMN_COMMANDS: Final[Mapping[str, Handler]] = {
    "AT_AddColumn": add_column,
    "AT_ColumnDefault": change_default,
    "AT_SetNotNull": set_not_null,
    "AT_DropNotNull": drop_not_null,
    "AT_SetStatistics": set_statistics,
    "AT_SetStorage": set_storage,
    "AT_SetCompression": set_compression,
    "AT_SetOptions": column_options,
    "AT_ResetOptions": column_options,
    "AT_AlterColumnType": change_type,
}
