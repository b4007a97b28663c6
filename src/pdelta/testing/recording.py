"""Records what a process does to one folder, call by call, with ``strace``.

``strace`` sees what the process does whoever asked for it, the interpreter or
SQLite; a wrapper in Python would see only the first. The record is proved:
replayed in full it must give what is really there.
"""

import os
import re
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from typing import Final, NamedTuple

from pdelta.testing.powerloss import LOST_TIME_NS, Attributes, Disk, Make, Names, Size, Step, Sync, Write, load

_CALLS: Final = (
    "open,openat,openat2,creat,write,pwrite64,writev,pwritev,pwritev2,ftruncate,truncate,fallocate,copy_file_range,"
    "sendfile,rename,renameat,renameat2,link,linkat,unlink,unlinkat,mkdir,mkdirat,rmdir,symlink,symlinkat,chmod,fchmod,"
    "fchmodat,utimensat,fsync,fdatasync,sync_file_range,syncfs,sync,close"
)
_LINE: Final = re.compile(rb"^(\d+) +(\w+)\((.*)\) += (-?\d+|\?)(.*)$", re.DOTALL)
_DESCRIPTOR: Final = re.compile(rb"(\d+)<((?:\\x[0-9a-f]{2})*)>")
_QUOTED: Final = re.compile(rb'^"((?:\\x[0-9a-f]{2})*)"$')
_SECONDS: Final = re.compile(rb"tv_sec=(-?\d+), tv_nsec=(\d+)")


class Recording(NamedTuple):
    """One run.

    Attributes:
        before: What the folder held.
        steps: What was done, in order.
        numbers: Inodes of the model by real inode number, before the run.
        later: The same after the run, of inodes that it made.
        status: How the process ended.
    """

    before: Disk
    steps: list[Step]
    numbers: dict[int, int]
    later: dict[int, int]
    status: int


def is_available() -> bool:
    """Whether ``strace`` is installed and may trace."""
    program = shutil.which("strace")
    if program is None:
        return False
    return subprocess.run([program, "-o", "/dev/null", "true"], check=False, capture_output=True).returncode == 0


def record(command: Sequence[str], folder: bytes) -> Recording:
    """Run a command and give what it did below a folder.

    Raises:
        AssertionError: It did something that the model does not know, so the record would not be sound.
    """
    before, numbers = load(folder)
    with tempfile.NamedTemporaryFile(prefix="pdelta-trace-") as log:
        tracing = ["strace", "-f", "-y", "-xx", "-s", "100000000", "-e", "signal=none", "-e", f"trace={_CALLS}"]
        done = subprocess.run([*tracing, "-o", log.name, *command], check=False, capture_output=True)
        reader = _Reader(folder, before.copy())
        for call in _calls(log.read()):
            reader.read(*call)
    later = _prove(folder, reader.disk)
    return Recording(before, reader.steps, numbers, later, done.returncode)


def _prove(folder: bytes, disk: Disk) -> dict[int, int]:
    """Prove that the replay gives what is really there; give inodes of the model by real number."""
    really, found = load(folder)
    by_model: dict[int, int] = {}
    for path, number in really.walk(1, b""):
        mine = disk.find(path)
        assert mine, f"{path!r} is there, and the record does not say why"
        by_model[number] = mine
        one, two = really.inodes[number], disk.inodes[mine]
        assert (one.kind, one.data) == (two.kind, two.data), f"{path!r} holds something else than was recorded"
        assert one.kind == stat.S_IFLNK or one.mode == two.mode, f"{path!r} has another mode than was recorded"
        assert two.mtime_ns in {one.mtime_ns, LOST_TIME_NS}, f"{path!r} has another time than was recorded"
        assert one.names.keys() == two.names.keys(), f"{path!r} holds other names than were recorded"
    return {real: by_model[number] for real, number in found.items()}


def _calls(log: bytes) -> Iterator[tuple[bytes, bytes, int, bytes]]:
    """Give (name, arguments, result, rest) of every call that succeeded; joins what threads interrupted."""
    waiting: dict[bytes, bytes] = {}
    for line in log.splitlines():
        process, _, rest = line.partition(b" ")
        rest = rest.lstrip()
        if rest.endswith(b"<unfinished ...>"):
            waiting[process] = rest.removesuffix(b"<unfinished ...>").rstrip()
            continue
        if rest.startswith(b"<... "):
            rest = waiting.pop(process) + rest.partition(b" resumed>")[2]
        match = _LINE.match(process + b" " + rest)
        if match and match[4] not in {b"-1", b"?"}:
            yield match[2], match[3], int(match[4]), match[5]


def _plain(text: bytes) -> bytes:
    return bytes.fromhex(text.replace(b"\\x", b"").decode())


