"""What the system catalogue says of tenants: their names and sizes, their stamps, who is in their way.

Every question gives one value or a few, whatever the number of tenants: lists come as JSON, which the server makes
and we read faster than rows.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Final

import msgspec

from pdelta.databases.postgresql.connection import Result
from pdelta.databases.postgresql.ledger import APPLIED
from pdelta.databases.postgresql.quoting import literal

_OURS: Final = (
    f"LEFT JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = '{APPLIED}' AND c.relkind IN ('r', 'p')"
    " LEFT JOIN pg_description AS d ON d.objoid = c.oid AND d.classoid = 'pg_class'::regclass AND d.objsubid = 0"
)
_NOT_SYSTEM: Final = "nspname !~ '^pg_' AND nspname <> 'information_schema'"
_BLOCK_BYTES: Final = 8192
_USER_OBJECTS: Final = 16384
"""Numbers below are those of the system's own tables."""

_UNITS: Final[Mapping[str, int]] = {"days": 86_400, "h": 3600, "min": 60}


class Seen(msgspec.Struct, frozen=True):
    """What the catalogue knows of one tenant's ledger.

    Attributes:
        oid: Of its table; 0 where there is none, or nobody has looked.
        comment: On that.
        schema: That holds it, or is to hold it; empty where nobody has looked.
        database: Of a tenant that is a database, its number, if a comment on it is ours to make; else 0.
    """

    oid: int
    comment: str | None
    schema: str
    database: int = 0

    @property
    def mark(self) -> str:
        """What a session must know of it."""
        return f"{self.oid} {self.database} {self.schema}"

    @classmethod
    def of(cls, mark: str) -> "Seen":
        """Give what a mark says."""
        oid, database, schema = mark.split(" ", 2)
        return cls(int(oid), None, schema, int(database))


def schemas(*, sizes: bool) -> str:
    """Give the question for all schemas, and for how much they hold.

    The size is that of the last vacuum: to ask every file would cost more than all else.
    """
    if not sizes:
        return f"SELECT json_agg(nspname), NULL FROM pg_namespace WHERE {_NOT_SYSTEM}"
    held = f"SELECT relnamespace, sum(relpages)::bigint * {_BLOCK_BYTES} AS size FROM pg_class GROUP BY 1"
    return (
        "SELECT json_agg(nspname), json_agg(coalesce(size, 0)) FROM pg_namespace"
        f" LEFT JOIN ({held}) AS held ON relnamespace = oid WHERE {_NOT_SYSTEM}"
    )


def databases(*, sizes: bool) -> str:
    """Give the question for all databases that can be connected to, and for how much they hold."""
    size = "pg_database_size(oid)" if sizes else "0"
    return (
        f"SELECT json_agg(datname), json_agg({size}) FROM pg_database"
        " WHERE datallowconn AND NOT datistemplate AND datname <> 'postgres'"
    )


def ledgers_of_schemas(names: Sequence[str] = ()) -> str:
    """Give the question for the ledgers of these schemas; of none: of all."""
    chosen = f" WHERE n.nspname IN ({', '.join(map(literal, names))})" if names else ""
    return (
        "SELECT json_agg(n.nspname), json_agg(coalesce(c.oid, 0)::bigint), json_agg(d.description)"
        f" FROM pg_namespace AS n {_OURS}{chosen}"
    )


def stamps_of_databases() -> str:
    """Give the question for the comments on all databases of a server, and for whether they are ours to make."""
    return (
        "SELECT json_agg(datname), json_agg(oid::bigint), json_agg(shobj_description(oid, 'pg_database')),"
        " json_agg(pg_has_role(datdba, 'USAGE')) FROM pg_database"
    )


def ledger_in_first_schema() -> str:
    """Give the question for the ledger in the first schema of the search path, where it nearly always is.

    It is answered before a new session knows much of the catalogue, in a quarter of the time that
    ``ledger_of_database`` takes.
    """
    return f"SELECT to_regclass(quote_ident(current_schema()) || '.{APPLIED}')::oid::bigint, current_schema()"


def head_rows() -> str:
    """Give the question for all that heads are made of, in the database that is connected to."""
    return f"SELECT id, digest, state FROM {APPLIED}"


