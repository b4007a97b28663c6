"""Looking up what ``env:``, ``file:`` and ``cmd:`` of a project file name; nothing found is ever shown.

``formats.database_url`` says what the references mean.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from pdelta.errors import UsageError
from pdelta.formats.database_url import Lookup

COMMAND_TIMEOUT_S: Final = 60.0
"""A password manager may ask its owner first."""


def lookup_below(
    folder: Path | None, *, environment: Mapping[str, str] | None = None, timeout_s: float = COMMAND_TIMEOUT_S
) -> Lookup:
    """Give what looks references up for a project file in this folder.

    Args:
        folder: Where relative paths begin and commands are executed; the working folder when None.
        environment: The process's own when None.
        timeout_s: How long a command may take.
    """
    values = os.environ if environment is None else environment
    below = Path() if folder is None else folder

    def file(name: str) -> str:
        return _read(below / name, name)

    def command(words: Sequence[str]) -> str:
        return _output(words, below, timeout_s)

    return Lookup(values.get, file, command)


def lookup_again(folder: Path | None) -> Lookup:
    """Give what looks up only what can be looked up a second time: no command, which may ask a person, and no pipe."""
    below = Path() if folder is None else folder

    def file(name: str) -> str:
        if not (below / name).is_file():
            raise UsageError(f"file:{name} of the project file is no regular file")
        return _read(below / name, name)

    def command(_words: Sequence[str]) -> str:
        raise UsageError("a command is executed once")

    return Lookup(os.environ.get, file, command)


def _read(path: Path, name: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"file:{name} of the project file is not UTF-8") from error
    except OSError as error:
        raise UsageError(
            f"file:{name} of the project file can't be read: {error.strerror}",
            hint="a relative path begins in the folder of pdelta.toml",
        ) from error


def _output(words: Sequence[str], folder: Path, timeout_s: float) -> str:
    """Give what a command writes; its errors go to the terminal, where it may also have asked for something."""
    import subprocess

    told = f"cmd:{words[0]}{' …' if words[1:] else ''} of the project file"
    try:
        done = subprocess.run(
            words, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=timeout_s, check=False
        )
    except subprocess.TimeoutExpired:
        raise UsageError(
            f"{told} took longer than {timeout_s:g} s, and was stopped"
        ) from None  # it holds the arguments
    except OSError as error:
        raise UsageError(f"{told} can't be started: {error.strerror}") from error
    if done.returncode:
        raise UsageError(f"{told} ended with {done.returncode}", hint="run it by itself to see why")
    # Whatever is no UTF-8 is no URL either, and an error here would show it.
    return done.stdout.decode(errors="replace")
