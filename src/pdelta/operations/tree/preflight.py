"""Everything that speaks against executing a calculated delta, found without changing anything.

Called by ``TreeOperation.preflight``.
"""

import os
import stat
from collections.abc import Container, Iterable, Iterator
from itertools import islice
from typing import Final

from pdelta.filesystem.failure import ANOTHER_USER
from pdelta.filesystem.ledger import Kept
from pdelta.filesystem.safe import Directory
from pdelta.formats.history import PushWish
from pdelta.formats.page import PagedTree
from pdelta.formats.report import TreeBody
from pdelta.model.amount import counted, size
from pdelta.model.finding import Finding
from pdelta.model.names import STATE_NAME, join_path, parent_of, quoted
from pdelta.model.snapshot import HOLES, Entry, Kind
from pdelta.operations.tree.calculate import Calculation
from pdelta.operations.tree.inplace import Patching, patching_of
from pdelta.tree.reader import walk

LOSS_FILES: Final = 100
LOSS_SHARE: Final = 10
"""A push that deletes more files than this, or more than this share of them in percent, wants to be confirmed."""

UNDO_SHARE: Final = 20
FREE_SHARE: Final = 10
"""Undo data may take so many percent of the file system, and must leave so many percent free."""

_LISTED: Final = 20
_LISTED_AT_MOST: Final = 1000
"""A loss names as many paths as the wish lists changes; where a program wants more of those, as few as ever."""


def find_problems(
    root: Directory | None,
    path: bytes,
    calculation: Calculation,
    body: TreeBody,
    tree: PagedTree,
    kept: Iterable[Kept] = (),
) -> list[Finding]:
    """Report every problem.

    Args:
        root: The tree; None where the folder does not exist yet.
        path: Its path, for a folder that must be made.
        calculation: What would be done.
        body: What was asked for, and counts.
        tree: Reads the snapshots' pages.
        kept: Undo data.
    """
    findings = list(_losses(body, calculation, tree))
    findings += _special_bits(calculation, tree)
    if root is None:
        findings += _parent(path)
    elif calculation.before_id != calculation.after_id:
        findings += _rights(root, calculation)
        findings += _others(root, calculation, tree)
        items = list(kept)
        patching = patching_of(root, tree, calculation, body.wish, items)
        findings += patching.findings()
        # What moves back out of undo data takes no space.
        whole = {item.entry.content for item in items if not item.ranges}
        findings += _space(root, calculation, body, tree, patching, whole)
    return findings


def _losses(body: TreeBody, calculation: Calculation, tree: PagedTree) -> Iterator[Finding]:
    wish = body.wish
    if not isinstance(wish, PushWish) or not body.deleted or wish.yes:
        return
    if wish.max_delete is not None:
        if body.deleted > wish.max_delete:
            gone = counted(body.deleted, "file")
            text = f"{gone} would be deleted, more than --max-delete {wish.max_delete}: {_lost(wish, calculation)}"
            yield Finding("loss", text, hint="if that is meant, raise the limit or give --yes")
        return
    held = walk(tree, b"", calculation.before.top.content)
    files = (1 for _, entry in held if entry.kind != Kind.DIRECTORY)
    # Few of many is no loss: counting ends where that is clear.
    most = body.deleted * 100 // LOSS_SHARE + 1
    count = sum(islice(files, most))
    if calculation.emptied or body.deleted > LOSS_FILES or body.deleted * 100 > count * LOSS_SHARE:
        count += sum(files)
        text = f"{body.deleted:,} of {counted(count, 'file')} would be deleted: "
        text += _lost(wish, calculation)
        yield Finding("loss", text, hint="if that is meant, give --yes or --max-delete N; rollback can bring them back")


def _lost(wish: PushWish, calculation: Calculation) -> str:
    gone = [edit.path for edit in calculation.edits if edit.after is None]
    program = wish.listed > _LISTED_AT_MOST
    limit, way = (_LISTED, "-n -v") if program else (max(wish.listed, _LISTED), "-v")
    named = ", ".join(quoted(name) for name in gone[:limit])
    if len(gone) <= limit:
        return named
    return f"{named} … {len(gone) - limit:,} more" + (f" ({way} lists them)" if limit == _LISTED else "")


