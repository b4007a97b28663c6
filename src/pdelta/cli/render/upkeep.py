"""What recovering, collecting, examining, importing, exporting and fetching came to."""

from collections.abc import Iterator
from typing import Any

import click

from pdelta.app.doctor import STAGED_KEPT, DoctorReport
from pdelta.app.fetch import Fetched
from pdelta.app.hashes import ExportReport, ImportReport
from pdelta.app.upkeep import Recovered
from pdelta.cli.render.amount import counted, size
from pdelta.cli.render.document import path_fields, plain
from pdelta.cli.render.safe import shown
from pdelta.formats.history import NO_HISTORY
from pdelta.formats.report import CollectReport


def recovery_fields(where: str, result: Recovered) -> dict[str, Any]:
    """Give the JSON document of a recovery."""
    report = result.report
    foreign = [path_fields(path) for path in report.foreign]
    fields = {"where": where, **plain(report), "foreign": foreign}
    return {**fields, "ended_runs": result.ended, "managed": result.managed}


def recovery_lines(where: str, result: Recovered) -> Iterator[str]:
    """Say what an interrupted command had left, and what became of it."""
    report, ended = result.report, result.ended
    closed = f"{counted(ended, 'run')} that had not ended, now closed in the journal"
    headline = f"{_good('recovered')}  {closed}" if ended else _good("nothing to recover")
    match report.found:
        case "commit":
            way = "finished" if report.direction == "forward" else "undone"
            yield f"{_good('recovered')}  entry {report.number} of {shown(where)} was {way}"
        case "staged":
            yield f"{headline}{';' if ended else ' '} {STAGED_KEPT}"
        case _:
            still = f"nothing was interrupted at {shown(where)}" if result.managed else f"{shown(where)} {NO_HISTORY}"
            yield headline if ended else f"{headline}  {still}"
    for path in report.foreign:
        yield click.style(f"  left alone, somebody changed it meanwhile: {shown(path)}", fg="yellow")


def collection_fields(where: str, report: CollectReport) -> dict[str, Any]:
    """Give the JSON document of a collection."""
    return {"where": where, **plain(report)}


def collection_lines(report: CollectReport) -> Iterator[str]:
    """Say what was collected, and what is kept."""
    entries = ", ".join(str(number) for number in report.entries)
    if not (report.entries or report.pages or report.staged):
        yield f"{_good('nothing to collect')}  {size(report.kept_bytes)} of undo data are kept"
        return
    yield f"{_good('collected')}  {size(report.freed_bytes)} freed, {size(report.kept_bytes)} kept"
    if entries:
        yield f"  entries that can no longer be taken back: {entries}"
    if report.staged:
        yield "  staged content of an unfinished run was removed"


def doctor_lines(report: DoctorReport) -> Iterator[str]:
    """Give one line a check, with what to do where something is wrong."""
    for check in report.checks:
        mark = click.style("ok", fg="green") if check.good else click.style("no", fg="red", bold=True)
        yield f"  {mark}  {check.name:<14} {shown(check.message)}"
        if check.hint and not check.good:
            yield click.style(f"      {shown(check.hint)}", fg="cyan")
    yield _good("all is well") if report.healthy else click.style("something needs attention", fg="red", bold=True)


def import_lines(report: ImportReport) -> Iterator[str]:
    """Say how many hashes were taken over, and how they compare with the files."""
    yield f"{_good('imported')}  {counted(report.count, 'hash', 'hashes')} for {shown(report.base)}"
    yield (
        f"  since then {report.unchanged:,} unchanged · {report.changed:,} changed"
        f" · {report.new:,} new · {report.gone:,} gone"
    )
    yield "  they are hints: the first push hashes what the host has, and sends only what it lacks"


def export_lines(report: ExportReport) -> Iterator[str]:
    """Say what was written, and where the former file is."""
    yield f"{_good('exported')}  {counted(report.count, 'hash', 'hashes')} to {shown(report.file)}"
    if report.backup:
        yield f"  the former file is {shown(report.backup)}"


def fetch_lines(report: Fetched) -> Iterator[str]:
    """Say what was prepared."""
    yield f"{_good('prepared')}  an agent for {shown(report.tag)}"
    for wheel in report.wheels:
        yield f"  {shown(wheel)}"


def _good(text: str) -> str:
    return click.style(text, fg="green", bold=True)
