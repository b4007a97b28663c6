"""Pages that a calculation took to be on disk, and whether they are there still when it is executed.

Called by ``TreeOperation``. Nothing holds the lock while a delta is calculated, so
``gc`` may remove pages that no entry names yet, such as those that a killed push
left and that the next one need not fetch. Reads the ledger alone.
"""

from collections.abc import Iterable

from pdelta.errors import StaleError
from pdelta.filesystem.ledger import Ledger
from pdelta.formats.page import child_ids
from pdelta.model.amount import counted
from pdelta.operations.tree.calculate import Calculation, Overlay


class TrustedPages:
    """Remembers the ledger that pages were looked up in."""

    def __init__(self) -> None:
        """Trust nothing yet."""
        self._ledger: Ledger | None = None
        self._stamp = -1

    def begin(self, ledger: Ledger | None) -> None:
        """Hear that a calculation begins, and in which ledger it will find pages; None where there is none."""
        self._ledger = ledger
        self._stamp = -1 if ledger is None else ledger.stamp()

    def refuse_collected(self, ledger: Ledger, overlay: Overlay, calculation: Calculation, name: str) -> None:
        """Refuse a calculation some of whose pages are gone: an entry would name what is nowhere.

        A page that is on disk has everything below it there too, because a collection keeps or removes both. So only
        what pages in memory name is looked up, and only where another process wrote to the ledger meanwhile.

        Args:
            ledger: Of the tree, whose lock the caller holds.
            overlay: Pages in memory over the ledger's.
            calculation: What is to be executed.
            name: Of the tree, for messages.

        Raises:
            StaleError: Pages were collected; nothing was changed.
        """
        if self._ledger is None or (self._ledger is ledger and self._stamp == ledger.stamp()):
            return
        ids = (calculation.before_id, calculation.after_id, calculation.wanted)
        gone = overlay.missing_pages(ids)
        if not gone:
            roots = [overlay.read_root(id_) for id_ in ids]
            gone = overlay.missing_pages(_named(overlay, [id_ for it in roots for id_ in (it.top.content, it.links)]))
        if gone:
            pages = f"{counted(len(gone), 'page')} that this was calculated with {'was' if len(gone) == 1 else 'were'}"
            text = f"{name}: {pages} collected since; nothing was changed"
            raise StaleError(text, hint="run the same command again")


def _named(overlay: Overlay, tops: Iterable[bytes]) -> list[bytes]:
    """Give every page that is named, from some on, as far down as pages are in memory."""
    named = dict.fromkeys(id_ for id_ in tops if id_)
    waiting = list(named)
    while waiting:
        page = overlay.new.get(waiting.pop())
        if page is not None:
            fresh = [child for child in child_ids(page) if child not in named]
            named.update(dict.fromkeys(fresh))
            waiting += fresh
    return list(named)
