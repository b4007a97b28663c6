"""What takes back a CREATE: the DROP, unless what it would have created was there before."""

from pdelta.sql.derive.postgresql import catalogue
from pdelta.sql.derive.postgresql.change import Change, Delta, Fresh, loss_guard, made_just_now, plain_loss_guard
from pdelta.sql.derive.postgresql.text import Name, Node, Sql, identifier, literal, name_of, one, said, when
from pdelta.sql.derive.result import RefusedError

_OUTSIDE = "it belongs to the database, and not to the tenant"
_ONCE = "give the delta scope=once, or write the reverse"


def _is_free(name: Name) -> str:
    """Give the condition that nothing in the schema has this name, as a table, an index, a view or a sequence."""
    taken = f"x.relname = {literal(name.name)} AND x.relnamespace = {name.namespace}"
    return f"NOT EXISTS (SELECT FROM pg_class x WHERE {taken})"


def create_table(_delta: Delta, node: Node) -> Change:
    """Drop it; rows that came in since are counted."""
    return _table(node.relation, filled=False, missing_ok=bool(node.if_not_exists))


def create_table_as(_delta: Delta, node: Node) -> Change:
    """Drop it; rows that are not those of the query are counted."""
    if node.objtype.name == "OBJECT_MATVIEW":
        name = name_of(node.into.rel)
        dropped = said(f"DROP MATERIALIZED VIEW {name};")
        return Change(undo=when(_is_free(name), dropped) if node.if_not_exists else dropped)
    return _table(node.into.rel, filled=True, missing_ok=bool(node.if_not_exists))


def select_into(_delta: Delta, node: Node) -> Change:
    """Drop the table."""
    return _table(node.intoClause.rel, filled=True, missing_ok=False)


def _table(relation: Node, *, filled: bool, missing_ok: bool) -> Change:
    name = name_of(relation)
    if relation.relpersistence == "t":
        raise RefusedError("a temporary table belongs to the connection, and the next tenant would find it")
    dropped = f"DROP TABLE {name};"
    if not missing_ok:
        return Change(undo=said(dropped), fresh=(Fresh(name, filled=filled),))
    if not filled:
        return Change(undo=when(_is_free(name), said(plain_loss_guard(name) + dropped)))
    given = loss_guard(Fresh(name, filled=True))
    return Change(undo=when(_is_free(name), said(dropped)), late=when(made_just_now("-6", name.regclass), given))


def create_index(_delta: Delta, node: Node) -> Change:
    """Drop it."""
    table = name_of(node.relation)
    how = " CONCURRENTLY" if node.concurrent else ""
    if node.idxname:
        name = table.sibling(node.idxname)
        if not node.if_not_exists:
            return Change(undo=said(f"DROP INDEX{how} {name};"))
        # It lies in its table's schema, wherever that was found.
        there = (
            f"EXISTS (SELECT FROM pg_class x WHERE x.relname = {literal(node.idxname)} AND x.relnamespace ="
            f" (SELECT t.relnamespace FROM pg_class t WHERE t.oid = {table.regclass}))"
        )
        return Change(undo=when(f"NOT {there}", said(f"DROP INDEX{how} {name};")))
    newest = (
        "(SELECT i.indexrelid FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid WHERE i.indrelid ="
        f" {table.regclass}"
        " ORDER BY age(x.xmin), x.oid DESC LIMIT 1) i"
    )
    return Change(late=one(said(f"DROP INDEX{how} ", Sql("i.indexrelid::regclass::text"), ";"), newest))


def create_sequence(delta: Delta, node: Node) -> Change:
    """Drop it."""
    name = name_of(node.sequence)
    if node.sequence.relpersistence == "t":
        raise RefusedError("a temporary sequence belongs to the connection, and the next tenant would find it")
    dropped = said(f"DROP SEQUENCE {name};")
    if node.if_not_exists:
        return Change(undo=when(_is_free(name), dropped))
    delta.sequences.add(name)
    return Change(undo=dropped)


