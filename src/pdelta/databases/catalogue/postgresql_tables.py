"""What PostgreSQL's catalogue says of tables, views and sequences, and of what hangs on them, as SELECTs of lines.

Each gives a schema's OID and the text of one object. They stand on what ``postgresql`` puts before them: ``ns``, the
schemas to be read; ``ext``, what belongs to an extension; and of the SELECTs here ``rel``, ``tab`` and ``idx``.
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
    is_plain,
    literal,
    name,
    options,
    own,
    owner,
    remarks,
    role,
    unless,
    within,
)
from pdelta.sql.derive.kept import PARKED

_MENTIONS_PARKED: Final = literal(f"%{PARKED}%".replace("_", r"\_"))
_STATES: Final = {"D": "disabled", "R": "replica", "A": "always"}
_BTREE: Final = 403
"""The OID of the access method, which every server has."""
_HEAP: Final = 2
_TEXT: Final = 25
_VARCHAR: Final = 1043
_EXTENDED: Final = "17, 25, 114, 1042, 1043, 3802"
"""Types whose values are stored as ``extended`` by themselves: bytea, text, json, bpchar, varchar, jsonb."""
_STANDARD: Final = "16, 20, 21, 23, 700, 701, 1042, 1043, 1083, 1114, 1184, 1186, 1266, 1700"
"""Types that are written with their names of the SQL standard, whatever the search path is."""
_WRITTEN_KEYS: Final = 3
_NEXT_COLUMN: Final = r"E'\n\ncolumn'"


def relations(scope: Scope) -> str:
    """Give the SELECT of ``rel``: the relations to be read, with their names as they are written."""
    kinds = "relkind IN ('r', 'p', 'v', 'm', 'f', 'S', 'c')"
    return f"""
SELECT c.oid, n.oid AS ns, c.relkind, n.prefix || quote_ident(c.relname) AS name, n.line || {name("c.relname")} AS line,
       CASE c.relkind WHEN 'r' THEN 'table' WHEN 'p' THEN 'table' WHEN 'v' THEN 'view' WHEN 'S' THEN 'sequence'
            WHEN 'm' THEN 'materialized view' WHEN 'f' THEN 'foreign table' ELSE 'type' END AS kind,
       c.relowner, c.relacl, c.relpersistence, c.relreplident, c.relam, c.reloptions, c.reloftype, c.reltoastrelid,
       c.relrowsecurity, c.relforcerowsecurity, c.relispartition, c.relpartbound
  FROM {scope.rows("pg_class", "relnamespace", kinds)} c JOIN ns n ON n.oid = c.relnamespace
 WHERE NOT {is_ours("c.relname", parked=scope.parked)}
   AND {own("pg_class", "c.oid")}
   AND NOT (c.relkind = 'S' AND EXISTS (
       SELECT FROM pg_depend d JOIN pg_class t ON t.oid = d.refobjid
        WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.refclassid = 'pg_class'::regclass
          AND d.deptype IN ('a', 'i') AND {is_ours("t.relname", parked=scope.parked)}))"""


def tables(scope: Scope) -> str:
    """Give the SELECT of ``tab``: tables, views and composite types, each with its columns, and these as arrays.

    What is about one table is gathered before the columns are looked up by their index: in their order, without a look
    at the columns of everything that is no table.
    """
    parents = "SELECT string_agg(p::regclass::text, ', ' ORDER BY i) FROM unnest(h.parents) WITH ORDINALITY AS o(p, i)"
    server = "SELECT quote_ident(s.srvname) FROM pg_foreign_server s WHERE s.oid = f.ftserver"
    method = "SELECT quote_ident(a.amname) FROM pg_am a WHERE a.oid = r.relam"
    facts = (
        owner("r.relowner"),
        flag("unlogged", "r.relpersistence = 'u'"),
        fact("partition by", within("n.path", "pg_get_partkeydef(r.oid)"), when="r.relkind = 'p'"),
        fact("of type", within("n.path", "r.reloftype::regtype::text"), when="r.reloftype <> 0"),
        fact("parents", within("n.path", f"({parents})"), when="h.parents IS NOT NULL"),
        fact("bounds", within("n.path", "pg_get_expr(r.relpartbound, r.oid)"), when="r.relispartition"),
        fact("definition", within("n.path", "rtrim(pg_get_viewdef(r.oid), ';')"), when="r.relkind IN ('v', 'm')"),
        flag("under row security", "r.relrowsecurity"),
        flag("under forced row security", "r.relforcerowsecurity"),
        choice("replica identity", "CASE WHEN r.relkind IN ('r', 'p') THEN r.relreplident END", n="nothing", f="full"),
        fact("access method", f"({method})", when=f"r.relam NOT IN (0, {_HEAP})"),
        options("options", "r.reloptions"),
        options("toast options", "t.reloptions"),
        fact("server", f"({server})", when="f.ftserver IS NOT NULL"),
        options("server options", "f.ftoptions"),
    )
    usual = (
        "r.relkind = 'r' AND r.relowner = n.nspowner AND r.relpersistence = 'p' AND r.reloftype = 0 "
        "AND h.parents IS NULL "
        "AND NOT r.relispartition AND NOT r.relrowsecurity AND NOT r.relforcerowsecurity AND r.relreplident = 'd' "
        f"AND r.relam = {_HEAP} AND r.reloptions IS NULL AND t.reloptions IS NULL"
    )
    return f"""
