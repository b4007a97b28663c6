"""``pdelta show WHERE N``."""

import click

from pdelta.app.context import Context, Link
from pdelta.cli import option
from pdelta.cli.console import Console
from pdelta.cli.render import history

_EPILOG = """\b
Examples:
  pdelta show /srv/app 7
  pdelta show --json deploy@web1:/opt/app"""


@click.command("show", cls=option.Command, epilog=_EPILOG, short_help="List the changes of one history entry.")
@click.argument("where", metavar="WHERE")
@click.argument("number", metavar="[N]", type=option.Count(1), required=False)
@option.link
@option.common
def command(console: Console, context: Context, *, where: str, number: int | None, link: Link) -> None:
    """List every change of entry N of a destination's history; of the newest without N."""
    from pdelta.app.history import show_entry

    shown = show_entry(where, number, context, link)
    console.result(history.entry_fields(shown), lambda: history.entry_lines(shown))
