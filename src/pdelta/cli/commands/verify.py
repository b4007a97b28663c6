"""``pdelta verify WHERE``."""

import click

from pdelta.app.context import Context, Link
from pdelta.cli import option
from pdelta.cli.console import Console
from pdelta.cli.render import verified
from pdelta.cli.source import source_options
from pdelta.errors import DriftError

_EPILOG = """\b
Examples:
  pdelta verify deploy@web1:/opt/app
  pdelta verify --repair-from ./app deploy@web1:/opt/app

Exits with 0 when everything is as recorded, with 4 when something differs."""


@click.command("verify", cls=option.RuleCommand, epilog=_EPILOG, short_help="Hash a destination again.")
@click.argument("where", metavar="WHERE")
@click.option(
    "--repair-from", metavar="SRC", help="Bring back what differs; bytes that the destination lacks come from SRC."
)
@click.option("-j", "--jobs", type=option.Count(1), metavar="N", help="Hash on N cores; all of them unless given.")
@option.link
@option.common
def command(
    console: Console, context: Context, *, where: str, repair_from: str | None, jobs: int | None, link: Link
) -> int:
    """Read every byte of a destination and compare it with what its newest entry recorded."""
    from pdelta.app.verify import repair_tree, verify_tree

    if repair_from is not None:
        result = repair_tree(where, source_options(repair_from, {}), context, link, jobs=jobs or 0)
    else:
        result = verify_tree(where, context, link, jobs=jobs or 0)
    console.result(verified.fields(result), lambda: verified.lines(result, everything=console.verbosity > 0))
    return 0 if result.equal else DriftError.exit_status
