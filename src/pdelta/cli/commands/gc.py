"""``pdelta gc WHERE``."""

import click

from pdelta.app.context import Context, Link
from pdelta.cli import option
from pdelta.cli.console import Console
from pdelta.cli.render import upkeep

_EPILOG = """\b
Examples:
  pdelta gc /srv/app
  pdelta gc --keep 3 deploy@web1:/opt/app
  pdelta gc --older-than 30d --max-size 20G /srv/app

The newest entry's undo data is never collected."""


@click.command("gc", cls=option.Command, epilog=_EPILOG, short_help="Collect undo data that is no longer wanted.")
@click.argument("where", metavar="WHERE")
@click.option(
    "--keep",
    type=option.Count(1),
    metavar="N",
    help="Keep the undo data of the newest N entries; 10 unless another limit is given.",
)
@click.option("--older-than", type=option.Age(), metavar="AGE", help="Collect what is older, for example 30d.")
@click.option(
    "--max-size", type=option.Size(), metavar="SIZE", help="Collect the oldest until no more than this is kept."
)
@option.link
@option.common
def command(
    console: Console,
    context: Context,
    *,
    where: str,
    keep: int | None,
    older_than: int | None,
    max_size: int | None,
    link: Link,
) -> None:
    """Remove undo data of old entries; those entries stay in the history, but can no longer be taken back."""
    from pdelta.app.upkeep import collect_tree

    report = collect_tree(where, context, link, keep=keep, older_than_s=older_than, max_bytes=max_size)
    console.result(upkeep.collection_fields(where, report), lambda: upkeep.collection_lines(report))
