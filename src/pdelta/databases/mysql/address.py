"""The URL of a MySQL or MariaDB server: what may be shown of it, and what only the driver is told."""

import ssl
from typing import Any, Final
from urllib.parse import parse_qsl, unquote, urlsplit

from pdelta.errors import UsageError
from pdelta.formats.database_url import mask, secrets_of

SCHEMES: Final = ("mysql", "mariadb")
CONNECT_TIMEOUT_S: Final = 10
_PORT: Final = 3306
_HINT: Final = "write it as mysql://user:password@host:port/database, with special characters as %XX"
_PARAMETERS: Final = ("connect_timeout", "ssl_ca", "ssl_cert", "ssl_key", "ssl_mode", "unix_socket")
_MODES: Final = ("DISABLED", "PREFERRED", "REQUIRED", "VERIFY_CA", "VERIFY_IDENTITY")


class Address:
    """Where a server is and who is let in; it never shows a password.

    Args:
        url: ``mysql://user:password@host:port/database``, with ``ssl_mode`` and the other parameters as MySQL's own
            clients know them: PREFERRED, the default, encrypts where the server can, and asks no proof of who it is.

    Raises:
        UsageError: It is none.
    """

    def __init__(self, url: str) -> None:
        self._secrets = secrets_of(url)
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError:
            # The original speaks of what it could not read, and that may be the password.
            raise UsageError("the URL of a MySQL server can't be read", hint=_HINT) from None
        if parts.scheme not in SCHEMES or "://" not in url or "\0" in url:
            raise UsageError("the URL of a MySQL server does not begin with mysql:// or mariadb://", hint=_HINT)
        said = {key.replace("-", "_"): value for key, value in parse_qsl(parts.query, keep_blank_values=True)}
        unknown = sorted(set(said) - set(_PARAMETERS))
        if unknown:
            raise UsageError(
                f"the URL of a MySQL server has unknown parameters: {', '.join(unknown)}",
                hint=f"known are: {', '.join(_PARAMETERS)}",
            )
        self.database = unquote(parts.path.removeprefix("/"))
        self._user = unquote(parts.username or "")
        self._password = unquote(parts.password or "")
        self._socket = said.get("unix_socket", "")
        self._host = unquote(parts.hostname or "localhost")
        self._port = port or _PORT
        self._timeout_s = _seconds(said.get("connect_timeout", ""))
        self._files = {key: said[key] for key in ("ssl_ca", "ssl_cert", "ssl_key") if said.get(key)}
        mode = said.get("ssl_mode", "").upper() or ("VERIFY_CA" if "ssl_ca" in self._files else "PREFERRED")
        if mode not in _MODES:
            raise UsageError(f"ssl_mode is {said['ssl_mode']!r}", hint=f"known are: {', '.join(_MODES)}")
        self.encrypts = mode != "DISABLED"
        self.must_encrypt = mode not in {"DISABLED", "PREFERRED"}
        self._mode = mode
        self._context: ssl.SSLContext | None = None

    @property
    def server(self) -> str:
        """What people call the server: its host and port, or its socket."""
        if self._socket:
            return self._socket
        return f"[{self._host}]:{self._port}" if ":" in self._host else f"{self._host}:{self._port}"

    def redact(self, text: str) -> str:
        """Take passwords out of what the driver or the server says."""
        return mask(text, self._secrets)

    def arguments(self, *, encrypted: bool) -> dict[str, Any]:
        """Give what the driver is told.

        Args:
            encrypted: Whether to insist on TLS, or to go without.

        Raises:
            UsageError: A file of certificates can't be read.
        """
        place: dict[str, Any] = {"host": self._host, "port": self._port}
        if self._socket:
            place = {"unix_socket": self._socket}
        return {
            **place,
            "user": self._user,
            # As bytes: the driver would write a text in Latin-1.
            "password": self._password.encode(),
            "connect_timeout": self._timeout_s,
            **({"ssl": self._tls()} if encrypted else {"ssl_disabled": True}),
        }

    def _tls(self) -> ssl.SSLContext:
        """Give the context that every connection shares.

        The driver would make one a connection, and read the system's certificates into it each time even where nothing
        is checked against them (measured: 25 of the 26 ms that a connection takes on loopback).
        """
        if self._context is None:
            try:
                self._context = self._make_context()
            except (OSError, ssl.SSLError) as error:
                raise UsageError(
                    f"the certificates for {self.server} can't be read: {error}",
                    hint="look at ssl_ca, ssl_cert and ssl_key in its URL",
                ) from error
        return self._context

    def _make_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = self._mode == "VERIFY_IDENTITY"
        if self._mode in {"VERIFY_CA", "VERIFY_IDENTITY"}:
            # The certificates that MySQL makes for itself are not as strict as RFC 5280.
            context.verify_flags &= ~getattr(ssl, "VERIFY_X509_STRICT", 0)
            if "ssl_ca" in self._files:
                context.load_verify_locations(self._files["ssl_ca"])
            else:
                context.load_default_certs()
        else:
            context.verify_mode = ssl.CERT_NONE
        if "ssl_cert" in self._files:
            context.load_cert_chain(self._files["ssl_cert"], self._files.get("ssl_key"))
        return context

    def __repr__(self) -> str:
        return f"Address({self.server}/{self.database})"


def _seconds(text: str) -> int:
    if not text:
        return CONNECT_TIMEOUT_S
    if not (text.isascii() and text.isdecimal()) or not 0 < int(text) < 86_400:
        raise UsageError("connect_timeout in the URL of a MySQL server is no number of seconds")
    return int(text)
