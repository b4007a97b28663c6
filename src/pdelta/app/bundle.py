"""Self-contained agents: this package and the wheels it needs, as one archive for each platform.

The archive for this machine's own interpreter is made of what is installed;
those of other platforms of wheels that ``pdelta agent fetch`` has prepared. An
archive is a sequence of (path, length, SHA-256) records, packed by zlib because a
host's standard library may have nothing better. Called by ``compose``; an implementer
of ``transports.base.AgentArchives``.
"""

import contextlib
import marshal
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec
from blake3 import blake3

import pdelta
from pdelta.errors import TransportError
from pdelta.model import UNDECODABLE
from pdelta.transports import stage
from pdelta.transports.base import HostFacts
from pdelta.transports.loader import compress_stage

LIBRARIES: Final = ("msgspec", "blake3", "pyfastcdc", "backports.zstd", "pathspec")
"""What the agent imports beyond the standard library."""

TYPING_EXTENSIONS: Final = b"from typing import *\n"
"""Stands in for the library of that name: Python 3.11 has all that is used of it, and it takes 8 ms to import."""

LEFT_OUT: Final = frozenset({"app/sql", "cli", "dashboard", "databases", "operations/sql", "sql", "testing"})
"""Folders of this package that no agent uses: databases are reached without one."""
UNUSED: Final = ("backports/zstd/_cffi/", "backports/zstd/zipfile/", "backports/zstd/tarfile.py")
SUFFIXES: Final = (".py", ".so")

_MANYLINUX: Final = {"manylinux1": (2, 5), "manylinux2010": (2, 12), "manylinux2014": (2, 17)}


Look = tuple[str, int, int]
"""Path, size and mtime in ns."""


class Record(msgspec.Struct, frozen=True):
    """What is remembered of a built archive.

    Attributes:
        seen: Path, size and mtime of everything that it was built from.
        digest: SHA-256 of the unpacked archive.
        glibc: Least version of glibc that its modules need; (0, 0) for none.
        stage: The first stage that belongs to it.
    """

    seen: tuple[Look, ...]
    digest: str
    glibc: tuple[int, int]
    stage: bytes


