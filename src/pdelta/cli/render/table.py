"""Tables: aligned columns, the same for a terminal and for a pipe.

A cell is never broken. Where a terminal is too narrow for all columns, the last ones move below
their row, wrapped; elsewhere lines are as long as they are, for a pager to scroll. Scripts read ``--json``.
"""

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import click

from pdelta.cli.render.safe import shown

_GAP: Final = "  "
_INDENT: Final = "    "
_LEAST_WIDTH: Final = 30


def table_lines(
    titles: Sequence[str], rows: Iterable[Sequence[str]], *, width: int | None, right: Sequence[str] = ()
) -> Iterator[str]:
    """Give a table's lines.

    Args:
        titles: Of the columns; those that matter least come last.
        rows: Cells; control characters in them are neutralised.
        width: Columns of the terminal; None where there is none.
        right: Titles of the columns that are aligned at their right.
    """
    cells = [[shown(cell) for cell in row] for row in rows]
    widths = [max(map(cell_width, column)) for column in zip(titles, *cells, strict=True)]
    inline = _fitting(widths, width)
    aligned = [title in right for title in titles[:inline]]
    yield click.style(_line(titles[:inline], widths, aligned), bold=True)
    for row in cells:
        yield _line(row[:inline], widths, aligned)
        below = " · ".join(filter(None, row[inline:]))
        if below and width is not None:
            for line in _wrapped(below, width):
                yield click.style(line, fg="bright_black")


def cell_width(text: str) -> int:
    """Give how many columns a terminal needs for a text: two for wide characters, none for combining ones."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(character) else 2 if unicodedata.east_asian_width(character) in "WF" else 1
        for character in text
    )


def _wrapped(text: str, width: int) -> list[str]:
    """Break a text between words, so that a path or an address can still be copied."""
    import textwrap

    return textwrap.wrap(
        text,
        max(width, _LEAST_WIDTH),
        initial_indent=_INDENT,
        subsequent_indent=_INDENT,
        break_on_hyphens=False,
        break_long_words=False,
    )


def _fitting(widths: Sequence[int], limit: int | None) -> int:
    """Give how many columns stand beside each other; at least the first."""
    inline = len(widths)
    if limit is not None:
        while inline > 1 and sum(widths[:inline]) + len(_GAP) * (inline - 1) > limit:
            inline -= 1
    return inline


def _line(cells: Sequence[str], widths: Sequence[int], right: Sequence[bool]) -> str:
    padded = (
        " " * (width - cell_width(cell)) + cell if at_right else cell + " " * (width - cell_width(cell))
        for cell, width, at_right in zip(cells, widths, right, strict=False)
    )
    return _GAP.join(padded).rstrip()
