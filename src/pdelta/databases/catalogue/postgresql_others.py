"""What PostgreSQL's catalogue says of routines, types, rights and the rest, as SELECTs of lines.

They stand on the same tables as ``postgresql_tables``, and on ``proc``, the routines to be read.
"""

from typing import Final

from pdelta.databases.catalogue.postgresql_text import (
    Scope,
    block,
    choice,
    escaped,
    fact,
    flag,
    is_ours,
    name,
    own,
    owner,
    remarks,
    role,
    within,
)

EXTENDED: Final = """
SELECT classid, objid FROM pg_depend WHERE refclassid = 'pg_extension'::regclass AND deptype = 'e'"""
"""What belongs to extensions."""


INSIDE: Final = """
WITH d AS MATERIALIZED (
     SELECT classid, objid FROM pg_depend
      WHERE refclassid = 'pg_namespace'::regclass AND refobjid = ANY (ARRAY(SELECT oid FROM ns)))
SELECT classid, objid FROM d
UNION ALL
SELECT 'pg_class'::regclass, t.typrelid FROM pg_type t
 WHERE t.oid = ANY (ARRAY(SELECT objid FROM d WHERE classid = 'pg_type'::regclass)) AND t.typtype = 'c'
UNION ALL
SELECT 'pg_type'::regclass, c.reltype FROM pg_class c
 WHERE c.oid = ANY (ARRAY(SELECT objid FROM d WHERE classid = 'pg_class'::regclass))"""
"""What lies in few schemas: all that depends on them, the tables behind composite types, the types of tables' rows.

It has the objects of a schema by an index, as no other table of the catalogue does; only what the server came with is
not in it. Indexes depend on their tables, and arrays on what they are of, which all is found from there.
"""


_INTERNAL: Final = 12
_C: Final = 13
"""The OIDs of the two languages that every server has."""


def routines(scope: Scope) -> str:
    """Give the SELECT of ``proc``: functions, procedures and aggregates, with their names as they are written.

    Those that came with a type, such as the constructors of a range, go without saying.
    """
    arguments = within("n.path", "oidvectortypes(p.proargtypes)")
    return f"""
SELECT p.*, n.oid AS ns, n.prefix || quote_ident(p.proname) || '(' || p.arguments || ')' AS name,
       n.line || {escaped("quote_ident(p.proname) || '(' || p.arguments || ')'")} AS line,
       CASE p.prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' ELSE 'function' END AS kind
  FROM (SELECT p.*, {arguments} AS arguments
          FROM {scope.rows("pg_proc", "pronamespace")} p JOIN ns n ON n.oid = p.pronamespace
         WHERE {own("pg_proc", "p.oid")}
           AND NOT (p.prolang = {_INTERNAL} AND EXISTS (
               SELECT FROM pg_depend d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'i'))
        OFFSET 0) p
  JOIN ns n ON n.oid = p.pronamespace"""


def functions(scope: Scope) -> str:
    """Give functions and procedures. A body that is a string stands as its author wrote it."""
    body = "p.prosrc"
    facts = [
        fact("arguments", within("n.path", "pg_get_function_arguments(p.oid)")),
        fact("returns", within("n.path", "pg_get_function_result(p.oid)")),
        fact("language", "(SELECT quote_ident(l.lanname) FROM pg_language l WHERE l.oid = p.prolang)"),
        flag("window", "p.prokind = 'w'"),
        choice("volatility", "p.provolatile", i="immutable", s="stable"),
        flag("strict", "p.proisstrict"),
        flag("security definer", "p.prosecdef"),
        flag("leakproof", "p.proleakproof"),
        choice("parallel", "p.proparallel", s="safe", r="restricted"),
        fact(
            "cost",
            "p.procost::text",
            when=f"p.procost <> CASE WHEN p.prolang IN ({_INTERNAL}, {_C}) THEN 1 ELSE 100 END",
        ),
        fact("rows", "p.prorows::text", when="p.proretset AND p.prorows <> 1000"),
        fact("support", within("n.path", "p.prosupport::regproc::text"), when="p.prosupport <> 0"),
        fact(
            "transforms",
            within("n.path", "array_to_string(p.protrftypes::regtype[], ', ')"),
            when="p.protrftypes IS NOT NULL",
        ),
        fact("settings", "array_to_string(p.proconfig, E'\\n')"),
        fact("library", "p.probin"),
    ]
    if scope.version >= 140000:
        facts.append(
            fact("sql body", within("n.path", "pg_get_function_sqlbody(p.oid)"), when="p.prosqlbody IS NOT NULL")
        )
        facts.append(fact("body", body, when="p.prosqlbody IS NULL"))
    else:
        facts.append(fact("body", body))
    return f"""
SELECT p.ns, {block("p.kind", "p.line", *facts, owner("p.proowner"), fact("comment", "note.description"))}
  FROM proc p JOIN ns n ON n.oid = p.ns
  {remarks("pg_proc", "p.oid")}
 WHERE p.prokind <> 'a'"""


