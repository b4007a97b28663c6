"""Run one command and say what it cost at both ends."""

import os
import resource
import select
import statistics
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Self

import msgspec

from benchmarks.machine import TICKS_PER_S, load_average, read_ticks
from benchmarks.network import wire_bytes

SAMPLE_S = 0.05
"""The kernel keeps each process's high-water mark, so only the last look before its end counts; a look costs 0.3 ms."""
SOON_S = 0.005
"""After which a process is looked at first, so that a short one is seen too; then at doubled intervals."""
LINGER_S = 5.0
COMMAND_TIMEOUT_S = 1800.0


class Sample(msgspec.Struct, frozen=True):
    """One run.

    Attributes:
        wall_s: From starting the process to its end.
        tail_s: How much longer the remote side worked.
        wire_bytes: Both directions, ssh and TCP included.
        client_cpu_s: Of the process, its children and a kept connection.
        remote_cpu_s: Of sshd and everything below it.
        client_peak_bytes: Largest resident set of one process of ours.
        remote_peak_bytes: Largest resident set of one process below sshd.
        steal_s: Processor time that the hypervisor took meanwhile.
        foreign_cpu_s: Processor time that other programs of this machine took meanwhile.
        load: Load average afterwards.
    """

    wall_s: float
    tail_s: float
    wire_bytes: int
    client_cpu_s: float
    remote_cpu_s: float
    client_peak_bytes: int
    remote_peak_bytes: int
    steal_s: float
    foreign_cpu_s: float
    load: float


class CommandFailedError(RuntimeError):
    """A measured command ended with a status that it should not have."""


class Processes:
    """The processes below this one and below the server, told apart by descent."""

    def __init__(self, server: int) -> None:
        self._server = server
        self._self = os.getpid()
        self._remote: dict[int, bool | None] = {}

    def live(self) -> dict[int, bool]:
        """Give the live descendants: pid -> whether it is remote."""
        pids = [int(name) for name in os.listdir("/proc") if name.isdigit()]
        for pid in pids:
            if pid not in self._remote:
                self._remote[pid] = self._classify(pid)
        alive = set(pids)
        self._remote = {pid: side for pid, side in self._remote.items() if pid in alive}
        return {pid: side for pid, side in self._remote.items() if side is not None}

    def cpu_s(self) -> tuple[float, float]:
        """Give the processor time so far of our children and of the server's tree.

        The times of a process that ended are in those of the parent that waited for it.
        """
        ours = resource.getrusage(resource.RUSAGE_CHILDREN)
        client, remote = ours.ru_utime + ours.ru_stime, 0.0
        for pid, is_remote in self.live().items():
            spent = _spent_s(pid)
            if is_remote:
                remote += spent
            else:
                client += spent
        return client, remote

    def _classify(self, pid: int) -> bool | None:
        if pid == self._server:
            return True
        if pid == self._self:
            return None
        fields = _stat(pid)
        parent = int(fields[1]) if fields else 0
        if parent == self._self:
            return False
        if parent not in self._remote:
            self._remote[parent] = None if parent <= 2 else self._classify(parent)
        return self._remote[parent]


class Watch:
    """Looks at the memory of both ends while a command runs."""

    def __init__(self, processes: Processes) -> None:
        self._processes = processes
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.client_peak_bytes = 0
        self.remote_peak_bytes = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _look(self) -> None:
        pause_s = SOON_S
        while not self._stop.wait(pause_s):
            pause_s = min(2 * pause_s, SAMPLE_S)
            for pid, is_remote in self._processes.live().items():
                peak = _peak_bytes(pid)
                if is_remote:
                    self.remote_peak_bytes = max(self.remote_peak_bytes, peak)
                else:
                    self.client_peak_bytes = max(self.client_peak_bytes, peak)


def measure(
    command: Sequence[str],
    processes: Processes,
    *,
    environment: Mapping[str, str],
    log: Path,
    accepted: tuple[int, ...] = (0,),
) -> Sample:
    """Run a command once and give what it cost.

    Raises:
        CommandFailedError: Its status is none of the accepted ones; the text holds the end of what it said.
    """
    os.sync()
    with log.open("wb") as said:
        remote_before = _remote_count(processes)
        ticks, wire, cpu, own_s = read_ticks(), wire_bytes(), processes.cpu_s(), time.process_time()
        with Watch(processes) as watch:
            started_s = time.perf_counter()
            status = run_command(command, environment, said)
            wall_s = time.perf_counter() - started_s
        tail_s = _wait_for_remote(processes, remote_before)
        after, cpu_after, wire_after = read_ticks(), processes.cpu_s(), wire_bytes()
        own_s = time.process_time() - own_s
    if status not in accepted:
        text = log.read_bytes()[-2000:].decode(errors="replace")
        raise CommandFailedError(f"status {status}: {' '.join(command)}\n{text}")
    client_cpu_s, remote_cpu_s = cpu_after[0] - cpu[0], cpu_after[1] - cpu[1]
    return Sample(
        wall_s=wall_s,
        tail_s=tail_s,
        wire_bytes=wire_after - wire,
        client_cpu_s=client_cpu_s,
        remote_cpu_s=remote_cpu_s,
        client_peak_bytes=watch.client_peak_bytes,
        remote_peak_bytes=watch.remote_peak_bytes,
        steal_s=after.steal_s - ticks.steal_s,
        foreign_cpu_s=max(0.0, after.busy_s - ticks.busy_s - client_cpu_s - remote_cpu_s - own_s),
        load=load_average(),
    )


def median(samples: Sequence[Sample], field: str) -> float:
    """Give the median of one field."""
    return float(statistics.median(getattr(sample, field) for sample in samples))


def run_command(
    command: Sequence[str], environment: Mapping[str, str], said: BinaryIO, *, folder: Path | None = None
) -> int:
    """Run a command to its end, and give its status; one that takes too long is ended.

    Args:
        command: Program and arguments.
        environment: All of its variables.
        said: Where its output goes.
        folder: Where it works; ours by default.
    """
    with subprocess.Popen(
        list(command),
        stdin=subprocess.DEVNULL,
        stdout=said,
        stderr=subprocess.STDOUT,
        env=dict(environment),
        cwd=folder,
    ) as process:
        # Waiting with a time-out looks every 50 ms, which is a fifth of what the shortest rows take.
        ended = os.pidfd_open(process.pid)
        try:
            if not select.select([ended], [], [], COMMAND_TIMEOUT_S)[0]:
                process.kill()
        finally:
            os.close(ended)
        return process.wait()


def _remote_count(processes: Processes) -> int:
    return sum(processes.live().values())


def _wait_for_remote(processes: Processes, count: int) -> float:
    """Wait until no more processes are below sshd than before; give how long that took."""
    started_s = time.perf_counter()
    while _remote_count(processes) > count and time.perf_counter() - started_s < LINGER_S:
        time.sleep(0.005)
    return time.perf_counter() - started_s


def _stat(pid: int) -> list[str]:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stream:
            return stream.read().rpartition(")")[2].split()
    except OSError:
        return []


def _spent_s(pid: int) -> float:
    fields = _stat(pid)
    return sum(int(field) for field in fields[11:15]) / TICKS_PER_S if fields else 0.0


def _peak_bytes(pid: int) -> int:
    try:
        with open(f"/proc/{pid}/status", encoding="utf-8", errors="replace") as stream:
            for line in stream:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0