def ledger_of_database() -> str:
    """Give the question for the ledger of the database that is connected to.

    It is in the first schema of the search path that has one, else it is to be in the first. The comment
    on a database is only made where nobody has written one, and where we may.
    """
    # A session that has just begun knows nothing of the catalogue: what looks a name up is done before any join.
    ours = (
        "SELECT c.oid, n.nspname, d.description FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace"
        " LEFT JOIN pg_description AS d ON d.objoid = c.oid AND d.classoid = 'pg_class'::regclass AND d.objsubid = 0"
        " WHERE c.oid = to_regclass('pdelta_applied') AND c.relkind IN ('r', 'p')"
    )
    said = "SELECT description FROM pg_shdescription WHERE objoid = b.oid AND classoid = 'pg_database'::regclass"
    return (
        "SELECT coalesce(o.oid, 0)::bigint, o.description, coalesce(o.nspname, current_schema()),"
        f" CASE WHEN pg_has_role(b.datdba, 'USAGE') AND coalesce(({said}), 'pdelta 1') ~ '^pdelta [0-9]'"
        f" THEN b.oid ELSE 0 END FROM pg_database AS b LEFT JOIN ({ours}) AS o ON true"
        " WHERE b.datname = current_database() AND coalesce(o.nspname, current_schema()) IS NOT NULL"
    )


def blockers(*, schema: str, database: str) -> str:
    """Give the question for who holds locks on the tables of a schema, or of a database where the schema is empty."""
    within = f" AND n.nspname = {literal(schema)}" if schema else ""
    tables = (
        "JOIN pg_class AS c ON c.oid = l.relation JOIN pg_namespace AS n ON n.oid = c.relnamespace " if schema else ""
    )
    here = literal(database) if database else "current_database()"
    return (
        "SELECT a.pid, a.application_name, a.usename, a.backend_type, a.state,"
        " extract(epoch FROM now() - a.xact_start)::bigint, extract(epoch FROM now() - a.query_start)::bigint,"
        f" max(l.mode), left(a.query, 200) FROM pg_locks AS l {tables}JOIN pg_stat_activity AS a ON a.pid = l.pid"
        f" WHERE l.granted AND l.locktype = 'relation' AND l.relation >= {_USER_OBJECTS} AND a.pid <> pg_backend_pid()"
        f" AND l.database = (SELECT oid FROM pg_database WHERE datname = {here}){within}"
        " GROUP BY 1, 2, 3, 4, 5, a.xact_start, a.query_start, a.query ORDER BY a.xact_start NULLS LAST, a.pid"
    )


def invalid_indexes(schema: str) -> str:
    """Give the question for indexes that a failure has left unfinished, and that nobody is at work on."""
    within = f"n.nspname = {literal(schema)}" if schema else "n.nspname !~ '^pg_'"
    return (
        "SELECT quote_ident(n.nspname) || '.' || quote_ident(c.relname) FROM pg_index AS i"
        " JOIN pg_class AS c ON c.oid = i.indexrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace"
        f" WHERE NOT i.indisvalid AND c.relkind = 'i' AND {within}"
        " AND NOT EXISTS (SELECT FROM pg_stat_progress_create_index AS p WHERE p.index_relid = c.oid) ORDER BY 1"
    )


def remedies(schema: str) -> str:
    """Give the question for the statements that remove such indexes, and end detachments that were cut off.

    A partition whose ``DETACH … CONCURRENTLY`` has begun is seen by its mark, which older servers do not have.
    """
    within = f"n.nspname = {literal(schema)}" if schema else "n.nspname !~ '^pg_'"
    return (
        f"SELECT 'DROP INDEX CONCURRENTLY IF EXISTS ' || name FROM ({invalid_indexes(schema)}) AS i (name)"
        " UNION ALL SELECT format('ALTER TABLE %I.%I DETACH PARTITION %I.%I FINALIZE', pn.nspname, p.relname,"
        " n.nspname, c.relname) FROM pg_inherits AS h JOIN pg_class AS c ON c.oid = h.inhrelid JOIN pg_namespace AS n"
        " ON n.oid = c.relnamespace JOIN pg_class AS p ON p.oid = h.inhparent JOIN pg_namespace AS pn"
        f" ON pn.oid = p.relnamespace WHERE to_jsonb(h)->>'inhdetachpending' = 'true' AND {within} ORDER BY 1"
    )


