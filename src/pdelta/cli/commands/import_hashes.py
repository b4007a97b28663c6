"""``pdelta import-hashes FILE``."""

from pathlib import Path

import click

from pdelta.app.context import Context
from pdelta.cli import option
from pdelta.cli.console import Console
from pdelta.cli.render import upkeep

_EPILOG = """\b
Example:
  pdelta import-hashes previous_hashes.json -f manifest.json
  pdelta push -f manifest.json"""


@click.command("import-hashes", cls=option.Command, epilog=_EPILOG, short_help="Take over a previous_hashes.json.")
@click.argument("file", type=click.Path(path_type=Path), metavar="FILE")
@click.option(
    "-f",
    "--manifest",
    type=click.Path(path_type=Path),
    metavar="MANIFEST",
    help="The manifest that the hashes belong to; manifest.json beside FILE unless given.",
)
@option.common
def command(console: Console, context: Context, *, file: Path, manifest: Path | None) -> None:
    """Take over the hashes that the former tool kept, so that the first push says and sends what changed since.

    They are hints: the host's own bytes are hashed at the first push, and whatever is there already is not sent.
    """
    from pdelta.app.hashes import import_hashes

    report = import_hashes(file, manifest, context)
    console.result(report, lambda: upkeep.import_lines(report))
