"""What a destination on the command line means: a folder here, or a folder on a host.

Called by ``compose``; resolves nothing on disk and opens nothing.
"""

import os
from collections.abc import Mapping

import msgspec

from pdelta.errors import UsageError
from pdelta.formats.project import Host
from pdelta.transports.address import RemoteAddress, parse_address


class Destination(msgspec.Struct, frozen=True):
    """A folder here or elsewhere.

    Attributes:
        text: What was typed; messages repeat it.
        path: Raw path, here or on the host.
        remote: Host and path; None for a folder of this machine.
        become: User that the host's entry of the project file asks for; empty for none.
        identity: Private key file that it asks for; empty for none.
    """

    text: str
    path: bytes
    remote: RemoteAddress | None = None
    become: str = ""
    identity: str = ""


def parse_destination(text: str, hosts: Mapping[str, Host]) -> Destination:
    """Say what a destination means: a path, ``[user@]host:path``, ``ssh://…``, or ``NAME:path`` of the project file.

    Args:
        text: As it was typed.
        hosts: The hosts of the project file, by name.

    Raises:
        UsageError: It is empty, names no folder, or no host that is safe to hand to ssh.
    """
    if not text or "\0" in text:
        message = f"{text!r} names no destination"
        raise UsageError(message, hint="give a path, [user@]host:path or ssh://[user@]host[:port]/path")
    scheme, separator, _ = text.partition("://")
    if separator and scheme != "ssh" and scheme.isalnum():
        message = f"{text!r}: addresses of the kind {scheme}:// are not known here"
        raise UsageError(message, hint="a host is reached by [user@]host:path or ssh://[user@]host[:port]/path")
    name, colon, path = text.partition(":")
    if colon and name in hosts and not text.startswith("ssh://"):
        return _from_project(text, hosts[name], path)
    remote = parse_address(text)
    if remote is None:
        return Destination(text, os.fsencode(text))
    if text.endswith(":") and remote.path == b".":
        message = f"{text!r} names no folder on {remote.label}"
        raise UsageError(message, hint=f"give one, for example {text}app, or {text}. for the whole home folder")
    return Destination(text, remote.path, remote)


def remote_address(remote_host: str, remote_dir: str) -> str:
    """Give the destination of a sync manifest as one address."""
    if not remote_host:
        return remote_dir if remote_dir.startswith(("/", "./", "../")) else f"./{remote_dir}"
    if remote_host.startswith("ssh://"):
        return f"{remote_host.rstrip('/')}/{remote_dir.lstrip('/')}"
    return f"{remote_host}:{remote_dir}"


def _from_project(text: str, host: Host, path: str) -> Destination:
    folder = path
    if host.root and not path.startswith(("/", "~")):
        folder = f"{host.root.rstrip('/')}/{path}" if path else host.root
    if not folder:
        message = f"{text!r} names no folder, and the host's entry in the project file has no root"
        raise UsageError(message, hint=f"give one, for example {text}app")
    remote = parse_address(f"{host.address}:{folder}")
    if remote is None:
        message = f"the address {host.address!r} in the project file is no [user@]host"
        raise UsageError(message)
    if host.port:
        remote = msgspec.structs.replace(remote, port=host.port)
    return Destination(text, remote.path, remote, host.become, host.identity)
