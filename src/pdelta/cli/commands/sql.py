"""``pdelta sql``: the group; each command of it is in a module of its own, named ``sql_`` and its name."""

from typing import Final

import click

from pdelta.cli.lazy import LazyGroup

COMMANDS: Final = {
    "new": "Make a delta file to fill in.",
    "lint": "Say what is dangerous about delta files.",
    "show": "Show one delta, and which tenants have it.",
    "status": "Show which tenants have which deltas.",
    "plan": "Show what apply would do, to the last statement.",
    "apply": "Apply the deltas that tenants lack.",
    "rollback": "Take deltas back.",
    "provision": "Bring new tenants into being, with all deltas.",
    "adopt": "Take in tenants that have deltas already.",
    "purge": "Remove what deltas have parked and kept.",
    "drift": "Group tenants by what they are made of.",
    "diff": "Tell in what one tenant differs from another.",
}
"""Name and one line each."""

_EPILOG = """\b
Examples:
  pdelta sql new add_last_login
  pdelta sql lint
  pdelta sql show delta_20250315_add_last_login
  pdelta sql status
  pdelta sql plan
  pdelta sql apply --waves canary=3,5%,rest --on-failure reverse
  pdelta sql rollback
  pdelta sql provision tenant_1001
  pdelta sql adopt --from flyway

Databases, their tenants and their folders of deltas are named in pdelta.toml."""


@click.group(
    "sql",
    cls=LazyGroup,
    table=COMMANDS,
    package="pdelta.cli.commands.sql_",
    epilog=_EPILOG,
    short_help="SQL deltas for one database or thousands of tenants.",
)
def command() -> None:
    """Keep schema changes as reversible delta files, and bring every tenant to the same version."""
