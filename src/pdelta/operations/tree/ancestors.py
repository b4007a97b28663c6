"""The likeliest earlier version of a file that is new by its path.

Called by ``operations.tree.arrange``: among the files that go away or change,
one of the same name elsewhere, then one of the same name but for numbers and
hashes (``main.3fa9c1.js``). A wrong guess costs a signature.
"""

import re
from collections.abc import Iterator
from typing import Final

from pdelta.model.snapshot import Entry, Kind
from pdelta.operations.tree.calculate import Calculation
from pdelta.tree.reader import TreeReader, walk
from pdelta.tree.recipe import Origin, Place

LIMIT: Final = 50_000
"""More candidates are not remembered."""

LEAST_BYTES: Final = 1024
_VARIABLE: Final = re.compile(rb"[0-9a-fA-F]{6,}|[0-9]+")
_Candidates = dict[bytes, list[tuple[bytes, Entry]]]


class Ancestors:
    """Candidates of one calculation, read when first asked.

    Args:
        calculation: What must change.
        tree: Reads pages.
    """

    def __init__(self, calculation: Calculation, tree: TreeReader) -> None:
        """Read nothing yet."""
        self._calculation = calculation
        self._tree = tree
        self._names: _Candidates | None = None
        self._stems: _Candidates = {}

    def find(self, path: bytes, entry: Entry) -> Origin | None:
        """Give the likeliest earlier version, or None.

        Args:
            path: The new file's path.
            entry: The new file.
        """
        if entry.size < LEAST_BYTES:
            return None
        if self._names is None:
            self._names = self._read()
        if not self._names:
            return None
        name = path.rpartition(b"/")[2]
        found = self._names.get(name) or self._stems.get(_VARIABLE.sub(b"#", name))
        if not found:
            return None
        parts = path.split(b"/")
        best = max(found, key=lambda it: (_common_tail(parts, it[0]), -abs(it[1].size - entry.size)))
        return Origin(Place.TREE, *best)

    def _read(self) -> _Candidates:
        names: _Candidates = {}
        for count, (path, entry) in enumerate(self._candidates()):
            if count == LIMIT:
                break
            name = path.rpartition(b"/")[2]
            names.setdefault(name, []).append((path, entry))
            stem = _VARIABLE.sub(b"#", name)
            if stem != name:
                self._stems.setdefault(stem, []).append((path, entry))
        return names

    def _candidates(self) -> Iterator[tuple[bytes, Entry]]:
        for edit in self._calculation.edits:
            before = edit.before
            if before is None or not edit.content:
                continue
            if before.kind == Kind.FILE and before.size >= LEAST_BYTES:
                yield edit.path, before
            elif before.kind == Kind.DIRECTORY:
                for path, entry in walk(self._tree, edit.path, before.content):
                    if entry.kind == Kind.FILE and entry.size >= LEAST_BYTES:
                        yield path, entry


def _common_tail(parts: list[bytes], path: bytes) -> int:
    """Say how many folder names two paths share, counted from the file's, numbers aside."""
    count = 0
    for one, other in zip(reversed(parts), reversed(path.split(b"/")), strict=False):
        if one != other and _VARIABLE.sub(b"#", one) != _VARIABLE.sub(b"#", other):
            break
        count += 1
    return count
