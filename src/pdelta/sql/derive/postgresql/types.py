"""What takes back the altering of types, domains, sequences and statistics."""

from typing import Final

from pdelta.sql.derive.postgresql import catalogue
from pdelta.sql.derive.postgresql.change import Change, Delta
from pdelta.sql.derive.postgresql.text import Name, Node, Sql, identifier, literal, name_of, one, said
from pdelta.sql.derive.result import RefusedError

_SEQUENCE_OPTIONS: Final = frozenset({"increment", "minvalue", "maxvalue", "start", "cache", "cycle", "as", "owned_by"})


def alter_enum(_delta: Delta, node: Node) -> Change:
    """Rename a value back; one that was added can't be taken away.

    Raises:
        RefusedError: A value is added.
    """
    if node.oldVal is None:
        raise RefusedError("PostgreSQL can't take a value away from an enumerated type")
    text = f"ALTER TYPE {name_of(node.typeName)} RENAME VALUE {literal(node.newVal)} TO {literal(node.oldVal)};"
    return Change(undo=said(text))


def alter_domain(_delta: Delta, node: Node) -> Change:
    """Set its default, its NOT NULL or its constraint as it was.

    Raises:
        RefusedError: It is of a kind that is not derived.
    """
    name = name_of(node.typeName)
    row = f"pg_type t WHERE t.oid = {name.regtype}"
    match str(getattr(node.subtype, "value", node.subtype)):
        case "T":
            old = Sql(
                "coalesce('SET DEFAULT ' || coalesce(pg_get_expr(t.typdefaultbin, 0),"
                " quote_literal(t.typdefault)), 'DROP DEFAULT')"
            )
            return Change(undo=one(said(f"ALTER DOMAIN {name} ", old, ";"), row))
        case "N" | "O":
            old = Sql("CASE WHEN t.typnotnull THEN 'SET' ELSE 'DROP' END")
            return Change(undo=one(said(f"ALTER DOMAIN {name} ", old, " NOT NULL;"), row), rows=True)
        case "C":
            return _constraint_added(name, node.def_)
        case "X":
            return _constraint_dropped(name, node)
        case "V":
            added = said(f"ALTER DOMAIN {name} DROP CONSTRAINT {identifier(node.name)};", _constraint(name))
            return Change(undo=one(added, f"{_named(name, node.name)} AND NOT c.convalidated"))
        case other:
            raise RefusedError(f"this form of ALTER DOMAIN is not derived ({other})")


def _named(domain: Name, name: str) -> str:
    return f"pg_constraint c WHERE c.contypid = {domain.regtype} AND c.conname = {literal(name)}"


def _constraint(domain: Name) -> Sql:
    name = Sql("quote_ident(c.conname)")
    comment = catalogue.comment(said("CONSTRAINT ", name, f" ON DOMAIN {domain}"), catalogue.CONSTRAINT, "c.oid")
    added = said(
        f"ALTER DOMAIN {domain} ADD CONSTRAINT ", name, " ", catalogue.exact("pg_get_constraintdef(c.oid)"), ";"
    )
    return Sql(f"{added} || {comment}")


def _constraint_added(domain: Name, added: Node) -> Change:
    if added.contype.name != "CONSTR_CHECK":
        raise RefusedError("this constraint of a domain is not derived")
    if added.conname:
        return Change(undo=said(f"ALTER DOMAIN {domain} DROP CONSTRAINT {identifier(added.conname)};"))
    newest = (
        f"(SELECT * FROM pg_constraint n WHERE n.contypid = {domain.regtype} AND n.contype = 'c'"
        " ORDER BY age(n.xmin), n.oid DESC LIMIT 1) c"
    )
    text = said(f"ALTER DOMAIN {domain} DROP CONSTRAINT ", Sql("quote_ident(c.conname)"), ";")
    return Change(late=one(text, newest))


def _constraint_dropped(domain: Name, node: Node) -> Change:
    return Change(undo=one(_constraint(domain), _named(domain, node.name)))


def add_attribute(_delta: Delta, name: Name, node: Node) -> Change:
    """Drop an attribute of a composite type."""
    return Change(undo=said(f"ALTER TYPE {name} DROP ATTRIBUTE {identifier(node.def_.colname)};"))


def change_attribute(_delta: Delta, name: Name, node: Node) -> Change:
    """Give an attribute of a composite type the type that it had."""
    old = Sql("format_type(a.atttypid, a.atttypmod)")
    collation = Sql(
        "CASE WHEN a.attcollation IN (0, (SELECT k.typcollation FROM pg_type k WHERE k.oid = a.atttypid)) THEN ''"
        " ELSE ' COLLATE ' || a.attcollation::regcollation END"
    )
    text = said(f"ALTER TYPE {name} ALTER ATTRIBUTE {identifier(node.name)} TYPE ", old, collation, ";")
    return Change(undo=one(text, catalogue.column(name.regclass, node.name)))


def alter_statistics(_delta: Delta, node: Node) -> Change:
    """Set how much is gathered for them as it was."""
    name = name_of(node.defnames)
    target = Sql("coalesce(s.stxstattarget, -1)::text")
    text = said(f"ALTER STATISTICS {name} SET STATISTICS ", target, ";")
    where = f"s.stxname = {literal(name.name)} AND s.stxnamespace = {name.namespace}"
    return Change(undo=one(text, f"pg_statistic_ext s WHERE {where}"))


def alter_sequence(_delta: Delta, node: Node) -> Change:
    """Set its options as they were.

    Raises:
        RefusedError: It is moved to another number.
    """
    options = {option.defname for option in node.options or ()}
    if unknown := options - _SEQUENCE_OPTIONS:
        what = ", ".join(sorted(unknown))
        raise RefusedError(
            f"{what.upper()} moves a sequence for all who take numbers from it, and they may have taken some since"
        )
    name = name_of(node.sequence)
    row = f"pg_sequence s WHERE s.seqrelid = {name.regclass}"
    text = said(
        f"ALTER SEQUENCE {name} AS ",
        Sql("format_type(s.seqtypid, NULL)"),
        " INCREMENT BY ",
        Sql("s.seqincrement::text"),
        " MINVALUE ",
        Sql("s.seqmin::text"),
        " MAXVALUE ",
        Sql("s.seqmax::text"),
        " START WITH ",
        Sql("s.seqstart::text"),
        " CACHE ",
        Sql("s.seqcache::text"),
        Sql("CASE WHEN s.seqcycle THEN ' CYCLE' ELSE ' NO CYCLE' END"),
        ";",
    )
    owner = Sql(
        "coalesce((SELECT d.refobjid::regclass::text || '.' || quote_ident(a.attname) FROM pg_depend d JOIN"
        " pg_attribute a"
        " ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid WHERE d.classid = 'pg_class'::regclass"
        f" AND d.objid = s.seqrelid AND d.refclassid = {catalogue.CLASS} AND d.deptype = 'a' AND d.refobjsubid >"
        " 0), 'NONE')"
    )
    if "owned_by" in options:
        text = said(text, f"ALTER SEQUENCE {name} OWNED BY ", owner, ";")
    return Change(undo=one(text, row))
