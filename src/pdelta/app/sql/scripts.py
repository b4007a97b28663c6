"""A folder of delta files -> scripts in the order of application; called by every command of SQL deltas.

Reads bytes and names; what they mean is decided in ``formats``. All that is wrong in all files is told at once.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

import msgspec

from pdelta.app.context import Context
from pdelta.errors import FilesystemError, FormatError, ScriptsError, UsageError
from pdelta.formats.database import DatabaseSection, Style
from pdelta.formats.database_url import dialect_of, resolve
from pdelta.model.amount import counted
from pdelta.sql.order import SUFFIX, order
from pdelta.sql.token import Dialect, Mode

if TYPE_CHECKING:
    from pdelta.sql.script import Script

_OURS: Final = r"(?i)delta_[0-9]"
CONFIGURATION: Final = ".sql.conf"
"""Of Flyway: ends the name of the file that says how the one beside it is executed."""
DEFAULT_FOLDER: Final = "deltas"


class Files(msgspec.Struct, frozen=True):
    """The delta files of a folder as they lie there.

    Attributes:
        texts: By their names without ``.sql``.
        configurations: Of files of Flyway, what stands in the ``.sql.conf`` beside them.
    """

    texts: Mapping[str, bytes]
    configurations: Mapping[str, bytes] = {}


def database_of(context: Context, name: str = "") -> DatabaseSection | None:
    """Give the section of the project file that a command means; None where there is none, and none was named.

    Raises:
        UsageError: There is no section of that name, or there are several and none was named.
    """
    known = context.databases
    told = ", ".join(known)
    if name:
        if name not in known:
            raise UsageError(
                f"the project file has no database {name!r}",
                hint=f"known are: {told}" if known else f"write a section [databases.{name}] into pdelta.toml",
            )
        return known[name]
    if len(known) > 1:
        raise UsageError("the project file has several databases", hint=f"name one of them by --database: {told}")
    return next(iter(known.values()), None)


def folder_of(context: Context, database: DatabaseSection | None, folder: Path | None = None) -> Path:
    """Give the folder of delta files: as the command says, else as the project file does, else ``deltas``."""
    if folder is not None:
        return folder
    below = context.folder or Path()
    return below / (database.deltas if database is not None and database.deltas else DEFAULT_FOLDER)


def engine_of(context: Context, database: DatabaseSection | None, given: Dialect | None = None) -> Dialect:
    """Give whose SQL the deltas of a database hold: as the command says, else the section, else its resolved URL.

    Raises:
        UsageError: Nobody says it.
        PdeltaError: The reference of the URL can't be looked up.
    """
    found = given or (database.dialect if database is not None else None)
    if found is None and database is not None:
        found = next(filter(None, (dialect_of(resolve(url, context.lookup)) for url in database.urls)), None)
    if found is None:
        raise UsageError(
            "nothing says whose SQL the deltas hold", hint="say --engine, or write the database into pdelta.toml"
        )
    return found


def read_scripts(
    folder: Path, dialect: Dialect, *, style: Style | None = None, modes: frozenset[Mode] = frozenset()
) -> "tuple[Script, ...]":
    """Give the scripts of a folder in the order of application.

    Args:
        folder: Where the files are; folders in it are not looked at.
        dialect: How sections that name no engine are read.
        style: Whose form the files have; None to tell by their names.
        modes: What a MySQL server's ``sql_mode`` changes about reading.

    Raises:
        FilesystemError: The folder or a file can't be read.
        FormatError: One file can't be read, or they can't be put in order.
        ScriptsError: Several files can't be read; each is named.
    """
    return ordered_scripts(read_files(folder), dialect, style=style, where=str(folder), modes=modes)


def ordered_scripts(
    files: Files, dialect: Dialect, *, style: Style | None, where: str, modes: frozenset[Mode] = frozenset()
) -> "tuple[Script, ...]":
    """Give the scripts that these files say, in the order of application.

    Args:
        files: As they were read.
        dialect: How sections that name no engine are read.
        style: Whose form they have; None to tell by their names.
        where: What messages call the folder.
        modes: What a MySQL server's ``sql_mode`` changes about reading.

    Raises:
        FormatError: One file can't be read, or they can't be put in order.
        ScriptsError: Several files can't be read; each is named.
    """
    return order(parse_files(files, dialect, style=style or style_of(files), where=where, modes=modes))


def read_files(folder: Path) -> Files:
    """Give what lies in a folder and ends with ``.sql`` or ``.sql.conf``.

    Raises:
        FilesystemError: The folder or a file can't be read.
        UsageError: There is no such folder.
    """
    texts: dict[str, bytes] = {}
    configurations: dict[str, bytes] = {}
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in entries if entry.is_file())
        for name in names:
            if name.endswith(SUFFIX):
                texts[name.removesuffix(SUFFIX)] = (folder / name).read_bytes()
            elif name.endswith(CONFIGURATION):
                configurations[name.removesuffix(CONFIGURATION)] = (folder / name).read_bytes()
            elif name.lower().endswith(SUFFIX) and re.match(_OURS, name):
                # Under its whole name, which is no delta's: it is refused, and not passed over.
                texts[name] = (folder / name).read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UsageError(
            f"there is no folder of deltas {str(folder)!r}",
            hint="`pdelta sql new NAME` makes it with a first delta in it",
        ) from error
    except OSError as error:
        raise FilesystemError(f"the deltas in {str(folder)!r} can't be read: {error.strerror}") from error
    return Files(texts, configurations)


def style_of(files: Files) -> Style:
    """Tell whose form the files of a folder have, by their names and their marks; ours unless they say otherwise.

    Raises:
        FormatError: They are of several tools; one file of each is named.
    """
    found: dict[Style, str] = {}
    for stem, data in files.texts.items():
        style = _style_of(stem, data)
        if style is not None:
            found.setdefault(style, stem + SUFFIX)
    if len(found) > 1:
        told = ", ".join(f"{name} of {style}" for style, name in found.items())
        raise FormatError(
            f"the folder holds files of several tools: {told}",
            hint="keep one form in a folder, or name it by style in pdelta.toml",
        )
    return next(iter(found), Style.PDELTA)


def parse_files(
    files: Files, dialect: Dialect, *, style: Style, where: str, modes: frozenset[Mode] = frozenset()
) -> "tuple[Script, ...]":
    """Give the scripts that these files say, unordered.

    Args:
        files: As they were read.
        dialect: How sections that name no engine are read.
        style: Whose form they have.
        where: What messages call the folder.
        modes: What a MySQL server's ``sql_mode`` changes about reading.

    Raises:
        FormatError: One of them can't be read.
        ScriptsError: Several of them can't be read; each is named.
    """
    scripts: list[Script] = []
    errors: list[FormatError] = []
    for one in _parsed(files, dialect, style, modes):
        if isinstance(one, FormatError):
            errors.append(one)
        else:
            scripts.append(one)
    if style is not Style.PDELTA:
        errors += _shared_versions(scripts)
    if len(errors) == 1:
        raise errors[0]
    if errors:
        raise ScriptsError(
            f"{counted(len(errors), 'file')} in {where} can't be read; nothing was changed",
            findings=tuple(f"{one.message} — {one.hint}" if one.hint else one.message for one in errors),
        )
    return tuple(scripts)


def _parsed(files: Files, dialect: Dialect, style: Style, modes: frozenset[Mode]) -> "Iterator[Script | FormatError]":
    if style is Style.FLYWAY:
        from pdelta.formats.foreign.flyway import parse_flyway

        yield from parse_flyway(files.texts, dialect=dialect, configurations=files.configurations, modes=modes)
        return
    parse = _parser(style)
    for stem, data in files.texts.items():
        try:
            yield parse(data, name=stem, dialect=dialect, modes=modes)
        except FormatError as error:
            yield error


def _parser(style: Style) -> "Callable[..., Script]":
    """Give what reads one file; readers are imported where a folder has files for them."""
    if style is Style.DBMATE:
        from pdelta.formats.foreign.dbmate import parse_dbmate

        return parse_dbmate
    if style is Style.GOOSE:
        from pdelta.formats.foreign.goose import parse_goose

        return parse_goose
    from pdelta.formats.sql_delta import parse_delta

    return parse_delta


def _style_of(stem: str, data: bytes) -> Style | None:
    if re.match(_OURS, stem):
        return Style.PDELTA
    from pdelta.formats.foreign import dbmate, flyway, goose

    if flyway.NAME.fullmatch(stem):
        return Style.FLYWAY
    if stem[:1].isdigit():
        text = data.decode(errors="replace").replace("\r\n", "\n")
        if dbmate.DIRECTIVE.search(text):
            return Style.DBMATE
        if goose.DIRECTIVE.search(text):
            return Style.GOOSE
    return None


def _shared_versions(scripts: "Iterable[Script]") -> Iterator[FormatError]:
    by_key: dict[str, Script] = {}
    for script in scripts:
        other = by_key.setdefault(script.key, script)
        if other is not script:
            yield FormatError(
                f"{other.name}{SUFFIX} and {script.name}{SUFFIX} have one version", hint="give one of them another"
            )
