"""Runs: the operator's journal of them, and their ids. Apart from ``compose``, which knows what trees are made of."""

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pdelta.app.context import Context
from pdelta.model.run import new_run_id

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pdelta.engine.journal import Journal


def new_run(context: Context) -> str:
    """Give the id of a run that begins now."""
    return new_run_id(context.clock(), os.urandom(4))


@contextmanager
def open_journal(context: Context, kept: "Journal | None" = None, *, durable: bool = True) -> "Iterator[Journal]":
    """Give the operator's journal.

    Args:
        context: The command's surroundings.
        kept: It, where it is open already, and to stay so: whoever opens it reads all that was written lately.
        durable: Whether what is written survives power loss.

    Raises:
        FilesystemError: It can't be opened.
    """
    if kept is not None:
        yield kept
        return
    from pdelta.engine.journal import Journal  # it brings SQLite

    with Journal(context.journal, clock=context.clock, durable=durable) as journal:
        yield journal
