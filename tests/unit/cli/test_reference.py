"""docs/reference/commands.md names every command and every option, and nothing else."""

import re
from pathlib import Path
from typing import Any

import click
import pytest

from pdelta.cli.command_line import COMMANDS, group
from pdelta.cli.commands.sql import COMMANDS as SQL_COMMANDS
from pdelta.cli.render import history

NAMES = [*COMMANDS, *(f"sql {name}" for name in SQL_COMMANDS)]
PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "commands.md").read_text()


def command_of(name: str, **options: Any) -> click.Context:
    """Give the context of the command that these words name."""
    context = click.Context(group, **options)
    for word in name.split():
        assert isinstance(context.command, click.Group)
        command = context.command.get_command(context, word)
        assert command is not None
        context = click.Context(command, parent=context, info_name=word)
    return context


@pytest.mark.parametrize("name", NAMES)
def test_command_when_it_exists_then_the_reference_names_it_and_its_options(name: str) -> None:
    command = command_of(name).command
    assert f"## {name}\n" in PAGE
    options = {option for item in command.params if isinstance(item, click.Option) for option in item.opts}
    assert not [option for option in options if not re.search(rf"`[^`\n]*{re.escape(option)}\b", PAGE)]


@pytest.mark.parametrize("name", NAMES)
def test_command_when_it_exists_then_its_help_has_an_example(name: str) -> None:
    command = command_of(name).command
    assert "Example" in (command.epilog or "")
    assert command.help


@pytest.mark.parametrize("name", [*NAMES, "agent fetch"])
def test_help_when_a_terminal_has_80_columns_then_it_fits(name: str) -> None:
    context = command_of(name, terminal_width=80)
    assert [line for line in context.command.get_help(context).splitlines() if len(line) > 80] == []


def test_history_when_shown_then_the_reference_and_the_help_explain_its_columns() -> None:
    assert [title for title in history.TITLES if f"\n| {title} | " not in PAGE] == []
    command = group.get_command(click.Context(group), "history")
    assert command is not None
    assert "The column bytes is" in (command.epilog or "")
