"""What is remembered of a source and a destination from one push to the next.

Losing it costs time, but for the file system of the source: without it, a source on another
device than last time is not noticed. So it is state, not cache.
"""

import os
from pathlib import Path

import msgspec
from blake3 import blake3

from pdelta.app.context import Context
from pdelta.errors import FilesystemError
from pdelta.model import UNDECODABLE
from pdelta.model.snapshot import Chunking


class SourceMemory(msgspec.Struct, frozen=True, omit_defaults=True):
    """What the last push from here to there used.

    Attributes:
        chunking: How contents were cut; None before the first push.
        device: The source's file system, in a form that survives a reboot.
    """

    chunking: Chunking | None = None
    device: str = ""


def read_memory(context: Context, source: bytes, address: str) -> SourceMemory:
    """Give what is remembered; nothing when it is absent or damaged."""
    try:
        return msgspec.json.decode(_file(context, source, address).read_bytes(), type=SourceMemory)
    except (OSError, *UNDECODABLE):
        return SourceMemory()


def write_memory(context: Context, source: bytes, address: str, memory: SourceMemory) -> None:
    """Remember for the next push.

    Raises:
        FilesystemError: The state folder can't be written.
    """
    file = _file(context, source, address)
    write_atomically(file, msgspec.json.encode(memory))


def write_atomically(file: Path, data: bytes, *, mode: int = 0o600) -> None:
    """Replace a file so that a reader, or a crash, sees the old bytes or the new ones.

    Raises:
        FilesystemError: It can't be written; the old file is unchanged.
    """
    fresh = file.with_name(f".{file.name}.{os.getpid()}.new")
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
        with open(descriptor, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        fresh.replace(file)
    except OSError as error:
        fresh.unlink(missing_ok=True)
        raise FilesystemError(f"{str(file)!r} can't be written: {error.strerror}; it is as it was") from error


def _file(context: Context, source: bytes, address: str) -> Path:
    name = blake3(source + b"\0" + os.fsencode(address)).hexdigest(16)
    return context.state / "sources" / f"{name}.json"
