"""A file system that forgets what was not synced: which states a power loss may leave behind.

A recorded run (``pdelta.testing.recording``) is a list of steps over inodes. For a power loss after any
step, ``Disk.after`` gives a state that the machine may come up with. The model is harsher than the
journalling file systems that it stands for:

* ``fsync`` and ``fdatasync`` of a file keep that file's own data, size, mode and time, and nothing else, above all
  not its name. ``fsync`` of a folder keeps the names in it, ``syncfs`` keeps everything.
* ``Loss.ORDERED``: names, sizes and attributes reach the disk in the order in which they were made, so any prefix
  of what no sync of a folder or file system has fixed may be there (ext4, XFS and others with one journal).
* ``Loss.SCATTERED``: so it is with names, but sizes and attributes come earlier or later than the names around
  them, in their order for each inode: only what was synced itself can be counted on.
* Data that was not synced is there, not there (so the file is shorter), zeros, or torn page by page, whatever
  became of the names.

Inode numbers are not the recorded ones once a state is laid out on a real disk: see ``Disk.lay_out``.
"""

import os
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple, Protocol, TypeAlias

PAGE_BYTES: Final = 4096
LOST_TIME_NS: Final = 1_234_567_890_000_000_001
"""The time of whatever was changed without being given a time of its own."""


class Loss(StrEnum):
    """In which order what was not synced reaches the disk."""

    ORDERED = "ordered"
    SCATTERED = "scattered"


class Data(StrEnum):
    """What becomes of data that was not synced."""

    KEPT = "kept"
    SHORT = "short"
    ZEROS = "zeros"
    TORN = "torn"


@dataclass(slots=True)
class Inode:
    """One inode.

    Attributes:
        kind: ``S_IFREG``, ``S_IFDIR`` or ``S_IFLNK``.
        mode: Permission bits.
        mtime_ns: Its time.
        data: Content of a file, target of a link.
        names: Inode by name, of a folder.
    """

    kind: int
    mode: int
    mtime_ns: int = LOST_TIME_NS
    data: bytearray = field(default_factory=bytearray)
    names: dict[bytes, int] = field(default_factory=dict)


class Make(NamedTuple):
    """An inode that has no name yet, and is no loss without one."""

    inode: int
    kind: int
    mode: int
    data: bytes = b""


class Chance(Protocol):
    """What decides; ``random.Random`` fits."""

    def random(self) -> float:
        """Give a number from 0 up to 1."""
        ...

    def randint(self, a: int, b: int, /) -> int:
        """Give a whole number from ``a`` to ``b``."""
        ...


class Names(NamedTuple):
    """Names that change at once: (folder, name, inode), inode 0 where the name goes."""

    changes: tuple[tuple[int, bytes, int], ...]
    moved: tuple[int, ...] = ()


class Write(NamedTuple):
    """Bytes written to a file."""

    inode: int
    offset: int
    data: bytes


class Size(NamedTuple):
    """A file cut or grown."""

    inode: int
    size: int


class Attributes(NamedTuple):
    """Mode or time of an inode; None where it stays."""

    inode: int
    mode: int | None = None
    mtime_ns: int | None = None


class Sync(NamedTuple):
    """An inode was synced; 0 is the whole file system."""

    inode: int


Step: TypeAlias = Make | Names | Write | Size | Attributes | Sync
Translate: TypeAlias = Callable[[bytes, bytes, Callable[[int], int]], bytes]
"""Gives the bytes of a file on the new disk: (path, bytes, new inode number by inode of the model)."""


@dataclass(slots=True)
class Disk:
    """What a disk holds; inode 1 is the folder at the top."""

    inodes: dict[int, Inode]

    def copy(self) -> "Disk":
        """Give another disk that holds the same."""
        return Disk(
            {
                number: Inode(inode.kind, inode.mode, inode.mtime_ns, bytearray(inode.data), dict(inode.names))
                for number, inode in self.inodes.items()
            }
        )

    def find(self, path: bytes) -> int:
        """Give the inode at a path, 0 where there is none."""
        number = 1
        for name in path.split(b"/") if path else ():
            number = self.inodes[number].names.get(name, 0)
            if not number:
                return 0
        return number

    def apply(self, step: Step) -> None:
        """Carry out one step."""
        match step:
            case Make(inode, kind, mode, data):
                self.inodes[inode] = Inode(kind, mode, data=bytearray(data))
            case Names(changes):
                for folder, name, inode in changes:
                    self.inodes[folder].mtime_ns = LOST_TIME_NS
                    if inode:
                        self.inodes[folder].names[name] = inode
                    else:
                        self.inodes[folder].names.pop(name, None)
            case Write(inode, offset, data):
                content = self.inodes[inode].data
                if len(content) < offset:
                    content.extend(bytes(offset - len(content)))
                content[offset : offset + len(data)] = data
                self.inodes[inode].mtime_ns = LOST_TIME_NS
            case Size(inode, size):
                content = self.inodes[inode].data
                del content[size:]
                content.extend(bytes(size - len(content)))
                self.inodes[inode].mtime_ns = LOST_TIME_NS
            case Attributes(inode, mode, mtime_ns):
                found = self.inodes[inode]
                found.mode = found.mode if mode is None else mode
                found.mtime_ns = found.mtime_ns if mtime_ns is None else mtime_ns
            case Sync():
                pass

    def after(self, steps: Sequence[Step], loss: Loss, data: Data, chance: Chance) -> "Disk":
        """Give what may be there when the power goes right after these steps.

        Args:
            steps: From the beginning of the recording.
            loss: In which order names and attributes are lost.
            data: What becomes of data that was not synced.
            chance: Decides what the other arguments leave open.
        """
        fixed = _fixed(steps)
        kept = fixed | _survivors(steps, fixed, loss, chance)
        disk = self.copy()
        for position, step in enumerate(steps):
            if isinstance(step, Write) and position not in fixed:
                for piece in _what_is_left(step, data, chance):
                    disk.apply(piece)
            elif position in kept or isinstance(step, Write | Make):
                disk.apply(step)
        return disk

    def lay_out(self, top: bytes, translate: Translate) -> None:
        """Make a real folder hold what this disk holds.

        Args:
            top: The folder; must not exist.
            translate: Rewrites files that speak of inode numbers.
        """
        paths: dict[int, bytes] = {}
        for path, number in self.walk(1, b""):
            full = top + b"/" + path if path else top
            if number in paths:
                os.link(paths[number], full, follow_symlinks=False)
            else:
                _make(full, self.inodes[number])
                paths[number] = full

        def number_of(inode: int) -> int:
            return os.lstat(paths[inode]).st_ino if inode in paths else 0

        for number, full in reversed(paths.items()):
            inode = self.inodes[number]
            if inode.kind == stat.S_IFREG:
                _write(full, translate(full[len(top) + 1 :], bytes(inode.data), number_of))
            if inode.kind != stat.S_IFLNK:
                os.chmod(full, inode.mode)
            os.utime(full, ns=(inode.mtime_ns, inode.mtime_ns), follow_symlinks=False)

    def walk(self, number: int, path: bytes) -> Iterator[tuple[bytes, int]]:
        """Give every path below an inode with its inode, folders first."""
        yield path, number
        for name, below in self.inodes[number].names.items():
            yield from self.walk(below, path + b"/" + name if path else name)


