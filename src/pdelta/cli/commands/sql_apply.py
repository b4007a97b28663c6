"""``pdelta sql apply``."""

from pathlib import Path
from typing import Final

import click

from pdelta.app.context import Context
from pdelta.app.sql.apply import ApplyOptions, apply
from pdelta.app.sql.outcome import RolloutOptions
from pdelta.cli import fleet, option
from pdelta.cli.console import Console

_EPILOG = """\b
Examples:
  pdelta sql apply
  pdelta sql apply --dry-run
  pdelta sql apply --waves canary=3,5%,rest --on-failure reverse
  pdelta sql apply --soak 10min --gate ./healthy
  pdelta sql apply --only 'tenant_1*' --to delta_20250315_add_last_login
  pdelta sql apply --plan friday.plan

Only tenants that lack a delta are touched; the same command again does what is left."""


_PLANNED: Final = ("only", "to", "accept_edit", "trust_stamps", *fleet.COURSE)


@click.command("apply", cls=option.Command, epilog=_EPILOG, short_help="Apply the deltas that tenants lack.")
@click.option("--to", metavar="DELTA", default="", help="The last delta to apply; all unless given.")
@click.option(
    "--accept-edit", is_flag=True, help="Take a delta that was edited since it was applied as the one that is there."
)
@click.option(
    "--trust-stamps",
    is_flag=True,
    help="Believe the comments on databases where nothing is to be done; quicker with many databases.",
)
@click.option(
    "--plan",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Execute this plan of sql plan --output unchanged; a tenant that changed since is refused.",
)
@fleet.rollout
@fleet.proving
@option.common
@fleet.tenants
def command(
    console: Console,
    context: Context,
    *,
    database: str,
    only: tuple[str, ...],
    to: str,
    accept_edit: bool,
    trust_stamps: bool,
    plan: Path | None,
    rollout: RolloutOptions,
) -> int:
    """Apply the deltas that tenants lack, wave after wave, each tenant in a transaction with its ledger."""
    if plan is not None:
        fleet.refuse_beside("--plan", *_PLANNED)
        from pdelta.app.sql.saved import apply_plan

        return fleet.tell(console, apply_plan(plan, database, rollout, context))
    wanted = ApplyOptions(database=database, only=only, to=to, accept_edit=accept_edit, trust_stamps=trust_stamps)
    return fleet.tell(console, apply(wanted, rollout, context))
