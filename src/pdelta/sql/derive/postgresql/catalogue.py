"""What a tenant's catalogue says about one object, as expressions of the statements that would bring it back.

Every function gives an expression, or what stands after FROM; none of them asks anything itself. OIDs are given as
expressions too.
"""

from typing import Final

from pdelta.sql.derive.postgresql.text import Sql, each, literal, one, said

CLASS: Final = "'pg_class'::regclass"
CONSTRAINT: Final = "'pg_constraint'::regclass"
PROC: Final = "'pg_proc'::regclass"
TYPE: Final = "'pg_type'::regclass"


def constraint_of(relation: str) -> str:
    """Give the condition that a constraint, called ``c``, belongs to a relation or points to it.

    No index of ``pg_constraint`` knows whereto a foreign key points; a database with thousands of tenants has tens of
    thousands of constraints.

    Args:
        relation: The expression of a table's OID, or of the index's that a foreign key needs, or ``ANY (array)``.
    """
    return (
        f"c.oid = ANY (ARRAY(SELECT dk.objid FROM pg_depend dk WHERE dk.refclassid = {CLASS}"
        f" AND dk.refobjid = {relation} AND dk.classid = {CONSTRAINT}))"
    )


def types_of(relation: str) -> str:
    """Give the array of the types that the rows of a relation have, alone and as arrays.

    ``pg_type`` has no index by relations.

    Args:
        relation: The expression of its OID, or ``ANY (array)``.
    """
    return (
        "ARRAY(SELECT unnest(ARRAY[tt.oid, tt.typarray]) FROM pg_class tr JOIN pg_type tt ON tt.oid = tr.reltype"
        f" WHERE tr.oid = {relation})"
    )


_ITEM: Final = "'(?:[^']|'')*'::character varying"
_LIST: Final = rf"\(ARRAY\[({_ITEM}(?:, {_ITEM})*)\]\)::text\[\]"
_BARE_LIST: Final = _LIST.replace(r"\(", "").replace(r"\)", "")


def exact(definition: str) -> Sql:
    """Give the expression of a definition in a form that the server reads as what it has written.

    A condition ``x IN ('a', 'b')`` on a ``varchar`` is written as a list that is cast to ``text[]``, and read as a list
    of casts: the condition is the same, its text is not. A cast in between keeps it.
    """
    bracketed = f"regexp_replace({definition}, {literal(_LIST)}, {literal(_KEPT)}, 'g')"
    return Sql(f"regexp_replace({bracketed}, {literal(_BARE_LIST)}, {literal(_KEPT)}, 'g')")


_KEPT: Final = r"((ARRAY[\1])::character varying[])::text[]"


def comment(on: str, catalogue: str, oid: str, subid: str = "0") -> Sql:
    """Give the expression of the COMMENT that an object has; nothing where it has none.

    Args:
        on: What stands between COMMENT ON and IS: text, or an expression.
        catalogue: The expression of the OID of the catalogue that the object is in.
        oid: Its own.
        subid: The number of the column, else 0.
    """
    return one(
        said("COMMENT ON ", on, " IS ", Sql("quote_literal(zk.description)"), ";"),
        f"pg_description zk WHERE zk.objoid = {oid} AND zk.classoid = {catalogue} AND zk.objsubid = {subid}",
    )


def comment_or_null(on: str, description: str) -> Sql:
    """Give the expression of the COMMENT with this description, and of its removal where that is NULL."""
    return said("COMMENT ON ", on, " IS ", Sql(f"coalesce(quote_literal({description}), 'NULL')"), ";")


def owner(kind: str, name: str, oid: str) -> Sql:
    """Give the expression of the OWNER TO that a recreated object needs; nothing where it is ours.

    Args:
        kind: TABLE, FUNCTION and so on.
        name: Its name: text, or an expression.
        oid: The expression of the owner's OID.
    """
    return Sql(
        f"CASE WHEN pg_get_userbyid({oid}) = current_user THEN ''"
        f" ELSE {said('ALTER ', kind, ' ', name, ' OWNER TO ', Sql(f'quote_ident(pg_get_userbyid({oid}))'), ';')} END"
    )


def grants(kind: str, name: str, acl: str, owner_oid: str, *, column: str = "") -> Sql:
    """Give the expression of the statements that give a recreated object the rights of this list.

    Nothing where the list is NULL: a new object has those of its kind.

    Args:
        kind: What stands after ON.
        name: Its name: text, or an expression.
        acl: The expression of the list.
        owner_oid: The expression of the owner's OID.
        column: The expression of the column's name that the rights are for.
    """
    revoked = said(
        "REVOKE ALL ON ", kind, " ", name, " FROM PUBLIC, ", Sql(f"quote_ident(pg_get_userbyid({owner_oid}))"), ";"
    )
    return Sql(
        f"CASE WHEN {acl} IS NULL THEN '' ELSE {NO_TEXT if column else revoked} ||"
        f" {granted(kind, name, acl, column)} END"
    )


NO_TEXT: Final = "''"