class AgentBundles:
    """The agents that this machine can place.

    Args:
        cache: Folder for what is built; losing it costs a second.
    """

    def __init__(self, cache: Path) -> None:
        """Build nothing yet."""
        self._folder = cache / "agents"
        self._wheels = cache / "wheels"
        self._records: dict[str, Record] = {}

    def stage(self) -> bytes:
        """Give the compressed source of the first stage."""
        return self._record(stage.platform_tag()).stage

    def digests(self) -> Mapping[str, str]:
        """Give the digest of the agent for each platform tag there is one for."""
        own = stage.platform_tag()
        found = {own: self._record(own).digest}
        for folder in sorted(self._wheels.iterdir()) if self._wheels.is_dir() else ():
            # Wheels that were damaged concern only the hosts that need them.
            with contextlib.suppress(TransportError, OSError):
                found.setdefault(folder.name, self._record(folder.name).digest)
        return found

    def archive(self, facts: HostFacts) -> bytes:
        """Give the archive for a host.

        Raises:
            TransportError: None fits; the hint is the command that prepares one.
        """
        if facts.tag not in self.digests():
            raise TransportError(
                f"there is no agent for {facts.tag or 'an unknown platform'}", hint=f"run: {fetch_command(facts.tag)}"
            )
        record = self._record(facts.tag)
        have = _glibc(facts.libc)
        if have and have < record.glibc:
            need = ".".join(map(str, record.glibc))
            raise TransportError(
                f"the agent for {facts.tag} needs glibc {need}, the host has {facts.libc}",
                hint=f"run: {fetch_command(facts.tag)}",
            )
        return self._path(record.digest).read_bytes()

    def _path(self, digest: str) -> Path:
        return self._folder / f"{digest}.z"

    def _record(self, tag: str) -> Record:
        record = self._records.get(tag)
        if record is None:
            record = self._records[tag] = self._load(tag) or self._build(tag)
        return record

    def _remembered(self, tag: str) -> Path:
        """Give where the record of this very installation is kept: another one beside it builds another agent."""
        place = blake3(os.fsencode(pdelta.__file__)).hexdigest(8)
        return self._folder / f"{tag}-{place}.record"

    def _load(self, tag: str) -> Record | None:
        """Give the remembered record while everything it was built from is as it was: 200 stats, under 1 ms."""
        try:
            record = msgspec.msgpack.decode(self._remembered(tag).read_bytes(), type=Record)
            fresh = all(seen == _look(seen[0]) for seen in record.seen) and self._path(record.digest).exists()
        except (OSError, *UNDECODABLE):
            return None
        return record if fresh else None

    def _build(self, tag: str) -> Record:
        import hashlib
        import zlib

        own = tag == stage.platform_tag()
        files, sources = _package_files(own=own)
        if own:
            found, more, glibc = _installed_files()
        else:
            found, more, glibc = read_wheels(self._wheels / tag)
        files.update(found)
        files["typing_extensions.py"] = TYPING_EXTENSIONS
        if own:
            files.update(_compiled(files))
        data = b"".join(pack_records(files))
        record = Record(
            seen=tuple(sorted({*sources, *more})),
            digest=hashlib.sha256(data).hexdigest(),
            glibc=glibc,
            stage=compress_stage(),
        )
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        # Level 9 takes four times as long as 6, three seconds here, to save a hundredth.
        _replace(self._path(record.digest), zlib.compress(data, 6))
        _replace(self._remembered(tag), msgspec.msgpack.encode(record))
        return record


def pack_records(files: Mapping[str, bytes]) -> Iterator[bytes]:
    """Give the records of an archive, sorted by path: u16 name length, u32 length, SHA-256, name, content."""
    import hashlib

    for name in sorted(files):
        data = files[name]
        raw = name.encode("ascii")
        yield len(raw).to_bytes(2, "big") + len(data).to_bytes(4, "big") + hashlib.sha256(data).digest() + raw
        yield data


def fetch_command(tag: str) -> str:
    """Give the command that prepares an agent for a platform tag."""
    match = re.fullmatch(r"cpython-(\d)(\d+)t?-(linux|darwin)-([A-Za-z0-9_]+)-([a-z]+)", tag)
    if match is None:
        return "pdelta agent fetch --platform PLATFORM --python VERSION"
    major, minor, system, machine, libc = match.groups()
    platform = f"manylinux2014_{machine}" if libc == "glibc" else f"musllinux_1_2_{machine}"
    if system == "darwin":
        platform = f"macosx_11_0_{machine}"
    return f"pdelta agent fetch --platform {platform} --python {major}.{minor}"


def library_versions() -> dict[str, str]:
    """Give the installed version of each library that the agent needs."""
    from importlib import metadata

    versions = {}
    for name in LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def needed_glibc(platforms: Iterable[str]) -> tuple[int, int]:
    """Give the least glibc for a wheel of these platforms; (0, 0) where it needs none, (9, 0) where none is named."""
    needs = []
    for platform in platforms:
        numbered = re.match(r"manylinux_(\d+)_(\d+)_", platform)
        if numbered:
            needs.append((int(numbered[1]), int(numbered[2])))
        elif platform.split("_")[0] in _MANYLINUX:
            needs.append(_MANYLINUX[platform.split("_")[0]])
        elif platform.startswith("linux_"):
            needs.append(_glibc(stage.libc()) or (9, 0))
        else:
            needs.append((0, 0))
    return min(needs, default=(9, 0))


