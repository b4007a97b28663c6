"""``pdelta push -f manifest.json``: the origin's sync manifest, calculated, written back and executed."""

import os
import stat
from collections.abc import Iterable
from pathlib import Path

import msgspec

from pdelta.app.context import Context, Link
from pdelta.app.destination import remote_address
from pdelta.app.hashes import ORIGIN, base_folder, read_manifest, renew_hints
from pdelta.app.manifest_deltas import calculate_deltas, refuse_unless_equal, refuse_unless_there
from pdelta.app.memory import write_atomically
from pdelta.app.options import PushOptions, SourceOptions
from pdelta.app.outcome import TreeOutcome
from pdelta.app.perform import refusal_of
from pdelta.app.push import push_tree
from pdelta.errors import UsageError
from pdelta.formats.sync_manifest import ManifestDelta, SyncManifest, render_manifest
from pdelta.model.change import Change
from pdelta.model.snapshot import Rule

LISTED = 1_000_000


class ManifestWish(msgspec.Struct, frozen=True):
    """What is done with the ``deltas`` of a manifest.

    Attributes:
        as_written: The written ones are executed, or the push is refused.
        write_only: Fresh ones are written, and nothing is executed.
    """

    as_written: bool = False
    write_only: bool = False


class ManifestOutcome(msgspec.Struct, frozen=True):
    """What became of a manifest and its destination.

    Attributes:
        outcome: What became of the destination.
        file: The manifest, as it was typed.
        deltas: Those between source and destination before the push, sorted by file; as written, those of the manifest.
        written: Whether the manifest holds them now.
        waiting: Whether they were written to be executed by a later push.
    """

    outcome: TreeOutcome
    file: str
    deltas: tuple[ManifestDelta, ...]
    written: bool
    waiting: bool = False


def push_manifest(
    file: Path, wish: ManifestWish, source: SourceOptions, options: PushOptions, context: Context, link: Link
) -> ManifestOutcome:
    """Calculate a manifest's deltas, write them into it, and execute them.

    Deletions are part of the origin's meaning of a difference, so they happen unless ``--no-delete`` was
    given; what pdelta never brought there is deleted only with ``--delete``. A dry run, and a push that
    pre-flight refuses, leave the manifest as it is.

    Args:
        file: The manifest.
        wish: What is done with its deltas.
        source: What the options say beyond the manifest; its path is the manifest's ``base_dir``.
        options: What the push may do.
        context: The command's surroundings.
        link: How a host is reached.

    Raises:
        FormatError: The manifest is malformed.
        UsageError: The manifest, or its base folder, isn't there; or the wish contradicts itself.
        PreflightError: Something blocks; or ``as_written``, and the written deltas are neither those of now nor
            what the destination holds already.
        PdeltaError: As ``push_tree`` does.
    """
    if wish.write_only and (wish.as_written or options.dry_run):
        text = "--write-deltas changes the manifest and --as-written does not, nor does --dry-run; nothing was changed"
        raise UsageError(text, hint="give one of them")
    manifest = read_manifest(file)
    base = base_folder(manifest, file)
    rules = tuple(Rule(pattern.encode("utf-8", "surrogateescape"), dialect=ORIGIN) for pattern in manifest.ignore)
    source = msgspec.structs.replace(source, path=os.fsdecode(base), rules=(*rules, *source.rules))
    address = remote_address(manifest.remote_host, manifest.remote_dir)
    looking = msgspec.structs.replace(options, dry_run=True, listed=LISTED)
    planned = push_tree(source, address, looking, context, link)
    deltas = tuple(calculate_deltas(base, source.rules, planned.changes))
    if wish.as_written and manifest.deltas and not deltas:
        refuse_unless_there(base, source.rules, manifest.deltas, _differences(source, address, looking, context, link))
    elif wish.as_written:
        refuse_unless_equal(manifest.deltas, deltas)
    fresh = manifest.text.encode() if wish.as_written else render_manifest(manifest, deltas)
    told = manifest.deltas if wish.as_written else deltas
    if options.dry_run:
        return ManifestOutcome(planned, str(file), told, written=fresh == manifest.text.encode())
    refused = refusal_of(planned)
    if refused is not None:
        raise refused
    _write_back(file, manifest, fresh)
    if wish.write_only or not planned.changed:
        outcome = msgspec.structs.replace(planned, dry_run=planned.changed)
        return ManifestOutcome(outcome, str(file), told, written=True, waiting=planned.changed)
    outcome = push_tree(source, address, options, context, link)
    renew_hints(context, base, deltas)
    return ManifestOutcome(outcome, str(file), told, written=True)


def _differences(
    source: SourceOptions, address: str, options: PushOptions, context: Context, link: Link
) -> Iterable[Change]:
    """Give everything by which the destination differs, what others put there included: its names are all looked at."""
    check = "stat" if options.check == "trust" else options.check
    everything = msgspec.structs.replace(options, delete=True, yes=True, check=check)
    return push_tree(source, address, everything, context, link).changes


def _write_back(file: Path, manifest: SyncManifest, data: bytes) -> None:
    if data == manifest.text.encode():
        return
    # Written through a link, the link stays.
    target = file.resolve()
    write_atomically(target, data, mode=stat.S_IMODE(target.stat().st_mode))
