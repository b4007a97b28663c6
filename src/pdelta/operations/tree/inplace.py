"""Which files are patched where they are, and why others are replaced as a whole.

Called by pre-flight to say so and by ``operations.tree.arrange`` to do so. Reads
the tree's metadata and pages; changes nothing.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from typing import Final, NamedTuple

from pdelta.errors import PdeltaError
from pdelta.filesystem.inplace import displaced_ranges
from pdelta.filesystem.ledger import Kept
from pdelta.filesystem.safe import Directory
from pdelta.formats.history import PushWish, RollbackWish, Wish
from pdelta.formats.page import PagedTree
from pdelta.model.amount import counted
from pdelta.model.finding import Finding
from pdelta.model.names import quoted
from pdelta.model.snapshot import LINKED, Kind
from pdelta.operations.tree.calculate import Calculation
from pdelta.tree.inplace import Range, lasting_ranges, without
from pdelta.tree.merge import Edit
from pdelta.tree.reader import link_groups

LEAST_BYTES: Final = 1 << 20
"""Smaller files are replaced at once, which costs little and which no reader sees half done."""

MOST_SHARE: Final = 2
"""Where more than this part of a file is written or displaced, replacing it costs no more than patching it."""


class Patch(NamedTuple):
    """How one file is patched.

    Attributes:
        lasting: Ranges that stay, in order.
        ranges: Ranges of the next content that are written.
        displaced: Ranges of the old content that are kept.
    """

    lasting: tuple[Range, ...]
    ranges: tuple[Range, ...]
    displaced: tuple[Range, ...]

    @property
    def written_bytes(self) -> int:
        """How much is written into the file."""
        return sum(length for _, length in self.ranges)

    @property
    def displaced_bytes(self) -> int:
        """How much is kept of it."""
        return sum(length for _, length in self.displaced)


def patching_of(
    root: Directory, tree: PagedTree, calculation: Calculation, wish: Wish, kept: Iterable[Kept]
) -> "Patching":
    """Say what is patched: on request, and where a rollback meets a patch, since the old file is not there as a whole.

    Args:
        root: The tree.
        tree: Reads pages.
        calculation: What must change.
        wish: What was asked for.
        kept: Undo data.
    """
    paths = {item.path for item in kept if item.ranges} if isinstance(wish, RollbackWish) else set[bytes]()
    return Patching(root, tree, calculation, wished=isinstance(wish, PushWish) and wish.inplace, paths=paths)


class Patching:
    """Decides for one calculation.

    Args:
        root: The tree.
        tree: Reads pages.
        calculation: What must change.
        wished: Whether every file that can be patched is.
        paths: Files that are patched though it was not wished, by one of their names: a patch made them what they are.
    """

    def __init__(
        self,
        root: Directory,
        tree: PagedTree,
        calculation: Calculation,
        *,
        wished: bool,
        paths: AbstractSet[bytes] = frozenset(),
    ) -> None:
        """Look at nothing yet."""
        self._root = root
        self._tree = tree
        self._calculation = calculation
        self._wished = wished
        self._paths = paths
        self._groups: tuple[dict[bytes, frozenset[bytes]], dict[bytes, frozenset[bytes]]] | None = None
        self._contents: dict[bytes, bytes] | None = None
        self._known: dict[bytes, Patch | str] = {}

    def find(self, edit: Edit) -> Patch | None:
        """Give the patch of an edit, or None where the file is replaced."""
        found = self._decide(edit)
        return found if isinstance(found, Patch) else None

    def names(self, path: bytes) -> frozenset[bytes]:
        """Give the names of the file at a path in the tree, its own included."""
        return self._linked()[0].get(path, frozenset((path,)))

    def findings(self) -> Iterator[Finding]:
        """Name the large files that were to be patched and are replaced, with the reason."""
        for edit in self._calculation.edits if self._wished else ():
            reason = self._decide(edit)
            if reason and isinstance(reason, str):
                text = f"{quoted(edit.path)} is replaced as a whole: {reason}"
                yield Finding("inplace", text, blocks=False, subject=edit.path)

    def _decide(self, edit: Edit) -> Patch | str:
        """Give the patch, or why there is none; no reason where nobody expects one."""
        known = self._known.get(edit.path)
        if known is None:
            known = self._known[edit.path] = self._look(edit)
        return known

    def _look(self, edit: Edit) -> Patch | str:
        before, after = edit.before, edit.after
        if before is None or after is None or not edit.content or not (self._wished or self._paths):
            return ""
        if not self._wished and self._paths.isdisjoint(self.names(edit.path)):
            return ""
        if before.kind != Kind.FILE or after.kind != Kind.FILE or min(before.size, after.size) < LEAST_BYTES:
            return ""
        reason = self._why_not(edit.path)
        if reason:
            return reason
        lasting = tuple(lasting_ranges(before, after, self._tree))
        ranges = tuple(without([(0, after.size)], lasting))
        patch = Patch(lasting, ranges, tuple(displaced_ranges(ranges, before.size, after.size)))
        if max(patch.written_bytes, patch.displaced_bytes) * MOST_SHARE > min(before.size, after.size):
            return "most of it changes"
        return patch

    def _why_not(self, path: bytes) -> str:
        found = self._root.lstat(path)
        if found is None or not stat.S_ISREG(found.st_mode):
            return ""
        held, wanted = self._linked()
        names = held.get(path, frozenset((path,)))
        if found.st_nlink != len(names):
            known = f"{len(names)} of them {'is' if len(names) == 1 else 'are'} known"
            return f"it has {counted(found.st_nlink, 'name')}, and {known}"
        if len(names) > 1:
            contents = self._wanted_contents()
            if wanted.get(path) != names or len({contents.get(name) for name in names}) != 1:
                return "its names do not stay together"
        return self._why_not_writable(path, found)

    def _why_not_writable(self, path: bytes, found: os.stat_result) -> str:
        if found.st_uid == os.geteuid() and not found.st_mode & stat.S_IWUSR:
            return ""  # its owner may make it writable for as long as the patch takes
        try:
            os.close(self._root.open_file(path, os.O_WRONLY, names=found.st_nlink))
        except (OSError, PdeltaError) as error:
            reason = (error.strerror if isinstance(error, OSError) else "") or str(error)
            return f"it cannot be written to ({reason})"
        return ""

    def _wanted_contents(self) -> dict[bytes, bytes]:
        if self._contents is None:
            edits = self._calculation.edits
            self._contents = {edit.path: edit.after.content for edit in edits if edit.after is not None}
        return self._contents

    def _linked(self) -> tuple[dict[bytes, frozenset[bytes]], dict[bytes, frozenset[bytes]]]:
        """Give the hard-link group of each name that is in one, before and after."""
        if self._groups is None:
            before, after = self._calculation.before, self._calculation.after
            if any(edit.before is not None and LINKED in edit.before.extra for edit in self._calculation.edits):
                self._groups = link_groups(self._tree, before.links), link_groups(self._tree, after.links)
            else:
                self._groups = {}, {}
        return self._groups
