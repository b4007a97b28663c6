"""When a push uses what earlier ones kept, and when it keeps what it pushed."""

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pdelta.app.compose import OpenTree
from pdelta.app.context import Context
from pdelta.app.options import BaseCacheWish
from pdelta.app.source import LocalSource
from pdelta.errors import PdeltaError
from pdelta.formats.page import PagedTree
from pdelta.formats.report import TreeFacts
from pdelta.model.snapshot import Kind
from pdelta.tree.reader import walk

if TYPE_CHECKING:
    from pdelta.filesystem.bases import BaseCache

SLOW_BYTES_PER_S: Final = 12_500_000
"""100 Mbit/s: a patch against a kept base saves about two thirds of what fine signatures leave, some 2 % of a changed
file; copying a file costs 1 to 2 ms a MB, which is repaid below 10 to 20 MB/s."""


class Keeping:
    """The base cache of one push to a host; does nothing where the destination is on this machine.

    Args:
        wish: What the user asked for.
        context: The command's surroundings.
        tree: The destination.

    Attributes:
        tree: The destination.
    """

    def __init__(self, wish: BaseCacheWish, context: Context, tree: OpenTree) -> None:
        """Open nothing yet."""
        self._wish = wish
        self.tree = tree
        self._context = context
        self._off = wish.mode == "off" or tree.destination.remote is None
        self._cache: BaseCache | None = None

    def offer(self, facts: TreeFacts, reader: LocalSource) -> None:
        """Let the host ask by base, where what it holds was kept."""
        if self._off or not self._folder.is_dir():
            return
        cache = self._open()
        if cache.knows({facts.held, facts.wanted} - {b""}):
            reader.bases = cache
            self.tree.ask_for_patches("base")

    def keep(self, snapshot: bytes, directory: bytes, reader: LocalSource) -> None:
        """Keep what was pushed, where that was asked for or the link is slow; a failure costs the next push bytes.

        Args:
            snapshot: What the host holds now.
            directory: Its top folder's page.
            reader: Gives its files.
        """
        slow = 0 < self.tree.link_bytes_per_s < SLOW_BYTES_PER_S
        if self._off or not (slow or self._wish.mode == "on" or self._folder.is_dir()):
            return
        cache = self._open()
        if cache.knows((snapshot,)):
            return
        if self._wish.mode == "on" or slow:
            entries = walk(PagedTree(reader), b"", directory)
            files = ((path, entry.content, entry.size) for path, entry in entries if entry.kind == Kind.FILE)
            with suppress(PdeltaError):
                cache.keep(snapshot, files, reader.open_file)

    @property
    def _folder(self) -> Path:
        return self._context.cache / "bases"

    def _open(self) -> "BaseCache":
        if self._cache is None:
            from pdelta.filesystem.bases import BaseCache  # most pushes find no cache, and make none

            self._cache = BaseCache(self._folder, self._wish.limit_bytes, lambda: self._context.clock() / 1e9)
        return self._cache

    def close(self) -> None:
        """Close the cache."""
        if self._cache is not None:
            self._cache.close()
