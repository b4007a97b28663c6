"""What removes from a tenant what its deltas have parked and kept: asked there, executed by whoever purges.

A delta whose things are gone can be reversed no more, and its row of the ledger has to say so.
"""

from typing import Final, assert_never

from pdelta.sql.derive.kept import KEPT, PARKED, key_of
from pdelta.sql.token import Dialect

_DIGITS: Final = 10


def purge_query(dialect: Dialect, *, delta: str = "") -> str:
    """Give the question for what deltas have parked and kept in a tenant, and for the statements that remove it.

    Its rows, in the order in which the statements are to be executed, hold: the key of the delta, which ``key_of``
    gives for its id; what is removed, in words for people; and the statement.

    Args:
        dialect: Whose tenant.
        delta: The id of the one delta that is asked for; empty for all.
    """
    key = key_of(delta) if delta else ""
    match dialect:
        case Dialect.POSTGRESQL:
            return _postgresql(key)
        case Dialect.SQLITE:
            return _sqlite(key)
        case Dialect.MYSQL:
            return _mysql(key)
        case _:
            assert_never(dialect)


def _postgresql(key: str) -> str:
    """Columns, tables with what belongs to them, then sequences and types, which columns and tables have used."""
    parked, kept = (f"{prefix.replace('_', '!_')}{key}%" for prefix in (PARKED, KEPT))

    def ours(name: str) -> str:
        return f"({name} LIKE '{parked}' ESCAPE '!' OR {name} LIKE '{kept}' ESCAPE '!')"

    def digits(name: str) -> str:
        return f"substring({name} FROM '^(?:{PARKED}|{KEPT})([0-9a-f]{{{_DIGITS}}})')"

    mine = "relnamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema())"
    listed = "string_agg('DROP COLUMN ' || quote_ident(a.attname), ', ' ORDER BY a.attgenerated = '', a.attnum)"
    columns = (
        f"SELECT 1 AS turn, {digits('a.attname')} AS key, 'columns of ' || c.oid::regclass AS what, 'ALTER TABLE ' ||"
        f" c.oid::regclass || ' ' || {listed} AS statement FROM pg_class c"
        f" JOIN pg_attribute a ON a.attrelid = c.oid AND NOT a.attisdropped WHERE c.{mine}"
        f" AND c.relkind IN ('r', 'p') AND {ours('a.attname')} AND a.attinhcount = 0 GROUP BY 1, 2, c.oid"
    )

    def things(turn: int, kind: str, kinds: str) -> str:
        names = "string_agg(c.oid::regclass::text, ', ' ORDER BY c.oid)"
        return (
            f"SELECT {turn}, {digits('c.relname')}, '{kind.lower()} ' || {names}, 'DROP {kind} IF EXISTS ' || {names}"
            f" FROM pg_class c WHERE c.{mine} AND c.relkind IN ({kinds}) AND {ours('c.relname')} GROUP BY 1, 2"
        )

    def types(turn: int, kind: str, letters: str) -> str:
        names = "string_agg(t.oid::regtype::text, ', ' ORDER BY t.oid)"
        return (
            f"SELECT {turn}, {digits('t.typname')}, '{kind.lower()} ' || {names}, 'DROP {kind} ' || {names}"
            " FROM pg_type t LEFT JOIN pg_class c ON c.oid = t.typrelid"
            f" WHERE t.{mine.replace('relnamespace', 'typnamespace')}"
            f" AND t.typtype IN ({letters}) AND coalesce(c.relkind, 'c') = 'c' AND {ours('t.typname')} GROUP BY 1, 2"
        )

    parts = (
        columns,
        things(2, "TABLE", "'r', 'p'"),
        things(3, "SEQUENCE", "'S'"),
        types(4, "TYPE", "'e', 'c', 'r'"),
        types(5, "DOMAIN", "'d'"),
    )
    return f"SELECT key, what, statement FROM ({' UNION ALL '.join(parts)}) p ORDER BY turn, key, statement"


def _sqlite(key: str) -> str:
    quoted = "'\"' || replace(name, '\"', '\"\"') || '\"'"
    return (
        f"SELECT substr(name, {len(KEPT) + 1}, {_DIGITS}), 'table ' || name, 'DROP TABLE ' || {quoted}"
        f" FROM main.sqlite_master WHERE type = 'table' AND name GLOB '{KEPT}{key}*' ORDER BY name"
    )


def _mysql(key: str) -> str:
    parked, kept = (f"{prefix.replace('_', '!_')}{key}%" for prefix in (PARKED, KEPT))

    def digits(name: str) -> str:
        return f"substr({name}, if({name} LIKE '{kept}' ESCAPE '!', {len(KEPT) + 1}, {len(PARKED) + 1}), {_DIGITS})"

    def ours(name: str) -> str:
        return f"({name} LIKE '{parked}' ESCAPE '!' OR {name} LIKE '{kept}' ESCAPE '!')"

    def quoted(name: str) -> str:
        return f"concat('`', replace({name}, '`', '``'), '`')"

    return (
        f"SELECT {digits('column_name')}, concat('column ', column_name, ' of ', table_name), concat('ALTER TABLE ',"
        f" {quoted('table_name')}, ' DROP COLUMN ', {quoted('column_name')}) FROM information_schema.columns"
        f" WHERE table_schema = database() AND {ours('column_name')} AND NOT {ours('table_name')} UNION ALL"
        f" SELECT {digits('table_name')}, concat('table ', table_name), concat('DROP TABLE ', {quoted('table_name')})"
        f" FROM information_schema.tables WHERE table_schema = database() AND {ours('table_name')}"
    )
