"""What takes back INSERT, UPDATE, DELETE, MERGE and TRUNCATE: the rows that they change are kept.

The statement is executed inside a ``DO`` block, between two triggers' worth of bookkeeping: triggers of ours keep each
row as it was and as it became, and the server's own counters tell whether any other table was changed meanwhile, by a
trigger, a cascade or a function. If so, the delta is refused there, because those rows are not kept.

Not seen is what is no row of a table in this database: the position of a sequence, what a function sends elsewhere.
"""

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from pdelta.sql.derive.postgresql import catalogue, restore
from pdelta.sql.derive.postgresql.change import EXCLUSIVE, NO_WRITERS, Change, Delta, guard
from pdelta.sql.derive.postgresql.positions import only_sets_new_ones
from pdelta.sql.derive.postgresql.restore import Kept
from pdelta.sql.derive.postgresql.text import Name, Node, block, joined, literal, name_of
from pdelta.sql.derive.result import RefusedError
from pdelta.sql.split import Statement

_CHANGES: Final = frozenset({"InsertStmt", "UpdateStmt", "DeleteStmt", "MergeStmt"})
_FIRST_OF_USERS: Final = 16384
"""Numbers below are those of the system's own tables."""


class Target(msgspec.Struct, frozen=True):
    """A table that one part of a statement changes.

    Attributes:
        name: Its name.
        columns: Which columns are set, where it is an UPDATE; otherwise None.
    """

    name: Name
    columns: frozenset[str] | None


def change_rows(delta: Delta, statement: Statement, node: Node) -> Change:
    """Restore the rows that were changed, delete those that were added, insert those that were deleted.

    Raises:
        RefusedError: It changes nothing that can be named.
    """
    targets = list(_targets(node))
    if not targets and only_sets_new_ones(delta, node):
        return Change()
    if not targets:
        raise RefusedError("what functions do in a SELECT is not seen")
    names = list(dict.fromkeys(target.name for target in targets))
    full = [name for name in names if not all(_is_fresh(delta, one) for one in targets if one.name == name)]
    for target in targets:
        _filled(delta, target, NO_WRITERS)
    for name in full:
        delta.moved(name, mode=NO_WRITERS)
    return _change(delta, names, full, statement.text, truncated=False)


def truncate(delta: Delta, statement: Statement, node: Node) -> Change:
    """Insert all rows again.

    Raises:
        RefusedError: It empties tables that are not named, or sets sequences back.
    """
    if node.restart_seqs:
        raise RefusedError("RESTART IDENTITY moves sequences for all who take numbers from them")
    if node.behavior.name == "DROP_CASCADE":
        raise RefusedError("CASCADE empties tables that are not named", "name them")
    names = [name_of(one) for one in node.relations]
    full = [name for name in names if name not in delta.tables]
    for name in names:
        _filled(delta, Target(name, None), EXCLUSIVE)
    for name in full:
        delta.moved(name, mode=EXCLUSIVE)
    return _change(delta, names, full, statement.text, truncated=True)


def _targets(node: Node) -> Iterator[Target]:
    """Give what a statement changes, and what the statements in its WITH do."""
    clause = getattr(node, "withClause", None)
    for common in clause.ctes if clause is not None else ():
        yield from _targets(common.ctequery)
    kind = type(node).__name__
    if kind in _CHANGES:
        columns = frozenset(one.name for one in node.targetList) if kind == "UpdateStmt" else None
        yield Target(name_of(node.relation), columns)


def _is_fresh(delta: Delta, target: Target) -> bool:
    """Say whether what is changed is taken away by the reverse as a whole, so that nothing of it need be kept."""
    if target.name in delta.tables:
        return True
    return target.columns is not None and all((target.name, name) in delta.columns for name in target.columns)


def _filled(delta: Delta, target: Target, mode: str) -> None:
    """Know that fresh things have got their content here."""
    if not _is_fresh(delta, target):
        return
    if target.name in delta.tables:
        delta.filled(delta.tables[target.name], target.name, "", mode=mode)
    for (table, column), fresh in delta.columns.items():
        if table == target.name and (target.columns is None or column in target.columns):
            delta.filled(fresh, table, column, mode=mode)


