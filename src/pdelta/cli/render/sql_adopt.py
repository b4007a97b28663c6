"""Tenants that were taken in: how many got which rows, and who was left out, and why."""

from collections.abc import Iterator
from typing import Any, Final

import click

from pdelta.app.sql.adopt import Adopted, LeftOut
from pdelta.cli.render import rollout
from pdelta.cli.render.amount import counted
from pdelta.cli.render.safe import shown

NAMED: Final = 5
"""Tenants that are named where not all are asked for."""


def fields(adopted: Adopted) -> dict[str, Any]:
    """Give the JSON document."""
    return {
        "source": adopted.source,
        "left_out": adopted.left_out,
        **rollout.fields(adopted.rollout),
        "exit_status": adopted.exit_status,
    }


def lines(adopted: Adopted, *, verbose: bool) -> Iterator[str]:
    """Give it for people."""
    yield from rollout.lines(adopted.rollout, verbose=verbose)
    for group in adopted.left_out:
        yield from _left_out(group, verbose=verbose)


def _left_out(group: LeftOut, *, verbose: bool) -> Iterator[str]:
    count = click.style(f"{counted(len(group.tenants), 'tenant')} left out", fg="yellow")
    yield f"{count}: {shown(group.reason)}"
    named = group.tenants if verbose else group.tenants[:NAMED]
    more = len(group.tenants) - len(named)
    yield f"    {', '.join(map(shown, named))}" + (f" and {more:,} more" if more else "")
