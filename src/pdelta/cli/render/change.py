"""Changes of a tree, a line each, and their totals."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

import click

from pdelta.cli.render.amount import counted, number, share, size
from pdelta.cli.render.safe import shown
from pdelta.cli.render.table import cell_width
from pdelta.model.change import Change

MARKS: Final = {"add": "+", "change": "~", "delete": "-", "move": ">", "metadata": "="}
COLOURS: Final = {"add": "green", "change": "yellow", "delete": "red", "move": "cyan", "metadata": "bright_black"}
NOUNS: Final = {
    "added": ("add", "green"),
    "changed": ("change", "yellow"),
    "moved": ("move", "cyan"),
    "deleted": ("delete", "red"),
    "metadata": ("metadata", "bright_black"),
}
_NAME_WIDTH: Final = 48
_RANGES_SHOWN: Final = 3


def change_line(change: Change, width: int = 0) -> str:
    """Give one change as a line, for example ``~ conf/app.ini   4.1 kB of 120.0 kB``.

    Args:
        change: What is told.
        width: How many columns its name takes at least.
    """
    mark = MARKS.get(change.action, "?")
    name, told = _name(change), _amount(change)
    line = f"  {click.style(mark, fg=COLOURS.get(change.action), bold=True)} {name}"
    if not told:
        return line
    return f"{line}{' ' * max(2, width + 2 - cell_width(name))}{click.style(told, fg='bright_black')}"


def change_lines(changes: Sequence[Change], count: int, *, limit: int, more: str = "") -> Iterator[str]:
    """Give at most ``limit`` changes, and how many there are beyond.

    Args:
        changes: All of them, or the first ones.
        count: How many there are in all.
        limit: How many are listed; 0 for all that are given.
        more: Where the rest can be seen.
    """
    listed = changes[:limit] if limit else changes
    width = max((cell_width(_name(change)) for change in listed), default=0)
    for change in listed:
        yield change_line(change, min(width, _NAME_WIDTH))
    if count > len(listed):
        hint = f"   {more}" if more else ""
        yield click.style(f"  … {number(count - len(listed))} more{hint}", fg="bright_black")


def totals(counts: Mapping[str, int]) -> str:
    """Give counts as one phrase, for example ``3 added · 1 moved``; those of nothing are left out."""
    parts = [
        click.style(f"{number(counts[name])} {name if name != 'metadata' else 'metadata only'}", fg=colour)
        for name, (_, colour) in NOUNS.items()
        if counts.get(name)
    ]
    return " · ".join(parts) or "no change"


def count_changes(changes: Iterable[Change]) -> dict[str, int]:
    """Give how many changes of each sort there are, by the names of ``NOUNS``."""
    names = {action: name for name, (action, _) in NOUNS.items()}
    counts = dict.fromkeys(NOUNS, 0)
    for change in changes:
        counts[names.get(change.action, "changed")] += 1
    return counts


def _name(change: Change) -> str:
    name = shown(change.subject) or "."
    return f"{shown(change.origin)} → {name}" if change.origin else name


def _amount(change: Change) -> str:
    match change.action:
        case "add":
            return change.detail or size(change.size_bytes)
        case "change":
            told = f"{size(change.changed_bytes)} of {size(change.size_bytes)}{_places(change)}"
            return f"{told}, {change.detail}" if change.detail else told
        case "move":
            return change.detail or (f"and {size(change.changed_bytes)} changed" if change.changed_bytes else "")
        case _:
            return change.detail


def _places(change: Change) -> str:
    """Say which byte ranges are new, the first three of them."""
    if not change.ranges or change.changed_bytes >= change.size_bytes:
        return ""
    part = share(change.changed_bytes, change.size_bytes)
    told = ", ".join(f"{offset}–{offset + length}" for offset, length in change.ranges[:_RANGES_SHOWN])
    return f" ({part}) at {told}{' …' if len(change.ranges) > _RANGES_SHOWN else ''}"


def released_lines(paths: Sequence[bytes], *, limit: int) -> Iterator[str]:
    """Give paths that are ignored from now on; nothing when there are none."""
    for path in paths[:limit] if limit else paths:
        yield click.style(f"  released: {shown(path)} is ignored now, and stays as it is", fg="yellow")
    if limit and len(paths) > limit:
        yield click.style(f"  released: {counted(len(paths) - limit, 'more path')}", fg="yellow")


def path_lines(title: str, paths: Sequence[bytes], *, colour: str, limit: int) -> Iterator[str]:
    """Give paths under a title with their number; nothing when there are none."""
    if not paths:
        return
    yield click.style(f"{counted(len(paths), 'path')} {title}", fg=colour, bold=True)
    for path in paths[:limit] if limit else paths:
        yield f"  {shown(path) or '.'}"
    if limit and len(paths) > limit:
        yield click.style(f"  … {number(len(paths) - limit)} more   (-v lists them)", fg="bright_black")
