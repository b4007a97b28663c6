"""What kind of machine this is, and how busy others kept it while something was measured."""

import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

import msgspec

TICKS_PER_S = os.sysconf("SC_CLK_TCK")


class Machine(msgspec.Struct, frozen=True):
    """Facts that a figure means nothing without.

    Attributes:
        processor: Model name, as the kernel tells it.
        cores: Cores that this process may use; both ends share them.
        memory_bytes: Main memory.
        kernel: Name and release.
        file_system: Type and options of the file system that holds all trees.
        programs: Versions of what takes part.
    """

    processor: str
    cores: int
    memory_bytes: int
    kernel: str
    file_system: str
    programs: dict[str, str]


class Ticks(msgspec.Struct, frozen=True):
    """Processor time of the whole machine since it started.

    Attributes:
        busy_s: Seconds of work of all cores.
        steal_s: Seconds that the hypervisor gave to others.
    """

    busy_s: float
    steal_s: float


def describe_machine(folder: Path, programs: dict[str, str]) -> Machine:
    """Give the facts of this machine.

    Args:
        folder: Where everything is made.
        programs: Versions of what takes part.
    """
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    model = re.search(r"^model name\s*:\s*(.*)$", info, re.MULTILINE)
    return Machine(
        processor=model[1] if model else platform.machine(),
        cores=len(os.sched_getaffinity(0)),
        memory_bytes=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        kernel=f"{platform.system()} {platform.release()}",
        file_system=_file_system(folder),
        programs=programs,
    )


def transfer_programs(pdelta: str) -> dict[str, str]:
    """Give the versions of what takes part in a push.

    Args:
        pdelta: The program under test.
    """
    return {
        "pdelta": first_line([pdelta, "--version"]),
        "python": platform.python_version(),
        "remote python": first_line([shutil.which("python3", path=REMOTE_PATH) or "python3", "--version"]),
        "rsync": first_line(["rsync", "--version"]),
        "ssh": first_line(["ssh", "-V"]),
    }


REMOTE_PATH = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin"
"""What the remote side finds its programs on."""


def read_ticks() -> Ticks:
    """Give the processor time of the machine so far."""
    with open("/proc/stat", encoding="ascii") as stream:
        fields = [int(field) for field in stream.readline().split()[1:9]]
    user, nice, system, _idle, _wait, irq, softirq, steal = fields
    return Ticks((user + nice + system + irq + softirq) / TICKS_PER_S, steal / TICKS_PER_S)


def load_average() -> float:
    """Give the run queue's length, averaged over the last minute."""
    return os.getloadavg()[0]


def _file_system(folder: Path) -> str:
    best, found = "", "unknown"
    for line in Path("/proc/self/mounts").read_text(encoding="utf-8", errors="replace").splitlines():
        _device, point, kind, options = line.split()[:4]
        if folder.resolve().is_relative_to(point) and len(point) >= len(best):
            best, found = point, f"{kind} {options}"
    return found


def first_line(command: list[str]) -> str:
    """Give the first line that a command says."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        return f"missing: {error}"
    lines = (done.stdout or done.stderr).strip().splitlines()
    return " ".join(lines[0].split()) if lines else "unknown"
