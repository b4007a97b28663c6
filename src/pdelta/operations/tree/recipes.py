"""What each file to stage is made of, and what it may be patched against.

Called by ``operations.tree.arrange``.
"""

from typing import Final

from pdelta.model.snapshot import Entry
from pdelta.operations.tree.ancestors import Ancestors
from pdelta.operations.tree.calculate import Calculation
from pdelta.tree.reader import TreeReader
from pdelta.tree.recipe import Catalog, Origin, Part, Place, recipe

_LONG_RUNS: Final = 64


class Recipes:
    """The recipes of one calculation; long ones are remembered.

    Args:
        calculation: What must change.
        tree: Reads chunk lists.
        zero: Id and length of the chunk that holds zeros alone.
    """

    def __init__(self, calculation: Calculation, tree: TreeReader, zero: tuple[bytes, int]) -> None:
        """Read nothing yet."""
        self._tree = tree
        self._zero = zero
        self._known: dict[bytes, tuple[tuple[Part, ...], Origin | None]] = {}
        self._ancestors = Ancestors(calculation, tree)

    def parts(
        self, path: bytes, entry: Entry, before: Entry | None, catalog: Catalog
    ) -> tuple[tuple[Part, ...], Origin | None]:
        """Give the recipe of a file, and the file that what it lacks may be a patch against."""
        known = self._known.get(path)
        if known is not None:
            return known
        content = entry.content
        origin = Origin(Place.TREE, path, before) if before is not None else self._ancestors.find(path, entry)
        nowhere = origin is None and content not in catalog.contents and not catalog.chunks
        if nowhere and len(content) != 32 and self._zero[0] not in content:
            return ((Part(None, -1, 0, entry.size, Place.FETCH),) if entry.size else ()), None
        parts = tuple(recipe(entry, origin, catalog, self._tree, self._zero))
        if origin is None and any(part.place == Place.FETCH for part in parts):
            # A file that shares a chunk is the next best guess.
            shared = [part for part in parts if part.origin is not None]
            if shared:
                origin = max(shared, key=lambda part: part.length).origin
                parts = tuple(recipe(entry, origin, catalog, self._tree, self._zero))
        if len(content) == 32 or len(parts) > _LONG_RUNS:
            self._known[path] = parts, origin
        return parts, origin
