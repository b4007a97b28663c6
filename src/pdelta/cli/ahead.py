"""Connecting to a database before the command line itself is imported, while the two are at work at the same time.

A guess from the words alone, as the command line is not there yet: whoever opens a database takes over what was begun
to the very same URL, and what nobody wants is closed in the end.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from pdelta.app.sql.compose import connect_ahead
from pdelta.cli.lookup import lookup_again
from pdelta.cli.settings import forget_ahead, read_ahead

_ELSEWHERE: Final = frozenset({"--config", "--help", "--plan", "--tenants", "--url", "-h"})
"""Options that lead elsewhere, or nowhere."""


def begin(words: Sequence[str], ends: list[Callable[[], None]]) -> None:
    """Begin to connect where the words of a command lead that asks a database first of all.

    Whatever is wrong is told by whoever comes to it.

    Args:
        words: Of the command.
        ends: Is given what ends all that was begun; whoever calls this calls it, too.
    """
    given = {word.partition("=")[0] for word in words}
    if _ELSEWHERE & given:
        return
    ends.append(forget_ahead)
    # It is a guess, and may fail of anything.
    with suppress(Exception):
        settings = read_ahead()
        databases = settings.project.databases
        name = _value(words, "--database") or (next(iter(databases)) if len(databases) == 1 else "")
        if section := databases.get(name):
            end = connect_ahead(section, lookup_again(settings.folder), looks="--only" not in given)
            ends += [end] if end else []


def _value(words: Sequence[str], option: str) -> str:
    """Give what is said of an option, the last time that it stands there."""
    found = ""
    for word, following in zip(words, [*words[1:], ""], strict=True):
        name, equals, value = word.partition("=")
        if name == option:
            found = value if equals else following
    return found
