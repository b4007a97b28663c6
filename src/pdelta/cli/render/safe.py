"""Names and messages from outside, made harmless for a terminal.

A file name or a hostile host's answer may hold escape sequences, line breaks, or characters
that change the direction of what follows; each is shown as an escape instead.
"""

from typing import Final

_KEPT: Final = frozenset("\u200d")
"""Joins the parts of an emoji; harmless."""

_SHORT: Final = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def shown(name: bytes | str) -> str:
    r"""Give one line that is safe to print: control characters and undecodable bytes become ``\n``, ``\x1b``."""
    text = name.decode("utf-8", "surrogateescape") if isinstance(name, bytes) else name
    if text.isprintable():
        return text
    return "".join(_escaped(character) for character in text)


def shown_text(text: str) -> str:
    """Give text of several lines in which only line breaks remain of all control characters."""
    return "\n".join(shown(line) for line in text.split("\n"))


def _escaped(character: str) -> str:
    if character.isprintable() or character in _KEPT:
        return character
    if character in _SHORT:
        return _SHORT[character]
    number = ord(character)
    if 0xDC80 <= number <= 0xDCFF:
        return f"\\x{number - 0xDC00:02x}"
    if number < 0x100:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"
