"""How many tenants, and how many servers beside them: what every picture of a fleet says in the same words."""

from typing import TYPE_CHECKING

from pdelta.cli.render.amount import counted
from pdelta.cli.render.safe import shown

if TYPE_CHECKING:
    from pdelta.app.sql.outcome import Looked


def members(tenants: int, servers: int = 0) -> str:
    """Say how many there are, for example ``20 tenants and 1 server``; a kind of which there is none is left out."""
    told = [counted(tenants, "tenant")] if tenants or not servers else []
    if servers:
        told.append(counted(servers, "server"))
    return " and ".join(told)


def nothing(database: str, settled: int, unread: int, servers: "Looked") -> str:
    """Say that nothing is to be done in those that could be read, for example ``shop: nothing to do in 3 tenants``."""
    more = unread + servers.unread
    unable = f", and {more:,} could not be read" if more else ""
    return f"{shown(database)}: nothing to do in {members(settled, servers.settled)}{unable}"


def part(tenants: tuple[int, int], servers: tuple[int, int]) -> str:
    """Say how many of how many, for example ``3 of 20 tenants``.

    Args:
        tenants: How many it is about, and of how many.
        servers: Likewise; those of the other kind alone are told where it is about none of one.
    """
    told = [f"{tenants[0]:,} of {counted(tenants[1], 'tenant')}"] if tenants[0] or not servers[0] else []
    if servers[0]:
        told.append(f"{servers[0]:,} of {counted(servers[1], 'server')}")
    return " and ".join(told)
