"""``pdelta sql drift``."""

import click

from pdelta.app.context import Context
from pdelta.cli import fleet, option
from pdelta.cli.console import Console
from pdelta.cli.render import drift as render
from pdelta.errors import DriftError

_EPILOG = """\b
Examples:
  pdelta sql drift
  pdelta sql drift --like tenant_0001 --only 'tenant_1*'

pdelta's own tables are left out. Exit 4 where tenants differ."""


@click.command("drift", cls=option.Command, epilog=_EPILOG, short_help="Group tenants by what they are made of.")
@click.option("--like", metavar="TENANT", default="", help="Compare with this one; the largest group unless given.")
@option.common
@fleet.tenants
def command(console: Console, context: Context, *, database: str, only: tuple[str, ...], like: str) -> int:
    """Group tenants by what they are made of, and tell in what the smaller groups differ; nothing is changed."""
    from pdelta.app.sql.drift import read_drift

    found = read_drift(database, only, like, context)
    console.result(render.fields(found), lambda: render.lines(found, verbose=console.verbosity > 0))
    return 0 if found.alike else DriftError.exit_status