SELECT r.oid, r.ns, r.name, r.line, a.numbers, a.names, a.types, a.collations,
       {block("r.kind", "r.line", unless(usual, *facts), fact("comment", "k.own"))} || coalesce(a.text, '') AS text
  FROM rel r JOIN ns n ON n.oid = r.ns
  LEFT JOIN pg_class t ON t.oid = r.reltoastrelid AND t.relkind = 't' AND t.reloptions IS NOT NULL
  LEFT JOIN pg_foreign_table f ON f.ftrelid = r.oid
  {_by_table(_PARENTS, "h", "inhrelid", scope)}
  {_by_table(_REMARKS, "k", "objoid", scope)}
 CROSS JOIN LATERAL ({_columns(scope)}) a
 WHERE r.relkind <> 'S'"""


# An expression without columns needs no table, and then none is opened.
_DEFAULT: Final = f"""
SELECT {
    within("n.path", "pg_get_expr(d.adbin, CASE WHEN strpos(d.adbin::text, '{VAR :') > 0 THEN r.oid ELSE 0 END)")
} FROM pg_attrdef d WHERE d.adrelid = r.oid AND d.adnum = a.attnum"""


_PARENTS: Final = "array_agg(inhparent ORDER BY inhseqno) AS parents FROM pg_inherits WHERE true"
_REMARKS: Final = """
max(description) FILTER (WHERE objsubid = 0) AS own, array_agg(objsubid) AS numbers, array_agg(description) AS texts
  FROM pg_description WHERE classoid = 'pg_class'::regclass"""


def _joined(scope: Scope) -> str:
    """Give the join with a WITH of which the planner does not know how many rows it has.

    FULL can be no nested loop; what has no row on the left goes away behind it. Where there is none anyway, LEFT lets
    the smaller side be hashed.
    """
    return "FULL JOIN" if scope.few else "LEFT JOIN"


def _by_table(gathered: str, label: str, column: str, scope: Scope) -> str:
    """Give the join of ``r`` with what is gathered about each table: of one after the other, or of all at once."""
    if scope.few:
        return f"LEFT JOIN LATERAL (SELECT {gathered} AND {column} = r.oid) {label} ON true"
    return f"LEFT JOIN (SELECT {column}, {gathered} GROUP BY {column}) {label} ON {label}.{column} = r.oid"


def _columns(scope: Scope) -> str:
    """Give the SELECT of one text for all columns of ``r``, in their order."""
    text = f"({_DEFAULT})"
    kind = "SELECT {} FROM pg_type t WHERE t.oid = a.atttypid"
    collation = within("n.path", "a.attcollation::regcollation::text")
    storage = f"({kind.format('CASE WHEN a.attstorage <> t.typstorage THEN a.attstorage END')})"
    rights = f"""
