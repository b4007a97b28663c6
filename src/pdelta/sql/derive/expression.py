"""Expressions of text that a tenant evaluates, for the dialects whose statements are read by their tokens."""

from collections.abc import Callable, Iterable


def quoted(name: str) -> str:
    """Give a name in backticks, which are never taken for the quotes of a string, whatever the server's modes."""
    return "`" + name.replace("`", "``") + "`"


def merged(parts: Iterable[str | tuple[str]], literal: Callable[[str], str]) -> list[str]:
    """Give the expressions of these parts in order; pieces of text beside each other are one.

    Args:
        parts: Text as it stands, and expressions, each in a tuple of its own.
        literal: Gives text as a string of SQL.
    """
    found: list[str] = []
    held = ""
    for part in parts:
        if isinstance(part, str):
            held += part
            continue
        if held:
            found.append(literal(held))
        held = ""
        found.append(part[0])
    if held or not found:
        found.append(literal(held))
    return found
