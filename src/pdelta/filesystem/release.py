"""Where a destination in release mode keeps things, and the one rename that switches it.

``DEST`` is a symbolic link to ``.DEST.pdelta/releases/N`` beside it. Called by
``operations.tree``; knows nothing of snapshots. A path through DEST leads
somewhere at every instant: links are renamed over links, and a folder and a link
change places in one call.
"""

import errno
import os
import re
import stat
from collections.abc import Iterator
from contextlib import suppress
from enum import StrEnum
from typing import Final, NamedTuple

from pdelta.errors import NeedsOperatorError, PreflightError, UsageError
from pdelta.filesystem.safe import Directory
from pdelta.filesystem.state import BACKWARD, INTENT, LEDGER, OWN_STATE
from pdelta.filesystem.syscalls import UnsupportedError
from pdelta.model.names import NAME_LIMIT_BYTES, quoted

RELEASES: Final = b"releases"
SHARED: Final = b"shared"
STATE: Final = b"state"
_NEXT: Final = b"next"
_ENDING: Final = b".pdelta"
_NUMBER: Final = re.compile(rb"0|[1-9][0-9]{0,17}")
_CONTAINER: Final = re.compile(rb"\..+\.pdelta", re.DOTALL)


class Standing(StrEnum):
    """What stands at DEST."""

    ABSENT = "absent"
    FOLDER = "folder"
    RELEASE = "release"
    FOREIGN = "foreign"


class Found(NamedTuple):
    """What stands at DEST, and which release it leads to; -1 for none."""

    standing: Standing
    number: int = -1


def container_name(name: bytes) -> bytes:
    """Give the name of the folder beside DEST that holds its releases."""
    return b"." + name + _ENDING


def release_path(number: int) -> bytes:
    """Give the path of a release below the container."""
    return b"%b/%d" % (RELEASES, number)


def is_release(path: bytes) -> bool:
    """Say whether a path is a destination in release mode, or was about to become one when a run was killed."""
    parent, name = os.path.split(path.rstrip(b"/"))
    if not name:
        return False
    state = os.path.join(parent, container_name(name), STATE)
    with suppress(OSError):
        target = os.readlink(os.path.join(parent, name))
        return _number(parent, name, target) is not None
    if any(os.path.lexists(os.path.join(state, intent)) for intent in (INTENT, BACKWARD)):
        return True
    return not os.path.lexists(path) and os.path.lexists(os.path.join(state, LEDGER))


def release_around(path: bytes) -> bytes | None:
    """Give the destination in one of whose releases a path lies, links on the way to it followed; None for no such.

    What is changed there is changed behind the destination's back.
    """
    parts = os.path.realpath(path).split(b"/")
    for place in range(len(parts) - 2):
        container, releases, number = parts[place : place + 3]
        if releases == RELEASES and _NUMBER.fullmatch(number) and _CONTAINER.fullmatch(container):
            above = b"/".join(parts[:place])
            if os.path.lexists(os.path.join(above, container, STATE, LEDGER)):
                return os.path.join(above or b"/", container[1 : -len(_ENDING)])
    return None


def _number(parent: bytes, name: bytes, target: bytes) -> int | None:
    """Give the number of the release that a link leads to, however it is spelled; None for another target."""
    folder, number = os.path.split(os.path.normpath(os.path.join(parent, target)))
    if not _NUMBER.fullmatch(number):
        return None
    for above in (parent, os.path.realpath(parent)):
        if folder == os.path.normpath(os.path.join(above, container_name(name), RELEASES)):
            return int(number)
    return None


