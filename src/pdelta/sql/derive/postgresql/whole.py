"""What takes back the commands of ALTER TABLE that are about the table as a whole."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from pdelta.sql.derive.postgresql import catalogue
from pdelta.sql.derive.postgresql.change import Change, Delta, guard
from pdelta.sql.derive.postgresql.table import Table
from pdelta.sql.derive.postgresql.text import Node, Sql, each, identifier, joined, literal, name_of, one, said
from pdelta.sql.derive.result import RefusedError

_TOAST: Final = "toast"
"""What a table's parameters begin with that are about what it keeps of long values."""


def _row(table: Table) -> str:
    return f"pg_class r WHERE r.oid = {table.oid}"


def change_owner(_delta: Delta, table: Table, _command: Node) -> Change:
    """Give it to whoever had it."""
    old = Sql("quote_ident(pg_get_userbyid(r.relowner))")
    return Change(undo=one(said(f"ALTER {table.kind} {table.name} OWNER TO ", old, ";"), _row(table)))


def change_options(_delta: Delta, table: Table, command: Node) -> Change:
    """Set the storage parameters that are named to what they were."""
    spaces = dict.fromkeys(option.defnamespace or "" for option in command.def_)
    if unknown := spaces.keys() - {"", _TOAST}:
        raise RefusedError(f"storage parameters of {min(unknown)} are not derived")
    parts = [
        _options(table, space, [one.defname for one in command.def_ if (one.defnamespace or "") == space])
        for space in spaces
    ]
    return Change(undo=one(said(*parts), _row(table)))


def _options(table: Table, space: str, names: Sequence[str]) -> Sql:
    """Give the expression of what sets some parameters of a table, or of what it keeps apart, to what they are."""
    prefix = f"{space}." if space else ""
    held = "(SELECT t.reloptions FROM pg_class t WHERE t.oid = r.reltoastrelid)" if space else "r.reloptions"
    listed = ", ".join(map(literal, names))
    option = Sql("quote_ident(o.option_name) || ' = ' || quote_literal(o.option_value)")
    each_ = Sql(f"string_agg({said(prefix, option)}, ', ')")
    kept = Sql(
        "coalesce((SELECT "
        + said(f"ALTER {table.kind} {table.name} SET (", each_, ");")
        + f" FROM pg_options_to_table({held}) o WHERE o.option_name IN ({listed})), '')"
    )
    reset = ", ".join(prefix + identifier(name) for name in names)
    return said(f"ALTER {table.kind} {table.name} RESET ({reset});", kept)


def change_trigger(_delta: Delta, table: Table, command: Node) -> Change:
    """Enable or disable each of the triggers as it was.

    The triggers of foreign keys have names of the server's, which change when a key comes back: they are only enabled
    all together, and refused where one of them was disabled already.
    """
    query = "SELECT x.* FROM pg_trigger x WHERE x.tgrelid = f.oid"
    source = f"{_family(table)} {catalogue.of_each('g', query)} WHERE "
    states = catalogue.trigger_state(always=True)
    order = "f.depth, f.oid, g.oid"
    if not command.subtype.name.endswith("All"):
        which = "NOT g.tgisinternal" if command.name is None else f"g.tgname = {literal(command.name)}"
        return Change(undo=each(states, source + which, order=order))
    why = literal(f"{table.name} has triggers of foreign keys that are disabled, and which they are is not kept")
    question = f"CASE WHEN EXISTS (SELECT FROM {source} g.tgisinternal AND g.tgenabled <> 'O') THEN {why} END"
    enabled = each(
        said("ALTER TABLE ONLY ", Sql("f.oid::regclass::text"), " ENABLE TRIGGER ALL;"),
        _family(table),
        order="f.depth, f.oid",
    )
    own = each(states, f"{source} NOT g.tgisinternal AND g.tgenabled <> 'O'", order=order)
    return Change(before=(guard(question),), undo=joined([enabled, own]))


def _family(table: Table) -> str:
    if table.recurses:
        return catalogue.family(table.oid)
    return f"(SELECT {table.oid}::oid AS oid, 0 AS depth) f"


