"""What ``pdelta sql new`` made."""

import os
from collections.abc import Iterator

import click

from pdelta.app.sql.new import NewDelta
from pdelta.cli.render.safe import shown


def lines(made: NewDelta) -> Iterator[str]:
    """Say where the file is, as short as it can be named from here."""
    path, short = str(made.file), os.path.relpath(made.file)
    yield f"{click.style('created', fg='green', bold=True)}  {shown(path if short.startswith('..') else short)}"
