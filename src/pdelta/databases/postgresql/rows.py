"""Digests of the rows of a tenant's tables: one SELECT of one value, whatever tables are there when it is executed.

The server puts the question to each table itself (``query_to_xml`` executes a text), because which tables there are is
only known behind the delta. Rows are compared as text, in settings that write every value in full; the hashes are
added up, so that their order does not matter.
"""

from typing import Final

import msgspec

from pdelta.databases.catalogue.ours import LEDGER
from pdelta.databases.catalogue.postgresql_text import SETTINGS, array, literal
from pdelta.databases.rows import Rows, RowsAsked, RowsHeld
from pdelta.sql.derive.kept import KEPT, PARKED

BEFORE: Final = ("SAVEPOINT pdelta", *(f"SET LOCAL {key} = {literal(value)}" for key, value in SETTINGS.items()))
"""Belongs before the question: how values are written."""
AFTER: Final = ("ROLLBACK TO SAVEPOINT pdelta", "RELEASE SAVEPOINT pdelta")
"""Belongs behind it: what comes next finds the settings as they were."""

_HASH: Final = 'hashtextextended(pdelta_row.v COLLATE "C", {})'
_SUM: Final = f"coalesce(sum({_HASH}), 0)"
_DIGEST: Final = f"concat_ws(' ', count(*), {_SUM.format(1)}, {_SUM.format(2)})"
_LIST: Final = f"concat_ws(' ', {_DIGEST}, string_agg({_HASH.format(1)}::text, ' '))"
_NONE: Final = "0 0 0"
"""The digest of no rows."""
_HEAP: Final = 2
_IS_EMPTY: Final = f"relam = {_HEAP} AND pg_relation_size(oid) = 0"
"""Whether a table has no room for a row: to ask each one takes longer than all else, and most have none or few."""
_FROM: Final = "FROM (SELECT (pdelta_row.*)::text AS v FROM ONLY %I.%I AS pdelta_row) AS pdelta_row"


def question(asked: RowsAsked, schema: str) -> str:
    """Give the SELECT of one value that ``answer`` reads.

    Args:
        asked: What is asked for.
        schema: The tenant's; empty for the whole database.
    """
    own = _within(schema) if schema else "n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"
    label = "c.relname" if schema else "CASE n.nspname WHEN 'public' THEN '' ELSE n.nspname || '.' END || c.relname"
    named = array(sorted(asked.named))
    ours = (
        f"c.relname = ANY ({array(LEDGER)}) OR starts_with(c.relname, '{PARKED}') OR starts_with(c.relname, '{KEPT}')"
    )
    listed = f"CASE WHEN label = ANY ({array(sorted(asked.listed))}) THEN {literal(_LIST)} ELSE {literal(_DIGEST)} END"
    text = f"'SELECT ' || {listed} || format({literal(f' AS d {_FROM}')}, nspname, relname)"
    small = f"pg_table_size(oid) <= {asked.below_bytes} AND has_table_privilege(oid, 'SELECT')"
    read = f"label = ANY ({named}) OR lower(relname) = ANY ({named}) OR {small}"
    counted = f"substring(query_to_xml({text}, false, true, '')::text FROM '<d>([^<]*)</d>')"
    told = f"CASE WHEN {read} THEN CASE WHEN {_IS_EMPTY} THEN {literal(_NONE)} ELSE {counted} END END"
    return (
        f"SELECT coalesce(json_agg(json_build_array(label, {told})), '[]')::text"
        f" FROM (SELECT c.oid, c.relam, n.nspname, c.relname, {label} AS label"
        " FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
        f" WHERE c.relkind = 'r' AND {own} AND NOT ({ours})) AS t"
    )


def _within(schema: str) -> str:
    """Give the condition that a table lies in a schema: its tables are found by what depends on it, the only index."""
    number = f"SELECT oid FROM pg_namespace WHERE nspname = {literal(schema)}"
    inside = (
        "SELECT d.objid FROM pg_depend AS d WHERE d.refclassid = 'pg_namespace'::regclass"
        f" AND d.refobjid = ({number}) AND d.classid = 'pg_class'::regclass"
    )
    return f"n.nspname = {literal(schema)} AND c.oid = ANY (ARRAY({inside}))"


def answer(text: str) -> RowsHeld:
    """Give what the value of a question says."""
    return {table: _rows(told) for table, told in msgspec.json.decode(text, type=list[tuple[str, str | None]])}


def _rows(told: str | None) -> Rows | None:
    if told is None:
        return None
    count, first, second, *hashes = told.split(" ")
    return Rows(int(count), f"{first} {second}", tuple(hashes))