def _special_bits(calculation: Calculation, tree: PagedTree) -> Iterator[Finding]:
    """Refuse setuid and setgid files whose owner the sender does not state: they would run as this user."""
    if calculation.after.selection.owner:
        return
    for edit in calculation.edits:
        after = edit.after
        if after is None:
            continue
        below = walk(tree, edit.path, after.content) if after.kind == Kind.DIRECTORY and edit.content else ()
        for path, entry in ((edit.path, after), *below):
            if entry.kind == Kind.FILE and entry.mode & (stat.S_ISUID | stat.S_ISGID):
                text = f"{os.fsdecode(path)!r} is setuid or setgid, and no owner is given for it"
                yield Finding("setuid", text, hint="push with --owner as root, or --chmod Fu-s,Fg-s", subject=path)


def _parent(path: bytes) -> Iterator[Finding]:
    parent = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(parent):
        text = f"the folder {os.fsdecode(parent)!r} does not exist, so {os.fsdecode(path)!r} cannot be made in it"
        yield Finding("parent", text, hint="make it first")
    elif _is_read_only(parent):
        yield _read_only(parent)
    elif not os.access(parent, os.W_OK | os.X_OK):
        yield Finding("rights", f"the folder {quoted(parent)} is not writable for this user", hint=ANOTHER_USER)


def _rights(root: Directory, calculation: Calculation) -> Iterator[Finding]:
    if _is_read_only(root.fd):
        yield _read_only(root.path)
        return
    folders = {parent_of(edit.path) for edit in calculation.edits} | {STATE_NAME, b""}
    for folder in sorted(folders):
        found = root.lstat(folder)
        if found is None or not stat.S_ISDIR(found.st_mode):
            continue
        if not os.access(folder or b".", os.W_OK | os.X_OK, dir_fd=root.fd, effective_ids=True):
            if found.st_uid == os.geteuid() and folder:
                continue
            text = f"the folder {os.fsdecode(root.locate(folder))!r} is not writable for this user"
            yield Finding("rights", text, hint=ANOTHER_USER, subject=folder)
    if os.geteuid() != 0:
        yield from _ownership(root, calculation)


def _is_read_only(place: int | bytes) -> bool:
    return bool(os.statvfs(place).f_flag & os.ST_RDONLY)


def _read_only(path: bytes) -> Finding:
    text = f"{quoted(path)} is on a file system that is mounted read-only"
    return Finding("rights", text, hint="remount it for writing")


def _ownership(root: Directory, calculation: Calculation) -> Iterator[Finding]:
    """Name what only its owner, or root, may change: modes and times, and names in sticky folders."""
    user = os.geteuid()
    for edit in (*calculation.edits, *calculation.directories):
        found = root.lstat(edit.path)
        if found is None or found.st_uid == user:
            continue
        above = root.lstat(parent_of(edit.path)) if edit.path else None
        stays = edit.before is not None and edit.after is not None
        place = quoted(edit.path or root.path)
        if stays and (not edit.content or (edit.after is not None and edit.after.kind == Kind.DIRECTORY)):
            text = f"{place} belongs to user {found.st_uid}, who alone may set its mode and time"
        elif above is not None and above.st_mode & stat.S_ISVTX and above.st_uid != user:
            text = f"{place} belongs to user {found.st_uid}, and its folder is sticky"
        else:
            continue
        yield Finding("rights", text, hint=ANOTHER_USER, subject=edit.path)


def _others(root: Directory, calculation: Calculation, tree: PagedTree) -> Iterator[Finding]:
    """Refuse to work inside a managed tree nested in this one, and to move what is mounted here."""
    touched = {parent_of(edit.path) for edit in calculation.edits} | {edit.path for edit in calculation.directories}
    leaving = {rename.old: rename.before for rename in calculation.renames}
    for edit in calculation.edits:
        if edit.before is not None and edit.before.kind == Kind.DIRECTORY and edit.content:
            leaving[edit.path] = edit.before
        if edit.after is not None and edit.after.kind == Kind.DIRECTORY and edit.content:
            touched.add(edit.path)
    for path, entry in leaving.items():
        below = walk(tree, path, entry.content) if entry.kind == Kind.DIRECTORY else ()
        for folder in (path, *(found for found, inner in below if inner.kind == Kind.DIRECTORY)):
            touched.add(folder)
            if _is_mount(root, folder):
                text = f"another file system is mounted at {os.fsdecode(folder)!r}, which would be moved or removed"
                yield Finding("mount", text, hint="unmount it, or ignore the path", subject=folder)
    yield from _strangers(root, calculation)
    for folder in sorted(nested_trees(root, touched)):
        text = f"{os.fsdecode(folder)!r} is a managed tree of its own; nothing in it was changed"
        yield Finding("nested", text, hint="ignore it here, and push to it by itself", subject=folder)


