"""Looking at a whole tree: adopting it, checking it, and saying how it differs from its record.

Called by ``TreeOperation``. Never writes to the tree.
"""

import os
import sqlite3
from collections.abc import Iterable

import msgspec

from pdelta.filesystem.index import Index
from pdelta.filesystem.observe import Observation
from pdelta.filesystem.safe import Directory
from pdelta.filesystem.scan import Problem, Scan, ScanOptions, scan
from pdelta.formats.page import PagedTree, build_directory
from pdelta.model.change import Change
from pdelta.model.event import Observer
from pdelta.model.finding import Finding
from pdelta.model.names import quoted
from pdelta.model.snapshot import ADOPTED, Kind, Root
from pdelta.operations.tree.calculate import Overlay
from pdelta.tree.compare import is_adopted, metadata_difference
from pdelta.tree.merge import Edit, Merge, Policy, merge
from pdelta.tree.order import is_below
from pdelta.tree.override import Finder, find, override
from pdelta.tree.reader import walk


def look_at_all(
    root: Directory,
    overlay: Overlay,
    index: Index | None,
    observer: Observer,
    options: ScanOptions,
) -> tuple[Scan, Index]:
    """Scan the tree with its own parameters; give the scan and the index that it filled."""
    used = index if index is not None else Index(sqlite3.connect(":memory:", isolation_level=None))
    return scan(root, options, overlay, used, observer), used


def without_nested(overlay: Overlay, held: Root | None, found: Scan) -> tuple[Scan, list[Finding]]:
    """Leave managed trees of their own out of a scan, and name them; one that is recorded as wanted stays.

    Args:
        overlay: Reads pages, and takes new ones.
        held: The record; None for an unmanaged tree.
        found: The scan.
    """
    if not found.nested:
        return found, []
    tree = PagedTree(overlay)
    finder = None if held is None else Finder(tree, held.top)
    out: set[bytes] = set()
    for path in sorted(found.nested):
        if is_below(path, out) or (finder is not None and _is_wanted(finder, path)):
            continue
        out.add(path)
    top = override(tree, found.root.top, dict.fromkeys(out), build_directory, overlay)
    findings = [
        Finding(
            "nested",
            f"{quoted(path)} is a managed tree of its own: it stays, and is not recorded here",
            blocks=False,
            subject=path,
        )
        for path in sorted(out)
    ]
    return msgspec.structs.replace(found, root=msgspec.structs.replace(found.root, top=top)), findings


def _is_wanted(finder: Finder, path: bytes) -> bool:
    lineage = finder.lineage(path)
    return len(lineage) == path.count(b"/") + 1 and not any(map(is_adopted, lineage))


def adopt(overlay: Overlay, found: Scan) -> Root:
    """Give what an unmanaged tree holds: all of it is there without having been asked for."""
    top = msgspec.structs.replace(found.root.top, extra={**found.root.top.extra, ADOPTED: True})
    root = msgspec.structs.replace(found.root, top=top)
    overlay.write_root(root)
    return root


def differences(overlay: Overlay, held: Root, found: Root) -> Merge:
    """Say how what stands differs from what is recorded; times of folders are not compared.

    Every write into a folder changes its time, also those of ignored names.
    """
    result = _all_differences(overlay, held, found)
    result.directories = [edit for edit in result.directories if not _times_alone(edit)]
    return result


def _all_differences(overlay: Overlay, held: Root, found: Root) -> Merge:
    policy = Policy(ignored=lambda _path, _directory: False, delete="all")
    return merge(held, found, PagedTree(overlay), policy, build_directory, overlay)


def _times_alone(edit: Edit) -> bool:
    if edit.before is None or edit.after is None:
        return False
    after = msgspec.structs.replace(edit.after, mtime_ns=edit.before.mtime_ns)
    return not metadata_difference(edit.before, after)


