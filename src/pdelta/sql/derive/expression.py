"""Expressions of text that a tenant evaluates, as far as dialects differ in little of them."""

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


def amount(
    of: str, one: str, many: str, count: str = "count(*)", *, literal: Callable[[str], str], both: str = "{} || {}"
) -> str:
    """Give the expression of what is said of so many rows, one or several.

    Args:
        of: What they are rows of.
        one: What is said of one.
        many: What is said of several.
        count: The expression of their number.
        literal: Gives text as a string of SQL.
        both: The expression of two texts, one after the other.
    """
    several = both.format(count, literal(f" rows of {of} {many}"))
    return f"CASE {count} WHEN 1 THEN {literal(f'1 row of {of} {one}')} ELSE {several} END"