def read_wheels(folder: Path) -> tuple[dict[str, bytes], list[Look], tuple[int, int]]:
    """Give the modules of fetched wheels, each wheel checked against the hash noted when it was fetched.

    Raises:
        TransportError: A wheel is missing or damaged.
    """
    import hashlib
    import zipfile

    files: dict[str, bytes] = {}
    glibc = (0, 0)
    seen = [_look(str(folder))]
    hashes = msgspec.json.decode((folder / "hashes.json").read_bytes(), type=dict[str, str])
    for name, expected in hashes.items():
        path = folder / name
        seen.append(_look(str(path)) if path.exists() else (str(path), -1, 0))
        if not path.exists() or hashlib.sha256(path.read_bytes()).hexdigest() != expected:
            raise TransportError(f"{path} is missing or damaged", hint=f"run again: {fetch_command(folder.name)}")
        with zipfile.ZipFile(path) as wheel:
            files.update({it: wheel.read(it) for it in wheel.namelist() if _wanted(it)})
        glibc = max(glibc, needed_glibc(name.removesuffix(".whl").rsplit("-", 1)[1].split(".")))
    return files, seen, glibc


def _package_files(*, own: bool) -> tuple[dict[str, bytes], list[Look]]:
    """Give this package's modules, and every path whose change makes them stale."""
    top = Path(pdelta.__file__).parent
    files: dict[str, bytes] = {}
    sources: list[Look] = []
    for parent, folders, names in os.walk(top):
        folders[:] = sorted(
            it for it in folders if it != "__pycache__" and str(Path(parent, it).relative_to(top)) not in LEFT_OUT
        )
        sources.append(_look(parent))
        for name in names:
            path = Path(parent, name)
            if path.suffix == ".py" or (own and path.suffix == ".so"):
                # Looked at before it is read: a file that changes meanwhile makes the archive stale, not wrong.
                sources.append(_look(str(path)))
                files[f"pdelta/{path.relative_to(top)}"] = path.read_bytes()
    return files, sources


def _installed_files() -> tuple[dict[str, bytes], list[Look], tuple[int, int]]:
    from importlib import metadata

    files: dict[str, bytes] = {}
    sources: list[Look] = []
    glibc = (0, 0)
    for library in library_versions():
        distribution = metadata.distribution(library)
        for file in distribution.files or ():
            name = str(file)
            if _wanted(name):
                path = str(distribution.locate_file(file))
                sources.append(_look(path))
                files[name] = Path(path).read_bytes()
        tags = re.findall(r"^Tag: \S+-(\S+)$", distribution.read_text("WHEEL") or "", re.MULTILINE)
        glibc = max(glibc, needed_glibc(tags))
    return files, sources, glibc


def _wanted(name: str) -> bool:
    parts = name.split("/")
    return (
        name.endswith(SUFFIXES)
        and not name.startswith(UNUSED)
        and not {"..", "__pycache__", "tests"} & set(parts)
        and not parts[0].endswith(".dist-info")
        and name.isascii()
    )


def _compiled(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Give byte code for an interpreter like this one, so that the first start is as fast as the second.

    Unchecked hash-based (PEP 552), and marshalled by version 2, whose output does not depend on reference counts.
    """
    from importlib import util

    compiled = {}
    for name, source in files.items():
        if name.endswith(".py"):
            code = marshal.dumps(compile(source, name, "exec", dont_inherit=True), 2)
            head = util.MAGIC_NUMBER + (1).to_bytes(4, "little") + util.source_hash(source)
            compiled[util.cache_from_source(name)] = head + code
    return compiled


def _glibc(libc: str) -> tuple[int, int] | None:
    match = re.match(r"glibc (\d+)\.(\d+)", libc)
    return (int(match[1]), int(match[2])) if match else None


def _look(path: str) -> Look:
    stat = os.stat(path)
    return path, stat.st_size, stat.st_mtime_ns


def _replace(path: Path, data: bytes) -> None:
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    fresh.write_bytes(data)
    fresh.replace(path)