def granted(kind: str, name: str, acl: str, column: str = "", where: str = "true") -> Sql:
    """Give the expression of the GRANTs of a list of rights, one for each grantee and grant option."""
    what = Sql(
        "string_agg(z.privilege_type"
        + (f" || ' (' || {column} || ')'" if column else "")
        + ", ', ' ORDER BY z.privilege_type)"
    )
    to = Sql("CASE WHEN z.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(z.grantee)) END")
    option = Sql("CASE WHEN z.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END")
    text = said("GRANT ", what, " ON ", kind, " ", name, " TO ", to, option, ";")
    return Sql(
        "coalesce((SELECT string_agg(zz.text, '') FROM (SELECT "
        f"{text} AS text FROM aclexplode({acl}) z WHERE {where} GROUP BY z.grantee, z.is_grantable"
        " ORDER BY z.grantee, z.is_grantable) zz), '')"
    )


def options(array: str) -> Sql:
    """Give the expression of storage parameters as they stand in WITH (…), without the brackets."""
    return Sql(
        "(SELECT string_agg(quote_ident(zo.option_name) || ' = ' || quote_literal(zo.option_value), ', ')"
        f" FROM pg_options_to_table({array}) zo)"
    )


def column(relation: str, name: str) -> str:
    """Give the source of one column's row in ``pg_attribute``, called ``a``; no row where there is no such column."""
    return f"pg_attribute a WHERE a.attrelid = {relation} AND a.attname = {literal(name)} AND NOT a.attisdropped"


def column_exists(relation: str, name: str) -> str:
    """Give the condition that a relation has this column."""
    return f"EXISTS (SELECT FROM {column(relation, name)})"


def family(relation: str) -> str:
    """Give a source of a table and everything that inherits from it, called ``f``: ``oid`` and ``depth``."""
    return (
        f"(WITH RECURSIVE tree(oid, depth) AS (SELECT {relation}::oid, 0 WHERE {relation} IS NOT NULL"
        " UNION SELECT i.inhrelid, tree.depth + 1 FROM pg_inherits i JOIN tree ON i.inhparent = tree.oid)"
        " SELECT oid, max(depth) AS depth FROM tree GROUP BY oid) f"
    )


def of_each(name: str, query: str) -> str:
    """Give the join of a source with what is looked up for each of its rows, called by this name.

    The server takes a family of tables for a hundred or more, and would rather read a whole catalogue once.
    """
    return f"JOIN LATERAL ({query} OFFSET 0) {name} ON true"


def constraint(oid: str = "c.oid") -> Sql:
    """Give the expression of the statements that add a table's constraint again, with its index as it was.

    Args:
        oid: The expression of the constraint's OID; its row is called ``c``.
    """
    on = Sql("c.conrelid::regclass::text")
    name = Sql("quote_ident(c.conname)")
    index = "(SELECT zx.reloptions FROM pg_class zx WHERE zx.oid = c.conindid)"
    kind = Sql("CASE c.contype WHEN 'p' THEN 'PRIMARY KEY' ELSE 'UNIQUE' END")
    # The definition of a constraint lacks its index's storage parameters.
    from_index = said(
        exact("pg_get_indexdef(c.conindid)"),
        ";ALTER TABLE ",
        on,
        " ADD CONSTRAINT ",
        name,
        " ",
        kind,
        " USING INDEX ",
        name,
        Sql("CASE WHEN c.condeferrable THEN ' DEFERRABLE' ELSE '' END"),
        Sql("CASE WHEN c.condeferred THEN ' INITIALLY DEFERRED' ELSE '' END"),
        ";",
    )
    plain = said("ALTER TABLE ", on, " ADD CONSTRAINT ", name, " ", exact(f"pg_get_constraintdef({oid})"), ";")
    added = f"CASE WHEN c.contype IN ('p', 'u') AND {index} IS NOT NULL THEN {from_index} ELSE {plain} END"
    said_of_it = comment(said("CONSTRAINT ", name, " ON ", on), CONSTRAINT, oid)
    owned = f"CASE WHEN c.contype IN ('p', 'u', 'x') THEN {index_marks('c.conindid')} ELSE '' END"
    return Sql(f"({added}) || {said_of_it} || {owned}")


def index(oid: str) -> Sql:
    """Give the expression of the statements that create an index again."""
    return Sql(f"{exact(f'pg_get_indexdef({oid})')} || ';' || {index_marks(oid)}")


def index_marks(oid: str) -> Sql:
    """Give the expression of what is said of an index elsewhere: comment, clustering, replica identity, statistics."""
    name = Sql(f"{oid}::regclass::text")
    table = Sql("zi.indrelid::regclass::text")
    marks = one(
        Sql(
            f"CASE WHEN zi.indisclustered THEN {said('ALTER TABLE ', table, ' CLUSTER ON ', _bare(oid), ';')}"
            " ELSE '' END"
            " || CASE WHEN zi.indisreplident THEN "
            f"{said('ALTER TABLE ', table, ' REPLICA IDENTITY USING INDEX ', _bare(oid), ';')} ELSE '' END"
        ),
        f"pg_index zi WHERE zi.indexrelid = {oid}",
    )
    statistics = each(
        said(
            "ALTER INDEX ",
            name,
            " ALTER COLUMN ",
            Sql("zt.attnum::text"),
            " SET STATISTICS ",
            Sql("zt.attstattarget::text"),
            ";",
        ),
        f"pg_attribute zt WHERE zt.attrelid = {oid} AND zt.attstattarget >= 0",
        order="zt.attnum",
    )
    return Sql(f"{comment(said('INDEX ', name), CLASS, oid)} || {marks} || {statistics}")


