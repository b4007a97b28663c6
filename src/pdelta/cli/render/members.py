"""How many tenants, and how many servers beside them: what every picture of a fleet says in the same words."""

from pdelta.cli.render.amount import counted


def members(tenants: int, servers: int = 0) -> str:
    """Say how many there are, for example ``20 tenants and 1 server``; a kind of which there is none is left out."""
    told = [counted(tenants, "tenant")] if tenants or not servers else []
    if servers:
        told.append(counted(servers, "server"))
    return " and ".join(told)


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
