"""Whether two trees are equal: names, kinds, modes, times and contents."""

import os
import stat
from collections.abc import Iterator

from blake3 import blake3

OURS = frozenset({".pdelta", ".pdelta-runs"})


def first_difference(left: str, right: str, *, unit_ns: int = 1) -> str:
    """Name the first path where two trees differ; empty when they are equal.

    Args:
        left: One tree.
        right: The other.
        unit_ns: How exactly times must agree.
    """
    before, after = facts(left, unit_ns), facts(right, unit_ns)
    for (path, one), (other_path, other) in zip(before, after, strict=False):
        if path != other_path:
            return f"{min(path, other_path)!r} is only on one side"
        if one != other:
            return f"{path!r}: {one} is not {other}"
    rest = next(before, None) or next(after, None)
    return f"{rest[0]!r} is only on one side" if rest else ""


def facts(root: str, unit_ns: int) -> Iterator[tuple[str, tuple[object, ...]]]:
    """Stream what must be equal about every path, sorted within each folder."""
    yield from _facts(root, "", unit_ns)


def _facts(root: str, folder: str, unit_ns: int) -> Iterator[tuple[str, tuple[object, ...]]]:
    with os.scandir(os.path.join(root, folder)) as entries:
        found = sorted(entries, key=lambda entry: entry.name)
    for entry in found:
        if entry.name in OURS:
            continue
        path, info = os.path.join(folder, entry.name), entry.stat(follow_symlinks=False)
        if stat.S_ISDIR(info.st_mode):
            yield path, (info.st_mode, info.st_mtime_ns // unit_ns)
            yield from _facts(root, path, unit_ns)
        elif stat.S_ISLNK(info.st_mode):
            yield path, (info.st_mode, os.readlink(entry.path))
        else:
            yield path, (info.st_mode, info.st_mtime_ns // unit_ns, info.st_size, _digest(entry.path, info.st_size))


def _digest(path: str, size: int) -> str:
    hasher = blake3(max_threads=2 if size > 1 << 20 else 1)
    if size > 1 << 20:
        hasher.update_mmap(path)
    else:
        with open(path, "rb") as stream:
            hasher.update(stream.read())
    return hasher.hexdigest()
