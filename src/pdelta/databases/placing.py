"""On which of several servers a tenant is to be that is not there yet; shared by the adapters that have servers."""

from collections.abc import Callable, Mapping
from typing import TypeVar

from pdelta.errors import UsageError

Server = TypeVar("Server")


def birthplace(
    section: str,
    name: str,
    lane: str,
    servers: Mapping[str, Server],
    homes: Callable[[], Mapping[str, str]],
) -> Server:
    """Give the server that a tenant is to be made on.

    Args:
        section: The section's name, for messages.
        name: The tenant's.
        lane: The server that was asked for; empty for none.
        servers: All, by their names.
        homes: Lists the tenants that there are, each with its server's name; asked only of several servers.

    Raises:
        UsageError: Nothing says which, or it is none, or another one has the tenant.
    """
    known = ", ".join(servers)
    if lane and lane not in servers:
        raise UsageError(f"databases.{section} has no server {lane!r}", hint=f"known are: {known}")
    if len(servers) == 1:
        return next(iter(servers.values()))
    home = homes().get(name, "")
    if home and lane and home != lane:
        raise UsageError(f"{name} is on {home} already, and not on {lane}")
    if not (home or lane):
        raise UsageError(f"nothing says on which server {name} is to be", hint=f"name it by --server: {known}")
    return servers[home or lane]
