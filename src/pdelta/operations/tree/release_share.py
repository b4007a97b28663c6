"""Ignored paths in release mode: they live in a shared folder, and every release links to them.

Called by ``ReleaseOperation`` and its transaction. A path that moves to the
shared folder is never missing: the link waits where the content will be, and the
two change places in one call.
"""

import os
import stat
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Final

import msgspec

from pdelta.errors import FilesystemError
from pdelta.filesystem.metadata import Attributes, set_attributes_of
from pdelta.filesystem.release import SHARED, STATE, release_path
from pdelta.filesystem.replica import replicate
from pdelta.filesystem.safe import Directory
from pdelta.filesystem.state import remove
from pdelta.model.names import PATH_LIMIT_BYTES, is_reserved, join_path, parent_of, split_path
from pdelta.model.snapshot import Entry, Kind, Root
from pdelta.tree.override import Finder
from pdelta.tree.reader import TreeReader
from pdelta.tree.select import Selector

_COPIES_NAME: Final = b"copies"
_COPIES: Final = STATE + b"/" + _COPIES_NAME


def link_target(path: bytes) -> bytes:
    """Give what the link at a path of a release says: the same path of the shared folder, relatively."""
    return b"../" * (path.count(b"/") + 2) + SHARED + b"/" + path


def is_link(path: bytes, entry: Entry | None) -> bool:
    """Say whether an entry is pdelta's own link to the shared folder, which belongs to no snapshot."""
    return entry is not None and entry.kind == Kind.SYMLINK and entry.content == link_target(path)


class Sharing(msgspec.Struct):
    """What becomes of ignored paths.

    Attributes:
        shares: Paths of the current release that move to the shared folder.
        copies: Paths of the current release that its snapshot holds: the shared folder gets a copy.
        keeps: Ignored symbolic links of the current release, with their targets: the next one gets the same.
        links: Paths of the next release that lead to the shared folder.
        conflicts: Paths that are both in the shared folder and, as something else, in the current release.
    """

    shares: list[bytes] = msgspec.field(default_factory=list)
    copies: list[bytes] = msgspec.field(default_factory=list)
    keeps: list[tuple[bytes, bytes]] = msgspec.field(default_factory=list)
    links: list[bytes] = msgspec.field(default_factory=list)
    conflicts: list[bytes] = msgspec.field(default_factory=list)


def plan_sharing(
    current: Directory | None, container: Directory | None, before: Root, after: Root, tree: TreeReader
) -> Sharing:
    """Say what becomes of ignored paths when the next release holds ``after``; changes nothing.

    Args:
        current: The current release, or the folder that becomes one.
        container: Holds the shared folder; None where there is none yet.
        before: What the current release holds.
        after: What the next one will hold; its selection decides what is ignored.
        tree: Reads the pages of both.
    """
    selector = Selector(after.selection.rules)
    held, wanted = Finder(tree, before.top), Finder(tree, after.top)
    result = Sharing()
    shared = {*_shared(container, selector), *_linked(current, container)}
    if current is not None and selector.rules:
        for path, found in _ignored(current, selector):
            if stat.S_ISLNK(found.st_mode):
                target = current.readlink(path)
                if target != link_target(path):
                    result.keeps.append((path, target))
            elif held.find(path) is not None:
                if path not in shared:
                    result.copies.append(path)
            elif path in shared or found.st_dev != current.device or _stands(container, path):
                result.conflicts.append(path)
            else:
                result.shares.append(path)
    shared.update(result.shares, result.copies)
    links = {_topmost(path, wanted) for path in sorted(shared)}
    result.links = sorted(path for path in links if path)
    result.conflicts += [path for path in result.links if len(link_target(path)) > PATH_LIMIT_BYTES]
    return result


def _stands(container: Directory | None, path: bytes) -> bool:
    return container is not None and container.lstat(join_path(SHARED, path)) is not None


def _topmost(path: bytes, wanted: Finder) -> bytes:
    """Give the uppermost part of a path that the snapshot does not hold, ``b""`` where a file is in the way."""
    held = wanted.lineage(path)
    names = path.split(b"/")
    if len(held) == len(names) or (held and held[-1].kind != Kind.DIRECTORY):
        return b""
    return b"/".join(names[: len(held) + 1])


