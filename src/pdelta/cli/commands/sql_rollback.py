"""``pdelta sql rollback``."""

import click

from pdelta.app.context import Context
from pdelta.app.sql.outcome import RolloutOptions
from pdelta.app.sql.rollback import RollbackOptions, roll_back
from pdelta.cli import fleet, option
from pdelta.cli.console import Console

_EPILOG = """\b
Examples:
  pdelta sql rollback
  pdelta sql rollback --to delta_20250301_users
  pdelta sql rollback --run run:20250315-101500-1a2b3c4d
  pdelta sql rollback --to 0 --only tenant_0007

Each tenant's own ledger says what takes a delta back there, so no file is needed for it."""


@click.command("rollback", cls=option.Command, epilog=_EPILOG, short_help="Take deltas back.")
@click.option(
    "--to",
    metavar="DELTA",
    default="",
    help="The last delta that stays; 0 for none. The newest goes alone unless given.",
)
@click.option("--run", metavar="RUN", default="", help="Take back what this run applied.")
@click.option(
    "--accept-data-loss", "accept_loss", is_flag=True, help="Take back even what would lose data written since."
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
    run: str,
    accept_loss: bool,
    rollout: RolloutOptions,
) -> int:
    """Take deltas back, wave after wave, with the reverse that each tenant's ledger holds."""
    wanted = RollbackOptions(database=database, only=only, to=to, run=run, accept_loss=accept_loss)
    return fleet.tell(console, roll_back(wanted, rollout, context))
