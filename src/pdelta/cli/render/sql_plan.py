"""What a roll-out would do: its waves, and each statement once for all tenants that would execute the same."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import click

from pdelta.app.sql.plan import MoveFacts, PlannedGroup, PlannedWave, SqlPlan
from pdelta.cli.render.amount import counted, duration
from pdelta.cli.render.members import members, nothing, part
from pdelta.cli.render.safe import shown, shown_text
from pdelta.model.course import OnFailure
from pdelta.sql.ledger import Way

NAMED: Final = 5
"""Tenants that are named where not all are asked for."""
GROUPS: Final = 20
"""Groups whose statements are shown likewise: with placeholders every tenant is one."""


def fields(planned: SqlPlan) -> dict[str, Any]:
    """Give the JSON document."""
    return {
        "database": planned.database,
        "plan": planned.id,
        "file": planned.file,
        "tenants": planned.tenants,
        "settled": planned.settled,
        "unread": planned.unread,
        "servers": planned.servers,
        "waves": planned.waves,
        "groups": planned.groups,
        "on_failure": planned.on_failure,
        "max_failures": planned.max_failures,
        "findings": planned.findings,
    }


def lines(planned: SqlPlan, *, verbose: bool) -> Iterator[str]:
    """Give it for people."""
    for finding in planned.findings:
        mark = click.style("blocks" if finding.blocks else "note", fg="red" if finding.blocks else "yellow")
        yield f"{mark}: {shown(finding.message)}"
    if not planned.groups:
        yield nothing(planned.database, planned.settled, planned.unread, planned.servers)
    for wave in planned.waves:
        yield from _wave(wave, verbose=verbose)
    told = planned.groups if verbose else planned.groups[:GROUPS]
    for group in told:
        yield ""
        yield from _group(group, verbose=verbose)
    if len(planned.groups) > len(told):
        rest = members(*_counts(planned.groups[len(told) :]))
        yield ""
        yield f"and {rest} with other statements; -v shows all"
    if planned.groups:
        yield ""
        yield _summary(planned)
    if planned.file:
        yield f"{click.style('saved', fg='green', bold=True)}  {shown(planned.file)}, plan {planned.id[:16]}"


def _wave(wave: PlannedWave, *, verbose: bool) -> Iterator[str]:
    yield f"  {click.style(shown(wave.name), bold=True)}  {_named(wave, verbose=verbose)}"
    if wave.soak_s:
        yield f"    then wait {duration(wave.soak_s)}"
    for gate in wave.gates:
        yield f"    then must hold, as a {shown(gate.kind)}: {shown(gate.text)}"


def _group(group: PlannedGroup, *, verbose: bool) -> Iterator[str]:
    yield _named(group, verbose=verbose)
    for move in group.moves:
        yield from _move(move)


def _move(move: MoveFacts) -> Iterator[str]:
    back = move.way is Way.REVERSE
    verb = click.style("reverse", fg="yellow") if back else click.style("apply", fg="green")
    alone = "" if move.together else ", one statement after the other without a transaction"
    yield f"  {verb} {shown(move.delta)}{alone}"
    if move.note:
        yield f"    -- {shown(move.note)}"
    yield from _statements(move.check, "must be true before: ")
    yield from _statements(move.statements)
    yield from _statements(move.verify, "must be true after: ")


def _statements(statements: Sequence[str], before: str = "") -> Iterator[str]:
    for statement in statements:
        for line in shown_text(before + statement + ";").split("\n"):
            yield f"    -- {line}" if before else f"    {line}"


def _summary(planned: SqlPlan) -> str:
    able = [group for group in planned.groups if not group.refused]
    moves = {(move.delta, move.way) for group in able or planned.groups for move in group.moves}
    back = all(way is Way.REVERSE for _, way in moves)
    tenants, servers = _counts(able)
    verb = "would be reversed" if back else "would be applied"
    where = part((tenants, planned.tenants), (servers, planned.servers.count))
    then = {
        OnFailure.STOP: "a failure stops it",
        OnFailure.REVERSE: "a failure takes all of it back",
        OnFailure.CONTINUE: "failing tenants are left out",
    }[planned.on_failure]
    allowed = f" once more than {planned.max_failures:,} failed" if planned.max_failures else ""
    return f"{counted(len(moves), 'delta')} {verb} in {where}; {then}{allowed}; nothing was changed"


def _counts(groups: Sequence[PlannedGroup]) -> tuple[int, int]:
    """Give how many tenants there are in these groups, and how many servers."""
    return sum(len(group.tenants) for group in groups), sum(len(group.servers) for group in groups)


def _named(some: PlannedWave | PlannedGroup, *, verbose: bool) -> str:
    names = (*some.servers, *some.tenants)
    shorter = names if verbose else names[:NAMED]
    more = len(names) - len(shorter)
    told = ", ".join(map(shown, shorter)) + (f" and {more:,} more" if more else "")
    return f"{members(len(some.tenants), len(some.servers))}: {told}"
