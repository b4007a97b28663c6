"""What PostgreSQL's catalogue says of rights, where they are not what the server gives by itself."""

from typing import Final

from pdelta.databases.catalogue.postgresql_text import block, escaped, fact, name, role


def grants() -> str:
    """Give what was granted beyond the defaults, and what of them was revoked, by object and role.

    Few tables have the rights that everybody begins with and no others, so that entries are compared before they are
    taken apart.
    """
    whom = role("x.grantee", "n.tenant", "x.owner")
    label = f"x.label || ' ' || CASE kind WHEN 'grant' THEN 'to ' ELSE 'from ' END || {whom}"
    facts = (
        "CASE x.belongs WHEN '' THEN '' ELSE E'\\non: ' || x.belongs END",
        fact("role", whom),
        fact("privileges", "x.privileges"),
    )
    return f"""
SELECT x.ns, {block("x.kind", f"'on ' || {escaped(label)}", *facts)}
  FROM (
SELECT e.ns, e.belongs, e.label, e.owner, e.grantee, CASE WHEN e.given THEN 'grant' ELSE 'revoke' END AS kind,
       string_agg(e.privilege, ', ' ORDER BY e.privilege) AS privileges
  FROM (
SELECT o.ns, o.belongs, o.label, o.owner, g.grantee, bool_or(g.given) AS given,
       g.privilege_type || CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END AS privilege
  FROM ({_OBJECTS}) o
 CROSS JOIN LATERAL (
       SELECT true AS given, a.*
         FROM aclexplode((SELECT array_agg(i) FROM unnest(o.acl) i WHERE NOT i = ANY (o.usual))) a
       UNION ALL
       SELECT false, a.*
         FROM aclexplode((SELECT array_agg(i) FROM unnest(o.usual) i WHERE NOT i = ANY (o.acl))) a) g
 GROUP BY o.ns, o.belongs, o.label, o.owner, g.grantee, g.privilege_type, g.is_grantable
HAVING bool_and(g.given) OR NOT bool_or(g.given)) e
 GROUP BY e.ns, e.belongs, e.label, e.owner, e.grantee, e.given) x
  JOIN ns n ON n.oid = x.ns"""


_OBJECTS: Final = f"""
SELECT r.ns, r.line AS belongs, r.kind || ' ' || r.name AS label, r.relowner AS owner, r.relacl AS acl,
       acldefault(CASE r.relkind WHEN 'S' THEN 's'::"char" ELSE 'r'::"char" END, r.relowner) AS usual
  FROM rel r WHERE r.relacl IS NOT NULL AND r.relkind <> 'c'
UNION ALL
SELECT p.ns, p.line, p.kind || ' ' || p.name, p.proowner, p.proacl, acldefault('f', p.proowner)
  FROM proc p WHERE p.proacl IS NOT NULL
UNION ALL
SELECT n.oid, n.line || {name("t.typname")}, 'type ' || n.prefix || quote_ident(t.typname), t.typowner, t.typacl,
       acldefault('T', t.typowner)
  FROM typ t JOIN ns n ON n.oid = t.typnamespace WHERE t.typacl IS NOT NULL
UNION ALL
SELECT n.oid, '', CASE n.prefix WHEN '' THEN 'the schema' ELSE 'schema ' || quote_ident(n.nspname) END, n.nspowner,
       n.nspacl, acldefault('n', n.nspowner)
  FROM ns n WHERE n.nspacl IS NOT NULL"""


def default_privileges() -> str:
    """Give what objects made later will be granted."""
    what = (
        "CASE d.defaclobjtype WHEN 'r' THEN 'tables' WHEN 'S' THEN 'sequences' WHEN 'f' THEN 'functions' "
        "WHEN 'T' THEN 'types' ELSE 'others' END"
    )
    maker, whom = (role(oid, "n.tenant", "n.nspowner") for oid in ("d.defaclrole", "a.grantee"))
    where = "CASE n.prefix WHEN '' THEN '' ELSE 'in ' || quote_ident(n.nspname) || ' ' END"
    label = f"{where} || 'for ' || {maker} || ' on ' || {what} || ' to ' || {whom}"
    privileges = """
string_agg(a.privilege_type || CASE WHEN a.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END, ', '
           ORDER BY a.privilege_type, a.is_grantable)"""
    return f"""
SELECT x.ns, {block("'default privileges'", escaped("x.label"), fact("privileges", "x.privileges"))}
  FROM (SELECT n.oid AS ns, {label} AS label, {privileges} AS privileges
          FROM pg_default_acl d JOIN ns n ON n.oid = d.defaclnamespace CROSS JOIN LATERAL aclexplode(d.defaclacl) a
         GROUP BY 1, 2) x"""
