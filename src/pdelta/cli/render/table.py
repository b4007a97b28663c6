"""Tables: aligned by rich on a terminal, tab-separated elsewhere, so that scripts can cut them."""

import io
from collections.abc import Iterable, Sequence

from pdelta.cli.render.safe import shown


def table_lines(
    titles: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    pretty: bool,
    right: Sequence[str] = (),
    colour: bool = False,
) -> list[str]:
    """Give a table's lines.

    Args:
        titles: Of the columns.
        rows: Cells; control characters in them are neutralised.
        pretty: Whether it is for a terminal.
        right: Titles of the columns that are aligned at their right.
        colour: Whether a pretty table may carry colours.
    """
    cells = [[shown(cell) for cell in row] for row in rows]
    if not pretty:
        return ["\t".join(titles), *("\t".join(row) for row in cells)]
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold", show_edge=False)
    for title in titles:
        table.add_column(title, justify="right" if title in right else "left", overflow="fold")
    for row in cells:
        table.add_row(*(Text(cell) for cell in row))
    text = io.StringIO()
    Console(file=text, force_terminal=colour, no_color=not colour, width=_width()).print(table)
    return text.getvalue().rstrip("\n").split("\n")


def _width() -> int:
    import shutil

    return max(60, shutil.get_terminal_size().columns)
