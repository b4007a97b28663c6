"""``pdelta push -f manifest.json``: the origin's sync manifest, calculated, written back and executed."""

import hashlib
import os
import stat
from collections.abc import Iterable
from pathlib import Path

import msgspec

from pdelta.app.context import Context, Link
from pdelta.app.destination import remote_address
from pdelta.app.hashes import ORIGIN, base_folder, hash_file, read_file, renew_hints
from pdelta.app.memory import write_atomically
from pdelta.app.options import PushOptions, SourceOptions
from pdelta.app.outcome import TreeOutcome
from pdelta.app.push import push_tree
from pdelta.errors import FilesystemError, PreflightError
from pdelta.filesystem.safe import Directory
from pdelta.formats.sync_manifest import (
    DELETE,
    UPDATE,
    ManifestDelta,
    SyncManifest,
    parse_manifest,
    render_manifest,
    text_of_path,
)
from pdelta.model.change import Change
from pdelta.model.snapshot import Rule

LISTED = 1_000_000


def push_manifest(
    file: Path,
    source: SourceOptions,
    options: PushOptions,
    context: Context,
    link: Link,
    *,
    as_written: bool,
) -> TreeOutcome:
    """Calculate a manifest's deltas, write them into it, and execute them.

    Deletions are part of the origin's meaning of a difference, so they happen unless ``--no-delete`` was
    given; what pdelta never brought there is deleted only with ``--delete``.

    Args:
        file: The manifest.
        source: What the options say beyond the manifest; its path is the manifest's ``base_dir``.
        options: What the push may do.
        context: The command's surroundings.
        link: How a host is reached.
        as_written: Whether the deltas that the manifest holds are executed, or the push refused.

    Raises:
        FormatError: The manifest is malformed.
        UsageError: The manifest, or its base folder, isn't there.
        PreflightError: ``as_written``, and the written deltas are not those of now.
        PdeltaError: As ``push_tree`` does.
    """
    manifest = parse_manifest(read_file(file))
    base = base_folder(manifest, file)
    rules = tuple(Rule(pattern.encode("utf-8", "surrogateescape"), dialect=ORIGIN) for pattern in manifest.ignore)
    source = msgspec.structs.replace(source, path=os.fsdecode(base), rules=(*rules, *source.rules))
    address = remote_address(manifest.remote_host, manifest.remote_dir)
    planned = push_tree(source, address, msgspec.structs.replace(options, dry_run=True, listed=LISTED), context, link)
    deltas = calculate_deltas(base, planned.changes)
    if as_written:
        _refuse_unless_equal(manifest, deltas)
    elif not options.dry_run or deltas != list(manifest.deltas):
        _write_back(file, manifest, deltas)
    if options.dry_run or not planned.changed:
        return planned
    outcome = push_tree(source, address, options, context, link)
    renew_hints(context, base, deltas)
    return outcome


def calculate_deltas(base: bytes, changes: Iterable[Change]) -> list[ManifestDelta]:
    """Give a manifest's deltas for a tree's changes, sorted by file.

    A rename is an update and a deletion; a change of mode or time alone is an update. Directories are no
    files and have no entry. The hash of a symbolic link is that of its target.

    Raises:
        FilesystemError: A changed file can't be read.
    """
    found: dict[bytes, ManifestDelta] = {}
    with Directory.open_root(base) as root:
        for change in changes:
            if change.action == "delete":
                _add_deletion(found, change, change.subject)
                continue
            if change.action == "move" and change.origin and root.lstat(change.origin) is None:
                found.setdefault(change.origin, ManifestDelta(change.origin, DELETE))
            digest = _digest(root, change.subject)
            if digest:
                found[change.subject] = ManifestDelta(change.subject, UPDATE, digest)
    return [found[path] for path in sorted(found)]


def _add_deletion(found: dict[bytes, ManifestDelta], change: Change, path: bytes) -> None:
    if change.detail not in ("directory", "folder"):
        found.setdefault(path, ManifestDelta(path, DELETE))


def _digest(root: Directory, path: bytes) -> str:
    """Give the SHA-256 of a file or of a link's target; nothing for a directory."""
    status = root.lstat(path)
    if status is None:
        raise FilesystemError(
            f"{os.fsdecode(path)!r} vanished while its hash was calculated; nothing was changed",
            hint="Run the command again.",
        )
    if stat.S_ISLNK(status.st_mode):
        return hashlib.sha256(root.readlink(path)).hexdigest()
    return hash_file(root, path) if stat.S_ISREG(status.st_mode) else ""


def _refuse_unless_equal(manifest: SyncManifest, deltas: list[ManifestDelta]) -> None:
    written = {(delta.file, delta.action, delta.hash) for delta in manifest.deltas}
    wanted = {(delta.file, delta.action, delta.hash) for delta in deltas}
    if written == wanted:
        return
    lines = [f"written, but not so now: {_told(item)}" for item in sorted(written - wanted)]
    lines += [f"not written: {_told(item)}" for item in sorted(wanted - written)]
    raise PreflightError(
        "the deltas in the manifest are not those between the source and the destination now; nothing was changed",
        findings=tuple(lines),
        hint="Leave --as-written out: the deltas are calculated again and written back.",
    )


def _told(item: tuple[bytes, str, str]) -> str:
    path, action, digest = item
    return f"{action} {text_of_path(path)}" + (f" ({digest[:12]}…)" if digest else "")


def _write_back(file: Path, manifest: SyncManifest, deltas: list[ManifestDelta]) -> None:
    data = render_manifest(manifest, deltas)
    if data == manifest.text.encode():
        return
    # Written through a link, the link stays.
    target = file.resolve()
    write_atomically(target, data, mode=stat.S_IMODE(target.stat().st_mode))