def _ignored(root: Directory, selector: Selector) -> Iterator[tuple[bytes, os.stat_result]]:
    """Give what is ignored in a tree, without what is below it."""
    stack = [b""]
    while stack:
        path = stack.pop()
        with root.open_directory(path) as folder:
            kinds = dict(_kinds(folder))
            ignored = selector.ignored_names(path, kinds.items())
            for name in sorted(ignored):
                found = folder.lstat(name)
                if found is not None:
                    yield join_path(path, name), found
        stack += [join_path(path, name) for name, below in kinds.items() if below and name not in ignored]


def _kinds(folder: Directory) -> Iterator[tuple[bytes, bool]]:
    with os.scandir(b"/proc/self/fd/%d" % folder.fd) as names:
        for found in names:
            if not is_reserved(found.name):
                yield found.name, found.is_dir(follow_symlinks=False)


def _shared(container: Directory | None, selector: Selector) -> Iterator[bytes]:
    """Give what of the shared folder is ignored in the tree; the rest of it is not linked."""
    if container is None or container.lstat(SHARED) is None:
        return
    with container.open_directory(SHARED) as shared:
        stack = [b""]
        while stack:
            path = stack.pop()
            with shared.open_directory(path) as folder:
                kinds = dict(_kinds(folder))
            ignored = selector.ignored_names(path, kinds.items())
            yield from (join_path(path, name) for name in ignored)
            stack += [join_path(path, name) for name, below in kinds.items() if below and name not in ignored]


def _linked(current: Directory | None, container: Directory | None) -> Iterator[bytes]:
    """Give the paths at which the current release leads to the shared folder, whether they are ignored still or not.

    A push that forgets to ignore a path must not take it from the application.
    """
    if current is None or container is None or container.lstat(SHARED) is None:
        return
    with container.open_directory(SHARED) as shared:
        stack = [b""]
        while stack:
            path = stack.pop()
            with shared.open_directory(path) as folder:
                names = [join_path(path, name) for name, _ in _kinds(folder)]
            for name in names:
                found = current.lstat(name)
                if found is None:
                    continue
                if stat.S_ISDIR(found.st_mode):
                    stack.append(name)
                elif stat.S_ISLNK(found.st_mode) and current.readlink(name) == link_target(name):
                    yield name


# -- changing -----------------------------------------------------------------------------------------------------


def share(container: Directory, number: int, path: bytes) -> None:
    """Move an ignored path of a release to the shared folder and leave a link; safe to repeat."""
    here, there = join_path(release_path(number), path), join_path(SHARED, path)
    found = container.lstat(here)
    if found is None or stat.S_ISLNK(found.st_mode):
        return
    _make_parents(container, release_path(number), path)
    waiting = container.lstat(there)
    parent, name = split_path(here)
    with container.open_directory(parent) as release, container.open_directory(parent_of(there)) as shared:
        if waiting is None:
            shared.symlink(link_target(path), name)
        elif not stat.S_ISLNK(waiting.st_mode) or shared.readlink(name) != link_target(path):
            text = (
                f"{os.fsdecode(container.locate(there))!r} is there already, so {os.fsdecode(path)!r} cannot move to it"
            )
            raise FilesystemError(text, hint="move one of the two away, then run the command again")
        with _unchanged(release), _movable(release, shared, name):
            release.exchange(name, shared, name)


def unshare(container: Directory, number: int, path: bytes) -> None:
    """Undo ``share``; safe to repeat."""
    here, there = join_path(release_path(number), path), join_path(SHARED, path)
    found, content = container.lstat(here), container.lstat(there)
    if found is None or content is None:
        return
    parent, name = split_path(here)
    with container.open_directory(parent) as release, container.open_directory(parent_of(there)) as shared:
        if stat.S_ISLNK(found.st_mode) and not stat.S_ISLNK(content.st_mode):
            with _unchanged(release), _movable(shared, release, name):
                release.exchange(name, shared, name)
        elif not stat.S_ISLNK(content.st_mode):
            return
        shared.unlink(name)