class _Reader:
    """Turns calls into steps, and carries them out on a disk of its own to know what each path is."""

    def __init__(self, folder: bytes, disk: Disk) -> None:
        self._top = os.path.realpath(folder)
        self.disk = disk
        self.steps: list[Step] = []
        self._paths: dict[bytes, bytes] = {}
        self._positions: dict[bytes, int] = {}
        self._open: dict[bytes, int] = {}

    def read(self, name: bytes, arguments: bytes, result: int, rest: bytes) -> None:
        """Take in one call."""
        for descriptor, path in _DESCRIPTOR.findall(arguments):
            self._paths[descriptor] = _plain(path)
        returned = re.match(rb"<((?:\\x[0-9a-f]{2})*)>", rest)
        if returned:
            self._paths[b"%d" % result] = _plain(returned[1])
        parts = _split(arguments)
        handler: Callable[[list[bytes], int], None] | None = getattr(self, "_" + name.decode(), None)
        assert handler is not None, f"the recorder does not know {name.decode()}"
        handler(parts, result)

    def _do(self, step: Step) -> None:
        self.steps.append(step)
        self.disk.apply(step)

    # -- paths --------------------------------------------------------------------------------------------------

    def _inside(self, path: bytes) -> bytes | None:
        if path == self._top:
            return b""
        return path[len(self._top) + 1 :] if path.startswith(self._top + b"/") else None

    def _path(self, base: bytes, name: bytes) -> bytes | None:
        """Give a path below the folder, or None for one elsewhere."""
        quoted = _QUOTED.match(name)
        assert quoted is not None, name
        text = _plain(quoted[1])
        through = re.match(rb"^/proc/self/fd/(\d+)(/.*)?$", text, re.DOTALL)
        if through:
            return self._inside(self._paths[through[1]] + (through[2] or b""))
        if not text.startswith(b"/"):
            start = _DESCRIPTOR.match(base)
            inside = re.match(rb"^AT_FDCWD<((?:\\x[0-9a-f]{2})*)>", base)
            where = _plain(start[2]) if start else _plain(inside[1]) if inside else b""
            text = where + b"/" + text
        return self._inside(os.path.normpath(text))

    def _slot(self, path: bytes) -> tuple[int, bytes]:
        parent, _, name = path.rpartition(b"/")
        return self.disk.find(parent), name

    def _file(self, argument: bytes) -> int:
        """Give the inode of an open file below the folder, 0 for others."""
        match = _DESCRIPTOR.match(argument)
        if match is None:
            return 0
        path = self._inside(_plain(match[2]))
        if path is None:
            return 0
        return self._open.get(match[1], 0) or self.disk.find(path)

    # -- calls --------------------------------------------------------------------------------------------------

    def _open_at(self, flags: bytes, mode: int, result: int) -> None:
        descriptor = b"%d" % result
        self._positions[descriptor] = 0
        self._open.pop(descriptor, None)
        path = self._inside(self._paths.get(descriptor, b""))
        if path is None or b"O_PATH" in flags:
            return
        assert b"O_TMPFILE" not in flags, "the recorder does not know files without a name"
        number = self.disk.find(path)
        if not number:
            assert b"O_CREAT" in flags, path
            number = self._make(path, stat.S_IFREG, mode)
        if b"O_TRUNC" in flags:
            self._do(Size(number, 0))
        self._open[descriptor] = number

    def _make(self, path: bytes, kind: int, mode: int, data: bytes = b"") -> int:
        number = max(self.disk.inodes) + 1
        self._do(Make(number, kind, mode & ~0o022, data))
        self._do(Names(((*self._slot(path), number),), (number,)))
        return number

    def _openat(self, parts: list[bytes], result: int) -> None:
        self._open_at(parts[2], int(parts[3], 8) if len(parts) > 3 else 0, result)

    def _openat2(self, parts: list[bytes], result: int) -> None:
        mode = re.search(rb"mode=(\d+)", parts[2])
        self._open_at(parts[2], int(mode[1], 8) if mode else 0, result)

    def _close(self, parts: list[bytes], _result: int) -> None:
        match = _DESCRIPTOR.match(parts[0])
        if match:
            self._open.pop(match[1], None)

    def _write(self, parts: list[bytes], result: int) -> None:
        number = self._file(parts[0])
        if number:
            descriptor = parts[0].partition(b"<")[0]
            self._put(number, self._positions[descriptor], parts[1], result)
            self._positions[descriptor] += result

    def _pwrite64(self, parts: list[bytes], result: int) -> None:
        number = self._file(parts[0])
        if number:
            self._put(number, int(parts[3]), parts[1], result)

    def _put(self, number: int, offset: int, quoted: bytes, length: int) -> None:
        match = _QUOTED.match(quoted)
        assert match is not None, "strace cut a string"
        self._do(Write(number, offset, _plain(match[1])[:length]))

    def _copy_file_range(self, parts: list[bytes], result: int) -> None:
        target = self._file(parts[2])
        if target:
            source = self.disk.inodes[self._file(parts[0])].data
            begin, end = int(parts[1].strip(b"[]")), int(parts[3].strip(b"[]"))
            self._do(Write(target, end, bytes(source[begin : begin + result])))

    def _fallocate(self, parts: list[bytes], _result: int) -> None:
        number = self._file(parts[0])
        if number:
            assert b"PUNCH_HOLE" in parts[1], parts
            self._do(Write(number, int(parts[2]), bytes(int(parts[3]))))

    def _ftruncate(self, parts: list[bytes], _result: int) -> None:
        number = self._file(parts[0])
        if number:
            self._do(Size(number, int(parts[1])))

    def _renameat2(self, parts: list[bytes], _result: int) -> None:
        old, new = self._path(parts[0], parts[1]), self._path(parts[2], parts[3])
        if old is None or new is None:
            return
        one, two = self.disk.find(old), self.disk.find(new)
        exchange = len(parts) > 4 and b"RENAME_EXCHANGE" in parts[4]
        changes = ((*self._slot(old), two if exchange else 0), (*self._slot(new), one))
        self._do(Names(changes, (one, two) if two else (one,)))

    _renameat = _renameat2

    def _rename(self, parts: list[bytes], result: int) -> None:
        self._renameat2([b"", parts[0], b"", parts[1]], result)

    def _linkat(self, parts: list[bytes], _result: int) -> None:
        old, new = self._path(parts[0], parts[1]), self._path(parts[2], parts[3])
        if old is not None and new is not None:
            number = self.disk.find(old)
            self._do(Names(((*self._slot(new), number),), (number,)))

    def _unlinkat(self, parts: list[bytes], _result: int) -> None:
        path = self._path(parts[0], parts[1])
        if path is not None:
            self._do(Names(((*self._slot(path), 0),), (self.disk.find(path),)))

    def _unlink(self, parts: list[bytes], result: int) -> None:
        self._unlinkat([b"", parts[0]], result)

    _rmdir = _unlink

    def _mkdirat(self, parts: list[bytes], _result: int) -> None:
        path = self._path(parts[0], parts[1])
        if path:
            self._make(path, stat.S_IFDIR, int(parts[2], 8))

    def _mkdir(self, parts: list[bytes], result: int) -> None:
        self._mkdirat([b"", *parts], result)

    def _symlinkat(self, parts: list[bytes], _result: int) -> None:
        path = self._path(parts[1], parts[2])
        target = _QUOTED.match(parts[0])
        if path is not None and target is not None:
            self._make(path, stat.S_IFLNK, 0o777, _plain(target[1]))

    def _symlink(self, parts: list[bytes], result: int) -> None:
        self._symlinkat([parts[0], b"", parts[1]], result)

    def _fchmod(self, parts: list[bytes], _result: int) -> None:
        number = self._file(parts[0])
        if number:
            self._do(Attributes(number, mode=int(parts[1], 8)))

    def _fchmodat(self, parts: list[bytes], _result: int) -> None:
        path = self._path(parts[0], parts[1])
        if path is not None:
            self._do(Attributes(self.disk.find(path), mode=int(parts[2], 8)))

    def _chmod(self, parts: list[bytes], result: int) -> None:
        self._fchmodat([b"", *parts], result)

    def _utimensat(self, parts: list[bytes], _result: int) -> None:
        path = None if parts[1] == b"NULL" else self._path(parts[0], parts[1])
        number = self._file(parts[0]) if parts[1] == b"NULL" else self.disk.find(path) if path is not None else 0
        if number:
            seconds = _SECONDS.findall(parts[2])
            assert len(seconds) == 2, parts
            self._do(Attributes(number, mtime_ns=int(seconds[1][0]) * 10**9 + int(seconds[1][1])))

    def _fsync(self, parts: list[bytes], _result: int) -> None:
        number = self._file(parts[0])
        if number:
            self._do(Sync(number))

    _fdatasync = _fsync

    def _syncfs(self, _parts: list[bytes], _result: int) -> None:
        self._do(Sync(0))


def _split(arguments: bytes) -> list[bytes]:
    """Split at the commas that are in no bracket; all text is in hexadecimal, so no other comma is in the way."""
    parts, depth, begin = [], 0, 0
    for position, byte in enumerate(arguments):
        if byte in b"{[":
            depth += 1
        elif byte in b"}]":
            depth -= 1
        elif byte == ord(",") and not depth:
            parts.append(arguments[begin:position].strip())
            begin = position + 1
    return [*parts, arguments[begin:].strip()]
