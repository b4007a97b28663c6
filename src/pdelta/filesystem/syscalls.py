"""The Linux calls that Python 3.11 lacks, each as one function that raises ``OSError``.

Called by the modules of this package and by nothing else. Decides nothing: what
to do where a call is missing is the caller's business, who learns of it by
``UnsupportedError``.
"""

import ctypes
import errno
import fcntl
import functools
import os
import struct
from collections.abc import Callable
from typing import Final

RESOLVE_NO_SYMLINKS: Final = 0x04
RESOLVE_BENEATH: Final = 0x08

RENAME_NOREPLACE: Final = 1
RENAME_EXCHANGE: Final = 2

PUNCH_HOLE: Final = 0x02
KEEP_SIZE: Final = 0x01

BTRFS: Final = 0x9123683E

_AT_FDCWD: Final = -100
_OPENAT2: Final = 437
_RENAMEAT2: Final = {"x86_64": 316, "aarch64": 276, "riscv64": 276, "loongarch64": 276}
_FICLONE: Final = 0x40049409
_FICLONERANGE: Final = 0x4020940D
_FS_IOC_GETFSUUID: Final = 0x80111500

_MISSING: Final = frozenset({errno.ENOSYS, errno.EINVAL, errno.EOPNOTSUPP, errno.ENOTTY, errno.EPERM})
"""What kernels and file systems answer to a call, flag or ioctl that they do not have."""

_DETACHED: Final = frozenset({errno.EXDEV, *_MISSING})
"""As above, for clones: two file systems, or a range that is not aligned."""


class UnsupportedError(OSError):
    """This kernel or this file system cannot do the call; nothing was changed, and another way may work."""


class _Statfs(ctypes.Structure):
    """``struct statfs64`` of glibc and musl on every platform but s390x."""

    _fields_ = (
        ("type", ctypes.c_long),
        ("bsize", ctypes.c_long),
        ("blocks", ctypes.c_uint64 * 5),
        ("fsid", ctypes.c_uint8 * 8),
        ("rest", ctypes.c_long * 16),
    )


_libc: Final = ctypes.CDLL(None, use_errno=True)


def _function(name: str, *arguments: type) -> Callable[..., int] | None:
    """Bind one C function; None where this libc has none."""
    try:
        function = _libc[name]
    except AttributeError:
        return None
    function.argtypes = arguments
    return function


def _required(name: str, *arguments: type) -> Callable[..., int]:
    """Bind one C function that every libc has."""
    function = _libc[name]
    function.argtypes = arguments
    return function


