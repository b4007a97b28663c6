"""``pdelta sql adopt``."""

import click

from pdelta.app.context import Context
from pdelta.app.sql.adopt import AdoptOptions, adopt
from pdelta.app.sql.outcome import RolloutOptions
from pdelta.cli import fleet, option
from pdelta.cli.console import Console
from pdelta.cli.render import sql_adopt
from pdelta.sql.script import Tool

_EPILOG = """\b
Examples:
  pdelta sql adopt --from flyway --dry-run
  pdelta sql adopt --from alembic --only 'tenant_1*'
  pdelta sql adopt --from alembic --like tenant_0001
  pdelta sql adopt --from django --ignore 'auth.*' --ignore 'contenttypes.*'
  pdelta sql adopt --up-to delta_20250315_add_last_login
  pdelta sql adopt --like tenant_0001

Exits with 4 when tenants were left out; each is named with the reason."""


@click.command("adopt", cls=option.Command, epilog=_EPILOG, short_help="Take in tenants that have deltas already.")
@click.option(
    "--from",
    "tool",
    type=click.Choice([tool.value for tool in Tool]),
    help="Believe the table of the tool that kept them before.",
)
@click.option("--up-to", metavar="DELTA", default="", help="They have everything up to this delta; all made alike.")
@click.option(
    "--like",
    metavar="TENANT",
    default="",
    help="Only those made like this one; they have what it has, unless one of the above says it.",
)
@click.option("--table", metavar="NAME", default="", help="What that tool's table is called, if not as usual.")
@click.option(
    "--ignore",
    multiple=True,
    metavar="ENTRY",
    help="With --from: an entry of that table, or a glob, that no delta need replace; may be given again.",
)
@click.option("--force", is_flag=True, help="Record even where that is not sure: unlike tenants, unknown entries.")
@fleet.rollout
@option.common
@fleet.tenants
def command(
    console: Console,
    context: Context,
    *,
    database: str,
    only: tuple[str, ...],
    tool: str | None,
    up_to: str,
    like: str,
    table: str,
    ignore: tuple[str, ...],
    force: bool,
    rollout: RolloutOptions,
) -> int:
    """Record in ledgers what tenants have already, by another tool or by hand; nothing is executed in them."""
    if not tool:
        fleet.refuse_without("--from", "ignore")
    wanted = AdoptOptions(
        like=like,
        up_to=up_to,
        tool=Tool(tool) if tool else None,
        database=database,
        only=only,
        table=table,
        ignore=ignore,
        force=force,
    )
    adopted = adopt(wanted, rollout, context)
    console.result(sql_adopt.fields(adopted), lambda: sql_adopt.lines(adopted, verbose=console.verbosity > 0))
    fleet.object_to(console, adopted.rollout)
    return adopted.exit_status
