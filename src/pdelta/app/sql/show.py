"""``pdelta sql show``: what one delta is, who has it, and what became of it in some of them; never writes."""

import re
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from enum import StrEnum
from typing import Any, Final

import msgspec

from pdelta.app.context import Context
from pdelta.app.sql.fleet import Fleet, Member, open_fleet, with_servers
from pdelta.app.sql.scripts import folder_of, read_scripts
from pdelta.databases.base import Glance, Session
from pdelta.errors import PdeltaError, UsageError
from pdelta.model.target import Target
from pdelta.sql.ledger import FORGOTTEN, Applied, State, Way
from pdelta.sql.mark import decode_mark
from pdelta.sql.order import SUFFIX, holds
from pdelta.sql.scope import Scope
from pdelta.sql.script import Part, Script, digest

HISTORIES: Final = 20
"""Of so many tenants at most the history is read: each costs a question of its own."""

_ID: Final = re.compile(r"[A-Za-z0-9_.-]{1,200}")
_COLUMNS: Final = Applied.__struct_fields__


class Reverse(StrEnum):
    """What takes a delta back."""

    WRITTEN = "written"
    DERIVED = "derived"
    NONE = "none"
    PARTS = "parts"
    """Of a baseline: the reverses of the deltas that it stands for."""


class Having(StrEnum):
    """How far a tenant has a delta."""

    HAS = "has"
    OTHER = "other"
    """In another version than the file's."""
    BETWEEN = "between"
    LACKS = "lacks"


class Holding(msgspec.Struct, frozen=True):
    """Tenants that have a delta equally far.

    Attributes:
        having: How far.
        tenants: Their names.
    """

    having: Having
    tenants: tuple[str, ...]


class Arrival(msgspec.Struct, frozen=True):
    """How a delta came to tenants that have it.

    Attributes:
        run: The run that brought it.
        who: Who asked for that.
        at: When the run began.
        tool: Program and version.
        note: How it came, where nothing was executed for it, and what else its row says; empty for nothing.
        tenants: Their names.
    """

    run: str
    who: str
    at: str
    tool: str
    note: str
    tenants: tuple[str, ...]


class WayBack(msgspec.Struct, frozen=True):
    """What ledgers say about taking a delta back.

    Attributes:
        reverse: The SQL; empty for none.
        irreversible: Why there is none.
        tenants: Those whose ledgers say so.
    """

    reverse: str
    irreversible: str
    tenants: tuple[str, ...]


class Passage(msgspec.Struct, frozen=True):
    """Something that happened to a delta in a tenant.

    Attributes:
        tenant: Its name.
        what: ``applied``, ``reversed``, ``forgotten`` where its row alone was taken out, ``replaced`` by another
            version, or how far it got.
        at: When.
        run: In which run.
        who: Who asked for that.
        digest: Of the version that it happened to.
    """

    tenant: str
    what: str
    at: str
    run: str
    who: str
    digest: str


