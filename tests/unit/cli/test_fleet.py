"""What commands over tenants say about a roll-out that is not all that was asked for."""

import io

from pdelta.app.sql.outcome import RolloutOutcome, TenantResult
from pdelta.cli import fleet
from pdelta.cli.console import Console
from pdelta.errors import DatabaseError
from pdelta.model.operation import Standing


def test_objection_when_a_person_must_see_to_tenants_then_only_those_that_are_unsettled_are_named() -> None:
    error = DatabaseError("no")
    results = (
        TenantResult("as_it_was", "rest", ("a",), Standing.BEFORE, touched=True, error=error),
        TenantResult("halfway", "rest", ("a",), Standing.BETWEEN, touched=True, error=error),
        TenantResult("elsewhere", "rest", ("a",), Standing.FOREIGN, error=error),
        TenantResult("not_begun", "rest", ("a",), None),
    )
    err = io.StringIO()
    outcome = RolloutOutcome(database="app", exit_status=6, tenants=4, results=results)
    assert fleet.object_to(Console(io.StringIO(), err), outcome) == 6
    assert "3 of 4 tenants failed, and a person must see to some of them: halfway, elsewhere\n" in err.getvalue()
