"""One folder on its way through a scan: what is listed in it, and what is known of it.

Called by the scan alone. Lists and looks, reads no content, and follows nothing.
"""

import os
import stat
from typing import TYPE_CHECKING, Final

from pdelta.filesystem.failure import unread
from pdelta.filesystem.fingerprint import pack_all
from pdelta.model.names import STATE_NAME, is_reserved, join_path
from pdelta.model.snapshot import Rule
from pdelta.tree.select import IGNORE_FILE, Selector, read_rules

if TYPE_CHECKING:
    from pdelta.filesystem.index import IndexRow

REGULAR: Final = 0x8
DIRECTORY: Final = 0x4
SYMLINK: Final = 0xA
_KINDS: Final = frozenset({REGULAR, DIRECTORY, SYMLINK})
_RULES_BYTES: Final = 1 << 20
_FOLDER: Final = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Folder:
    """A folder between its first listing and its page.

    Attributes:
        path: Raw path below the tree.
        fd: Its descriptor; -1 while too many are open, or after it was left.
        status: Of the folder itself.
        filesystem: Id of its file system.
        names: What belongs to the snapshot, sorted; ``statuses``, ``fingerprints`` and ``kinds`` run beside it.
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
        "fd",
        "filesystem",
        "fingerprints",
        "folders",
        "inherited",
        "kinds",
        "names",
        "pages",
        "path",
        "position",
        "row",
        "rules",
        "selector",
        "status",
        "statuses",
        "volatile",
        "whole",
    )

    def __init__(self, path: bytes, fd: int, status: os.stat_result, filesystem: bytes) -> None:
        """Take over a descriptor."""
        self.path = path
        self.fd = fd
        self.status = status
        self.filesystem = filesystem
        self.names: list[bytes] = []
        self.statuses: list[os.stat_result] = []
        self.fingerprints: list[bytes] = []
        self.kinds: list[int] = []
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

    def list_names(self, selector: Selector, given: tuple[Rule, ...]) -> "Leftovers":
        """List the folder and look at every name in it.

        Measured for 20,000 files in 500 folders, in the cache: 0.034 s, of which 0.025 s are the kernel's.

        Args:
            selector: Decides without the ignore file of this folder.
            given: Rules that come after those of every ignore file.

        Raises:
            UnreadError: The folder cannot be listed.
        """
        fd = self.fd
        try:
            texts = os.listdir(fd)
            names = os.fsencode("/".join(texts)).split(b"/") if texts else []
            names.sort()
            vanished = self._look(names, fd)
        except OSError as error:
            raise unread(error) from error
        self.selector = selector
        if IGNORE_FILE in self.names:
            self._read_rules(given)
        left = Leftovers(vanished)
        if not _KINDS.issuperset(self.kinds):
            left.special = [name for name, kind in zip(self.names, self.kinds, strict=True) if kind not in _KINDS]
        dropped = self._reserved(left)
        if self.selector.rules:
            pairs = ((name, kind == DIRECTORY) for name, kind in zip(self.names, self.kinds, strict=True))
            ignored = self.selector.ignored_names(self.path, pairs)
            left.special = [name for name in left.special if name not in ignored]
            dropped |= ignored
        dropped.update(left.special)
        if dropped:
            self.drop(dropped)
        if self.kinds.count(REGULAR) != len(self.kinds):
            self.folders = [n for n, kind in zip(self.names, self.kinds, strict=True) if kind == DIRECTORY]
        return left

    def drop(self, names: set[bytes]) -> None:
        """Leave names out."""
        kept = [place for place, name in enumerate(self.names) if name not in names]
        self.names = [self.names[place] for place in kept]
        self.statuses = [self.statuses[place] for place in kept]
        self.fingerprints = [self.fingerprints[place] for place in kept]
        self.kinds = [self.kinds[place] for place in kept]

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

    def linked(self) -> tuple[tuple[bytes, int], ...]:
        """Give name and inode of everything with more than one link."""
        if not any([status.st_nlink > 1 for status in self.statuses]):  # noqa: C419 - a list is twice as fast here
            return ()
        rows = zip(self.names, self.statuses, self.kinds, strict=True)
        return tuple((name, status.st_ino) for name, status, kind in rows if kind != DIRECTORY and status.st_nlink > 1)

    def _look(self, names: list[bytes], fd: int) -> list[bytes]:
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
        self.names, self.statuses = names, statuses
        self.fingerprints = pack_all(statuses)
        # The kind is the upper half of the second byte of st_mode (see ``fingerprint``).
        self.kinds = [packed[33] >> 4 for packed in self.fingerprints]
        return vanished

    def _reserved(self, left: "Leftovers") -> set[bytes]:
        if STATE_NAME not in b"/".join(self.names):
            return set()
        found = {name for name in self.names if is_reserved(name)}
        left.nested = bool(self.path) and STATE_NAME in found
        left.special = [name for name in left.special if name not in found]
        return found

    def _read_rules(self, given: tuple[Rule, ...]) -> None:
        status = self.statuses[self.names.index(IGNORE_FILE)]
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
