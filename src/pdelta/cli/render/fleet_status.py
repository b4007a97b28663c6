"""Where a fleet stands: groups of tenants that have the same deltas; readable with thousands of them."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import click

from pdelta.app.sql.status import FleetStatus, Group
from pdelta.cli.render.amount import counted
from pdelta.cli.render.members import members
from pdelta.cli.render.safe import shown
from pdelta.cli.render.table import table_lines

NAMED: Final = 5
"""Tenants that are named where not all are asked for."""
_FEW: Final = 3
"""Deltas that are named one by one likewise."""
_DIGITS: Final = 8
"""Of a digest: enough to tell the versions of one delta apart."""


def fields(status: FleetStatus) -> dict[str, Any]:
    """Give the JSON document."""
    held, on_servers = status.holders(), status.holders(servers=True)
    return {
        "database": status.database,
        "tenants": status.tenants,
        "servers": status.servers,
        "deltas": [{"id": id, "tenants": held[id], "servers": on_servers[id]} for id in status.deltas],
        "groups": [
            {
                "tenants": [] if group.is_servers else list(group.names),
                "servers": list(group.names) if group.is_servers else [],
                "had": list(group.had),
                "pending": list(group.pending),
                "edited": list(group.edited),
                "unknown": list(group.unknown),
                "unfinished": list(group.unfinished),
                "baseline": group.baseline,
                "versions": group.versions,
            }
            for group in status.groups
        ],
        "unread": [
            {"tenant": name, "server": is_server, "code": error.code, "message": error.message, "hint": error.hint}
            for is_server, unread in ((False, status.unread), (True, status.unread_servers))
            for name, error in unread
        ],
    }


def summary_lines(status: FleetStatus, *, verbose: bool) -> Iterator[str]:
    """Give one line a group of tenants with the same deltas, and one a problem."""
    clean = [sum(len(one.names) for one in status.groups if one.clean and one.is_servers is of) for of in (False, True)]
    told = members(*clean) if status.servers else f"{clean[0]:,}"
    yield (
        f"{click.style(shown(status.database), bold=True)}: {members(status.tenants, status.servers)}, "
        f"{counted(len(status.deltas), 'delta')}; {told} up to date"
    )
    for group in status.groups:
        yield from _group_lines(group, verbose=verbose)
    unread = (*status.unread_servers, *status.unread)
    for name, error in unread if verbose else unread[:NAMED]:
        yield f"  {click.style('unread', fg='red')}  {shown(name)}: {shown(error.message)}"
    if len(unread) > NAMED and not verbose:
        yield f"  and {len(unread) - NAMED:,} more that can't be read; -v names all"


def matrix_lines(status: FleetStatus, *, width: int | None) -> Iterator[str]:
    """Give a table: one row a delta, one column a group of tenants with the same deltas."""
    groups = status.groups[:26]
    titles = ["delta", "tenants", *(f"{_letter(place)}" for place in range(len(groups)))]
    held, on_servers = status.holders(), status.holders(servers=True)
    unknown = sorted({id for group in status.groups for id in group.unknown})
    rows = [
        [id, _held(held[id], on_servers[id]), *(_mark(id, group) for group in groups)]
        for id in (*status.deltas, *unknown)
    ]
    yield from table_lines(titles, rows, width=width, right=("tenants",))
    yield ""
    for place, group in enumerate(groups):
        yield f"  {_letter(place)}  {_members(group)}: {_names(group.names, verbose=False)}"
    if len(status.groups) > len(groups):
        rest = status.groups[len(groups) :]
        count = members(*(sum(len(one.names) for one in rest if one.is_servers is of) for of in (False, True)))
        yield f"  and {count} in {counted(len(rest), 'further group')}; --json has all"


def pending_lines(status: FleetStatus) -> Iterator[str]:
    """Give one line a tenant that lacks something, and what."""
    lacking = sorted((name, group.pending) for group in status.groups if group.pending for name in group.names)
    for name, pending in lacking:
        yield f"{shown(name)}: {', '.join(map(shown, pending))}"
    if not lacking:
        yield f"{shown(status.database)}: no tenant lacks anything"


def _group_lines(group: Group, *, verbose: bool) -> Iterator[str]:
    count = f"{len(group.names):>7,}"
    if group.is_servers:
        count += " server" if len(group.names) == 1 else " servers"
    if group.clean:
        yield f"{count}  {click.style('up to date', fg='green')}" + _strange(group)
    else:
        behind = [id for id in group.pending if id in group.versions]
        lacking = [id for id in group.pending if id not in group.versions]
        told = [
            f"lack {_deltas(lacking, verbose=verbose)}" if lacking else "",
            f"behind in {_versions(behind, group, 'an older version, ', verbose=verbose)}" if behind else "",
            f"have another version of {_versions(group.edited, group, verbose=verbose)}" if group.edited else "",
            f"stopped half-way in {_deltas(group.unfinished, verbose=verbose)}" if group.unfinished else "",
        ]
        yield f"{count}  {click.style('; '.join(filter(None, told)), fg='yellow')}" + _strange(group)
    if not group.clean or verbose:
        yield f"         {_names(group.names, verbose=verbose)}"


def _members(group: Group) -> str:
    return counted(len(group.names), "server" if group.is_servers else "tenant")


def _held(tenants: int, servers: int) -> str:
    return f"{tenants:,}" if tenants or not servers else counted(servers, "server")


def _strange(group: Group) -> str:
    # Otherwise tenants that lack the same would stand in two lines, and nothing told why.
    baseline = f"; with the baseline {shown(group.baseline)}" if group.baseline else ""
    if not group.unknown:
        return baseline
    return f"{baseline}; {counted(len(group.unknown), 'delta')} without a file: {_deltas(group.unknown, verbose=False)}"


def _deltas(ids: Sequence[str], *, verbose: bool) -> str:
    if len(ids) <= _FEW or verbose:
        return ", ".join(map(shown, ids))
    return f"{counted(len(ids), 'delta')}, {shown(ids[0])} to {shown(ids[-1])}"


def _versions(ids: Sequence[str], group: Group, what: str = "", *, verbose: bool) -> str:
    """Name deltas with the versions that these tenants have, by which alone they may differ from others."""
    digests = [group.versions[id] for id in ids]
    if len(ids) <= _FEW or verbose:
        told = zip(ids, digests, strict=True)
        return ", ".join(f"{shown(id)} ({what}{digest[:_DIGITS]})" for id, digest in told)
    return f"{_deltas(ids, verbose=verbose)} ({', '.join(digest[:_DIGITS] for digest in digests)})"


def _names(names: Sequence[str], *, verbose: bool) -> str:
    shorter = names if verbose else names[:NAMED]
    more = len(names) - len(shorter)
    return ", ".join(map(shown, shorter)) + (f" and {more:,} more" if more else "")


def _mark(id: str, group: Group) -> str:
    if id in group.unfinished:
        return "half"
    if id in group.versions:
        return "old" if id in group.pending else "other"
    return "x" if id in group.had else ""


def _letter(place: int) -> str:
    return chr(ord("A") + place)
