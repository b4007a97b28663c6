"""``pdelta sql plan``."""

from pathlib import Path

import click

from pdelta.app.context import Context
from pdelta.app.sql.apply import ApplyOptions
from pdelta.app.sql.outcome import RolloutOptions
from pdelta.app.sql.plan import plan_apply, plan_rollback
from pdelta.app.sql.rollback import RollbackOptions
from pdelta.cli import fleet, option
from pdelta.cli.console import Console
from pdelta.cli.render import sql_plan
from pdelta.errors import DriftError, PreflightError

_EPILOG = """\b
Examples:
  pdelta sql plan
  pdelta sql plan --to delta_20250315_add_last_login -v
  pdelta sql plan --rollback --to delta_20250301_users
  pdelta sql plan --waves canary=3,5%,rest --output friday.plan
  pdelta sql apply --plan friday.plan

Exits with 0 when nothing would be done, with 4 when something would, with 3
when it would be refused. A login that can only read is enough."""


@click.command("plan", cls=option.Command, epilog=_EPILOG, short_help="Show what apply would do.")
@click.option("--rollback", is_flag=True, help="Plan a rollback instead: what is to be taken back.")
@click.option(
    "--to", metavar="DELTA", default="", help="The last delta that tenants would have then; with --rollback 0 for none."
)
@click.option("--run", metavar="RUN", default="", help="With --rollback: take back what this run applied.")
@click.option(
    "--accept-edit", is_flag=True, help="Take a delta that was edited since it was applied as the one that is there."
)
@click.option(
    "--accept-data-loss",
    "accept_loss",
    is_flag=True,
    help="With --rollback: take back even what would lose data written since.",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Save the plan, for sql apply --plan to execute unchanged.",
)
@fleet.course
@option.common
@fleet.tenants
def command(
    console: Console,
    context: Context,
    *,
    database: str,
    only: tuple[str, ...],
    rollback: bool,
    to: str,
    run: str,
    accept_edit: bool,
    accept_loss: bool,
    output: Path | None,
    rollout: RolloutOptions,
) -> int:
    """Show which tenants apply would change, wave after wave, and each statement that it would execute there."""
    if rollback:
        fleet.refuse_beside("--rollback", "accept_edit")
        back = RollbackOptions(database=database, only=only, to=to, run=run, accept_loss=accept_loss)
        planned = plan_rollback(back, rollout, output, context)
    else:
        fleet.refuse_without("--rollback", "run", "accept_loss")
        wanted = ApplyOptions(database=database, only=only, to=to, accept_edit=accept_edit)
        planned = plan_apply(wanted, rollout, output, context)
    console.result(sql_plan.fields(planned), lambda: sql_plan.lines(planned, verbose=console.verbosity > 0))
    if planned.blocked:
        return PreflightError.exit_status
    return DriftError.exit_status if any(not group.refused for group in planned.groups) else 0
