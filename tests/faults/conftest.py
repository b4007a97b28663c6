"""What the fault tests share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.tree_runs import memory_disk


@pytest.fixture
def disk() -> Iterator[Path]:
    """A folder that is fast to sync."""
    with memory_disk() as folder:
        yield folder