def create_type(_delta: Delta, node: Node) -> Change:
    """Drop it."""
    name = name_of(node.typevar) if hasattr(node, "typevar") else name_of(node.typeName)
    return Change(undo=said(f"DROP TYPE {name};"))


def create_domain(_delta: Delta, node: Node) -> Change:
    """Drop it."""
    return Change(undo=said(f"DROP DOMAIN {name_of(node.domainname)};"))


def create_statistics(_delta: Delta, node: Node) -> Change:
    """Drop them."""
    if not node.defnames:
        raise RefusedError("statistics without a name are not derived", "give them a name")
    name = name_of(node.defnames)
    dropped = said(f"DROP STATISTICS {name};")
    if not node.if_not_exists:
        return Change(undo=dropped)
    there = (
        f"EXISTS (SELECT FROM pg_statistic_ext s WHERE s.stxname = {literal(name.name)}"
        f" AND s.stxnamespace = {name.namespace})"
    )
    return Change(undo=when(f"NOT {there}", dropped))


def create_trigger(_delta: Delta, node: Node) -> Change:
    """Drop it, and create again the one that it replaced."""
    table, name = name_of(node.relation), identifier(node.trigname)
    dropped = said(f"DROP TRIGGER {name} ON {table};")
    if not node.replace:
        return Change(undo=dropped)
    source = f"pg_trigger g WHERE g.tgrelid = {table.regclass} AND g.tgname = {literal(node.trigname)}"
    return Change(undo=Sql(f"{dropped} || {one(catalogue.trigger(), source)}"))


def create_rule(_delta: Delta, node: Node) -> Change:
    """Drop it, and create again the one that it replaced."""
    table, name = name_of(node.relation), identifier(node.rulename)
    if node.rulename == "_RETURN":
        raise RefusedError("a rule that makes a table a view is not derived")
    dropped = said(f"DROP RULE {name} ON {table};")
    if not node.replace:
        return Change(undo=dropped)
    return Change(
        undo=Sql(f"{dropped} || {one(catalogue.rule(), catalogue.rule_named(table.regclass, node.rulename))}")
    )


def create_policy(_delta: Delta, node: Node) -> Change:
    """Drop it."""
    return Change(undo=said(f"DROP POLICY {identifier(node.policy_name)} ON {name_of(node.table)};"))


def alter_policy(_delta: Delta, node: Node) -> Change:
    """Create it again as it was: there is no other way to take a condition from it."""
    table = name_of(node.table)
    text = said(f"DROP POLICY {identifier(node.policy_name)} ON {table};", catalogue.policy())
    source = f"pg_policy p WHERE p.polrelid = {table.regclass} AND p.polname = {literal(node.policy_name)}"
    return Change(undo=one(text, source))


def create_extension(delta: Delta, node: Node) -> Change:
    """Drop it, in a delta for the database as a whole."""
    if not delta.terms.once:
        raise RefusedError(_OUTSIDE, _ONCE)
    dropped = said(f"DROP EXTENSION {identifier(node.extname)};")
    there = f"EXISTS (SELECT FROM pg_extension e WHERE e.extname = {literal(node.extname)})"
    return Change(undo=when(f"NOT {there}", dropped) if node.if_not_exists else dropped)


def create_schema(delta: Delta, node: Node) -> Change:
    """Drop it, in a delta for the database as a whole."""
    if not delta.terms.once:
        raise RefusedError(_OUTSIDE, _ONCE)
    if node.schemaElts or not node.schemaname:
        raise RefusedError("a schema that is created with what it holds is not derived", "create them one by one")
    dropped = said(f"DROP SCHEMA {identifier(node.schemaname)};")
    there = f"EXISTS (SELECT FROM pg_namespace n WHERE n.nspname = {literal(node.schemaname)})"
    return Change(undo=when(f"NOT {there}", dropped) if node.if_not_exists else dropped)
