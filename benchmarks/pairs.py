"""The package pairs: two successive releases, fetched by the ordinary clients and unpacked as an installer does."""

import functools
import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import msgspec

from benchmarks.scenarios import Mark, Scenario
from benchmarks.trees import EPOCH_S

LIST = Path(__file__).with_name("pairs.toml")
PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_24_x86_64", "manylinux2014_x86_64")
"""One platform for every machine that measures: the files are only data here."""
MARKS = (
    Mark("pdelta-zstd", "rsync-zstd", 1.0, 0.95, "zstd"),
    Mark("pdelta-base", "rsync-zstd", 1.0, 0.5, "base cache"),
)
SUMS = (("pdelta-zstd", 0.8), ("pdelta-base", 0.3))
"""Largest wire ratio of all pairs together."""


class Pair(msgspec.Struct, frozen=True):
    """Two releases of one package.

    Attributes:
        name: The package.
        kind: What its files are.
        client: ``npm`` or ``pip``.
        old: The release that the destination has.
        new: The release that is pushed.
    """

    name: str
    kind: str
    client: str
    old: str
    new: str


def read_pairs() -> list[Pair]:
    """Give the pairs that are fixed."""
    return msgspec.convert(tomllib.loads(LIST.read_text(encoding="utf-8"))["pair"], list[Pair])


def pair_scenarios(cache: Path) -> list[Scenario]:
    """Give one scenario a pair.

    Args:
        cache: Folder that keeps what was fetched.
    """
    return [
        Scenario(
            f"pair-{pair.name}",
            f"{pair.name} {pair.old} → {pair.new} ({pair.kind})",
            functools.partial(_make, pair, cache),
            MARKS,
            (Mark("pdelta", "rsync", label="as it chooses, against plain"),),
            change=_swap,
            restore=_swap,
            renewed=True,
            pair=pair.name,
        )
        for pair in read_pairs()
    ]


def fetch(pair: Pair, cache: Path) -> None:
    """Fetch both releases into the cache, unless they are there.

    Raises:
        RuntimeError: The client fails; the text holds what it said.
    """
    for version in (pair.old, pair.new):
        folder = cache / f"{pair.name}-{version}"
        if folder.is_dir():
            continue
        partial = cache / f"{folder.name}.part"
        partial.mkdir(parents=True, exist_ok=True)
        done = subprocess.run(_fetch_command(pair, version, partial), capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{pair.name} {version} can't be fetched: {done.stderr[-500:]}")
        partial.rename(folder)


def _fetch_command(pair: Pair, version: str, folder: Path) -> list[str]:
    if pair.client == "npm":
        return ["npm", "pack", "--silent", "--pack-destination", str(folder), f"{pair.name}@{version}"]
    platforms = [word for platform in PLATFORMS for word in ("--platform", platform)]
    fixed = ["--no-deps", "--only-binary=:all:", "--python-version", "3.11", *platforms]
    return [sys.executable, "-m", "pip", "download", "--quiet", *fixed, "-d", str(folder), f"{pair.name}=={version}"]


def _make(pair: Pair, cache: Path, root: Path, _scale: float) -> None:
    """Make the old release the source, and the new one wait beside it."""
    for days, (version, target) in enumerate(((pair.old, root), (pair.new, _other(root)))):
        _unpack(cache / f"{pair.name}-{version}", target)
        _stamp(target, EPOCH_S + days * 86_400)


def _swap(root: Path, _turn: int) -> None:
    """Exchange the two releases."""
    spare = root.with_name(f"{root.name}.spare")
    root.rename(spare)
    _other(root).rename(root)
    spare.rename(_other(root))


def _other(root: Path) -> Path:
    return root.with_name(f"{root.name}.other")


def _unpack(folder: Path, target: Path) -> None:
    (archive,) = folder.iterdir()
    target.mkdir(parents=True, exist_ok=True)
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            wheel.extractall(target)
    else:
        subprocess.run(["tar", "-xf", str(archive), "-C", str(target)], check=True)


def _stamp(root: Path, time_s: int) -> None:
    """Give every file the time of its installation, as pip and npm do; the archives hold one constant time."""
    for number, path in enumerate(sorted(root.rglob("*"))):
        if path.is_file():
            os.utime(path, ns=(time_s * 10**9, time_s * 10**9 + number * 1_000_003))
