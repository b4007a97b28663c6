"""Fixtures that every test may ask for, and what makes runs repeatable."""

import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from hypothesis import HealthCheck, settings

from pdelta.app.bundle import AgentBundles
from pdelta.filesystem.batch.native import NativeCalls, load
from tests.fixtures import depth
from tests.fixtures.cli import Cli, isolated_environment
from tests.fixtures.mariadb import MariaDB, running_mariadb
from tests.fixtures.mariadb import missing_programs as missing_mariadb
from tests.fixtures.pgbouncer import PgBouncer, find_pgbouncer, running_pgbouncer
from tests.fixtures.postgresql import PostgreSQL, find_programs, running_postgresql
from tests.fixtures.sshd import Sshd, missing_programs, running_sshd
from tests.fixtures.tenants import Fleet, MysqlFleet, SchemaFleet, SqliteFleet
from tests.fixtures.trees import Tree, build_tree

_ROOM_BYTES = 2 << 30
_SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture)
settings.register_profile("ci", derandomize=True, deadline=None, database=None, suppress_health_check=_SLOW)
settings.register_profile("dev", deadline=None, max_examples=50, suppress_health_check=_SLOW)
settings.register_profile("soak", deadline=None, max_examples=5000, database=None, suppress_health_check=_SLOW)


def _quick_disk() -> str | None:
    """Give the folder that is in memory, where there is room in it for a server: what tests kill are processes."""
    folder = "/dev/shm"
    if os.access(folder, os.W_OK) and shutil.disk_usage(folder).free > _ROOM_BYTES:
        return folder
    return None


def _lacking(reason: str) -> NoReturn:
    """Skip what needs a program that is not there; in CI that is a failure."""
    if depth.IN_CI:
        pytest.fail(reason)
    pytest.skip(reason)


def _is_spared(item: pytest.Item) -> bool:
    call = getattr(item, "callspec", None)
    engine = call.params.get("fleet") if call else None
    servers = ("postgresql", "mysql")
    if engine in servers and engine == servers[depth.share_of(item.nodeid.partition("[")[0], 2)]:
        return True
    sampled = item.get_closest_marker("sampled")
    return sampled is not None and depth.share_of(item.nodeid, *sampled.args) != 0


