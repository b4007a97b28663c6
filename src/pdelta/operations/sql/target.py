"""What plans call a tenant, and back: ``SECTION/TENANT``, of the kind ``sql``."""

from typing import Final

from pdelta.model.target import Target

KIND: Final = "sql"


def target_of(database: str, tenant: str) -> Target:
    """Give the target that a tenant of a section is."""
    return Target(KIND, f"{database}/{tenant}")


def tenant_of(target: Target) -> str:
    """Give the tenant's name."""
    return target.address.partition("/")[2]