SELECT string_agg(privilege, ', ' ORDER BY privilege COLLATE "C")
  FROM (SELECT g.privilege_type || CASE WHEN g.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END || ' to '
               || {role("g.grantee", "n.tenant", "r.relowner")} AS privilege FROM aclexplode(a.attacl) g) g"""
    seldom = (
        fact("collation", f"({kind.format(f'CASE WHEN a.attcollation <> t.typcollation THEN {collation} END')})"),
        fact("generated", text, when="a.attgenerated = 's'"),
        fact("generated when read", text, when="a.attgenerated = 'v'"),
        choice("storage", storage, p="plain", e="external", m="main", x="extended"),
        choice("compression", "a.attcompression", p="pglz", l="lz4") if scope.version >= 140000 else "''",
        fact("statistics", "a.attstattarget::text", when="a.attstattarget >= 0"),
        options("options", "a.attoptions"),
        options("server options", "a.attfdwoptions"),
        _inherited("a.attinhcount", "a.attislocal"),
        fact("grants", f"({rights})", when="a.attacl IS NOT NULL AND a.attacl <> '{}'"),
    )
    usual = (
        f"(a.attlen > 0 OR (a.attstorage = 'x' AND a.atttypid IN ({_EXTENDED}))) AND a.atttypid < 16384 "
        "AND a.attcollation IN (0, 100) AND a.attgenerated = '' AND coalesce(a.attstattarget, -1) < 0 "
        "AND a.attoptions IS NULL AND a.attfdwoptions IS NULL AND a.attinhcount = 0 AND a.attacl IS NULL"
        + (" AND a.attcompression = ''" if scope.version >= 140000 else "")
    )
    written = "format_type(a.atttypid, a.atttypmod)"
    asked = escaped(within("n.path", written))
    kind_of = f"CASE WHEN a.atttypid IN ({_STANDARD}) THEN {written} ELSE {asked} END"
    facts = (
        rf"E'\ntype: ' || {kind_of}",
        flag("not null", "a.attnotnull"),
        choice("identity", "a.attidentity", a="always", d="by default"),
        fact("default", text, when="a.atthasdef AND a.attgenerated = ''"),
        unless(usual, *seldom),
        fact("comment", "k.texts[array_position(k.numbers, a.attnum::integer)]"),
    )
    return f"""
SELECT string_agg({block(_NEXT_COLUMN, f"r.line || '.' || {name('a.attname')}", *facts)}, '') AS text,
       array_agg(a.attnum) AS numbers, array_agg(a.attname) AS names, array_agg(a.atttypid) AS types,
       array_agg(a.attcollation) AS collations
  FROM (SELECT * FROM pg_attribute a
         WHERE a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
           AND {is_plain("a.attname", parked=scope.parked)}
         ORDER BY a.attnum OFFSET 0) a"""


def keyed(scope: Scope) -> str:
    """Give the SELECT of ``idx``: each index with its keys as they are written, where they are plain ones.

    ``pg_get_indexdef`` and ``pg_get_constraintdef`` look everything up by themselves, for up to 24 µs an index which
    the session has not read yet. A B-tree on few columns is written here in the same words, for a third of that.
    """
    keys = " || ".join(
        _key(at) if at == 0 else f"CASE WHEN i.indnatts > {at} THEN ', ' || {_key(at)} ELSE '' END"
        for at in range(_WRITTEN_KEYS)
    )
    # An index is where its table is.
    classes = "pg_class" if scope.few else scope.rows("pg_class", "relnamespace", "relkind IN ('i', 'I')")
    distinct = "AND NOT i.indnullsnotdistinct" if scope.version >= 150000 else ""
    plain = f"""
i.indexprs IS NULL AND i.indpred IS NULL AND i.indnkeyatts = i.indnatts AND i.indnatts <= {_WRITTEN_KEYS} {distinct}
 AND c.relkind = 'i' AND c.relam = {_BTREE} AND c.reloptions IS NULL"""
    return f"""
SELECT i.indexrelid, i.indisunique, i.indisvalid, i.indisclustered, i.indisreplident,
       i.indexprs IS NOT NULL AS computed, r.ns, r.name, r.line, c.relname, c.reloptions, p.oid AS of,
       CASE WHEN {plain} THEN {keys} END AS keys
  FROM pg_index i JOIN tab r ON r.oid = i.indrelid
  JOIN {classes} c ON c.oid = i.indexrelid
  LEFT JOIN pg_constraint p ON p.conrelid = i.indrelid AND p.conindid = i.indexrelid AND p.contype IN ('p', 'u', 'x')"""


def _key(at: int) -> str:
    """Give the name of a column in an index; NULL where more must be said of it."""
    place = f"array_position(r.numbers, i.indkey[{at}])"
    return f"""