def _is_mount(root: Directory, folder: bytes) -> bool:
    found, above = root.lstat(folder), root.lstat(parent_of(folder))
    if found is None or above is None or not stat.S_ISDIR(found.st_mode):
        return False
    return found.st_dev != above.st_dev


def _strangers(root: Directory, calculation: Calculation) -> Iterator[Finding]:
    """Name the managed trees for which a folder stays that should go."""
    for finding in calculation.findings:
        if finding.code == "occupied":
            with root.open_directory(finding.subject) as folder:
                inside = [join_path(finding.subject, name) for name in folder.names()]
            for path in sorted(nested_trees(root, inside)):
                yield Finding("nested", f"{os.fsdecode(path)!r} is a managed tree of its own; it stays", blocks=False)


def nested_trees(root: Directory, folders: Iterable[bytes]) -> set[bytes]:
    """Give those of the folders, and of the folders above them, that are managed trees of their own."""
    looked: dict[bytes, bool] = {b"": False}
    for folder in folders:
        while folder not in looked:
            looked[folder] = _is_managed(root, folder)
            folder = parent_of(folder)  # noqa: PLW2901 - upward from each
    return {folder for folder, nested in looked.items() if nested}


def _is_managed(root: Directory, folder: bytes) -> bool:
    found = root.lstat(folder)
    return found is not None and stat.S_ISDIR(found.st_mode) and root.lstat(join_path(folder, STATE_NAME)) is not None


def _space(
    root: Directory,
    calculation: Calculation,
    body: TreeBody,
    tree: PagedTree,
    patching: Patching,
    at_hand: Container[bytes],
) -> Iterator[Finding]:
    """Refuse what would not fit, and undo data that would break the limits."""
    status = os.fstatvfs(root.fd)
    free, total = status.f_bavail * status.f_frsize, status.f_blocks * status.f_frsize
    needed = displaced = 0
    renamed = {rename.new for rename in calculation.renames} | {rename.old for rename in calculation.renames}
    for edit in calculation.edits:
        if edit.path in renamed or not edit.content:
            continue
        patch = patching.find(edit)
        if patch is not None:
            needed += patch.written_bytes + patch.displaced_bytes
            displaced += patch.displaced_bytes
            continue
        if edit.after is None or edit.after.content not in at_hand:
            needed += _size(edit.path, edit.after, tree, stored=True)
        displaced += _size(edit.path, edit.before, tree)
    if needed > free:
        text = f"{size(needed)} are needed and {size(free)} are free"
        yield Finding("space", text, hint="free some space (pdelta gc drops old undo data)")
    elif body.wish.undo and displaced:
        after = free - needed
        if displaced * 100 > total * UNDO_SHARE:
            limit = f"take more than {UNDO_SHARE} % of the file system, {size(total * UNDO_SHARE // 100)}"
        elif after * 100 < total * FREE_SHARE:
            limit = f"leave {size(after)} free, less than {FREE_SHARE} % of the file system, "
            limit += size(total * FREE_SHARE // 100)
        else:
            return
        hint = "free some space (pdelta gc drops old undo data)"
        if isinstance(body.wish, PushWish):
            hint = "free some space, or give --no-undo: then this cannot be rolled back"
        yield Finding("undo-space", f"keeping {size(displaced)} of undo data would {limit}", hint=hint)


def _size(path: bytes, entry: Entry | None, tree: PagedTree, *, stored: bool = False) -> int:
    """Give the bytes of a file or of all files below a folder; ``stored`` leaves the holes out."""
    if entry is None:
        return 0
    entries = (entry,) if entry.kind != Kind.DIRECTORY else (found for _, found in walk(tree, path, entry.content))
    if not stored:
        return sum(found.size for found in entries)
    return sum(found.size - sum(length for _, length in found.extra.get(HOLES, ())) for found in entries)