def change_rule(_delta: Delta, table: Table, command: Node) -> Change:
    """Enable or disable the rule as it was."""
    state = Sql(
        "CASE w.ev_enabled WHEN 'D' THEN 'DISABLE' WHEN 'A' THEN 'ENABLE ALWAYS' WHEN 'R' THEN 'ENABLE REPLICA'"
        " ELSE 'ENABLE' END"
    )
    text = said(f"ALTER TABLE {table.name} ", state, f" RULE {identifier(command.name)};")
    return Change(
        undo=one(text, f"pg_rewrite w WHERE w.ev_class = {table.oid} AND w.rulename = {literal(command.name)}")
    )


def change_row_security(_delta: Delta, table: Table, command: Node) -> Change:
    """Enable, disable, force or not force row security as it was."""
    if command.subtype.name in {"AT_EnableRowSecurity", "AT_DisableRowSecurity"}:
        state = Sql("CASE WHEN r.relrowsecurity THEN 'ENABLE' ELSE 'DISABLE' END")
    else:
        state = Sql("CASE WHEN r.relforcerowsecurity THEN 'FORCE' ELSE 'NO FORCE' END")
    return Change(undo=one(said(f"ALTER TABLE {table.name} ", state, " ROW LEVEL SECURITY;"), _row(table)))


def change_clustering(_delta: Delta, table: Table, _command: Node) -> Change:
    """Mark the index that was marked for CLUSTER, or none."""
    text = Sql(
        "coalesce((SELECT "
        + said(f"ALTER TABLE {table.name} CLUSTER ON ", Sql("quote_ident(x.relname)"), ";")
        + " FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid"
        f" WHERE i.indrelid = r.oid AND i.indisclustered), {literal(f'ALTER TABLE {table.name} SET WITHOUT CLUSTER;')})"
    )
    return Change(undo=one(text, _row(table)))


def change_identity(_delta: Delta, table: Table, _command: Node) -> Change:
    """Identify rows for replication by what did before."""
    index = Sql(
        "(SELECT quote_ident(x.relname) FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid"
        " WHERE i.indrelid = r.oid AND i.indisreplident)"
    )
    how = Sql(
        "CASE r.relreplident WHEN 'n' THEN 'NOTHING' WHEN 'f' THEN 'FULL'"
        f" WHEN 'i' THEN coalesce('USING INDEX ' || {index}, 'NOTHING') ELSE 'DEFAULT' END"
    )
    return Change(undo=one(said(f"ALTER TABLE {table.name} REPLICA IDENTITY ", how, ";"), _row(table)))


def change_persistence(_delta: Delta, table: Table, _command: Node) -> Change:
    """Log it, or not, as it was."""
    how = Sql("CASE r.relpersistence WHEN 'u' THEN 'UNLOGGED' ELSE 'LOGGED' END")
    return Change(undo=one(said(f"ALTER TABLE {table.name} SET ", how, ";"), _row(table)))


def change_tablespace(_delta: Delta, table: Table, _command: Node) -> Change:
    """Move it back."""
    old = Sql(
        "(SELECT quote_ident(s.spcname) FROM pg_tablespace s WHERE s.oid = coalesce(nullif(r.reltablespace, 0),"
        " (SELECT b.dattablespace FROM pg_database b WHERE b.datname = current_database())))"
    )
    return Change(undo=one(said(f"ALTER {table.kind} {table.name} SET TABLESPACE ", old, ";"), _row(table)))


def inherit(_delta: Delta, table: Table, command: Node) -> Change:
    """Let it inherit no longer."""
    return Change(undo=said(f"ALTER TABLE {table.name} NO INHERIT {name_of(command.def_)};"))


def no_inherit(_delta: Delta, table: Table, command: Node) -> Change:
    """Let it inherit again; refused where it has columns or constraints by inheriting, which it keeps as its own."""
    why = f"{table.name} would keep what it inherits as its own, and inheriting again does not change that"
    question = (
        f"CASE WHEN EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = {table.oid} AND a.attnum > 0 AND NOT"
        " a.attisdropped AND NOT a.attislocal)"
        f" OR EXISTS (SELECT FROM pg_constraint c WHERE c.conrelid = {table.oid} AND NOT c.conislocal)"
        f" THEN {literal(why)} END"
    )
    return Change(before=(guard(question),), undo=said(f"ALTER TABLE {table.name} INHERIT {name_of(command.def_)};"))


