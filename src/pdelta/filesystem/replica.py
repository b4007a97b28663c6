"""Real copies of what stands in a tree, for what can be neither moved nor shared.

Called for undo data whose inode has other names or lies on another file system,
and by release mode for what the shared folder gets. Follows no link and changes
nothing that it copies.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterator
from typing import NamedTuple

from pdelta.filesystem.copy import copy_file
from pdelta.filesystem.directories import DirectoryCache
from pdelta.filesystem.metadata import Attributes, read_xattrs, set_attributes, set_attributes_of
from pdelta.filesystem.safe import Directory
from pdelta.model.names import join_path

Wanted = Callable[[bytes], bool]
"""Says whether a path below what is copied belongs to the copy."""


class _Folder(NamedTuple):
    """A folder that is being copied: its path, that of its copy, its attributes, and the names to come."""

    path: bytes
    slot: bytes
    attributes: Attributes
    names: Iterator[bytes]


def replicate(root: Directory, path: bytes, target: Directory, slot: bytes, wanted: Wanted = lambda _: True) -> None:
    """Copy what stands at a path: content, mode, time, ACLs and, as root, the owner; a folder with all that is in it.

    Hard links become files of their own. FIFOs, sockets, devices, and names that vanish meanwhile are left out.

    Args:
        root: Holds what is copied.
        path: Below ``root``; a file, a link or a folder.
        target: Holds the copy.
        slot: Below ``target``; nothing is there.
        wanted: Asked for each path below a folder that is copied, and not for what is below one that is not wanted.

    Raises:
        FileNotFoundError: There is nothing at the path.
        OSError: Something cannot be read or made; what was made stays.
    """
    with DirectoryCache(root) as sources, DirectoryCache(target) as targets:
        found = root.lstat(path)
        if found is None:
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), root.locate(path))
        # Children before the times of their folder, and no recursion: a path has up to 2,048 folders.
        stack = [] if (top := _copy(sources, targets, path, slot, found)) is None else [top]
        while stack:
            folder = stack[-1]
            below = _copy_names(sources, targets, folder, wanted)
            if below is not None:
                stack.append(below)
                continue
            stack.pop()
            set_attributes(targets.directory(folder.slot).fd, folder.attributes)


def _copy_names(sources: DirectoryCache, targets: DirectoryCache, folder: _Folder, wanted: Wanted) -> _Folder | None:
    """Copy the names of a folder up to the next folder in it; None when there is none left."""
    for name in folder.names:
        path = join_path(folder.path, name)
        if not wanted(path):
            continue
        found = sources.directory(folder.path).lstat(name)
        if found is None:
            continue
        below = _copy(sources, targets, path, join_path(folder.slot, name), found)
        if below is not None:
            return below
    return None


def _copy(
    sources: DirectoryCache, targets: DirectoryCache, path: bytes, slot: bytes, found: os.stat_result
) -> _Folder | None:
    """Copy one name; of a folder, make an empty one and say what is to come."""
    source, name = sources.parent(path)
    target, new_name = targets.parent(slot)
    owner = (found.st_uid, found.st_gid) if os.geteuid() == 0 else None
    if stat.S_ISLNK(found.st_mode):
        target.symlink(source.readlink(name), new_name)
        set_attributes_of(target, new_name, Attributes(mtime_ns=found.st_mtime_ns, owner=owner))
    elif stat.S_ISREG(found.st_mode):
        _copy_file(source, name, target, new_name, owner)
    elif stat.S_ISDIR(found.st_mode):
        target.mkdir(new_name, 0o700)
        folder = sources.directory(path)
        attributes = Attributes(stat.S_IMODE(found.st_mode), found.st_mtime_ns, owner, read_xattrs(folder.fd))
        return _Folder(path, slot, attributes, iter(folder.names()))
    return None


def _copy_file(
    source: Directory, name: bytes, target: Directory, new_name: bytes, owner: tuple[int, int] | None
) -> None:
    old = source.open_file(name)
    try:
        found = os.fstat(old)
        new = target.create_exclusive(new_name)
        try:
            copy_file(old, new, found.st_size)
            mode = stat.S_IMODE(found.st_mode)
            set_attributes(new, Attributes(mode, found.st_mtime_ns, owner, read_xattrs(old)))
        finally:
            os.close(new)
    finally:
        os.close(old)
