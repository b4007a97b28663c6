"""What plans call a tenant, and back: ``SECTION/TENANT``, of the kind ``sql``."""

from typing import Final

from pdelta.model.target import Target

KIND: Final = "sql"
_SERVER: Final = "@"


def target_of(database: str, tenant: str) -> Target:
    """Give the target that a tenant of a section is."""
    return Target(KIND, f"{database}/{tenant}")


def server_of(section: str, number: int) -> str:
    """Give the name that targets begin with of what stands for a server of a section.

    Args:
        section: Its name.
        number: Of the server's URL, from 1.
    """
    return f"{section}{_SERVER}{number}"


def is_server(target: Target) -> bool:
    """Say whether a target stands for a whole server."""
    return _SERVER in target.address.partition("/")[0]


def section_of(target: Target) -> str:
    """Give the section of the project file that a tenant, or a server, belongs to."""
    return target.address.partition("/")[0].partition(_SERVER)[0]


def tenant_of(target: Target) -> str:
    """Give the tenant's name."""
    return target.address.partition("/")[2]