def attach_partition(_delta: Delta, table: Table, command: Node) -> Change:
    """Detach it, and drop the indexes, constraints and triggers that it got with its parent."""
    child = name_of(command.def_.name)
    if table.kind == "INDEX":
        raise RefusedError("an index that was attached to a parent's can't be detached", "attach the partition instead")
    extra = said(
        "DO $pdelta$ DECLARE one record; BEGIN FOR one IN SELECT b.kind, b.name FROM unnest(",
        Sql(f"quote_literal(coalesce({_belongings(child.regclass)}, '{{}}')::text)"),
        "::text[]) WITH ORDINALITY h(x, y) RIGHT JOIN (",
        literal_source(child.regclass),
        ") b ON h.x = b.kind || ' ' || b.name WHERE h.x IS NULL ORDER BY b.kind LOOP EXECUTE "
        f"CASE one.kind WHEN 'constraint' THEN 'ALTER TABLE {quoted_in_text(str(child))} DROP CONSTRAINT ' || one.name"
        " ELSE 'DROP INDEX ' || one.name END; END LOOP; END $pdelta$;",
    )
    return Change(undo=said(f"ALTER TABLE {table.name} DETACH PARTITION {child};", extra))


def literal_source(oid: str) -> str:
    """Give the query of what belongs to a table and may come with its parent; constraints come first by their kind."""
    return (
        f"SELECT 'constraint' AS kind, quote_ident(c.conname) AS name FROM pg_constraint c WHERE c.conrelid = {oid}"
        " AND c.contype <> 'n'"
        f" UNION ALL SELECT 'index', i.indexrelid::regclass::text FROM pg_index i WHERE i.indrelid = {oid}"
        " AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid AND c.conrelid = i.indrelid)"
    )


def _belongings(oid: str) -> str:
    return f"(SELECT array_agg(b.kind || ' ' || b.name) FROM ({literal_source(oid)}) b)"


def quoted_in_text(name: str) -> str:
    """Give a name as it stands inside a string of SQL."""
    return name.replace("'", "''")


def detach_partition(_delta: Delta, table: Table, command: Node) -> Change:
    """Attach it again with the bounds that it had."""
    child = name_of(command.def_.name)
    text = said(f"ALTER TABLE {table.name} ATTACH PARTITION {child} ", Sql("pg_get_expr(r.relpartbound, r.oid)"), ";")
    return Change(undo=one(text, f"pg_class r WHERE r.oid = {child.regclass} AND r.relpartbound IS NOT NULL"))


_TRIGGERS: Final = ("Trig", "TrigAll", "TrigUser")
WHOLE_COMMANDS: Final[Mapping[str, Callable[[Delta, Table, Node], Change]]] = {
    "AT_ChangeOwner": change_owner,
    "AT_SetRelOptions": change_options,
    "AT_ResetRelOptions": change_options,
    **{f"AT_{how}{which}": change_trigger for how in ("Enable", "Disable") for which in _TRIGGERS},
    "AT_EnableAlwaysTrig": change_trigger,
    "AT_EnableReplicaTrig": change_trigger,
    **{f"AT_{how}Rule": change_rule for how in ("Enable", "EnableAlways", "EnableReplica", "Disable")},
    **{f"AT_{how}RowSecurity": change_row_security for how in ("Enable", "Disable", "Force", "NoForce")},
    "AT_ClusterOn": change_clustering,
    "AT_DropCluster": change_clustering,
    "AT_ReplicaIdentity": change_identity,
    "AT_SetLogged": change_persistence,
    "AT_SetUnLogged": change_persistence,
    "AT_SetTableSpace": change_tablespace,
    "AT_AddInherit": inherit,
    "AT_DropInherit": no_inherit,
    "AT_AttachPartition": attach_partition,
    "AT_DetachPartition": detach_partition,
}