class DeltaFacts(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of one delta.

    Attributes:
        database: The section's name.
        id: What ledgers know it by.
        file: Its file; empty where there is none.
        script: What that says; None where there is none.
        digest: Of its forward statements; empty where there is no file.
        reverse: What takes it back; None where there is no file.
        statements: Those of each part, as written.
        holdings: Who has it how far, the largest group first.
        arrivals: How it came to them, the largest group first.
        ways: What their ledgers say about taking it back, the largest group first.
        unread: Tenants that can't be read, each with the reason.
        history: What happened to it, tenant by tenant; None where that was not asked for, or of too many.
    """

    database: str
    id: str
    file: str = ""
    script: Script | None = None
    digest: str = ""
    reverse: Reverse | None = None
    statements: Mapping[Part, tuple[str, ...]] = {}
    holdings: tuple[Holding, ...] = ()
    arrivals: tuple[Arrival, ...] = ()
    ways: tuple[WayBack, ...] = ()
    unread: tuple[tuple[str, PdeltaError], ...] = ()
    history: tuple[Passage, ...] | None = None

    @property
    def count(self) -> int:
        """How many tenants were looked at."""
        return sum(len(holding.tenants) for holding in self.holdings) + len(self.unread)

    @property
    def is_for_servers(self) -> bool:
        """Whether those that were looked at are servers, and no tenants."""
        return self.script is not None and self.script.scope is Scope.ONCE


def show_delta(name: str, database: str, only: Sequence[str], context: Context) -> DeltaFacts:
    """Give what is known of a delta.

    Args:
        name: Its id, or its file.
        database: The section's name; empty where there is only one.
        only: Names, globs and ``tag:NAME`` of tenants, whose history is told; empty for all, and none.
        context: The command's surroundings.

    Raises:
        UsageError: Neither a file nor a ledger has such a delta.
        PdeltaError: There is no such section or tenant; the deltas or the list of tenants can't be read.
    """
    with open_fleet(context, database, only) as fleet:
        folder = folder_of(context, fleet.section)
        scripts = read_scripts(folder, fleet.database.dialect, style=fleet.section.style, modes=fleet.database.modes)
        script = _found(scripts, name)
        once = any(one.scope is Scope.ONCE for one in ([script] if script else scripts))
        with with_servers(fleet, context, only) if once else nullcontext():
            facts = (
                _of_file(fleet, scripts, script, str(folder))
                if script
                else DeltaFacts(database=fleet.section.name, id=name)
            )
            scope = script.scope if script else None
            members = {target: member for target, member in fleet.members.items() if scope in {None, member.scope}}
            facts = _in_ledgers(facts, fleet, members)
            if only and len(members) <= HISTORIES:
                facts = msgspec.structs.replace(facts, history=_history(fleet, members, facts.id))
    if script is None and not facts.arrivals and not facts.history:
        raise UsageError(f"there is no delta {name!r}", hint="list them: pdelta sql status")
    return facts


def _found(scripts: Sequence[Script], name: str) -> Script | None:
    wanted = name.removesuffix(SUFFIX)
    script = next((one for one in scripts if wanted in {one.id, one.name}), None)
    if script is None and not _ID.fullmatch(name):
        raise UsageError(f"{name!r} is no name of a delta", hint="list them: pdelta sql status")
    return script


def _of_file(fleet: Fleet, scripts: Sequence[Script], script: Script, folder: str) -> DeltaFacts:
    dialect, modes = fleet.database.dialect, fleet.database.modes
    statements = {part: script.statements(part, dialect, modes=modes) for part in Part}
    return DeltaFacts(
        database=fleet.section.name,
        id=script.id,
        file=f"{folder}/{script.name}{SUFFIX}",
        script=script,
        digest=digest(statements[Part.FORWARD], dialect),
        reverse=_reverse_of(script, scripts),
        statements={part: tuple(statement.text for statement in held) for part, held in statements.items()},
    )


def _reverse_of(script: Script, scripts: Sequence[Script]) -> Reverse:
    if script.baseline and any(holds(scripts).get(script.id, ())):
        return Reverse.PARTS
    if any(section.part is Part.REVERSE for section in script.sections):
        return Reverse.WRITTEN
    return Reverse.NONE if script.irreversible else Reverse.DERIVED


def _in_ledgers(facts: DeltaFacts, fleet: Fleet, members: Mapping[Target, Member]) -> DeltaFacts:
    """Add what the tenants' ledgers say."""
    holdings: dict[Having, list[str]] = {}
    arrivals: dict[tuple[str, str, str, str, str], list[str]] = {}
    ways: dict[tuple[str, str], list[str]] = {}
    unread: list[tuple[str, PdeltaError]] = []
    for tenant, row in _rows(fleet, members, facts.id).items():
        if isinstance(row, PdeltaError):
            unread.append((tenant, row))
            continue
        holdings.setdefault(_having(row, facts.digest), []).append(tenant)
        if row is not None:
            note = str(decode_mark(row.captured)) if row.state is State.APPLIED else ""
            arrivals.setdefault((row.run, row.who, row.at, row.tool, note), []).append(tenant)
            ways.setdefault((row.reverse, row.irreversible), []).append(tenant)
    return msgspec.structs.replace(
        facts,
        holdings=_largest_first(Holding(having, tuple(held)) for having, held in holdings.items()),
        arrivals=_largest_first(Arrival(*told, tuple(held)) for told, held in arrivals.items()),
        ways=_largest_first(WayBack(*told, tuple(held)) for told, held in ways.items()),
        unread=tuple(unread),
    )


def _rows(fleet: Fleet, members: Mapping[Target, Member], id: str) -> dict[str, Applied | PdeltaError | None]:
    """Give each tenant's row of a delta, many a round trip."""
    found: dict[str, Applied | PdeltaError | None] = {}
    for database, names in _by_database(fleet, members):
        for name, rows in fleet.databases[database].ledgers(names, delta=id).items():
            if isinstance(rows, PdeltaError):
                found[name] = rows
            elif isinstance(rows, Exception):
                raise rows
            else:
                found[name] = rows[0] if rows else None
    return dict(sorted(found.items()))


def _by_database(fleet: Fleet, members: Mapping[Target, Member]) -> list[tuple[str, list[str]]]:
    groups: dict[str, list[str]] = {}
    for target, member in members.items():
        groups.setdefault(fleet.database_of(target).name, []).append(member.tenant.name)
    return list(groups.items())


def _having(row: Applied | None, known: str) -> Having:
    if row is None:
        return Having.LACKS
    if row.state is not State.APPLIED:
        return Having.BETWEEN
    return Having.HAS if known in {"", row.digest} else Having.OTHER


def _largest_first(groups: Any) -> tuple[Any, ...]:  # noqa: ANN401 - of whichever kind, each with its tenants
    return tuple(sorted(groups, key=lambda group: (-len(group.tenants), group.tenants)))


def _history(fleet: Fleet, members: Mapping[Target, Member], id: str) -> tuple[Passage, ...]:
    passages: list[Passage] = []
    for name, names in _by_database(fleet, members):
        database = fleet.databases[name]
        glances = database.glance(names)
        now = database.ledgers(names, delta=id)
        sessions: dict[str, Session] = {}
        try:
            for tenant in names:
                glance, rows = glances.get(tenant), now.get(tenant, ())
                if isinstance(glance, Glance) and glance.managed and not isinstance(rows, Exception):
                    lane = database.lane(tenant)
                    if lane not in sessions:
                        sessions[lane] = database.session(lane)
                    passages += _passages(tenant, sessions[lane], id, rows)
        finally:
            for session in sessions.values():
                session.close()
    return tuple(passages)


def _passages(tenant: str, session: Session, id: str, rows: Sequence[Applied]) -> list[Passage]:
    """Give what happened in one tenant: rows that left say two things, the one that is there one."""
    found = session.query(
        tenant,
        f"SELECT way, left_at, left_run, left_who, {', '.join(_COLUMNS)} "  # noqa: S608 - names of ours, and a checked id
        f"FROM pdelta_history WHERE id = '{id}' ORDER BY number",
    )
    passages: list[Passage] = []
    for way, left_at, left_run, left_who, *values in found:
        row = msgspec.convert(dict(zip(_COLUMNS, values, strict=True)), Applied)
        if way == Way.APPLY and row.state is not State.APPLIED:
            # One step of many of the same delta, replaced by the next.
            continue
        passages.append(Passage(tenant, "applied", row.at, row.run, row.who, row.digest))
        what = {Way.REVERSE: "reversed", FORGOTTEN: "forgotten"}.get(way, "replaced")
        passages.append(Passage(tenant, what, left_at, left_run, left_who, row.digest))
    for row in rows:
        if row.state is not State.APPLYING:
            passages.append(Passage(tenant, "applied", row.at, row.run, row.who, row.digest))
        if row.state is not State.APPLIED:
            what = f"{row.state}, step {row.step} of {row.steps}"
            passages.append(Passage(tenant, what, "", "", "", row.digest))
    return passages
