"""Which tenants are made alike, in what the others differ, and the delta that ends that."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

import click

from pdelta.app.sql.drift import Delta, Drift, Kin
from pdelta.cli.render.amount import counted
from pdelta.cli.render.safe import shown

NAMED: Final = 5
"""Tenants and differences that are told where not all are asked for."""


def fields(drift: Drift) -> dict[str, Any]:
    """Give the JSON document."""
    return {
        "database": drift.database,
        "groups": [
            {
                "group": group.letter,
                "fingerprint": group.fingerprint,
                "tenants": list(group.tenants),
                "differences": list(group.differences),
                **delta_fields(group.delta),
            }
            for group in drift.groups
        ],
        "unread": [
            {"tenant": name, "code": error.code, "message": error.message, "hint": error.hint}
            for name, error in drift.unread
        ],
    }


def delta_fields(delta: Delta | None) -> dict[str, Any]:
    """Give what is said of a delta: its text where there is one to apply, and what it leaves as it is."""
    if delta is None:
        return {"delta": "", "left": []}
    left = [{"difference": one.words, "reason": one.reason, "statements": list(one.sql)} for one in delta.left]
    return {"delta": delta.text if delta.statements else "", "left": left}


def doubt(delta: Delta) -> str:
    """Give what stands beside a delta in which there is nothing to apply; empty for any other."""
    return "" if delta.statements else "there is nothing to apply in it: what is left as it is, a person has to choose"


def remarks(told: Iterable[str]) -> str:
    """Give what stands in a file for which there is no delta: a comment, lest it be taken for statements."""
    return "".join(f"-- {click.unstyle(line)}\n" for line in told)


def unread(drift: Drift) -> str:
    """Give what stands beside a delta where some tenants could not be compared; empty where all were."""
    if not drift.unread:
        return ""
    names = tuple(name for name, _ in drift.unread)
    return f"{counted(len(names), 'tenant')} can't be read, and in no group: {_names(names, verbose=False)}"


def lines(drift: Drift, *, verbose: bool) -> Iterator[str]:
    """Give one line a group, and what tells it from the first."""
    count = sum(len(group.tenants) for group in drift.groups)
    if drift.alike:
        yield f"{shown(drift.database)}: {counted(count, 'tenant')}, all made alike"
        return
    yield f"{shown(drift.database)}: {counted(count, 'tenant')} in {counted(len(drift.groups), 'group')}"
    for group in drift.groups:
        yield from _group(group, verbose=verbose)
    for name, error in drift.unread if verbose else drift.unread[:NAMED]:
        yield f"  {click.style('unread', fg='red')}  {shown(name)}: {shown(error.message)}"


def difference_lines(wanted: str, found: str, told: Sequence[str]) -> Iterator[str]:
    """Give what tells one tenant from another."""
    if not told:
        yield f"{shown(found)} is made like {shown(wanted)}"
    for one in told:
        yield shown(one)


def _group(group: Kin, *, verbose: bool) -> Iterator[str]:
    yield f"{len(group.tenants):>7,} × {click.style(group.letter, bold=True)}  {_names(group.tenants, verbose=verbose)}"
    differences = group.differences if verbose else group.differences[:NAMED]
    for one in differences:
        yield click.style(f"            {shown(one)}", fg="yellow")
    if len(group.differences) > len(differences):
        yield f"            and {len(group.differences) - len(differences):,} more; -v tells all"


def _names(names: Sequence[str], *, verbose: bool) -> str:
    shorter = names if verbose else names[:NAMED]
    more = len(names) - len(shorter)
    return ", ".join(map(shown, shorter)) + (f" and {more:,} more" if more else "")
