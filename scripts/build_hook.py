"""Builds the one part of pdelta that is C, where there is a compiler; without one the package is whole all the same.

Called by hatchling for a wheel and for an editable installation. The library is
plain C without Python's headers, so one wheel fits every version of Python.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE = Path("src/pdelta/filesystem/batch/calls.c")
LIBRARY = SOURCE.with_suffix(".so")


class BuildHook(BuildHookInterface[Any]):
    """Compiles ``calls.c`` beside itself, and marks the wheel as one for this platform."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:  # noqa: ARG002 - hatchling's signature
        """Build before anything is gathered; what cannot be built is told, and left out."""
        if self.target_name != "wheel":
            return
        library = Path(self.root) / LIBRARY
        library.unlink(missing_ok=True)
        reason = build(Path(self.root) / SOURCE, library)
        if reason:
            self.app.display_warning(f"pdelta is built without its C: {reason}. It works the same, only slower.")
            return
        build_data["artifacts"].append(f"/{LIBRARY}")
        build_data["pure_python"] = False
        platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["tag"] = f"py3-none-{platform}"


def build(source: Path, library: Path) -> str:
    """Compile; give the reason why that was not possible, or nothing."""
    if sys.platform != "linux":
        return f"it is for Linux, not {sys.platform}"
    named = os.environ.get("CC", "").split()
    compiler = named or [found for found in map(shutil.which, ("cc", "gcc", "clang")) if found][:1]
    if not compiler:
        return "there is no C compiler"
    # A library that is in use must not change under its users: the new one takes the name.
    fresh = library.with_name(f"{library.name}.{os.getpid()}")
    command = [*compiler, "-O2", "-Wall", "-Wextra", "-shared", "-fPIC", "-o", str(fresh), str(source)]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
    except OSError as error:
        return f"{compiler[0]}: {error.strerror}"
    if result.returncode:
        fresh.unlink(missing_ok=True)
        return f"{compiler[0]} failed: {(result.stderr.strip().splitlines() or ['without a word'])[0]}"
    fresh.replace(library)
    return ""