def _change(delta: Delta, names: Sequence[Name], full: Sequence[Name], text: str, *, truncated: bool) -> Change:
    kept = [Kept(name, delta.names.kept(), is_full=name in full) for name in names]
    body = (
        " DECLARE marks jsonb; locked oid[]; others text; wrong bigint; BEGIN "
        + "".join(_opened(one, truncated=truncated, limit=delta.terms.rows_at_most) for one in kept)
        + f"marks := {_marks(names)}; locked := {_locked()}; "
        + "".join(_counted(one, number) for number, one in enumerate(kept))
        + f"EXECUTE {literal(text)}; "
        + f"others := {_others(kept)}; "
        + _unless("others IS NOT NULL", "'it also changes ' || others || ', and those rows are not kept'", kept[0])
        + "".join(
            _closed(one, number, limit=delta.terms.rows_at_most, truncated=truncated) for number, one in enumerate(kept)
        )
        + "END "
    )
    return Change(
        before=tuple(guard(_question(one)) for one in kept),
        statement=block(body),
        late=joined(restore.restored(one) for one in reversed(kept)),
        after=(guard(f"obj_description(to_regclass({literal(kept[0].refused)}), 'pg_class')"),),
        rows=bool(full),
    )


def _question(kept: Kept) -> str:
    """Ask for what makes keeping rows impossible."""
    name, oid = kept.table, kept.table.regclass
    triggers = "pg_trigger g WHERE g.tgrelid = r.oid AND NOT g.tgisinternal AND g.tgenabled <> 'D'"
    children = (
        "EXISTS (SELECT FROM pg_inherits i JOIN pg_class x ON x.oid = i.inhrelid"
        " WHERE i.inhparent = r.oid AND NOT x.relispartition)"
    )
    parts = (
        "EXISTS (SELECT FROM pg_trigger g WHERE NOT g.tgisinternal AND g.tgenabled <> 'D' AND (r.relkind = 'p'"
        " OR r.relispartition)"
        " AND g.tgrelid = ANY (ARRAY(SELECT r.oid UNION SELECT p.relid FROM pg_partition_tree(r.oid) p)))"
    )
    return (
        f"CASE WHEN r.relkind NOT IN ('r', 'p') THEN {literal(f'{name} is no table, and its rows are not kept')}"
        f" WHEN r.relhasrules AND EXISTS (SELECT FROM pg_rewrite w WHERE w.ev_class = r.oid AND w.ev_enabled <> 'D')"
        f" THEN {literal(f'{name} has rules, which change the statement')}"
        f" WHEN {children} THEN {literal(f'{name} has children, and their rows are not kept')}"
        f" WHEN {parts} THEN {literal(f'{name} is partitioned and has triggers')}"
        f" WHEN EXISTS (SELECT FROM {triggers} AND g.tgdeferrable) THEN"
        f" {literal(f'{name} has triggers that come later')}"
        f" WHEN row_security_active(r.oid) THEN {literal(f'row security hides rows of {name}')}"
        " WHEN current_setting('session_replication_role') = 'replica' THEN 'triggers of ours would not see what"
        " changes'"
        " WHEN current_setting('track_counts') <> 'on' THEN 'track_counts is off, and so nothing tells what"
        " triggers do'"
        f" END FROM pg_class r WHERE r.oid = {oid}"
    )


