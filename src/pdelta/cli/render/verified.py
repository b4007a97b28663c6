"""What a verification found, for people and as JSON."""

import shlex
from collections.abc import Iterator
from typing import Any, Final

import click
import msgspec

from pdelta.app.outcome import TreeOutcome
from pdelta.app.verify import VerifyResult
from pdelta.cli.render import pushed
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
        told["repaired"] = pushed.fields(result.repaired)
    return told


def lines(result: VerifyResult, *, everything: bool) -> Iterator[str]:
    """Give the lines for people: a repair as a push is told, what differs, sort by sort, and the verdict."""
    limit = 0 if everything else LISTED
    if result.repaired is not None and result.repaired.changed:
        yield from pushed.lines(_without_extra(result.repaired), verbose=everything)
        yield ""
    for name, title, colour in _SORTS:
        yield from path_lines(title, getattr(result, name), colour=colour, limit=limit)
    for finding in result.findings:
        place = f"{shown(finding.subject)}: " if finding.subject else ""
        yield click.style(f"  {place}{shown(finding.message)}", fg="red")
    if result.equal:
        yield f"{_label('as recorded', 'green')}  {shown(result.where)} equals entry {result.number}"
    elif _only_extra(result):
        label = _label("as recorded, and more", "yellow")
        yield f"{label}  {shown(result.where)} equals entry {result.number} but for what is listed"
    else:
        yield f"{_label('differs', 'red')}  {shown(result.where)} is not what entry {result.number} recorded"
    yield f"  {counted(result.files, 'file')}, {size(result.bytes)} hashed in {duration(result.duration_s)}"
    yield from _advice(result)


def _without_extra(repaired: TreeOutcome) -> TreeOutcome:
    """Leave out of a repair's notes the names that nobody recorded: the verification lists them."""
    findings = tuple(finding for finding in repaired.findings if finding.code != "extra")
    return msgspec.structs.replace(repaired, findings=findings)


def _only_extra(result: VerifyResult) -> bool:
    """Say whether names that nobody recorded are all that differs."""
    return bool(result.extra) and not (result.changed or result.missing or result.metadata or result.findings)


def _advice(result: VerifyResult) -> Iterator[str]:
    where = shlex.quote(result.where)
    if result.equal:
        return
    if _only_extra(result):
        yield _advise("take them over: ", f"pdelta push --check-dest SRC {where}   (--delete removes them)")
    elif result.repaired is None:
        yield _advise("bring it back: ", f"pdelta verify --repair-from SRC {where}")


def _advise(what: str, command: str) -> str:
    return click.style(f"  {what}", fg="bright_black") + click.style(command, fg="cyan")


def _label(text: str, colour: str) -> str:
    return click.style(text, fg=colour, bold=True)
