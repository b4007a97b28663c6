"""``pdelta sql status``."""

from functools import partial

import click

from pdelta.app.context import Context
from pdelta.app.sql.status import read_status
from pdelta.cli import fleet, option
from pdelta.cli.console import Console
from pdelta.cli.render import fleet_status
from pdelta.errors import DriftError, UsageError

_EPILOG = """\b
Examples:
  pdelta sql status
  pdelta sql status --matrix
  pdelta sql status --pending --only 'tenant_1*'

Tenants with the same deltas are one line, however many there are. Exit 4 where a tenant lacks something."""


@click.command("status", cls=option.Command, epilog=_EPILOG, short_help="Show which tenants have which deltas.")
@click.option("--matrix", is_flag=True, help="A table of deltas and groups of tenants.")
@click.option("--pending", is_flag=True, help="One line for each tenant that lacks something.")
@option.common
@fleet.tenants
def command(
    console: Console, context: Context, *, database: str, only: tuple[str, ...], matrix: bool, pending: bool
) -> int:
    """Show which tenants have which deltas, as their ledgers say; nothing is changed."""
    if matrix and pending:
        raise UsageError("--matrix and --pending are two pictures", hint="ask for one of them")
    status = read_status(database, only, context)
    fields = partial(fleet_status.fields, status)
    if matrix:
        console.result(fields, lambda: fleet_status.matrix_lines(status, width=console.width))
    elif pending:
        console.result(fields, lambda: fleet_status.pending_lines(status))
    else:
        verbose = console.verbosity > 0
        console.result(fields, lambda: fleet_status.summary_lines(status, verbose=verbose))
    return 0 if status.clean else DriftError.exit_status
