"""What takes back the creating, replacing and dropping of views."""

from pdelta.sql.derive.postgresql import catalogue
from pdelta.sql.derive.postgresql.change import Change, Delta, guard
from pdelta.sql.derive.postgresql.text import Name, Node, Sql, each, literal, name_of, one, said, when
from pdelta.sql.derive.result import RefusedError


def create_view(_delta: Delta, node: Node) -> Change:
    """Drop it; or bring back the view that it replaced.

    A view that nothing depends on is dropped and created again, because replacing takes no column away. Another one is
    replaced, which the server refuses where columns were added.
    """
    name = name_of(node.view)
    if node.view.relpersistence == "t":
        raise RefusedError("a temporary view belongs to the connection, and the next tenant would find it")
    dropped = said(f"DROP VIEW {name};")
    if not node.replace:
        return Change(undo=dropped)
    oid = name.regclass
    anew = Sql(f"{dropped} || {one(view(name), _row(oid))}")
    replaced = one(Sql(f"{_created(name, ' OR REPLACE')} || {_options_reset(name)}"), _row(oid))
    old = when(_is_used(oid), replaced, f"({anew})")
    there = f"EXISTS (SELECT FROM pg_class x WHERE x.oid = {oid} AND x.relkind = 'v')"
    return Change(before=(guard(_question(name)),), undo=when(there, old, dropped))


def _column_comment(label: str) -> Sql:
    on = said("COLUMN ", label, ".", Sql("quote_ident(a.attname)"))
    return catalogue.comment(on, catalogue.CLASS, "r.oid", "a.attnum")


def _column_rights(label: str) -> Sql:
    given = catalogue.granted("TABLE", label, "a.attacl", "quote_ident(a.attname)")
    return Sql(f"CASE WHEN a.attacl IS NULL THEN '' ELSE {given} END")


def _column_default(label: str) -> Sql:
    return one(
        said(
            f"ALTER VIEW {label} ALTER COLUMN ",
            Sql("quote_ident(a.attname)"),
            " SET DEFAULT ",
            Sql("pg_get_expr(d.adbin, d.adrelid)"),
            ";",
        ),
        "pg_attrdef d WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum",
    )


def view(name: Name) -> Sql:
    """Give the expression of the statements that create a view again; its row is called ``r``."""
    label = str(name)
    columns = each(
        Sql(f"{_column_comment(label)} || {_column_default(label)} || {_column_rights(label)}"),
        "pg_attribute a WHERE a.attrelid = r.oid AND a.attnum > 0",
        order="a.attnum",
    )
    triggers = each(catalogue.trigger(), "pg_trigger g WHERE g.tgrelid = r.oid AND NOT g.tgisinternal", order="g.oid")
    rules = each(catalogue.rule(), "pg_rewrite w WHERE w.ev_class = r.oid AND w.rulename <> '_RETURN'", order="w.oid")
    return Sql(
        f"{_created(name, '')} || {triggers} || {rules} || {catalogue.grants('TABLE', label, 'r.relacl', 'r.relowner')}"
        f" || {columns} || {catalogue.comment(said('VIEW ', label), catalogue.CLASS, 'r.oid')}"
        f" || {catalogue.owner('VIEW', label, 'r.relowner')}"
    )


def materialized_view(name: Name) -> Sql:
    """Give the expression of the statements that create a materialized view again, and fill it if it was filled."""
    label = str(name)
    space = Sql(
        "coalesce((SELECT ' TABLESPACE ' || quote_ident(s.spcname) FROM pg_tablespace s WHERE s.oid ="
        " r.reltablespace), '')"
    )
    created = said(
        f"CREATE MATERIALIZED VIEW {label}",
        _with(),
        space,
        " AS ",
        catalogue.exact("rtrim(pg_get_viewdef(r.oid), ' ;')"),
        Sql("CASE WHEN r.relispopulated THEN ' WITH DATA;' ELSE ' WITH NO DATA;' END"),
    )
    columns = each(
        Sql(f"{_column_comment(label)} || {_column_rights(label)}"),
        "pg_attribute a WHERE a.attrelid = r.oid AND a.attnum > 0",
        order="a.attnum",
    )
    indexes = each(catalogue.index("i.indexrelid"), "pg_index i WHERE i.indrelid = r.oid", order="i.indexrelid")
    return Sql(
        f"{created} || {indexes} || {catalogue.grants('TABLE', label, 'r.relacl', 'r.relowner')} || {columns}"
        f" || {catalogue.comment(said('MATERIALIZED VIEW ', label), catalogue.CLASS, 'r.oid')}"
        f" || {catalogue.owner('MATERIALIZED VIEW', label, 'r.relowner')}"
    )