def _bare(oid: str) -> Sql:
    return Sql(f"(SELECT quote_ident(zn.relname) FROM pg_class zn WHERE zn.oid = {oid})")


def trigger() -> Sql:
    """Give the expression of the statements that create a trigger again; its row is called ``g``."""
    on = Sql("g.tgrelid::regclass::text")
    return Sql(
        f"{exact('pg_get_triggerdef(g.oid, true)')} || ';' || {trigger_state()}"
        f" || {comment(said('TRIGGER ', Sql('quote_ident(g.tgname)'), ' ON ', on), _class('pg_trigger'), 'g.oid')}"
    )


def trigger_state(*, always: bool = False) -> Sql:
    """Give the expression of the statement that enables or disables a trigger as it is.

    Args:
        always: Also where it is as a new one would be.
    """
    text = said(
        "ALTER TABLE ONLY ",
        Sql("g.tgrelid::regclass::text"),
        " ",
        Sql(
            "CASE g.tgenabled WHEN 'D' THEN 'DISABLE' WHEN 'A' THEN 'ENABLE ALWAYS' WHEN 'R' THEN 'ENABLE"
            " REPLICA' ELSE 'ENABLE' END"
        ),
        " TRIGGER ",
        Sql("quote_ident(g.tgname)"),
        ";",
    )
    return text if always else Sql(f"CASE WHEN g.tgenabled = 'O' THEN '' ELSE {text} END")


def policy() -> Sql:
    """Give the expression of the statements that create a policy again; its row is called ``p``."""
    on, name = Sql("p.polrelid::regclass::text"), Sql("quote_ident(p.polname)")
    return Sql(
        str(
            said(
                "CREATE POLICY ",
                name,
                " ON ",
                on,
                Sql("CASE WHEN p.polpermissive THEN '' ELSE ' AS RESTRICTIVE' END"),
                " FOR ",
                Sql(
                    "CASE p.polcmd WHEN 'r' THEN 'SELECT' WHEN 'a' THEN 'INSERT' WHEN 'w' THEN 'UPDATE' WHEN 'd'"
                    " THEN 'DELETE' ELSE 'ALL' END"
                ),
                " TO ",
                Sql(
                    "(SELECT string_agg(CASE WHEN r.oid = 0 THEN 'PUBLIC' ELSE"
                    " quote_ident(pg_get_userbyid(r.oid)) END, ', ') FROM unnest(p.polroles) r(oid))"
                ),
                exact("coalesce(' USING (' || pg_get_expr(p.polqual, p.polrelid) || ')', '')"),
                exact("coalesce(' WITH CHECK (' || pg_get_expr(p.polwithcheck, p.polrelid) || ')', '')"),
                ";",
            )
        )
        + f" || {comment(said('POLICY ', name, ' ON ', on), _class('pg_policy'), 'p.oid')}"
    )


def _class(name: str) -> str:
    return f"'{name}'::regclass"


def statistics(name: str) -> Sql:
    """Give the expression of the statements that create extended statistics again; their row is called ``s``.

    Args:
        name: Theirs: text, or an expression.
    """
    target = said("ALTER STATISTICS ", name, " SET STATISTICS ", Sql("s.stxstattarget::text"), ";")
    return Sql(
        f"pg_get_statisticsobjdef(s.oid) || ';' || CASE WHEN s.stxstattarget >= 0 THEN {target} ELSE '' END"
        f" || {owner('STATISTICS', name, 's.stxowner')}"
        f" || {comment(said('STATISTICS ', name), _class('pg_statistic_ext'), 's.oid')}"
    )


def rule() -> Sql:
    """Give the expression of the statements that create a rule again; its row is called ``w``."""
    on, name = Sql("w.ev_class::regclass::text"), Sql("quote_ident(w.rulename)")
    state = said(
        "ALTER TABLE ",
        on,
        Sql("CASE w.ev_enabled WHEN 'D' THEN ' DISABLE' WHEN 'A' THEN ' ENABLE ALWAYS' ELSE ' ENABLE REPLICA' END"),
        " RULE ",
        name,
        ";",
    )
    return Sql(
        f"{exact('pg_get_ruledef(w.oid, true)')} || CASE WHEN w.ev_enabled = 'O' THEN '' ELSE {state} END"
        f" || {comment(said('RULE ', name, ' ON ', on), _class('pg_rewrite'), 'w.oid')}"
    )


def rule_named(relation: str, name: str) -> str:
    """Give the source of one rule's row, called ``w``."""
    return f"pg_rewrite w WHERE w.ev_class = {relation} AND w.rulename = {literal(name)}"