def pytest_configure(config: pytest.Config) -> None:
    """Choose how much is tried, how hard Hypothesis looks, and whether it is the same each time."""
    if config.args == config.getini("testpaths"):
        depth.be_brief()
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # So a script's `&` starts us, and all that we start would ignore it too.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    settings.load_profile("soak" if depth.SOAKING else "ci" if depth.IN_CI else "dev")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark what needs a server; of a brief run leave out one server of each fleet, and most of what is ``sampled``.

    Three engines times all that a roll-out can meet take longer than anybody waits: each test runs on SQLite and on one
    of the servers, always the same one.
    """
    if depth.is_brief():
        spared = [item for item in items if _is_spared(item)]
        config.hook.pytest_deselected(items=spared)
        items[:] = [item for item in items if item not in set(spared)]
    for item in items:
        if "sshd" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.ssh)
            item.add_marker(pytest.mark.integration)
        if {"postgresql", "mariadb"} & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.integration)


@pytest.fixture(scope="session", autouse=True)
def _no_home() -> Iterator[None]:
    """Keep the home folder and the umask of whoever runs the tests out of them."""
    before = os.umask(0o022)
    folder = Path(tempfile.mkdtemp(prefix="pd-"))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in isolated_environment(folder).items():
            patch.setenv(name, value)
        yield
    os.umask(before)
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session", autouse=True)
def _shallow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Cut down what tests of deep trees leave: pytest's own cleaning recurses, and would end the run with an error."""
    yield
    base = str(tmp_path_factory.getbasetemp())
    command = ["find", base, "-mindepth", "100", "-maxdepth", "100", "-type", "d", "-exec", "rm", "-rf", "{}", "+"]
    subprocess.run(command, check=False, capture_output=True)


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A temporary folder with a short name: a socket's path has at most 107 bytes."""
    folder = Path(tempfile.mkdtemp(prefix="pd-"))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def sshd() -> Iterator[Sshd]:
    """A real OpenSSH server on loopback; one a worker."""
    if missing := missing_programs():
        _lacking(f"OpenSSH is not installed: {', '.join(missing)} not found (Debian: openssh-server, openssh-client)")
    folder = Path(tempfile.mkdtemp(prefix="pd-sshd-"))
    try:
        with running_sshd(folder) as server:
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """A real PostgreSQL server on loopback; one a worker."""
    if find_programs() is None:
        _lacking("PostgreSQL is not installed: postgres not found (Debian: postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="pd-pg-", dir=_quick_disk()))
    try:
        with running_postgresql(folder) as server:
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def pg_database(postgresql: PostgreSQL) -> Iterator[str]:
    """The name of an empty database of that server."""
    with postgresql.fresh_database() as name:
        yield name


@pytest.fixture(scope="session")
def pgbouncer(postgresql: PostgreSQL) -> Iterator[PgBouncer]:
    """PgBouncer in front of that server, in transaction pooling; one a worker."""
    if find_pgbouncer() is None:
        _lacking("PgBouncer is not installed: pgbouncer not found (Debian: pgbouncer)")
    folder = Path(tempfile.mkdtemp(prefix="pd-pgb-"))
    try:
        with running_pgbouncer(folder, postgresql) as pooler:
            yield pooler
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def mariadb() -> Iterator[MariaDB]:
    """A real MariaDB server on loopback; one a worker."""
    if missing := missing_mariadb():
        _lacking(f"MariaDB is not installed: {', '.join(missing)} not found (Debian: mariadb-server)")
    folder = Path(tempfile.mkdtemp(prefix="pd-my-", dir=_quick_disk()))
    try:
        with running_mariadb(folder) as server:
            yield server
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def native_calls() -> NativeCalls:
    """The batch calls that the set-up compiled."""
    calls = load()
    if calls is None:
        _lacking("pdelta was installed without its C: there was no compiler (Debian: gcc, libc6-dev)")
    return calls


@pytest.fixture(scope="session")
def agents(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the program keeps of the agent for hosts, once it was built."""
    folder = tmp_path_factory.mktemp("agents")
    AgentBundles(folder).stage()
    return folder


@pytest.fixture
def cli(short_path: Path, request: pytest.FixtureRequest) -> Cli:
    """The ``pdelta`` program with a home of its own."""
    if "sshd" in request.fixturenames:
        # To build the agent takes a second, in each of the homes.
        shutil.copytree(request.getfixturevalue("agents"), short_path / ".cache/pdelta")
    return Cli(short_path)


@pytest.fixture(params=["sqlite", "postgresql", "mysql"])
def fleet(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Fleet]:
    """Twelve tenants of each engine in turn, with the same tables in all of them; a hundred in long tests."""
    names = [f"tenant_{number:02d}" for number in range(1, 101 if depth.SOAKING else 13)]
    if request.param == "sqlite":
        yield SqliteFleet(tmp_path, names)
    elif request.param == "postgresql":
        server: PostgreSQL = request.getfixturevalue("postgresql")
        yield SchemaFleet(tmp_path, names, server, request.getfixturevalue("pg_database"))
    else:
        databases = MysqlFleet(tmp_path, names, request.getfixturevalue("mariadb"))
        yield databases
        databases.drop()


@pytest.fixture
def tree(tmp_path: Path) -> Callable[[str, Tree], Path]:
    """Make ``tmp_path / name`` from a specification (see tests.fixtures.trees) and give its path."""

    def make(name: str, spec: Tree) -> Path:
        return build_tree(tmp_path / name, spec)

    return make
