"""What takes back GRANT, REVOKE, OWNER TO and COMMENT ON."""

from typing import Final

from pdelta.sql.derive.postgresql import catalogue, routines
from pdelta.sql.derive.postgresql.change import Change, Delta
from pdelta.sql.derive.postgresql.text import (
    Name,
    Node,
    Sql,
    each,
    identifier,
    joined,
    literal,
    name_of,
    one,
    said,
)
from pdelta.sql.derive.result import RefusedError
from pdelta.sql.split import Statement
from pdelta.sql.token import Kind

_ROLES: Final = {
    "ROLESPEC_PUBLIC": "PUBLIC",
    "ROLESPEC_CURRENT_USER": "CURRENT_USER",
    "ROLESPEC_SESSION_USER": "SESSION_USER",
}
_ROUTINES: Final = {"OBJECT_FUNCTION": "FUNCTION", "OBJECT_PROCEDURE": "PROCEDURE", "OBJECT_ROUTINE": "ROUTINE"}
_OBJECTS: Final = {
    "OBJECT_TABLE": "table",
    "OBJECT_VIEW": "view",
    "OBJECT_MATVIEW": "materialized view",
    "OBJECT_SEQUENCE": "sequence",
    "OBJECT_INDEX": "index",
    "OBJECT_STATISTIC_EXT": "statistics object",
}
"""What COMMENT ON may be about that is a name in a schema, in the words of ``pg_get_object_address``."""
_PARTS: Final = {
    "OBJECT_COLUMN": "table column",
    "OBJECT_TABCONSTRAINT": "table constraint",
    "OBJECT_TRIGGER": "trigger",
    "OBJECT_RULE": "rule",
    "OBJECT_POLICY": "policy",
}


def grant(_delta: Delta, node: Node) -> Change:
    """Give each of the roles what it had, and nothing else.

    Raises:
        RefusedError: It is about what is not the tenant's, or about all there is of a kind.
    """
    if node.targtype.name != "ACL_TARGET_OBJECT":
        raise RefusedError("rights on everything of a kind are not derived", "name the objects")
    kind = node.objtype.name
    if kind in {"OBJECT_TABLE", "OBJECT_SEQUENCE"}:
        changes = [_relation(kind.removeprefix("OBJECT_"), name_of(one), node) for one in node.objects]
    elif kind in _ROUTINES:
        changes = [_routine(_ROUTINES[kind], one, node) for one in node.objects]
    elif kind in {"OBJECT_TYPE", "OBJECT_DOMAIN"}:
        changes = [_type(name_of(one), node) for one in node.objects]
    else:
        what = kind.removeprefix("OBJECT_").replace("_", " ").lower()
        raise RefusedError(f"rights on a {what} are not derived")
    return Change(undo=joined(changes))


def _roles(node: Node) -> list[str]:
    return [_ROLES.get(role.roletype.name) or identifier(role.rolename) for role in node.grantees]


def _of_roles(node: Node) -> str:
    """Give the condition that a right, called ``z``, is one of the roles'."""
    return " OR ".join(
        "z.grantee = 0"
        if role.roletype.name == "ROLESPEC_PUBLIC"
        else f"z.grantee = (SELECT s.oid FROM pg_roles s WHERE s.rolname = {_role_name(role)})"
        for role in node.grantees
    )


def _role_name(role: Node) -> str:
    match role.roletype.name:
        case "ROLESPEC_CURRENT_USER" | "ROLESPEC_CURRENT_ROLE":
            return "current_user"
        case "ROLESPEC_SESSION_USER":
            return "session_user"
        case _:
            return literal(role.rolename)


def _relation(kind: str, name: Name, node: Node) -> Sql:
    revoked = f"REVOKE ALL ON {kind} {name} FROM {', '.join(_roles(node))};"
    where = _of_roles(node)
    letter = "s" if kind == "SEQUENCE" else "r"
    acl = f"coalesce(r.relacl, acldefault('{letter}', r.relowner))"
    columns = each(
        catalogue.granted(kind, str(name), "c.attacl", "quote_ident(c.attname)", where),
        "pg_attribute c WHERE c.attrelid = r.oid AND c.attnum > 0 AND NOT c.attisdropped AND c.attacl IS NOT NULL",
        order="c.attnum",
    )
    # Revoking a right on a table revokes it on each of its columns.
    text = Sql(f"{said(revoked)} || {catalogue.granted(kind, str(name), acl, '', where)} || {columns}")
    return one(text, f"pg_class r WHERE r.oid = {name.regclass}")


