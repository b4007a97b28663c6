"""``pdelta agent fetch``: prepare an agent for hosts unlike this machine."""

import hashlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import msgspec

from pdelta.app.bundle import AgentBundles, library_versions
from pdelta.errors import AdapterError, UsageError


class Fetched(msgspec.Struct, frozen=True):
    """What was prepared.

    Attributes:
        tag: The platform as a host reports it.
        digest: Digest of the agent.
        wheels: File names of the wheels.
    """

    tag: str
    digest: str
    wheels: tuple[str, ...]


def fetch_agent(cache: Path, *, platform: str, python: str) -> Fetched:
    """Download the wheels of the agent's libraries for a platform, in the versions installed here, and build the agent.

    Args:
        cache: Folder for what is fetched and built.
        platform: As wheels name it: ``manylinux2014_aarch64``, ``musllinux_1_2_x86_64``, ``macosx_11_0_arm64``.
        python: Version such as ``3.12``.

    Raises:
        UsageError: Platform or version are none.
        AdapterError: pip could not get a wheel that fits.
    """
    tag = platform_to_tag(platform, python)
    folder = cache / "wheels" / tag
    fresh = folder.with_name(folder.name + ".new")
    shutil.rmtree(fresh, ignore_errors=True)
    fresh.mkdir(parents=True, mode=0o700)
    versions = library_versions()
    if tuple(map(int, python.split("."))) >= (3, 14):
        versions.pop("backports.zstd", None)
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    command += ["--only-binary=:all:", "--implementation", "cp", "--platform", platform, "--python-version", python]
    command += ["--dest", str(fresh), *(f"{name}=={version}" for name, version in versions.items())]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode:
        shutil.rmtree(fresh, ignore_errors=True)
        last = "; ".join(result.stderr.strip().splitlines()[-2:])
        raise AdapterError(
            f"pip found no wheels for {platform} and Python {python}: {last}",
            hint='install pdelta on the host and set command="pdelta agent" for your key',
        )
    wheels = sorted(fresh.glob("*.whl"))
    hashes = {wheel.name: hashlib.sha256(wheel.read_bytes()).hexdigest() for wheel in wheels}
    (fresh / "hashes.json").write_bytes(msgspec.json.encode(hashes))
    shutil.rmtree(folder, ignore_errors=True)
    fresh.replace(folder)
    return Fetched(tag, AgentBundles(cache).digests()[tag], tuple(hashes))


def platform_to_tag(platform: str, python: str) -> str:
    """Give the tag that the first stage reports on such a host.

    Raises:
        UsageError: Platform or version are none, or older than Python 3.11.
    """
    version = re.fullmatch(r"3\.(\d{1,2})", python)
    if version is None or int(version[1]) < 11:
        raise UsageError(f"{python!r} is no Python version from 3.11 on")
    patterns = (
        (r"(?:manylinux(?:1|2010|2014|_\d+_\d+))_(\w+)", "linux", "glibc"),
        (r"musllinux_\d+_\d+_(\w+)", "linux", "musl"),
        (r"macosx_\d+_\d+_(\w+)", "darwin", "darwin"),
    )
    for pattern, system, libc in patterns:
        match = re.fullmatch(pattern, platform)
        if match:
            return f"cpython-3{version[1]}-{system}-{match[1]}-{libc}"
    raise UsageError(f"{platform!r} is no platform", hint="for example manylinux2014_aarch64 or musllinux_1_2_x86_64")
