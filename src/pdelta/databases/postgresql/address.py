"""The URL of a PostgreSQL server: what may be shown of it, and what only the library is told."""

import os
import re
from typing import Final

from pdelta.databases.postgresql.login import Login
from pdelta.errors import UsageError

SCHEMES: Final = ("postgresql", "postgres")
APPLICATION: Final = "pdelta"
"""What servers show of us."""
CONNECT_TIMEOUT_S: Final = 10.0
_DEFAULT_PORT: Final = 5432
_HINT: Final = "write it as postgresql://user:password@host:port/database, with special characters as %XX"
_HOSTS: Final = r"(?:(?:\[[^\]@]*\]|[^:,@\[\]]*)(?::[0-9]*)?(?:,|\Z))*"
_SECONDS: Final = r"[0-9]{1,6}(?:\.[0-9]{1,6})?"
_HERE: Final = re.compile(r"(?:localhost|127\.[\d.]+|\[::1\]):|/|@|%2[Ff]")
_PATIENCE: Final = (
    ("keepalives_idle", "30"),
    ("keepalives_interval", "10"),
    ("keepalives_count", "3"),
    ("tcp_user_timeout", "30000"),
)
"""So that nobody waits for hours on a server that has vanished without a word."""


class Address:
    """Where a server is and who is let in; it never shows a password.

    Args:
        url: As PostgreSQL's clients take it: ``postgresql://user:password@host:port/database?sslmode=…``; several
            hosts with commas between them, and a socket's folder as ``host``, are as good.

    Attributes:
        server: What people call the server: its host and port.
        is_here: Whether it is reached on this machine: by its loopback network, or a socket.
        database: The one that the URL names; empty for none.
        connect_timeout_s: How long connecting may take.
        login: What is known of logging in there.

    Raises:
        UsageError: It is none.
    """

    def __init__(self, url: str) -> None:
        scheme, _, rest = url.partition("://")
        if scheme not in SCHEMES or "\0" in url:
            raise UsageError("the URL of a PostgreSQL server does not begin with postgresql://", hint=_HINT)
        # As the client library reads it, which takes # and ? in a password for what they are.
        authority, slash, tail = rest.partition("/")
        login, _, hosts = authority.rpartition("@")
        hosts, mark, early = hosts.partition("?")
        path, _, late = ("", "", early + slash + tail) if mark else tail.partition("?")
        query = _parameters(late)
        timeout = query.get("connect_timeout", [str(CONNECT_TIMEOUT_S)])[-1]
        port = query.get("port", [""])[-1]
        self._url = url
        if "@" in path or not re.fullmatch(_HOSTS, hosts) or not re.fullmatch(_SECONDS, timeout):
            # What could not be read is not shown: it may be the password.
            raise UsageError("the URL of a PostgreSQL server can't be read", hint=_HINT)
        hosts = hosts or query.get("host", [""])[-1] or "localhost"
        self.server = ",".join(_with_port(host, port) for host in hosts.split(","))
        self.is_here = all(map(_HERE.match, self.server.split(",")))
        self.connect_timeout_s = float(timeout)
        self.database = _meant(path) or query.get("dbname", [""])[-1]
        password = login.partition(":")[2]
        passwords = query.get("password", [_meant(password)])
        # A package's library does not know where the system keeps its certificates; nor do we what a service says.
        trusted = query.get("sslrootcert", [os.environ.get("PGSSLROOTCERT")])  # noqa: TID251 - the library reads it
        service = query.get("service", [os.environ.get("PGSERVICE")])  # noqa: TID251 - likewise
        self.login = Login("" if trusted[-1] == "system" or service[-1] else passwords[-1])
        self._secrets = {password, _meant(password), *query.get("password", []), *query.get("sslpassword", [])} - {""}

    def redact(self, text: str) -> str:
        """Take passwords out of what the library or the server says."""
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def parameters(self, *, database: str, application_name: str) -> list[tuple[bytes, bytes]]:
        """Give what the library is told, in this order: what comes after the URL overrides it.

        Args:
            database: Instead of the URL's; empty for the URL's.
            application_name: Unless the URL gives another.
        """
        told = [*_PATIENCE, ("fallback_application_name", application_name), ("dbname", self._url)]
        if database:
            told.append(("dbname", database))
        return [(name.encode(), value.encode()) for name, value in (*told, ("client_encoding", "UTF8"))]

    def __repr__(self) -> str:
        return f"Address({self.server}/{self.database})"


def _parameters(query: str) -> dict[str, list[str]]:
    """Give what stands behind the question mark, by its names."""
    if not query:
        return {}
    from urllib.parse import parse_qs  # 3 ms that most addresses need not pay

    # The library takes a plus for what it is.
    return parse_qs(query.replace("+", "%2B"), keep_blank_values=True)


def _meant(text: str) -> str:
    """Give what a text means whose special characters may stand there as %XX."""
    if "%" not in text:
        return text
    from urllib.parse import unquote  # likewise

    return unquote(text)


def _with_port(host: str, port: str) -> str:
    _name, colon, own = host.rpartition(":")
    if colon and own.isdecimal():
        return host
    return f"{host}:{port or _DEFAULT_PORT}"
