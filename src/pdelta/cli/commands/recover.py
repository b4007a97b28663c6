"""``pdelta recover WHERE``."""

import click

from pdelta.app.context import Context, Link
from pdelta.cli import option
from pdelta.cli.console import Console
from pdelta.cli.render import upkeep

_EPILOG = """\b
Example:
  pdelta recover deploy@web1:/opt/app

Every other command recovers too before it does its own work. Exits with 0 also where a folder has no
history, which the result says, and with 2 where there is no such folder."""


@click.command("recover", cls=option.Command, epilog=_EPILOG, short_help="Finish or undo what was interrupted.")
@click.argument("where", metavar="WHERE")
@option.link
@option.common
def command(console: Console, context: Context, *, where: str, link: Link) -> None:
    """Finish or undo what a killed or interrupted command left at a destination; harmless when there is nothing."""
    from pdelta.app.upkeep import recover_tree

    result = recover_tree(where, context, link)
    console.result(upkeep.recovery_fields(where, result), lambda: upkeep.recovery_lines(where, result))
