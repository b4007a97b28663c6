"""``pdelta demo``."""

import sys

import click

from pdelta.app.context import Context
from pdelta.cli import option
from pdelta.cli.console import Console
from pdelta.cli.render import tour

_EPILOG = """\b
Example:
  pdelta demo"""


@click.command("demo", cls=option.Command, epilog=_EPILOG, short_help="Show pdelta at work in a temporary folder.")
@option.common
def command(console: Console, context: Context) -> int:
    """Push, edit, push again, damage, verify, repair and roll back: on real files, in a temporary folder.

    The interpreter's own standard library plays the application. Then 200 databases receive deltas: a bad one is
    stopped, one is reversed. Nothing outside the folder is touched, and it is removed at the end. About half a minute.
    """
    from pdelta.app.demo import run_demo

    def tell(line: str) -> None:
        if not (console.json or console.quiet):
            console.settle()
            sys.stdout.write(f"{tour.step_line(line, colour=console.colour)}\n")
            sys.stdout.flush()

    report = run_demo(context, tell)
    console.result(report, lambda: tour.lines(report, width=console.width))
    return 0 if report.proved else 1