def _opened(kept: Kept, *, truncated: bool, limit: int) -> str:
    """Give what keeps rows from here on."""
    tables = (
        f"CREATE TABLE {kept.old} AS TABLE {kept.table} WITH NO DATA;"
        f" CREATE TABLE {kept.new} AS TABLE {kept.table} WITH NO DATA;"
    )
    if truncated:
        if not kept.is_full:
            return ""
        many = f"(SELECT count(*) FROM (SELECT FROM {kept.table} LIMIT {limit + 1}) x) > {limit}"
        return f"{tables} {_unless(many, _too_many(kept, limit), kept)}INSERT INTO {kept.old} TABLE {kept.table}; "
    keeping = (
        " BEGIN IF TG_OP <> 'INSERT' THEN"
        f" INSERT INTO {kept.old} SELECT * FROM pdelta_old; END IF; IF TG_OP <> 'DELETE' THEN"
        f" INSERT INTO {kept.new} SELECT * FROM pdelta_new; END IF; RETURN NULL; END "
    )
    triggers = "".join(
        f" CREATE TRIGGER {kept.function}_{letter} AFTER {event} ON {kept.table} REFERENCING {seen}"
        f" FOR EACH STATEMENT EXECUTE FUNCTION {kept.function}();"
        for letter, event, seen in _EVENTS
    )
    condition = "true" if kept.is_full else _has_triggers(kept)
    return (
        f"IF {condition} THEN {tables} CREATE FUNCTION {kept.function}() RETURNS trigger LANGUAGE plpgsql AS"
        f" {literal(keeping)};{triggers} END IF; "
    )


_EVENTS: Final = (
    ("i", "INSERT", "NEW TABLE AS pdelta_new"),
    ("u", "UPDATE", "OLD TABLE AS pdelta_old NEW TABLE AS pdelta_new"),
    ("d", "DELETE", "OLD TABLE AS pdelta_old"),
)


def _has_triggers(kept: Kept) -> str:
    return (
        f"EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = {kept.table.regclass} AND NOT g.tgisinternal"
        " AND g.tgenabled <> 'D')"
    )


def _counted(kept: Kept, number: int) -> str:
    """Give what notes how many rows of a table the transaction has brought and taken by now."""
    return f"marks := marks || jsonb_build_object('n{number}', {_total(kept, 'n')}, 'o{number}', {_total(kept, 'o')}); "


def _total(kept: Kept, letter: str) -> str:
    """Give how many rows came, or went; one that was updated did both."""
    counted = " + ".join(
        f"pg_stat_get_xact_tuples_{what}(t.oid)" for what in ("updated", "inserted" if letter == "n" else "deleted")
    )
    oid = kept.table.regclass
    return (
        f"(SELECT coalesce(sum({counted}), 0) FROM (SELECT {oid} UNION"
        f" SELECT p.relid FROM pg_partition_tree({oid}) p) t(oid) WHERE t.oid IS NOT NULL)"
    )


def _closed(kept: Kept, number: int, *, limit: int, truncated: bool) -> str:
    """Give what ends the keeping, and refuses where it can't be undone from what was kept."""
    if truncated and not kept.is_full:
        return ""
    there = f"to_regclass({literal(kept.old)}) IS NOT NULL"
    dropped = "".join(f"DROP TRIGGER {kept.function}_{letter} ON {kept.table}; " for letter, _, _ in _EVENTS)
    deferrable = (
        f"EXISTS (SELECT FROM pg_constraint c WHERE c.condeferrable AND {catalogue.constraint_of(kept.table.regclass)})"
    )
    # A check that waits for the end of the transaction would be in the way of dropping a trigger.
    ended = (
        ""
        if truncated
        else f"IF {deferrable} THEN SET CONSTRAINTS ALL IMMEDIATE; END IF; {dropped}DROP FUNCTION {kept.function}(); "
    )
    many = (
        f"(SELECT count(*) FROM (SELECT 1 FROM {kept.old} UNION ALL SELECT 1 FROM {kept.new} LIMIT {2 * limit + 2}) x)"
    )
    too_many = (
        f"(SELECT count(*) FROM (SELECT FROM {kept.old} LIMIT {limit + 1}) x) > {limit}"
        f" OR (SELECT count(*) FROM (SELECT FROM {kept.new} LIMIT {limit + 1}) x) > {limit}"
    )
    seen = (
        ""
        if truncated
        else " OR ".join(
            f"{_total(kept, letter)} - (marks ->> '{letter}{number}')::numeric <> (SELECT count(*) FROM {table})"
            for letter, table in (("n", kept.new), ("o", kept.old))
        )
    )
    keyless = (
        f"NOT EXISTS (SELECT FROM {restore.key(kept)}) AND ({_has_triggers(kept)} OR EXISTS (SELECT FROM"
        " pg_constraint c"
        f" WHERE {catalogue.constraint_of(kept.table.regclass)} AND c.contype = 'f'"
        f" AND c.confrelid = {kept.table.regclass}))"
    )
    return (
        f"IF {there} THEN {ended}"
        + _unless(too_many, _too_many(kept, limit), kept)
        + (_unless(seen, literal(f"not every change of {kept.table} was seen"), kept) if seen else "")
        + _unless(keyless, literal(f"{kept.table} has no key, and triggers, or foreign keys that point to it"), kept)
        + restore.counted_twice(kept)
        + _unless("wrong > 0", literal(f"triggers change rows of {kept.table} a second time"), kept)
        + f"IF {many} = 0 THEN DROP TABLE {kept.old}, {kept.new}; END IF; END IF; "
    )


