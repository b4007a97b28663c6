"""``pdelta import-hashes`` and ``pdelta export-hashes``: the origin's ``previous_hashes.json``."""

import hashlib
import os
import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec
from blake3 import blake3

from pdelta.app.context import Context
from pdelta.app.memory import write_atomically
from pdelta.errors import FilesystemError, FormatError, UsageError
from pdelta.filesystem.safe import Directory
from pdelta.formats.hashes import parse_hashes, render_hashes
from pdelta.formats.sync_manifest import UPDATE, ManifestDelta, SyncManifest, parse_manifest
from pdelta.model.names import PATH_LIMIT_BYTES, join_path
from pdelta.model.snapshot import Rule
from pdelta.tree.select import Selector

ORIGIN: Final = "origin"
_PIECE_BYTES: Final = 1 << 20


class ImportReport(msgspec.Struct, frozen=True):
    """What was taken over, and how it compares with the files of today.

    Attributes:
        base: The manifest's base_dir.
        count: How many hashes.
        unchanged: Files whose hash is still the same.
        changed: Files with another hash.
        new: Files without a hash.
        gone: Hashes without a file.
    """

    base: str
    count: int
    unchanged: int
    changed: int
    new: int
    gone: int


class ExportReport(msgspec.Struct, frozen=True):
    """What was written.

    Attributes:
        file: Where.
        count: How many hashes.
        backup: Where the former file is; empty when there was none.
    """

    file: str
    count: int
    backup: str


def import_hashes(file: Path, manifest: Path | None, context: Context) -> ImportReport:
    """Take over the hashes of the former tool for a manifest's base folder.

    They are kept as hints beside the journal, and ``push -f`` keeps them up to date. Whether the host really holds
    what they say is found out there, by hashing, at the first push; so they can save bytes, but never cause a mistake.

    Args:
        file: ``previous_hashes.json``.
        manifest: The manifest that it belongs to; ``manifest.json`` beside it when None.
        context: The command's surroundings.

    Raises:
        FormatError: One of the files is malformed.
        UsageError: A file, or the base folder, isn't there.
    """
    hashes = read_hashes(file)
    chosen = manifest or file.with_name("manifest.json")
    parsed = read_manifest(chosen)
    base = base_folder(parsed, chosen)
    now = hash_tree(base, parsed.ignore)
    keep_hints(context, base, hashes)
    same = sum(now.get(path) == digest for path, digest in hashes.items())
    gone = sum(path not in now for path in hashes)
    return ImportReport(
        base=os.fsdecode(base),
        count=len(hashes),
        unchanged=same,
        changed=len(hashes) - same - gone,
        new=sum(path not in hashes for path in now),
        gone=gone,
    )


def export_hashes(file: Path, manifest: Path, context: Context) -> ExportReport:
    """Write the SHA-256 of every file below a manifest's base folder; a former file stays as ``.bak``.

    Raises:
        FormatError: The manifest is malformed.
        UsageError: The manifest or its base folder isn't there.
        FilesystemError: The file can't be written; it is as it was.
    """
    parsed = read_manifest(manifest)
    base = base_folder(parsed, manifest)
    hashes = hash_tree(base, parsed.ignore)
    backup = write_hashes(file, hashes)
    keep_hints(context, base, hashes)
    return ExportReport(file=str(file), count=len(hashes), backup=backup)


def write_hashes(file: Path, hashes: dict[bytes, str]) -> str:
    """Write a file of hashes; give where the former one is, empty when there was none.

    Raises:
        FilesystemError: It can't be written; it is as it was.
    """
    backup = ""
    try:
        former = file.read_bytes()
    except FileNotFoundError:
        pass
    except OSError as error:
        raise FilesystemError(f"{str(file)!r} can't be read: {error.strerror}; it is as it was") from error
    else:
        kept = file.with_name(f"{file.name}.bak")
        write_atomically(kept, former, mode=0o644)
        backup = str(kept)
    write_atomically(file, render_hashes(hashes), mode=0o644)
    return backup


def hash_tree(base: bytes, ignore: tuple[str, ...]) -> dict[bytes, str]:
    """Give the SHA-256 of every file below a folder, but for what the manifest ignores.

    Raises:
        FilesystemError: Something can't be read.
    """
    selector = Selector(tuple(Rule(pattern.encode("utf-8", "surrogateescape"), dialect=ORIGIN) for pattern in ignore))
    found: dict[bytes, str] = {}
    with _opened(base) as root:
        for path in _files(root, selector):
            found[path] = hash_file(root, path)
    return found