def aggregates() -> str:
    """Give aggregates."""
    functions = {
        "state function": "aggtransfn",
        "final function": "aggfinalfn",
        "combine function": "aggcombinefn",
        "serial function": "aggserialfn",
        "deserial function": "aggdeserialfn",
        "moving state function": "aggmtransfn",
        "moving inverse function": "aggminvtransfn",
        "moving final function": "aggmfinalfn",
    }
    facts = (
        fact("arguments", within("n.path", "pg_get_function_arguments(p.oid)")),
        fact("returns", within("n.path", "pg_get_function_result(p.oid)")),
        fact("state type", within("n.path", "format_type(a.aggtranstype, NULL)")),
        *(
            fact(key, within("n.path", f"a.{column}::regproc::text"), when=f"a.{column} <> 0")
            for key, column in functions.items()
        ),
        fact("moving state type", within("n.path", "format_type(a.aggmtranstype, NULL)"), when="a.aggmtranstype <> 0"),
        fact("initial value", "a.agginitval"),
        fact("moving initial value", "a.aggminitval"),
        fact("sort operator", within("n.path", "a.aggsortop::regoperator::text"), when="a.aggsortop <> 0"),
        fact(
            "details",
            "concat_ws(' ', a.aggkind, a.aggnumdirectargs, a.aggfinalextra, a.aggmfinalextra, a.aggfinalmodify, "
            "a.aggmfinalmodify, a.aggtransspace, a.aggmtransspace, p.proparallel)",
        ),
        owner("p.proowner"),
        fact("comment", "note.description"),
    )
    return f"""
SELECT p.ns, {block("p.kind", "p.line", *facts)}
  FROM proc p JOIN ns n ON n.oid = p.ns JOIN pg_aggregate a ON a.aggfnoid = p.oid
  {remarks("pg_proc", "p.oid")}"""


_IS_TOLD: Final = "(typtype IN ('e', 'd', 'r') OR (typtype = 'b' AND typcategory <> 'A'))"


def all_types(scope: Scope) -> str:
    """Give the SELECT of ``typ``: the types of which there is anything to say."""
    return f"""
SELECT t.*, {_IS_TOLD} AS is_told
  FROM {scope.rows("pg_type", "typnamespace", f"({_IS_TOLD} OR typacl IS NOT NULL)")} t
 WHERE NOT {is_ours("t.typname", parked=scope.parked)} AND {own("pg_type", "t.oid")}"""


def types(scope: Scope) -> str:
    """Give enums, domains, ranges and base types; what a composite type is made of are its columns."""
    labels = """
SELECT string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid"""
    base = (
        "concat_ws(' ', t.typlen, t.typbyval, t.typcategory, t.typispreferred, t.typdelim, t.typalign, t.typstorage, "
        + ", ".join(
            f"t.{column}::regproc"
            for column in ("typinput", "typoutput", "typreceive", "typsend", "typmodin", "typmodout")
        )
        + ")"
    )
    multirange = (
        fact("multirange", within("n.path", "g.rngmultitypid::regtype::text"), when="g.rngmultitypid IS NOT NULL")
        if scope.version >= 140000
        else "''"
    )
    facts = (
        fact("labels", f"({labels})", when="t.typtype = 'e'"),
        fact("type", within("n.path", "format_type(t.typbasetype, t.typtypmod)"), when="t.typtype = 'd'"),
        fact(
            "collation",
            within("n.path", "t.typcollation::regcollation::text"),
            when="t.typtype = 'd' AND t.typcollation <> b.typcollation",
        ),
        flag("not null", "t.typnotnull"),
        fact(
            "default",
            within("n.path", "coalesce(pg_get_expr(t.typdefaultbin, 0), t.typdefault)"),
            when="t.typdefault IS NOT NULL",
        ),
        fact("subtype", within("n.path", "g.rngsubtype::regtype::text"), when="g.rngsubtype IS NOT NULL"),
        fact("subtype collation", within("n.path", "g.rngcollation::regcollation::text"), when="g.rngcollation <> 0"),
        fact(
            "subtype operators",
            "(SELECT quote_ident(q.opcname) FROM pg_opclass q WHERE q.oid = g.rngsubopc)",
            when="g.rngsubopc IS NOT NULL",
        ),
        fact(
            "functions",
            within("n.path", "concat_ws(' ', g.rngcanonical::regproc, g.rngsubdiff::regproc)"),
            when="g.rngsubtype IS NOT NULL",
        ),
        multirange,
        fact("definition", within("n.path", base), when="t.typtype = 'b'"),
        owner("t.typowner"),
        fact("comment", "note.description"),
    )
    checks = (fact("of", "'domain'"), fact("definition", "c.text"), fact("comment", "note.description"))
    return f"""
SELECT n.oid, {block("CASE t.typtype WHEN 'd' THEN 'domain' ELSE 'type' END", f"n.line || {name('t.typname')}", *facts)}
  FROM typ t JOIN ns n ON n.oid = t.typnamespace
  LEFT JOIN pg_range g ON g.rngtypid = t.oid
  LEFT JOIN pg_type b ON b.oid = t.typbasetype
  {remarks("pg_type", "t.oid")}
 WHERE t.is_told
UNION ALL
SELECT c.ns, {block("'constraint'", f"c.line || '.' || {name('c.conname')}", *checks)}
  FROM (SELECT c.*, n.oid AS ns, n.line || {name("t.typname")} AS line,
               {within("n.path", "pg_get_constraintdef(c.oid)")} AS text
          FROM pg_constraint c JOIN typ t ON t.oid = c.contypid JOIN ns n ON n.oid = t.typnamespace
         WHERE c.contype = 'c' OFFSET 0) c
  {remarks("pg_constraint", "c.oid")}"""


