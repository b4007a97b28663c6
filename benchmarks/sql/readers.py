"""Long readers: sessions that have read a tenant's table in a transaction that they do not end."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

from benchmarks.sql.deltas import TABLES
from tests.fixtures.postgresql import PASSWORD, SUPERUSER, PostgreSQL

TABLE = TABLES[0]


@contextmanager
def long_readers(server: PostgreSQL, database: str, tenants: Sequence[str]) -> Iterator[None]:
    """Keep one reader in each of these tenants; all of them hold their lock when this begins."""
    with ExitStack() as stack:
        for tenant in tenants:
            stack.enter_context(_reader(server, database, tenant))
        yield


@contextmanager
def _reader(server: PostgreSQL, database: str, tenant: str) -> Iterator[None]:
    place = {"PGHOST": "127.0.0.1", "PGPORT": str(server.port), "PGUSER": SUPERUSER, "PGPASSWORD": PASSWORD}
    with subprocess.Popen(
        [str(server.programs / "psql"), "-Xqt", "-d", database],
        env={**os.environ, **place},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(f"BEGIN;\nSELECT count(*) FROM {tenant}.{TABLE};\n")
        process.stdin.flush()
        if not process.stdout.readline().strip().isdigit():
            raise RuntimeError(f"{tenant} has no reader")
        yield
        # Its input ends, so it does too, and the transaction with it.


def last_commit_s(server: PostgreSQL, database: str, column: str, without: Sequence[str]) -> tuple[int, float]:
    """Give in how many tenants a column was added, these left out, and when the last of them was committed.

    By the server's own commit times: nothing has to look while the roll-out is under way.
    """
    table, _, name = column.partition(".")
    left_out = ", ".join(f"'{tenant}'" for tenant in without)
    ((count, at_s),) = server.sql(
        f"""SELECT count(*), extract(epoch FROM max(pg_xact_commit_timestamp(a.xmin)))
        FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE a.attname = '{name}' AND c.relname = '{table}' AND n.nspname NOT IN ({left_out})""",  # noqa: S608 - ours
        database,
    )
    return int(count), float(at_s or 0)
