"""What the project file leaves open about databases."""

import os

import pytest

from pdelta.app.context import Context
from pdelta.app.sql.compose import open_database
from pdelta.formats.database import DatabaseSection, Of, Tenants

HERE = "postgresql://me@localhost/app"
ELSEWHERE = "postgresql://me@db.example/app"


def width(context: Context, url: str, *, of: Of = Of.SCHEMAS, connections: int | None = None) -> int:
    """Give how many sessions the server of a section may have."""
    tenants = Tenants(of, ("tenant_*",))
    section = DatabaseSection(name="app", urls=(url,), tenants=tenants, connections=connections)
    with open_database(section, context) as database:
        return database.width(f"{'localhost' if 'localhost' in url else 'db.example'}:5432")


@pytest.mark.parametrize(("processors", "sessions"), [(1, 2), (2, 2), (3, 3), (64, 4), (None, 2)])
def test_sessions_when_schemas_are_on_this_machine_then_no_more_than_it_has_processors(
    context: Context, monkeypatch: pytest.MonkeyPatch, processors: int | None, sessions: int
) -> None:
    monkeypatch.setattr(os, "cpu_count", lambda: processors)
    assert width(context, HERE) == sessions
    assert width(context, HERE, connections=7) == 7
    assert width(context, HERE, of=Of.DATABASES) == width(context, ELSEWHERE) == 4
