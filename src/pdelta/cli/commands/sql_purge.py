"""``pdelta sql purge``."""

from collections.abc import Iterator

import click

from pdelta.app.context import Context
from pdelta.cli import fleet, option
from pdelta.cli.console import Console
from pdelta.cli.render.amount import counted
from pdelta.cli.render.safe import shown
from pdelta.errors import UsageError

_EPILOG = """\b
Examples:
  pdelta sql purge --dry-run
  pdelta sql purge --yes delta_20250315_drop_legacy

What a derived reverse needs is parked and kept in each tenant until it is purged."""


@click.command("purge", cls=option.Command, epilog=_EPILOG, short_help="Remove what deltas have parked and kept.")
@click.argument("delta", metavar="[DELTA]", default="")
@click.option("-n", "--dry-run", is_flag=True, help="Show what would be removed where, and change nothing.")
@click.option("--yes", is_flag=True, help="Don't ask: those deltas can't be taken back any more.")
@option.common
@fleet.tenants
def command(
    console: Console,
    context: Context,
    *,
    database: str,
    only: tuple[str, ...],
    delta: str,
    dry_run: bool,
    yes: bool,
) -> int:
    """Remove the columns, tables and rows that deltas have parked and kept to be taken back; then they can't be."""
    from pdelta.app.sql.purge import PurgeOptions, purge

    wanted = PurgeOptions(database=database, only=only, delta=delta.removesuffix(".sql"), dry_run=dry_run)
    if not (dry_run or yes or console.confirm("Those deltas can't be taken back any more. Go on?")):
        raise UsageError("nothing was purged: it was not confirmed", hint="look first: --dry-run; then add --yes")
    outcome = purge(wanted, context)

    def lines() -> Iterator[str]:
        verb = "would go" if outcome.dry_run else "gone"
        for one in outcome.purged:
            told = f"not removed: {one.error.message}" if one.error else f"{verb}: {'; '.join(one.things)}"
            yield f"  {shown(one.tenant)}: {shown(told)}"
        held = len(outcome.purged) - outcome.failed
        yield f"{shown(outcome.database)}: {verb} in {held:,} of {counted(outcome.tenants, 'tenant')}"

    document = {
        "database": outcome.database,
        "tenants": outcome.tenants,
        "dry_run": outcome.dry_run,
        "purged": [
            {
                "tenant": one.tenant,
                "things": list(one.things),
                "deltas": list(one.deltas),
                "error": None if one.error is None else {"code": one.error.code, "message": one.error.message},
            }
            for one in outcome.purged
        ],
    }
    console.result(document, lines)
    return 8 if outcome.failed else 0
