"""Run one process and say what it cost, here and at the server."""

import os
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec

from benchmarks.machine import load_average, read_ticks
from benchmarks.measure import CommandFailedError, Processes, Watch, run_command

SHOWN_BYTES = 2000
NO_SERVER = 0
"""The pid that stands for no server; no process has it."""


class Command(msgspec.Struct, frozen=True):
    """One process.

    Attributes:
        words: Program and arguments.
        folder: Where it works.
        environment: All of its variables.
    """

    words: tuple[str, ...]
    folder: Path
    environment: Mapping[str, str]


class Cost(msgspec.Struct, frozen=True):
    """One run.

    Attributes:
        started_s: When the process was started, by the clock of the machine.
        wall_s: From starting the process to its end.
        client_cpu_s: Of the process and its children.
        server_cpu_s: Of the server and its sessions; 0 where there is none.
        client_peak_bytes: Largest resident set of the process.
        steal_s: Processor time that the hypervisor took meanwhile.
        foreign_cpu_s: Processor time that other programs of this machine took meanwhile.
        load: Load average afterwards.
        done_s: From starting the process to the last commit that was waited for; None where none was.
    """

    started_s: float
    wall_s: float
    client_cpu_s: float
    server_cpu_s: float
    client_peak_bytes: int
    steal_s: float
    foreign_cpu_s: float
    load: float
    done_s: float | None = None


def measure(command: Command, processes: Processes, log: Path, *, accepted: tuple[int, ...] = (0,)) -> Cost:
    """Run a command once and give what it cost.

    Raises:
        CommandFailedError: Its status is none of the accepted ones; the text holds the end of what it said.
    """
    os.sync()
    with log.open("wb") as said:
        ticks, cpu, own_s = read_ticks(), processes.cpu_s(), time.process_time()
        with Watch(processes) as watch:
            at_s, started_s = time.time(), time.perf_counter()
            status = run_command(command.words, command.environment, said, folder=command.folder)
            wall_s = time.perf_counter() - started_s
        after, cpu_after = read_ticks(), processes.cpu_s()
        own_s = time.process_time() - own_s
    if status not in accepted:
        raise _failed(command, status, log)
    client_cpu_s, server_cpu_s = cpu_after[0] - cpu[0], cpu_after[1] - cpu[1]
    return Cost(
        started_s=at_s,
        wall_s=wall_s,
        client_cpu_s=client_cpu_s,
        server_cpu_s=server_cpu_s,
        client_peak_bytes=watch.client_peak_bytes,
        steal_s=after.steal_s - ticks.steal_s,
        foreign_cpu_s=max(0.0, after.busy_s - ticks.busy_s - client_cpu_s - server_cpu_s - own_s),
        load=load_average(),
    )


def run_unmeasured(command: Command, log: Path, *, accepted: tuple[int, ...] = (0,)) -> None:
    """Run a command of which only the effect is wanted.

    Raises:
        CommandFailedError: As ``measure``.
    """
    with log.open("wb") as said:
        status = run_command(command.words, command.environment, said, folder=command.folder)
    if status not in accepted:
        raise _failed(command, status, log)


def _failed(command: Command, status: int, log: Path) -> CommandFailedError:
    said = log.read_bytes()[-SHOWN_BYTES:].decode(errors="replace").strip()
    lines = said.splitlines() or [""]
    reason = next((line for line in lines if "error" in line.lower()), lines[-1])
    return CommandFailedError(f"{Path(command.words[0]).name} ended with {status}: {reason.strip()}\n{said}")
