"""``pdelta sql diff A B``."""

import click

from pdelta.app.context import Context
from pdelta.cli import option
from pdelta.cli.console import Console
from pdelta.cli.render import drift as render
from pdelta.errors import DriftError

_EPILOG = """\b
Examples:
  pdelta sql diff tenant_0001 tenant_0007
  pdelta sql diff --delta tenant_0001 tenant_0007

pdelta's own tables are left out. Exit 4 where they differ."""


@click.command("diff", cls=option.Command, epilog=_EPILOG, short_help="Tell in what one tenant differs from another.")
@click.argument("wanted", metavar="A")
@click.argument("found", metavar="B")
@click.option("--database", metavar="NAME", default="", help="Section of pdelta.toml; needed where there are several.")
@click.option(
    "--delta", is_flag=True, help="Write a delta instead, which makes B like A; what would lose data stays out."
)
@option.common
def command(console: Console, context: Context, *, wanted: str, found: str, database: str, delta: bool) -> int:
    """Tell in what tenant B differs from tenant A: tables, columns, constraints, indexes, views, functions, rights."""
    from pdelta.app.sql.drift import compare

    told = compare(database, wanted, found, context, delta=delta)
    document = {
        "wanted": wanted,
        "found": found,
        "differences": list(told.differences),
        **render.delta_fields(told.delta),
    }
    if told.delta is not None:
        console.file(document, told.delta.text, doubt=render.doubt(told.delta))
    elif delta:
        console.file(document, render.remarks(render.difference_lines(wanted, found, told.differences)))
    else:
        console.result(document, lambda: render.difference_lines(wanted, found, told.differences))
    return DriftError.exit_status if told.differences else 0
