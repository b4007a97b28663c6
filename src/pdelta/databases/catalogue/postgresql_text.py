r"""Pieces of SQL that the statements on PostgreSQL's catalogue are built of.

Everything here is text about columns of ``pg_catalog``; whatever the caller names is quoted. Strings with a backslash
are ``E''`` strings, which no setting reads in another way.
"""

from collections.abc import Iterable
from typing import Final, NamedTuple

from pdelta.databases.catalogue.ours import LEDGER
from pdelta.sql.derive.kept import KEPT, PARKED

SETTINGS: Final = {
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "TimeZone": "UTC",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "lc_monetary": "C",
    "quote_all_identifiers": "off",
    "standard_conforming_strings": "on",
}
"""What changes how the server writes an expression."""


class Scope(NamedTuple):
    """What is read of the catalogue, and how.

    Attributes:
        version: The server's ``server_version_num``.
        parked: Whether what pdelta parked or kept counts as the tenants'.
        few: Whether each object of the schemas is looked up by indexes, which is for few schemas; else tables of the
            catalogue are read from one end to the other, and joined by hash.
    """

    version: int
    parked: bool = False
    few: bool = False

    def rows(self, table: str, namespace: str, which: str = "true") -> str:
        """Give rows of a table of the catalogue that lie in the schemas.

        Args:
            table: Its name.
            namespace: Its column that says in which schema.
            which: The condition on its columns.
        """
        if not self.few:
            return whole(table, namespace, which)
        numbers = f"SELECT i.objid FROM inside i WHERE i.classid = '{table}'::regclass"
        return f"(SELECT x.* FROM {table} x WHERE x.oid = ANY (ARRAY({numbers})) AND {which})"


def literal(text: str) -> str:
    """Give a string that every setting reads alike."""
    return "E'" + text.replace("\\", "\\\\").replace("'", "''").replace("\n", "\\n") + "'"


def array(texts: Iterable[str]) -> str:
    """Give these texts as one array."""
    return f"ARRAY[{', '.join(literal(text) for text in texts)}]::text[]"


def escaped(value: str) -> str:
    r"""Give the value on one line, as ``sql.catalogue.escape`` does."""
    return rf"replace(replace({value}, E'\\', E'\\\\'), E'\n', E'\\n')"


def name(value: str) -> str:
    """Give a name as it stands in SQL, on one line."""
    return escaped(f"quote_ident({value})")


def fact(key: str, value: str, *, when: str = "") -> str:
    """Give a line of a catalogue; nothing where the value is NULL, or the condition does not hold."""
    line = rf"coalesce(E'\n{key}: ' || {escaped(value)}, '')"
    return f"CASE WHEN {when} THEN {line} ELSE '' END" if when else line


def flag(key: str, condition: str) -> str:
    """Give a line where the condition holds."""
    return rf"CASE WHEN {condition} THEN E'\n{key}: yes' ELSE '' END"


def choice(key: str, value: str, **words: str) -> str:
    """Give a line for one of the letters by which the catalogue tells things apart; the others have none."""
    cases = " ".join(rf"WHEN '{letter}' THEN E'\n{key}: {word}'" for letter, word in words.items())
    return f"CASE {value} {cases} ELSE '' END"


def options(key: str, value: str, *, when: str = "true") -> str:
    """Give a line with an array of options, sorted."""
    sorted_ = f"""(SELECT string_agg(o, ', ' ORDER BY o COLLATE "C") FROM unnest({value}) AS o)"""
    return fact(key, sorted_, when=f"{value} IS NOT NULL AND {when}")


def whole(table: str, namespace: str, which: str) -> str:
    """Give the same of a table to be read from one end to the other, once.

    Most have an index with the schema as its last column. To the planner it looks cheap to go through that for each
    schema, which took a second for 500 of them.
    """
    return f"(SELECT * FROM {table} WHERE {which} AND {namespace} IN (SELECT oid FROM ns) OFFSET 0)"


def own(table: str, oid: str) -> str:
    """Give the condition that a row of a table of the catalogue does not belong to an extension."""
    return f"{oid} NOT IN (SELECT ext.objid FROM ext WHERE ext.classid = '{table}'::regclass)"


def remarks(table: str, oid: str) -> str:
    """Give the join that finds the comment on a row of a table of the catalogue."""
    # The table itself: nobody knows how many rows a WITH has, and a nested loop over 10,000 comments takes minutes.
    return f"""LEFT JOIN pg_description note
    ON note.classoid = '{table}'::regclass AND note.objoid = {oid} AND note.objsubid = 0"""


def owner(oid: str) -> str:
    """Give the line of an owner who is not the schema's."""
    return fact("owner", role(oid, "n.tenant", "n.nspowner"), when=f"{oid} <> n.nspowner")


def role(oid: str, schema_name: str, owner_oid: str) -> str:
    """Give a role's name, but ``{owner}`` for the owner and ``{tenant}`` for the one that is called like the schema."""
    return (
        f"CASE WHEN {oid} = 0 THEN 'PUBLIC' WHEN {oid} = {owner_oid} THEN '{{owner}}' "
        f"WHEN pg_get_userbyid({oid}) = {schema_name} THEN '{{tenant}}' ELSE quote_ident(pg_get_userbyid({oid})) END"
    )


def unless(condition: str, *lines: str) -> str:
    """Give these lines, which few objects have, where the condition does not hold; under it they would be empty."""
    return f"CASE WHEN {condition} THEN '' ELSE {' || '.join(lines)} END"


def block(kind: str, line: str, *facts: str) -> str:
    """Give the text of one object, from its kind and its name on one line, both as SQL."""
    return " || ".join((f"{kind} || ': ' || {line}", *facts))


def within(path: str, expression: str) -> str:
    """Give what an expression writes while the search path is this one.

    Names of that path's first schema are then written without it, and all others, but the server's own, with theirs.
    ``CASE`` is what PostgreSQL evaluates in order. Setting costs ten times as much as comparing, and the rows of one
    schema mostly come together.
    """
    return (
        f"CASE WHEN CASE current_setting('search_path') WHEN {path} THEN true "
        f"ELSE set_config('search_path', {path}, true) IS NOT NULL END THEN {expression} END"
    )


def is_ours(column: str, *, parked: bool) -> str:
    """Give the condition that a name is of pdelta's own making.

    Args:
        column: That has the name.
        parked: Whether what is parked or kept counts as the tenant's.
    """
    listed = f"{column} IN ({', '.join(literal(table) for table in LEDGER)})"
    if parked:
        return f"({listed})"
    # LIKE, because it finds them by the index.
    return f"({listed} OR {column} LIKE {_beginning(PARKED)} OR {column} LIKE {_beginning(KEPT)})"


def is_plain(column: str, *, parked: bool) -> str:
    """Give the condition that a name within a table is not one of parking."""
    return "true" if parked else f"{column} NOT LIKE {_beginning(PARKED)}"


def _beginning(prefix: str) -> str:
    return literal(prefix.replace("_", r"\_") + "%")
