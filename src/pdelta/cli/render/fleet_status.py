"""Where a fleet stands: groups of tenants that have the same deltas; readable with thousands of them."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import click

from pdelta.app.sql.status import FleetStatus, Group
from pdelta.cli.render.amount import counted
from pdelta.cli.render.safe import shown
from pdelta.cli.render.table import table_lines

NAMED: Final = 5
"""Tenants that are named where not all are asked for."""


def fields(status: FleetStatus) -> dict[str, Any]:
    """Give the JSON document."""
    held = status.holders()
    return {
        "database": status.database,
        "tenants": status.count,
        "deltas": [{"id": id, "tenants": held[id]} for id in status.deltas],
        "groups": [
            {
                "tenants": list(group.tenants),
                "had": list(group.had),
                "pending": list(group.pending),
                "edited": list(group.edited),
                "unknown": list(group.unknown),
                "unfinished": list(group.unfinished),
                "baseline": group.baseline,
            }
            for group in status.groups
        ],
        "unread": [
            {"tenant": name, "code": error.code, "message": error.message, "hint": error.hint}
            for name, error in status.unread
        ],
    }


def summary_lines(status: FleetStatus, *, verbose: bool) -> Iterator[str]:
    """Give one line a group of tenants with the same deltas, and one a problem."""
    clean = sum(len(group.tenants) for group in status.groups if group.clean)
    yield (
        f"{click.style(shown(status.database), bold=True)}: {counted(status.count, 'tenant')}, "
        f"{counted(len(status.deltas), 'delta')}; {clean:,} up to date"
    )
    for group in status.groups:
        yield from _group_lines(group, verbose=verbose)
    for name, error in status.unread if verbose else status.unread[:NAMED]:
        yield f"  {click.style('unread', fg='red')}  {shown(name)}: {shown(error.message)}"
    if len(status.unread) > NAMED and not verbose:
        yield f"  and {len(status.unread) - NAMED:,} more that can't be read; -v names all"


def matrix_lines(status: FleetStatus, *, width: int | None) -> Iterator[str]:
    """Give a table: one row a delta, one column a group of tenants with the same deltas."""
    groups = status.groups[:26]
    titles = ["delta", "tenants", *(f"{_letter(place)}" for place in range(len(groups)))]
    held = status.holders()
    unknown = sorted({id for group in status.groups for id in group.unknown})
    rows = [[id, f"{held[id]:,}", *(_mark(id, group) for group in groups)] for id in (*status.deltas, *unknown)]
    yield from table_lines(titles, rows, width=width, right=("tenants",))
    yield ""
    for place, group in enumerate(groups):
        yield f"  {_letter(place)}  {counted(len(group.tenants), 'tenant')}: {_names(group.tenants, verbose=False)}"
    if len(status.groups) > len(groups):
        rest = sum(len(group.tenants) for group in status.groups[len(groups) :])
        further = counted(len(status.groups) - len(groups), "further group")
        yield f"  and {counted(rest, 'tenant')} in {further}; --json has all"


def pending_lines(status: FleetStatus) -> Iterator[str]:
    """Give one line a tenant that lacks something, and what."""
    lacking = {name: group.pending for group in status.groups if group.pending for name in group.tenants}
    for name in sorted(lacking):
        yield f"{shown(name)}: {', '.join(map(shown, lacking[name]))}"
    if not lacking:
        yield f"{shown(status.database)}: no tenant lacks anything"


def _group_lines(group: Group, *, verbose: bool) -> Iterator[str]:
    count = f"{len(group.tenants):>7,}"
    if group.clean:
        yield f"{count}  {click.style('up to date', fg='green')}" + _strange(group)
    else:
        told = [
            f"lack {_deltas(group.pending, verbose=verbose)}" if group.pending else "",
            f"have another version of {_deltas(group.edited, verbose=verbose)}" if group.edited else "",
            f"stopped half-way in {_deltas(group.unfinished, verbose=verbose)}" if group.unfinished else "",
        ]
        yield f"{count}  {click.style('; '.join(filter(None, told)), fg='yellow')}" + _strange(group)
    if not group.clean or verbose:
        yield f"         {_names(group.tenants, verbose=verbose)}"


def _strange(group: Group) -> str:
    # Otherwise tenants that lack the same would stand in two lines, and nothing told why.
    baseline = f"; with the baseline {shown(group.baseline)}" if group.baseline else ""
    if not group.unknown:
        return baseline
    return f"{baseline}; {counted(len(group.unknown), 'delta')} without a file: {_deltas(group.unknown, verbose=False)}"


def _deltas(ids: Sequence[str], *, verbose: bool) -> str:
    if len(ids) <= 3 or verbose:
        return ", ".join(map(shown, ids))
    return f"{counted(len(ids), 'delta')}, {shown(ids[0])} to {shown(ids[-1])}"


def _names(names: Sequence[str], *, verbose: bool) -> str:
    shorter = names if verbose else names[:NAMED]
    more = len(names) - len(shorter)
    return ", ".join(map(shown, shorter)) + (f" and {more:,} more" if more else "")


def _mark(id: str, group: Group) -> str:
    if id in group.unfinished:
        return "half"
    return "x" if id in group.had else ""


def _letter(place: int) -> str:
    return chr(ord("A") + place)