def find_obstacles(tree: PagedTree, wanted: Root, problems: Iterable[Problem]) -> list[Finding]:
    """Give what cannot be looked at and stands where something is wanted."""
    return [
        Finding(
            problem.kind,
            f"{os.fsdecode(problem.path)!r} is in the way: {problem.message}",
            hint="remove it, or leave its path out with --ignore",
            subject=problem.path,
        )
        for problem in problems
        if find(tree, wanted.top, problem.path) is not None
    ]


def observe_all(overlay: Overlay, held: Root, found: Scan, *, adopt: bool) -> Observation:
    """Give a whole scan as an observation.

    Args:
        overlay: Reads pages, and takes new ones.
        held: The record.
        found: The scan.
        adopt: Whether names that nobody asked for are taken over as they are now; else they stay as they are recorded,
            or unrecorded.
    """
    tree = PagedTree(overlay)
    result = _all_differences(overlay, held, found.root)
    observation = Observation()
    finder = Finder(tree, held.top)
    for edit in sorted((*result.edits, *result.directories), key=lambda edit: edit.path):
        extra = any(is_adopted(entry) for entry in finder.lineage(edit.path))
        if not adopt and (extra or edit.before is None):
            continue
        if edit.before is None:
            observation.unknown.append(edit.path)
        entry = edit.after
        if entry is not None and edit.before is not None and edit.before.kind == entry.kind == Kind.DIRECTORY:
            # What is in it is told name by name.
            entry = msgspec.structs.replace(entry, content=edit.before.content)
            if _times_alone(edit):
                observation.times[edit.path] = msgspec.structs.replace(edit.before, mtime_ns=entry.mtime_ns)
                continue
        if entry is not None and (extra or edit.before is None):
            entry = msgspec.structs.replace(entry, extra={**entry.extra, ADOPTED: True})
        observation.found[edit.path] = entry
        if edit.before is not None and not extra:
            observation.drifted[edit.path] = _what(edit)
    for problem in found.problems:
        path = os.fsdecode(problem.path)
        observation.findings.append(
            Finding(problem.kind, f"{path!r}: {problem.message}", blocks=False, subject=problem.path)
        )
    return observation


def _what(edit: Edit) -> str:
    if edit.after is None:
        return "missing"
    if edit.before is not None and edit.before.kind != edit.after.kind:
        return "another kind of entry"
    if edit.content and edit.after.kind != Kind.DIRECTORY:
        return "its content changed"
    return metadata_difference(edit.before, edit.after) if edit.before is not None else "unknown"


def report_changes(overlay: Overlay, result: Merge, problems: Iterable[Problem]) -> list[Change]:
    """Give differences as changes: ``changed``, ``missing``, ``extra``, ``metadata``.

    Of what could not be read nothing is known, so it is not called missing.
    """
    tree = PagedTree(overlay)
    changes: list[Change] = []
    for edit in result.edits:
        entry = edit.after or edit.before
        assert entry is not None  # noqa: S101 - an edit has at least one side
        if edit.before is None or edit.after is None:
            action = "extra" if edit.before is None else "missing"
            changes.append(Change(action, edit.path, size_bytes=entry.size))
            if entry.kind == Kind.DIRECTORY:
                changes += [
                    Change(action, path, size_bytes=found.size) for path, found in walk(tree, edit.path, entry.content)
                ]
        else:
            action = "changed" if edit.content else "metadata"
            changes.append(Change(action, edit.path, size_bytes=entry.size, detail=_what(edit)))
    changes += [
        Change("metadata", edit.path, detail=_what(edit))
        for edit in result.directories
        if edit.before is not None and edit.after is not None and metadata_difference_without_time(edit)
    ]
    unread = {problem.path for problem in problems if problem.kind != "special"}
    return [change for change in changes if not is_below(change.subject, unread)]


def metadata_difference_without_time(edit: Edit) -> bool:
    """Whether a folder differs in more than its time."""
    return not _times_alone(edit)
