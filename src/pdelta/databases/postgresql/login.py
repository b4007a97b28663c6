"""Logging in to one server many times: a password is hashed once, and not again for each connection.

With SCRAM (RFC 5802) a client hashes its password thousands of times, with a salt that belongs to the role: 2 to 3 ms
of processor time a connection, and 200 databases are 200 connections. The server asks for the same keys every time.
Since version 18 the client library takes them instead of the password. Called by ``connection``, kept by ``address``.
"""

import re
from typing import Final

_FIRST: Final = rb"AuthenticationSASLContinue\t '[^\n]*?,s=([A-Za-z0-9+/=]+),i=([0-9]{1,9})[,']"
"""The server's first message, as the library's trace shows it: RFC 5802, section 7."""
_HASH: Final = "sha256"
"""Of SCRAM-SHA-256 (RFC 7677) and SCRAM-SHA-256-PLUS, and servers know no other."""
_WORTH_CONNECTIONS: Final = 5
"""Measured: 2 ms to load Python's hashes, and 1 to hash; a connection saves 2."""

Keys = tuple[tuple[bytes, bytes], ...]
"""Parameters of the library, by their names."""


class Login:
    """What is known of logging in to the servers of one address.

    Keys are used from the fifth connection on, as deriving them costs as much as two connections without them; and only
    where two have met the same salt: a pooler that makes up a salt for each would refuse them, and an attempt that is
    refused stands in its log.

    Args:
        password: As it is, not as a URL writes it; empty where it is not known.

    Attributes:
        has_password: Whether it is known; the library that logs in is chosen by that alone, and stays the same.
        is_repeatable: Whether keys may come of it. SASLprep (RFC 4013) leaves printable ASCII as it is; other passwords
            are the library's business.
    """

    def __init__(self, password: str) -> None:
        self.has_password = bool(password)
        self.is_repeatable = bool(password) and password.isascii() and password.isprintable()
        self._password = password.encode()
        self._met: tuple[bytes, bytes] | None = None
        self._is_steady = False
        self._keys: Keys = ()
        self._asked = 0

    @property
    def listens(self) -> bool:
        """Whether it wants to hear what is said when the next connection is made."""
        return self.is_repeatable and not self._is_steady

    def hear(self, trace: bytes) -> None:
        """Learn what a server asks for from what the library and it have said until they came to terms.

        Args:
            trace: As ``PQtrace`` writes it.
        """
        found = re.search(_FIRST, trace)
        met = found and (found[1], found[2])
        self._is_steady = met is not None and met == self._met
        self._met = met

    def parameters(self) -> Keys:
        """Give the parameters of one more connection that stand for the password; none where the password is to do."""
        self._asked += 1
        is_worth_it = self._asked >= _WORTH_CONNECTIONS
        if is_worth_it and self.is_repeatable and self._is_steady and self._met and not self._keys:
            try:
                self._keys = _derive(self._password, *self._met)
            except (ImportError, ValueError):
                # No such hash in this Python, or one that refuses such passwords: the library has its own.
                self.give_up()
        return self._keys if self.is_repeatable else ()

    def give_up(self) -> None:
        """Log in with the password from now on: the server did not take the keys."""
        self.is_repeatable = False
        self._keys = ()


def _derive(password: bytes, salt: bytes, iterations: bytes) -> Keys:
    """Give the two keys of RFC 5802, section 3."""
    # Only who connects often needs them.
    from binascii import a2b_base64, b2a_base64
    from hashlib import pbkdf2_hmac
    from hmac import digest

    salted = pbkdf2_hmac(_HASH, password, a2b_base64(salt), int(iterations))
    return (
        (b"scram_client_key", b2a_base64(digest(salted, b"Client Key", _HASH), newline=False)),
        (b"scram_server_key", b2a_base64(digest(salted, b"Server Key", _HASH), newline=False)),
    )
