"""``pdelta sql provision TENANT…``."""

import click

from pdelta.app.context import Context
from pdelta.app.sql.outcome import RolloutOptions
from pdelta.app.sql.provision import ProvisionOptions, provision
from pdelta.cli import fleet, option
from pdelta.cli.console import Console
from pdelta.cli.render import sql_provision

_EPILOG = """\b
Examples:
  pdelta sql provision tenant_1001
  pdelta sql provision tenants/acme.sqlite tenants/initech.sqlite --dry-run
  pdelta sql provision shop_acme --server db2.example.com:5432

A tenant that is there already gets what it lacks; after an interruption the
same command goes on."""


@click.command("provision", cls=option.Command, epilog=_EPILOG, short_help="Bring new tenants into being.")
@click.argument("tenants", metavar="TENANT...", nargs=-1, required=True)
@click.option("--to", metavar="DELTA", default="", help="The last delta that they get; all unless given.")
@click.option("--server", metavar="SERVER", default="", help="Where they are made; needed where there are several.")
@fleet.lock_timeout
@click.option("-n", "--dry-run", is_flag=True, help="Show what would be made and applied, and change nothing.")
@fleet.note
@option.common
@fleet.places
def command(
    console: Console,
    context: Context,
    *,
    tenants: tuple[str, ...],
    database: str,
    to: str,
    server: str,
    lock_ms: int,
    dry_run: bool,
    note: str,
) -> int:
    """Make schemas, databases or files that are not there yet, and give them a baseline and the deltas behind it."""
    wanted = ProvisionOptions(tenants=tenants, database=database, server=server, to=to)
    done = provision(wanted, RolloutOptions(lock_timeout_ms=lock_ms, dry_run=dry_run, note=note), context)
    console.result(sql_provision.fields(done), lambda: sql_provision.lines(done, verbose=console.verbosity > 0))
    return fleet.object_to(console, done.rollout)
