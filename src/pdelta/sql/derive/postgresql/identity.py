"""What takes back the commands of ALTER TABLE that are about an identity column."""

from collections.abc import Callable, Mapping
from typing import Final

from pdelta.sql.derive.postgresql import catalogue
from pdelta.sql.derive.postgresql.change import Change, Delta
from pdelta.sql.derive.postgresql.table import Table
from pdelta.sql.derive.postgresql.text import Node, Sql, identifier, name_of, one, said
from pdelta.sql.derive.result import RefusedError

_HOW: Final = Sql("CASE a.attidentity WHEN 'a' THEN 'ALWAYS' ELSE 'BY DEFAULT' END")


def add_identity(delta: Delta, table: Table, command: Node) -> Change:
    """Drop it, with its sequence."""
    delta.counting.add((table.name, command.name))
    named = [option.arg for option in command.def_.options or () if option.defname == "sequence_name"]
    delta.sequences.update(map(name_of, named))
    return Change(undo=said(f"ALTER TABLE {table.name} ALTER COLUMN {identifier(command.name)} DROP IDENTITY;"))


def set_identity(_delta: Delta, table: Table, command: Node) -> Change:
    """Set whether numbers can be given as it was.

    Raises:
        RefusedError: Options of its sequence are set too.
    """
    if any(option.defname != "generated" for option in command.def_):
        raise RefusedError("options of an identity's sequence are not derived", "alter the sequence by its name")
    text = said(f"ALTER TABLE {table.name} ALTER COLUMN {identifier(command.name)} SET GENERATED ", _HOW, ";")
    return Change(undo=one(text, catalogue.column(table.oid, command.name)))


def drop_identity(_delta: Delta, table: Table, command: Node) -> Change:
    """Make it an identity again, with a sequence of the same name and options that goes on where the old one was."""
    name = identifier(command.name)
    sequence = Sql("s.seqrelid::regclass::text")
    text = said(
        f"ALTER TABLE {table.name} ALTER COLUMN {name} ADD GENERATED ",
        _HOW,
        " AS IDENTITY (SEQUENCE NAME ",
        sequence,
        " INCREMENT BY ",
        Sql("s.seqincrement::text"),
        " MINVALUE ",
        Sql("s.seqmin::text"),
        " MAXVALUE ",
        Sql("s.seqmax::text"),
        " START WITH ",
        Sql("s.seqstart::text"),
        " CACHE ",
        Sql("s.seqcache::text"),
        Sql("CASE WHEN s.seqcycle THEN ' CYCLE' ELSE '' END"),
        ");",
        Sql(
            "coalesce((SELECT "
            + said("SELECT setval(", Sql("quote_literal(s.seqrelid::regclass)"), ", ", Sql("v.last::text"), ");")
            + " FROM (SELECT pg_sequence_last_value(s.seqrelid) AS last) v WHERE v.last IS NOT NULL), '')"
        ),
    )
    source = (
        f"pg_attribute a JOIN pg_depend d ON d.classid = {catalogue.CLASS} AND d.refclassid = {catalogue.CLASS}"
        " AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum AND d.deptype = 'i' JOIN pg_sequence s ON"
        " s.seqrelid = d.objid"
        f" WHERE a.attrelid = {table.oid} AND a.attname = '{command.name.replace(chr(39), chr(39) * 2)}'"
        " AND a.attidentity <> '' AND NOT a.attisdropped"
    )
    return Change(undo=one(text, source))


IDENTITY_COMMANDS: Final[Mapping[str, Callable[[Delta, Table, Node], Change]]] = {
    "AT_AddIdentity": add_identity,
    "AT_SetIdentity": set_identity,
    "AT_DropIdentity": drop_identity,
}
