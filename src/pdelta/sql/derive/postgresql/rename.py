"""What takes back a RENAME: the same with the names changed over."""

from typing import Final

from pdelta.sql.derive.postgresql.change import Change, Delta
from pdelta.sql.derive.postgresql.text import Node, identifier, name_of, printed, said, when
from pdelta.sql.derive.result import RefusedError

_RELATIONS: Final = {
    "OBJECT_TABLE": "TABLE",
    "OBJECT_INDEX": "INDEX",
    "OBJECT_VIEW": "VIEW",
    "OBJECT_MATVIEW": "MATERIALIZED VIEW",
    "OBJECT_SEQUENCE": "SEQUENCE",
}
_PARTS: Final = {"OBJECT_COLUMN": "COLUMN", "OBJECT_TABCONSTRAINT": "CONSTRAINT", "OBJECT_ATTRIBUTE": "ATTRIBUTE"}
_ON_TABLE: Final = {"OBJECT_TRIGGER": "TRIGGER", "OBJECT_RULE": "RULE", "OBJECT_POLICY": "POLICY"}
_ROUTINES: Final = {"OBJECT_FUNCTION": "FUNCTION", "OBJECT_PROCEDURE": "PROCEDURE", "OBJECT_ROUTINE": "ROUTINE"}
_NAMED: Final = {"OBJECT_TYPE": "TYPE", "OBJECT_DOMAIN": "DOMAIN", "OBJECT_STATISTIC_EXT": "STATISTICS"}


def rename(delta: Delta, node: Node) -> Change:
    """Rename it back.

    Raises:
        RefusedError: It is of a kind that is not derived.
    """
    kind, new = node.renameType.name, node.newname
    text = ""
    if kind in _RELATIONS:
        old = name_of(node.relation)
        delta.renamed(old, old.sibling(new))
        text = f"ALTER {_RELATIONS[kind]} {old.sibling(new)} RENAME TO {identifier(old.name)};"
    elif kind in _PARTS:
        text = _part(delta, node)
    elif kind in _ON_TABLE:
        table = name_of(node.relation)
        text = f"ALTER {_ON_TABLE[kind]} {identifier(new)} ON {table} RENAME TO {identifier(node.subname)};"
    elif kind in _ROUTINES:
        old = name_of(node.object.objname)
        types = (
            "" if node.object.args_unspecified else f"({', '.join(printed(one) for one in node.object.objargs or ())})"
        )
        text = f"ALTER {_ROUTINES[kind]} {old.sibling(new)}{types} RENAME TO {identifier(old.name)};"
    elif kind in _NAMED:
        old = name_of(node.object)
        text = f"ALTER {_NAMED[kind]} {old.sibling(new)} RENAME TO {identifier(old.name)};"
    elif kind == "OBJECT_DOMCONSTRAINT":
        text = f"ALTER DOMAIN {name_of(node.object)} RENAME CONSTRAINT {identifier(new)} TO {identifier(node.subname)};"
    else:
        raise RefusedError(f"renaming a {kind.removeprefix('OBJECT_').replace('_', ' ').lower()} is not derived")
    if node.missing_ok and node.relation is not None:
        return Change(undo=when(f"{name_of(node.relation).regclass} IS NOT NULL", said(text)))
    return Change(undo=said(text))


def _part(delta: Delta, node: Node) -> str:
    """Give the RENAME of a column, a constraint or an attribute back."""
    table, what = name_of(node.relation), _PARTS[node.renameType.name]
    related = node.relationType.name if node.relationType is not None else "OBJECT_TABLE"
    kind = "TYPE" if related == "OBJECT_TYPE" else _RELATIONS.get(related, "TABLE")
    if what == "COLUMN":
        fresh = delta.columns.pop((table, node.subname), None)
        if fresh is not None:
            delta.columns[table, node.newname] = fresh
    only = "" if node.relation.inh or kind == "TYPE" else "ONLY "
    cascade = " CASCADE" if kind == "TYPE" and node.behavior.name == "DROP_CASCADE" else ""
    return (
        f"ALTER {kind} {only}{table} RENAME {what} {identifier(node.newname)} TO {identifier(node.subname)}{cascade};"
    )
