"""``pdelta export-hashes``."""

from pathlib import Path

import click

from pdelta.app.context import Context
from pdelta.cli import option
from pdelta.cli.console import Console
from pdelta.cli.render import upkeep

_EPILOG = """\b
Example:
  pdelta export-hashes -f manifest.json previous_hashes.json"""


@click.command("export-hashes", cls=option.Command, epilog=_EPILOG, short_help="Write a previous_hashes.json.")
@click.argument(
    "file", type=click.Path(path_type=Path), metavar="[FILE]", default=Path("previous_hashes.json"), required=False
)
@click.option(
    "-f",
    "--manifest",
    type=click.Path(path_type=Path),
    metavar="MANIFEST",
    default=Path("manifest.json"),
    help="The manifest whose base_dir is hashed; manifest.json unless given.",
)
@option.common
def command(console: Console, context: Context, *, file: Path, manifest: Path) -> None:
    """Write the SHA-256 of every file below the manifest's base_dir, for tools that read previous_hashes.json.

    A file that is there already is kept beside it with .bak at its end.
    """
    from pdelta.app.hashes import export_hashes

    report = export_hashes(file, manifest, context)
    console.result(report, lambda: upkeep.export_lines(report))
