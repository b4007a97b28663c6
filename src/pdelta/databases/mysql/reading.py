"""What stamps and ledgers of many databases say, with few round trips."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

import msgspec

from pdelta.databases.base import Glance
from pdelta.databases.mysql import failure, ledger
from pdelta.databases.mysql.listing import databases_of
from pdelta.databases.mysql.quoting import literal
from pdelta.databases.mysql.server import Server, missing
from pdelta.errors import DatabaseError
from pdelta.sql.ledger import Applied, Head

STAMPS_A_QUERY: Final = 250
"""Measured for 1,000 databases: 14 ms in queries of 250, 15 of 100, 20 in one."""
LEDGERS_A_QUERY: Final = 50

Numbered = list[tuple[int, str]]


def glance(server: Server, names: Sequence[str]) -> dict[str, Glance | Exception]:
    """Give what the stamps of these tenants say; those that are gone are missing.

    Raises:
        DatabaseError: The server can't be reached.
    """
    there, managed = databases_of(server, names), databases_of(server, names, ledger.HEAD)
    found: dict[str, Glance | Exception] = {
        name: Glance(managed=False, head=None) for name in names if name in there and name not in managed
    }
    for name, rows in _asked(server, [name for name in names if name in managed], ledger.read_stamps, STAMPS_A_QUERY):
        found[name] = rows if isinstance(rows, Exception) else _stamp(rows)
    return found


def ledgers(server: Server, names: Sequence[str], delta: str = "") -> dict[str, Sequence[Applied] | Exception]:
    """Give the rows of these tenants' ledgers; none for a tenant without one.

    Args:
        server: That has them.
        names: Of the tenants.
        delta: The only one whose row is wanted; empty for all.

    Raises:
        DatabaseError: The server can't be reached.
    """
    there, managed = databases_of(server, names), databases_of(server, names, ledger.APPLIED)
    found: dict[str, Sequence[Applied] | Exception] = {
        name: () if name in there else missing(name) for name in names if name not in managed
    }

    def text(numbered: Numbered) -> str:
        return ledger.read_rows(numbered, delta)

    for name, rows in _asked(server, [name for name in names if name in managed], text, LEDGERS_A_QUERY):
        found[name] = rows if isinstance(rows, Exception) else _applied(name, rows)
    return found


def blockers(server: Server, name: str, claim: str) -> list[str]:
    """Give, in words, which sessions hold a tenant or have a transaction open in its database."""
    text = (
        f"SELECT p.ID, p.USER, p.HOST, TIMESTAMPDIFF(SECOND, t.trx_started, NOW()), p.ID <=> IS_USED_LOCK({claim})"
        " FROM information_schema.PROCESSLIST AS p"
        " LEFT JOIN information_schema.INNODB_TRX AS t ON t.trx_mysql_thread_id = p.ID"
        f" WHERE p.ID <> CONNECTION_ID() AND ((t.trx_started IS NOT NULL AND p.DB = {literal(name)})"
        f" OR p.ID <=> IS_USED_LOCK({claim})) ORDER BY t.trx_started, p.ID"
    )
    try:
        rows = server.ask(text)
    except DatabaseError:
        return []
    return [_in_words(*row) for row in rows]


def _in_words(number: int, user: str, host: str, seconds: int | None, is_run: int) -> str:
    what = "is another run of pdelta" if is_run else f"has a transaction open for {seconds} s"
    return f"session {number} ({user}@{host}) {what}"


def _asked(
    server: Server, names: Sequence[str], text: Callable[[Numbered], str], at_once: int
) -> Iterator[tuple[str, list[tuple[Any, ...]] | Exception]]:
    """Give the rows of each of these tenants, many a query; where that fails, ask for each alone."""
    for start in range(0, len(names), at_once):
        numbered = list(enumerate(names[start : start + at_once]))
        try:
            grouped = _grouped(numbered, server.ask(text(numbered)))
        except DatabaseError:
            for _, name in numbered:
                try:
                    yield name, _grouped([(0, name)], server.ask(text([(0, name)]), about=name))[name]
                except DatabaseError as error:
                    yield name, error
        else:
            yield from grouped.items()


def _grouped(numbered: Numbered, rows: Sequence[tuple[Any, ...]]) -> dict[str, list[tuple[Any, ...]]]:
    names = dict(numbered)
    found: dict[str, list[tuple[Any, ...]]] = {name: [] for _, name in numbered}
    for number, *values in rows:
        found[names[number]].append(tuple(values))
    return found


def _stamp(rows: Sequence[tuple[Any, ...]]) -> Glance:
    """Give what a stamp says; one that is missing or doubtful says nothing."""
    if len(rows) != 1 or rows[0][2]:
        return Glance(managed=True, head=None)
    return Glance(managed=True, head=Head(int(rows[0][0]), str(rows[0][1])))


def _applied(name: str, rows: Sequence[tuple[Any, ...]]) -> Sequence[Applied] | Exception:
    try:
        return [ledger.row_of(row) for row in rows]
    except msgspec.ValidationError as error:
        return failure.refused(name, f"its ledger holds what pdelta never writes: {error}")