def copy_apart(source: Directory, container: Directory, paths: Sequence[bytes]) -> None:
    """Copy paths of a release to where they wait for the switch; what an earlier attempt copied is old, and goes."""
    remove(container, _COPIES)
    if paths:
        with container.open_directory(STATE) as state:
            state.mkdir(_COPIES_NAME, 0o700)
    for place, path in enumerate(paths):
        replicate(source, path, container, _copy_of(place))


def remove_copies(container: Directory) -> None:
    """Remove copies that no switch will use."""
    remove(container, _COPIES)


def put_copies(container: Directory, number: int, paths: Sequence[bytes]) -> None:
    """Move copies of paths of a release to the shared folder; safe to repeat."""
    for place, path in enumerate(paths):
        if container.lstat(_copy_of(place)) is not None:
            _make_parents(container, release_path(number), path)
            _move(container, _copy_of(place), join_path(SHARED, path))


def take_copies(container: Directory, paths: Sequence[bytes]) -> None:
    """Undo ``put_copies``; safe to repeat."""
    for place, path in enumerate(paths):
        if container.lstat(_copy_of(place)) is None and container.lstat(join_path(SHARED, path)) is not None:
            _move(container, join_path(SHARED, path), _copy_of(place))


def _copy_of(place: int) -> bytes:
    return b"%b/%d" % (_COPIES, place)


def _move(container: Directory, path: bytes, new_path: bytes) -> None:
    (parent, name), (new_parent, new_name) = split_path(path), split_path(new_path)
    with (
        container.open_directory(parent) as source,
        container.open_directory(new_parent) as target,
        _movable(source, target, name, new_name),
    ):
        source.rename_noreplace(name, target, new_name)


def make_links(container: Directory, release: bytes, links: Iterable[tuple[bytes, bytes]]) -> None:
    """Make links in a release where nothing is; the times of its folders stay.

    Args:
        container: Holds everything.
        release: Path of the release below it.
        links: (path in the release, what the link says) pairs.
    """
    for path, target in links:
        parent, name = split_path(path)
        try:
            folder = container.open_directory(join_path(release, parent) if parent else release)
        except (FileNotFoundError, NotADirectoryError):
            continue
        with folder, _unchanged(folder), suppress(FileExistsError):
            folder.symlink(target, name)


@contextmanager
def _unchanged(folder: Directory) -> Iterator[None]:
    """Change the names of a folder and leave its time and mode as they were."""
    found = os.fstat(folder.fd)
    mode = stat.S_IMODE(found.st_mode)
    if mode & 0o300 != 0o300:
        os.fchmod(folder.fd, mode | 0o300)
    try:
        yield
    finally:
        if mode & 0o300 != 0o300:
            os.fchmod(folder.fd, mode)
        os.utime(folder.fd, ns=(found.st_atime_ns, found.st_mtime_ns))


@contextmanager
def _movable(source: Directory, target: Directory, name: bytes, new_name: bytes = b"") -> Iterator[None]:
    """Let the owner of a folder that is not writable move it, which rewrites its ".."; its mode comes back with it."""
    found = source.lstat(name)
    if found is None or not stat.S_ISDIR(found.st_mode) or found.st_mode & stat.S_IWUSR:
        yield
        return
    mode = stat.S_IMODE(found.st_mode)
    set_attributes_of(source, name, Attributes(mode | stat.S_IRWXU))
    place, moved = source, name
    try:
        yield
        place, moved = target, new_name or name
    finally:
        set_attributes_of(place, moved, Attributes(mode))


def _make_parents(container: Directory, like: bytes, path: bytes) -> None:
    """Make the folders above a shared path, with the modes that they have in a release."""
    end = path.find(b"/")
    while end >= 0:
        here = path[:end]
        found = container.lstat(join_path(like, here))
        parent, name = split_path(join_path(SHARED, here))
        with container.open_directory(parent) as folder, suppress(FileExistsError):
            folder.mkdir(name, 0o755)
            mode = stat.S_IMODE(found.st_mode) if found is not None and stat.S_ISDIR(found.st_mode) else 0o755
            set_attributes_of(folder, name, Attributes(mode | 0o700))
        end = path.find(b"/", end + 1)
