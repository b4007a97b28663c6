"""The history of a destination and one of its entries, for people and as JSON."""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import click

from pdelta.app.history import ShownEntry
from pdelta.cli.render.amount import moment, moment_iso, size
from pdelta.cli.render.change import change_lines, released_lines, totals
from pdelta.cli.render.document import path_fields, plain
from pdelta.cli.render.safe import shown
from pdelta.cli.render.table import table_lines
from pdelta.formats.history import NO_HISTORY, Counts, HistoryEntry, UndoState

TITLES: Final = ("no", "when", "what", "changes", "bytes", "undo", "by", "note")
_COUNTS = ("added", "changed", "moved", "deleted", "metadata")
_STATES = {UndoState.KEPT: "reversible", UndoState.NONE: "not kept", UndoState.COLLECTED: "collected"}


def fields(where: str, entries: Sequence[HistoryEntry]) -> dict[str, Any]:
    """Give the JSON document of a history."""
    return {"where": where, "entries": [_entry(entry) for entry in entries]}


def lines(where: str, entries: Sequence[HistoryEntry], *, width: int | None) -> Iterator[str]:
    """Give the history as a table, oldest first.

    Args:
        where: The destination, as it was typed.
        entries: What is listed.
        width: Columns of the terminal; None where there is none.
    """
    if not entries:
        yield f"{shown(where)} {NO_HISTORY}"
        return
    rows = [
        (
            str(entry.number),
            moment(entry.time_ns),
            _verb(entry),
            _counts(entry.counts),
            size(entry.counts.bytes_changed),
            _STATES.get(UndoState(entry.undo), entry.undo),
            _by(entry),
            entry.note,
        )
        for entry in entries
    ]
    yield from table_lines(TITLES, rows, width=width, right=("no", "bytes"))


def entry_fields(shown_entry: ShownEntry) -> dict[str, Any]:
    """Give the JSON document of one entry."""
    return {**_entry(shown_entry.entry), "changes": plain(shown_entry.changes)}


def entry_lines(shown_entry: ShownEntry) -> Iterator[str]:
    """Give one entry: its facts, then every change."""
    entry = shown_entry.entry
    yield f"{click.style(f'entry {entry.number}', bold=True)}  {_verb(entry)}  {moment(entry.time_ns)}"
    if entry.who:
        yield f"  by    {shown(entry.who)}" + (f", from {shown(entry.origin)}" if entry.origin else "")
    if entry.note:
        yield f"  note  {shown(entry.note)}"
    yield f"  run   {shown(entry.run)}"
    yield f"  undo  {_STATES.get(UndoState(entry.undo), entry.undo)}, {size(entry.undo_bytes)} kept"
    if entry.trusted:
        yield f"  {shown(entry.trusted)}"
    yield from released_lines(entry.released, limit=0)
    for path in entry.foreign:
        yield click.style(f"  foreign: {shown(path)} was changed by somebody else, and left", fg="yellow")
    yield f"  {totals({name: getattr(entry.counts, name) for name in _COUNTS})}"
    if shown_entry.changes:
        yield ""
        yield from change_lines(shown_entry.changes, len(shown_entry.changes), limit=0)


def _verb(entry: HistoryEntry) -> str:
    return f"{entry.verb} to {entry.to}" if entry.to is not None else entry.verb


def _by(entry: HistoryEntry) -> str:
    """Say who asked, and from where: mostly a folder of the very machine that the user is named with."""
    host = entry.who.rpartition("@")[2]
    if entry.origin in {"", host}:
        return entry.who
    same, _, folder = entry.origin.partition(":")
    return f"{entry.who}:{folder}" if same == host and folder else f"{entry.who} from {entry.origin}"


def _counts(counts: Counts) -> str:
    marks = {"added": "+", "changed": "~", "moved": ">", "deleted": "-", "metadata": "="}
    return " ".join(f"{mark}{getattr(counts, name)}" for name, mark in marks.items() if getattr(counts, name)) or "none"


def _entry(entry: HistoryEntry) -> dict[str, Any]:
    told: dict[str, Any] = plain(entry)
    told["time"] = moment_iso(entry.time_ns)
    told["origin"] = entry.origin
    told["reversible"] = entry.undo == UndoState.KEPT
    told["released"] = [path_fields(path) for path in entry.released]
    told["foreign"] = [path_fields(path) for path in entry.foreign]
    counts = told.pop("counts")
    told["counts"] = {name: counts[name] for name in _COUNTS}
    told["changed_bytes"] = entry.counts.bytes_changed
    told["sent_bytes"] = entry.counts.bytes_fetched
    told["reused_bytes"] = entry.counts.bytes_reused
    return told