CASE WHEN i.indoption[{at}] = 0 AND i.indcollation[{at}] IN (0, r.collations[{place}])
      AND (r.types[{place}], i.indclass[{at}]) IN (
          SELECT q.opcintype, q.oid FROM pg_opclass q WHERE q.opcdefault AND q.opcmethod = {_BTREE}
          UNION ALL
          SELECT {_VARCHAR}, q.oid FROM pg_opclass q
           WHERE q.opcdefault AND q.opcmethod = {_BTREE} AND q.opcintype = {_TEXT})
     THEN quote_ident(r.names[{place}]) END"""


def constraints(scope: Scope) -> str:
    """Give the constraints of tables; NOT NULL is the column's."""
    held = f"""
SELECT c.*, r.ns, r.line, i.keys
  FROM (pg_constraint c JOIN rel r ON r.oid = c.conrelid AND c.contype IN ('p', 'u', 'f', 'c', 'x'))
  {_joined(scope)} idx i ON i.of = c.oid OFFSET 0"""
    plain = "c.keys IS NOT NULL AND NOT c.condeferrable"
    if scope.version >= 180000:
        plain += " AND NOT c.conperiod"
    text = f"""
CASE WHEN c.contype = 'p' AND {plain} THEN 'PRIMARY KEY (' || c.keys || ')'
     WHEN c.contype = 'u' AND {plain} THEN 'UNIQUE (' || c.keys || ')'
     ELSE {within("n.path", "pg_get_constraintdef(c.oid)")} END"""
    facts = (
        fact("definition", "c.text"),
        _inherited("c.coninhcount", "c.conislocal"),
        fact("comment", "note.description"),
    )
    return f"""
SELECT c.ns, {block("'constraint'", f"c.line || '.' || {name('c.conname')}", *facts)}
  FROM (SELECT c.oid, c.conname, c.coninhcount, c.conislocal, c.ns, c.line, {text} AS text
          FROM ({held}) c JOIN ns n ON n.oid = c.ns OFFSET 0) c
  {remarks("pg_constraint", "c.oid")}
 WHERE {_visible("c.conname", "c.text", scope)}"""


def indexes(scope: Scope) -> str:
    """Give indexes; one that a constraint made has only what the constraint does not say."""
    written = """
CASE WHEN i.indisunique THEN 'CREATE UNIQUE INDEX ' ELSE 'CREATE INDEX ' END || quote_ident(i.relname)
 || ' ON ' || i.name || ' USING btree (' || i.keys || ')'"""
    asked = within("n.path", "pg_get_indexdef(i.indexrelid, 0, true)")
    definition = f"CASE WHEN i.of IS NULL THEN CASE WHEN i.keys IS NOT NULL THEN {written} ELSE {asked} END END"
    kind = "CASE WHEN i.of IS NULL THEN 'index' ELSE 'settings of index' END"
    statistics = """
SELECT string_agg(s.attnum || ' ' || s.attstattarget, ', ' ORDER BY s.attnum) FROM pg_attribute s
 WHERE s.attrelid = i.indexrelid AND s.attstattarget >= 0"""
    facts = (
        fact("on", "i.name"),
        fact("definition", "i.text"),
        flag("invalid", "NOT i.indisvalid"),
        flag("clustered", "i.indisclustered"),
        flag("replica identity", "i.indisreplident"),
        options("options", "i.reloptions", when="i.text IS NULL"),
        fact("statistics", f"({statistics})", when="i.computed"),
        fact("parent index", within("n.path", "h.inhparent::regclass::text"), when="h.inhparent IS NOT NULL"),
        fact("comment", "note.description"),
    )
    return f"""
SELECT i.ns, {block(kind, f"n.line || {name('i.relname')}", *facts)}
  FROM (SELECT i.*, {definition} AS text FROM idx i JOIN ns n ON n.oid = i.ns OFFSET 0) i
  JOIN ns n ON n.oid = i.ns
  LEFT JOIN pg_inherits h ON h.inhrelid = i.indexrelid
  {remarks("pg_class", "i.indexrelid")}
 WHERE {_visible("i.relname", "coalesce(i.text, '')", scope)}
   AND (i.of IS NULL OR NOT i.indisvalid OR i.indisclustered OR i.indisreplident OR i.reloptions IS NOT NULL
        OR note.description IS NOT NULL)"""