def policies() -> str:
    """Give policies of row security."""
    roles = f"""
SELECT string_agg(x, ', ' ORDER BY x COLLATE "C")
  FROM (SELECT {role("o", "n.tenant", "r.relowner")} AS x FROM unnest(p.polroles) AS o) y"""
    facts = (
        choice("for", "p.polcmd", r="SELECT", a="INSERT", w="UPDATE", d="DELETE", **{"*": "ALL"}),
        flag("restrictive", "NOT p.polpermissive"),
        fact("roles", f"({roles})"),
        fact("using", within("n.path", "pg_get_expr(p.polqual, p.polrelid)"), when="p.polqual IS NOT NULL"),
        fact(
            "with check", within("n.path", "pg_get_expr(p.polwithcheck, p.polrelid)"), when="p.polwithcheck IS NOT NULL"
        ),
        fact("comment", "note.description"),
    )
    return f"""
SELECT r.ns, {block("'policy'", f"r.line || '.' || {name('p.polname')}", *facts)}
  FROM pg_policy p JOIN rel r ON r.oid = p.polrelid JOIN ns n ON n.oid = r.ns
  {remarks("pg_policy", "p.oid")}"""


def rules() -> str:
    """Give rules, but those that make a view."""
    facts = (
        fact("definition", within("n.path", "rtrim(pg_get_ruledef(w.oid, true), ';')")),
        choice("state", "w.ev_enabled", D="disabled", R="replica", A="always"),
        fact("comment", "note.description"),
    )
    return f"""
SELECT r.ns, {block("'rule'", f"r.line || '.' || {name('w.rulename')}", *facts)}
  FROM pg_rewrite w JOIN rel r ON r.oid = w.ev_class JOIN ns n ON n.oid = r.ns
  {remarks("pg_rewrite", "w.oid")}
 WHERE w.rulename <> '_RETURN'"""


def statistics() -> str:
    """Give extended statistics."""
    # The server writes the schema before the name whatever the search path is; that much is cut away.
    text = "substr(pg_get_statisticsobjdef(s.oid), length('CREATE STATISTICS ' || quote_ident(x.nspname) || '.') + 1)"
    facts = (
        fact("on", "r.name"),
        fact("definition", within("n.path", f"'CREATE STATISTICS ' || {text}")),
        fact("target", "s.stxstattarget::text", when="s.stxstattarget >= 0"),
        owner("s.stxowner"),
        fact("comment", "note.description"),
    )
    return f"""
SELECT n.oid, {block("'statistics'", f"n.line || {name('s.stxname')}", *facts)}
  FROM pg_statistic_ext s JOIN ns n ON n.oid = s.stxnamespace JOIN pg_namespace x ON x.oid = n.oid
  JOIN rel r ON r.oid = s.stxrelid
  {remarks("pg_statistic_ext", "s.oid")}"""


def extensions() -> str:
    """Give the extensions whose objects lie in these schemas; the objects go without saying."""
    facts = (fact("version", "e.extversion"),)
    return f"""
SELECT n.oid, {block("'extension'", name("e.extname"), *facts)}
  FROM pg_extension e JOIN ns n ON n.oid = e.extnamespace"""


def schemas() -> str:
    """Give the schemas themselves; the tenant's own has no name."""
    named = f"CASE WHEN n.prefix = '' THEN '' ELSE {name('n.nspname')} END"
    facts = (
        fact("owner", role("n.nspowner", "n.tenant", "0"), when="n.prefix <> ''"),
        fact("comment", "note.description"),
    )
    return f"""
SELECT n.oid, {block("'schema'", named, *facts)} FROM ns n {remarks("pg_namespace", "n.oid")}"""
