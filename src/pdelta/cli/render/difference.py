"""What a push would change, for people and as JSON."""

from collections.abc import Iterator
from typing import Any, Final

import click

from pdelta.app.outcome import TreeOutcome
from pdelta.cli.render import pushed
from pdelta.cli.render.amount import counted, share, size
from pdelta.cli.render.change import change_lines, released_lines, totals
from pdelta.cli.render.safe import shown

LISTED: Final = 200
_LEFT_OUT: Final = frozenset({"number", "run", "reversible", "verb", "recovered", "dry_run"})


def fields(result: TreeOutcome) -> dict[str, Any]:
    """Give the JSON document of docs/reference/json.md."""
    return {name: value for name, value in pushed.fields(result).items() if name not in _LEFT_OUT}


def lines(result: TreeOutcome, *, stat: bool, everything: bool) -> Iterator[str]:
    """Give the lines for people: a line a change unless ``stat``, then the totals."""
    if not stat:
        limit = 0 if everything else LISTED
        yield from change_lines(result.changes, result.change_count, limit=limit, more="-v lists them")
    yield from released_lines(result.released, limit=0 if everything else LISTED)
    for problem in result.problems:
        yield click.style(f"  left out: {shown(problem.path)}: {shown(problem.message)}", fg="yellow")
    if not result.change_count:
        told = "no difference in what could be read" if result.left_out else "no difference"
        yield f"{told}   {counted(result.scanned_files, 'file')}, {size(result.scanned_bytes)}"
        return
    if not stat:
        yield ""
    yield totals({name: getattr(result.counts, name) for name in ("added", "changed", "moved", "deleted", "metadata")})
    part = share(result.sent_bytes, result.scanned_bytes)
    told = click.style(f"a push would {'copy' if result.local else 'send'} {size(result.sent_bytes)}", bold=True)
    compressed = "" if result.local else ", before compression"
    yield f"{told} of {size(result.scanned_bytes)}{f' ({part})' if part else ''}{compressed}"
