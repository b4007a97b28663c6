"""``pdelta sql show DELTA``."""

import click

from pdelta.app.context import Context
from pdelta.app.sql.show import show_delta
from pdelta.cli import fleet, option
from pdelta.cli.console import Console
from pdelta.cli.render import sql_show

_EPILOG = """\b
Examples:
  pdelta sql show delta_20250315_add_last_login
  pdelta sql show delta_20250315_add_last_login --only tenant_0007

DELTA is an id or a file's name. With --only, what happened to it in those
tenants is told too, as their histories say."""


@click.command("show", cls=option.Command, epilog=_EPILOG, short_help="Show one delta, and which tenants have it.")
@click.argument("delta", metavar="DELTA")
@option.common
@fleet.tenants
def command(console: Console, context: Context, *, delta: str, database: str, only: tuple[str, ...]) -> None:
    """Show what one delta does and what takes it back, which tenants have it and since when; changes nothing."""
    facts = show_delta(delta, database, only, context)
    console.result(sql_show.fields(facts), lambda: sql_show.lines(facts, verbose=console.verbosity > 0))
    if only and facts.history is None:
        console.warn(sql_show.too_many(facts))
