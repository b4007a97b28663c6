"""The versions of a repeatable delta in one tenant: the row that it has, and those that this one has replaced.

A row says which digest it replaced, and the history holds that row. ``reckon`` asks how far back a delta goes, and
``carry`` for the rows on that way.
"""

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from pdelta.databases.base import Database, Session
from pdelta.databases.by_lane import by_lane
from pdelta.errors import PdeltaError
from pdelta.sql.ledger import Applied, State
from pdelta.sql.mark import decode_mark


class Left(msgspec.Struct, frozen=True):
    """A row that left a ledger.

    Attributes:
        number: Of its row in the history, where later ones have larger numbers.
        run: The run in which it left.
        row: As it was.
    """

    number: int
    run: str
    row: Applied


Histories = Mapping[str, Sequence[Left]]
"""The rows that left one tenant's ledger, by their deltas."""


def history_of(session: Session, tenant: str, id: str) -> tuple[Left, ...]:
    """Give the rows of a delta that left a tenant's ledger whole, the last one first.

    Raises:
        DatabaseError: The history can't be read.
    """
    columns = Applied.__struct_fields__
    found = session.query(
        tenant,
        f"SELECT number, left_run, {', '.join(columns)} FROM pdelta_history "  # noqa: S608 - checked by their formats
        f"WHERE id = '{id}' AND state = '{State.APPLIED}' ORDER BY number DESC",
    )
    return tuple(
        Left(int(number), run, msgspec.convert(dict(zip(columns, values, strict=True)), Applied))
        for number, run, *values in found
    )


def histories(database: Database, wanted: Mapping[str, Sequence[str]]) -> dict[str, Histories | PdeltaError]:
    """Give what left the ledgers of tenants.

    Args:
        database: Whose tenants.
        wanted: The deltas that are asked for, by tenant.
    """
    found: dict[str, Histories | PdeltaError] = {}
    for tenant, session in by_lane(database, wanted):
        try:
            found[tenant] = {id: history_of(session, tenant, id) for id in wanted[tenant]}
        except PdeltaError as error:
            found[tenant] = error
    return found


def replaced(row: Applied, left: Sequence[Left]) -> tuple[Applied, ...]:
    """Give the versions that came before a row, the newest first, as far back as rows and history tell."""
    return _walk(row, left, None)


def along(row: Applied, digests: Iterable[str], left: Sequence[Left], tenant: str) -> tuple[Applied, ...]:
    """Give the versions with these digests, each of which the one before replaced.

    Raises:
        PdeltaError: The history does not hold one of them.
    """
    wanted = tuple(digests)
    found = _walk(row, left, wanted)
    if len(found) < len(wanted):
        raise PdeltaError(f"{tenant}: the version of {row.id} before this one is not in the history")
    return found


def _walk(row: Applied, left: Sequence[Left], digests: Sequence[str] | None) -> tuple[Applied, ...]:
    versions: list[Applied] = []
    older = left
    while digests is None or len(versions) < len(digests):
        former = decode_mark(row.captured).former if digests is None else digests[len(versions)]
        alike = [one for one in older if former and one.row.digest == former]
        if not alike:
            break
        # Of several with its digest, the one that left when this one came.
        found = next((one for one in alike if one.run == row.run), alike[0])
        row = found.row
        versions.append(row)
        # What it replaced left before it did.
        older = [one for one in older if one.number < found.number]
    return tuple(versions)
