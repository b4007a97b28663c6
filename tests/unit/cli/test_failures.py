"""How failures of a roll-out are told: once for all that are alike, with the delta, and who held the locks."""

import click

from pdelta.app.sql.outcome import RolloutOutcome, TenantResult
from pdelta.cli.render import results
from pdelta.errors import Cause, DatabaseError, PdeltaError, StaleError
from pdelta.model.operation import Standing


def told(errors: dict[str, PdeltaError], *deltas: str, verbose: bool = False) -> list[str]:
    failed = tuple(
        TenantResult(name, "all", deltas or ("d1",), Standing.BEFORE, error=error) for name, error in errors.items()
    )
    outcome = RolloutOutcome(database="app", tenants=len(failed), waves=(("all", len(failed)),), results=failed)
    lines = [click.unstyle(line) for line in results.tell(outcome, verbose=verbose)]
    return lines[next(place for place, line in enumerate(lines) if "failed" in line and "wave" not in line) :]


def test_failures_when_their_text_begins_with_the_tenant_then_they_are_one_group() -> None:
    lines = told({name: StaleError(f"{name}: its ledger is not as it was") for name in ("t1", "t2")}, verbose=True)
    assert "2 tenants failed: its ledger is not as it was" in lines
    assert lines.count("    t1: as it was") == lines.count("    t2: as it was") == 1
    assert not any("t1: t1" in line or "        t1" in line for line in lines)


def test_failures_when_a_tenant_was_busy_then_the_delta_and_the_holder_are_named() -> None:
    busy = DatabaseError(
        "t1: d2: timeout; held by process 7",
        cause=Cause.BUSY,
        reason="timeout",
        place="d2, statement 1",
        held="process 7 (reporting)",
    )
    lines = told({"t1": busy}, "d1", "d2")
    assert "1 tenant failed at d2, statement 1: timeout" in lines
    assert "    t1: as it was; held by process 7 (reporting)" in lines


def test_failures_when_only_the_wish_tells_the_delta_then_it_is_named_unless_it_is_not_to_blame() -> None:
    lines = told({"t1": DatabaseError("t1: no", reason="no"), "t2": DatabaseError("t2: gone", cause=Cause.MISSING)})
    assert "1 tenant failed at d1: no" in lines
    assert "1 tenant failed: gone" in lines
