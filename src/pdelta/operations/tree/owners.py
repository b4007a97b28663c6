"""Which owners a delta would set that cannot be set here: found before the first file is staged.

Called by the pre-flight of ``TreeOperation`` and ``ReleaseOperation``. Looks at what stands; changes nothing.
"""

import stat
from collections.abc import Iterator
from typing import Final, NamedTuple

from pdelta.filesystem.metadata import OwnerRights
from pdelta.filesystem.safe import Directory
from pdelta.formats.page import PagedTree
from pdelta.model.amount import counted
from pdelta.model.finding import Finding
from pdelta.model.names import quoted
from pdelta.model.snapshot import OWNER, Entry, Kind
from pdelta.operations.tree.calculate import Calculation
from pdelta.tree.order import is_below
from pdelta.tree.reader import walk

_NAMED: Final = 5

_UNMAPPED: Final = (
    "cannot be given to {}, of whom this user namespace (container) knows nothing",
    "push without --owner, or map these ids into the container",
)
_FORBIDDEN: Final = (
    "cannot be given to {}, as only root may give files to others",
    "push without --owner, or let root run pdelta (sudo here, --become on a host)",
)
_UNKEPT: Final = (
    "cannot stay with {} when a new file takes the place of the old one",
    "push with --owner, ignore the paths, or let somebody run pdelta who may set these owners",
)


class _Made(NamedTuple):
    """Something whose owner would be set.

    Attributes:
        path: Where it will be.
        entry: What it will be.
        stands: Where it stands already; None for a new inode.
    """

    path: bytes
    entry: Entry
    stands: bytes | None


class _Trouble:
    """Paths that have the same thing wrong with them."""

    def __init__(self) -> None:
        self.ids: dict[str, None] = {}
        self.paths: list[bytes] = []
        self.count = 0

    def add(self, path: bytes, ids: tuple[str, ...]) -> None:
        if ids:
            self.ids.update(dict.fromkeys(ids))
            self.count += 1
            if len(self.paths) < _NAMED:
                self.paths.append(path)

    def tell(self, what: str, hint: str) -> Iterator[Finding]:
        if not self.count:
            return
        ids = list(self.ids)
        owners = ", ".join(ids[:_NAMED]) + (" …" if len(ids) > _NAMED else "")
        names = ", ".join(quoted(path) if path else "the tree itself" for path in self.paths)
        more = f" … {self.count - len(self.paths):,} more" if self.count > len(self.paths) else ""
        paths = counted(self.count, "path")
        text = f"{paths} {what.format(owners)}: {names}{more}"
        yield Finding("owner", text, hint=hint, subject=self.paths[0])


def find_unsettable(
    root: Directory | None, calculation: Calculation, tree: PagedTree, *, whole: bool
) -> Iterator[Finding]:
    """Name the paths whose owner could not be set, and the owners.

    Args:
        root: What stands; None where nothing does.
        calculation: What would be done.
        tree: Reads the snapshots' pages.
        whole: Whether every path gets a new inode, as in a release.
    """
    rights = OwnerRights.read()
    if rights.unlimited:
        return
    unmapped, forbidden, unkept = _Trouble(), _Trouble(), _Trouble()
    for made in _everything(calculation, tree) if whole else _changed(calculation, tree):
        wanted = made.entry.extra.get(OWNER)
        if wanted is None:
            owner = _kept_owner(root, made)
            if owner is not None and rights.user == 0:
                unkept.add(made.path, rights.unmapped(*owner) or rights.forbidden(*owner))
        elif made.stands is None or _owner_of(root, made.stands) != tuple(wanted):
            missing = rights.unmapped(*wanted)
            unmapped.add(made.path, missing)
            forbidden.add(made.path, () if missing else rights.forbidden(*wanted))
    yield from unmapped.tell(*_UNMAPPED)
    yield from forbidden.tell(*_FORBIDDEN)
    yield from unkept.tell(*_UNKEPT)


def _everything(calculation: Calculation, tree: PagedTree) -> Iterator[_Made]:
    top = calculation.after.top
    yield _Made(b"", top, None)
    for path, entry in walk(tree, b"", top.content):
        yield _Made(path, entry, None)


def _changed(calculation: Calculation, tree: PagedTree) -> Iterator[_Made]:
    moved = {rename.new for rename in calculation.renames}
    for rename in calculation.renames:
        yield _Made(rename.new, rename.after, rename.old)
    for edit in calculation.edits:
        after = edit.after
        if after is None or edit.path in moved:
            continue
        yield _Made(edit.path, after, None if edit.content else edit.path)
        if edit.content and after.kind == Kind.DIRECTORY:
            for path, entry in walk(tree, edit.path, after.content):
                if not is_below(path, moved):
                    yield _Made(path, entry, None)
    for edit in calculation.directories:
        if edit.after is not None:
            yield _Made(edit.path, edit.after, edit.path)


def _kept_owner(root: Directory | None, made: _Made) -> tuple[int, int] | None:
    """Give the owner that a new inode takes over from the one that it replaces."""
    found = root.lstat(made.path) if root is not None and made.stands is None else None
    if found is None or stat.S_ISDIR(found.st_mode) or made.entry.kind == Kind.DIRECTORY:
        return None
    return found.st_uid, found.st_gid


def _owner_of(root: Directory | None, path: bytes) -> tuple[int, int] | None:
    found = root.lstat(path) if root is not None else None
    return None if found is None else (found.st_uid, found.st_gid)
