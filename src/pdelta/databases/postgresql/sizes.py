"""How large tables are: one question for all schemas of a database, whatever their number.

Called by ``reading``. Rows are what the planner would expect: those of the last ANALYZE, for as many pages as there
are now; of a table that was never looked at, as many as could be in its pages.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from pdelta.databases.postgresql.connection import Result
from pdelta.databases.postgresql.quoting import literal
from pdelta.sql.lint.finding import TableSize

_SHORTEST_ROW_BYTES: Final = 28
"""A row without a value: 24 of its header, 4 of its pointer."""
_WAIT_MS: Final = 2_000
"""Looking at a table's length waits for whoever alters it; that is not worth more."""
_LIMITS: Final = (f"SET LOCAL lock_timeout = {_WAIT_MS}", "SET LOCAL statement_timeout = '30s'", "SET LOCAL jit = off")


def question(schemas: Sequence[str] | None) -> str:
    """Give the string that asks for the largest table of each name in these schemas.

    Partitions are counted with the table that they are of.

    Args:
        schemas: Their names; None for those of the search path.
    """
    chosen = "current_schemas(false)"
    if schemas is not None:
        chosen = f"ARRAY[{', '.join(map(literal, schemas))}]::text[]"
    ours = (
        f"unnest({chosen}) AS chosen (name) JOIN pg_namespace AS n ON n.nspname = chosen.name"
        " JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname NOT LIKE 'pdelta\\_%'"
    )
    parts = (
        f"SELECT c.oid AS whole, c.relname, c.oid AS part FROM {ours} AND c.relkind IN ('r', 'm')"
        f" UNION ALL SELECT c.oid, c.relname, t.relid::oid FROM {ours} AND c.relkind = 'p'"
        ", LATERAL pg_partition_tree(c.oid) AS t WHERE t.isleaf"
    )
    rows = (
        "CASE WHEN p.reltuples > 0 AND p.relpages > 0"
        " THEN p.reltuples / p.relpages * size.bytes / current_setting('block_size')::int"
        f" ELSE size.bytes / {_SHORTEST_ROW_BYTES} END"
    )
    wholes = (
        f"SELECT parts.relname, sum({rows}) AS rows, sum(size.bytes) AS bytes FROM ({parts}) AS parts"
        " JOIN pg_class AS p ON p.oid = parts.part,"
        " LATERAL (SELECT coalesce(pg_relation_size(p.oid), 0) + CASE WHEN p.reltoastrelid = 0 THEN 0"
        " ELSE coalesce(pg_relation_size(p.reltoastrelid), 0) END) AS size (bytes) GROUP BY whole, parts.relname"
    )
    largest = (
        f"SELECT relname, max(rows)::bigint AS rows, max(bytes)::bigint AS bytes FROM ({wholes}) AS wholes GROUP BY 1"
    )
    asked = f"SELECT json_agg(relname), json_agg(rows), json_agg(bytes) FROM ({largest}) AS largest"
    return ";".join(("BEGIN READ ONLY", *_LIMITS, asked, "COMMIT"))


def read(results: Sequence[Result]) -> Mapping[str, TableSize]:
    """Give the answer."""
    names, rows, sizes = (msgspec.json.decode(text or "[]") for text in results[-2].rows[0])
    return {name: TableSize(*size) for name, *size in zip(names, rows, sizes, strict=True)}
