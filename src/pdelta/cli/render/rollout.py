"""A roll-out over tenants: what was done in how many, what failed and why, and what comes next."""

from collections.abc import Iterator
from typing import Any

import click

from pdelta.app.sql.outcome import RolloutOutcome, TenantResult
from pdelta.cli.render.amount import duration
from pdelta.cli.render.members import nothing
from pdelta.cli.render.safe import shown


def fields(outcome: RolloutOutcome) -> dict[str, Any]:
    """Give the JSON document of a roll-out."""
    return {
        "database": outcome.database,
        "run": outcome.run,
        "earlier_runs": list(outcome.earlier),
        "phase": outcome.phase,
        "exit_status": outcome.exit_status,
        "dry_run": outcome.dry_run,
        "rehearsed": outcome.rehearsed,
        "reason": outcome.reason,
        "tenants": outcome.tenants,
        "settled": outcome.settled,
        "unread": outcome.unread,
        "servers": outcome.servers,
        "kept": len(outcome.kept),
        "proved": outcome.proved,
        "not_proved": len(outcome.changed) + len(outcome.untried),
        "waves": list(_waves(outcome)),
        "results": [_result(result) for result in outcome.results],
        "findings": outcome.findings,
        "duration_s": outcome.duration_s,
    }


def lines(outcome: RolloutOutcome, *, verbose: bool) -> Iterator[str]:
    """Give a roll-out for people: its waves, its failures by cause, and one line of summary."""
    for finding in outcome.findings:
        mark = click.style("blocks" if finding.blocks else "note", fg="red" if finding.blocks else "yellow")
        yield f"{mark}: {shown(finding.message)}"
    if not outcome.results:
        yield _nothing(outcome)
        return
    from pdelta.cli.render import results

    yield from results.tell(outcome, verbose=verbose)


def _nothing(outcome: RolloutOutcome) -> str:
    told = nothing(outcome.database, outcome.settled, outcome.unread, outcome.servers)
    return f"{told} ({duration(outcome.duration_s)})"


def _waves(outcome: RolloutOutcome) -> Iterator[dict[str, Any]]:
    at = 0
    for name, count in outcome.waves:
        servers = sum(result.is_server for result in outcome.results[at : at + count])
        at += count
        yield {"name": name, "tenants": count - servers, "servers": servers}


def _result(result: TenantResult) -> dict[str, Any]:
    error = result.error
    return {
        "tenant": result.tenant,
        "server": result.is_server,
        "wave": result.wave,
        "deltas": list(result.deltas),
        "standing": result.standing,
        "touched": result.touched,
        "duration_s": result.duration_s,
        "found": list(result.found),
        "error": None if error is None else {"code": error.code, "message": error.message, "hint": error.hint},
        "proof": result.proof,
        "lost": list(result.lost),
        "untried": result.untried,
    }
