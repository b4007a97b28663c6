"""SHA-256 of short texts without OpenSSL, which ``hashlib`` loads first: 4 ms of the start of nearly every command.

Python's own ``random`` takes its hash in the same way. Large texts are worth OpenSSL, which is five times as fast.
"""

from functools import cache
from typing import Any


def sha256_of(data: bytes) -> str:
    """Give the SHA-256 of these bytes in lower-case hexadecimal."""
    digest: str = _maker()(data).hexdigest()
    return digest


@cache
def _maker() -> Any:  # noqa: ANN401 - the module has no types
    """Give what makes hashes; whoever only looks at stamps needs none."""
    try:
        from _sha2 import sha256  # type: ignore[import-not-found]  # from Python 3.12 on
    except ImportError:
        try:
            from _sha256 import sha256  # type: ignore[import-not-found]
        except ImportError:  # a Python that was made without its own
            from hashlib import sha256
    return sha256
