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
  pdelta sql drift --delta B

pdelta's own tables are left out. Exit 4 where tenants differ."""


@click.command("drift", cls=option.Command, epilog=_EPILOG, short_help="Group tenants by what they are made of.")
@click.option("--like", metavar="TENANT", default="", help="Compare with this one; the largest group unless given.")
@click.option(
    "--delta",
    is_flag=False,
    flag_value="",
    metavar="[GROUP]",
    help="Write a delta instead, which makes this group like the first; what would lose data stays out. GROUP is its "
    "letter, or one of its tenants; the only other one unless given.",
)
@option.common
@fleet.tenants
def command(
    console: Console, context: Context, *, database: str, only: tuple[str, ...], like: str, delta: str | None
) -> int:
    """Group tenants by what they are made of, and tell in what the smaller groups differ; nothing is changed."""
    from pdelta.app.sql.drift import read_drift

    found = read_drift(database, only, like, context, delta=delta)
    if found.delta is not None:
        console.file(render.fields(found), found.delta.text, doubt=render.doubt(found.delta))
        if doubt := render.unread(found):
            console.warn(doubt)
    elif delta is not None:
        console.file(render.fields(found), render.remarks(render.lines(found, verbose=True)))
    else:
        console.result(render.fields(found), lambda: render.lines(found, verbose=console.verbosity > 0))
    return 0 if found.alike else DriftError.exit_status