def drop_view(delta: Delta, name: Name, kind: str, *, cascade: bool) -> Change:
    """Create it again as it was; a materialized one is calculated anew."""
    if kind == "MATERIALIZED VIEW":
        delta.note(f"{name} is calculated anew when it comes back")
    text = materialized_view(name) if kind == "MATERIALIZED VIEW" else view(name)
    letter = "m" if kind == "MATERIALIZED VIEW" else "v"
    before: tuple[str, ...] = (guard(_question(name)),)
    if cascade:
        used = (
            f"CASE WHEN {_is_used(name.regclass)} THEN (SELECT string_agg(pg_describe_object(d.classid, d.objid,"
            " d.objsubid), ', ')"
            f" FROM {_users(name.regclass)}) || {literal(f' would go with {name}')} END"
        )
        before = (*before, guard(used))
    return Change(before=before, undo=one(text, f"pg_class r WHERE r.oid = {name.regclass} AND r.relkind = '{letter}'"))


def _row(oid: str) -> str:
    return f"pg_class r WHERE r.oid = {oid}"


def _with() -> Sql:
    return Sql(f"coalesce(' WITH (' || {catalogue.options('r.reloptions')} || ')', '')")


def _created(name: Name, how: str) -> Sql:
    columns = Sql(
        "(SELECT string_agg(quote_ident(a.attname), ', ' ORDER BY a.attnum) FROM pg_attribute a"
        " WHERE a.attrelid = r.oid AND a.attnum > 0)"
    )
    return said(
        f"CREATE{how} VIEW {name} (",
        columns,
        ")",
        _with(),
        " AS ",
        catalogue.exact("rtrim(pg_get_viewdef(r.oid), ' ;')"),
        ";",
    )


def _options_reset(name: Name) -> Sql:
    """Replacing a view without options takes none away that it got since; creating it WITH the old ones sets them."""
    return Sql(
        "CASE WHEN r.reloptions IS NULL THEN "
        f"{said(f'ALTER VIEW {name} RESET (security_barrier, check_option);')} ELSE '' END"
    )


def _users(oid: str) -> str:
    """Give the source of what depends on a view, called ``d``; its own rules and triggers do not count."""
    return (
        f"pg_depend d WHERE ((d.refclassid = {catalogue.CLASS} AND d.refobjid = {oid}) OR (d.refclassid ="
        f" {catalogue.TYPE}"
        f" AND d.refobjid = ANY ({catalogue.types_of(oid)})))"
        " AND d.deptype = 'n'"
        " AND NOT EXISTS (SELECT FROM pg_rewrite w WHERE d.classid = 'pg_rewrite'::regclass AND w.oid = d.objid"
        f" AND w.ev_class = {oid})"
        " AND NOT EXISTS (SELECT FROM pg_trigger g WHERE d.classid = 'pg_trigger'::regclass AND g.oid = d.objid"
        f" AND g.tgrelid = {oid})"
    )


def _is_used(oid: str) -> str:
    return f"EXISTS (SELECT FROM {_users(oid)})"


def _question(name: Name) -> str:
    """Ask for what is not brought back."""
    return (
        f"CASE WHEN r.relkind NOT IN ('v', 'm') THEN {literal(f'{name} is no view')}"
        f" WHEN EXISTS (SELECT FROM pg_depend d WHERE d.classid = {catalogue.CLASS} AND d.objid = r.oid AND"
        " d.deptype = 'e')"
        f" THEN {literal(f'{name} belongs to an extension')} END FROM {_row(name.regclass)}"
    )
