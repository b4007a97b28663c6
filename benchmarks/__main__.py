"""The command line of the benchmarks."""

import argparse
import ctypes
import os
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from benchmarks.machine import Machine, describe_machine, transfer_programs
from benchmarks.measure import Processes, Sample, measure, median
from benchmarks.network import INSIDE, enter_private_network
from benchmarks.pairs import SUMS, fetch, pair_scenarios, read_pairs
from benchmarks.peers import Place, close_connections
from benchmarks.runner import Result, Runner, Wishes, say
from benchmarks.scenarios import SCENARIOS, Scenario
from benchmarks.server import ALIAS, Server, running_server
from benchmarks.table import Row, format_table, make_rows, sum_pairs

CACHE = Path(tempfile.gettempdir()) / "pdelta-benchmark-packages"
RESULTS = Path(__file__).parent / "results"
CONTACTS = 7
PR_SET_CHILD_SUBREAPER = 36


class Report(msgspec.Struct, frozen=True):
    """What a file of results holds.

    Attributes:
        machine: Where it was measured.
        started: When, in UTC.
        contact: ``ssh HOST true``: what no program that opens a connection can go below.
        runs: Turns of each scenario.
        rows: The table.
        results: Every run.
    """

    machine: Machine
    started: str
    contact: list[Sample]
    runs: int
    rows: list[Row]
    results: list[Result]


def main() -> None:
    """Measure what is asked for, print the table and write the results."""
    arguments = _parse(sys.argv[1:])
    cache = Path(arguments.cache).absolute()
    scenarios = _choose(arguments.scenario, [*SCENARIOS, *pair_scenarios(cache)])
    for pair in read_pairs():
        if any(scenario.pair == pair.name for scenario in scenarios):
            fetch(pair, cache)
    enter_private_network(sys.argv[1:])
    # The server and the trees must go even when somebody ends us.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    # A kept connection's process leaves its parent: it must become our child, so that its CPU time is counted.
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    work = Path(tempfile.mkdtemp(prefix="pdelta-bench-", dir=arguments.work))
    runtime = Path(tempfile.mkdtemp(prefix="pdb-"))
    try:
        _measure(scenarios, arguments, work, runtime)
    finally:
        shutil.rmtree(runtime, ignore_errors=True)
        if arguments.keep:
            say(f"everything is left in {work}")
        else:
            say("deleting the trees")
            shutil.rmtree(work, ignore_errors=True)


def _measure(scenarios: list[Scenario], arguments: argparse.Namespace, work: Path, runtime: Path) -> None:
    """Run every scenario; what is done is written after each, since all of them take hours."""
    pdelta = str(Path(arguments.pdelta).absolute())
    machine = describe_machine(work, transfer_programs(pdelta))
    started = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    wishes = Wishes(
        arguments.runs, arguments.scale, beside=not arguments.marks_only, rollback=not arguments.no_rollback
    )
    contact: list[Sample] = []
    done: list[tuple[Scenario, Result]] = []
    rows: list[Row] = []
    with running_server(work / "server") as server:
        place = Place(work, runtime, pdelta, server)
        contact += _measure_contact(server, work)
        try:
            for scenario in scenarios:
                done.append((scenario, Runner(scenario, wishes, place).run()))
                rows += make_rows(*done[-1])
                say("\n" + format_table(make_rows(*done[-1])) + "\n")
                all_rows = [*rows, *sum_pairs(done, SUMS)]
                results = [result for _, result in done]
                report = Report(machine, started, contact, arguments.runs, all_rows, results)
                _write(report, Path(arguments.output))
        finally:
            close_connections(place)
    print(_table(report))


def _measure_contact(server: Server, work: Path) -> list[Sample]:
    processes = Processes(server.pid)
    command = [*server.ssh().split(), ALIAS, "true"]
    return [measure(command, processes, environment=os.environ, log=work / "contact.txt") for _ in range(CONTACTS)]


def _contact_line(contact: list[Sample]) -> str:
    wall_s, wire, client, remote = (
        median(contact, field) for field in ("wall_s", "wire_bytes", "client_cpu_s", "remote_cpu_s")
    )
    return f"ssh HOST true: {wall_s:.2f} s, {wire:,.0f} B on the wire, {client + remote:.2f} s of CPU at both ends"


def _table(report: Report) -> str:
    return f"{format_table(report.rows)}\n\n{_contact_line(report.contact)}"


def _write(report: Report, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    stamp = report.started.replace(":", "").replace("-", "")
    (folder / f"{stamp}.json").write_bytes(msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n")
    (folder / f"{stamp}.md").write_text(_table(report) + "\n", encoding="utf-8")
    say(f"results are in {folder}/{stamp}.json and .md")


def _choose(names: list[str], scenarios: list[Scenario]) -> list[Scenario]:
    known = {scenario.name: scenario for scenario in scenarios}
    unknown = [name for name in names if name not in known]
    if unknown:
        sys.exit(f"no scenario {unknown[0]!r}; there are {', '.join(known)}")
    return [known[name] for name in names] if names else list(known.values())


def _parse(words: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Compare pdelta with rsync over one sshd."
    )
    parser.add_argument("scenario", nargs="*", help="only these; all by default")
    parser.add_argument("--runs", type=int, default=7, help="turns of each scenario (default: 7)")
    parser.add_argument("--scale", type=float, default=1.0, help="share of the full size; 0.02 for a smoke test")
    parser.add_argument(
        "--pdelta", default=str(Path(sys.executable).with_name("pdelta")), help="the program to measure"
    )
    parser.add_argument("--work", default=None, help="folder for the trees; needs 60 GB at full scale")
    parser.add_argument("--output", default=str(RESULTS), help="folder for the results")
    parser.add_argument("--cache", default=str(CACHE), help="folder that keeps fetched packages")
    parser.add_argument("--marks-only", action="store_true", help="leave out the figures beside the marks")
    parser.add_argument("--no-rollback", action="store_true", help="take no push back")
    parser.add_argument("--keep", action="store_true", help="leave the trees behind")
    parser.add_argument(INSIDE, action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args(words)


if __name__ == "__main__":
    main()
