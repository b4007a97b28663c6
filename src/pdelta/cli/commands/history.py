"""``pdelta history WHERE``."""

import click

from pdelta.app.context import Context, Link
from pdelta.cli import option
from pdelta.cli.console import Console
from pdelta.cli.render import history

_EPILOG = """\b
Examples:
  pdelta history deploy@web1:/opt/app
  pdelta history --json /srv/app

The column bytes is the size of added files and of the changed ranges of others: what is new at its path,
whether it was sent or copied there. --json tells both apart, as sent_bytes and reused_bytes."""


@click.command("history", cls=option.Command, epilog=_EPILOG, short_help="List what was done to a destination.")
@click.argument("where", metavar="WHERE")
@click.option("-n", "--last", type=option.Count(1), metavar="N", help="Only the newest N entries.")
@option.link
@option.common
def command(console: Console, context: Context, *, where: str, last: int | None, link: Link) -> None:
    """List what was done to a destination, oldest first: when, by whom, what changed, and what can be taken back."""
    from pdelta.app.history import read_history

    entries = read_history(where, context, link)
    if last is not None:
        entries = entries[-last:]
    console.result(history.fields(where, entries), lambda: history.lines(where, entries, width=console.width))
