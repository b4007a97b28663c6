"""Mode, times, owner and extended attributes of open files and of names in open folders.

Called by staging and committing to write, by scanning to read. Never follows a
symbolic link and never opens a file for reading or writing to get at them: a
name is pinned by a handle (``O_PATH``), and what needs a path goes through
``/proc/self/fd``, which must be mounted.
"""

import errno
import os
import stat
from collections.abc import Iterable, Sequence
from typing import Final, Self

import msgspec

from pdelta.errors import FilesystemError
from pdelta.filesystem.safe import Directory
from pdelta.model.names import check_component

ACCESS_ACL: Final = b"system.posix_acl_access"
DEFAULT_ACL: Final = b"system.posix_acl_default"

_PORTABLE: Final = b"user."
_ACLS: Final = frozenset({ACCESS_ACL, DEFAULT_ACL})
_NO_ATTRIBUTES: Final = frozenset({errno.ENOTSUP, errno.EPERM, errno.ENOSYS})
_UNSET_ID: Final = 0xFFFFFFFF
"""(uid_t)-1 means "leave it" to chown, and can own nothing."""

_ALL_IDS: Final = ((0, _UNSET_ID),)
_CAP_CHOWN: Final = 0
"""Its number in linux/capability.h."""


class Attributes(msgspec.Struct, frozen=True):
    """What to set; a field that is None is left as it is.

    Attributes:
        mode: Permission bits with setuid, setgid and sticky; ignored for a symbolic link, which has none.
        mtime_ns: Modification time, nanoseconds since the epoch; the access time stays.
        owner: (uid, gid); pre-flight has asked ``OwnerRights`` whether it may be set.
        xattrs: (name, value) pairs; portable attributes that are not among them are removed.
    """

    mode: int | None = None
    mtime_ns: int | None = None
    owner: tuple[int, int] | None = None
    xattrs: tuple[tuple[bytes, bytes], ...] | None = None


def set_attributes(fd: int, attributes: Attributes) -> None:
    """Set attributes of an open file or folder, in the order in which none undoes another.

    The owner first, since a change of owner clears setuid and setgid; then ACLs and other attributes, which change
    the group's bits; then the mode; the time last, since the others may touch it on some file systems.

    Args:
        fd: Open for reading or writing (no handle).
        attributes: What to set.

    Raises:
        FilesystemError: An attribute is in a namespace that does not travel.
        OSError: Not permitted, no space for attributes, or anything else.
    """
    if attributes.owner is not None:
        os.chown(fd, *attributes.owner)
    if attributes.xattrs is not None:
        write_xattrs(fd, attributes.xattrs)
    if attributes.mode is not None:
        os.chmod(fd, attributes.mode)
    if attributes.mtime_ns is not None:
        os.utime(fd, ns=(os.fstat(fd).st_atime_ns, attributes.mtime_ns))


def set_attributes_of(directory: Directory, name: bytes, attributes: Attributes) -> None:
    """Set attributes of one name in an open folder; of a symbolic link, those of the link itself.

    The name is resolved once. If another process gives the name to something else meanwhile, the attributes go to
    what had it first.

    Args:
        directory: Verified by the caller.
        name: One component; ``b""`` is the folder itself.
        attributes: What to set.

    Raises:
        FilesystemError: An attribute is in a namespace that does not travel.
        FormatError: The name is none.
        OSError: It is not there, not permitted, or anything else.
    """
    if not name:
        # Its descriptor still works where its own mode lets nobody through.
        set_attributes(directory.fd, attributes)
        return
    check_component(name)
    handle = directory.open_handle(name)
    try:
        place = _through(handle)
        status = os.fstat(handle)
        link = stat.S_ISLNK(status.st_mode)
        if attributes.owner is not None:
            os.chown(place, *attributes.owner)
        if attributes.xattrs is not None and not link:
            write_xattrs(place, attributes.xattrs)
        if attributes.mode is not None and not link:
            os.chmod(place, attributes.mode)
        if attributes.mtime_ns is not None:
            os.utime(place, ns=(status.st_atime_ns, attributes.mtime_ns))
    except OSError as error:
        error.filename = directory.locate(name)
        raise
    finally:
        os.close(handle)


def read_xattrs(place: int | bytes) -> tuple[tuple[bytes, bytes], ...]:
    """Give the attributes that travel, sorted by name: ``user.*`` and POSIX ACLs.

    Labels and capabilities (``security.*``) belong to a host's own policy, and ``trusted.*`` to its
    kernel: they are neither read nor written.

    Args:
        place: A descriptor, or a path whose last component is followed.

    Raises:
        OSError: The file system failed; one that has no attributes gives none.
    """
    try:
        listed = os.listxattr(place)
    except OSError as error:
        if error.errno in _NO_ATTRIBUTES:
            return ()
        raise
    found = []
    for name in map(os.fsencode, listed):
        if not travels(name):
            continue
        try:
            found.append((name, os.getxattr(place, name)))
        except OSError as error:
            if error.errno != errno.ENODATA:
                raise
    return tuple(sorted(found))


def read_xattrs_of(directory: Directory, path: bytes) -> tuple[tuple[bytes, bytes], ...]:
    """Give the attributes that travel of something below an open folder; a symbolic link has none.

    Raises:
        FilesystemError: A symbolic link is in the way.
        FormatError: The path is none.
        OSError: It is not there, or the file system failed.
    """
    handle = directory.open_handle(path)
    try:
        if stat.S_ISLNK(os.fstat(handle).st_mode):
            return ()
        return read_xattrs(_through(handle))
    except OSError as error:
        error.filename = directory.locate(path)
        raise
    finally:
        os.close(handle)


