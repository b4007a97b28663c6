"""What a push, a rollback or a repair did, for people and as JSON."""

import shlex
from collections.abc import Iterable, Iterator
from typing import Any, Final

import click
import msgspec

from pdelta.app.outcome import TreeOutcome
from pdelta.cli.console import SHOWN
from pdelta.cli.render.amount import counted, duration, share, size
from pdelta.cli.render.change import change_lines, released_lines, totals
from pdelta.cli.render.document import path_fields, plain
from pdelta.cli.render.safe import shown
from pdelta.formats.report import STAT_DATA
from pdelta.model.finding import Finding

_DONE: Final = {"push": "pushed", "rollback": "rolled back", "repair": "repaired"}
_WOULD: Final = {"push": "would push", "rollback": "would roll back", "repair": "would repair"}


def fields(result: TreeOutcome) -> dict[str, Any]:
    """Give the JSON document of docs/reference/json.md."""
    told: dict[str, Any] = plain(result)
    told["counts"] = {
        name: getattr(result.counts, name) for name in ("added", "changed", "deleted", "moved", "metadata")
    }
    told["released"] = [path_fields(path) for path in result.released]
    told["changed_bytes"] = result.counts.bytes_changed
    told["reused_bytes"] = result.counts.bytes_reused
    told["sent_share"] = round(result.sent_bytes / result.scanned_bytes, 6) if result.scanned_bytes else 0.0
    for name in ("facts", "local"):
        told.pop(name, None)
    return told


def lines(result: TreeOutcome, *, verbose: bool) -> Iterator[str]:
    """Give the lines for people: the changes, what it cost, what was trusted, how to take it back."""
    limit = 0 if verbose else SHOWN
    if not result.changed:
        yield from _unchanged(result, limit=limit)
        return
    where = shlex.quote(result.destination)
    more = f"pdelta show {where} {result.number}" if result.number else "-v lists them"
    yield from change_lines(result.changes, result.change_count, limit=limit, more=more)
    if result.changes:
        yield ""
    yield _headline(result)
    yield f"  {totals(_counts(result))}"
    yield f"  {_cost(result)}"
    yield from _notes(result, limit=limit)
    if result.dry_run:
        yield _dim("  dry run: the destination is as it was")
    elif not result.reversible:
        yield click.style("  cannot be taken back: nothing was kept (--no-undo)", fg="yellow")
    else:
        yield _dim("  take it back: ") + click.style(f"pdelta rollback {where}", fg="cyan")


def _headline(result: TreeOutcome) -> str:
    verb = (_WOULD if result.dry_run else _DONE)[result.verb]
    colour = "yellow" if result.dry_run else "green"
    if any(finding.blocks for finding in result.findings):
        verb, colour = "would be refused", "red"
    route = shown(result.destination)
    if result.source:
        route = f"{shown(result.source)} → {route}"
    entry = _dim(f"   entry {result.number}") if result.number else ""
    return f"{click.style(verb, fg=colour, bold=True)}  {route}{entry}"


def _unchanged(result: TreeOutcome, *, limit: int) -> Iterator[str]:
    yield f"{click.style('nothing to do', fg='green', bold=True)}  {shown(result.destination)} is already there"
    yield f"  {_cost(result)}"
    yield from _notes(result, limit=limit)


def _cost(result: TreeOutcome) -> str:
    parts = []
    if result.scanned_files or result.verb == "push":
        read = f", {size(result.read_bytes)} read" if result.read_bytes else ""
        parts.append(f"scanned {size(result.scanned_bytes)} in {counted(result.scanned_files, 'file')}{read}")
    told = "would send" if result.dry_run else "sent"
    # A small tree takes less than the words that are exchanged about it: that is no share of anything.
    part = share(result.sent_bytes, result.scanned_bytes) if result.scanned_bytes else ""
    ratio = f" ({part})" if part else ""
    agent = f" + {size(result.agent_bytes)} for the agent, once" if result.agent_bytes else ""
    parts.append(click.style(f"{told} {size(result.sent_bytes)}", bold=True) + ratio + agent)
    parts.append(duration(result.duration_s))
    return " · ".join(parts)


def note_lines(findings: Iterable[Finding], *, limit: int) -> Iterator[str]:
    """Give the findings that do not block, at most so many paths of a sort; what concerns no path is always told."""
    sorts: dict[str, list[Finding]] = {}
    for finding in findings:
        if not finding.blocks:
            sorts.setdefault(finding.code, []).append(finding)
    for notes in sorts.values():
        count = 0
        for finding in notes:
            count += bool(finding.subject)
            if not limit or not finding.subject or count <= limit:
                yield click.style(f"  note: {shown(finding.message)}", fg="yellow")
        if limit and count > limit:
            yield click.style(f"  note: {count - limit:,} more like that   (-v lists them)", fg="yellow")


def _notes(result: TreeOutcome, *, limit: int) -> Iterator[str]:
    if result.recovered:
        yield f"  first finished what was interrupted: {shown(result.recovered)}"
    if result.trusted:
        yield _dim(f"  {shown(result.trusted)}  ({_closer_look(result)})")
    yield from released_lines(result.released, limit=limit)
    for problem in result.problems[:limit] if limit else result.problems:
        yield click.style(f"  left out: {shown(problem.path)}: {shown(problem.message)}", fg="yellow")
    if limit and len(result.problems) > limit:
        yield click.style(
            f"  left out: {counted(len(result.problems) - limit, 'more path')}   (-v lists them)", fg="yellow"
        )
    yield from note_lines(result.findings, limit=limit)


def _closer_look(result: TreeOutcome) -> str:
    """Say what would look at what was trusted."""
    contents = result.trusted == STAT_DATA
    if result.verb == "rollback":
        return f"pdelta verify {'reads them' if contents else 'compares it'}"
    return "--checksum reads them" if contents else "--check-dest compares it"


def _counts(result: TreeOutcome) -> dict[str, int]:
    return {
        name: value for name, value in msgspec.structs.asdict(result.counts).items() if not name.startswith("bytes")
    }


def _dim(text: str) -> str:
    return click.style(text, fg="bright_black")
