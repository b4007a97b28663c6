"""What tests of parts together share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fixtures.cli import Cli, CliServer, ForkedCli


@pytest.fixture(scope="session")
def cli_server() -> Iterator[CliServer]:
    """Forks commands; one a worker."""
    server = CliServer()
    yield server
    server.close()


@pytest.fixture
def cli(short_path: Path, cli_server: CliServer) -> Cli:
    """The ``pdelta`` program with a home of its own; commands of SQL find their imports done."""
    return ForkedCli(short_path, cli_server)
