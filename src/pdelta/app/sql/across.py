"""Requirements between deltas: of tenants and those that are done once on each server, and on the way back of any.

A roll-out goes to the servers before all tenants, and comes back to them behind all. So a tenant's delta may require a
server's; the other way round only what every tenant has already.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import Final

from pdelta.app.context import Context
from pdelta.app.sql.compose import open_servers
from pdelta.app.sql.deltas import Deltas
from pdelta.app.sql.findings import named
from pdelta.app.sql.fleet import Fleet, Member
from pdelta.formats.sql_moves import decode_body
from pdelta.model.course import Gate
from pdelta.model.delta import Delta
from pdelta.model.finding import Finding
from pdelta.model.plan import Step
from pdelta.model.target import Target
from pdelta.operations.sql.reckon import Seen
from pdelta.operations.sql.target import tenant_of
from pdelta.sql.ledger import Applied, State, Way
from pdelta.sql.scope import Scope

THERE: Final = "requirement"
"""The gate behind the servers: each has these deltas, which those of tenants require."""
GONE: Final = "reverse-requirement"
"""The gate before the servers on the way back: no tenant has these deltas, which require those of servers."""

Calculated = Iterable[tuple[Target, Delta]]


class Across:
    """The requirements between the deltas of one roll-out; on the way there, those from one scope to the other.

    Args:
        fleet: Whose.
        deltas: All there are.
        context: The command's surroundings.
    """

    def __init__(self, fleet: Fleet, deltas: Deltas, context: Context) -> None:
        """Look at no server yet."""
        self._fleet = fleet
        self._context = context
        self._deltas = deltas
        scopes = {delta.script.id: delta.script.scope for delta in deltas.all}
        self._versions = {delta.script.id: delta.digest for delta in deltas.all if delta.script.repeatable}
        self._pairs = [(delta.script.id, needed) for delta in deltas.all for needed in delta.script.requires]
        pairs = [(id, needed) for id, needed in self._pairs if scopes[id] is not scopes[needed]]
        self._by_tenants = [pair for pair in pairs if scopes[pair[0]] is Scope.TENANT]
        self._by_servers = [pair for pair in pairs if scopes[pair[0]] is Scope.ONCE]

    def findings(self, calculated: Calculated, *, backwards: bool) -> list[Finding]:
        """Give what would come in the wrong order, or what no tenant can be given at all.

        Nothing is asked of a server that is part of the roll-out.

        Raises:
            PdeltaError: The servers are not part of it, and can't be asked.
        """
        unfit = [] if backwards else self._unfit(calculated)
        if not (self._by_tenants or self._by_servers):
            return unfit
        way = Way.REVERSE if backwards else Way.APPLY
        moved = _moved(calculated, self._fleet.members, way)
        on_servers, in_tenants = moved[Scope.ONCE], moved[Scope.TENANT]
        alone = all(member.scope is Scope.TENANT for member in self._fleet.members.values())
        if backwards:
            pairs = [(server, tenant) for server, tenant in self._by_servers if tenant in in_tenants]
            held = set().union(*self._servers()) if alone and pairs else on_servers
            return [_too_early_back(server, tenant, alone=alone) for server, tenant in pairs if server in held]
        found = [_too_early(*pair) for pair in self._by_servers if pair[0] in on_servers and pair[1] in in_tenants]
        return [*unfit, *found, *(self.lacking(in_tenants) if alone else ())]

    def left(self, seen: Mapping[Target, Seen]) -> list[Finding]:
        """Give what would be taken back from under a delta that stays where it is.

        Args:
            seen: What calculating the way back found.
        """
        found: dict[tuple[str, str], dict[str, str]] = {}
        for target, one in seen.items() if self._pairs else ():
            leaving = {move.id: move for move in one.reckoning.moves if move.way is Way.REVERSE}
            # Of one that was only recorded nothing is taken back but the record; what was replaced comes back.
            gone = {id for id, move in leaving.items() if not (move.recorded or move.former)}
            # What another version of a repeatable delta requires, nobody knows: it was there before what goes.
            stays = {
                row.id: row.run
                for row in one.rows
                if row.id not in leaving and self._versions.get(row.id, row.digest) == row.digest
            }
            for pair in self._pairs:
                if pair[0] in stays and pair[1] in gone:
                    found.setdefault(pair, {})[tenant_of(target)] = stays[pair[0]]
        return [_stands_on(*pair, runs) for pair, runs in found.items()]

    def lacking(self, wanted: Collection[str]) -> list[Finding]:
        """Give what tenants would get of these deltas that requires one which not every server has.

        Raises:
            PdeltaError: The servers can't be asked.
        """
        pairs = [pair for pair in self._by_tenants if pair[0] in wanted]
        everywhere = set.intersection(*self._servers()) if pairs else ()
        return [_not_there(*pair) for pair in pairs if pair[1] not in everywhere]

    def misfits(self, ids: Collection[str]) -> list[Finding]:
        """Give what pdelta would refuse in each tenant, half-way where no transaction holds the delta."""
        return [
            Finding("statement", text, hint="leave it out of the delta, and of its reverse", subject=id.encode())
            for id, told in self._deltas.misfits(ids).items()
            for text in told
        ]

    def _unfit(self, calculated: Calculated) -> list[Finding]:
        moved = set().union(*_moved(calculated, self._fleet.members, Way.APPLY).values())
        if not self._deltas.misfits(moved):
            return []
        bodies = {id(delta): delta.body for _, delta in calculated}.values()
        moves = (move for body in bodies for move in decode_body(body).moves)
        # What is there already, and only recorded, nobody executes.
        return self.misfits({move.id for move in moves if move.way is Way.APPLY and not move.recorded})

    def gates(self, steps: Sequence[Step], *, backwards: bool) -> tuple[Gate, ...]:
        """Give what must hold between the servers and the tenants, should a step fail and the run go on."""
        way = Way.REVERSE if backwards else Way.APPLY
        moved = _moved(((step.target, step.delta) for step in steps), self._fleet.members, way)
        pairs = [pair for pair in self._by_tenants if pair[1] in moved[Scope.ONCE]]
        if backwards:
            ids = [tenant for tenant, _ in pairs]
        else:
            ids = [server for tenant, server in pairs if tenant in moved[Scope.TENANT]]
        return (Gate(GONE if backwards else THERE, ",".join(dict.fromkeys(ids))),) if ids else ()

    def _servers(self) -> list[set[str]]:
        """Give the ids of the deltas that each server has."""
        with ExitStack() as stack:
            databases = [stack.enter_context(one) for one in open_servers(self._fleet.section, self._context)]
            return [
                _ids(rows)
                for database in databases
                for rows in database.ledgers([tenant.name for tenant in database.tenants()]).values()
            ]


def ask(fleet: Fleet, gate: Gate, targets: Sequence[Target]) -> str:
    """Say why a gate of this kind does not hold; empty where it holds.

    Args:
        fleet: Whose.
        gate: Which.
        targets: Those of the wave before it.

    Raises:
        PdeltaError: A ledger can't be read.
    """
    ids = set(gate.text.split(","))
    if gate.kind == THERE:
        for target in targets:
            name = tenant_of(target)
            lacking = ids - _ids(fleet.database_of(target).ledgers([name]).get(name, ()))
            if lacking:
                return f"{name} lacks {', '.join(sorted(lacking))}, which deltas of tenants require"
        return ""
    found = fleet.database.ledgers([tenant.name for tenant in fleet.tenants])
    for name, rows in found.items():
        left = ids & _ids(rows, applied=False)
        if left:
            return f"{name} still has {', '.join(sorted(left))}, which require what would be taken back on its server"
    return ""


def _ids(rows: Sequence[Applied] | Exception, *, applied: bool = True) -> set[str]:
    if isinstance(rows, Exception):
        raise rows
    return {row.id for row in rows if row.state is State.APPLIED or not applied}


def _moved(calculated: Calculated, members: Mapping[Target, Member], way: Way) -> dict[Scope, set[str]]:
    """Give the ids of the deltas that some member of each scope would get, or lose."""
    found: dict[Scope, set[str]] = {scope: set() for scope in Scope}
    seen: set[tuple[Scope, int]] = set()
    for target, delta in calculated:
        scope = members[target].scope
        if (scope, id(delta)) not in seen:
            # Thousands of tenants share a delta.
            seen.add((scope, id(delta)))
            found[scope] |= {change.subject.decode() for change in delta.changes if change.action == way}
    return found


def _too_early(server: str, tenant: str) -> Finding:
    return Finding(
        "requires",
        f"{server} is done once on each server, before all tenants, and requires {tenant}, which not all of them have",
        hint=f"apply that first: pdelta sql apply --to {tenant}",
        subject=server.encode(),
    )


def _too_early_back(server: str, tenant: str, *, alone: bool) -> Finding:
    told = ", without --only" if alone else ""
    return Finding(
        "requires",
        f"{tenant} can't be taken back in tenants before {server} on the server, which requires it",
        hint=f"take that back first{told}: pdelta sql rollback --to {tenant}",
        subject=tenant.encode(),
    )


def _stands_on(staying: str, needed: str, runs: Mapping[str, str]) -> Finding:
    return Finding(
        "requires",
        f"{named(list(runs))}: {needed} can't be taken back before {staying}, which requires it and is still applied",
        hint=f"take that back first: pdelta sql rollback --run {next(iter(runs.values()))}",
        subject=needed.encode(),
    )


def _not_there(tenant: str, server: str) -> Finding:
    return Finding(
        "requires",
        f"{tenant} requires {server}, which is done once on each server, and not every server has it",
        hint="apply without choosing tenants first: servers come before all of them",
        subject=tenant.encode(),
    )
