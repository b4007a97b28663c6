"""Who holds locks on a file: what Linux tells of POSIX locks, in words for people. Elsewhere nothing is known."""

import os
from contextlib import suppress
from typing import Final

_PENDING: Final = 0x40000000
_RESERVED: Final = _PENDING + 1
_SHARED: Final = range(_PENDING + 2, _PENDING + 512)
"""Bytes of the file that SQLite locks, as its file format says."""
_WAL_WRITER: Final = 120
_WAL_READERS: Final = range(123, 128)
"""Bytes of the ``-shm`` file, likewise."""


def holders(path: str, *, table: str = "/proc/locks", processes: str = "/proc") -> list[str]:
    """Give one phrase for each process that reads or writes a file now, this one left out.

    Args:
        path: The file.
        table: What the kernel lists locks in.
        processes: Where it tells of processes.
    """
    told: dict[int, str] = {}
    for suffix, describe in (("", _in_file), ("-shm", _in_index)):
        with suppress(OSError):
            status = os.stat(os.path.realpath(path) + suffix)
            wanted = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
            with open(table, encoding="ascii", errors="replace") as stream:
                for line in stream:
                    fields = line.split()
                    if len(fields) == 8 and fields[5] == wanted and fields[4].isdecimal():
                        what = describe(fields[3], int(fields[6]))
                        if what and told.get(int(fields[4])) != "writes":
                            told[int(fields[4])] = what
    told.pop(os.getpid(), None)
    return [f"process {pid}{_name(processes, pid)} {what} the file" for pid, what in sorted(told.items())]


def _in_file(kind: str, start: int) -> str:
    if start in {_PENDING, _RESERVED} or (start in _SHARED and kind == "WRITE"):
        return "writes"
    return "reads" if start in _SHARED else ""


def _in_index(kind: str, start: int) -> str:
    if start == _WAL_WRITER and kind == "WRITE":
        return "writes"
    return "reads" if start in _WAL_READERS else ""


def _name(processes: str, pid: int) -> str:
    with suppress(OSError), open(f"{processes}/{pid}/comm", encoding="utf-8", errors="replace") as stream:
        return f" ({stream.read().strip()})"
    return ""
