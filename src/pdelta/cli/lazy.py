"""A command group whose commands are imported when they are used: start-up is a budget."""

import gc
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final

import click

_OBJECTS_BETWEEN: Final = 10_000
"""So many more of them there must be before the garbage among them is collected: some 2 MB.

Python's own 700 are reached 80 times by a roll-out over 1,000 tenants, for 12 ms and no garbage.
"""


class LazyGroup(click.Group):
    """A group of which the list shows every command, and imports none.

    Args:
        *arguments: As for ``click.Group``.
        table: The commands' names, each with the line that the list shows.
        package: What comes before a command's name in that of its module, where it is ``command``.
        **options: As for ``click.Group``.
    """

    def __init__(self, *arguments: Any, table: Mapping[str, str], package: str, **options: Any) -> None:  # noqa: ANN401
        """Know the names."""
        super().__init__(*arguments, **options)
        self._table = table
        self._package = package

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Give the names in the order of the table."""
        return list(self._table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import one command, and collect garbage from then on where the command line has put that off."""
        if cmd_name not in self._table:
            return None
        command: click.Command = import_module(self._package + cmd_name.replace("-", "_")).command
        if not isinstance(command, LazyGroup) and not gc.isenabled():
            gc.freeze()
            gc.set_threshold(_OBJECTS_BETWEEN)
            gc.enable()
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the list without importing anything."""
        with formatter.section("Commands"):
            formatter.write_dl(list(self._table.items()))
