"""What takes back the commands of ALTER TABLE that are about a constraint."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from pdelta.sql.derive.postgresql import catalogue
from pdelta.sql.derive.postgresql.change import Change, Delta, guard
from pdelta.sql.derive.postgresql.table import Table
from pdelta.sql.derive.postgresql.text import Node, Sql, each, identifier, joined, literal, one, said
from pdelta.sql.derive.result import RefusedError

_TYPES: Final = {
    "CONSTR_CHECK": "c",
    "CONSTR_FOREIGN": "f",
    "CONSTR_PRIMARY": "p",
    "CONSTR_UNIQUE": "u",
    "CONSTR_EXCLUSION": "x",
}


def constraint_named(table: Table, name: str) -> str:
    """Give the source of one constraint's row, called ``c``."""
    return f"pg_constraint c WHERE c.conrelid = {table.oid} AND c.conname = {literal(name)}"


def refuse_several_unnamed(commands: Sequence[Node]) -> None:
    """Refuse a statement that adds several constraints of a kind which the server names.

    Raises:
        RefusedError: It does.
    """
    kinds = [
        added.contype.name
        for command in commands
        if command.subtype.name in {"AT_AddConstraint", "AT_AddColumn"}
        for added in (command.def_.constraints or () if command.subtype.name == "AT_AddColumn" else [command.def_])
        if not added.conname
    ]
    alone = {
        command.def_.contype.name
        for command in commands
        if command.subtype.name == "AT_AddConstraint" and not command.def_.conname
    }
    if any(kinds.count(kind) > 1 for kind in alone):
        raise RefusedError("several constraints without a name can't be told apart afterwards", "give them names")


def newest_constraint(table: Table, kind: str, named: Sequence[str]) -> str:
    """Give the source of the row of the constraint that was just added to a table, called ``c``.

    Args:
        table: Which.
        kind: Of constraint.
        named: Names that the same statement has given to others.
    """
    others = "".join(f" AND n.conname <> {literal(name)}" for name in named)
    return (
        f"(SELECT * FROM pg_constraint n WHERE n.conrelid = {table.oid} AND n.contype = '{kind}'{others}"
        " ORDER BY age(n.xmin), n.oid DESC LIMIT 1) c"
    )


def add_constraint(_delta: Delta, table: Table, command: Node) -> Change:
    """Drop it; an index that it took comes back, and columns can be NULL again where a primary key forbade that."""
    added = command.def_
    kind = _TYPES.get(added.contype.name)
    if kind is None:
        raise RefusedError(f"a constraint of the kind {added.contype.name.removeprefix('CONSTR_')} is not derived")
    before = []
    if added.indexname:
        before.append(_index_given_back(table, added.indexname))
    if kind == "p":
        before.append(_nullable_again(table, added))
    if added.conname:
        dropped = said(f"ALTER TABLE {table.name} DROP CONSTRAINT {identifier(added.conname)};")
        # Where the table is missing nothing was added; else the constraint is new, or the statement failed.
        undo = one(dropped, f"(SELECT 1 WHERE {table.oid} IS NOT NULL) t") if table.missing_ok else dropped
        return Change(undo=joined([undo, *before]))
    text = said(f"ALTER TABLE {table.name} DROP CONSTRAINT ", Sql("quote_ident(c.conname)"), ";")
    return Change(undo=joined(before), late=one(text, newest_constraint(table, kind, table.named)))


def _index_given_back(table: Table, index: str) -> Sql:
    """Dropping the constraint drops the index that it took, which may have had another name."""
    return one(catalogue.index("x.oid"), f"pg_class x WHERE x.oid = {table.name.sibling(index).regclass}")


def _nullable_again(table: Table, added: Node) -> Sql:
    text = said(f"ALTER TABLE {table.name} ALTER COLUMN ", Sql("quote_ident(a.attname)"), " DROP NOT NULL;")
    if added.indexname:
        index = table.name.sibling(added.indexname).regclass
        keys = f"a.attnum = ANY ((SELECT i.indkey::int2[] FROM pg_index i WHERE i.indexrelid = {index})::int2[])"
    else:
        keys = f"a.attname IN ({', '.join(literal(key.sval) for key in added.keys)})"
    return each(
        text,
        f"pg_attribute a WHERE a.attrelid = {table.oid} AND a.attnum > 0 AND NOT a.attnotnull AND {keys}",
        order="a.attnum",
    )


def drop_constraint(_delta: Delta, table: Table, command: Node) -> Change:
    """Add it again as it was; with CASCADE also the foreign keys of other tables that pointed to it."""
    source = constraint_named(table, command.name)
    undo = one(catalogue.constraint(), source)
    before: tuple[str, ...] = ()
    inherited = f"CASE WHEN c.coninhcount > 0 THEN 'the constraint ' || c.conname || ' is inherited' END FROM {source}"
    before = (guard(inherited),)
    if command.behavior.name == "DROP_CASCADE":
        index = (
            f"(SELECT p.conindid FROM pg_constraint p WHERE p.conrelid = {table.oid}"
            f" AND p.conname = {literal(command.name)} AND p.contype IN ('p', 'u'))"
        )
        pointing = each(
            catalogue.constraint(),
            f"pg_constraint c WHERE {catalogue.constraint_of(index)} AND c.contype = 'f' AND c.conparentid = 0"
            f" AND c.conindid = {index}",
            order="c.oid",
        )
        undo = Sql(joined([undo, pointing]))
    return Change(before=before, undo=undo)


def validate_constraint(_delta: Delta, table: Table, command: Node) -> Change:
    """Add it again without validation, where it was not validated."""
    name = identifier(command.name)
    text = said(f"ALTER TABLE {table.name} DROP CONSTRAINT {name};", catalogue.constraint())
    return Change(undo=one(text, f"{constraint_named(table, command.name)} AND NOT c.convalidated"))


def alter_constraint(_delta: Delta, table: Table, command: Node) -> Change:
    """Set whether and when it is deferred as it was."""
    name = identifier(command.def_.conname)
    text = said(
        f"ALTER TABLE {table.name} ALTER CONSTRAINT {name} ",
        Sql("CASE WHEN c.condeferrable THEN 'DEFERRABLE' ELSE 'NOT DEFERRABLE' END"),
        Sql("CASE WHEN c.condeferred THEN ' INITIALLY DEFERRED' ELSE ' INITIALLY IMMEDIATE' END"),
        ";",
    )
    return Change(undo=one(text, constraint_named(table, command.def_.conname)))


CONSTRAINT_COMMANDS: Final[Mapping[str, Callable[[Delta, Table, Node], Change]]] = {
    "AT_AddConstraint": add_constraint,
    "AT_DropConstraint": drop_constraint,
    "AT_ValidateConstraint": validate_constraint,
    "AT_AlterConstraint": alter_constraint,
}
