"""``pdelta doctor [WHERE]``."""

import click

from pdelta.app.context import Context, Link
from pdelta.cli import option
from pdelta.cli.console import Console
from pdelta.cli.render import upkeep
from pdelta.errors import DriftError

_EPILOG = """\b
Examples:
  pdelta doctor
  pdelta doctor deploy@web1:/opt/app

Exits with 0 when all is well, with 4 when something needs attention."""


@click.command("doctor", cls=option.Command, epilog=_EPILOG, short_help="Check this machine, and a destination.")
@click.argument("where", metavar="[WHERE]", required=False)
@option.link
@option.common
def command(console: Console, context: Context, *, where: str | None, link: Link) -> int:
    """Check what pdelta needs on this machine, and the state of a destination; changes nothing."""
    from pdelta.app.doctor import examine

    report = examine(where, context, link)
    console.result(report, lambda: upkeep.doctor_lines(report))
    return 0 if report.healthy else DriftError.exit_status
