"""``pdelta history`` and ``pdelta show``: what was done to a tree."""

from collections.abc import Sequence

import msgspec

from pdelta.app.compose import open_tree
from pdelta.app.context import Context, Link
from pdelta.errors import UsageError
from pdelta.formats.history import HistoryEntry, unmanaged
from pdelta.model.change import Change


class ShownEntry(msgspec.Struct, frozen=True):
    """One entry and its changes."""

    entry: HistoryEntry
    changes: tuple[Change, ...]


def read_history(where: str, context: Context, link: Link) -> Sequence[HistoryEntry]:
    """Give every entry of a tree, oldest first; none for a tree that pdelta never wrote to.

    Raises:
        UsageError: There is no such folder, and no history of one.
    """
    with open_tree(where, context, link) as tree:
        entries = list(tree.tree.history())
        if not entries and not tree.tree.describe().exists:
            raise not_there(where)
        return entries


def show_entry(where: str, number: int | None, context: Context, link: Link) -> ShownEntry:
    """Give one entry with all its changes.

    Args:
        where: The tree.
        number: Which entry; None for the newest.
        context: The command's surroundings.
        link: How a host is reached.

    Raises:
        UsageError: There is no such entry.
    """
    with open_tree(where, context, link) as tree:
        entries = {entry.number: entry for entry in tree.tree.history()}
        if not entries:
            raise unmanaged(where)
        chosen = max(entries) if number is None else number
        if chosen not in entries:
            raise UsageError(f"{where} has no entry {chosen}", hint=f"the newest is {max(entries)}")
        return ShownEntry(entries[chosen], tuple(tree.tree.show(chosen)))


def not_there(where: str) -> UsageError:
    """Give the error of asking for a folder that does not exist, and of which no history does."""
    return UsageError(f"{where} is not there", hint="look at the path; a first push makes the folder")