_openat2 = _required("syscall", ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.c_char_p, ctypes.c_size_t)
_renameat2 = _function("renameat2", ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
_renameat2_by_number = _required(
    "syscall", ctypes.c_long, ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint
)
_syncfs = _function("syncfs", ctypes.c_int)
_fallocate = _function("fallocate64", ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64) or _function(
    "fallocate", ctypes.c_int, ctypes.c_int, ctypes.c_int64, ctypes.c_int64
)
_fstatfs = _function("fstatfs64", ctypes.c_int, ctypes.POINTER(_Statfs)) or _function(
    "fstatfs", ctypes.c_int, ctypes.POINTER(_Statfs)
)


@functools.cache
def _open_how(flags: int, mode: int, resolve: int) -> bytes:
    """Give ``struct open_how``; the kernel only reads it, and few are ever needed."""
    return struct.pack("=QQQ", flags, mode, resolve)


def openat2(directory_fd: int, path: bytes, flags: int, mode: int = 0, resolve: int = 0) -> int:
    """Open a path under restrictions that the kernel keeps while it resolves, so that no race gets between.

    Measured with ``RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS`` on 6.18, with the close: see ``opening.open_beneath``.

    Args:
        directory_fd: Where a relative path begins.
        path: Without NUL.
        flags: ``O_…``; unlike ``open``, unknown or senseless combinations are refused with EINVAL.
        mode: Permission bits; must be 0 unless ``flags`` creates.
        resolve: ``RESOLVE_…``.

    Returns:
        A new descriptor.

    Raises:
        UnsupportedError: Kernel before 5.6.
        OSError: ``ELOOP`` for a symbolic link, ``EXDEV`` for a way out, and all that ``open`` raises.
    """
    if b"\0" in path:
        text = "embedded null byte"
        raise ValueError(text)
    how = _open_how(flags, mode, resolve)
    while True:
        fd = _openat2(_OPENAT2, directory_fd, path, how, 24)
        if fd >= 0:
            return fd
        code = ctypes.get_errno()
        if code != errno.EINTR:
            raise _error(code, path, unsupported=frozenset({errno.ENOSYS}))


@functools.cache
def has_openat2() -> bool:
    """Say whether this process may call ``openat2``; asked once.

    Old kernels answer ENOSYS; seccomp filters that do not know the call answer EPERM or ENOSYS.
    """
    try:
        os.close(openat2(_AT_FDCWD, b"/", os.O_PATH | os.O_CLOEXEC, 0, RESOLVE_NO_SYMLINKS))
    except OSError:
        return False
    return True


def renameat2(directory_fd: int, name: bytes, new_directory_fd: int, new_name: bytes, flags: int) -> None:
    """Rename with ``RENAME_NOREPLACE`` or ``RENAME_EXCHANGE``.

    Raises:
        UnsupportedError: The file system lacks the flag. The kernel uses the same EINVAL for a folder that would
            be moved below itself; a plain rename afterwards tells the two apart.
        FileExistsError: The new name is taken (``RENAME_NOREPLACE``).
        OSError: Anything else that ``rename`` raises.
    """
    if b"\0" in name or b"\0" in new_name:
        text = "embedded null byte"
        raise ValueError(text)
    number = _RENAMEAT2.get(os.uname().machine, -1)
    if _renameat2 is not None:
        failed = _renameat2(directory_fd, name, new_directory_fd, new_name, flags)
    else:
        failed = _renameat2_by_number(number, directory_fd, name, new_directory_fd, new_name, flags)
    if failed:
        # EPERM is a true refusal here (sticky folder, immutable file), never "not supported".
        raise _error(ctypes.get_errno(), name, new_name, unsupported=_MISSING - {errno.EPERM})


def sync_filesystem(fd: int) -> None:
    """Write everything of the file system that holds an open file or folder to its disk (``syncfs``).

    Raises:
        OSError: A write failed, since Linux 5.8 also one that happened before the call.
    """
    if _syncfs is None:
        os.sync()
    elif _syncfs(fd):
        raise _error(ctypes.get_errno(), b"")


def punch(fd: int, offset: int, length: int) -> None:
    """Turn a range of a file into a hole that reads as zeros; its size stays.

    Raises:
        UnsupportedError: The file system has no holes.
        OSError: Anything else.
    """
    if _fallocate is None:
        raise UnsupportedError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if _fallocate(fd, PUNCH_HOLE | KEEP_SIZE, offset, length):
        raise _error(ctypes.get_errno(), b"", unsupported=_MISSING - {errno.EPERM})


def clone(source_fd: int, target_fd: int) -> None:
    """Make a whole file share the blocks of another (``FICLONE``).

    Raises:
        UnsupportedError: The file system has no reflinks, or the files are on two.
        OSError: Anything else.
    """
    try:
        fcntl.ioctl(target_fd, _FICLONE, source_fd)
    except OSError as error:
        raise _as_unsupported(error, _DETACHED) from None


def clone_range(source_fd: int, source_offset: int, target_fd: int, target_offset: int, length: int) -> None:
    """Make a range share the blocks of another (``FICLONERANGE``).

    Args:
        source_fd: Open for reading.
        source_offset: Multiple of the block size.
        target_fd: Open for writing.
        target_offset: Multiple of the block size.
        length: Multiple of the block size unless the range ends the source; at least 1.

    Raises:
        UnsupportedError: No reflinks here, two file systems, or not aligned.
        OSError: Anything else.
    """
    try:
        fcntl.ioctl(target_fd, _FICLONERANGE, struct.pack("=qQQQ", source_fd, source_offset, length, target_offset))
    except OSError as error:
        raise _as_unsupported(error, _DETACHED) from None


def filesystem_id(fd: int) -> bytes:
    """Name the file system that holds an open file, equally after a remount or a reboot where the kernel can.

    Its type, then the UUID (Linux 6.9), else ``f_fsid`` of ``statfs``, else the device number. ``st_dev`` alone is
    given out anew at every mount. On btrfs ``f_fsid`` comes first: it tells subvolumes apart, whose inode numbers
    repeat, and is made from the UUID anyhow; XFS makes it from the device number.
    """
    kind, fsid = _statfs(fd)
    prefix = b"%08x:" % (kind & 0xFFFFFFFF)
    if kind & 0xFFFFFFFF != BTRFS:
        try:
            answer = fcntl.ioctl(fd, _FS_IOC_GETFSUUID, bytes(17))
        except OSError:
            pass
        else:
            if answer[0] and any(answer[1:]):
                return prefix + b"u" + answer[1 : 1 + answer[0]].hex().encode()
    if any(fsid):
        return prefix + b"f" + fsid.hex().encode()
    return prefix + b"d%x" % os.fstat(fd).st_dev


def filesystem_type(fd: int) -> int:
    """Give the magic number of the file system that holds an open file, as in ``statfs(2)``."""
    return _statfs(fd)[0] & 0xFFFFFFFF


def _statfs(fd: int) -> tuple[int, bytes]:
    """Read type and id of a file system."""
    record = _Statfs()
    if _fstatfs is None:
        raise UnsupportedError(errno.ENOSYS, os.strerror(errno.ENOSYS))
    if _fstatfs(fd, ctypes.byref(record)):
        raise _error(ctypes.get_errno(), b"")
    return record.type, bytes(record.fsid)


def _error(
    code: int, name: bytes, new_name: bytes | None = None, *, unsupported: frozenset[int] = frozenset()
) -> OSError:
    """Build the exception for an errno; ``OSError`` itself picks ``FileNotFoundError`` and the like."""
    kind = UnsupportedError if code in unsupported else OSError
    return kind(code, os.strerror(code), name or None, None, new_name)


def _as_unsupported(error: OSError, codes: frozenset[int]) -> OSError:
    """Give the error as it is, or as ``UnsupportedError`` when its code says so."""
    return UnsupportedError(error.errno, error.strerror) if error.errno in codes else error