class Place:
    """The folder that holds DEST, and the container beside DEST.

    Args:
        path: Absolute path of DEST, without links but DEST itself.

    Attributes:
        parent: The folder that holds DEST.
        name: DEST's own name.
        container: ``.DEST.pdelta``; None where there is none yet.

    Raises:
        PreflightError: The container belongs to somebody else, or others may write to it.
        UsageError: There is no room for the container's name.
        OSError: The parent cannot be opened.
    """

    def __init__(self, path: bytes) -> None:
        """Open the parent, and the container where there is one."""
        above, self.name = os.path.split(path.rstrip(b"/"))
        limit = NAME_LIMIT_BYTES - len(container_name(b""))
        if limit < len(self.name) <= NAME_LIMIT_BYTES:
            text = f"the name {quoted(self.name)} has {len(self.name)} bytes; a release takes {limit} at most"
            raise UsageError(f"{text}; nothing was changed", hint="its releases are kept beside it, in .NAME.pdelta")
        self.parent = Directory.open_resolved(above or b"/")
        self.container: Directory | None = None
        try:
            self._open_container()
        except BaseException:
            self.parent.close()
            raise

    def close(self) -> None:
        """Close both folders."""
        if self.container is not None:
            self.container.close()
        self.parent.close()

    def _open_container(self) -> None:
        with suppress(FileNotFoundError):
            self.container = self.parent.open_directory(container_name(self.name))
        if self.container is None:
            return
        found = os.fstat(self.container.fd)
        place = os.fsdecode(self.container.path)
        if found.st_uid != os.geteuid() and os.geteuid() != 0:
            text = f"the folder {place!r} belongs to user {found.st_uid}; nothing was changed"
            raise PreflightError(text, hint=OWN_STATE)
        if stat.S_IMODE(found.st_mode) & 0o022:
            text = f"others may write to {place!r}; nothing was changed"
            raise PreflightError(text, hint="chmod 755 it after making sure that nobody changed it")

    def make(self) -> Directory:
        """Make the container and its folders; releases and shared paths may be read by whoever may read DEST."""
        fresh = self.container is None
        if fresh:
            with suppress(FileExistsError):
                self.parent.mkdir(container_name(self.name), 0o755)
            self._open_container()
        container = self.inside
        if fresh:
            os.fchmod(container.fd, 0o755)
        for name in (RELEASES, SHARED):
            with suppress(FileExistsError):
                container.mkdir(name, 0o755)
                with container.open_directory(name) as made:
                    os.fchmod(made.fd, 0o755)
        return container

    @property
    def inside(self) -> Directory:
        """The container, which must be there."""
        assert self.container is not None  # noqa: S101 - the caller made it
        return self.container

    def look(self) -> Found:
        """Say what stands at DEST."""
        found = self.parent.lstat(self.name)
        if found is None:
            return Found(Standing.ABSENT)
        if stat.S_ISDIR(found.st_mode):
            return Found(Standing.FOLDER)
        if stat.S_ISLNK(found.st_mode):
            number = _number(self.parent.path, self.name, self.parent.readlink(self.name))
            if number is not None:
                return Found(Standing.RELEASE, number)
        return Found(Standing.FOREIGN)

    def target(self, number: int) -> bytes:
        """Give what DEST says when it leads to a release."""
        return container_name(self.name) + b"/" + release_path(number)

    def numbers(self) -> Iterator[int]:
        """Give the numbers of all releases, in no order."""
        if self.container is None or self.container.lstat(RELEASES) is None:
            return
        with self.container.open_directory(RELEASES) as folder:
            yield from (int(name) for name in folder.names() if _NUMBER.fullmatch(name))

    def free_number(self, number: int) -> int:
        """Give a number from this one on that no release has."""
        taken = set(self.numbers())
        while number in taken:
            number += 1
        return number

    def switch(self, number: int, *, current: int) -> None:
        """Let DEST lead to a release, by renaming a new link over it; safe to repeat.

        Args:
            number: The release.
            current: What DEST leads to now; -1 where it is absent.

        Raises:
            NeedsOperatorError: DEST is something else; it was left.
        """
        found = self.look()
        if found == Found(Standing.RELEASE, number):
            return
        if found != (Found(Standing.RELEASE, current) if current >= 0 else Found(Standing.ABSENT)):
            raise self._foreign(current)
        with self.inside.open_directory(STATE) as state:
            with suppress(FileNotFoundError):
                state.unlink(_NEXT)
            state.symlink(self.target(number), _NEXT)
            if current >= 0:
                state.replace(_NEXT, self.parent, self.name)
                return
            try:
                state.rename_noreplace(_NEXT, self.parent, self.name)
            except UnsupportedError:
                self.parent.symlink(self.target(number), self.name)

    def remove_link(self, number: int) -> None:
        """Take DEST away again where it leads to a release that it did not lead to before."""
        if self.look() == Found(Standing.RELEASE, number):
            self.parent.unlink(self.name)

    def convert(self, number: int) -> None:
        """Let the folder DEST become a release, and DEST a link to it, in one instant; safe to repeat.

        The link waits under the release's name, so that it leads to the folder the moment the two change places.

        Raises:
            NeedsOperatorError: DEST is something else; it was left.
        """
        name = b"%d" % number
        with self.inside.open_directory(RELEASES) as releases:
            waiting = releases.lstat(name)
            found = self.look()
            if found.standing == Standing.RELEASE:
                return
            if found.standing == Standing.ABSENT and waiting is not None and stat.S_ISDIR(waiting.st_mode):
                self.parent.symlink(self.target(number), self.name)
                return
            if found.standing != Standing.FOLDER or (waiting is not None and not stat.S_ISLNK(waiting.st_mode)):
                raise self._foreign(-1)
            if waiting is None:
                releases.symlink(self.target(number), name)
            try:
                releases.exchange(name, self.parent, self.name)
            except UnsupportedError:
                # Without RENAME_EXCHANGE there is an instant without DEST; recovery makes the link.
                releases.unlink(name)
                self.parent.rename_noreplace(self.name, releases, name)
                self.parent.symlink(self.target(number), self.name)

    def revert(self, number: int) -> None:
        """Undo ``convert``; safe to repeat."""
        name = b"%d" % number
        with self.inside.open_directory(RELEASES) as releases:
            if self.look() == Found(Standing.RELEASE, number):
                try:
                    releases.exchange(name, self.parent, self.name)
                except UnsupportedError:
                    self.parent.unlink(self.name)
                    releases.rename_noreplace(name, self.parent, self.name)
            waiting = releases.lstat(name)
            if waiting is not None and stat.S_ISLNK(waiting.st_mode):
                releases.unlink(name)

    @property
    def shared(self) -> str:
        """Path of the shared folder, for messages."""
        return os.fsdecode(self.parent.locate(container_name(self.name) + b"/" + SHARED))

    def is_mount(self) -> bool:
        """Say whether something is mounted at DEST, a bind mount of the same file system included."""
        found = self.parent.lstat(self.name)
        if found is None or not stat.S_ISDIR(found.st_mode):
            return False
        if found.st_dev != self.parent.device:
            return True
        return os.path.join(os.path.realpath(self.parent.path), self.name) in _mounts()

    def mounts_inside(self) -> list[bytes]:
        """Give the paths below DEST at which something is mounted, below DEST."""
        top = os.path.realpath(os.path.join(self.parent.path, self.name)).rstrip(b"/") + b"/"
        return sorted(path[len(top) :] for path in _mounts() if path.startswith(top))

    def _foreign(self, current: int) -> NeedsOperatorError:
        place = os.fsdecode(self.parent.locate(self.name))
        was = os.fsdecode(self.target(current)) if current >= 0 else "not there"
        text = f"{place!r} is no longer what it was when this began ({was}); it was left as it is"
        hint = "make it what it was, then run pdelta recover"
        if current >= 0:
            hint = f"ln -sfn {was} {place}, then pdelta recover {place}"
        return NeedsOperatorError(text, hint=hint)


def _mounts() -> set[bytes]:
    """Give every mount point that this process sees; none where the kernel does not tell."""
    try:
        with open("/proc/self/mountinfo", "rb") as lines:
            return {_unescape(line.split()[4]) for line in lines}
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.EACCES}:
            return set()
        raise


def _unescape(field: bytes) -> bytes:
    """Read a path of mountinfo, in which blanks are octal escapes."""
    return re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match.group(1), 8)]), field)