def sequences(scope: Scope) -> str:
    """Give sequences without the value that they have come to."""
    column = "t.name || '.' || quote_ident(t.names[array_position(t.numbers, d.refobjsubid::smallint)])"
    usual = (
        "s.seqstart = 1 AND s.seqincrement = 1 AND s.seqmin = 1 AND s.seqcache = 1 AND NOT s.seqcycle "
        "AND s.seqtypid = {} AND s.seqmax = {}"
    )
    usually = "".join(
        f" WHEN {usual.format(f'{kind!r}::regtype', most)} "
        f"THEN 'AS {kind} START WITH 1 INCREMENT BY 1 MINVALUE 1 MAXVALUE {most} CACHE 1'"
        for kind, most in (("bigint", 2**63 - 1), ("integer", 2**31 - 1))
    )
    made = f"""
CASE{usually} ELSE format('AS %s START WITH %s INCREMENT BY %s MINVALUE %s MAXVALUE %s CACHE %s%s',
                          format_type(s.seqtypid, NULL), s.seqstart, s.seqincrement, s.seqmin, s.seqmax,
                          s.seqcache, CASE WHEN s.seqcycle THEN ' CYCLE' ELSE '' END) END"""
    facts = (
        fact("definition", made),
        fact("owning column", "s.of", when="s.deptype = 'a'"),
        fact("identity column", "s.of", when="s.deptype = 'i'"),
        flag("unlogged", "s.relpersistence = 'u'"),
        owner("s.relowner"),
        fact("comment", "note.description"),
    )
    return f"""
SELECT s.ns, {block("'sequence'", "s.line", *facts)}
  FROM (SELECT s.*, r.ns, r.line, r.relpersistence, r.relowner, d.deptype, {column} AS of
          FROM (pg_sequence s JOIN rel r ON r.oid = s.seqrelid
                LEFT JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = s.seqrelid AND d.objsubid = 0
                                     AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i'))
          {_joined(scope)} tab t ON t.oid = d.refobjid OFFSET 0) s
  JOIN ns n ON n.oid = s.ns
  {remarks("pg_class", "s.seqrelid")}"""


def triggers(scope: Scope) -> str:
    """Give triggers; those that keep a foreign key only where somebody switched them."""
    facts = (
        fact("definition", "t.text"),
        choice("state", "t.tgenabled", **_STATES),
        flag("from the partitioned table", "t.tgparentid <> 0"),
        fact("comment", "note.description"),
    )
    switched = (fact("state", f"string_agg(DISTINCT {_state('t.tgenabled')}, ', ')"),)
    return f"""
SELECT t.ns, {block("'trigger'", f"t.line || '.' || {name('t.tgname')}", *facts)}
  FROM (SELECT t.*, r.ns, r.line, {within("n.path", "pg_get_triggerdef(t.oid, true)")} AS text
          FROM pg_trigger t JOIN rel r ON r.oid = t.tgrelid JOIN ns n ON n.oid = r.ns
         WHERE NOT t.tgisinternal OR (t.tgparentid <> 0 AND t.tgconstraint = 0) OFFSET 0) t
  {remarks("pg_trigger", "t.oid")}
 WHERE {_visible("t.tgname", "t.text", scope)}
UNION ALL
SELECT r.ns, {block("'switched triggers of constraint'", f"r.line || '.' || {name('c.conname')}", *switched)}
  FROM pg_trigger t JOIN rel r ON r.oid = t.tgrelid JOIN pg_constraint c ON c.oid = t.tgconstraint
 WHERE t.tgisinternal AND t.tgenabled <> 'O' GROUP BY r.ns, r.line, c.conname"""


def _state(column: str) -> str:
    cases = " ".join(f"WHEN '{letter}' THEN '{word}'" for letter, word in _STATES.items())
    return f"CASE {column} {cases} END"


def _inherited(count: str, local: str) -> str:
    also = r"E'\norigin: inherited, and its own'"
    return rf"CASE WHEN {count} = 0 THEN '' WHEN {local} THEN {also} ELSE E'\norigin: inherited' END"


def _visible(named: str, text: str, scope: Scope) -> str:
    """Give the condition that something is neither parked nor about what is."""
    if scope.parked:
        return "true"
    return f"{is_plain(named, parked=False)} AND {text} NOT LIKE {_MENTIONS_PARKED}"