def versions(schema: str, names: Collection[str]) -> str:
    """Give what reads a hash over which rows of the catalogue are about a tenant's things of these names.

    With the version of each: a row that is written anew has another ``xmin``; freezing and analysing leave it alone.
    Those of what no transaction takes: indexes, by their own name or by their table's, the places of partitions,
    labels of types, databases and tablespaces.

    Args:
        schema: The tenant's; empty for all of a database.
        names: As the catalogue has them, but for what is too long there.
    """
    within = f"nspname = {literal(schema)}" if schema else "nspname !~ '^pg_' AND nspname <> 'information_schema'"
    ours = f"SELECT oid FROM pg_namespace WHERE {within}"
    # The server cuts what is longer than a name, as it did when the statement was executed.
    listed = f"ANY (ARRAY[{', '.join(map(literal, sorted(names)))}]::name[])"
    named = f"SELECT oid FROM pg_class WHERE relnamespace IN ({ours}) AND relname = {listed}"
    types = f"SELECT oid FROM pg_type WHERE typnamespace IN ({ours}) AND typname = {listed}"
    rows = " UNION ALL ".join(
        f"SELECT {number} AS kind, {key}::bigint AS id, xmin::text FROM {source} WHERE {condition}"
        for number, (source, key, condition) in enumerate(
            (
                ("pg_index", "indexrelid", f"indexrelid IN ({named}) OR indrelid IN ({named})"),
                ("pg_inherits", "inhrelid", f"inhrelid IN ({named})"),
                ("pg_enum", "oid", f"enumtypid IN ({types})"),
                ("pg_database", "oid", f"datname = {listed}"),
                ("pg_tablespace", "oid", f"spcname = {listed}"),
            )
        )
    )
    return f"SELECT md5(coalesce(string_agg(concat_ws(',', f.*), ' ' ORDER BY f), '')) FROM ({rows}) AS f"


def read_names(result: Result) -> dict[str, int]:
    """Give names with their sizes."""
    names, sizes = result.rows[0]
    found = msgspec.json.decode(names or "[]", type=list[str])
    return dict(zip(found, msgspec.json.decode(sizes, type=list[int]) if sizes else [0] * len(found), strict=True))


def read_seen(result: Result) -> dict[str, Seen]:
    """Give what is known of the ledgers of schemas."""
    names, oids, comments = (json or "[]" for json in result.rows[0])
    return {
        name: Seen(oid, comment, name)
        for name, oid, comment in zip(
            msgspec.json.decode(names, type=list[str]),
            msgspec.json.decode(oids, type=list[int]),
            msgspec.json.decode(comments, type=list[str | None]),
            strict=True,
        )
    }


def read_stamps(result: Result) -> dict[str, tuple[Seen, int, str | None]]:
    """Give what is known of databases from outside: their number and comment come beside what a session is told."""
    names, oids, comments, ours = result.rows[0]
    rows = zip(
        msgspec.json.decode(names, type=list[str]),
        msgspec.json.decode(oids, type=list[int]),
        msgspec.json.decode(comments, type=list[str | None]),
        msgspec.json.decode(ours, type=list[bool]),
        strict=True,
    )
    return {name: (Seen(0, None, "", oid if mine else 0), oid, comment) for name, oid, comment, mine in rows}


def in_words(row: Sequence[object]) -> str:
    """Give one who holds locks, in words for people."""
    pid, application, user, kind, state, open_s, since_s, mode, query = row
    who = f"process {pid} ({application or kind or 'unknown'}{f', user {user}' if user else ''})"
    held = f"holds {mode} in a transaction of {_age(open_s)}" if open_s is not None else f"holds {mode}"
    does = f"{state} for {_age(since_s)}" if state and since_s is not None else ""
    said = " ".join(str(query or "").split())
    return ", ".join(filter(None, (f"{who} {held}", does))) + (f": {said[:100]}" if said else "")


def _age(seconds: object) -> str:
    count = max(0, int(str(seconds)))
    for unit, length in _UNITS.items():
        if count >= 2 * length:
            return f"{count // length} {unit}"
    return f"{count} s"
