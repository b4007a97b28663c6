"""``pdelta sql purge``: what deltas have parked and kept in tenants is removed, and with it the way back."""

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from pdelta.app.context import Context
from pdelta.app.sql.fleet import Fleet, open_fleet
from pdelta.app.sql.scripts import folder_of
from pdelta.databases.base import Database, Glance, Move, Session, Work
from pdelta.errors import PdeltaError, UsageError
from pdelta.formats.database import DatabaseSection
from pdelta.operations.sql.work import Limits
from pdelta.sql.derive.kept import key_of
from pdelta.sql.derive.purge import purge_query
from pdelta.sql.ledger import Applied, Way, head_of_rows
from pdelta.sql.order import SUFFIX
from pdelta.sql.piece import Piece

LOCK_TIMEOUT_MS: Final = 2000

GONE = "what it had parked or kept was purged"
"""Why a delta can't be taken back any more; stands in its row of the ledger."""


class PurgeOptions(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be purged, and where.

    Attributes:
        database: The section's name; empty where there is only one.
        only: Names, globs and ``tag:NAME`` of tenants; empty for all.
        delta: The only delta whose things go; empty for all.
        dry_run: Whether only to tell what would go.
        lock_timeout_ms: How long a statement waits for a lock; 0 for what the project file says, else two seconds.
    """

    database: str = ""
    only: tuple[str, ...] = ()
    delta: str = ""
    dry_run: bool = False
    lock_timeout_ms: int = 0


class Purged(msgspec.Struct, frozen=True):
    """What became of one tenant that held something.

    Attributes:
        tenant: Its name.
        things: What was removed, or would be, in words.
        deltas: The deltas that can't be taken back there any more.
        error: Why nothing was removed; None where all was.
    """

    tenant: str
    things: tuple[str, ...]
    deltas: tuple[str, ...]
    error: PdeltaError | None = None


class PurgeOutcome(msgspec.Struct, frozen=True):
    """What became of a purge.

    Attributes:
        database: The section's name.
        tenants: How many were looked at.
        purged: Those that held something.
        dry_run: Whether nothing was removed.
    """

    database: str
    tenants: int
    purged: tuple[Purged, ...]
    dry_run: bool

    @property
    def failed(self) -> int:
        """In how many nothing could be removed."""
        return sum(one.error is not None for one in self.purged)


def purge(options: PurgeOptions, context: Context) -> PurgeOutcome:
    """Remove what was parked and kept.

    Each tenant is one transaction: either its things are gone and its ledger says so, or neither.

    Raises:
        UsageError: No tenant has the delta that is named, and there is no file of it.
        PdeltaError: There is no such section or tenant, or the tenants can't be listed.
    """
    with open_fleet(context, options.database, options.only) as fleet:
        names = [member.tenant.name for member in fleet.members.values()]
        database = fleet.database
        limits = _limits(fleet.section, options)
        sessions: dict[str, Session] = {}
        purged: list[Purged] = []
        try:
            for name in names:
                lane = database.lane(name)
                if lane not in sessions:
                    sessions[lane] = database.session(lane)
                one = _purge_one(database, sessions[lane], name, options, limits)
                if one is not None:
                    purged.append(one)
        finally:
            for session in sessions.values():
                session.close()
        if options.delta and not purged:
            _check_known(fleet, options.delta, names, context)
    return PurgeOutcome(fleet.section.name, len(names), tuple(purged), options.dry_run)


def _check_known(fleet: Fleet, delta: str, names: Sequence[str], context: Context) -> None:
    """Refuse a delta that no ledger has, nor the folder: its name was mistyped.

    Raises:
        UsageError: There is no such delta.
    """
    if (folder_of(context, fleet.section) / f"{delta}{SUFFIX}").exists():
        return
    for rows in fleet.database.ledgers(names).values():
        if isinstance(rows, Exception) or any(row.id == delta for row in rows):
            return
    raise UsageError(f"there is no delta {delta!r}", hint="list them: pdelta sql status")


def _limits(section: DatabaseSection, options: PurgeOptions) -> Limits:
    return Limits(
        options.lock_timeout_ms or section.lock_timeout_ms or LOCK_TIMEOUT_MS, section.statement_timeout_ms or 0
    )


def _purge_one(database: Database, session: Session, name: str, options: PurgeOptions, limits: Limits) -> Purged | None:
    try:
        found = session.query(name, purge_query(database.dialect, delta=options.delta))
        if not found:
            return None
        rows = database.ledgers([name])[name]
        if isinstance(rows, Exception):
            raise rows
    except PdeltaError as error:
        return Purged(name, (), (), error)
    things = tuple(str(row[1]) for row in found)
    owners = {key_of(row.id): row for row in rows}
    deltas = tuple(dict.fromkeys(owners[key].id for key, *_ in found if key in owners))
    if options.dry_run:
        return Purged(name, things, deltas)
    try:
        _remove(database, session, name, found, owners, rows, limits)
    except PdeltaError as error:
        return Purged(name, things, deltas, error)
    return Purged(name, things, deltas)


def _remove(
    database: Database,
    session: Session,
    name: str,
    found: Sequence[Sequence[str]],
    owners: Mapping[str, Applied],
    rows: Sequence[Applied],
    limits: Limits,
) -> None:
    moves: list[Move] = []
    for key, owner in owners.items():
        statements = tuple(Piece(str(row[2])) for row in found if row[0] == key)
        if statements:
            row = msgspec.structs.replace(owner, reverse="", irreversible=GONE)
            moves.append(Move(Way.APPLY, row, statements, replaces=True))
    strangers = tuple(str(row[2]) for row in found if row[0] not in owners)
    if moves and database.transactional:
        head = head_of_rows(rows)
        glance = Glance(managed=True, head=None)
        session.commit([Work(name, head, head, tuple(moves), glance)], **limits._asdict())
    elif moves:
        for move in moves:
            former = next(row for row in rows if row.id == move.row.id)
            # First the word that there is no way back, then what makes it true.
            session.record(name, move.row, former=former, glance=Glance(managed=True, head=None))
            for piece in move.pieces:
                session.alone(name, piece.statement, **limits._asdict())
    for statement in strangers:
        session.alone(name, statement, **limits._asdict())
