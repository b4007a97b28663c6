"""``pdelta sql new NAME``."""

from pathlib import Path

import click

from pdelta.app.context import Context
from pdelta.cli import option
from pdelta.cli.console import Console
from pdelta.cli.render import sql_new

ENGINES = ("postgresql", "postgres", "mysql", "mariadb", "sqlite")

_EPILOG = """\b
Examples:
  pdelta sql new add_last_login
  pdelta sql new --explicit --engine postgresql add_login_index

The file is delta_YYYYMMDD_NAME.sql with the day in UTC; a second one on that day
comes after the first. It can't be applied before it is filled in."""


@click.command("new", cls=option.Command, epilog=_EPILOG, short_help="Make a delta file to fill in.")
@click.argument("name", metavar="NAME")
@click.option(
    "--folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Where to; otherwise the folder of the database, or deltas.",
)
@click.option("--database", metavar="NAME", default="", help="Section of pdelta.toml; needed where there are several.")
@click.option("--explicit", is_flag=True, help="Write a header and all sections: check, forward, verify, reverse.")
@click.option("--engine", type=click.Choice(ENGINES), metavar="ENGINE", help="The only engine that the delta is for.")
@option.common
def command(
    console: Console,
    context: Context,
    *,
    name: str,
    folder: Path | None,
    database: str,
    explicit: bool,
    engine: str | None,
) -> None:
    """Make a delta file to fill in, with a name that comes after all others of its day; overwrites nothing."""
    from pdelta.app.sql.new import create_delta
    from pdelta.formats.sql_header import DIALECTS

    made = create_delta(
        name,
        context,
        folder=folder,
        database=database,
        explicit=explicit,
        dialect=DIALECTS[engine] if engine else None,
    )
    console.result(made, lambda: sql_new.lines(made))
