"""What takes back a DROP: each of the objects that it names is created again, or renamed back."""

from collections.abc import Sequence
from typing import Final

from pdelta.sql.derive.postgresql import catalogue, routines, views
from pdelta.sql.derive.postgresql.change import Change, Delta, guard
from pdelta.sql.derive.postgresql.park_table import park_sequence, park_tables, park_type
from pdelta.sql.derive.postgresql.text import Name, Node, Sql, each, joined, literal, name_of, one
from pdelta.sql.derive.result import RefusedError

_ROUTINES: Final = {"OBJECT_FUNCTION": "FUNCTION", "OBJECT_PROCEDURE": "PROCEDURE", "OBJECT_ROUTINE": "ROUTINE"}
_ON_TABLE: Final = frozenset({"OBJECT_TRIGGER", "OBJECT_RULE", "OBJECT_POLICY"})
_TYPES: Final = {"OBJECT_TYPE": "TYPE", "OBJECT_DOMAIN": "DOMAIN"}
_VIEWS: Final = {"OBJECT_VIEW": "VIEW", "OBJECT_MATVIEW": "MATERIALIZED VIEW"}


def drop(delta: Delta, node: Node, text: str) -> list[tuple[Change, str]]:
    """Give the changes of a DROP, each with its statement.

    Raises:
        RefusedError: It is of a kind that is not derived.
    """
    kind = node.removeType.name
    cascade = node.behavior is not None and node.behavior.name == "DROP_CASCADE"
    missing_ok = bool(node.missing_ok)
    objects = list(node.objects)
    if kind == "OBJECT_TABLE":
        return [(park_tables(delta, [name_of(one) for one in objects], missing_ok=missing_ok, cascade=cascade), text)]
    if kind == "OBJECT_SEQUENCE":
        return [(park_sequence(delta, name_of(one), missing_ok=missing_ok), text) for one in objects]
    if kind in _TYPES:
        return [(park_type(delta, name_of(one), _TYPES[kind], missing_ok=missing_ok), text) for one in objects]
    if kind in _ROUTINES:
        changes = [routines.drop_routine(delta, one, cascade=cascade) for one in objects]
    elif kind in _VIEWS:
        changes = [views.drop_view(delta, name_of(one), _VIEWS[kind], cascade=cascade) for one in objects]
    elif kind == "OBJECT_INDEX":
        changes = [_index(name_of(one), concurrent=bool(node.concurrent), cascade=cascade) for one in objects]
    elif kind == "OBJECT_STATISTIC_EXT":
        changes = [_statistics(name_of(one)) for one in objects]
    elif kind in _ON_TABLE:
        changes = [_on_table(kind, one) for one in objects]
    else:
        what = kind.removeprefix("OBJECT_").replace("_", " ")
        raise RefusedError(f"DROP {what} is not derived")
    return [(_all(changes), text)]


def _all(changes: Sequence[Change]) -> Change:
    # One statement takes them all, in an order of the server's: they come back as they are named, views after those
    # that they stand on.
    return Change(
        before=tuple(text for change in changes for text in change.before),
        undo=joined(change.undo for change in reversed(changes)),
    )


def _index(name: Name, *, concurrent: bool, cascade: bool) -> Change:
    """Create it again; with CASCADE also the foreign keys that pointed to it."""
    oid = name.regclass
    text = catalogue.index("x.oid")
    if concurrent:
        text = Sql(f"regexp_replace({text}, '^(CREATE( UNIQUE)? INDEX)', '\\1 CONCURRENTLY')")
    undo = one(text, f"pg_class x WHERE x.oid = {oid} AND x.relkind = 'i'")
    if cascade:
        pointing = each(
            catalogue.constraint(),
            f"pg_constraint c WHERE {catalogue.constraint_of(oid)} AND c.contype = 'f' AND c.conparentid = 0"
            f" AND c.conindid = {oid}",
            order="c.oid",
        )
        undo = Sql(joined([undo, pointing]))
    question = (
        "CASE WHEN x.relkind = 'I' OR x.relispartition THEN"
        f" {literal(f'{name} is an index of a partitioned table')} END"
        f" FROM pg_class x WHERE x.oid = {oid}"
    )
    return Change(before=(guard(question),), undo=undo)


def _statistics(name: Name) -> Change:
    schema = literal(name.schema) if name.schema else "current_schema()"
    return Change(
        undo=one(
            catalogue.statistics(str(name)),
            f"pg_statistic_ext s WHERE s.stxname = {literal(name.name)}"
            f" AND s.stxnamespace = (SELECT n.oid FROM pg_namespace n WHERE n.nspname = {schema})",
        )
    )


def _on_table(kind: str, parts: Sequence[Node]) -> Change:
    table, name = name_of(parts[:-1]), parts[-1].sval
    if kind == "OBJECT_TRIGGER":
        source = f"pg_trigger g WHERE g.tgrelid = {table.regclass} AND g.tgname = {literal(name)}"
        return Change(undo=one(catalogue.trigger(), source))
    if kind == "OBJECT_RULE":
        return Change(undo=one(catalogue.rule(), catalogue.rule_named(table.regclass, name)))
    source = f"pg_policy p WHERE p.polrelid = {table.regclass} AND p.polname = {literal(name)}"
    return Change(undo=one(catalogue.policy(), source))
