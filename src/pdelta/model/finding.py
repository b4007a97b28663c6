"""One pre-flight result; not an exception."""

import msgspec


class Finding(msgspec.Struct, frozen=True):
    """A problem, or a warning, found before anything was changed.

    Attributes:
        code: Stable name, for example ``drift`` or ``space``.
        message: What was found, at which subject.
        blocks: Whether executing must be refused.
        hint: What to do about it.
        subject: Raw path or name; empty when it concerns the whole target.
    """

    code: str
    message: str
    blocks: bool = True
    hint: str = ""
    subject: bytes = b""
