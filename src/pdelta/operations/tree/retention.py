"""How long undo data stays, and which pages are still needed.

Called by ``TreeOperation`` after each entry and on request, with the lock held.
"""

import os
from collections.abc import Iterable, Iterator
from typing import Final

from pdelta.filesystem.ledger import Ledger
from pdelta.filesystem.safe import Directory
from pdelta.filesystem.state import UNDO, StateFolder, remove
from pdelta.formats.history import NO_HISTORY, HistoryEntry, UndoState
from pdelta.formats.page import child_ids, decode_root
from pdelta.formats.report import CollectReport, Retention
from pdelta.model.amount import counted
from pdelta.model.finding import Finding
from pdelta.model.names import STATE_NAME, quoted
from pdelta.model.snapshot import ID_LENGTH_BYTES, Entry, Kind
from pdelta.operations.tree.aftermath import FOREIGN
from pdelta.operations.tree.calculate import Overlay
from pdelta.operations.tree.preflight import FREE_SHARE, UNDO_SHARE
from pdelta.operations.tree.transaction import Transaction

KEPT_ENTRIES: Final = 10


def collect(root: Directory, ledger: Ledger, limits: Retention, transaction: Transaction) -> CollectReport:
    """Remove undo data beyond the limits, staged leftovers, and pages that no entry needs.

    Args:
        root: The tree.
        ledger: Its ledger.
        limits: What may stay.
        transaction: Knows what is staged.
    """
    entries = ledger.entries()
    doomed = list(_beyond(entries, limits))
    freed = _drop(root, ledger, doomed)
    _remove_forgotten(root, ledger)
    staged = transaction.staged() is not None
    if staged:
        freed += transaction.staged_bytes()
        transaction.clear_staging()
    pages = _sweep(ledger)
    left = sum(entry.undo_bytes for entry in ledger.entries() if entry.undo == UndoState.KEPT)
    return CollectReport(tuple(entry.number for entry in doomed), freed, left, pages, staged)


def collect_by_default(root: Directory, ledger: Ledger, transaction: Transaction) -> None:
    """Keep the last ten entries; older undo data only while there is room for it."""
    del transaction
    entries = [entry for entry in ledger.entries() if entry.undo == UndoState.KEPT]
    older = entries[:-KEPT_ENTRIES]
    status = os.fstatvfs(root.fd)
    total, free = status.f_blocks, status.f_bavail
    used = sum(entry.undo_bytes for entry in entries)
    for entry in older:
        crowded = used * 100 > total * status.f_frsize * UNDO_SHARE or free * 100 < total * FREE_SHARE
        if not crowded:
            break
        _drop(root, ledger, [entry])
        used -= entry.undo_bytes
        free += entry.undo_bytes // status.f_frsize


def examine(
    path: bytes, root: Directory | None, state: StateFolder | None, ledger: Ledger | None, overlay: Overlay
) -> Iterator[Finding]:
    """Look for what is unfinished, and for undo data and pages that the ledger promises and that are not there.

    Args:
        path: The tree.
        root: The folder below which undo data is; None where the tree is absent.
        state: Its state folder; None where there is none.
        ledger: Its ledger; None where there is none.
        overlay: Reads pages.
    """
    if root is None:
        yield Finding("absent", f"{quoted(path)} does not exist; the first push makes it", blocks=False)
        return
    if state is None or ledger is None:
        yield Finding("unmanaged", f"{quoted(path)} {NO_HISTORY}", blocks=False)
        return
    if state.unfinished:
        yield Finding("unfinished", "a commit was cut off", hint="any command finishes it; or pdelta recover")
    gone = sorted({item.number for item in ledger.kept() if root.lstat(item.slot) is None})
    for number in gone:
        text = f"undo data of entry {number} is missing"
        hint = f"pdelta gc --keep drops the record; states before entry {number} are lost"
        yield Finding("undo", text, hint=hint)
    needed = _reachable(ledger, overlay)
    missing = ledger.pages.missing_pages(needed)
    if missing:
        pages = f"{counted(len(missing), 'snapshot page')} {'is' if len(missing) == 1 else 'are'} missing"
        yield Finding("pages", pages, hint="pdelta verify, then push again")


def _beyond(entries: list[HistoryEntry], limits: Retention) -> Iterator[HistoryEntry]:
    kept = [entry for entry in entries if entry.undo == UndoState.KEPT]
    candidates = kept if limits.newest else kept[:-1]
    size = sum(entry.undo_bytes for entry in kept)
    for position, entry in enumerate(candidates):
        many = limits.keep is not None and len(kept) - position > limits.keep
        old = limits.older_than_ns is not None and entry.time_ns < limits.older_than_ns
        large = limits.max_bytes is not None and size > limits.max_bytes
        if not (many or old or large):
            return
        size -= entry.undo_bytes
        yield entry


def _drop(root: Directory, ledger: Ledger, entries: Iterable[HistoryEntry]) -> int:
    freed = 0
    for entry in entries:
        outside = [item.slot for item in ledger.kept(entry.number) if not item.slot.startswith(STATE_NAME + b"/")]
        with ledger.transaction():
            ledger.forget_undo(entry)
        remove(root, STATE_NAME + b"/" + UNDO + b"/%d" % entry.number)
        for slot in outside:
            remove(root, slot)
        freed += entry.undo_bytes
    return freed


def _remove_forgotten(root: Directory, ledger: Ledger) -> None:
    """Remove undo data that the ledger has forgotten already: an earlier collection was cut off."""
    kept = {b"%d" % entry.number for entry in ledger.entries() if entry.undo == UndoState.KEPT}
    place = STATE_NAME + b"/" + UNDO
    if root.lstat(place) is None:
        return
    with root.open_directory(place) as folder:
        names = folder.names()
    for name in names:
        if name not in kept and not name.startswith(FOREIGN):
            remove(root, place + b"/" + name)


def _sweep(ledger: Ledger) -> int:
    needed = set(_reachable(ledger, Overlay(ledger.pages)))
    with ledger.transaction():
        return ledger.pages.keep_only(needed)


def _reachable(ledger: Ledger, overlay: Overlay) -> list[bytes]:
    """Give every page id below the snapshots that the history needs, and below kept folders and files."""
    seen: dict[bytes, None] = {}
    entries = ledger.entries()
    levels = [[item.entry.content for item in ledger.kept() if _has_pages(item.entry)]]
    for entry in entries:
        wanted = [entry.held]
        if entry.undo == UndoState.KEPT:
            wanted.append(entry.before)
        if entry is entries[-1]:
            wanted.append(entry.wanted)
        for snapshot in wanted:
            if snapshot in seen:
                continue
            seen[snapshot] = None
            root = decode_root(overlay.read_pages([snapshot])[snapshot])
            levels.append([id_ for id_ in (root.top.content, root.links) if id_])
    while levels:
        fresh = [id_ for id_ in dict.fromkeys(levels.pop()) if id_ not in seen]
        seen.update(dict.fromkeys(fresh))
        for start in range(0, len(fresh), 500):
            pages = overlay.read_pages(fresh[start : start + 500])
            levels.append([child for data in pages.values() for child in child_ids(data)])
    return list(seen)


def _has_pages(entry: Entry) -> bool:
    return entry.kind == Kind.DIRECTORY or (entry.kind == Kind.FILE and len(entry.content) == ID_LENGTH_BYTES)
