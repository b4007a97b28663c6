"""Commands are imported when they are used, and garbage is collected from then on."""

import gc
from collections.abc import Iterator

import click
import pytest

from pdelta.cli.command_line import group


@pytest.fixture
def collecting() -> Iterator[None]:
    """Leave the garbage collector as it was."""
    often = gc.get_threshold()
    yield
    gc.set_threshold(*often)
    gc.unfreeze()
    gc.enable()


def got(*names: str) -> click.Command:
    command: click.Command = group
    for name in names:
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), name)
        assert found is not None
        command = found
    return command


@pytest.mark.usefixtures("collecting")
def test_command_when_garbage_was_put_off_then_it_is_collected_from_the_command_on() -> None:
    gc.disable()
    got("sql")
    assert not gc.isenabled()
    got("sql", "apply")
    assert gc.isenabled()
    assert gc.get_threshold()[0] == 10_000
    assert gc.get_freeze_count() > 10_000


@pytest.mark.usefixtures("collecting")
def test_command_when_garbage_was_not_put_off_then_nothing_changes() -> None:
    before = (gc.isenabled(), gc.get_threshold(), gc.get_freeze_count())
    assert before[0]
    got("history")
    assert (gc.isenabled(), gc.get_threshold(), gc.get_freeze_count()) == before
