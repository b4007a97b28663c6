"""Names and values as SQL text, whatever a server's settings are."""

from typing import Final

LONGEST_NAME_BYTES: Final = 63
"""PostgreSQL cuts longer names off, and would find another tenant."""


def name(text: str) -> str:
    """Give this as a quoted name.

    Raises:
        ValueError: No name can be that; whoever takes names from outside looks with ``is_name`` before.
    """
    if not is_name(text):
        raise ValueError(f"no name in PostgreSQL: {text!r}")
    return '"' + text.replace('"', '""') + '"'


def is_name(text: str) -> bool:
    """Say whether something can be called that."""
    return "\0" not in text and 0 < len(text.encode("utf-8", "replace")) <= LONGEST_NAME_BYTES


def literal(text: str) -> str:
    """Give this as a string; with ``standard_conforming_strings`` off, a backslash means itself only in ``E''``."""
    quoted = "'" + text.replace("'", "''") + "'"
    return "E" + quoted.replace("\\", "\\\\") if "\\" in text else quoted
