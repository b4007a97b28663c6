"""The only reader of the environment, the home folder and the project file."""

import os
import pwd
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from pdelta.cli.late import import_late
from pdelta.cli.place import control_folder
from pdelta.errors import FilesystemError, UsageError
from pdelta.formats.project import FILE_NAME, Project, parse_project

RUNS: Final = ".pdelta-runs"


class Settings(msgspec.Struct, frozen=True):
    """Where things are kept, and who asks.

    Attributes:
        cache: Folder whose loss costs time only.
        state: Folder of this user's state.
        runs: Folder of the journals and runs.
        control: Short folder of this user alone, for kept ssh connections.
        ssh_config: The user's own ssh configuration; empty when there is none.
        project: What the project file says; empty without one.
        folder: The folder of the project file; None without one.
        who: User at host, for the history.
        host: Name of this machine.
    """

    cache: Path
    state: Path
    runs: Path
    control: Path
    ssh_config: str
    project: Project
    folder: Path | None
    who: str
    host: str


_ahead: Final[list[Settings]] = []


def read_ahead() -> Settings:
    """Give the settings of this process, and keep them for the one who asks next.

    Raises:
        PdeltaError: As ``read_settings``.
    """
    _ahead[:] = [read_settings(None)]
    return _ahead[0]


def forget_ahead() -> None:
    """Keep them no longer: nobody has asked, and what the next command is told may be something else."""
    _ahead.clear()


def read_settings(config: Path | None, *, environment: Mapping[str, str] | None = None) -> Settings:
    """Give the settings of this process.

    Args:
        config: The project file; found upward from the working folder when None.
        environment: The process's own when None.

    Raises:
        FormatError: The project file is malformed.
        UsageError: The named project file isn't there, or the working folder itself was removed.
    """
    if _ahead and config is None and environment is None:
        return _ahead.pop()
    values = os.environ if environment is None else environment
    cache = _folder(values, "XDG_CACHE_HOME", ".cache")
    state = _folder(values, "XDG_STATE_HOME", ".local/state")
    here = _working_folder()
    file = config if config is not None else _find(here)
    host = os.uname().nodename
    return Settings(
        cache=cache,
        state=state,
        runs=state / "runs" if file is None else file.resolve().parent / RUNS,
        control=Path(control_folder(values)),
        ssh_config=_ssh_config(values),
        project=Project() if file is None else _load(file),
        folder=None if file is None else file.resolve().parent,
        who=f"{_user()}@{host}",
        host=host,
    )


def wants_colour(terminal: bool, *, environment: Mapping[str, str] | None = None) -> bool:
    """Say whether output may carry colours (https://no-color.org).

    Args:
        terminal: Whether it goes to a terminal.
        environment: The process's own when None.
    """
    values = os.environ if environment is None else environment
    return terminal and not values.get("NO_COLOR") and values.get("TERM") != "dumb"


def _ssh_config(values: Mapping[str, str]) -> str:
    file = _home(values) / ".ssh" / "config"
    return str(file) if file.is_file() else ""


def _home(values: Mapping[str, str]) -> Path:
    return Path(values.get("HOME") or pwd.getpwuid(os.getuid()).pw_dir)


def _folder(values: Mapping[str, str], name: str, fallback: str) -> Path:
    # The XDG specification: a relative path is invalid and must be ignored.
    given = values.get(name, "")
    base = Path(given) if given.startswith("/") else _home(values) / fallback
    return base / "pdelta"


def _user() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _working_folder() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError as error:
        raise UsageError("the working folder was removed", hint="change to a folder that is there (cd)") from error


def _find(start: Path) -> Path | None:
    for folder in (start, *start.parents):
        file = folder / FILE_NAME
        if file.is_file():
            return file
    return None


def _load(file: Path) -> Project:
    import_late("tomllib")
    try:
        return parse_project(file.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        message = f"there is no project file {str(file)!r}"
        raise UsageError(message) from error
    except UnicodeDecodeError as error:
        message = f"the project file {str(file)!r} is not UTF-8"
        raise UsageError(message) from error
    except OSError as error:
        message = f"the project file {str(file)!r} can't be read: {error.strerror}"
        raise FilesystemError(message) from error
