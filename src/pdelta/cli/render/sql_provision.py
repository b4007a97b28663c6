"""New tenants: which were made, with what they began, and how their deltas came to them."""

from collections.abc import Iterator
from typing import Any

import click

from pdelta.app.sql.provision import Provisioned
from pdelta.cli.render import results, rollout
from pdelta.cli.render.safe import shown


def fields(done: Provisioned) -> dict[str, Any]:
    """Give the JSON document."""
    return {
        "made": list(done.made),
        "baseline": done.baseline,
        "moves": list(done.moves),
        **rollout.fields(done.rollout),
    }


def lines(done: Provisioned, *, verbose: bool) -> Iterator[str]:
    """Give it for people."""
    made = "would be made" if done.rollout.dry_run else "made"
    for name in done.made:
        yield f"{click.style(made, fg='green', bold=True)}  {shown(name)}"
    if done.moves:
        yield from map(results.delta_line, done.moves)
    if done.baseline and done.made:
        yield f"  a new tenant begins with {shown(done.baseline)}"
    if done.rollout.tenants or done.rollout.servers.count:
        yield from rollout.lines(done.rollout, verbose=verbose)
