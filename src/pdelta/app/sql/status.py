"""``pdelta sql status``: which tenants have which deltas, told by their ledgers; never writes."""

from collections import Counter
from collections.abc import Mapping, Sequence

import msgspec

from pdelta.app.context import Context
from pdelta.app.sql.apply import ApplyOptions
from pdelta.app.sql.deltas import Deltas, read_deltas
from pdelta.app.sql.fleet import Member, open_fleet
from pdelta.app.sql.outcome import RolloutOptions
from pdelta.app.sql.rollout import operation_for
from pdelta.app.sql.wishes import applying, members_of
from pdelta.errors import PdeltaError
from pdelta.formats.sql_moves import SqlWish
from pdelta.operations.sql.reckon import reckon
from pdelta.sql.ledger import Applied, State
from pdelta.sql.scope import Scope

_Key = tuple[tuple[str, str, str], ...]


class Group(msgspec.Struct, frozen=True):
    """Tenants that have the same deltas, or servers, which have those that are for them.

    Attributes:
        names: Theirs.
        is_servers: Whether they are servers.
        had: The ids of the deltas that they have, in the order of application; unknown ones last.
        pending: The ids of those that they lack.
        edited: The ids of those that were edited since they received them.
        unknown: The ids of those that no file tells of.
        unfinished: The ids of those that stopped half-way.
        baseline: The id of the baseline that they have; empty for none.
        versions: The digests of those that they have in another version than their files, by their ids: of edited ones,
            and of repeatable ones that are pending.
    """

    names: tuple[str, ...]
    is_servers: bool
    had: tuple[str, ...]
    pending: tuple[str, ...] = ()
    edited: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()
    unfinished: tuple[str, ...] = ()
    baseline: str = ""
    versions: Mapping[str, str] = {}

    @property
    def clean(self) -> bool:
        """Whether they lack nothing, and nothing about them is strange."""
        return not (self.pending or self.edited or self.unfinished)


class FleetStatus(msgspec.Struct, frozen=True):
    """Where a fleet stands.

    Attributes:
        database: The section's name.
        deltas: All ids in the order of application.
        groups: The largest first.
        unread: Tenants that could not be read, each with the reason.
        unread_servers: The same of servers.
    """

    database: str
    deltas: tuple[str, ...]
    groups: tuple[Group, ...]
    unread: tuple[tuple[str, PdeltaError], ...] = ()
    unread_servers: tuple[tuple[str, PdeltaError], ...] = ()

    @property
    def tenants(self) -> int:
        """How many tenants there are."""
        return self._count(len(self.unread), is_servers=False)

    @property
    def servers(self) -> int:
        """How many servers there are; 0 where no delta is for them."""
        return self._count(len(self.unread_servers), is_servers=True)

    @property
    def clean(self) -> bool:
        """Whether all could be read, and nobody lacks anything."""
        return not (self.unread or self.unread_servers) and all(group.clean for group in self.groups)

    def holders(self, *, servers: bool = False) -> Counter[str]:
        """Give how many tenants have each delta, or how many servers."""
        held: Counter[str] = Counter()
        for group in self.groups:
            for id in group.had if group.is_servers is servers else ():
                held[id] += len(group.names)
        return held

    def _count(self, unread: int, *, is_servers: bool) -> int:
        return sum(len(group.names) for group in self.groups if group.is_servers is is_servers) + unread


def read_status(database: str, only: Sequence[str], context: Context) -> FleetStatus:
    """Give where a fleet stands.

    Raises:
        PdeltaError: There is no such section or tenant; the deltas or the list of tenants can't be read.
    """
    with open_fleet(context, database, only) as fleet:
        deltas = read_deltas(fleet, context)
        with members_of(fleet, deltas, context, only):
            operation = operation_for(fleet, "", RolloutOptions(), context)
            found = operation.survey(list(fleet.members))
    wishing = applying(deltas, ApplyOptions())
    alike: dict[tuple[Scope, _Key], list[Member]] = {}
    ledgers: dict[_Key, tuple[Applied, ...]] = {}
    unread: dict[Scope, list[tuple[str, PdeltaError]]] = {scope: [] for scope in Scope}
    for target, member in fleet.members.items():
        one = found[target]
        if isinstance(one, PdeltaError):
            unread[member.scope].append((member.tenant.name, one))
            continue
        key = tuple((row.id, row.digest, row.state.value) for row in one[1])
        ledgers[key] = one[1]
        alike.setdefault((member.scope, key), []).append(member)
    groups = [
        _group(deltas, members, ledgers[key], wishing(members[0], deltas.known)) for (_, key), members in alike.items()
    ]
    groups.sort(key=lambda group: (-len(group.names), group.names))
    return FleetStatus(
        fleet.section.name, deltas.ids, tuple(groups), *(tuple(unread[scope]) for scope in (Scope.TENANT, Scope.ONCE))
    )


def _group(deltas: Deltas, members: Sequence[Member], rows: Sequence[Applied], wish: SqlWish) -> Group:
    reckoning = reckon(rows, wish)
    ids = {row.id for row in rows}
    replaced = {move.id: move.former for move in reckoning.moves if move.former}
    return Group(
        tuple(member.tenant.name for member in members),
        members[0].scope is Scope.ONCE,
        (*(id for id in deltas.ids if id in ids), *(id for id in reckoning.unknown if id not in deltas.ids)),
        tuple(dict.fromkeys(move.id for move in reckoning.moves)),
        reckoning.edited,
        tuple(id for id in reckoning.unknown if id not in deltas.ids),
        tuple(row.id for row in rows if row.state is not State.APPLIED),
        next((delta.script.id for delta in deltas.baselines if delta.script.id in ids), ""),
        replaced | {row.id: row.digest for row in rows if row.id in reckoning.edited},
    )
