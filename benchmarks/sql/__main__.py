"""The command line of the benchmarks of SQL roll-outs."""

import argparse
import compileall
import platform
import shutil
import signal
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from benchmarks.machine import Machine, describe_machine, first_line
from benchmarks.sql.contestants import default_program
from benchmarks.sql.peers.programs import ALEMBIC, NODE_PG_MIGRATE
from benchmarks.sql.runner import Place, Result, Runner, Wishes, say
from benchmarks.sql.scenarios import SCENARIOS, Kind, Scenario
from benchmarks.sql.table import Row, format_table, make_rows
from tests.fixtures.postgresql import PostgreSQL, running_postgresql

RESULTS = Path(__file__).parents[1] / "results"
SOURCES = Path(__file__).parents[2] / "src"
SETTINGS = {
    "fsync": "on",
    "synchronous_commit": "on",
    "shared_buffers": "1GB",
    "autovacuum": "on",
    "autovacuum_naptime": "1min",
    "max_connections": "100",
    # Tells when the last of the undisturbed tenants was done, without anybody looking meanwhile.
    "track_commit_timestamp": "on",
}
"""Of the server: what makes commits durable is on, as it comes."""


class Report(msgspec.Struct, frozen=True):
    """What a file of results holds.

    Attributes:
        machine: Where it was measured.
        started: When, in UTC.
        runs: Turns of each scenario.
        rows: The table.
        results: Every run.
    """

    machine: Machine
    started: str
    runs: int
    rows: list[Row]
    results: list[Result]


def main() -> None:
    """Measure what is asked for, print the table and write the results."""
    arguments = _parse(sys.argv[1:])
    scenarios = _choose(arguments.scenario)
    # The server and the tenants must go even when somebody ends us.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # What an installation does; an editable one compiles at the first start, which would be a measured one.
    compileall.compile_dir(SOURCES, quiet=1)
    work = Path(tempfile.mkdtemp(prefix="pdelta-bench-", dir=arguments.work))
    # PostgreSQL does not run as root, and must be let through.
    work.chmod(0o711)
    try:
        with _server(work / "postgresql", scenarios) as server:
            _measure(scenarios, arguments, Place(work, str(Path(arguments.pdelta).absolute()), server))
    finally:
        if arguments.keep:
            say(f"everything is left in {work}")
        else:
            shutil.rmtree(work, ignore_errors=True)


def _measure(scenarios: list[Scenario], arguments: argparse.Namespace, place: Place) -> None:
    """Run every scenario; what is done is written after each."""
    machine = describe_machine(place.work, _programs(place, peers=not arguments.no_peers))
    started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    wishes = Wishes(arguments.runs, arguments.scale, peers=not arguments.no_peers, keep=arguments.keep)
    rows: list[Row] = []
    results: list[Result] = []
    for scenario in scenarios:
        results.append(Runner(scenario, wishes, place).run())
        rows += make_rows(scenario, results[-1])
        say("\n" + format_table(make_rows(scenario, results[-1])) + "\n")
        _write(Report(machine, started, arguments.runs, rows, results), Path(arguments.output))
    print(format_table(rows))


@contextmanager
def _server(folder: Path, scenarios: list[Scenario]) -> Iterator[PostgreSQL | None]:
    if all(scenario.kind is Kind.FILES for scenario in scenarios):
        yield None
        return
    folder.mkdir()
    with running_postgresql(folder, **SETTINGS) as server:
        yield server


def _programs(place: Place, *, peers: bool) -> dict[str, str]:
    """Give the versions of what takes part."""
    programs = {"pdelta": first_line([place.program, "--version"]), "python": platform.python_version()}
    programs["sqlite"] = sqlite3.sqlite_version
    if place.server is not None:
        programs["postgresql"] = place.server.sql("SHOW server_version")[0][0]
    if peers:
        programs |= {**ALEMBIC, **NODE_PG_MIGRATE, "node": first_line(["node", "--version"])}
    return programs


def _write(report: Report, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    stamp = "sql-" + report.started.replace(":", "").replace("-", "")
    (folder / f"{stamp}.json").write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")
    (folder / f"{stamp}.md").write_text(format_table(report.rows) + "\n", encoding="utf-8")
    say(f"results are in {stamp}.json and .md")


def _choose(names: list[str]) -> list[Scenario]:
    known = {scenario.name: scenario for scenario in SCENARIOS}
    unknown = [name for name in names if name not in known]
    if unknown:
        sys.exit(f"no scenario {unknown[0]!r}; there are {', '.join(known)}")
    return [known[name] for name in names] if names else list(SCENARIOS)


def _parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.sql", description="Compare roll-outs of pdelta with Alembic and node-pg-migrate."
    )
    parser.add_argument("scenario", nargs="*", help="only these; all by default")
    parser.add_argument("--runs", type=int, default=5, help="turns of each scenario (default: 5)")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full size; 0.02 for a smoke test")
    parser.add_argument("--pdelta", default=default_program(), help="the program to measure")
    parser.add_argument("--work", default=None, help="folder for server and tenants; needs 20 GB at full scale")
    parser.add_argument("--output", default=str(RESULTS), help="folder for the results")
    parser.add_argument("--no-peers", action="store_true", help="measure pdelta alone; installs nothing")
    parser.add_argument("--keep", action="store_true", help="leave the work folder behind")
    return parser.parse_args(words)


if __name__ == "__main__":
    main()
