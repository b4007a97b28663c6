"""``pdelta diff SRC DEST``."""

import click

from pdelta.app.context import Context, Link
from pdelta.cli import option
from pdelta.cli.console import Console
from pdelta.cli.render import difference
from pdelta.cli.source import source_options
from pdelta.errors import DriftError

_EPILOG = """\b
Examples:
  pdelta diff ./app deploy@web1:/opt/app
  pdelta diff --stat ./app /srv/app
  pdelta diff --json ./app web1:app | jq .sent_bytes

Exits with 0 when there is no difference, with 4 when there is one or when paths of SRC could not be read."""


@click.command("diff", cls=option.RuleCommand, epilog=_EPILOG, short_help="Show what a push would change.")
@click.argument("src", metavar="SRC")
@click.argument("dest", metavar="DEST")
@click.option("--stat", is_flag=True, help="Show the totals only.")
@click.option("--delete/--no-delete", default=None, help="Count what a push with this option would delete.")
@click.option(
    "--check-dest", is_flag=True, help="Compare stat data of the whole destination, not of touched paths only."
)
@option.source
@option.link
@option.common
def command(
    console: Console,
    context: Context,
    *,
    src: str,
    dest: str,
    stat: bool,
    delete: bool | None,
    check_dest: bool,
    link: Link,
    **options: object,
) -> int:
    """Show what a push of SRC would change at DEST, and how many bytes that would send, or copy here.

    Reads both ends and changes nothing. Each change is one line: + added, ~ changed (new bytes of the
    file's size), > moved, - deleted, = only metadata.
    """
    from pdelta.app.diff import diff_trees

    source = source_options(src, options)
    result = diff_trees(source, dest, context, link, delete=delete, check_destination=check_dest)
    console.result(
        difference.fields(result), lambda: difference.lines(result, stat=stat, everything=console.verbosity > 0)
    )
    return DriftError.exit_status if result.change_count or result.left_out else 0