def _routine(kind: str, node: Node, statement: Node) -> Sql:
    oid = routines.oid_of(node)
    name = Sql("p.oid::regprocedure::text")
    acl = "coalesce(p.proacl, acldefault('f', p.proowner))"
    revoked = said(f"REVOKE ALL ON {kind} ", name, f" FROM {', '.join(_roles(statement))};")
    text = Sql(f"{revoked} || {catalogue.granted(kind, name, acl, '', _of_roles(statement))}")
    return one(text, f"pg_proc p WHERE p.oid = {oid}")


def _type(name: Name, node: Node) -> Sql:
    acl = "coalesce(t.typacl, acldefault('T', t.typowner))"
    revoked = said(f"REVOKE ALL ON TYPE {name} FROM {', '.join(_roles(node))};")
    text = Sql(f"{revoked} || {catalogue.granted('TYPE', str(name), acl, '', _of_roles(node))}")
    return one(text, f"pg_type t WHERE t.oid = {name.regtype}")


def change_owner(_delta: Delta, node: Node) -> Change:
    """Give it to whoever had it."""
    kind = node.objectType.name
    if kind in _ROUTINES:
        oid, label = routines.oid_of(node.object), Sql("p.oid::regprocedure::text")
        text = said(
            f"ALTER {_ROUTINES[kind]} ", label, " OWNER TO ", Sql("quote_ident(pg_get_userbyid(p.proowner))"), ";"
        )
        return Change(undo=one(text, f"pg_proc p WHERE p.oid = {oid}"))
    if kind in {"OBJECT_TYPE", "OBJECT_DOMAIN"}:
        name = name_of(node.object)
        what = kind.removeprefix("OBJECT_")
        text = said(f"ALTER {what} {name} OWNER TO ", Sql("quote_ident(pg_get_userbyid(t.typowner))"), ";")
        return Change(undo=one(text, f"pg_type t WHERE t.oid = {name.regtype}"))
    if kind == "OBJECT_STATISTIC_EXT":
        name = name_of(node.object)
        text = said(f"ALTER STATISTICS {name} OWNER TO ", Sql("quote_ident(pg_get_userbyid(s.stxowner))"), ";")
        where = f"s.stxname = {literal(name.name)} AND s.stxnamespace = {name.namespace}"
        return Change(undo=one(text, f"pg_statistic_ext s WHERE {where}"))
    raise RefusedError(f"the owner of a {kind.removeprefix('OBJECT_').replace('_', ' ').lower()} is not derived")


def comment(_delta: Delta, statement: Statement, node: Node) -> Change:
    """Say of it what was said of it before, or nothing.

    Raises:
        RefusedError: It is about something of a kind that is not derived.
    """
    kind, named = node.objtype.name, node.object
    if kind in _OBJECTS:
        address = _address(_OBJECTS[kind], [*_schema(name_of(named)), name_of(named).name])
    elif kind in _PARTS:
        table = name_of(named[:-1])
        address = _address(_PARTS[kind], [*_schema(table), table.name, named[-1].sval])
    elif kind in _ROUTINES:
        address = f"(SELECT {catalogue.PROC}::oid AS classid, {routines.oid_of(named)}::oid AS objid, 0 AS objsubid) o"
    elif kind in {"OBJECT_TYPE", "OBJECT_DOMAIN"}:
        address = f"(SELECT {catalogue.TYPE}::oid AS classid, {name_of(named).regtype}::oid AS objid, 0 AS objsubid) o"
    elif kind == "OBJECT_DOMCONSTRAINT":
        domain, name = named
        address = (
            f"(SELECT {catalogue.CONSTRAINT}::oid AS classid, c.oid AS objid, 0 AS objsubid FROM pg_constraint c"
            f" WHERE c.contypid = {name_of(domain).regtype} AND c.conname = {literal(name.sval)}) o"
        )
    else:
        what = kind.removeprefix("OBJECT_").replace("_", " ").lower()
        raise RefusedError(f"a comment on a {what} is not derived")
    text = catalogue.comment_or_null(_commented(statement), "k.description")
    source = (
        f"{address} LEFT JOIN pg_description k"
        " ON k.objoid = o.objid AND k.classoid = o.classid AND k.objsubid = o.objsubid"
    )
    return Change(undo=one(text, source))


def _schema(name: Name) -> list[str]:
    return [name.schema] if name.schema else []


def _address(kind: str, names: list[str]) -> str:
    array = ", ".join(literal(one) for one in names)
    return f"pg_get_object_address('{kind}', ARRAY[{array}]::text[], ARRAY[]::text[]) o"


def _commented(statement: Statement) -> str:
    """Give what stands between COMMENT ON and the last IS."""
    tokens = statement.tokens
    last = max(place for place, token in enumerate(tokens) if token.kind is Kind.WORD and token.word == "IS")
    return statement.text[tokens[2].offset - statement.offset : tokens[last - 1].end - statement.offset]
