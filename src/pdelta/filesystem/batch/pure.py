"""Batch calls without anything compiled: the twin that says what the C must say, bit for bit.

Used where no compiler was at hand, or on a host with another processor.
"""

import errno
import os
import stat
from collections.abc import Sequence

from pdelta.filesystem.batch.port import FACT, MORE, Listing, Looks
from pdelta.filesystem.copy import write_all
from pdelta.filesystem.fingerprint import FINGERPRINT_BYTES, pack_all, pack_file

_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST_LINKS = 0xFFFFFFFF
_ABSENT = bytes(FINGERPRINT_BYTES), bytes(MORE.size)


class PureCalls:
    """See ``port.BatchCalls``."""

    def list(self, fd: int) -> Listing:
        """List a folder and look at every name in it."""
        texts = os.listdir(fd)
        if not texts and not os.fstat(fd).st_nlink:
            # The C library hides that a folder was removed: it seems empty.
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT))
        names = os.fsencode("/".join(texts)).split(b"/") if texts else []
        names.sort()
        vanished: list[bytes] = []
        lstat = os.lstat
        try:
            statuses = [lstat(name, dir_fd=fd) for name in names]
        except FileNotFoundError:
            statuses, here = [], []
            for name in names:
                try:
                    statuses.append(lstat(name, dir_fd=fd))
                    here.append(name)
                except FileNotFoundError:
                    vanished.append(name)
            names = here
        looks = _looks(statuses)
        kinds = linked = 0
        for status in statuses:
            # A folder has a link for each one below it.
            kind = status.st_mode >> 12
            kinds |= 1 << kind
            linked += status.st_nlink > 1 and kind != 4
        return Listing(b"/".join(names), looks, vanished, linked, kinds)

    def look(self, fd: int, names: Sequence[bytes]) -> Looks:
        """Look at names of a folder."""
        found: list[os.stat_result | None] = []
        for name in names:
            try:
                found.append(os.lstat(name, dir_fd=fd))
            except FileNotFoundError:
                found.append(None)
        if None not in found:
            return _looks([status for status in found if status is not None])
        pairs = [_ABSENT if status is None else _looks([status]) for status in found]
        return Looks(b"".join([one for one, _ in pairs]), b"".join([more for _, more in pairs]))

    def read(self, fd: int, names: Sequence[bytes], fingerprints: bytes, buffer: bytearray | memoryview) -> bytes:
        """Read whole files, one behind the other."""
        view, begin = memoryview(buffer), 0
        good = bytearray(len(names))
        for place, name in enumerate(names):
            wanted = fingerprints[place * FINGERPRINT_BYTES : (place + 1) * FINGERPRINT_BYTES]
            size = int.from_bytes(wanted[:8], "little")
            if begin + size > len(view):
                raise OSError(errno.EOVERFLOW, os.strerror(errno.EOVERFLOW))
            good[place] = _read_whole(fd, name, wanted, view[begin : begin + size])
            begin += size
        return bytes(good)

    def create(
        self, fd: int, names: Sequence[bytes], facts: Sequence[bytes], data: bytearray, *, sync: bool
    ) -> tuple[int, ...]:
        """Make new regular files with their contents, modes and times."""
        begin, view = 0, memoryview(data)
        inodes: list[int] = []
        for name, fact in zip(names, facts, strict=True):
            size, mtime_ns, mode = FACT.unpack(fact)
            if begin + size > len(view):
                raise OSError(errno.EOVERFLOW, os.strerror(errno.EOVERFLOW), name)
            try:
                inodes.append(_create(fd, name, view[begin : begin + size], mtime_ns, mode, sync=sync))
            except OSError as error:
                error.filename = name
                raise
            begin += size
        return tuple(inodes)


def _create(fd: int, name: bytes, content: memoryview, mtime_ns: int, mode: int, *, sync: bool) -> int:
    opened = os.open(name, _CREATE, 0o600, dir_fd=fd)
    try:
        write_all(opened, content, 0)
        os.fchmod(opened, mode)
        os.utime(opened, ns=(mtime_ns, mtime_ns))
        if sync:
            os.fsync(opened)
        return os.fstat(opened).st_ino
    finally:
        os.close(opened)


def _looks(statuses: Sequence[os.stat_result]) -> Looks:
    more = [
        MORE.pack(it.st_dev, it.st_blocks, min(it.st_nlink, _MOST_LINKS), it.st_uid, it.st_gid, 0) for it in statuses
    ]
    return Looks(b"".join(pack_all(statuses)), b"".join(more))


def _read_whole(fd: int, name: bytes, wanted: bytes, view: memoryview) -> bool:
    try:
        opened = os.open(name, _OPEN, dir_fd=fd)
    except OSError:
        return False
    got = 0
    try:
        while got < len(view):
            count = os.readv(opened, [view[got:]])
            if not count:
                return False
            got += count
        status = os.fstat(opened)
        return stat.S_ISREG(status.st_mode) and pack_file(status) == wanted
    except OSError:
        return False
    finally:
        os.close(opened)
