"""The deltas of a sync manifest: those of now, and whether written ones agree with them.

Called by ``app.manifest``; reads the source alone.
"""

import hashlib
import stat
from collections.abc import Iterable, Iterator, Sequence

from pdelta.app.hashes import hash_file
from pdelta.errors import FilesystemError, PreflightError
from pdelta.filesystem.safe import Directory
from pdelta.formats.sync_manifest import DELETE, UPDATE, ManifestDelta, text_of_path
from pdelta.model.change import Change
from pdelta.model.names import join_path, parent_of, quoted
from pdelta.model.snapshot import Rule
from pdelta.tree.select import IGNORE_FILE, Selector, read_rules


def calculate_deltas(base: bytes, rules: Sequence[Rule], changes: Iterable[Change]) -> list[ManifestDelta]:
    """Give a manifest's deltas for a tree's changes, sorted by file.

    A rename is an update and a deletion, that of a folder for each file in it; a change of mode or time alone is an
    update. Directories are no files and have no entry. The hash of a symbolic link is that of its target.

    Args:
        base: The source.
        rules: What is ignored, less what ignore files in the source say.
        changes: What a push of it would change.

    Raises:
        FilesystemError: A changed file can't be read.
    """
    found: dict[bytes, ManifestDelta] = {}
    with Directory.open_root(base) as root:
        for change in changes:
            if change.action == "delete":
                _add_deletion(found, change, change.subject)
                continue
            for path in _files(root, change.subject, rules, inside=change.action == "move"):
                found[path] = ManifestDelta(path, UPDATE, _digest(root, path))
                former = change.origin + path[len(change.subject) :]
                if change.action == "move" and root.lstat(former) is None:
                    found.setdefault(former, ManifestDelta(former, DELETE))
    return [found[path] for path in sorted(found)]


def refuse_unless_equal(written: Sequence[ManifestDelta], deltas: Sequence[ManifestDelta]) -> None:
    """Refuse written deltas that are not exactly those of now.

    Raises:
        PreflightError: It lists what is written and not so, and what is not written.
    """
    old = {(delta.file, delta.action, delta.hash) for delta in written}
    new = {(delta.file, delta.action, delta.hash) for delta in deltas}
    if old == new:
        return
    lines = [f"written, but not so now: {told(*item)}" for item in sorted(old - new)]
    lines += [f"not written: {told(*item)}" for item in sorted(new - old)]
    raise _refusal("the deltas in the manifest are not those between the source and the destination now", lines)


def refuse_unless_there(
    base: bytes, rules: Sequence[Rule], written: Sequence[ManifestDelta], differences: Iterable[Change]
) -> None:
    """Refuse written deltas that a destination without any difference does not hold already.

    Args:
        base: The source; what it holds, the destination holds too, but for what is ignored.
        rules: What is ignored, less what ignore files in the source say.
        written: The manifest's deltas.
        differences: What making the destination equal in everything would change, unknown names included.

    Raises:
        PreflightError: It lists every delta that contradicts.
    """
    differing = {path for change in differences for path in (change.subject, change.origin) if path}
    with Directory.open_root(base) as root:
        folders = {folder for delta in written for folder in _above(delta.file)}
        selector = Selector((*_found_rules(root, folders), *rules))
        lines = [
            f"{told(delta.file, delta.action, delta.hash)}: {reason}"
            for delta in written
            if (reason := _contradiction(root, selector, delta, differing))
        ]
    if lines:
        raise _refusal("source and destination do not differ, and the deltas in the manifest say otherwise", lines)


def told(file: bytes, action: str, digest: str) -> str:
    """Give one delta in words."""
    return f"{action} {text_of_path(file)}" + (f" ({digest[:12]}…)" if digest else "")


def _contradiction(root: Directory, selector: Selector, delta: ManifestDelta, differing: set[bytes]) -> str:
    """Say why a written delta is not what the destination holds; empty where it is."""
    if selector.ignored(delta.file, False):  # noqa: FBT003 - a file
        return "it is ignored now"
    status = root.lstat(delta.file)
    if delta.action == DELETE:
        if status is not None and not stat.S_ISDIR(status.st_mode):
            return "both have it"
        return "the destination has one that pdelta did not bring" if delta.file in differing else ""
    if status is None:
        return "neither has it"
    if delta.file in differing:
        return "the destination has another one"
    return "" if _digest(root, delta.file) == delta.hash else "both have another content"


def _files(root: Directory, top: bytes, rules: Sequence[Rule], *, inside: bool) -> list[bytes]:
    """Give a path that is no folder, or with ``inside`` what a folder holds that is none and is not ignored."""
    status = root.lstat(top)
    if status is None:
        raise _vanished(top)
    if not stat.S_ISDIR(status.st_mode):
        return [top]
    files: list[bytes] = []
    folders = [top] if inside else []
    for folder in folders:
        with root.open_directory(folder) as opened:
            names = opened.names()
        for path in (join_path(folder, name) for name in names):
            status = root.lstat(path)
            if status is not None:
                (folders if stat.S_ISDIR(status.st_mode) else files).append(path)
    selector = Selector((*_found_rules(root, {*folders, *_above(top)}), *rules)) if files else Selector()
    return [path for path in files if not selector.ignored(path, False)]  # noqa: FBT003 - files


def _above(path: bytes) -> Iterator[bytes]:
    """Give the folders above a path, the tree itself last."""
    while path:
        path = parent_of(path)
        yield path


def _found_rules(root: Directory, folders: Iterable[bytes]) -> Iterator[Rule]:
    """Give the rules of the ignore files that stand in some folders, those of a folder after those above it."""
    for folder in sorted(folders):
        file = join_path(folder, IGNORE_FILE)
        status = root.lstat(file)
        if status is not None and stat.S_ISREG(status.st_mode):
            with open(root.open_file(file), "rb") as stream:
                yield from read_rules(stream.read(), base=folder)


def _add_deletion(found: dict[bytes, ManifestDelta], change: Change, path: bytes) -> None:
    if change.detail not in ("directory", "folder"):
        found.setdefault(path, ManifestDelta(path, DELETE))


def _digest(root: Directory, path: bytes) -> str:
    """Give the SHA-256 of a file or of a link's target; nothing for a directory."""
    status = root.lstat(path)
    if status is None:
        raise _vanished(path)
    if stat.S_ISLNK(status.st_mode):
        return hashlib.sha256(root.readlink(path)).hexdigest()
    return hash_file(root, path) if stat.S_ISREG(status.st_mode) else ""


def _vanished(path: bytes) -> FilesystemError:
    text = f"{quoted(path)} vanished while its hash was calculated; nothing was changed"
    return FilesystemError(text, hint="run the command again")


def _refusal(text: str, lines: list[str]) -> PreflightError:
    return PreflightError(
        f"{text}; nothing was changed",
        findings=tuple(lines),
        hint="leave --as-written out: the deltas are calculated again and written back",
    )
