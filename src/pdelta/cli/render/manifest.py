"""What became of the deltas of a sync manifest, for people and as JSON."""

import shlex
from collections.abc import Iterator
from typing import Any, Final

import click

from pdelta.app.manifest import ManifestOutcome
from pdelta.app.manifest_deltas import told
from pdelta.cli.render.amount import counted
from pdelta.cli.render.document import path_fields
from pdelta.cli.render.safe import shown

LISTED: Final = 20


def fields(result: ManifestOutcome) -> dict[str, Any]:
    """Give the part of the JSON document that tells of the manifest."""
    deltas = [
        {**path_fields(delta.file, "file"), "action": delta.action, **({"hash": delta.hash} if delta.hash else {})}
        for delta in result.deltas
    ]
    return {"file": result.file, "written": result.written, "deltas": deltas}


def lines(result: ManifestOutcome, *, verbose: bool) -> Iterator[str]:
    """Give the lines for people; the deltas themselves only where they stand in no file that could be read."""
    count, file = counted(len(result.deltas), "delta"), shown(result.file)
    if result.waiting:
        yield f"  {count} {'was' if len(result.deltas) == 1 else 'were'} written into {file}"
        command = f"pdelta push -f {shlex.quote(result.file)} --as-written"
        yield click.style("  apply them: ", fg="bright_black") + click.style(shown(command), fg="cyan")
        return
    if result.written:
        yield f"  {count} in {file}"
        return
    yield f"  {count} would be written into {file}" + (":" if result.deltas else "")
    listed = result.deltas if verbose else result.deltas[:LISTED]
    for delta in listed:
        yield f"    {shown(told(delta.file, delta.action, delta.hash))}"
    if len(result.deltas) > len(listed):
        yield click.style(f"    … {len(result.deltas) - len(listed):,} more   (-v lists them)", fg="bright_black")