def inherited(folder: Directory, name: bytes, *, owner: bool, xattrs: bool) -> Attributes | None:
    """Give what a file that replaces another must be given to keep its owner and access list.

    Args:
        folder: Where the other one is.
        name: Its name there.
        owner: Whether the owner is kept.
        xattrs: Whether extended attributes are.

    Returns:
        None where a new file has all of it, or there is no other one.
    """
    if (found := folder.lstat(name)) is None:
        return None
    ids = None
    if owner and (found.st_uid, found.st_gid) != (os.geteuid(), os.getegid()):
        ids = (found.st_uid, found.st_gid)
        if os.geteuid() != 0:
            ids = (-1, found.st_gid) if found.st_gid in os.getgroups() else None
    kept = read_xattrs_of(folder, name) or None if xattrs else None
    return Attributes(owner=ids, xattrs=kept) if ids or kept else None


def write_xattrs(place: int | bytes, wanted: Sequence[tuple[bytes, bytes]]) -> None:
    """Make the attributes that travel equal to these.

    Args:
        place: A descriptor, or a path whose last component is followed.
        wanted: (name, value) pairs.

    Raises:
        FilesystemError: A name does not travel; nothing was changed.
        OSError: Not permitted, no space for attributes, or the file system has none.
    """
    for name, _ in wanted:
        if not travels(name):
            raise FilesystemError(
                f"the extended attribute {os.fsdecode(name)!r} does not travel; it was not set",
                hint="only user.* and POSIX ACLs do; set capabilities and labels on the host, by a hook",
            )
    held = dict(read_xattrs(place))
    for name in held.keys() - {name for name, _ in wanted}:
        try:
            os.removexattr(place, name)
        except OSError as error:
            if error.errno != errno.ENODATA:
                raise
    for name, value in wanted:
        if held.get(name) != value:
            os.setxattr(place, name, value)


def travels(name: bytes) -> bool:
    """Say whether an extended attribute belongs to a snapshot."""
    return name.startswith(_PORTABLE) or name in _ACLS


def has_default_acl(fd: int) -> bool:
    """Say whether an open folder gives new files an ACL of its own.

    Raises:
        OSError: The file system failed.
    """
    try:
        os.getxattr(fd, DEFAULT_ACL)
    except OSError as error:
        if error.errno in _NO_ATTRIBUTES or error.errno == errno.ENODATA:
            return False
        raise
    return True


class OwnerRights(msgspec.Struct, frozen=True):
    """Which owners this process may give to what it makes.

    Attributes:
        uids: (first id inside, how many) ranges that its user namespace knows.
        gids: Likewise for groups.
        user: Its effective user.
        groups: Its groups.
        privileged: Whether it may give files to others (``CAP_CHOWN``).
    """

    uids: tuple[tuple[int, int], ...]
    gids: tuple[tuple[int, int], ...]
    user: int
    groups: frozenset[int]
    privileged: bool

    @classmethod
    def read(cls) -> Self:
        """Read those of this process; where ``/proc`` has no map, every id is known."""
        return cls(
            uids=_read_ranges("/proc/self/uid_map"),
            gids=_read_ranges("/proc/self/gid_map"),
            user=os.geteuid(),
            groups=frozenset({os.getegid(), *os.getgroups()}),
            privileged=_may_chown(),
        )

    @property
    def unlimited(self) -> bool:
        """Whether any owner may be given."""
        return self.privileged and all(ranges == _ALL_IDS for ranges in (self.uids, self.gids))

    def unmapped(self, uid: int, gid: int) -> tuple[str, ...]:
        """Name those of two ids that have no meaning in this user namespace."""
        user = () if _within(uid, self.uids) else (f"user {uid}",)
        return user if _within(gid, self.gids) else (*user, f"group {gid}")

    def forbidden(self, uid: int, gid: int) -> tuple[str, ...]:
        """Name those of two ids to which this process may give nothing; a plain one only gives to itself."""
        if self.privileged:
            return ()
        user = () if uid == self.user else (f"user {uid}",)
        return user if gid in self.groups else (*user, f"group {gid}")


def _within(number: int, ranges: Iterable[tuple[int, int]]) -> bool:
    """Say whether an id is in one of the ranges."""
    return 0 <= number < _UNSET_ID and any(first <= number < first + count for first, count in ranges)


def _read_ranges(path: str) -> tuple[tuple[int, int], ...]:
    """Parse ``uid_map``: lines of first id inside, first id outside, count."""
    try:
        with open(path, "rb") as lines:
            return tuple((int(fields[0]), int(fields[2])) for line in lines if (fields := line.split()))
    except FileNotFoundError:
        return _ALL_IDS


def _may_chown() -> bool:
    """Say whether this process has ``CAP_CHOWN``; root is taken to have it where ``/proc`` does not tell."""
    try:
        with open("/proc/thread-self/status", "rb") as lines:
            for line in lines:
                name, _, value = line.partition(b":")
                if name == b"CapEff":
                    return bool(int(value, 16) & 1 << _CAP_CHOWN)
    except (OSError, ValueError):
        pass
    return os.geteuid() == 0


def _through(handle: int) -> bytes:
    """Give the path by which calls that take no handle reach what it pins."""
    return b"/proc/self/fd/%d" % handle
