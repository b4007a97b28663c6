"""``pdelta sql new``: a delta file to be filled in, with a name that comes after all others of its day."""

import datetime as dt
from pathlib import Path
from typing import Final

import msgspec

from pdelta.app.context import Context
from pdelta.app.sql.scripts import database_of, folder_of, read_files, style_of
from pdelta.errors import FilesystemError, FormatError, UsageError
from pdelta.formats.database import Style
from pdelta.formats.sql_skeleton import skeleton
from pdelta.sql.order import SUFFIX, DeltaName, next_name, parse_name
from pdelta.sql.token import Dialect

_DAY_NS: Final = 86_400_000_000_000


class NewDelta(msgspec.Struct, frozen=True):
    """What was made.

    Attributes:
        file: The file.
        id: What the ledger will know the delta by.
        engine: The engine that it says it is for; empty for any.
    """

    file: Path
    id: str
    engine: str = ""


def create_delta(
    name: str,
    context: Context,
    *,
    folder: Path | None = None,
    database: str = "",
    explicit: bool = False,
    dialect: Dialect | None = None,
) -> NewDelta:
    """Write a delta file that says what is missing in it, and give its path; nothing is ever overwritten.

    Args:
        name: The author's own words; white space becomes ``_``.
        context: The command's surroundings; its clock gives the day, in UTC.
        folder: Where to; as the project file says when None.
        database: Which section of the project file it is for.
        explicit: Whether it has a header and all sections.
        dialect: The only engine that it is for; any when None.

    Raises:
        UsageError: The name is not fit, the folder is another tool's, or the section is unknown.
        FilesystemError: The folder or the file can't be made.
    """
    section = database_of(context, database) if database or folder is None else None
    target = folder_of(context, section, folder)
    made = _name(name, context, _taken(target, None if section is None else section.style))
    file = target / f"{made}{SUFFIX}"
    known = dialect or (section.dialect if section is not None else None)
    text = skeleton(str(made), explicit=explicit, engine=dialect, example=known)
    try:
        target.mkdir(parents=True, exist_ok=True)
        with file.open("x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError as error:
        raise UsageError(f"{str(error.filename)!r} is there already; nothing was written") from error
    except OSError as error:
        raise FilesystemError(f"{str(file)!r} can't be written: {error.strerror}") from error
    return NewDelta(file, str(made), dialect.value if dialect else "")


def _taken(folder: Path, style: Style | None) -> list[DeltaName]:
    """Give the names of the deltas that are there."""
    if not folder.exists():
        return []
    files = read_files(folder)
    found = style or style_of(files)
    if found is not Style.PDELTA:
        raise UsageError(
            f"{str(folder)!r} holds files of {found}", hint=f"make the next one with {found}, or name another folder"
        )
    names: list[DeltaName] = []
    for stem in files.texts:
        try:
            names.append(parse_name(stem))
        except FormatError:
            # Whoever reads the folder is told; a new file needs no good ones beside it.
            continue
    return names


def _name(name: str, context: Context, taken: list[DeltaName]) -> DeltaName:
    day = dt.date(1970, 1, 1) + dt.timedelta(days=context.clock() // _DAY_NS)
    words = "_".join(name.split()).removesuffix(SUFFIX)
    try:
        return next_name(day, words, taken)
    except FormatError as error:
        raise UsageError(
            f"{name!r} can't be a delta's name",
            hint="write letters, digits, _ and -, as in add_last_login; the date comes by itself",
        ) from error
