"""Batch calls in C, where the set-up found a compiler; the interpreter's lock is released meanwhile.

The library is bound to no version of Python: it is plain C, loaded by ctypes.
"""

import ctypes
import os
import struct
from collections.abc import Sequence
from functools import cache

from pdelta.filesystem.batch.port import MORE, Listing, Looks
from pdelta.filesystem.fingerprint import FINGERPRINT_BYTES

VERSION = 3
FILE = os.path.join(os.path.dirname(__file__), "calls.so")


class _Listing(ctypes.Structure):
    _fields_ = (
        ("count", ctypes.c_int64),
        ("length", ctypes.c_int64),
        ("vanished", ctypes.c_int64),
        ("linked", ctypes.c_int64),
        ("kinds", ctypes.c_int64),
        ("names", ctypes.c_void_p),
        ("gone", ctypes.c_void_p),
        ("prints", ctypes.c_void_p),
        ("more", ctypes.c_void_p),
    )


class NativeCalls:
    """See ``port.BatchCalls``."""

    def __init__(self, library: ctypes.CDLL) -> None:
        """Use a library that ``load`` found to be the right one."""
        number, data = ctypes.c_int64, ctypes.c_void_p
        self._list = library.pdelta_list
        self._list.argtypes, self._list.restype = (ctypes.c_int, ctypes.POINTER(_Listing)), number
        self._release = library.pdelta_release
        self._release.argtypes, self._release.restype = (ctypes.POINTER(_Listing),), None
        self._look = library.pdelta_look
        self._look.argtypes, self._look.restype = (ctypes.c_int, ctypes.c_char_p, number, number, data, data), number
        self._read = library.pdelta_read
        self._read.argtypes = (ctypes.c_int, ctypes.c_char_p, number, number, ctypes.c_char_p, data, number, data)
        self._read.restype = number
        self._create = library.pdelta_create
        self._create.argtypes = (
            *(ctypes.c_int, ctypes.c_char_p, number, number, ctypes.c_char_p),
            *(data, number, ctypes.c_int, data, ctypes.POINTER(number)),
        )
        self._create.restype = number

    def list(self, fd: int) -> Listing:
        """List a folder and look at every name in it."""
        it, copy = _Listing(), ctypes.string_at
        count = _checked(self._list(fd, it))
        try:
            looks = Looks(copy(it.prints, count * FINGERPRINT_BYTES), copy(it.more, count * MORE.size))
            vanished = copy(it.gone, it.vanished).split(b"/") if it.vanished else []
            return Listing(copy(it.names, it.length), looks, vanished, it.linked, it.kinds)
        finally:
            self._release(it)

    def look(self, fd: int, names: Sequence[bytes]) -> Looks:
        """Look at names of a folder."""
        joined, count = b"/".join(names), len(names)
        prints = ctypes.create_string_buffer(count * FINGERPRINT_BYTES)
        more = ctypes.create_string_buffer(count * MORE.size)
        _checked(self._look(fd, joined, len(joined), count, prints, more))
        return Looks(prints.raw, more.raw)

    def read(self, fd: int, names: Sequence[bytes], fingerprints: bytes, buffer: bytearray | memoryview) -> bytes:
        """Read whole files, one behind the other."""
        joined, count = b"/".join(names), len(names)
        good = ctypes.create_string_buffer(count)
        place = (ctypes.c_char * len(buffer)).from_buffer(buffer)
        _checked(self._read(fd, joined, len(joined), count, fingerprints, place, len(buffer), good))
        return good.raw

    def create(
        self, fd: int, names: Sequence[bytes], facts: Sequence[bytes], data: bytearray, *, sync: bool
    ) -> tuple[int, ...]:
        """Make new regular files with their contents, modes and times."""
        joined, count, done = b"/".join(names), len(names), ctypes.c_int64()
        inodes = ctypes.create_string_buffer(8 * count)
        place = (ctypes.c_char * len(data)).from_buffer(data)
        result = self._create(
            *(fd, joined, len(joined), count, b"".join(facts), place, len(data), sync, inodes, ctypes.byref(done))
        )
        if result < 0:
            raise OSError(-result, os.strerror(-result), names[done.value])
        return struct.unpack(f"<{count}Q", inodes.raw)


@cache
def load() -> NativeCalls | None:
    """Give the calls in C; None where they were not built, or for another machine or version."""
    try:
        library = ctypes.CDLL(FILE)
        return NativeCalls(library) if library.pdelta_version() == VERSION else None
    except (OSError, AttributeError):
        return None


def _checked(result: int) -> int:
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    return result
