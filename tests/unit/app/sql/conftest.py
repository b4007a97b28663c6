"""What use cases need that work on databases."""

import time
from pathlib import Path

import pytest

from pdelta.app.context import Context
from pdelta.formats.database_url import Lookup


@pytest.fixture
def context(tmp_path: Path) -> Context:
    """A command's surroundings, in a folder of the test."""
    return Context(
        cache=tmp_path / "cache",
        state=tmp_path,
        runs=tmp_path / "runs",
        control=tmp_path,
        who="somebody@here",
        host="here",
        clock=time.time_ns,
        folder=tmp_path,
        lookup=Lookup(variable=lambda _name: None, file=str, command=" ".join),
    )
