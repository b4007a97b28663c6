"""Where a tree is: a path here, or a path on a host.

Called by the command line for every SRC, DEST and WHERE; opens nothing.
"""

import re
from typing import Final

import msgspec

from pdelta.errors import UsageError

_HOST: Final = re.compile(r"[^\x00-\x20\x7f'\"`$\\;&<>|(){}\[\]*?!#,/@]+")
_USER: Final = re.compile(r"[^\x00-\x20\x7f'\"`$\\;&<>|(){}\[\]*?!#,/:]+")
_LITERAL: Final = re.compile(r"\[([0-9A-Fa-f:.]+(?:%[0-9A-Za-z._-]+)?)\]")


class RemoteAddress(msgspec.Struct, frozen=True):
    """A path on a host.

    Attributes:
        host: Host name, alias of the ssh config, or IP address without brackets.
        path: Raw path; relative to the login folder unless it begins with a slash.
        user: Login name; empty for ssh's choice.
        port: TCP port; 0 for ssh's choice.
    """

    host: str
    path: bytes
    user: str = ""
    port: int = 0

    @property
    def label(self) -> str:
        """The host as messages name it."""
        return f"{self.user}@{self.host}" if self.user else self.host


def parse_address(text: str) -> RemoteAddress | None:
    """Give the host and path that a person typed, or None for a path of this machine.

    ``[user@]host:path``, ``[user@][::1]:path`` and ``ssh://[user@]host[:port]/path`` (absolute;
    ``/~/path`` is relative to the login folder) are remote. A text whose first colon comes after a slash is
    a path here.

    Args:
        text: What was typed; undecodable bytes as surrogates, as Python gives arguments.

    Raises:
        UsageError: It is meant for a host, but no name that is safe to hand to ssh.
    """
    if text.startswith("ssh://"):
        return _parse_url(text)
    bracket = re.match(r"(?:([^/:\[\]@]*)@)?(\[[^\]/]*\]):", text)
    if bracket:
        return _checked(text, bracket[1], bracket[2], 0, text[bracket.end() :].encode("utf-8", "surrogateescape"))
    head, colon, path = text.partition(":")
    if not colon or "/" in head or not head:
        return None
    user, at, host = head.rpartition("@")
    return _checked(text, user if at else None, host, 0, path.encode("utf-8", "surrogateescape"))


def _parse_url(text: str) -> RemoteAddress:
    authority, slash, path = text.removeprefix("ssh://").partition("/")
    user, at, location = authority.rpartition("@")
    match = re.fullmatch(r"(\[[^\]]*\]|[^:\[\]]*)(?::([0-9]{1,5}))?", location)
    if match is None or not slash:
        raise UsageError(f"{text!r} is no ssh:// address", hint="write ssh://user@host:port/path")
    port = int(match[2] or 0)
    if port >= 1 << 16:
        raise UsageError(f"{text!r} names port {port}; ports end at 65535")
    from urllib.parse import unquote_to_bytes  # 3 ms that the other form need not pay

    raw = unquote_to_bytes(path.encode("utf-8", "surrogateescape"))
    raw = raw if raw.startswith(b"~") else b"/" + raw
    return _checked(text, user if at else None, match[1], port, raw)


def _checked(text: str, user: str | None, host: str, port: int, path: bytes) -> RemoteAddress:
    literal = _LITERAL.fullmatch(host)
    name = literal[1] if literal else host
    # A name that begins with a dash would be an option of ssh; the other characters mean something to a shell
    # that a ProxyCommand or a Match exec of the user's config may start with them.
    if not literal and (name.startswith("-") or not _HOST.fullmatch(name)):
        raise UsageError(f"{host!r} in {text!r} is no host name", hint="write a path with a colon as ./a:b")
    if user is not None and (user.startswith("-") or not _USER.fullmatch(user)):
        raise UsageError(f"{user!r} in {text!r} is no user name")
    if b"\0" in path:
        raise UsageError(f"the path in {text!r} holds a NUL byte")
    return RemoteAddress(name, path or b".", user or "", port)
