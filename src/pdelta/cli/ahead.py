"""Connecting to a database before the command line itself is imported, while the two are at work at the same time.

A guess from the words alone, as the command line is not there yet: whoever opens a database takes over what was begun
to the very same URL, and what nobody wants is closed in the end.
"""

from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from typing import Final

from pdelta.app.sql.compose import connect_ahead
from pdelta.cli.lookup import lookup_below
from pdelta.cli.settings import forget_ahead, read_ahead
from pdelta.errors import PdeltaError

_LOOKING: Final = frozenset({"apply", "drift", "rollback", "status"})
"""The commands that ask the database first of all."""
_ELSEWHERE: Final = frozenset({"--config", "--help", "--plan", "--tenants", "--url", "-h"})
"""Options that lead elsewhere, or nowhere."""


def begin(words: Sequence[str]) -> Callable[[], None] | None:
    """Begin to connect where these words lead; give what ends that, or None where nothing can have been begun.

    Whatever is wrong is told by whoever comes to it.
    """
    given = {word.partition("=")[0] for word in words}
    if words[:1] != ["sql"] or not _LOOKING & set(words[1:2]) or _ELSEWHERE & given:
        return None
    stack = ExitStack()
    stack.callback(forget_ahead)
    with suppress(PdeltaError):
        settings = read_ahead()
        databases = settings.project.databases
        name = _value(words, "--database") or (next(iter(databases)) if len(databases) == 1 else "")
        if section := databases.get(name):
            connect_ahead(section, lookup_below(settings.folder), stack, looks="--only" not in given)
    return stack.close


def _value(words: Sequence[str], option: str) -> str:
    """Give what is said of an option, the last time that it stands there."""
    found = ""
    for word, following in zip(words, [*words[1:], ""], strict=True):
        name, equals, value = word.partition("=")
        if name == option:
            found = value if equals else following
    return found
