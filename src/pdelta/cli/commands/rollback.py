"""``pdelta rollback WHERE``."""

import click

from pdelta.app.context import Context, Link
from pdelta.cli import option
from pdelta.cli.console import Console

_EPILOG = """\b
Examples:
  pdelta rollback deploy@web1:/opt/app
  pdelta rollback --to 4 /srv/app
  pdelta rollback --to 0 /srv/app        the state before the first push

A rollback is an entry of the history itself, so another rollback takes it back. The ignore rules go
back too: paths that the earlier state ignored are released, stay as they are, and are named."""


@click.command("rollback", cls=option.Command, epilog=_EPILOG, short_help="Take the newest entry back.")
@click.argument("where", metavar="WHERE")
@click.option(
    "--to",
    type=option.Count(0),
    metavar="N",
    help="Return to the state after entry N; 0 is the state before the first.",
)
@click.option(
    "-n",
    "--dry-run",
    is_flag=True,
    help="Calculate and check everything, change nothing, and exit as if it were done: 3 where it would be refused.",
)
@click.option(
    "--drift",
    type=click.Choice(["refuse", "overwrite", "keep"]),
    default="refuse",
    show_default=True,
    help="What to do where somebody changed the destination.",
)
@click.option("--fsync/--no-fsync", "durable", default=True, help="Make everything durable (the default).")
@click.option("--note", default="", metavar="TEXT", help="Remember this text in the history.")
@option.link
@option.common
def command(
    console: Console,
    context: Context,
    *,
    where: str,
    to: int | None,
    dry_run: bool,
    drift: str,
    durable: bool,
    note: str,
    link: Link,
) -> int:
    """Return a destination to the state before its newest entry, or after entry N: exact contents, modes and times.

    Everything comes from what the destination itself kept; the machine that pushed isn't needed.
    """
    from pdelta.app.rollback import RollbackOptions, roll_back
    from pdelta.cli.outcome import tell_outcome

    wanted = RollbackOptions(to=to, drift=drift, durable=durable, note=note, dry_run=dry_run, listed=console.listed)
    result = roll_back(where, wanted, context, link)
    return tell_outcome(console, result)