def hash_file(root: Directory, path: bytes) -> str:
    """Give the SHA-256 of one file in lower-case hexadecimal.

    Raises:
        FilesystemError: It can't be read.
    """
    try:
        with open(root.open_file(path), "rb", buffering=0) as stream:
            digest = hashlib.sha256()
            while piece := stream.read(_PIECE_BYTES):
                digest.update(piece)
            return digest.hexdigest()
    except OSError as error:
        raise FilesystemError(f"{os.fsdecode(path)!r} can't be read: {error.strerror}") from error


def base_folder(manifest: SyncManifest, file: Path) -> bytes:
    """Give the real path of a manifest's base_dir; a relative one starts at the manifest.

    Raises:
        UsageError: There is no such folder.
    """
    folder = os.path.join(file.resolve().parent, os.path.expanduser(manifest.base_dir))
    if not os.path.isdir(folder):
        raise UsageError(f"the manifest's base_dir {manifest.base_dir!r} is no folder; nothing was changed")
    return os.fsencode(os.path.realpath(folder))


def read_file(file: Path) -> bytes:
    """Give a file's bytes.

    Raises:
        UsageError: It isn't there.
        FilesystemError: It can't be read.
    """
    try:
        return file.read_bytes()
    except FileNotFoundError as error:
        raise UsageError(f"there is no file {str(file)!r}") from error
    except OSError as error:
        raise FilesystemError(f"{str(file)!r} can't be read: {error.strerror}") from error


def read_manifest(file: Path) -> SyncManifest:
    """Read a manifest.

    Raises:
        FormatError: It is malformed; the message names file and field.
        UsageError: It isn't there.
        FilesystemError: It can't be read.
    """
    data = read_file(file)
    with _naming(file):
        return parse_manifest(data)


def read_hashes(file: Path) -> dict[bytes, str]:
    """Read a file of hashes; raises as ``read_manifest`` does."""
    data = read_file(file)
    with _naming(file):
        return parse_hashes(data)


@contextmanager
def _naming(file: Path) -> Iterator[None]:
    try:
        yield
    except FormatError as error:
        hint = error.hint or "correct the file; nothing was changed"
        raise FormatError(f"{str(file)!r}: {error.message}", hint=hint) from error


def keep_hints(context: Context, base: bytes, hashes: dict[bytes, str]) -> None:
    """Keep hashes of a base folder beside the journal."""
    write_atomically(_hints(context, base), render_hashes(hashes))


def renew_hints(context: Context, base: bytes, deltas: Iterable[ManifestDelta]) -> None:
    """Bring the kept hashes of a base folder up to date, with the former ones as ``.bak``; nothing where none are kept.

    Raises:
        FilesystemError: They can't be written; they are as they were.
    """
    file = _hints(context, base)
    if not file.exists():
        return
    hashes = read_hashes(file)
    for delta in deltas:
        if delta.action == UPDATE:
            hashes[delta.file] = delta.hash
        else:
            hashes.pop(delta.file, None)
    write_hashes(file, hashes)


def _hints(context: Context, base: bytes) -> Path:
    return context.runs / "hashes" / f"{blake3(base).hexdigest(16)}.json"


def _opened(base: bytes) -> Directory:
    try:
        return Directory.open_root(base)
    except OSError as error:
        raise FilesystemError(f"{os.fsdecode(base)!r} can't be opened: {error.strerror}") from error


def _files(root: Directory, selector: Selector) -> list[bytes]:
    found: list[bytes] = []
    folders = [b""]
    while folders:
        folder = folders.pop()
        kinds = _kinds(root, folder)
        ignored = selector.ignored_names(folder, [(name, stat.S_ISDIR(kind)) for name, kind in kinds.items()])
        for name, kind in kinds.items():
            if name in ignored:
                continue
            path = join_path(folder, name)
            if len(path) > PATH_LIMIT_BYTES:
                text = (
                    f"{os.fsdecode(folder)!r} holds a path of more than {PATH_LIMIT_BYTES} bytes; nothing was changed"
                )
                raise FilesystemError(text, hint="move it further up, or ignore it in the manifest")
            if stat.S_ISDIR(kind):
                folders.append(path)
            elif stat.S_ISREG(kind):
                found.append(path)
    return sorted(found)


def _kinds(root: Directory, folder: bytes) -> dict[bytes, int]:
    """Give the names in a folder with their modes."""
    try:
        with root.open_directory(folder) as opened:
            return {name: status.st_mode for name in opened.names() if (status := opened.lstat(name)) is not None}
    except OSError as error:
        raise FilesystemError(f"{os.fsdecode(folder)!r} can't be read: {error.strerror}") from error
