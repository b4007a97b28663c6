"""The demo as it runs, and its table at the end."""

from collections.abc import Iterator

import click

from pdelta.app.demo import DemoReport
from pdelta.cli.render.amount import duration, share, size
from pdelta.cli.render.table import table_lines


def step_line(text: str, *, colour: bool) -> str:
    """Give one line of the tour; a command is set off from what it says."""
    if not text.startswith("$ "):
        return f"  {text}" if text else ""
    return f"\n{click.style(text, fg='cyan', bold=True) if colour else text}"


def lines(report: DemoReport, *, width: int | None) -> Iterator[str]:
    """Give the table of what was done, and the verdict."""
    rows = [
        (
            step.title,
            f"{step.changed_files:,}",
            size(step.tree_bytes),
            size(step.sent_bytes),
            share(step.sent_bytes, step.tree_bytes) if step.tree_bytes else "",
            duration(step.duration_s),
            step.proof,
        )
        for step in report.steps
    ]
    yield ""
    titles = ("step", "files changed", "tree", "sent", "share", "time", "proof")
    right = ("files changed", "tree", "sent", "share", "time")
    yield from table_lines(titles, rows, width=width, right=right)
    yield ""
    fleet = [(step.title, f"{step.changed:,}", duration(step.duration_s), step.proof) for step in report.fleet]
    yield from table_lines(("200 tenants", "changed", "time", "proof"), fleet, width=width, right=("changed", "time"))
    yield ""
    if report.proved:
        yield click.style("Every claim was proved by hashing all files and rows.", fg="green", bold=True)
    else:
        yield click.style("A claim did not hold; the table says which.", fg="red", bold=True)
    yield "The temporary folder is gone. Yours next: pdelta diff SRC DEST, then pdelta push SRC DEST"