def _too_many(kept: Kept, limit: int) -> str:
    return literal(f"it changes more than {limit} rows of {kept.table}, and no more are kept")


def _unless(condition: str, message: str, kept: Kept) -> str:
    """Give what leaves a note for the guard after the block, which refuses with it: a block has no words of its own."""
    noted = f"EXECUTE 'COMMENT ON TABLE {kept.refused} IS ' || quote_literal({message}); "
    made = f"CREATE TABLE IF NOT EXISTS {kept.refused} (); "
    return f"IF {condition} THEN {made}{noted}RETURN; END IF; "


_COUNT: Final = " + ".join(f"pg_stat_get_xact_tuples_{what}({{0}})" for what in ("inserted", "updated", "deleted"))
_HELD: Final = (
    "SELECT l.relation FROM pg_locks l WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.granted"
    " AND l.database = (SELECT b.oid FROM pg_database b WHERE b.datname = current_database())"
)


def _marks(names: Sequence[Name]) -> str:
    """Give what the counters say of every table of the tenant, and of each that the transaction has touched."""
    schemas = "ANY (current_schemas(false))"
    more = [literal(name.schema) for name in names if name.schema]
    named = f" OR n.nspname IN ({', '.join(more)})" if more else ""
    tables = (
        "SELECT d.objid FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.refclassid ="
        " 'pg_namespace'::regclass"
        f" AND d.refobjid IN (SELECT n.oid FROM pg_namespace n WHERE n.nspname = {schemas}{named}) UNION {_HELD}"
    )
    return f"(SELECT coalesce(jsonb_object_agg(t.oid::text, {_COUNT.format('t.oid')}), '{{}}') FROM ({tables}) t(oid))"


def _locked() -> str:
    return f"ARRAY({_HELD} AND l.mode = 'AccessExclusiveLock')"


def _others(kept: Sequence[Kept]) -> str:
    """Give which other tables have got other rows, or another form, since the marks were made."""
    own = ", ".join(
        f"{one.table.regclass}, to_regclass({literal(one.old)}), to_regclass({literal(one.new)})" for one in kept
    )
    parts = " ".join(f"UNION SELECT p.relid FROM pg_partition_tree({one.table.regclass}) p" for one in kept)
    writes = "l.mode IN ('RowExclusiveLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')"
    rows = f"{_COUNT.format('c.oid')} <> coalesce((marks ->> c.oid::text)::bigint, 0)"
    form = f"(c.oid <> ALL (locked) AND c.oid IN ({_HELD} AND l.mode = 'AccessExclusiveLock'))"
    return (
        "(SELECT string_agg(c.oid::regclass::text, ', ' ORDER BY c.oid::regclass::text) FROM pg_class c"
        f" WHERE c.oid >= {_FIRST_OF_USERS} AND c.relkind IN ('r', 'p', 'm') AND c.oid IN ({_HELD} AND {writes})"
        f" AND ({rows} OR {form})"
        f" AND NOT c.oid IN (SELECT u.oid FROM unnest(ARRAY[{own}]::oid[]) u(oid) WHERE u.oid IS NOT NULL {parts}))"
    )
