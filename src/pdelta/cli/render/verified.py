"""What a verification found, for people and as JSON."""

from collections.abc import Iterator
from typing import Any, Final

import click

from pdelta.app.verify import VerifyResult
from pdelta.cli.render.amount import counted, duration, size
from pdelta.cli.render.change import path_lines
from pdelta.cli.render.document import path_fields, plain
from pdelta.cli.render.safe import shown

LISTED: Final = 50
_SORTS: Final = (
    ("changed", "with other content", "red"),
    ("missing", "missing", "red"),
    ("extra", "not recorded", "yellow"),
    ("metadata", "with other metadata", "yellow"),
)


def fields(result: VerifyResult) -> dict[str, Any]:
    """Give the JSON document of docs/reference/json.md."""
    told: dict[str, Any] = {"where": result.where, "equal": result.equal, "number": result.number}
    for name, _, _ in _SORTS:
        told[name] = [path_fields(path) for path in getattr(result, name)]
    told["findings"] = plain(result.findings)
    told["verified_files"] = result.files
    told["verified_bytes"] = result.bytes
    told["duration_s"] = result.duration_s
    if result.repaired is not None:
        told["repaired"] = plain(result.repaired)
    return told


def lines(result: VerifyResult, *, everything: bool) -> Iterator[str]:
    """Give the lines for people: what differs, sort by sort, and the verdict."""
    limit = 0 if everything else LISTED
    for name, title, colour in _SORTS:
        yield from path_lines(title, getattr(result, name), colour=colour, limit=limit)
    for finding in result.findings:
        yield click.style(f"  {shown(finding.message)}", fg="red")
    cost = f"{counted(result.files, 'file')}, {size(result.bytes)} hashed in {duration(result.duration_s)}"
    if result.equal:
        label = click.style("as recorded", fg="green", bold=True)
        after = "repaired; " if result.repaired is not None and result.repaired.changed else ""
        yield f"{after}{label}  {shown(result.where)} equals entry {result.number}"
    else:
        label = click.style("differs", fg="red", bold=True)
        yield f"{label}  {shown(result.where)} is not what entry {result.number} recorded"
    yield f"  {cost}"
    if not result.equal:
        yield click.style("  bring it back: ", fg="bright_black") + click.style(
            f"pdelta verify --repair-from SRC {shown(result.where)}", fg="cyan"
        )
