"""Text that came from another machine, made safe for a terminal.

Called wherever a peer's words are kept for people; changes nothing else.
"""

import re
from typing import Final

# C0 and C1 controls but newline and tab, DEL, bidirectional overrides and isolates, lone surrogates.
_UNSAFE: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")

MAX_CHARACTERS: Final = 8192


def neutralise(text: str) -> str:
    """Give text in which nothing can drive a terminal: each unsafe character as its code, long text cut.

    Args:
        text: Words of a peer.
    """
    if len(text) > MAX_CHARACTERS:
        text = text[:MAX_CHARACTERS] + " …"
    return _UNSAFE.sub(_spell, text.replace("\r\n", "\n"))


def _spell(match: re.Match[str]) -> str:
    code = ord(match.group())
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}"
