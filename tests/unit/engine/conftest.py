"""What every test of the engine starts from."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from pdelta.engine.journal import Journal
from pdelta.testing.clock import FakeClock
from tests.unit.engine.scripted import Scripted


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "runs" / "journal.sqlite"


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    with Journal(path, clock=FakeClock(), durable=False) as journal:
        yield journal


@pytest.fixture
def kind() -> Scripted:
    return Scripted()