def load(top: bytes) -> tuple[Disk, dict[int, int]]:
    """Read a real folder.

    Returns:
        The disk, and inodes of the model by real inode number.
    """
    disk = Disk({})
    numbers: dict[int, int] = {}
    _load(top, disk, numbers)
    return disk, numbers


def _load(path: bytes, disk: Disk, numbers: dict[int, int]) -> int:
    status = os.lstat(path)
    if status.st_ino in numbers:
        return numbers[status.st_ino]
    number = numbers[status.st_ino] = len(numbers) + 1
    kind = stat.S_IFMT(status.st_mode)
    inode = disk.inodes[number] = Inode(kind, stat.S_IMODE(status.st_mode), status.st_mtime_ns)
    if kind == stat.S_IFDIR:
        inode.names = {name: _load(path + b"/" + name, disk, numbers) for name in sorted(os.listdir(path))}
    elif kind == stat.S_IFLNK:
        inode.data = bytearray(os.readlink(path))
    else:
        with open(path, "rb") as file:
            inode.data = bytearray(file.read())
    return number


def _make(path: bytes, inode: Inode) -> None:
    if inode.kind == stat.S_IFDIR:
        os.mkdir(path)
    elif inode.kind == stat.S_IFLNK:
        os.symlink(bytes(inode.data), path)
    else:
        _write(path, b"")


def _write(path: bytes, data: bytes) -> None:
    with open(path, "wb") as file:
        file.write(data)


def _fixed(steps: Sequence[Step]) -> set[int]:
    """Give the positions of the steps that a later sync made durable, whatever the order of the rest."""
    fixed: set[int] = set()
    for position, step in enumerate(steps):
        if isinstance(step, Sync):
            fixed.add(position)
            fixed.update(earlier for earlier in range(position) if _is_fixed_by(steps[earlier], step))
    return fixed


def _is_fixed_by(step: Step, sync: Sync) -> bool:
    if not sync.inode:
        return True
    if isinstance(step, Names):
        return any(folder == sync.inode for folder, _, _ in step.changes)
    return step.inode == sync.inode


def _survivors(steps: Sequence[Step], fixed: set[int], loss: Loss, chance: Chance) -> set[int]:
    orderly = [position for position, step in enumerate(steps) if isinstance(step, Names | Size | Attributes)]
    # A name that was fixed takes with it all that came before it in the one journal; a file's own sync does not.
    last = max((at for at in orderly if at in fixed and isinstance(steps[at], Names)), default=-1)
    loose = [position for position in orderly if position > last]
    end = (0, len(loose), chance.randint(0, len(loose)))[chance.randint(0, 2)]
    kept = {position for position in orderly if position <= last} | set(loose[:end])
    if loss is Loss.SCATTERED:
        stopped: set[int] = set()
        for position in orderly:
            step = steps[position]
            if not isinstance(step, Size | Attributes) or position in fixed:
                continue
            if step.inode in stopped or chance.random() < 0.5:
                stopped.add(step.inode)
                kept.discard(position)
            else:
                kept.add(position)
    return kept


def _what_is_left(step: Write, data: Data, chance: Chance) -> Iterable[Step]:
    match data:
        case Data.KEPT:
            return (step,)
        case Data.SHORT:
            return ()
        case Data.ZEROS:
            return (Write(step.inode, step.offset, bytes(len(step.data))),)
        case Data.TORN:
            return _pages(step, chance)


def _pages(step: Write, chance: Chance) -> Iterator[Step]:
    begin = 0
    while begin < len(step.data):
        end = min(len(step.data), begin + PAGE_BYTES - (step.offset + begin) % PAGE_BYTES)
        if chance.random() < 0.5:
            yield Write(step.inode, step.offset + begin, step.data[begin:end])
        begin = end
