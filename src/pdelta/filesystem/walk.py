"""One folder on its way through a scan: what is listed in it, and what is known of it.

Called by the scan alone. Lists and looks, reads no content, and follows nothing.
"""

import os
import stat
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from pdelta.filesystem.batch import BatchCalls, Looks, Status
from pdelta.filesystem.failure import unread
from pdelta.filesystem.fingerprint import FINGERPRINT_BYTES
from pdelta.model.names import STATE_NAME, is_reserved, join_path
from pdelta.model.snapshot import Rule
from pdelta.tree.select import IGNORE_FILE, Selector, read_rules

if TYPE_CHECKING:
    from pdelta.filesystem.index import IndexRow

REGULAR: Final = 0x8
DIRECTORY: Final = 0x4
SYMLINK: Final = 0xA
_KINDS: Final = frozenset({REGULAR, DIRECTORY, SYMLINK})
_SPECIAL: Final = ~(1 << REGULAR | 1 << DIRECTORY | 1 << SYMLINK)
_KIND_AT: Final = 33
"""Of the second byte of ``st_mode`` in a fingerprint, whose upper half is the kind."""
_RULES_BYTES: Final = 1 << 20
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Folder:
    """A folder between its first listing and its page.

    Attributes:
        path: Raw path below the tree.
        fd: Its descriptor; -1 while too many are open, or after it was left.
        status: Of the folder itself.
        filesystem: Id of its file system.
        joined: The names of what belongs to the snapshot, sorted, joined by ``/``.
        looks: What they are, in that order.
        folders: Names of the directories among them, in order.
        pages: Page id by directory name, as they become known.
        row: What the index says of it, perhaps from another path.
        rules: Bytes of its ignore file.
        inherited: The ignore files' rules that hold in it.
        volatile: Whether the next scan must look at its names again.
        whole: Whether everything below is looked at.
        position: Which of ``folders`` comes next.
    """

    __slots__ = (
        "_linked",
        "_names",
        "fd",
        "filesystem",
        "folders",
        "inherited",
        "joined",
        "looks",
        "pages",
        "path",
        "position",
        "row",
        "rules",
        "selector",
        "status",
        "volatile",
        "whole",
    )

    def __init__(self, path: bytes, fd: int, status: os.stat_result, filesystem: bytes) -> None:
        """Take over a descriptor."""
        self.path = path
        self.fd = fd
        self.status = status
        self.filesystem = filesystem
        self.joined = b""
        self.looks = Looks(b"", b"")
        self._names: list[bytes] | None = None
        self._linked = 0
        self.folders: list[bytes] = []
        self.pages: dict[bytes, bytes] = {}
        self.row: IndexRow | None = None
        self.rules = b""
        self.inherited: tuple[Rule, ...] = ()
        self.selector = _ANYTHING
        self.volatile = False
        self.whole = True
        self.position = 0

    def close(self) -> None:
        """Close the descriptor, if it is open."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    @property
    def names(self) -> list[bytes]:
        """The names one by one."""
        if self._names is None:
            self._names = self.joined.split(b"/") if self.joined else []
        return self._names

    @property
    def kinds(self) -> list[int]:
        """The kind of each name, as the upper bits of ``st_mode`` have it."""
        return [byte >> 4 for byte in self.looks.fingerprints[_KIND_AT::FINGERPRINT_BYTES]]

    def list_names(self, calls: BatchCalls, selector: Selector, given: tuple[Rule, ...]) -> "Leftovers":
        """List the folder and look at every name in it; one without folders and rules takes no step for each name.

        Args:
            calls: List and look.
            selector: Decides without the ignore file of this folder.
            given: Rules that come after those of every ignore file.

        Raises:
            UnreadError: The folder cannot be listed.
        """
        try:
            listing = calls.list(self.fd)
        except OSError as error:
            raise unread(error) from error
        self.joined, self.looks, self._names, self._linked = listing.names, listing.looks, None, listing.linked
        self.selector = selector
        if IGNORE_FILE in listing.names and IGNORE_FILE in self.names:
            self._read_rules(given)
        left = Leftovers(listing.vanished)
        if listing.kinds & _SPECIAL:
            left.special = [name for name, kind in self._with_kinds() if kind not in _KINDS]
        dropped = self._reserved(left)
        if self.selector.rules:
            pairs = ((name, kind == DIRECTORY) for name, kind in self._with_kinds())
            ignored = self.selector.ignored_names(self.path, pairs)
            left.special = [name for name in left.special if name not in ignored]
            dropped |= ignored
        dropped.update(left.special)
        if dropped:
            self.drop(dropped)
        if listing.kinds >> DIRECTORY & 1:
            self.folders = [name for name, kind in self._with_kinds() if kind == DIRECTORY]
        return left

    def drop(self, names: set[bytes]) -> None:
        """Leave names out."""
        kept = [place for place, name in enumerate(self.names) if name not in names]
        self._names = [self.names[place] for place in kept]
        self.joined = b"/".join(self._names)
        self.looks = self.looks.pick(kept)

    def _with_kinds(self) -> Iterator[tuple[bytes, int]]:
        return zip(self.names, self.kinds, strict=True)

    def open_below(self, name: bytes) -> tuple[int, os.stat_result]:
        """Open a directory in it; give the descriptor and the status.

        Raises:
            UnreadError: It may not be opened, vanished, or is no directory any more.
        """
        try:
            fd = os.open(name, _FOLDER, dir_fd=self.fd)
        except OSError as error:
            raise unread(error) from error
        return fd, os.fstat(fd)

    def status_of(self, place: int) -> Status:
        """Give what one name is."""
        return self.looks.status_of(place)

    def linked(self) -> tuple[tuple[bytes, int], ...]:
        """Give name and inode of everything with more than one link."""
        if not self._linked:
            return ()
        rows = ((name, self.looks.status_of(place)) for place, name in enumerate(self.names))
        return tuple((name, it.st_ino) for name, it in rows if it.st_nlink > 1 and not stat.S_ISDIR(it.st_mode))

    def _reserved(self, left: "Leftovers") -> set[bytes]:
        if STATE_NAME not in self.joined:
            return set()
        found = {name for name in self.names if is_reserved(name)}
        left.nested = bool(self.path) and STATE_NAME in found
        left.special = [name for name in left.special if name not in found]
        return found

    def _read_rules(self, given: tuple[Rule, ...]) -> None:
        status = self.looks.status_of(self.names.index(IGNORE_FILE))
        if not stat.S_ISREG(status.st_mode) or status.st_size > _RULES_BYTES:
            return
        try:
            fd = os.open(IGNORE_FILE, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self.fd)
        except OSError as error:
            raise unread(error) from error
        try:
            self.rules = os.read(fd, _RULES_BYTES)
        finally:
            os.close(fd)
        own = read_rules(self.rules, base=self.path)
        if own:
            self.inherited = (*self.inherited, *own)
            self.selector = Selector((*self.inherited, *given))


class Leftovers:
    """What a listing leaves out and the scan reports.

    Attributes:
        vanished: Names that were gone before they could be looked at.
        special: FIFOs, sockets and devices.
        nested: Whether another managed tree lives here.
    """

    __slots__ = ("nested", "special", "vanished")

    def __init__(self, vanished: list[bytes]) -> None:
        """Begin with what vanished."""
        self.vanished = vanished
        self.special: list[bytes] = []
        self.nested = False


_ANYTHING: Final = Selector()

__all__ = ["DIRECTORY", "REGULAR", "SYMLINK", "Folder", "Leftovers", "join_path"]
